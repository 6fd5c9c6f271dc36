//! The ways in for an owner whom others have shut out: the mail with its link, and what the host and its operator may do.

use std::net::IpAddr;

use keywright_confirm::policy::{MAILED_CODE, MAILED_GENERATION};
use keywright_core::{
    AccountId, Attempt, ClientAdmission, ClientTag, Generation, Refusal, SecretKind, SecretString, UnixSeconds,
};
use keywright_store::due::{self, DUE, DueTask, NewTask};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, StepError, TransactError};
use keywright_twofactor::{Method, StepUp};
use keywright_wire::Network;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::caller::{Caller, login_credential};
use crate::host::{Host, LoginTokenId};
use crate::service::RocketChat;

/// The kind of secret that a login password is, in the account's guess ledger. Wires that check the same password charge
/// the same entry.
pub const LOGIN_PASSWORD: SecretKind = SecretKind::new("login-password");

/// The host's work: mail the owner a link.
pub(crate) const UNLOCK_MAIL: &str = "rocketchat/unlock-mail";

/// A secret of this wire that others' guesses can shut. Time-based codes and recovery codes are those of
/// [`TwoFactor`](keywright_twofactor::TwoFactor), which has ways in of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GuessedSecret {
    /// The login password, which the host checks.
    LoginPassword,
    /// Mailed codes.
    MailedCode,
}

impl GuessedSecret {
    const fn kind(self) -> (SecretKind, Generation) {
        match self {
            Self::LoginPassword => (LOGIN_PASSWORD, Generation::HOST),
            Self::MailedCode => (MAILED_CODE, MAILED_GENERATION),
        }
    }

    /// How it is proven.
    const fn method(self) -> Method {
        match self {
            Self::LoginPassword => Method::Password,
            Self::MailedCode => Method::Mailed,
        }
    }
}

/// A mail to an owner at whose login password others guess.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnlockMail {
    /// What the link must carry back to [`RocketChat::admit_by_mail`]: lower-case hex.
    pub token: SecretString,
    /// Until when the link works. Once it was used, it works for no more than another day.
    pub until: UnixSeconds,
    /// How many wrong guesses unknown clients have made since the last right one.
    pub wrong_guesses: u16,
    /// When the first of them was made.
    pub since: Option<UnixSeconds>,
    /// The login that was refused. It may be the attacker's: the page must show which one it is before it offers to let it in.
    pub refused: LoginTokenId,
    /// The network that was refused, if [`Host::client_address`] knows it: an IPv4 address, or an IPv6 network.
    pub refused_network: Option<String>,
}

/// Whom the link of a mail lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two that the page can offer")]
pub enum MailAdmits {
    /// Every login that calls from the network of this address, from which the link was opened. It needs a host that
    /// knows its clients' addresses ([`Host::client_address`]).
    Address(IpAddr),
    /// The login whose refusal caused the mail ([`UnlockMail::refused`]).
    Refused,
}

/// What a due mail keeps.
#[derive(Serialize, Deserialize)]
struct Note {
    ticket: [u8; 16],
    refused: ClientTag,
    login: String,
    network: Option<String>,
    wrong_guesses: u16,
    since: Option<UnixSeconds>,
}

/// Makes the owner's mail due, in the commit of a refusal, if one may go now. Returns whether it did: who sends it is decided
/// after the commit. A mail that finds no room among the host's work is left out; the next refusal asks again.
pub(crate) fn note_refusal(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    caller: &Caller,
) -> Result<bool, StepError> {
    match draft.judge(|draft| mail(draft, attempt, refusal, caller)) {
        Ok(mailed) => draft.stage(mailed),
        Err(StepError::TooMuchDue) => Ok(false),
        Err(error) => Err(error),
    }
}

fn mail(draft: &mut Draft<'_>, attempt: &Attempt, refusal: &Refusal, caller: &Caller) -> Result<bool, StepError> {
    let Some(refused) = attempt.client.tag() else { return Ok(false) };
    let Some(mail) = guess::unlock_mail(draft, attempt, refusal)? else { return Ok(false) };
    let shut = draft.read(LEDGER)?.and_then(|ledger| ledger.shut_out(attempt));
    let note = Note {
        ticket: mail.ticket,
        refused,
        login: caller.token.0.clone(),
        network: caller.network.map(|network| network.to_string()),
        wrong_guesses: shut.map_or(0, |shut| shut.wrong_guesses),
        since: shut.map(|shut| shut.since),
    };
    let detail = serde_json::to_vec(&note).map_err(|_| StepError::Encode(DUE.name()))?;
    // As long as its link works. Anybody with a login can cause the mail.
    let task = due::add(draft, NewTask::new(UNLOCK_MAIL, detail).until(mail.until).evictable())?;
    // Nobody is at it: the host's sweep may send it at once.
    due::put_back(draft, &[task])?;
    Ok(true)
}

