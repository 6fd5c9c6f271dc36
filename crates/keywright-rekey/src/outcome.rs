//! What the steps and the service return. In a step it holds once the draft is committed.

use std::fmt;

use keywright_store::{CipherId, Revision, StageId, released_as_is};

use crate::report::Difference;
use crate::seal::SealedSwap;
use crate::stage::CheckedStage;

/// The outcome of making a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum CreateOutcome {
    /// It is made, and empty.
    Created,
    /// The account has one already; it is left as it is.
    Exists,
}

/// The outcome of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum EditOutcome {
    /// It is done, once the draft is committed.
    Done {
        /// The vault's head from then on.
        head: Revision,
        /// How many ciphers it has then.
        count: u64,
    },
    /// The vault is not the one that `existing` was read from: read again.
    HeadMoved,
    /// The writer's key epoch is not the account's: it would write under a key that the owner no longer uses.
    Fenced,
    /// The vault would hold more ciphers than the policy allows.
    Full {
        /// The most.
        limit: u64,
    },
    /// The vault would be too large to be sent again when it is encrypted anew.
    TooLarge {
        /// The most bytes, by the policy's count.
        limit: u64,
    },
    /// One cipher is put twice.
    Twice,
}

/// The outcome of checking a submission against the vault.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum PlanOutcome {
    /// It covers the vault; here it is, sealed.
    Ready(SealedSwap),
    /// It does not.
    Refused(Difference),
}

/// The outcome of a swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum SwapOutcome {
    /// Every cipher is replaced, the epochs are moved, once the draft is committed.
    Done {
        /// The vault's head from then on.
        head: Revision,
        /// How many ciphers it has.
        ciphers: u64,
    },
    /// The vault is not the one that was checked. Nothing is replaced.
    HeadMoved,
}

/// The outcome of a swap that the service ran.
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Swap<T> {
    /// It is committed.
    Done {
        /// The vault's head now.
        head: Revision,
        /// How many ciphers it has.
        ciphers: u64,
        /// What the caller's own step returned.
        value: T,
    },
    /// The vault was changed between the check and the commit. Nothing is replaced: the client reads and encrypts anew.
    HeadMoved,
    /// The submission does not fit the vault. Nothing is replaced.
    Refused(Difference),
    /// What was held or uploaded is void, and dropped.
    Void,
    /// Nothing was held or uploaded under this name.
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
    /// It waits for [`promote_in`](crate::VaultSteps::promote_in). One that waited before is void.
    Held,
    /// The vault is not the one that was checked.
    HeadMoved,
}

/// Whether what is held can still be promoted.
#[derive(Debug, Clone)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Coverage {
    /// Its rows are those that were held, and cover the vault: what [`promote_in`](crate::VaultSteps::promote_in) takes.
    Covered(CheckedStage),
    /// Rows are missing, because the sweep took them by the clock of another server, or they are not those that were
    /// held. Drop it.
    Uncovered(StageId),
    /// The vault, an epoch or the time that it rests on has changed. Drop it.
    Void(StageId),
    /// Nothing is held.
    Nothing,
}

/// The outcome of promoting a held vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Promotion {
    /// The held vault is the vault, the epochs are moved, once the draft is committed.
    Done {
        /// The vault's head from then on.
        head: Revision,
        /// How many ciphers it has.
        ciphers: u64,
    },
    /// What it rests on has changed, or its time is over. It is dropped.
    Void,
    /// Another vault is held than the one whose rows were looked at. It is left alone: look again.
    Other,
    /// None is held.
    Nothing,
}

/// The outcome of beginning an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum UploadStart {
    /// It is begun. What was held or uploaded before is void.
    Begun {
        /// Its name, for every part and the finish.
        upload: StageId,
        /// The head of the vault that the parts are to replace.
        head: Revision,
    },
    /// The vault is not the one that the client read.
    HeadMoved,
    /// The account has no vault.
    NoVault,
}

/// The outcome of putting a part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum PartOutcome {
    /// Its ciphers are kept, in place of those of the same ids that an earlier part had.
    Kept {
        /// How many the part has.
        ciphers: usize,
    },
    /// The part itself is faulty. Nothing of it is kept.
    Refused(Difference),
    /// There is no such upload, or what it rests on has changed: begin anew.
    Void,
}

/// The outcome of accepting a damaged vault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum Acceptance {
    /// The vault is what its rows are now.
    Accepted {
        /// How many ciphers it has now.
        ciphers: u64,
        /// How many its head had counted.
        counted: u64,
        /// Those that did not open, and were dropped.
        dropped: Vec<CipherId>,
    },
    /// These do not open. Nothing is changed; say [`Unreadable::Drop`] to do without them.
    Unreadable(Vec<CipherId>),
    /// Every row is there and opens. Nothing is changed.
    Undamaged,
    /// The account has no vault.
    NoVault,
}

released_as_is!(CreateOutcome, EditOutcome, SwapOutcome, HoldOutcome, Promotion, UploadStart, PartOutcome);
