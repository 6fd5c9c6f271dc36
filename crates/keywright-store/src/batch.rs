//! The batch: one compare-and-set of a partition's root, together with everything else that the
//! commit writes.

use std::fmt;

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};

use crate::partition::Partition;
use crate::revision::Revision;
use crate::slot::SlotName;
use crate::vault::VaultWrite;

/// A root record as it is stored: its revision in clear, and its sealed body.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// The revision of the batch that wrote it.
    pub revision: Revision,
    /// The sealed body, byte for byte as it was committed.
    pub body: Bytes,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({:?}, {} bytes)", self.revision, self.body.len())
    }
}

/// One record that a batch writes. It is not guarded by a revision of its own, because no record of
/// the partition changes without the root changing too.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends read it, and conformance tests make it")]
pub struct Put {
    /// The slot to write to.
    pub slot: SlotName,
    /// The sealed body.
    pub body: Bytes,
    /// The time from which a sweep may delete the record. It is never earlier than the record's own
    /// expiry. `None` for a record that does not expire.
    pub purge_after: Option<UnixSeconds>,
}

impl fmt::Debug for Put {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Put({}, {} bytes, {:?})", self.slot, self.body.len(), self.purge_after)
    }
}

/// The number of an event in its chain, counted from 1.
pub type EventNumber = u64;

/// One event as it is stored: unencrypted, linked to the event before it by a hash, and
/// authenticated by the newest hash in the sealed root.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it from a row")]
pub struct StoredEvent {
    /// The event's chain.
    pub chain: EventChain,
    /// The event's number in that chain.
    pub number: EventNumber,
    /// When the event was decided.
    pub at: UnixSeconds,
    /// The event: a JSON object.
    pub json: Bytes,
    /// The head of the chain before this event.
    pub prev: [u8; 32],
}

impl fmt::Debug for StoredEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredEvent({:?} {}, {})", self.chain, self.number, String::from_utf8_lossy(&self.json))
    }
}

/// What a batch writes if its guard holds.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a backend must apply every part of it")]
pub struct Write {
    /// The root's new revision.
    pub revision: Revision,
    /// The root's new sealed body.
    pub root: Bytes,
    /// The time from which a sweep may delete the **whole** partition, with everything in it.
    /// `None` if it may not.
    ///
    /// If this time is less than a day after the store's horizon, the store keeps the partition
    /// until a day after the horizon instead. Otherwise the partition of a writer whose clock is
    /// behind could be swept while a commit to it is still on its way.
    pub purge_after: Option<UnixSeconds>,
    /// The earliest time at which the partition has due work, or `None` if it has none. It is
    /// stored in a column of the root's row and indexed, so that finding due work does not require
    /// reading the whole store.
    pub due_at: Option<UnixSeconds>,
    /// Whether every record, cipher and staged upload of the partition is deleted first. Events are
    /// kept.
    pub erase: bool,
    /// The records to write. Each replaces whatever is in its slot.
    pub put: Vec<Put>,
    /// The records to drop. An absent one is not an error.
    pub delete: Vec<SlotName>,
    /// The events to append. If one of their numbers is in use, the whole batch is refused.
    pub events: Vec<StoredEvent>,
    /// The events to delete: of each listed chain, those with a number below the given one.
    pub forget: Vec<(EventChain, EventNumber)>,
    /// A change of the vault, applied after an erase.
    pub vault: Option<VaultWrite>,
}

impl Write {
    /// Creates a write of the root alone.
    #[must_use]
    pub const fn root(revision: Revision, root: Bytes) -> Self {
        Self {
            revision,
            root,
            purge_after: None,
            due_at: None,
            erase: false,
            put: Vec::new(),
            delete: Vec::new(),
            events: Vec::new(),
            forget: Vec::new(),
            vault: None,
        }
    }
}

/// One conditional change of one partition.
///
/// The root's revision is its only guard. With a [`Write`], the store gives the root a new revision
/// and body if and only if the root still has the expected revision, and applies all the rest in
/// the same atomic, durable transaction. Without a write, the store only checks whether the root
/// still has that revision, by a read that sees every commit acknowledged before it began.
#[derive(Debug, Clone)]
pub struct Batch {
    partition: Partition,
    expect: Option<Revision>,
    write: Option<Write>,
}

