//! Mails are due work of the commit that causes them. After it they are sent, either by the host's
//! sweep or immediately, and again after a failure, with growing pauses.
//!
//! A notice is kept until it is delivered, the last few of each kind; a letter with a link expires
//! with its link. Mails that anybody can request are dropped first where too much is due.

use std::fmt;

use keywright_core::UnixSeconds;
use keywright_store::due::{self, DUE, NewTask};
use keywright_store::{Draft, EVENTS_KEPT, StepError};
use serde::{Deserialize, Serialize};

use crate::protocol::address::Address;

/// The name of a letter's task, and the prefix of those of notices. The task's detail is a
/// [`Letter`]; the record that holds it is sealed.
const TASK: &str = "librepass/mail";

/// How many notices of one kind to one address are kept until they are delivered.
const AT_MOST: usize = 4;

/// For how long the notice of a deletion is tried, in seconds: as long as the log that is left of
/// the account is kept.
const FAREWELL_SECONDS: u64 = EVENTS_KEPT;

/// A mail to one person. [`subject`](Message::subject) and [`text`](Message::text) are ready to be
/// sent unchanged.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Mail<'a> {
    /// The one recipient: a single address, without anything that a mail server could read as two.
    pub to: &'a str,
    /// The contents.
    pub message: Message<'a>,
}

// Leaves out the address and the contents.
keywright_core::redacted_debug!(Mail<'_>);

/// The contents of a mail.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Message<'a> {
    /// Asks a new user to open a link, which is valid for 24 hours.
    VerifyAddress {
        /// The link, which opens once.
        link: &'a str,
        /// Where the registration came from: its network and the name that the client gives itself,
        /// as far as they are known. Several registrations may wait for one address, so readers
        /// must be able to recognize their own.
        origin: Option<&'a str>,
    },
    /// Asks a user at the new address to open a link, which is valid for 24 hours.
    VerifyNewAddress {
        /// The link, which opens once.
        link: &'a str,
    },
    /// Notifies the old address that a change was requested. It carries no link
    /// (`docs/decisions.md` 35b).
    AddressChangeAsked,
    /// Notifies the old address that it is no longer the user's.
    AddressChanged,
    /// Notifies the user that the password was changed.
    PasswordChanged,
    /// Notifies the user that a second factor was set up, or replaced another.
    SecondFactorSet,
    /// Contains the hint that was requested.
    PasswordHint {
        /// The hint as the user wrote it; `None` if there is none.
        hint: Option<&'a str>,
    },
    /// Notifies the user that the account and everything in it is gone.
    AccountDeleted,
    /// Notifies the owner that log-ins of unknown clients are refused, because of others' guesses,
    /// and offers a link that admits one network.
    ClientsRefused {
        /// The link to a page on which only the button acts. It works until the next such mail.
        link: &'a str,
        /// The network that was refused: an IPv4 address, or an IPv6 network.
        network: &'a str,
        /// How many wrong guesses there were since the last right one.
        wrong_guesses: u16,
        /// The period in which they were made, in hours.
        hours: u64,
    },
}

