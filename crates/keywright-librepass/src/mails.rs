//! Mails: due work of the commit that causes them, done at once after it and again some time after a failure, for a day.

use std::fmt;

use keywright_core::AccountId;
use keywright_store::due::{self, DueTask, DueWork, MAX_DUE};
use keywright_store::{Draft, Partition, Slot, StepError, TransactError};
use keywright_wire::{DueError, HostError};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::host::Host;
use crate::policy::LINK_SECONDS;
use crate::service::Parts;

/// The one kind of task. Its detail is a [`Letter`]; the record it lies in is sealed.
const TASK: &str = "librepass/mail";

/// A mail to one person. [`subject`](Message::subject) and [`text`](Message::text) are ready to be sent as they are.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Mail<'a> {
    /// The one recipient: a single address, without anything that a mail server could take for two.
    pub to: &'a str,
    /// What it says.
    pub message: Message<'a>,
}

impl fmt::Debug for Mail<'_> {
    /// Without the address and what is written to it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mail(..)")
    }
}

/// What a mail says.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Message<'a> {
    /// Asks a new user to open a link. Valid for 24 hours.
    VerifyAddress {
        /// Opens once.
        link: &'a str,
    },
    /// Asks the new address of a user to open a link. Valid for 24 hours.
    VerifyNewAddress {
        /// Opens once.
        link: &'a str,
    },
    /// Tells the old address that a change was asked for. It carries no link (`decisions.md` 35b).
    AddressChangeAsked,
    /// Tells the old address that it is the user's no more.
    AddressChanged,
    /// Tells that the password was changed.
    PasswordChanged,
    /// Tells that a second factor was set up, or took the place of another.
    SecondFactorSet,
    /// The hint that somebody asked for.
    PasswordHint {
        /// As the user wrote it; `None` if there is none.
        hint: Option<&'a str>,
    },
    /// Tells that the account and everything in it is gone.
    AccountDeleted,
}

impl Message<'_> {
    /// The subject, one line.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        match self {
            Self::VerifyAddress { .. } => "Verify your e-mail address",
            Self::VerifyNewAddress { .. } => "Verify your new e-mail address",
            Self::AddressChangeAsked => "A change of your e-mail address was asked for",
            Self::AddressChanged => "Your e-mail address was changed",
            Self::PasswordChanged => "Your password was changed",
            Self::SecondFactorSet => "Two-factor authentication was set up",
            Self::PasswordHint { .. } => "Your password hint",
            Self::AccountDeleted => "Your account was deleted",
        }
    }

    /// The text, with line feeds; a link stands whole on a line of its own.
    #[must_use]
    pub fn text(&self) -> String {
        const NOT_YOU: &str = "If it was not you, somebody knows your password: change it now.\n";
        match self {
            Self::VerifyAddress { link } => {
                format!("Open this link to verify your address. It is valid for 24 hours.\n\n{link}\n")
            }
            Self::VerifyNewAddress { link } => format!(
                "Open this link to make this the address of your account. It is valid for 24 hours. All devices are \
                 logged out then.\n\n{link}\n"
            ),
            Self::AddressChangeAsked => {
                format!("Somebody asked to change the e-mail address of your account.\n\n{NOT_YOU}")
            }
            Self::AddressChanged => format!("This is no longer the e-mail address of your account.\n\n{NOT_YOU}"),
            Self::PasswordChanged => format!("The password of your account was changed.\n\n{NOT_YOU}"),
            Self::SecondFactorSet => {
                format!("Two-factor authentication was set up for your account.\n\n{NOT_YOU}")
            }
            Self::PasswordHint { hint: Some(hint) } => format!("The hint that you have kept is:\n\n{hint}\n"),
            Self::PasswordHint { hint: None } => "You have kept no hint.\n".into(),
            Self::AccountDeleted => "Your account and all that was stored in it are gone.\n".into(),
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?})", self.subject())
    }
}

/// A mail that waits in a record.
#[derive(Serialize, Deserialize)]
pub(crate) struct Letter {
    to: String,
    kind: Kind,
}

/// What it says, owned.
#[derive(Serialize, Deserialize)]
pub(crate) enum Kind {
    VerifyAddress { link: String },
    VerifyNewAddress { link: String },
    AddressChangeAsked,
    AddressChanged,
    PasswordChanged,
    SecondFactorSet,
    PasswordHint { hint: Option<String> },
    AccountDeleted,
}