impl UnlockMail {
    /// The mail of a due task; `None` if its detail is none of ours.
    pub(crate) fn of(account: &AccountId, task: &DueTask) -> Option<Self> {
        let note: Note = serde_json::from_slice(&task.detail).ok()?;
        Some(Self {
            token: token(account, &note),
            until: task.until?,
            wrong_guesses: note.wrong_guesses,
            since: note.since,
            refused: LoginTokenId(note.login),
            refused_network: note.network,
        })
    }
}

/// What a link carries: the ticket, the login's tag, the account. Only the ticket is checked: whoever has it may let in one
/// client of the account, by whatever name.
fn token(account: &AccountId, note: &Note) -> SecretString {
    let bytes =
        Zeroizing::new([note.ticket.as_slice(), &note.refused.to_bytes(), account.as_str().as_bytes()].concat());
    SecretString::new(hex::encode(bytes.as_slice()))
}

/// What a link carries, read back.
struct Link {
    account: AccountId,
    ticket: [u8; 16],
    refused: ClientTag,
}

impl Link {
    /// Reads a token; `None` for any text that is none.
    fn parse(token: &str) -> Option<Self> {
        // An account's id is short: nothing longer is decoded.
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

/// Ways in for an owner whom others have shut out.
impl<H: Host> RocketChat<H> {
    /// Lets a client in by the link of a mail ([`Mail::ShutOut`](crate::Mail::ShutOut)): ten tries at the login password
    /// within an hour. Call it for the POST of the page's button, never for a GET: mail scanners follow links. `None` if
    /// the link's time is over.
    ///
    /// # Errors
    /// [`TransactError`]; nobody is let in.
    pub async fn admit_by_mail(
        &self,
        token: &str,
        admits: MailAdmits,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let Some(link) = Link::parse(token) else { return Ok(None) };
        let tag = match admits {
            MailAdmits::Address(address) => self.network_tag(&link.account, address),
            MailAdmits::Refused => link.refused,
        };
        let step = |draft: &mut Draft<'_>| {
            match draft.root() {
                Err(StepError::NoAccount) => return Ok(None),
                root => root?,
            };
            guess::unlock_mail_clicked(draft, LOGIN_PASSWORD, Generation::HOST, link.ticket, tag)
        };
        self.on_ledger(&link.account, step).await
    }

    /// Lets one client of the account in, ten tries within an hour, by a fresh proof from a session of the account: a
    /// step-up for [`ADMIT_CLIENT`](keywright_twofactor::ADMIT_CLIENT). At the login password every method will do, at
    /// mailed codes a mailed code or a stronger one. `None` if the proof does not allow it.
    ///
    /// # Errors
    /// [`TransactError`]; nobody is let in.
    pub async fn admit_client(
        &self,
        proof: StepUp,
        secret: GuessedSecret,
        client: ClientTag,
    ) -> Result<Option<ClientAdmission>, TransactError> {
        let (kind, generation) = secret.kind();
        let step = |draft: &mut Draft<'_>| {
            if !proof.admits_in(draft, secret.method())? {
                return Ok(None);
            }
            guess::admit_client(draft, kind, generation, client).map(Some)
        };
        self.on_ledger(proof.account(), step).await
    }

    /// Lifts the waits and limits of a secret: the operator's act. Returns whether there was anything to lift.
    ///
    /// # Errors
    /// [`TransactError`]; nothing is lifted.
    pub async fn unlock(&self, account: &AccountId, secret: GuessedSecret) -> Result<bool, TransactError> {
        let (kind, generation) = secret.kind();
        self.on_ledger(account, |draft| guess::unlock(draft, kind, generation)).await
    }

    /// Notes that the host has changed an account's login password: its wrong guesses end with the old one. Those who were
    /// known stay known, and those in `changed_by` become known: the login that made the change.
    ///
    /// # Errors
    /// [`TransactError`]; call it again.
    pub async fn password_changed(&self, account: &AccountId, changed_by: &[ClientTag]) -> Result<(), TransactError> {
        let host = Generation::HOST;
        self.on_ledger(account, |draft| guess::renew(draft, LOGIN_PASSWORD, host, host, changed_by)).await
    }

    /// Returns the name by which the guess ledger knows a login.
    #[must_use]
    pub fn login_tag(&self, account: &AccountId, login: &LoginTokenId) -> ClientTag {
        self.parts.driver.client_tag(account, &login_credential(login))
    }

    /// Returns the name by which the guess ledger knows the network of an address.
    #[must_use]
    pub fn network_tag(&self, account: &AccountId, address: IpAddr) -> ClientTag {
        self.parts.driver.client_tag(account, &Network::of(address).credential())
    }

    async fn on_ledger<T: Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T, TransactError> {
        self.parts.driver.transact(&account.into(), &[LEDGER.name()], step).await
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
            let note = Note { ticket, refused, login: "id".into(), network: None, wrong_guesses: 7, since: None };
            let link = Link::parse(token(&account, &note).expose()).unwrap();
            prop_assert_eq!((link.account, link.ticket, link.refused), (account, ticket, refused));
            prop_assert!(Link::parse(&junk).is_none_or(|link| link.account.as_str().len() < junk.len()));
        }
    }
}
