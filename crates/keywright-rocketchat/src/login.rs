//! Log-in by name and password, and the second factor where one is enrolled (protocol §§ 11, 15).
//!
//! A name that does not exist takes the same path, on a ledger that replaces the account's: the same
//! commits, the same call of the host, the same waits and answers.

use keywright_confirm::MailedCode;
use keywright_core::{Attempt, Event, Generation, PendingGuess, SecretString};
use keywright_store::due::DUE;
use keywright_store::guess::{self, LEDGER};
use keywright_store::{
    Draft, Epochs, Partition, Receipt, Release, SlotName, StepError, Tentative, TransactError, WrongReceipt,
};
use keywright_twofactor::events::STEP_UP_GRANTED;
use keywright_wire::queue::{Requester, withdraw, withdraw_if_busy};
use keywright_wire::{Network, frame};

use crate::act::Act;
use crate::answer::Failure;
use crate::context::{Context, Prover, Source, has_due};
use crate::error::{ApiError, Complaint, Details, Wait};
use crate::events::LOGGED_IN;
use crate::factors;
use crate::host::{Endpoint, Host};
use crate::issue::{Issued, issue};
use crate::method::{Demand, Factor};
use crate::params::{LoginName, LoginPassword, Target};
use crate::second_factor::{Check, Checked, send_code};
use crate::unlock::{self, LOGIN_PASSWORD};
use crate::user::User;

/// A log-in that is under way.
pub(crate) struct LogIn<'a, H> {
    pub(crate) cx: &'a Context<H>,
    pub(crate) network: Option<Network>,
    pub(crate) name: &'a LoginName,
    pub(crate) password: &'a LoginPassword,
    /// The code of the body or of the header.
    pub(crate) code: Option<&'a SecretString>,
    /// The method that the client prefers.
    pub(crate) method: Option<Factor>,
}

/// The decision about a right or wrong password. Inside the step the grant and the mailed code are
/// tentative.
enum Ruling<G = Tentative<Epochs>, M = Tentative<MailedCode>> {
    Granted(G),
    Refused(ApiError),
    Mailed {
        mail: M,
        complaint: Complaint,
        details: Details,
    },
    /// Logins of the account are being ended.
    Busy,
}

impl<G: Release, M: Release> Release for Ruling<G, M> {
    type Released = Ruling<G::Released, M::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Granted(grant) => Ruling::Granted(grant.release(receipt)?),
            Self::Refused(error) => Ruling::Refused(error),
            Self::Mailed { mail, complaint, details } => {
                Ruling::Mailed { mail: mail.release(receipt)?, complaint, details }
            }
            Self::Busy => Ruling::Busy,
        })
    }
}

/// The beginning of a guess at the password.
enum Begun {
    Guess(PendingGuess),
    /// Guesses that the host has not checked yet are in the way.
    Busy,
    Refused {
        wait: Wait,
        is_mail_due: bool,
    },
}

