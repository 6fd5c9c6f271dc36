//! Sessions: the id that clients hold, the record behind it, and the list that bounds them.
//!
//! Id: base64url(selector 16 ‖ secret 32 ‖ tag 16). The tag is made with the index key over
//! account, credential epoch, selector and secret (`docs/decisions.md` 16). An id whose tag
//! verifies was issued by this server and is echoed, with or without a record, so a request without
//! a session costs no row. A record is made only where something must be kept, and always under a
//! **new** id: an id that a client chose never becomes a session.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use keywright_challenge::UserKey;
use keywright_core::{AccountId, Client, ClientTag, Entropy, EntropyError, SecretBytes, UnixSeconds, WrapKey};
use keywright_store::slot::Expiring;
use keywright_store::{Draft, Epochs, Full, Record, Root, SlotFamily, SlotName, StepError};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::host::Login;
use crate::policy::{CREDIT_SECONDS, CREDIT_TRIES, MAX_SESSIONS};
use crate::session::list::{Listed, NoRoom, SESSIONS, SessionList, Unproven};

pub(crate) mod list;

/// The length of an id: 64 bytes in base64url without padding.
const ID_CHARS: usize = 86;
/// The purpose of the index key that makes an id's tag.
const TAG_PURPOSE: &str = "nextcloud-session";
/// The HKDF info of the keys that are derived from an id's secret (`docs/security.md` § 10).
const KEYS_INFO: &[u8] = b"keywright/v1/session";

/// The record of each session; without it the session is void. The list decides which session is
/// removed first: an unproven one.
pub(crate) const SESSION: SlotFamily<Saved, Expiring> =
    SlotFamily::expiring("session", MAX_SESSIONS_U16, Full::evicts_unlisted(SESSIONS));

#[expect(clippy::cast_possible_truncation, reason = "sixteen")]
const MAX_SESSIONS_U16: u16 = MAX_SESSIONS as u16;

/// An id as a client sent it: well formed, not yet verified.
pub(crate) struct Presented {
    text: Zeroizing<String>,
    selector: [u8; 16],
    secret: SecretBytes<32>,
    tag: [u8; 16],
}

impl Presented {
    /// Parses an id. Anything else counts as absent, never as an error (protocol § 2.1).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != ID_CHARS {
            return None;
        }
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let (selector, rest) = bytes.split_first_chunk::<16>()?;
        let (secret, tag) = rest.split_at_checked(32)?;
        Some(Self {
            text: Zeroizing::new(text.into()),
            selector: *selector,
            secret: SecretBytes::from_slice(secret).ok()?,
            tag: tag.try_into().ok()?,
        })
    }

    /// Returns the slot of the id's record, if it has one.
    pub(crate) const fn slot(&self) -> SlotName {
        SESSION.at(self.selector).name()
    }

    /// Returns the id's selector, which is not verified.
    pub(crate) const fn selector(&self) -> &[u8; 16] {
        &self.selector
    }

    /// Returns the text as it was sent, which has only base64url characters.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the id's selector, if this server issued the id in the current epoch.
    pub(crate) fn verified(&self, draft: &Draft<'_>, account: &AccountId, epoch: u64) -> Option<&[u8; 16]> {
        self.is_ours(draft, account, epoch).then_some(&self.selector)
    }

    fn is_ours(&self, draft: &Draft<'_>, account: &AccountId, epoch: u64) -> bool {
        use subtle::ConstantTimeEq;
        let tag = tag(draft, account, epoch, &self.selector, &self.secret);
        tag.ct_eq(&self.tag).into()
    }
}

keywright_core::redacted_debug!(Presented);

/// The record of a session. Even with the database dump and the keyring it opens nothing: verifier
/// and key are derived from the id's secret. The times of its creation and last use are in the
/// list.
#[derive(Serialize, Deserialize)]
pub(crate) struct Saved {
    salt: [u8; 32],
    verifier: [u8; 32],
    /// The user key, wrapped with the session's key; only in a session that has proven the
    /// challenge.
    user_key: Option<Vec<u8>>,
    /// The login that the session belongs to: another kind of login cannot use it.
    login: [u8; 16],
    /// The client that opened the session, as the guess ledger knows it; only in a session that has
    /// proven the challenge.
    opened_by: Option<ClientTag>,
    /// The credit of a two-factor token that was right when the passphrase was not.
    credit: Option<Credit>,
}

/// What is left of a spent two-factor token, in the session that provided it and for `session/open`
/// only (`docs/decisions.md` 18).
#[derive(Serialize, Deserialize)]
pub(crate) struct Credit {
    made: UnixSeconds,
    /// How many passphrases may still be tried.
    tries: u8,
    epochs: Epochs,
}

