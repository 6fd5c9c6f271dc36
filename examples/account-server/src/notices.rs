//! This server's own notices to the owner of an account: that it was reset, or that one of its app
//! passwords was ended.
//!
//! Each notice is due work of the account. It is written before the act that it reports counts as
//! done, and kept until it is delivered, so a mail server that is down for a day delays it. A
//! notice may arrive twice. Of those that cannot be delivered, only the last few of each kind are
//! kept, because older ones add nothing.

use std::error::Error;
use std::sync::Arc;

use keywright::store::due::{self, Attempt, DUE, DueTask, DueWork, NewTask, OnFailure};
use keywright::store::{Draft, Partition};
use keywright::{AccountId, TransactError};

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::mail::{Mailer, Message, NotDelivered};
use crate::options::PublicUrl;

/// How many notices of one kind are kept until they are delivered.
const AT_MOST: usize = 4;

/// A message to the owner of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The account was reset.
    AccountReset,
    /// An app password was ended, because too many wrong passphrases were sent with it.
    AppPasswordEnded,
}

impl Notice {
    const ALL: [Self; 2] = [Self::AccountReset, Self::AppPasswordEnded];

    /// Returns the name of the due task, with this server's prefix.
    const fn task(self) -> &'static str {
        match self {
            Self::AccountReset => "account-server/account-reset",
            Self::AppPasswordEnded => "account-server/app-password-ended",
        }
    }

    fn of(task: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|notice| notice.task() == task)
    }

    /// Returns subject and text, for the account with this name on this server.
    fn write(self, name: &str, server: &PublicUrl) -> (&'static str, String) {
        match self {
            Self::AccountReset => (
                "Your account was reset",
                format!(
                    "The account {name} on\n{server}\nwas reset: its passphrase and keychain are gone, and all sessions \
                     have ended. App passwords still work.\n\nIf this was not you, somebody knows how to log in to your \
                     account."
                ),
            ),
            Self::AppPasswordEnded => (
                "An app password of your account was ended",
                format!(
                    "An app password of the account {name} on\n{server}\nwas ended: too many wrong passphrases came with \
                     it. The client that used it cannot log in any more.\n\nIf none of your clients did that, somebody \
                     knows that app password."
                ),
            ),
        }
    }
}

/// The notices of all accounts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Notices {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) mailer: Arc<Mailer>,
    pub(crate) public_url: PublicUrl,
}

impl Notices {
    /// Makes a notice due, once for an `occasion` as long as it is not delivered. From then on it
    /// cannot be lost. Returns the task to [`deliver`](Self::deliver).
    ///
    /// # Errors
    /// An error if the store fails, or if too much work is due already.
    pub(crate) async fn add(
        &self,
        account: &AccountId,
        notice: Notice,
        occasion: &[u8],
    ) -> Result<Option<DueTask>, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            let pending = due::pending(draft)?;
            if pending.iter().any(|task| task.name == notice.task() && task.detail == occasion) {
                return Ok(None);
            }
            due::add(draft, NewTask::new(notice.task(), occasion.to_vec()).at_most(AT_MOST).reserved()).map(Some)
        };
        self.accounts.driver().transact(&account.into(), &[DUE.name()], step).await
    }

    /// Delivers a notice that was added. A file has it when this returns; a mail server receives it
    /// while the caller continues. A notice that fails stays due.
    pub(crate) async fn deliver(&self, account: &AccountId, task: DueTask) {
        let (notices, account) = (self.clone(), account.clone());
        let delivery = async move {
            if let Err(error) = notices.run(&account, &[task]).await {
                tracing::warn!(%account, error = &error as &dyn Error, "a notice is still due");
            }
        };
        match self.mailer.remote() {
            Some(running) => drop(running.spawn(delivery)),
            None => delivery.await,
        }
    }

    /// Delivers the notices of an account that remain after a crash or a failure. `at_start`
    /// ignores pauses and the claims of earlier processes. Returns how many were delivered.
    ///
    /// # Errors
    /// A [`NoticeError`]. What was not delivered is retried later.
    pub(crate) async fn finish_due(&self, account: &AccountId, at_start: bool) -> Result<usize, NoticeError> {
        let partition = Partition::account(account);
        let work = DueWork::new(self.accounts.driver(), &partition);
        let is_own = |name: &str| Notice::of(name).is_some();
        let tasks = if at_start { work.claim_now(is_own).await? } else { work.claim(is_own).await? };
        self.run(account, &tasks).await
    }

    async fn run(&self, account: &AccountId, tasks: &[DueTask]) -> Result<usize, NoticeError> {
        let partition = Partition::account(account);
        let work = DueWork::new(self.accounts.driver(), &partition);
        let attempt = |task| async move { self.send(account, task).await.map(|()| Attempt::Done) };
        let worked = work.run(tasks, OnFailure::GoOn, attempt).await?;
        if let Some(fault) = &worked.unreleased {
            tracing::warn!(%account, error = fault as &dyn Error, "a claim on a notice is not given back");
        }
        worked.result()
    }

    /// Without an address, no message is sent.
    async fn send(&self, account: &AccountId, task: &DueTask) -> Result<(), NoticeError> {
        let (Some(notice), Some(profile)) = (Notice::of(&task.name), self.accounts.profile(account).await?) else {
            return Ok(());
        };
        let Some(to) = profile.email else { return Ok(()) };
        let (subject, text) = notice.write(&profile.name, &self.public_url);
        Ok(self.mailer.deliver(Message { to, subject, text }).await?)
    }
}

