//! A change of address that waits for its link: the record, and who opens it.
//!
//! The re-encrypted vault lies beside the vault, held by `keywright-rekey`; this record has the rest. Both are put by one
//! commit and rest on the same head and epochs, so a change of the vault, the password or a factor voids both.

use keywright_core::{ClientTag, UnixSeconds};
use keywright_store::{Draft, Epochs, Record, Revision, Slot, StepError};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::account::credential::Credential;
use crate::policy::{LINK_SECONDS, MAILS_PER_DAY};
use crate::protocol::address::Address;
use crate::protocol::keys::PublicKey;
use crate::protocol::user::UserId;
use crate::wire::error::ApiError;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The change of address that waits, and how often one was asked for.
pub(crate) const PENDING: Slot<PendingAddress> = Slot::lasting("lp-new-address");

/// What is asked for. One per account: a new one replaces it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Change {
    /// As [`Address`] has it.
    address: String,
    #[serde(with = "crate::protocol::keys::stored")]
    pub(crate) public_key: PublicKey,
    /// The hash of the code that the link carries.
    code: [u8; 32],
    /// The vault's revision that the held vault was made of.
    head: [u8; 16],
    epochs: Epochs,
    made: UnixSeconds,
    until: UnixSeconds,
    /// Who asked, for the guess ledger: they are known at the new key from the start.
    pub(crate) asked_by: Vec<ClientTag>,
}

/// The record. It outlives its change, to count how often one was asked for.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct PendingAddress {
    change: Option<Change>,
    /// When changes were asked for in the last 24 hours, oldest first.
    asked: Vec<UnixSeconds>,
}

impl Record for PendingAddress {
    const SCHEMA: u16 = 1;
}

/// What [`ask_in`] needs to know.
pub(crate) struct Asked<'a> {
    pub(crate) address: &'a Address,
    pub(crate) public_key: &'a PublicKey,
    /// The hash of the code that the link carries.
    pub(crate) code: [u8; 32],
    /// The end of the held vault, and of this.
    pub(crate) until: UnixSeconds,
    /// The vault's revision that the held vault was made of.
    pub(crate) head: Option<Revision>,
    pub(crate) asked_by: Vec<ClientTag>,
}

impl Change {
    /// The address. What is stored was parsed before: `None` is damage.
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

    /// Forgets what no longer counts. After the clock went back, what lies in the future begins once more now. True if so:
    /// unless that is stored, whoever is refused begins to wait anew each time.
    fn tidy(&mut self, now: UnixSeconds) -> bool {
        let went_back = self.asked.iter().any(|at| *at > now);
        self.asked.iter_mut().filter(|at| **at > now).for_each(|at| *at = now);
        self.asked.retain(|at| now.since(*at) < DAY_SECONDS);
        went_back
    }

    /// Seconds until the next may be asked for; `None` if it may now.
    fn wait(&self, now: UnixSeconds) -> Option<u64> {
        let surplus = self.asked.len().saturating_add(1).saturating_sub(MAILS_PER_DAY);
        let nth = surplus.checked_sub(1).and_then(|nth| self.asked.get(nth))?;
        Some(nth.plus(DAY_SECONDS).since(now).max(1))
    }
}

/// Books one ask for a change, in a commit of its own before anything is told or kept for it: it tells whether an address
/// has an account, sends a mail to an address of the caller's choice and keeps a vault for a day. So there are
/// [`MAILS_PER_DAY`], also of those that are refused later, or sent all at once; else the seconds to wait, and nothing is
/// booked.
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

/// Puts a change in place of the one that waited. In the draft that holds its vault back, which is now the vault at
/// `head`.
pub(crate) fn ask_in(draft: &mut Draft<'_>, asked: Asked<'_>) -> Result<(), StepError> {
    let (now, epochs) = (draft.now(), draft.root()?.epochs());
    let head = asked.head.ok_or(StepError::Misuse("a change of address without a vault"))?;
    let mut pending = PendingAddress::read(draft)?;
    pending.change = Some(Change {
        address: asked.address.as_str().to_owned(),
        public_key: asked.public_key.duplicate(),
        code: asked.code,
        head: head.to_bytes(),
        epochs,
        made: now,
        until: asked.until,
        asked_by: asked.asked_by,
    });
    pending.put(draft)
}

/// Drops what waits, if anything does: it is done, or void. Its held vault is another record, of `keywright-rekey`.
pub(crate) fn drop_in(draft: &mut Draft<'_>) -> Result<(), StepError> {
    let mut pending = PendingAddress::read(draft)?;
    if pending.change.take().is_none() {
        return Ok(());
    }
    pending.put(draft)
}

/// The change that a code opens, if all that it rests on still stands. The code comes first: who does not have it learns
/// only that something waits. A refusal changes nothing; what is void stays until it is swept, replaced or dropped.
///
/// `head` is the vault's revision in this draft.
pub(crate) fn opened_in(
    draft: &mut Draft<'_>,
    head: Option<Revision>,
    code: &[u8; 32],
) -> Result<Result<Change, ApiError>, StepError> {
    if Credential::read(draft)?.is_none() {
        return Ok(Err(ApiError::USER_NOT_FOUND));
    }
    let Some(change) = PendingAddress::read(draft)?.change else { return Ok(Err(ApiError::USER_NOT_FOUND)) };
    let (now, fence) = (draft.now(), draft.keyring().fence());
    // One made in the future, or before a backup was put back, is void (`docs/security.md` §§ 8, 12).
    let timely = change.made <= now && change.made >= fence && now < change.until;
    let lasts = change.until.since(change.made) <= LINK_SECONDS;
    let right = bool::from(change.code.ct_eq(code));
    if !(right & timely & lasts) || draft.root()?.epochs() != change.epochs {
        return Ok(Err(ApiError::EMAIL_CODE));
    }
    if head.map(Revision::to_bytes) != Some(change.head) {
        return Ok(Err(ApiError::MISSING_CIPHER));
    }
    Ok(Ok(change))
}

/// What is stored of a link's code, and what of whatever is sent as one.
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