impl Credit {
    fn is_live(&self, draft: &Draft<'_>, root: &Root) -> bool {
        let (now, fence) = (draft.now(), draft.keyring().fence());
        // If it was made in the future, the clock went back and its age is not known
        // (`docs/security.md` § 8).
        let fresh = fence <= self.made && self.made <= now && now < self.made.plus(CREDIT_SECONDS);
        fresh && self.tries > 0 && self.epochs == root.epochs()
    }
}

impl Record for Saved {
    const SCHEMA: u16 = 1;
}

/// The session of one request, inside its draft.
pub(crate) struct Session {
    account: AccountId,
    login: [u8; 16],
    /// The selector of the id that the answer carries if the one that came cannot stay, and the
    /// place where the session is saved if it must be. It is drawn once for all attempts: the slot
    /// of a new record must be loaded before it is put, so an attempt that is run again must name
    /// the same one.
    fresh: [u8; 16],
    /// The id to answer with, if the one that came can stay.
    id: Option<Zeroizing<String>>,
    selector: Option<[u8; 16]>,
    authorized: bool,
    user_key: Option<UserKey>,
    opened_by: Option<ClientTag>,
    credit: bool,
}

impl Session {
    /// Finds the session that an id names, and refreshes it. If there is no id, or one that is void
    /// in any way, the result is a session without a record.
    pub(crate) fn find(
        draft: &mut Draft<'_>,
        account: &AccountId,
        login: &Login,
        presented: Option<&Presented>,
        fresh: [u8; 16],
    ) -> Result<Self, StepError> {
        let session = Self { fresh, ..Self::look(draft, account, login, presented)? };
        let Some(selector) = session.selector else { return Ok(session) };
        let (now, mut list) = (draft.now(), list::read(draft)?);
        let settled = list.settle(now);
        let touched = list.find_mut(&selector).is_some_and(|entry| entry.touch(now));
        if settled || touched {
            draft.put_members(SESSION, SESSIONS, &list)?;
        }
        Ok(session)
    }

    /// Like [`find`](Self::find), but without a refresh: it changes nothing.
    pub(crate) fn look(
        draft: &mut Draft<'_>,
        account: &AccountId,
        login: &Login,
        presented: Option<&Presented>,
    ) -> Result<Self, StepError> {
        let root = draft.root()?;
        let login = login_tag(draft, account, login);
        let mut session = Self {
            account: account.clone(),
            login,
            fresh: draft.random()?,
            id: None,
            selector: None,
            authorized: false,
            user_key: None,
            opened_by: None,
            credit: false,
        };
        let Some(presented) = presented.filter(|id| id.is_ours(draft, account, root.credential_epoch)) else {
            return Ok(session);
        };
        session.id = Some(presented.text.clone());
        let listed = list::read(draft)?.entries.into_iter().find(|entry| entry.selector == presented.selector);
        let Some(saved) = draft.read(SESSION.at(presented.selector))? else {
            // A missing record ends the session: its id must not live on without one.
            if listed.is_some() {
                session.id = None;
            }
            return Ok(session);
        };
        let (verifier, key) = keys(account, presented.secret.expose(), &saved.salt)?;
        let Some(listed) = listed
            .filter(|listed| listed.is_live(draft, &root) && saved.login == login && verifier.ct_eq(&saved.verifier))
        else {
            // The id stays void for good: its record is dead, so it must not come back without one.
            session.id = None;
            return Ok(session);
        };
        if let Some(wrapped) = &saved.user_key {
            let user_key = key.unwrap_secret(wrapped).ok_or(StepError::Crypto)?;
            session.user_key = Some(UserKey::from_secret(user_key));
        }
        session.selector = Some(presented.selector);
        session.authorized = listed.authorized;
        session.opened_by = saved.opened_by;
        session.credit = saved.credit.is_some_and(|credit| credit.is_live(draft, &root));
        Ok(session)
    }

    /// Whether the session was opened with the right proof in the current epoch.
    pub(crate) const fn is_authorized(&self) -> bool {
        self.authorized
    }

    /// Returns the user key, in a session that has proven the challenge.
    pub(crate) const fn user_key(&self) -> Option<&UserKey> {
        self.user_key.as_ref()
    }

    /// Returns the selector that confirmations are bound to, or `None` without a record.
    pub(crate) const fn selector(&self) -> Option<&[u8; 16]> {
        self.selector.as_ref()
    }

    /// Returns the client that opened the session, if the session has proven the challenge.
    pub(crate) const fn opened_by(&self) -> Option<ClientTag> {
        self.opened_by
    }