/// A notice was not delivered. It stays due.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoticeError {
    #[error(transparent)]
    Transact(#[from] TransactError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error(transparent)]
    Mail(#[from] NotDelivered),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::new_account::NewAccount;
    use crate::accounts::slots::SLOT_KINDS;
    use keywright::{Keyring, Keywright, ManualClock, MemoryStore, SystemEntropy, UnixSeconds};
    use std::path::Path;

    async fn alice(clock: &Arc<ManualClock>) -> (Arc<Accounts>, AccountId) {
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        let builder = Keywright::builder(MemoryStore::new()).keyring(keyring).slots(SLOT_KINDS);
        let keywright = builder.clock(Arc::clone(clock) as Arc<_>).open().await.unwrap();
        let accounts = Arc::new(Accounts::new(keywright.driver().clone()).unwrap());
        let new = NewAccount {
            name: "alice".to_owned(),
            email: Some("alice@example.org".to_owned()),
            login_password: None,
            app_passwords: Vec::new(),
            rocketchat: None,
        };
        accounts.seed(&new).await.unwrap();
        let account = accounts.find("alice").await.unwrap().unwrap();
        (accounts, account)
    }

    fn notices(accounts: &Arc<Accounts>, mailer: Mailer) -> Notices {
        let public_url = "https://example.org".parse().unwrap();
        Notices { accounts: Arc::clone(accounts), mailer: Arc::new(mailer), public_url }
    }

    fn count(outbox: &Path) -> usize {
        std::fs::read_to_string(outbox).unwrap().matches("To: ").count()
    }

    #[tokio::test]
    async fn a_notice_outlives_a_day_without_mail() {
        let clock = Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)));
        let (accounts, account) = alice(&clock).await;
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        std::fs::create_dir(&gone).unwrap();
        let broken = notices(&accounts, Mailer::outbox(gone.join("outbox")).unwrap());
        std::fs::remove_dir_all(&gone).unwrap();
        let task = broken.add(&account, Notice::AccountReset, b"one").await.unwrap().unwrap();
        broken.deliver(&account, task).await;
        assert!(broken.add(&account, Notice::AccountReset, b"one").await.unwrap().is_none(), "it is due already");
        clock.advance(86_400);
        assert!(broken.finish_due(&account, false).await.is_err());

        let outbox = folder.path().join("outbox");
        let working = notices(&accounts, Mailer::outbox(outbox.clone()).unwrap());
        assert_eq!(working.finish_due(&account, false).await.unwrap(), 0, "it pauses after a failure");
        clock.advance(86_400);
        assert_eq!(working.finish_due(&account, false).await.unwrap(), 1);
        assert_eq!(working.finish_due(&account, false).await.unwrap(), 0);
        assert_eq!(count(&outbox), 1);
    }

    #[tokio::test]
    async fn a_start_delivers_what_a_dead_process_had_claimed() {
        let clock = Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)));
        let (accounts, account) = alice(&clock).await;
        let folder = tempfile::tempdir().unwrap();
        let outbox = folder.path().join("outbox");
        let notices = notices(&accounts, Mailer::outbox(outbox.clone()).unwrap());
        // The notice was added, and then the process died.
        notices.add(&account, Notice::AppPasswordEnded, b"id").await.unwrap().unwrap();
        assert_eq!(notices.finish_due(&account, false).await.unwrap(), 0);
        assert_eq!(notices.finish_due(&account, true).await.unwrap(), 1);
        assert_eq!(count(&outbox), 1);
    }

    #[tokio::test]
    async fn undeliverable_notices_keep_nothing_from_being_done() {
        let clock = Arc::new(ManualClock::new(UnixSeconds::EPOCH.plus(1_700_000_000)));
        let (accounts, account) = alice(&clock).await;
        let notices = notices(&accounts, Mailer::Off);
        for reset in 0..200_u8 {
            notices.add(&account, Notice::AccountReset, &[reset]).await.unwrap().unwrap();
        }
        let pending = accounts.driver().observe(&(&account).into(), &[DUE.name()], due::pending).await.unwrap();
        let kept: Vec<_> = pending.into_iter().flat_map(|task| task.detail).collect();
        assert_eq!(kept, [196, 197, 198, 199]);
        // Other work fills the list.
        let fill = |draft: &mut Draft<'_>| {
            for _ in kept.len()..due::MAX_DUE {
                due::add(draft, NewTask::new("other/work", Vec::new()))?;
            }
            Ok(())
        };
        accounts.driver().transact(&(&account).into(), &[DUE.name()], fill).await.unwrap();
        for notice in Notice::ALL {
            for occasion in 0..20_u8 {
                notices.add(&account, notice, &[occasion]).await.unwrap().unwrap();
            }
        }
    }
}
