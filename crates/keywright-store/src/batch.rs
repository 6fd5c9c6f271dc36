//! The batch: guarded writes of one partition, all or nothing.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use keywright_core::{Entropy, EntropyError, SecurityEvent, UnixSeconds, random_bytes};

use crate::{Partition, Slot, VaultWrite};

/// The revision of a record: 128 random bits that the **driver** draws per batch. Never reused, so a record that was
/// deleted and made again does not satisfy an old guard (no ABA), and after a lost reply "is this mine?" has an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision([u8; 16]);

impl Revision {
    /// Draws one.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        random_bytes(entropy).map(Self)
    }

    /// From its stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Revision(")?;
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

/// A record as it lies in the store: its revision and its sealed body.
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

/// What must be true of a slot for the batch to apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every guard there is")]
pub enum Expect {
    /// There is no record.
    Absent,
    /// The record has this revision.
    Revision(Revision),
}

/// What happens to a slot whose guard holds.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a backend must handle every effect there is")]
pub enum Effect {
    /// Nothing: the guard is all.
    Check,
    /// The record goes.
    Delete,
    /// The record is written under the batch's revision.
    Put {
        /// The sealed body.
        body: Bytes,
        /// From when on a sweep may drop it; a hint, never earlier than the core's own expiry.
        purge_after: Option<UnixSeconds>,
    },
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check => f.write_str("Check"),
            Self::Delete => f.write_str("Delete"),
            Self::Put { body, purge_after } => write!(f, "Put({} bytes, {purge_after:?})", body.len()),
        }
    }
}

/// One guarded write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which record.
    pub slot: Slot,
    /// Its guard.
    pub expect: Expect,
    /// What happens.
    pub effect: Effect,
}

/// Guarded writes of one partition. Every guard holds and all of it applies, or nothing does.
#[derive(Debug, Clone)]
pub struct Batch {
    partition: Partition,
    revision: Revision,
    erase: bool,
    writes: Vec<Write>,
    events: Vec<SecurityEvent>,
    vault: Option<VaultWrite>,
}

impl Batch {
    /// A batch. Public for backends and their conformance tests; services go through the driver, which guards all that
    /// a step has read.
    ///
    /// # Errors
    /// [`BatchError`] if it is not one that every backend can apply.
    pub fn new(partition: Partition, revision: Revision, writes: Vec<Write>) -> Result<Self, BatchError> {
        let mut writes = writes;
        // Sorted by slot: backends touch rows in one order, so two batches cannot wait for each other.
        writes.sort_by_key(|write| write.slot);
        if writes.windows(2).any(|pair| matches!(pair, [a, b] if a.slot == b.slot)) {
            return Err(BatchError::TwoWrites);
        }
        if !writes.iter().any(|write| write.slot == Slot::Root) {
            return Err(BatchError::NoRoot);
        }
        if writes.iter().any(|write| write.expect == Expect::Absent && write.effect == Effect::Delete) {
            return Err(BatchError::DeletesAbsent);
        }
        Ok(Self { partition, revision, erase: false, writes, events: Vec::new(), vault: None })
    }

    /// Adds events, appended by the same commit.
    #[must_use]
    pub fn with_events(mut self, events: Vec<SecurityEvent>) -> Self {
        self.events = events;
        self
    }

    /// Makes it drop first every record and vault row of the partition that it does not itself write.
    ///
    /// # Errors
    /// [`BatchError::EraseKeepsRoot`] unless the root is put: an erase moves the epochs. [`BatchError::EraseWithCover`]
    /// beside a swap or a promotion: there is nothing left to cover.
    pub fn with_erase(mut self) -> Result<Self, BatchError> {
        if !self.puts(Slot::Root) {
            return Err(BatchError::EraseKeepsRoot);
        }
        if matches!(self.vault, Some(VaultWrite::Swap { .. } | VaultWrite::Promote { .. })) {
            return Err(BatchError::EraseWithCover);
        }
        self.erase = true;
        Ok(self)
    }

