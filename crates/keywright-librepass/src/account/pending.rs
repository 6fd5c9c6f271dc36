//! A change of address that waits for its link: the record, and the check of the code that opens
//! it.
//!
//! The re-encrypted vault is stored beside the vault, held by `keywright-rekey`; this record has
//! the rest. Both are put by one commit and depend on the same head and epochs, so a change of the
//! vault, the password or a factor voids both.

use keywright_core::{ClientTag, UnixSeconds};
use keywright_store::{Draft, Epochs, Record, Revision, Slot, StepError};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::account::credential::Credential;
use crate::policy::{LINK_SECONDS, MAILS_PER_DAY};
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::keys::PublicKey;
use crate::protocol::user::UserId;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The slot of the change of address that waits, and of how often one was requested.
pub(crate) const PENDING: Slot<PendingAddress> = Slot::lasting("lp-new-address");

/// The change that was requested. An account has one: a new change replaces it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Change {
    /// The address, in the form of [`Address`].
    address: String,
    #[serde(with = "crate::protocol::keys::stored")]
    pub(crate) public_key: PublicKey,
    /// The hash of the code that the link carries.
    code: [u8; 32],
    /// The vault revision that the held vault was made from.
    head: [u8; 16],
    epochs: Epochs,
    made: UnixSeconds,
    until: UnixSeconds,
    /// The clients that requested the change, for the guess ledger: they are known at the new key
    /// from the start.
    pub(crate) asked_by: Vec<ClientTag>,
}

/// The record. It outlives its change, to count how often one was requested.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct PendingAddress {
    change: Option<Change>,
    /// When changes were requested in the last 24 hours, oldest first.
    asked: Vec<UnixSeconds>,
    /// The link by which the account has come to its address.
    done: Option<Done>,
}

/// A link that did what it says. For a day another click on it has the same answer
/// (`docs/decisions.md` 64).
#[derive(Serialize, Deserialize)]
struct Done {
    /// The hash of its code.
    code: [u8; 32],
    at: UnixSeconds,
}

/// What a link's code opens.
pub(crate) enum Opened {
    /// A change that waits, and everything that it depends on is still valid.
    Change(Change),
    /// Nothing any more, because it was opened before.
    Done,
    Refused(ApiError),
}

impl Record for PendingAddress {
    const SCHEMA: u16 = 1;
}

/// The input of [`ask_in`].
pub(crate) struct Asked<'a> {
    pub(crate) address: &'a Address,
    pub(crate) public_key: &'a PublicKey,
    /// The hash of the code that the link carries.
    pub(crate) code: [u8; 32],
    /// When the held vault expires, and this change with it.
    pub(crate) until: UnixSeconds,
    /// The vault revision that the held vault was made from.
    pub(crate) head: Revision,
    pub(crate) asked_by: Vec<ClientTag>,
}

impl Change {
    /// Returns the address. The stored text was parsed before, so text that does not parse is
    /// damage.
    pub(crate) fn address(&self) -> Result<Address, StepError> {
        Address::parse(&self.address).ok_or(StepError::Decode(PENDING.name()))
    }
}

impl PendingAddress {
    fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(PENDING)?.unwrap_or_default())
    }

    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(PENDING, self)
    }

    /// Whether this is the code of a link that was opened within the last day.
    fn was_opened_by(&self, code: &[u8; 32], now: UnixSeconds) -> bool {
        let done = self.done.as_ref();
        done.is_some_and(|done| bool::from(done.code.ct_eq(code)) && now.since(done.at) < DAY_SECONDS)
    }

    /// Forgets what no longer counts. After the clock went back, times in the future become now.
    /// Returns whether that was so: it must then be stored, or a client that is refused would start
    /// its wait again each time.
    fn tidy(&mut self, now: UnixSeconds) -> bool {
        let went_back = self.asked.iter().any(|at| *at > now);
        self.asked.iter_mut().filter(|at| **at > now).for_each(|at| *at = now);
        self.asked.retain(|at| now.since(*at) < DAY_SECONDS);
        went_back
    }

    /// Returns the seconds until the next change may be requested, or `None` if it may be now.
    fn wait(&self, now: UnixSeconds) -> Option<u64> {
        let surplus = self.asked.len().saturating_add(1).saturating_sub(MAILS_PER_DAY);
        let nth = surplus.checked_sub(1).and_then(|nth| self.asked.get(nth))?;
        Some(nth.plus(DAY_SECONDS).since(now).max(1))
    }
}

/// Counts one request for a change, in a commit of its own before anything is revealed or kept for
/// it. Such a request shows whether an address has an account, sends a mail to an address of the
/// caller's choice and keeps a vault for a day. So only [`MAILS_PER_DAY`] are allowed, including
/// those that are refused later and those sent all at the same time. If they are used up, returns
/// the seconds to wait, and nothing is counted.
pub(crate) fn book_in(draft: &mut Draft<'_>) -> Result<Result<(), u64>, StepError> {
    let now = draft.now();
    let mut pending = PendingAddress::read(draft)?;
    let went_back = pending.tidy(now);
    if let Some(seconds) = pending.wait(now) {
        if went_back {
            pending.put(draft)?;
        }
        return Ok(Err(seconds));
    }
    pending.asked.push(now);
    pending.put(draft)?;
    Ok(Ok(()))
}