    /// Returns the selector under which the session would be saved.
    pub(crate) const fn next_selector(&self) -> &[u8; 16] {
        &self.fresh
    }

    /// Saves a session that has proven nothing, under a **new** id, ends the old one, and makes
    /// room. Returns the new selector.
    pub(crate) fn save(
        &mut self,
        draft: &mut Draft<'_>,
        saving: Unproven,
    ) -> Result<Result<[u8; 16], NoRoom>, StepError> {
        let mut list = self.others(draft)?;
        if let Err(none) = list.make_room(draft, saving) {
            return Ok(Err(none));
        }
        self.put(draft, list, saving == Unproven::Open, None).map(Ok)
    }

    /// Saves a session that has proven the challenge, which yielded the user key, in the same way.
    /// It always finds room.
    pub(crate) fn save_proven(
        &mut self,
        draft: &mut Draft<'_>,
        user_key: &UserKey,
        by: &Client,
    ) -> Result<(), StepError> {
        let mut list = self.others(draft)?;
        list.make_room_for_proof();
        self.put(draft, list, true, Some((user_key, by))).map(drop)
    }

    /// Returns the list of the account's other live sessions.
    fn others(&self, draft: &mut Draft<'_>) -> Result<SessionList, StepError> {
        let root = draft.root()?;
        let mut list = list::read(draft)?;
        list.settle(draft.now());
        list.entries.retain(|entry| Some(entry.selector) != self.selector && entry.is_live(draft, &root));
        Ok(list)
    }

    /// Saves the session at the end of a list that has room for it.
    fn put(
        &mut self,
        draft: &mut Draft<'_>,
        mut list: SessionList,
        authorized: bool,
        proven: Option<(&UserKey, &Client)>,
    ) -> Result<[u8; 16], StepError> {
        let (user_key, opened_by) = proven.map_or((None, None), |(user_key, by)| (Some(user_key), by.tag()));
        let (selector, now) = (self.fresh, draft.now());
        let secret = SecretBytes::<32>::random(draft.entropy())?;
        let salt: [u8; 32] = draft.random()?;
        let (verifier, key) = keys(&self.account, secret.expose(), &salt)?;
        let wrapped = user_key.map(|user_key| key.wrap(draft.entropy(), user_key.expose())).transpose();
        let saved = Saved {
            salt,
            verifier: *verifier.expose(),
            user_key: wrapped.map_err(|_| StepError::Crypto)?,
            login: self.login,
            opened_by,
            credit: None,
        };
        let epoch = draft.root()?.credential_epoch;
        let listed = Listed { selector, authorized, proven: user_key.is_some(), epoch, made: now, used: now };
        draft.put_until(SESSION.at(selector), &saved, listed.purge_after())?;
        list.entries.push(listed);
        draft.put_members(SESSION, SESSIONS, &list)?;
        self.id = Some(id(draft, &self.account, epoch, &selector, &secret));
        self.selector = Some(selector);
        self.authorized = authorized;
        self.user_key = user_key.map(UserKey::duplicate);
        self.opened_by = opened_by;
        self.credit = false;
        Ok(selector)
    }

    /// Whether a token was right in this session, not too long ago, and a passphrase may still be
    /// tried on it.
    pub(crate) const fn has_credit(&self) -> bool {
        self.credit
    }

    /// Keeps a credit for a token that is spent, in a record under a new id if there is none.
    /// Without room for a record there is no credit: it is a courtesy, and takes no proven
    /// session's place.
    pub(crate) fn keep_credit(&mut self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        let selector = match self.selector {
            Some(selector) => selector,
            None => match self.save(draft, Unproven::Asking)? {
                Ok(selector) => selector,
                Err(NoRoom { .. }) => return Ok(()),
            },
        };
        let (made, epochs) = (draft.now(), draft.root()?.epochs());
        self.credit = true;
        put_credit(draft, selector, |_| Some(Credit { made, tries: CREDIT_TRIES, epochs }))
    }

    /// Takes one try off the credit, if there is one.
    pub(crate) fn charge_credit(&mut self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        let Some(selector) = self.selector.filter(|_| self.credit) else { return Ok(()) };
        put_credit(draft, selector, |credit| {
            let credit = credit?;
            let tries = credit.tries.checked_sub(1).filter(|tries| *tries > 0)?;
            Some(Credit { tries, ..credit })
        })
    }

    /// Ends the session. The answer carries a new id without a record.
    pub(crate) fn close(&mut self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        if let Some(selector) = self.selector.take() {
            let mut list = list::read(draft)?;
            list.entries.retain(|entry| entry.selector != selector);
            draft.put_members(SESSION, SESSIONS, &list)?;
        }
        self.forget();
        Ok(())
    }

