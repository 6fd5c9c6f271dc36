//! The ways in for an owner whom other clients have locked out: the mail with its link, and what a
//! session or an operator may do.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_challenge::{CHALLENGE_SECRET, ChallengeSteps};
use keywright_core::{
    AccountId, Attempt, Client, ClientAdmission, ClientTag, Generation, Refusal, SecretKind, SecretString, UnixSeconds,
};
use keywright_store::due::{self, DUE, DueList, DueTask, NewTask};
use keywright_store::{Draft, StepError, guess};
use keywright_twofactor::{Method, StepUp};
use keywright_wire::Network;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The login password's kind of secret in the account's guess ledger. Protocols that check the same
/// password charge the same entry.
pub const LOGIN_PASSWORD: SecretKind = SecretKind::new("login-password");

/// The host's task of mailing the owner a link.
pub(crate) const UNLOCK_MAIL: &str = "nextcloud/unlock-mail";

/// A secret of this protocol that other clients' guesses can lock, and that a mail can open. The
/// second factors are those of `keywright-twofactor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum GuessedSecret {
    /// The login password, which the host checks.
    LoginPassword,
    /// The challenge: the passphrase of the client-side encryption.
    Challenge,
}

impl GuessedSecret {
    fn of(kind: SecretKind) -> Option<Self> {
        [Self::LoginPassword, Self::Challenge].into_iter().find(|secret| secret.kind() == kind)
    }

    const fn kind(self) -> SecretKind {
        match self {
            Self::LoginPassword => LOGIN_PASSWORD,
            Self::Challenge => CHALLENGE_SECRET,
        }
    }

    /// Returns the secret's current generation in the ledger, or `None` if the account has no such
    /// secret.
    fn generation(self, draft: &mut Draft<'_>, challenges: &ChallengeSteps) -> Result<Option<Generation>, StepError> {
        match self {
            Self::LoginPassword => Ok(Some(Generation::HOST)),
            // Only the generation of the attempt counts, not its client.
            Self::Challenge => Ok(challenges.attempt_in(draft, Client::unknown())?.map(|attempt| attempt.generation)),
        }
    }
}

/// A mail to an owner whom other clients have locked out.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnlockMail {
    /// The secret that the guesses are aimed at.
    pub secret: GuessedSecret,
    /// What the link must carry back to
    /// [`Nextcloud::admit_by_mail`](crate::Nextcloud::admit_by_mail): base64url, without padding.
    pub token: SecretString,
    /// When the link expires. Once it has been used, it works for no more than another day.
    pub until: UnixSeconds,
    /// How many wrong guesses there were since the last right one.
    pub wrong_guesses: u16,
    /// When the first of them was made.
    pub since: Option<UnixSeconds>,
    /// The network that was refused, if the host has reported it: an IPv4 address, or an IPv6
    /// network. The page may offer to admit it.
    pub refused_network: Option<String>,
}

/// The client that the link of a mail admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the two that the page can offer")]
pub enum MailAdmits {
    /// The network of this address, from which the link was opened.
    Address(std::net::IpAddr),
    /// The client whose refusal caused the mail: its app token, or its network.
    Refused,
}

/// The stored detail of a due mail.
#[derive(Serialize, Deserialize)]
struct Note {
    secret: GuessedSecret,
    ticket: [u8; 16],
    refused: Option<ClientTag>,
    wrong_guesses: u16,
    since: Option<UnixSeconds>,
    network: Option<String>,
}

/// Makes the owner's mail due, in the commit of a refusal, if one may be sent now. Returns the
/// task.
///
/// A mail that finds no room among the host's work is left out; the next refusal tries again.
pub(crate) fn note_refusal(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    network: Option<Network>,
) -> Result<Option<DueTask>, StepError> {
    match draft.judge(|draft| mail(draft, attempt, refusal, network)) {
        Ok(mailed) => draft.stage(mailed),
        Err(StepError::TooMuchDue) => Ok(None),
        Err(error) => Err(error),
    }
}

fn mail(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    refusal: &Refusal,
    network: Option<Network>,
) -> Result<Option<DueTask>, StepError> {
    let Some(secret) = GuessedSecret::of(attempt.secret) else { return Ok(None) };
    let Some(mail) = guess::unlock_mail(draft, attempt, refusal)? else { return Ok(None) };
    if !draft.partition().is_account() {
        // A name that does not exist has the same commit, and no mail.
        let nothing = draft.read(DUE)?.unwrap_or_else(DueList::default);
        draft.put(DUE, &nothing)?;
        return Ok(None);
    }
    let shut = draft.read(guess::LEDGER)?.and_then(|ledger| ledger.lockout_summary(attempt));
    let note = Note {
        secret,
        ticket: mail.ticket,
        refused: attempt.client.tag(),
        wrong_guesses: shut.map_or(0, |shut| shut.wrong_guesses),
        since: shut.map(|shut| shut.since),
        network: network.map(|network| network.to_string()),
    };
    let detail = serde_json::to_vec(&note).map_err(|_| StepError::Encode(DUE.name()))?;
    // The mail stays due for as long as its link works. It is evictable because anybody can cause
    // it.
    due::add(draft, NewTask::new(UNLOCK_MAIL, detail).until(mail.until).evictable()).map(Some)
}

