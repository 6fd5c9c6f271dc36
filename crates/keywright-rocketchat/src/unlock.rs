//! The ways in for an owner whom other clients have locked out: the mail with its link, and what
//! the host and its operator may do.

use std::net::IpAddr;

use keywright_confirm::policy::{MAILED_CODE, MAILED_GENERATION};
use keywright_core::{AccountId, Attempt, ClientTag, Generation, Refusal, SecretKind, SecretString, UnixSeconds};
use keywright_store::due::{self, DUE, DueTask, NewTask};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, StepError};
use keywright_twofactor::Method;
use keywright_wire::Network;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::host::UnlockMail;
use crate::user::LoginTokenId;

/// The login password's kind of secret in the account's guess ledger. Protocols that check the same
/// password charge the same entry.
pub const LOGIN_PASSWORD: SecretKind = SecretKind::new("login-password");

/// The host's task of mailing the owner a link.
pub(crate) const UNLOCK_MAIL: &str = "rocketchat/unlock-mail";

/// A secret of this protocol that other clients' guesses can lock. Time-based codes and recovery
/// codes are those of [`TwoFactor`](keywright_twofactor::TwoFactor), which has ways in of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuessedSecret {
    /// The login password, which the host checks.
    LoginPassword,
    /// Mailed codes.
    MailedCode,
}

impl GuessedSecret {
    pub(crate) const fn kind(self) -> (SecretKind, Generation) {
        match self {
            Self::LoginPassword => (LOGIN_PASSWORD, Generation::HOST),
            Self::MailedCode => (MAILED_CODE, MAILED_GENERATION),
        }
    }

    /// Returns the method that proves the secret.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::LoginPassword => Method::Password,
            Self::MailedCode => Method::Mailed,
        }
    }
}

/// The client that the link of a mail admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two that the page can offer")]
pub enum MailAdmits {
    /// Every login that calls from the network of this address, from which the link was opened. It
    /// requires a host that knows its clients' addresses
    /// ([`Host::client_address`](crate::Host::client_address)).
    Address(IpAddr),
    /// The login whose refusal caused the mail ([`UnlockMail::refused`]).
    Refused,
}

/// The stored detail of a due mail.
#[derive(Serialize, Deserialize)]
struct Note {
    ticket: [u8; 16],
    refused: ClientTag,
    login: Option<String>,
    network: Option<String>,
    wrong_guesses: u16,
    since: Option<UnixSeconds>,
}

/// Makes the owner's mail due, in the commit of a refusal, if one may be sent now. Returns whether
/// it did: how it is sent is decided after the commit. A mail that finds no room among the host's
/// work is left out; the next refusal tries again.
pub(crate) fn note_refusal(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    login: Option<&LoginTokenId>,
    network: Option<Network>,
) -> Result<bool, StepError> {
    match draft.judge(|draft| mail(draft, attempt, refusal, login, network)) {
        Ok(mailed) => draft.stage(mailed),
        Err(StepError::TooMuchDue) => Ok(false),
        Err(error) => Err(error),
    }
}

fn mail(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    login: Option<&LoginTokenId>,
    network: Option<Network>,
) -> Result<bool, StepError> {
    let Some(refused) = attempt.client.tag() else { return Ok(false) };
    let Some(mail) = guess::unlock_mail(draft, attempt, refusal)? else { return Ok(false) };
    let shut = draft.read(LEDGER)?.and_then(|ledger| ledger.lockout_summary(attempt));
    let note = Note {
        ticket: mail.ticket,
        refused,
        login: login.map(|login| login.0.clone()),
        network: network.map(|network| network.to_string()),
        wrong_guesses: shut.map_or(0, |shut| shut.wrong_guesses),
        since: shut.map(|shut| shut.since),
    };
    let detail = serde_json::to_vec(&note).map_err(|_| StepError::Encode(DUE.name()))?;
    // The mail stays due for as long as its link works. It is evictable because anybody with a
    // login can cause it.
    let task = due::add(draft, NewTask::new(UNLOCK_MAIL, detail).until(mail.until).evictable())?;
    // The task is left unclaimed, so the host's sweep may send the mail immediately.
    due::put_back(draft, &[task])?;
    Ok(true)
}

impl UnlockMail {
    /// Returns the mail of a due task, or `None` if its detail was not written by this crate.
    pub(crate) fn of(account: &AccountId, task: &DueTask) -> Option<Self> {
        let note: Note = serde_json::from_slice(&task.detail).ok()?;
        Some(Self {
            token: token(account, &note),
            until: task.until?,
            wrong_guesses: note.wrong_guesses,
            since: note.since,
            refused: note.login.map(LoginTokenId),
            refused_network: note.network,
        })
    }
}

/// Encodes the ticket, the login's tag and the account. Only the ticket is checked: its holder may
/// admit one client of the account, by whatever name.
fn token(account: &AccountId, note: &Note) -> SecretString {
    let bytes =
        Zeroizing::new([note.ticket.as_slice(), &note.refused.to_bytes(), account.as_str().as_bytes()].concat());
    SecretString::new(hex::encode(bytes.as_slice()))
}

/// The decoded contents of a link.
pub(crate) struct Link {
    pub(crate) account: AccountId,
    pub(crate) ticket: [u8; 16],
    pub(crate) refused: ClientTag,
}

impl Link {
    /// Parses a token; returns `None` for any other string.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        // An account's id is short, so nothing longer is decoded.
        if token.len() > 512 || token.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let bytes = Zeroizing::new(hex::decode(token).ok()?);
        let (ticket, rest) = bytes.split_first_chunk::<16>()?;
        let (refused, account) = rest.split_first_chunk::<16>()?;
        let account = AccountId::new(std::str::from_utf8(account).ok()?).ok()?;
        Some(Self { account, ticket: *ticket, refused: ClientTag::from_bytes(*refused) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back_and_any_other_text_is_none_or_whole(
            ticket in any::<[u8; 16]>(), tag in any::<[u8; 16]>(), junk in "[0-9a-zA-Z]{0,140}",
        ) {
            let account = AccountId::new("user-1").unwrap();
            let refused = ClientTag::from_bytes(tag);
            let note = Note { ticket, refused, login: Some("id".into()), network: None, wrong_guesses: 7, since: None };
            let link = Link::parse(token(&account, &note).expose()).unwrap();
            prop_assert_eq!((link.account, link.ticket, link.refused), (account, ticket, refused));
            prop_assert!(Link::parse(&junk).is_none_or(|link| link.account.as_str().len() < junk.len()));
        }
    }
}