impl<H: Host> LogIn<'_, H> {
    pub(crate) async fn run(&self) -> Result<Issued, Failure> {
        let cx = self.cx;
        let user = cx.host.find_user(self.name.named()).await?;
        let partition = user.as_ref().map_or_else(|| self.decoy(), |user| Partition::account(&user.account));
        let is_admitted = self.admitted(&partition).await?;
        let pending = self.begin(&partition, user.as_ref()).await?;
        let requester = Requester::of_guess(partition, &pending).with_admitted(is_admitted);
        let account = user.as_ref().map(|user| &user.account);
        let right = match cx.host.check_password(account, self.password.sent(), &requester).await {
            Ok(right) => right,
            Err(error) => {
                withdraw_if_busy(&cx.driver, &requester, &pending, &error).await;
                return Err(error.into());
            }
        };
        let known = user.as_ref().filter(|user| right && user.has_password);
        let slots = slots();
        let settle = |draft: &mut Draft<'_>| self.settle(draft, &pending, known);
        let settled = match cx.driver.run(requester.partition(), &slots, settle).await {
            Ok(settled) => settled,
            Err(error) => {
                // The answer tells nothing about the password, and a right one is no wrong guess.
                if known.is_some() && error.is_busy() {
                    withdraw(&cx.driver, &requester, &pending).await;
                }
                return Err(error.into());
            }
        };
        match (settled, &user) {
            (Ruling::Granted(epochs), Some(user)) => issue(cx, &user.account, epochs, ApiError::login_refused).await,
            (Ruling::Refused(error), _) => Err(error.into()),
            (Ruling::Mailed { mail, complaint, details }, Some(user)) => {
                send_code(cx, user, &mail, None).await?;
                Err(ApiError::login_second_factor(complaint, &details).into())
            }
            (Ruling::Busy, Some(user)) => {
                frame::finish_needed(&cx.driver, &user.account, cx).await?;
                Err(TransactError::Busy.into())
            }
            // Nothing is granted to nobody.
            (_, None) => Err(ApiError::login_refused().into()),
        }
    }

    /// Has the host admit the guess before anything is committed for it. What the ledger will refuse
    /// anyway is left to it, and not admitted.
    async fn admitted(&self, partition: &Partition) -> Result<bool, Failure> {
        let look = |draft: &mut Draft<'_>| {
            let attempt = self.attempt(draft);
            guess::peek_standing(draft, &attempt)
        };
        // The slots that the commit will load too.
        let standing = self.cx.driver.observe(partition, &[LEDGER.name(), DUE.name()], look).await?;
        let Some(standing) = standing else { return Ok(false) };
        self.cx.host.admit_guess(&Requester::new(partition.clone(), standing))?;
        Ok(true)
    }

    fn attempt(&self, draft: &Draft<'_>) -> Attempt {
        Attempt::new(LOGIN_PASSWORD, Generation::HOST, Source::Network(self.network).client(draft))
    }

    /// Begins the guess, in a commit of its own.
    async fn begin(&self, partition: &Partition, user: Option<&User>) -> Result<PendingGuess, Failure> {
        let slots = [LEDGER.name(), DUE.name()];
        let begun = self.cx.driver.transact(partition, &slots, |draft| {
            let attempt = self.attempt(draft);
            let refusal = match guess::begin(draft, &attempt)? {
                Ok(pending) => return Ok(Begun::Guess(pending)),
                Err(refusal) if refusal.is_unjudged() => return Ok(Begun::Busy),
                Err(refusal) => refusal,
            };
            let is_mail_due = unlock::note_refusal(draft, &attempt, &refusal, None, self.network)?;
            Ok(Begun::Refused { wait: Wait::from(draft.now(), refusal.retry_after()), is_mail_due })
        });
        match begun.await? {
            Begun::Guess(pending) => Ok(pending),
            Begun::Busy => Err(TransactError::Busy.into()),
            Begun::Refused { wait, is_mail_due } => {
                // The mail is left to the host's sweep, so that the refusal takes no longer where
                // there is an owner to be mailed.
                if let Some(user) = user.filter(|_| is_mail_due) {
                    let _sent_later = self.cx.host.mails_due(&user.account);
                }
                Err(ApiError::too_many(wait).into())
            }
        }
    }

    /// Records the host's verdict, and checks the second factor of a user whose password was right.
    /// All of it is one commit.
    fn settle(&self, draft: &mut Draft<'_>, pending: &PendingGuess, known: Option<&User>) -> Result<Ruling, StepError> {
        let Some(user) = known else {
            guess::settle_wrong(draft, pending)?;
            return Ok(Ruling::Refused(ApiError::login_refused()));
        };
        // A verdict that comes too late concerns a guess that was already charged, or a password
        // that has been replaced.
        if !guess::settle_right(draft, pending)? {
            return Ok(Ruling::Refused(ApiError::login_refused()));
        }
        if has_due(draft)? {
            return Ok(Ruling::Busy);
        }
        if user.username.is_none() {
            return Ok(Ruling::Refused(ApiError::no_username()));
        }
        let enrolment = factors::enrolment(self.cx, draft, user, Demand::Offered)?;
        let Some(factor) = enrolment.of_login(self.cx.policy.enabled, self.method) else {
            return grant(draft, None);
        };
        let act = Act::new(Endpoint::Login, Target::Own);
        let check = Check { cx: self.cx, prover: self.prover(user), act: &act, code: self.code };
        let checked = match factor {
            Factor::Email => check.by_email(draft, &enrolment)?,
            Factor::Totp | Factor::Password => check.by_totp(draft, &enrolment)?,
        };
        Ok(match checked {
            Checked::Passed(proof) => return grant(draft, Some(proof)),
            Checked::Denied(complaint, details) => Ruling::Refused(ApiError::login_second_factor(complaint, &details)),
            Checked::Mailed { mail, complaint, details } => Ruling::Mailed { mail, complaint, details },
            Checked::Wait(seconds) => Ruling::Refused(ApiError::too_many(Wait::from(draft.now(), seconds))),
        })
    }

    /// A mailed code of a log-in is bound to the network, where the host knows one: who else has the
    /// password must not use up its tries.
    fn prover<'c>(&self, user: &'c User) -> Prover<'c> {
        let network = self.network.map(Network::credential).unwrap_or_default();
        let session = self.cx.session_of(user, b"rocketchat-login", &network);
        Prover { user, session, source: Source::Network(self.network) }
    }

    /// Returns the ledger that replaces that of an account. A name may have an at sign, but what is
    /// either a name or an address is looked up as an address first.
    fn decoy(&self) -> Partition {
        let decoys = &self.cx.decoys;
        match self.name {
            LoginName::Username(name) => decoys.of_name(name),
            LoginName::Email(address) => decoys.of_address(address),
            LoginName::Either(text) if text.contains('@') => decoys.of_address(text),
            LoginName::Either(text) => decoys.of_name(text),
        }
    }
}

fn slots() -> Vec<SlotName> {
    [keywright_twofactor::SLOTS, keywright_confirm::SLOTS, &[LEDGER.name(), DUE.name()]].concat()
}

/// Lets the user in, in the epochs of this commit.
fn grant(draft: &mut Draft<'_>, proof: Option<Tentative<()>>) -> Result<Ruling, StepError> {
    if proof.is_some() {
        draft.event(Event::new(&STEP_UP_GRANTED).with("action", Act::purpose(Endpoint::Login).as_str()));
    }
    draft.event(&LOGGED_IN);
    let epochs = draft.root()?.epochs();
    let proof = proof.unwrap_or_else(|| draft.tentative(()));
    Ok(Ruling::Granted(proof.map(|()| epochs)))
}