impl Batch {
    /// Creates a batch that writes. It is public for backends and their conformance tests; services
    /// use the driver.
    ///
    /// # Errors
    /// Returns [`BatchError`] if not every backend could apply the batch.
    pub fn new(partition: Partition, expect: Option<Revision>, mut write: Write) -> Result<Self, BatchError> {
        if Some(write.revision) == expect || write.revision == Revision::ZERO {
            return Err(BatchError::Revision);
        }
        // Sorted by slot, so that all backends touch rows in the same order and two batches cannot
        // deadlock.
        write.put.sort_by_key(|put| put.slot);
        write.delete.sort_unstable();
        let mut slots: Vec<SlotName> =
            write.put.iter().map(|put| put.slot).chain(write.delete.iter().copied()).collect();
        slots.sort_unstable();
        if slots.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
            return Err(BatchError::TwoWrites);
        }
        for chain in EventChain::ALL {
            let of_chain = write.events.iter().filter(|event| event.chain == chain);
            let mut numbers: Vec<EventNumber> = of_chain.map(|event| event.number).collect();
            numbers.sort_unstable();
            if numbers.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                return Err(BatchError::TwoEvents);
            }
            let has_gap = numbers.windows(2).any(|pair| matches!(pair, [a, b] if a.checked_add(1) != Some(*b)));
            if has_gap || numbers.first() == Some(&0) {
                return Err(BatchError::EventGap);
            }
        }
        if write.erase && matches!(write.vault, Some(VaultWrite::Swap { .. } | VaultWrite::Promote { .. })) {
            return Err(BatchError::EraseWithCover);
        }
        Ok(Self { partition, expect, write: Some(write) })
    }

    /// Creates a batch that only checks whether the root still has this revision (`None`: whether
    /// there still is no root).
    #[must_use]
    pub const fn check(partition: Partition, expect: Option<Revision>) -> Self {
        Self { partition, expect, write: None }
    }

    /// Returns the partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Returns the revision that the root must have. `None`: there must be no root.
    #[must_use]
    pub const fn expect(&self) -> Option<Revision> {
        self.expect
    }

    /// Returns what is written, or `None` if the batch only checks its guard.
    #[must_use]
    pub const fn write(&self) -> Option<&Write> {
        self.write.as_ref()
    }

    /// Returns the parts, for a backend that takes ownership of them.
    #[must_use]
    pub fn into_parts(self) -> (Partition, Option<Revision>, Option<Write>) {
        (self.partition, self.expect, self.write)
    }
}

/// Why a write is not a valid batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// One slot is put twice, or both put and deleted.
    #[error("a batch writes one slot twice")]
    TwoWrites,
    /// The new revision is the same as the one that it replaces, or it is zero.
    #[error("a batch does not change the root's revision")]
    Revision,
    /// Two events of one chain have the same number.
    #[error("a batch gives two events of one chain the same number")]
    TwoEvents,
    /// The events of one chain are not numbered consecutively, or one has the number zero.
    #[error("a batch leaves a gap between the events of one chain")]
    EventGap,
    /// The batch swaps or promotes a vault that it also erases.
    #[error("a batch both erases and replaces the vault")]
    EraseWithCover,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::KindName;
    use keywright_core::AccountId;

    #[test]
    fn refuses_what_no_backend_can_apply() {
        let partition = Partition::account(&AccountId::new("u").unwrap());
        let revision = Revision::from_bytes([1; 16]);
        let root = || Write::root(revision, Bytes::new());
        let new = |write| Batch::new(partition.clone(), None, write).map(|_| ());
        let slot = SlotName::new(KindName::new("a"), None);
        let put = Put { slot, body: Bytes::new(), purge_after: None };
        assert_eq!(new(root()), Ok(()));
        assert_eq!(new(Write { put: vec![put.clone(), put.clone()], ..root() }), Err(BatchError::TwoWrites));
        assert_eq!(new(Write { put: vec![put], delete: vec![slot], ..root() }), Err(BatchError::TwoWrites));
        assert_eq!(new(Write { revision: Revision::ZERO, ..root() }), Err(BatchError::Revision));
        let same = Batch::new(partition.clone(), Some(revision), root()).map(|_| ());
        assert_eq!(same, Err(BatchError::Revision));
        let events = |numbers: &[u64]| {
            let event = |&number: &u64| StoredEvent {
                chain: EventChain::Changes,
                number,
                at: UnixSeconds::EPOCH,
                json: Bytes::new(),
                prev: [0; 32],
            };
            let mut events: Vec<StoredEvent> = numbers.iter().map(event).collect();
            // The other chain has numbers of its own.
            events.push(StoredEvent { chain: EventChain::Denials, ..event(&7) });
            new(Write { events, ..root() })
        };
        for (numbers, right) in [
            (&[][..], Ok(())),
            (&[7], Ok(())),
            (&[u64::MAX - 1, u64::MAX], Ok(())),
            (&[3, 2, 4], Ok(())),
            (&[2, 2], Err(BatchError::TwoEvents)),
            (&[4, 2, 3, 2], Err(BatchError::TwoEvents)),
            (&[1, 3], Err(BatchError::EventGap)),
            (&[0, 1], Err(BatchError::EventGap)),
        ] {
            assert_eq!(events(numbers), right, "{numbers:?}");
        }
        let vault = Some(VaultWrite::Swap { rows: Vec::new() });
        assert_eq!(new(Write { erase: true, vault, ..root() }), Err(BatchError::EraseWithCover));
    }
}