impl Letter {
    fn mail(&self) -> Mail<'_> {
        let message = match &self.kind {
            Kind::VerifyAddress { link } => Message::VerifyAddress { link },
            Kind::VerifyNewAddress { link } => Message::VerifyNewAddress { link },
            Kind::AddressChangeAsked => Message::AddressChangeAsked,
            Kind::AddressChanged => Message::AddressChanged,
            Kind::PasswordChanged => Message::PasswordChanged,
            Kind::SecondFactorSet => Message::SecondFactorSet,
            Kind::PasswordHint { hint } => Message::PasswordHint { hint: hint.as_deref() },
            Kind::AccountDeleted => Message::AccountDeleted,
        };
        Mail { to: &self.to, message }
    }
}

/// Makes a mail due, claimed by whoever commits this draft: hand the task to [`Parts::send`] after the commit.
pub(crate) fn add_in(draft: &mut Draft<'_>, to: &Address, kind: Kind) -> Result<DueTask, StepError> {
    let letter = Letter { to: to.as_str().to_owned(), kind };
    let detail = serde_json::to_vec(&letter).map_err(|_| StepError::Encode(Slot::Due))?;
    // A mail server that has been failing for long keeps nobody from changing a password: the oldest letters go.
    let waiting = due::pending(draft)?;
    let surplus = waiting.len().saturating_add(1).saturating_sub(MAX_DUE);
    for oldest in waiting.iter().filter(|task| is_ours(&task.name)).take(surplus) {
        due::complete(draft, oldest)?;
    }
    due::add(draft, TASK, detail)
}

/// Whether a task is ours. Other parts' are theirs: claiming one would keep it from them.
fn is_ours(name: &str) -> bool {
    name == TASK
}

/// Whether there is a mail that nobody is at.
pub(crate) fn owes(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    due::has_free(draft, is_ours)
}

impl<H: Host> Parts<H> {
    /// Sends claimed mails, and strikes them. One that fails stays due, and claimed: nobody tries it again before
    /// [`CLAIM_LASTS`](due::CLAIM_LASTS) seconds have passed. The act that caused it is done either way. Call it without a turn: a slow mail
    /// server holds up nobody else.
    pub(crate) async fn send(&self, account: &AccountId, tasks: &[DueTask]) {
        // One by one: a mail that cannot be struck keeps no other back.
        for task in tasks {
            if let Err(DueError::Transact(error)) = self.post(account, std::slice::from_ref(task)).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a mail is not struck from what is due");
            }
        }
    }

    /// Claims what is due and free, and sends it. Gives how many went out.
    pub(crate) async fn finish_mails(&self, account: &AccountId) -> Result<usize, DueError> {
        let tasks = DueWork::unheld(&self.driver, &Partition::account(account)).claim(is_ours).await?;
        self.post(account, &tasks).await
    }

    /// Sends claimed mails; one that is older than its link could be is struck unsent. All are tried, then the last
    /// failure is told.
    async fn post(&self, account: &AccountId, tasks: &[DueTask]) -> Result<usize, DueError> {
        let now = self.driver.clock().now().map_err(TransactError::from)?;
        let (mut sent, mut failure) = (0_usize, None);
        for task in tasks {
            if now.since(task.since) < LINK_SECONDS {
                if let Err(error) = self.deliver(task).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a mail was not sent and stays due");
                    failure = Some(error);
                    continue;
                }
                sent = sent.saturating_add(1);
            }
            let strike = |draft: &mut Draft<'_>| due::complete(draft, task);
            self.driver.transact(&Partition::account(account), &[Slot::Due], strike).await?;
        }
        failure.map_or(Ok(sent), |error| Err(error.into()))
    }

    async fn deliver(&self, task: &DueTask) -> Result<(), HostError> {
        let letter: Letter = serde_json::from_slice(&task.detail).map_err(|_| HostError::new("no letter of ours"))?;
        self.host.mail(letter.mail()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stands_whole_on_a_line_of_its_own() {
        let link = "https://pass.example/api/auth/verifyEmail?user=u&code=c";
        for message in [Message::VerifyAddress { link }, Message::VerifyNewAddress { link }] {
            assert_eq!(message.text().lines().filter(|line| *line == link).count(), 1);
        }
        for message in [
            Message::AddressChangeAsked,
            Message::AddressChanged,
            Message::PasswordChanged,
            Message::SecondFactorSet,
            Message::PasswordHint { hint: None },
            Message::AccountDeleted,
        ] {
            assert!(!message.text().contains("://"), "{message:?}");
            assert!(!message.subject().contains('\n') && message.text().ends_with('\n'));
        }
    }

    #[test]
    fn what_is_shown_of_a_mail_has_neither_address_nor_link() {
        let mail = Mail { to: "PLANTED@example.com", message: Message::VerifyAddress { link: "PLANTED" } };
        assert!(!format!("{mail:?} {:?}", mail.message).contains("PLANTED"));
    }
}