impl UnlockMail {
    /// Returns the mail of a due task, or `None` if its detail was not written by this crate.
    pub(crate) fn of(account: &AccountId, task: &DueTask) -> Option<Self> {
        let note: Note = serde_json::from_slice(&task.detail).ok()?;
        Some(Self {
            secret: note.secret,
            token: token(account, &note),
            until: task.until?,
            wrong_guesses: note.wrong_guesses,
            since: note.since,
            refused_network: note.network,
        })
    }
}

/// The decoded contents of a link.
pub(crate) struct Link {
    pub(crate) account: AccountId,
    secret: GuessedSecret,
    ticket: [u8; 16],
    refused: Option<ClientTag>,
}

/// Encodes one byte for the secret and for whether a client is named, the ticket, the client, and
/// the account. Only the ticket is checked: its holder may admit one client of the account, by
/// whatever name.
fn token(account: &AccountId, note: &Note) -> SecretString {
    let flags = u8::from(note.secret == GuessedSecret::Challenge) | (u8::from(note.refused.is_some()) << 1);
    let refused = note.refused.map_or([0; 16], ClientTag::to_bytes);
    let bytes = Zeroizing::new([&[flags], note.ticket.as_slice(), &refused, account.as_str().as_bytes()].concat());
    SecretString::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

impl Link {
    /// Parses a token; returns `None` for any other string.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        // An account's id is short, so nothing longer is decoded.
        if token.len() > 512 {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(token).ok()?);
        let (flags, rest) = bytes.split_first()?;
        let (ticket, rest) = rest.split_first_chunk::<16>()?;
        let (refused, account) = rest.split_first_chunk::<16>()?;
        let account = AccountId::new(std::str::from_utf8(account).ok()?).ok()?;
        if *flags > 3 {
            return None;
        }
        let secret = if flags & 1 == 0 { GuessedSecret::LoginPassword } else { GuessedSecret::Challenge };
        let refused = (flags & 2 != 0).then_some(ClientTag::from_bytes(*refused));
        Some(Self { account, secret, ticket: *ticket, refused })
    }

    /// Admits a client; returns `None` if the link has expired, or it names no client.
    pub(crate) fn click(
        &self,
        draft: &mut Draft<'_>,
        challenges: &ChallengeSteps,
        admits: MailAdmits,
    ) -> Result<Option<ClientAdmission>, StepError> {
        match draft.root() {
            Err(StepError::NoAccount) => return Ok(None),
            root => root?,
        };
        let tag = match admits {
            MailAdmits::Address(address) => Some(Network::of(address).tag(draft)),
            MailAdmits::Refused => self.refused,
        };
        let (Some(tag), Some(generation)) = (tag, self.secret.generation(draft, challenges)?) else { return Ok(None) };
        guess::unlock_mail_clicked(draft, self.secret.kind(), generation, self.ticket, tag)
    }
}

/// Admits one client by a session's proof; returns `None` if the proof does not allow it, or the
/// account has no such secret.
pub(crate) fn admit(
    draft: &mut Draft<'_>,
    challenges: &ChallengeSteps,
    proof: &StepUp,
    secret: GuessedSecret,
    client: ClientTag,
) -> Result<Option<ClientAdmission>, StepError> {
    let least = match secret {
        GuessedSecret::LoginPassword => Method::Password,
        // A client that has only the password is exactly the one that the challenge keeps out.
        GuessedSecret::Challenge => Method::Totp,
    };
    if !proof.admits_in(draft, least)? {
        return Ok(None);
    }
    let Some(generation) = secret.generation(draft, challenges)? else { return Ok(None) };
    guess::admit_client(draft, secret.kind(), generation, client).map(Some)
}

/// Lifts the waits and limits of a secret. Returns whether there was anything to lift.
pub(crate) fn unlock(
    draft: &mut Draft<'_>,
    challenges: &ChallengeSteps,
    secret: GuessedSecret,
) -> Result<bool, StepError> {
    let Some(generation) = secret.generation(draft, challenges)? else { return Ok(false) };
    guess::unlock(draft, secret.kind(), generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back_and_any_other_text_is_none_or_whole(
            ticket in any::<[u8; 16]>(), tag in any::<Option<[u8; 16]>>(), challenge in any::<bool>(), junk in "\\PC{0,80}",
        ) {
            let account = AccountId::new("user-1").unwrap();
            let secret = if challenge { GuessedSecret::Challenge } else { GuessedSecret::LoginPassword };
            let refused = tag.map(ClientTag::from_bytes);
            let note = Note { secret, ticket, refused, wrong_guesses: 7, since: None, network: None };
            let link = Link::parse(token(&account, &note).expose()).unwrap();
            prop_assert_eq!((link.account, link.secret, link.ticket, link.refused), (account, secret, ticket, refused));
            prop_assert!(Link::parse(&junk).is_none_or(|link| link.account.as_str().len() < junk.len()));
        }
    }
}