impl Message<'_> {
    /// Returns the subject, one line.
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
            Self::ClientsRefused { .. } => "Log-ins to your account are refused",
        }
    }

    /// Returns the text, with line feeds; a link is whole and on a line of its own.
    #[must_use]
    pub fn text(&self) -> String {
        const NOT_YOU: &str = "If it was not you, somebody knows your password: change it now.\n";
        match self {
            Self::VerifyAddress { link, origin } => {
                let origin = origin.map_or_else(String::new, |origin| {
                    format!("\nThe registration came from {origin}. If that was not you, do not open the link.\n")
                });
                format!("Open this link to verify your address. It is valid for 24 hours.\n\n{link}\n{origin}")
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
            Self::ClientsRefused { link, network, wrong_guesses, hours } => format!(
                "Somebody has sent {wrong_guesses} wrong passwords for your account within {hours} hours. Log-ins from \
                 places that are not known are refused for now, one from {network} among them. Devices that are logged in \
                 are not affected.\n\nIf you want to log in from a new place, open this link and confirm. Nobody can log in \
                 by the link alone.\n\n{link}\n"
            ),
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

/// The contents of a letter, owned.
#[derive(Serialize, Deserialize)]
pub(crate) enum Kind {
    VerifyAddress { link: String, origin: Option<String> },
    VerifyNewAddress { link: String },
    AddressChangeAsked,
    AddressChanged,
    PasswordChanged,
    SecondFactorSet,
    PasswordHint { hint: Option<String> },
    AccountDeleted,
    ClientsRefused { link: String, network: String, wrong_guesses: u16, hours: u64 },
}

impl Kind {
    /// Returns the name of the letter's task. Notices have one for each kind, because each kind has
    /// its own limit.
    const fn task(&self) -> &'static str {
        match self {
            Self::AddressChangeAsked => "librepass/mail/address-change-asked",
            Self::AddressChanged => "librepass/mail/address-changed",
            Self::PasswordChanged => "librepass/mail/password-changed",
            Self::SecondFactorSet => "librepass/mail/second-factor-set",
            Self::AccountDeleted => "librepass/mail/account-deleted",
            Self::VerifyAddress { .. }
            | Self::VerifyNewAddress { .. }
            | Self::PasswordHint { .. }
            | Self::ClientsRefused { .. } => TASK,
        }
    }
}

impl Letter {
    pub(crate) fn mail(&self) -> Mail<'_> {
        let message = match &self.kind {
            Kind::VerifyAddress { link, origin } => Message::VerifyAddress { link, origin: origin.as_deref() },
            Kind::VerifyNewAddress { link } => Message::VerifyNewAddress { link },
            Kind::AddressChangeAsked => Message::AddressChangeAsked,
            Kind::AddressChanged => Message::AddressChanged,
            Kind::PasswordChanged => Message::PasswordChanged,
            Kind::SecondFactorSet => Message::SecondFactorSet,
            Kind::PasswordHint { hint } => Message::PasswordHint { hint: hint.as_deref() },
            Kind::AccountDeleted => Message::AccountDeleted,
            Kind::ClientsRefused { link, network, wrong_guesses, hours } => {
                Message::ClientsRefused { link, network, wrong_guesses: *wrong_guesses, hours: *hours }
            }
        };
        Mail { to: &self.to, message }
    }
}

/// Makes a notice due, which is kept until it is delivered.
pub(crate) fn notice_in(draft: &mut Draft<'_>, to: &Address, kind: Kind) -> Result<(), StepError> {
    // The deletion of an account must not fail for want of room.
    let deleted = matches!(kind, Kind::AccountDeleted);
    // Each change of address notifies a different address, so a later notice does not replace an
    // earlier one: otherwise an attacker who took an account over could push out the notices meant
    // for its owner.
    let elsewhere = matches!(kind, Kind::AddressChanged | Kind::AddressChangeAsked);
    let notice = NewTask::new(kind.task(), detail(to, kind)?);
    let notice = if elsewhere { notice } else { notice.at_most(AT_MOST) };
    // Due work keeps the remains of an account from being swept. This account no longer has an
    // owner who could resolve a failing mail, so the notice expires.
    let end = draft.now().plus(FAREWELL_SECONDS);
    add(draft, if deleted { notice.reserved().until(end) } else { notice })
}

/// Makes a letter due that is worth nothing from `until` on.
pub(crate) fn letter_in(draft: &mut Draft<'_>, to: &Address, kind: Kind, until: UnixSeconds) -> Result<(), StepError> {
    add(draft, NewTask::new(kind.task(), detail(to, kind)?).until(until))
}

/// Like [`letter_in`], for a mail that anybody can request: where too much is due it is dropped
/// first.
pub(crate) fn asked_in(draft: &mut Draft<'_>, to: &Address, kind: Kind, until: UnixSeconds) -> Result<(), StepError> {
    add(draft, NewTask::new(kind.task(), detail(to, kind)?).until(until).evictable())
}

/// Adds an unclaimed task: how it is sent is decided after the commit.
fn add(draft: &mut Draft<'_>, new: NewTask<'_>) -> Result<(), StepError> {
    let task = due::add(draft, new)?;
    due::put_back(draft, &[task])
}

fn detail(to: &Address, kind: Kind) -> Result<Vec<u8>, StepError> {
    let letter = Letter { to: to.as_str().to_owned(), kind };
    serde_json::to_vec(&letter).map_err(|_| StepError::Encode(DUE.name()))
}

/// Whether a task is this crate's. Other protocols' tasks are left to them: claiming one would keep
/// it from its owner.
pub(crate) fn is_ours(name: &str) -> bool {
    name.strip_prefix(TASK).is_some_and(|kind| kind.is_empty() || kind.starts_with('/'))
}

/// Whether there is an unclaimed mail whose pause is over.
pub(crate) fn has_due(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    due::has_unclaimed(draft, is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stands_whole_on_a_line_of_its_own() {
        let link = "https://pass.example/api/auth/verifyEmail?user=u&code=c";
        let origin = Some("192.0.2.7 (Java/1.5.0)");
        for message in [
            Message::VerifyAddress { link, origin: None },
            Message::VerifyAddress { link, origin },
            Message::VerifyNewAddress { link },
            Message::ClientsRefused { link, network: "192.0.2.7", wrong_guesses: 50, hours: 40 },
        ] {
            assert_eq!(message.text().lines().filter(|line| *line == link).count(), 1);
            assert!(!message.subject().contains('\n') && message.text().ends_with('\n'));
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
        let mail =
            Mail { to: "PLANTED@example.com", message: Message::VerifyAddress { link: "PLANTED", origin: None } };
        assert!(!format!("{mail:?} {:?}", mail.message).contains("PLANTED"));
    }
}
