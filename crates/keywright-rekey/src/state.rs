//! The stored state: the head of a vault, and a re-encrypted vault that is held back or still being
//! uploaded.

use std::fmt;

use keywright_core::{Entropy, EntropyError, SecretBytes, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{Epochs, Record, Revision, Root, Slot, SlotKind, SlotName, StageId, secret_field};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::seal::Fresh;

/// The head of the vault. Its revision is the vault's version.
pub(crate) const VAULT: Slot<VaultHead> = Slot::lasting("vault");
/// A vault that is staged beside the current one. If this record is lost, the staged vault is void.
pub(crate) const HELD: Slot<Staged, Expiring> = Slot::expiring("vault-held");
/// Records that damage was reported, so that it is not reported at every read. If this record is
/// lost, the event is repeated.
pub(crate) const DAMAGE_REPORT: Slot<DamageReport, Expiring> = Slot::expiring("vault-damage-told");

/// The kinds of slots that this crate declares, to be passed to the driver's builder.
pub const SLOT_KINDS: &[SlotKind] = &[VAULT.kind(), HELD.kind(), DAMAGE_REPORT.kind()];

/// The slot of the vault's head: its revision is the vault's version.
pub const VAULT_SLOT: SlotName = VAULT.name();

/// The records that a change of the vault reads or writes. Pass them to the driver: each round of
/// further ones costs a load.
pub const VAULT_SLOTS: [SlotName; 2] = [VAULT.name(), HELD.name()];

/// The record of a vault. Its **revision** is the vault's version: every change of a cipher writes
/// it again.
#[derive(Serialize, Deserialize)]
pub(crate) struct VaultHead {
    /// The key that seals the texts; a swap brings a new one.
    #[serde(with = "secret_field")]
    pub(crate) key: SecretBytes<32>,
    /// The key that seals the notes; a swap leaves it and the notes unchanged.
    #[serde(with = "secret_field")]
    pub(crate) note_key: SecretBytes<32>,
    /// The key of the digest; a swap brings a new one.
    #[serde(with = "secret_field")]
    pub(crate) digest_key: SecretBytes<16>,
    /// The number of ciphers in the vault.
    pub(crate) count: u64,
    /// The combined hash of their marks.
    hashes: [u8; 16],
    /// The total length of their texts as sent, in bytes.
    pub(crate) text_bytes: u64,
    /// The number of edits so far. It never goes back, so it orders what clocks cannot.
    pub(crate) edits: u64,
    /// The time of the last swap, or of the creation if there was none.
    pub(crate) rekeyed: UnixSeconds,
    /// Whether texts may be stored as they were sent.
    pub(crate) as_sent: bool,
}

impl Record for VaultHead {
    const SCHEMA: u16 = 1;
}

impl VaultHead {
    /// Creates the record of an empty vault.
    pub(crate) fn new(entropy: &dyn Entropy, now: UnixSeconds) -> Result<Self, EntropyError> {
        let Digest { count, hashes } = Digest::default();
        Ok(Self {
            key: SecretBytes::random(entropy)?,
            note_key: SecretBytes::random(entropy)?,
            digest_key: SecretBytes::random(entropy)?,
            count,
            hashes,
            text_bytes: 0,
            edits: 0,
            rekeyed: now,
            as_sent: false,
        })
    }

    /// Returns the count and digest of the rows that must be present.
    pub(crate) const fn digest(&self) -> Digest {
        Digest { count: self.count, hashes: self.hashes }
    }

    /// Sets the count and digest for other rows.
    pub(crate) const fn set_digest(&mut self, digest: Digest) {
        let Digest { count, hashes } = digest;
        self.count = count;
        self.hashes = hashes;
    }

    /// Returns the head of the same ciphers under other keys. `text_bytes` is `None` if the lengths
    /// are not known.
    pub(crate) fn rekeyed(&self, fresh: Fresh, digest: Digest, text_bytes: Option<u64>, now: UnixSeconds) -> Self {
        let Fresh { key, digest_key, as_sent } = fresh;
        let Digest { count, hashes } = digest;
        let (note_key, text_bytes) = (self.note_key.duplicate(), text_bytes.unwrap_or(self.text_bytes));
        let edits = self.edits;
        Self { key, note_key, digest_key, count, hashes, text_bytes, edits, rekeyed: now, as_sent }
    }
}

keywright_core::redacted_debug!(VaultHead { count, .. });

/// The progress of a re-encrypted vault that is not current yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// It arrives in parts. It may be incomplete.
    Uploading,
    /// It was checked as a whole and waits for a confirmation.
    Held {
        /// The number of rows that were checked.
        count: u64,
        /// The digest that the vault will have with them.
        hashes: [u8; 16],
        /// The total length of their texts, in bytes.
        text_bytes: u64,
    },
}

impl Phase {
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }
}

/// The record of a staged vault: what it depends on, and the keys of its rows. An account has at
/// most one; a new one replaces it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Staged {
    pub(crate) phase: Phase,
    stage: [u8; 16],
    head: [u8; 16],
    #[serde(with = "secret_field")]
    key: SecretBytes<32>,
    #[serde(with = "secret_field")]
    digest_key: SecretBytes<16>,
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
        (stage, head): (StageId, Revision),
        fresh: &Fresh,
        root: &Root,
        (made, until): (UnixSeconds, UnixSeconds),
    ) -> Self {
        let Fresh { key, digest_key, as_sent } = fresh.duplicate();
        let (stage, head) = (stage.0, head.to_bytes());
        let (epochs, key_epoch) = (root.epochs(), root.key_epoch);
        Self { phase, stage, head, key, digest_key, as_sent, epochs, key_epoch, made, until }
    }

    pub(crate) const fn stage(&self) -> StageId {
        StageId(self.stage)
    }

    pub(crate) const fn head(&self) -> Revision {
        Revision::from_bytes(self.head)
    }

    pub(crate) fn fresh(&self) -> Fresh {
        let (key, digest_key) = (self.key.duplicate(), self.digest_key.duplicate());
        Fresh { key, digest_key, as_sent: self.as_sent }
    }

    /// Whether everything that it depends on is still current. A creation time in the future or
    /// before the fence makes it void (`docs/security.md` §§ 3, 12).
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

/// Records that damage was reported.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DamageReport {
    /// When it was reported.
    pub(crate) at: UnixSeconds,
}

impl Record for DamageReport {
    const SCHEMA: u16 = 1;
}
