//! The root record: the epochs, and which security records exist. Every batch guards it.

use keywright_core::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::{Record, Slot};

/// An account's root. Sessions, tokens, pending confirmations and held batches name the epochs they were made in and are
/// void in others, so "end all sessions" is one write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Root {
    /// Moved by a change of challenge, password, keys or address, by recovery, by an erase.
    pub credential_epoch: u64,
    /// Moved by adding, replacing or removing a second factor.
    pub factor_epoch: u64,
    /// Moved by a swap of the vault.
    pub key_epoch: u64,
    /// When the account's records were made, or last erased.
    pub made: UnixSeconds,
    /// Whether a host has seeded the account from a file, once.
    pub seeded: bool,
    present: u32,
}

impl Record for Root {
    const SCHEMA: u16 = 1;
}

impl Root {
    pub(crate) const fn new(now: UnixSeconds) -> Self {
        Self { credential_epoch: 1, factor_epoch: 1, key_epoch: 1, made: now, seeded: false, present: 0 }
    }

    /// The epochs that bind what is made now.
    #[must_use]
    pub const fn epochs(&self) -> Epochs {
        Epochs { credential: self.credential_epoch, factor: self.factor_epoch }
    }

    /// Voids what was made in the present credential epoch.
    pub const fn move_credential_epoch(&mut self) {
        self.credential_epoch = self.credential_epoch.saturating_add(1);
    }

    /// Voids what was made in the present factor epoch.
    pub const fn move_factor_epoch(&mut self) {
        self.factor_epoch = self.factor_epoch.saturating_add(1);
    }

    /// Voids what was made in the present key epoch.
    pub const fn move_key_epoch(&mut self) {
        self.key_epoch = self.key_epoch.saturating_add(1);
    }

    /// After an erase: nothing exists, everything made before is void.
    pub(crate) const fn erased(&self, now: UnixSeconds) -> Self {
        let mut next = Self { made: now, present: 0, seeded: self.seeded, ..*self };
        next.move_credential_epoch();
        next.move_factor_epoch();
        next.move_key_epoch();
        next
    }

    /// The same, with the present records of another.
    pub(crate) fn present_as(&self, other: &Self) -> Self {
        Self { present: other.present, ..self.clone() }
    }

    pub(crate) fn says_present(&self, slot: Slot) -> Option<bool> {
        slot.presence().map(|bit| self.present & bit != 0)
    }

    /// Notes whether a record exists. Gives whether that is news.
    pub(crate) fn note(&mut self, slot: Slot, exists: bool) -> bool {
        let Some(bit) = slot.presence() else { return false };
        let before = self.present;
        if exists {
            self.present |= bit;
        } else {
            self.present &= !bit;
        }
        self.present != before
    }
}

/// The epochs in which something was made. A difference voids it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Epochs {
    /// The credential epoch.
    pub credential: u64,
    /// The factor epoch.
    pub factor: u64,
}