    /// Adds a vault write.
    ///
    /// # Errors
    /// [`BatchError::VaultWithoutHead`] unless the vault's head is put: every vault write moves it.
    /// [`BatchError::EraseWithCover`] for a swap or a promotion beside an erase.
    pub fn with_vault(mut self, vault: VaultWrite) -> Result<Self, BatchError> {
        if !self.puts(Slot::VaultHead) {
            return Err(BatchError::VaultWithoutHead);
        }
        if self.erase && !matches!(vault, VaultWrite::Edit { .. }) {
            return Err(BatchError::EraseWithCover);
        }
        self.vault = Some(vault);
        Ok(self)
    }

    fn puts(&self, slot: Slot) -> bool {
        self.writes.iter().any(|write| write.slot == slot && matches!(write.effect, Effect::Put { .. }))
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The revision under which its records are put.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Whether rows it does not write are dropped first.
    #[must_use]
    pub const fn erases(&self) -> bool {
        self.erase
    }

    /// The writes, sorted by slot; the root's is always among them.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[SecurityEvent] {
        &self.events
    }

    /// The vault write.
    #[must_use]
    pub const fn vault(&self) -> Option<&VaultWrite> {
        self.vault.as_ref()
    }
}

/// Why writes are no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// Two writes to one slot.
    #[error("a batch writes one slot twice")]
    TwoWrites,
    /// The root is not guarded.
    #[error("a batch does not guard the root record")]
    NoRoot,
    /// A delete of what must be absent.
    #[error("a batch deletes a record that must be absent")]
    DeletesAbsent,
    /// An erase that leaves the epochs.
    #[error("an erase does not put the root record")]
    EraseKeepsRoot,
    /// A swap or a promotion of what the same batch erases.
    #[error("a batch erases the vault that it would swap")]
    EraseWithCover,
    /// A vault write that leaves the head.
    #[error("a vault write does not put the vault's head")]
    VaultWithoutHead,
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::AccountId;

    fn check(slot: Slot) -> Write {
        Write { slot, expect: Expect::Absent, effect: Effect::Check }
    }

    #[test]
    fn refuses_what_no_backend_can_apply() {
        let partition = Partition::account(&AccountId::new("u").unwrap());
        let new = |writes| Batch::new(partition.clone(), Revision::from_bytes([1; 16]), writes);
        assert_eq!(new(alloc::vec![check(Slot::Ledger)]).unwrap_err(), BatchError::NoRoot);
        assert_eq!(new(alloc::vec![check(Slot::Root), check(Slot::Root)]).unwrap_err(), BatchError::TwoWrites);
        let delete = Write { slot: Slot::Ledger, expect: Expect::Absent, effect: Effect::Delete };
        assert_eq!(new(alloc::vec![check(Slot::Root), delete]).unwrap_err(), BatchError::DeletesAbsent);
        let checks = new(alloc::vec![check(Slot::Root)]).unwrap();
        assert_eq!(checks.clone().with_erase().unwrap_err(), BatchError::EraseKeepsRoot);
        let vault = VaultWrite::Swap { rows: Vec::new() };
        assert_eq!(checks.with_vault(vault.clone()).unwrap_err(), BatchError::VaultWithoutHead);
        let put = |slot| Write {
            slot,
            expect: Expect::Absent,
            effect: Effect::Put { body: Bytes::new(), purge_after: None },
        };
        let puts = new(alloc::vec![put(Slot::Root), put(Slot::VaultHead)]).unwrap();
        let erasing = puts.clone().with_erase().unwrap();
        assert_eq!(erasing.with_vault(vault.clone()).unwrap_err(), BatchError::EraseWithCover);
        assert_eq!(puts.with_vault(vault).unwrap().with_erase().unwrap_err(), BatchError::EraseWithCover);
    }
}