    /// Drops everything that the session holds, after the epoch moved.
    pub(crate) fn forget(&mut self) {
        self.id = None;
        self.selector = None;
        self.authorized = false;
        self.user_key = None;
        self.opened_by = None;
        self.credit = false;
    }

    /// Returns the id that the answer carries: the one that came, the one that was made, or a fresh
    /// one without a record.
    pub(crate) fn answer_id(&mut self, draft: &mut Draft<'_>) -> Result<Zeroizing<String>, StepError> {
        match self.id.take() {
            Some(id) => Ok(id),
            None => {
                let epoch = draft.root()?.credential_epoch;
                let secret = SecretBytes::random(draft.entropy())?;
                Ok(id(draft, &self.account, epoch, &self.fresh, &secret))
            }
        }
    }
}

/// Changes the credit of a session that was found or saved in this draft. One that has no record is
/// void, and gets no credit.
fn put_credit(
    draft: &mut Draft<'_>,
    selector: [u8; 16],
    change: impl FnOnce(Option<Credit>) -> Option<Credit>,
) -> Result<(), StepError> {
    let purge_after = list::read(draft)?.find_mut(&selector).map(|entry| entry.purge_after());
    let (Some(purge_after), Some(saved)) = (purge_after, draft.read(SESSION.at(selector))?) else { return Ok(()) };
    let saved = Saved { credit: change(saved.credit), ..saved };
    draft.put_until(SESSION.at(selector), &saved, purge_after)
}

/// Returns a string in the form of an id that belongs to nobody.
pub(crate) fn unknown_id(entropy: &dyn Entropy) -> Result<Zeroizing<String>, EntropyError> {
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(keywright_core::random_bytes::<64>(entropy)?)))
}

/// Returns the tag that binds a session to its login: an app token, or the login password.
fn login_tag(draft: &Draft<'_>, account: &AccountId, login: &Login) -> [u8; 16] {
    let key = draft.keyring().index(TAG_PURPOSE);
    match login {
        Login::AppToken(token) => key.tag(&[b"app-token", account.as_str().as_bytes(), token.0.as_bytes()]),
        Login::Password => key.tag(&[b"password", account.as_str().as_bytes()]),
    }
}

fn tag(draft: &Draft<'_>, account: &AccountId, epoch: u64, selector: &[u8; 16], secret: &SecretBytes<32>) -> [u8; 16] {
    let key = draft.keyring().index(TAG_PURPOSE);
    key.tag(&[b"id", account.as_str().as_bytes(), &epoch.to_be_bytes(), selector, secret.expose()])
}

fn id(
    draft: &Draft<'_>,
    account: &AccountId,
    epoch: u64,
    selector: &[u8; 16],
    secret: &SecretBytes<32>,
) -> Zeroizing<String> {
    let tag = tag(draft, account, epoch, selector, secret);
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    bytes.extend_from_slice(selector);
    bytes.extend_from_slice(secret.expose());
    bytes.extend_from_slice(&tag);
    let mut text = Zeroizing::new(String::with_capacity(ID_CHARS));
    URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    text
}

/// Derives 32 bytes of verifier and 32 bytes of key: HKDF(ikm secret, salt of the record, info
/// `keywright/v1/session ‖ LP(account)`).
fn keys(account: &AccountId, secret: &[u8; 32], salt: &[u8; 32]) -> Result<(SecretBytes<32>, WrapKey), StepError> {
    let mut info = KEYS_INFO.to_vec();
    keywright_core::append_lp(&mut info, &[account.as_str().as_bytes()]);
    let mut both = SecretBytes::<64>::zeroed();
    Hkdf::<Sha256>::new(Some(salt), secret).expand(&info, both.expose_mut()).map_err(|_| StepError::Crypto)?;
    let (verifier, key) = both.expose().split_at(32);
    let verifier = SecretBytes::from_slice(verifier).map_err(|_| StepError::Crypto)?;
    let key = SecretBytes::from_slice(key).map_err(|_| StepError::Crypto)?;
    Ok((verifier, WrapKey::from_key(key, info)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_an_id_or_absent(text in "\\PC{0,100}") {
            let _ = Presented::parse(&text);
        }

        #[test]
        fn an_id_has_one_text(bytes in proptest::collection::vec(any::<u8>(), 64)) {
            let text = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert!(Presented::parse(&text).is_some_and(|id| id.text() == text));
        }
    }

    #[test]
    fn null_and_other_lengths_are_absent() {
        for text in ["null", "", "undefined", &"A".repeat(85), &"A".repeat(87), &"=".repeat(86)] {
            assert!(Presented::parse(text).is_none(), "{text}");
        }
    }
}
