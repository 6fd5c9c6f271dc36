//! What is stored of names: an account's list, and the claim in a name's own partition.

use std::fmt;

use keywright_core::{AccountId, Keyring, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::partition::Partition;
use crate::record::Record;
use crate::slot::Slot;

/// The names that an account owns or intends to take.
pub const NAMES: Slot<NameList> = Slot::lasting("names");

/// Who holds a name; in the name's own partition.
pub(crate) const CLAIM: Slot<Claimant> = Slot::lasting("claim");

/// The most names an account intends to take at one time. One more drops the oldest intent: whoever made it is told by
/// [`take`](super::take) that it stands no more.
pub const MAX_INTENDED: usize = 8;

/// The most names an account owns. A wire has one, and two for as long as a move takes.
pub const MAX_OWNED: usize = 8;

/// A name by its index value: what its partition is called by, never the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NameIndex([u8; 32]);

impl NameIndex {
    /// The index value of a canonical name, under the keyring's index key of this purpose (`address`, say), which does
    /// not rotate. Two texts that must not both be taken must be one text here.
    #[must_use]
    pub fn derive(keyring: &Keyring, purpose: &str, canonical: &[u8]) -> Self {
        Self(keyring.index(purpose).mac(&[canonical]))
    }

    /// From an index value that was made elsewhere.
    #[must_use]
    pub const fn from_bytes(index: [u8; 32]) -> Self {
        Self(index)
    }

    /// The name's own partition.
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

/// Names one intent for ever: drawn anew for each, so that what became void never becomes valid again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticket(pub(super) [u8; 16]);

/// What a name's partition says. By itself it proves nothing: the account must say the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claimant {
    pub(super) account: AccountId,
    pub(super) ticket: Ticket,
}

impl Record for Claimant {
    const SCHEMA: u16 = 1;
}

/// An intent that was committed. Only the receipt of its commit gives it out, so no claim precedes its intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    pub(super) name: NameIndex,
    pub(super) claimant: Claimant,
}

impl Intent {
    /// The account that intends.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.claimant.account
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &NameIndex {
        &self.name
    }
}

/// How an account stands to a claim in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClaimState {
    /// Not at all, and never again: tickets are not drawn twice.
    Void,
    Intended,
    Owned,
    Lapsed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EntryState {
    Intended,
    /// With the end of the time in which nobody else may take it, while the account has not proven itself.
    Owned {
        provisional_until: Option<UnixSeconds>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) name: NameIndex,
    pub(super) ticket: Ticket,
    /// When it came to stand so.
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
            // Run out, or from a clock that stood further ahead than the whole time.
            EntryState::Owned { provisional_until: Some(until) }
                if until <= now || self.since > now.plus(until.since(self.since)) =>
            {
                ClaimState::Lapsed
            }
            EntryState::Owned { provisional_until: Some(_) } => ClaimState::Owned,
        }
    }
}

/// All names of an account: one record. At most one entry a name.
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
