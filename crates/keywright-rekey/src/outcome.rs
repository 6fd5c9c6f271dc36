//! What the steps and the service return. An outcome of a step is final once the draft is
//! committed.

use std::fmt;

use keywright_store::{CipherId, Revision, StageId, released_as_is};

use crate::report::Difference;
use crate::seal::SealedSwap;
use crate::stage::CheckedStage;

/// The outcome of creating a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum CreateOutcome {
    /// The vault was created, and is empty.
    Created,
    /// The account already has a vault, which is left unchanged.
    Exists,
}

/// The outcome of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EditOutcome {
    /// The edit is done once the draft is committed.
    Done {
        /// The vault's head after the edit.
        head: Revision,
        /// The number of ciphers after the edit.
        count: u64,
    },
    /// The vault has changed since `existing` was read. Read it again.
    HeadMoved,
    /// The writer's key epoch is not the account's: the edit is encrypted under a key that the
    /// owner no longer uses.
    Fenced,
    /// The vault would have more ciphers than the policy allows.
    Full {
        /// The maximum number of ciphers.
        limit: u64,
    },
    /// The vault would be too large to be sent again when it is re-encrypted.
    TooLarge {
        /// The maximum number of bytes, as the policy counts them.
        limit: u64,
    },
    /// A cipher is put twice.
    Twice,
}

/// The outcome of checking a submission against the vault.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum PlanOutcome {
    /// The submission covers the vault. This is the sealed swap.
    Ready(SealedSwap),
    /// The submission does not cover the vault.
    Refused(Difference),
}

/// The outcome of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum SwapOutcome {
    /// Every cipher is replaced, and the epochs move, once the draft is committed.
    Done {
        /// The vault's head after the swap.
        head: Revision,
        /// The number of ciphers in the vault.
        ciphers: u64,
    },
    /// The vault has changed since the submission was checked. Nothing was replaced.
    HeadMoved,
}

/// The outcome of a swap that the service ran.
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Swap<T> {
    /// The swap is committed.
    Done {
        /// The vault's head after the swap.
        head: Revision,
        /// The number of ciphers in the vault.
        ciphers: u64,
        /// The value that the caller's own step returned.
        value: T,
    },
    /// The vault was changed between the check and the commit. Nothing was replaced; the client
    /// must read it and re-encrypt it again.
    HeadMoved,
    /// The submission does not match the vault. Nothing was replaced.
    Refused(Difference),
    /// The vault that was held or uploaded is void, and was dropped.
    Void,
    /// Nothing was held, or there is no such upload.
    Nothing,
}

impl<T> fmt::Debug for Swap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { head, ciphers, .. } => write!(f, "Done({head:?}, {ciphers} ciphers)"),
            Self::HeadMoved => f.write_str("HeadMoved"),
            Self::Refused(difference) => f.debug_tuple("Refused").field(difference).finish(),
            Self::Void => f.write_str("Void"),
            Self::Nothing => f.write_str("Nothing"),
        }
    }
}

/// The outcome of holding a staged vault back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum HoldOutcome {
    /// The staged vault waits for [`promote_in`](crate::VaultSteps::promote_in). A vault that was
    /// held before is void.
    Held,
    /// The current vault has changed since the staged one was checked.
    HeadMoved,
}

/// Whether the held vault can still be promoted.
#[derive(Debug, Clone)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Coverage {
    /// The staged rows are unchanged and cover the vault. Pass this to
    /// [`promote_in`](crate::VaultSteps::promote_in).
    Covered(CheckedStage),
    /// The staged rows are incomplete (a sweep by another server's clock has deleted some) or were
    /// altered. Drop the held vault.
    Uncovered(StageId),
    /// The current vault or an epoch on which the held vault depends has changed, or the held vault
    /// has expired. Drop it.
    Void(StageId),
    /// Nothing is held.
    Nothing,
}

/// The outcome of promoting a held vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Promotion {
    /// The held vault becomes the current one, and the epochs move, once the draft is committed.
    Done {
        /// The vault's head after the promotion.
        head: Revision,
        /// The number of ciphers in the vault.
        ciphers: u64,
    },
    /// The vault or an epoch on which the held vault depends has changed, or the held vault has
    /// expired. It is dropped.
    Void,
    /// The vault that is held is not the one whose rows were checked. It is left unchanged: check
    /// again.
    Other,
    /// No vault is held.
    Nothing,
}

/// The outcome of beginning an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum UploadStart {
    /// The upload has begun. A vault that was held or uploaded before is void.
    Begun {
        /// The upload's identifier, for every part and the finish.
        upload: StageId,
        /// The head of the vault that the parts are to replace.
        head: Revision,
    },
    /// The vault has changed since the client read it.
    HeadMoved,
    /// The account has no vault.
    NoVault,
}

/// The outcome of putting a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum PartOutcome {
    /// The ciphers of the part are stored. They replace those with the same ids from an earlier
    /// part.
    Kept {
        /// The number of ciphers in the part.
        ciphers: usize,
    },
    /// The part itself is faulty. Nothing of it was stored.
    Refused(Difference),
    /// There is no such upload, or what it depends on has changed. Begin again.
    Void,
}

/// The outcome of accepting a damaged vault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Acceptance {
    /// The vault now consists of its present rows.
    Accepted {
        /// The number of ciphers that it has now.
        ciphers: u64,
        /// The number of ciphers that its head had counted.
        counted: u64,
        /// The ciphers that did not open and were dropped.
        dropped: Vec<CipherId>,
    },
    /// These ciphers do not open. Nothing was changed; pass
    /// [`Unreadable::Drop`](crate::Unreadable::Drop) to drop them.
    Unreadable(Vec<CipherId>),
    /// Every row is present and opens. Nothing was changed.
    Undamaged,
    /// The account has no vault.
    NoVault,
}

released_as_is!(CreateOutcome, EditOutcome, SwapOutcome, HoldOutcome, Promotion, UploadStart, PartOutcome);
