//! The stored form of names: an account's list, and the claim in a name's own partition.

use std::fmt;

use keywright_core::{AccountId, Keyring, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::partition::Partition;
use crate::record::Record;
use crate::slot::Slot;

/// The names that an account owns or intends to take.
pub const NAMES: Slot<NameList> = Slot::lasting("names");

/// The claimant of a name, in the name's own partition.
pub(crate) const CLAIM: Slot<Claimant> = Slot::lasting("claim");

/// The most names that an account intends to take at one time. One more drops the oldest intent,
/// for which [`take`](super::take) then returns `false`.
pub const MAX_INTENDED: usize = 8;

/// The most names that an account owns. A wire protocol needs one, or two while a name is being
/// changed.
pub const MAX_OWNED: usize = 8;

/// The index value of a name, from which the name's partition is derived. It is an HMAC, never the
/// text itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameIndex([u8; 32]);

impl NameIndex {
    /// Returns the index value of a canonical name, under the keyring's index key for this purpose
    /// (`address`, for example), which does not rotate. Two spellings that must not both be taken
    /// must be canonicalised to one text.
    #[must_use]
    pub fn derive(keyring: &Keyring, purpose: &str, canonical: &[u8]) -> Self {
        Self(keyring.index(purpose).mac(&[canonical]))
    }

    /// Takes an index value that was computed elsewhere.
    #[must_use]
    pub const fn from_bytes(index: [u8; 32]) -> Self {
        Self(index)
    }

    /// Returns the name's own partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::name(&self.0)
    }
}

impl fmt::Debug for NameIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameIndex(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// Identifies one intent for ever. It is drawn afresh for each, so that an intent that became void
/// never becomes valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket(pub(super) [u8; 16]);

/// The content of a name's partition. It proves nothing by itself: the account must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claimant {
    pub(super) account: AccountId,
    pub(super) ticket: Ticket,
}

impl Record for Claimant {
    const SCHEMA: u16 = 1;
}

/// A committed intent to take a name. It is a tentative value until its commit, so no name is
/// claimed before the intent is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    pub(super) name: NameIndex,
    pub(super) claimant: Claimant,
}

impl Intent {
    /// Returns the account that intends to take the name.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.claimant.account
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &NameIndex {
        &self.name
    }
}

/// The account's relation to a claim in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimState {
    /// None, and never again, because tickets are not drawn twice.
    Void,
    Intended,
    Owned,
    Lapsed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryState {
    Intended,
    /// The account owns the name. Until the account has been verified, this contains the end of the
    /// time in which nobody else may take the name.
    Owned {
        provisional_until: Option<UnixSeconds>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: NameIndex,
    pub(super) ticket: Ticket,
    /// When the present state began.
    pub(super) since: UnixSeconds,
    pub(super) standing: EntryState,
}

impl Entry {
    pub(super) const fn is_owned(&self) -> bool {
        matches!(self.standing, EntryState::Owned { .. })
    }

    pub(super) fn claimant(&self, account: &AccountId) -> Intent {
        Intent { name: self.name, claimant: Claimant { account: account.clone(), ticket: self.ticket } }
    }

    pub(super) fn holding(&self, now: UnixSeconds) -> ClaimState {
        match self.standing {
            EntryState::Intended => ClaimState::Intended,
            EntryState::Owned { provisional_until: None } => ClaimState::Owned,
            // The time has run out, or it comes from a clock that was further ahead than the whole
            // time.
            EntryState::Owned { provisional_until: Some(until) }
                if until <= now || self.since > now.plus(until.since(self.since)) =>
            {
                ClaimState::Lapsed
            }
            EntryState::Owned { provisional_until: Some(_) } => ClaimState::Owned,
        }
    }
}

/// All names of an account, as one record. It has at most one entry for each name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NameList {
    pub(super) entries: Vec<Entry>,
}

impl Record for NameList {
    const SCHEMA: u16 = 1;
}

impl NameList {
    pub(super) fn of(&self, name: &NameIndex) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == *name)
    }

    pub(super) fn make_room(&mut self) {
        while self.entries.iter().filter(|entry| !entry.is_owned()).count() >= MAX_INTENDED {
            let Some(oldest) = self.entries.iter().position(|entry| !entry.is_owned()) else { return };
            self.entries.remove(oldest);
        }
    }
}
