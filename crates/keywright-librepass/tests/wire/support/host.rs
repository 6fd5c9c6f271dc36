//! A host that keeps its mails, and fails when a test requires it.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keywright_core::AccountId;
use keywright_librepass::{Admittance, Endpoint, Host, HostError, Mail, Peer, Subject};
use keywright_testing::Outbox;

/// A mail that went out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) subject: &'static str,
    pub(crate) text: String,
}

impl Letter {
    pub(crate) fn link(&self) -> Option<&str> {
        self.text.lines().find(|line| line.starts_with("https://"))
    }
}

#[derive(Default)]
pub(crate) struct TestHost {
    pub(crate) outbox: Outbox<Letter>,
    /// Mails are left to the sweep.
    pub(crate) mail_later: AtomicBool,
    /// The accounts whose mails were announced as due.
    pub(crate) told: Mutex<Vec<AccountId>>,
    /// The calls of `admit`, as text.
    pub(crate) asked: Mutex<Vec<String>>,
    /// The subject named here is over the limit.
    pub(crate) full: Mutex<Option<String>>,
    /// How often work was passed to `compute`.
    pub(crate) computed: AtomicUsize,
    /// `compute` breaks its contract.
    pub(crate) runs_no_work: AtomicBool,
    /// Runs once when an account is counted: its token has been checked by then.
    pub(crate) once_known: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl TestHost {
    pub(crate) fn mails(&self) -> Vec<Letter> {
        self.outbox.mails()
    }

    pub(crate) fn mails_to(&self, email: &str) -> Vec<Letter> {
        self.mails().into_iter().filter(|letter| letter.to == email).collect()
    }

    /// The newest link that was mailed to an address.
    pub(crate) fn link_to(&self, email: &str) -> Option<String> {
        self.mails_to(email).iter().rev().find_map(|letter| letter.link().map(str::to_owned))
    }
}

impl Host for TestHost {
    async fn mail(&self, mail: Mail<'_>) -> Result<(), HostError> {
        tokio::task::yield_now().await;
        let letter = Letter { to: mail.to.into(), subject: mail.message.subject(), text: mail.message.text() };
        self.outbox.send(letter).map_err(HostError::new)
    }

    fn mails_due(&self, account: &AccountId) -> bool {
        self.told.lock().unwrap().push(account.clone());
        self.mail_later.load(Ordering::SeqCst)
    }

    fn admit(&self, endpoint: Endpoint, _: Peer<'_>, subject: Subject<'_>) -> Admittance {
        let subject = match subject {
            Subject::Peer => "peer".to_owned(),
            Subject::Address(address) => format!("address {address}"),
            Subject::Account(account) => format!("account {account}"),
            Subject::Named(account) => format!("named {account}"),
            _ => panic!("a new subject"),
        };
        self.asked.lock().unwrap().push(format!("{endpoint} {subject}"));
        let once_known = subject.starts_with("account").then(|| self.once_known.lock().unwrap().take()).flatten();
        if let Some(act) = once_known {
            act();
        }
        if self.full.lock().unwrap().as_deref() == Some(&*subject) {
            Admittance::Full { retry_after: 17 }
        } else {
            Admittance::Open
        }
    }

    fn compute(&self, work: &mut (dyn FnMut() + Send)) {
        self.computed.fetch_add(1, Ordering::SeqCst);
        if !self.runs_no_work.load(Ordering::SeqCst) {
            work();
        }
    }

    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        peer.headers.get("x-test-address")?.to_str().ok()?.parse().ok()
    }
}