/// Puts a change in place of the one that waited. Call it in the draft that holds its vault back;
/// the vault is then at `head`.
pub(crate) fn ask_in(draft: &mut Draft<'_>, asked: Asked<'_>) -> Result<(), StepError> {
    let (now, epochs) = (draft.now(), draft.root()?.epochs());
    let mut pending = PendingAddress::read(draft)?;
    pending.change = Some(Change {
        address: asked.address.as_str().to_owned(),
        public_key: asked.public_key.duplicate(),
        code: asked.code,
        head: asked.head.to_bytes(),
        epochs,
        made: now,
        until: asked.until,
        asked_by: asked.asked_by,
    });
    pending.put(draft)
}

/// Drops the waiting change, if there is one, because it is done or void. Its held vault is another
/// record, of `keywright-rekey`.
pub(crate) fn drop_in(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let mut pending = PendingAddress::read(draft)?;
    if pending.change.take().is_none() {
        return Ok(());
    }
    pending.put(draft)
}

/// Puts the link that moves the account in place of its change, in the draft that moves it. Another
/// click on the link changes nothing any more.
pub(crate) fn finish_in(draft: &mut Draft<'_>, code: &[u8; 32]) -> Result<(), StepError> {
    let mut pending = PendingAddress::read(draft)?;
    pending.change = None;
    pending.done = Some(Done { code: *code, at: draft.now() });
    pending.put(draft)
}

/// Returns the change that a code opens, if everything that it depends on is still valid. The code
/// is checked first: a client that does not have it learns only that a change waits. A refusal
/// changes nothing; a void change stays until it is swept, replaced or dropped.
///
/// `head` is the vault's revision in this draft.
pub(crate) fn opened_in(draft: &mut Draft<'_>, head: Option<Revision>, code: &[u8; 32]) -> Result<Opened, StepError> {
    if Credential::read(draft)?.is_none() {
        return Ok(Opened::Refused(ApiError::USER_NOT_FOUND));
    }
    let pending = PendingAddress::read(draft)?;
    if pending.was_opened_by(code, draft.now()) {
        return Ok(Opened::Done);
    }
    let Some(change) = pending.change else { return Ok(Opened::Refused(ApiError::USER_NOT_FOUND)) };
    let (now, fence) = (draft.now(), draft.keyring().fence());
    // A change made in the future, or before a backup was restored, is void (`docs/security.md` §§
    // 8, 12).
    let timely = change.made <= now && change.made >= fence && now < change.until;
    let lasts = change.until.since(change.made) <= LINK_SECONDS;
    let right = bool::from(change.code.ct_eq(code));
    if !(right & timely & lasts) || draft.root()?.epochs() != change.epochs {
        return Ok(Opened::Refused(ApiError::EMAIL_CODE));
    }
    if head.map(Revision::to_bytes) != Some(change.head) {
        return Ok(Opened::Refused(ApiError::MISSING_CIPHER));
    }
    Ok(Opened::Change(change))
}

/// Returns the stored form of a link's code, which is also computed for any text that is sent as
/// one.
pub(crate) fn code_hash(links: &keywright_core::IndexKey, user: &UserId, code: &str) -> [u8; 32] {
    links.mac(&[b"librepass-new-address", user.as_bytes(), code.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_a_day_whatever_the_clock_does() {
        let start = UnixSeconds::EPOCH.plus(1_000_000);
        let mut pending = PendingAddress::default();
        for n in 0..10 {
            assert!(!pending.tidy(start.plus(n)));
            assert_eq!(pending.wait(start.plus(n)), None);
            pending.asked.push(start.plus(n));
        }
        assert_eq!(pending.wait(start.plus(10)), Some(86_390));
        assert!(pending.tidy(start.minus(10_000)));
        assert!(!pending.tidy(start.minus(10_000)), "once");
        assert_eq!(pending.wait(start.minus(10_000)), Some(86_400));
        pending.tidy(start.minus(10_000).plus(86_400));
        assert_eq!(pending.wait(start.minus(10_000).plus(86_400)), None);
    }

    #[test]
    fn a_code_is_hashed_for_its_user_alone() {
        let keyring = keywright_core::Keyring::generate(&keywright_core::SystemEntropy).unwrap();
        let links = keyring.index("link");
        let (one, other) = (UserId::from_bytes([1; 16]).unwrap(), UserId::from_bytes([2; 16]).unwrap());
        assert_eq!(code_hash(&links, &one, "c"), code_hash(&links, &one, "c"));
        assert_ne!(code_hash(&links, &one, "c"), code_hash(&links, &other, "c"));
        assert_ne!(code_hash(&links, &one, "c"), code_hash(&links, &one, "d"));
    }
}
