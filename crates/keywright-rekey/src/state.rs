//! What is stored: the head of a vault, and a re-encrypted vault that is held back or still being uploaded.

use core::fmt;

use keywright_core::{Entropy, EntropyError, SecretBytes, UnixSeconds};
use keywright_store::{Epochs, Record, Revision, Root, StageId, secret_field};
use serde::{Deserialize, Serialize};

use crate::seal::Fresh;

/// The record of a vault. Its **revision** is the vault's version: every change of a cipher puts it anew.
#[derive(Serialize, Deserialize)]
pub(crate) struct VaultHead {
    /// Seals the texts; a swap brings a new one.
    #[serde(with = "secret_field")]
    pub(crate) key: SecretBytes<32>,
    /// Seals the notes; stays through swaps, which leave the notes.
    #[serde(with = "secret_field")]
    pub(crate) note_key: SecretBytes<32>,
    /// How many ciphers the vault has.
    pub(crate) count: u64,
    /// The last swap; the making, before the first.
    pub(crate) rekeyed: UnixSeconds,
    /// Whether texts may lie as they were sent.
    pub(crate) as_sent: bool,
}

impl Record for VaultHead {
    const SCHEMA: u16 = 1;
}

impl VaultHead {
    /// An empty vault.
    pub(crate) fn new(entropy: &dyn Entropy, now: UnixSeconds) -> Result<Self, EntropyError> {
        let (key, note_key) = (SecretBytes::random(entropy)?, SecretBytes::random(entropy)?);
        Ok(Self { key, note_key, count: 0, rekeyed: now, as_sent: false })
    }

    /// The head of the same ciphers under another key.
    pub(crate) fn rekeyed(&self, fresh: Fresh, now: UnixSeconds) -> Self {
        let Fresh { key, as_sent } = fresh;
        Self { key, note_key: self.note_key.duplicate(), count: self.count, rekeyed: now, as_sent }
    }
}

impl fmt::Debug for VaultHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultHead").field("count", &self.count).finish_non_exhaustive()
    }
}

/// How far a re-encrypted vault has come that is not the vault yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// It arrives in parts. Nothing says that it is whole.
    Uploading,
    /// It was checked whole and waits for a confirmation.
    Held,
}

/// The record of a staged vault: what it rests on, and the key of its rows. One per account; a new one replaces it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Staged {
    pub(crate) phase: Phase,
    stage: [u8; 16],
    head: [u8; 16],
    #[serde(with = "secret_field")]
    key: SecretBytes<32>,
    as_sent: bool,
    epochs: Epochs,
    key_epoch: u64,
    made: UnixSeconds,
    pub(crate) until: UnixSeconds,
}

impl Record for Staged {
    const SCHEMA: u16 = 1;
}

impl Staged {
    pub(crate) fn new(
        phase: Phase,
        stage: StageId,
        head: Revision,
        fresh: &Fresh,
        root: &Root,
        (made, until): (UnixSeconds, UnixSeconds),
    ) -> Self {
        let Fresh { key, as_sent } = fresh.duplicate();
        let (stage, head) = (stage.0, head.to_bytes());
        Self { phase, stage, head, key, as_sent, epochs: root.epochs(), key_epoch: root.key_epoch, made, until }
    }

    pub(crate) const fn stage(&self) -> StageId {
        StageId(self.stage)
    }

    pub(crate) const fn head(&self) -> Revision {
        Revision::from_bytes(self.head)
    }

    pub(crate) fn fresh(&self) -> Fresh {
        Fresh { key: self.key.duplicate(), as_sent: self.as_sent }
    }

    /// Whether all that it rests on still stands. A made time in the future or before the fence voids it
    /// (`security.md` §§ 8, 12).
    pub(crate) fn is_live(&self, now: UnixSeconds, fence: UnixSeconds, root: &Root, head: Option<Revision>) -> bool {
        self.made <= now
            && self.made >= fence
            && now < self.until
            && self.epochs == root.epochs()
            && self.key_epoch == root.key_epoch
            && head == Some(self.head())
    }
}

impl fmt::Debug for Staged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staged").field("phase", &self.phase).field("stage", &self.stage()).finish_non_exhaustive()
    }
}
