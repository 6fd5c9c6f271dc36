//! New vaults that are stored beside the current one (*staged*), until they replace it.

use std::fmt;

use keywright_core::UnixSeconds;
use keywright_store::{CipherId, Mark, Revision, StageId};

use crate::digest::Digest;
use crate::seal::SealedSwap;

/// A whole vault that is stored beside the current one. It is made only from a [`SealedSwap`].
#[must_use = "a stage that is not held is to be dropped; else it lies there until it is swept"]
pub struct StagedSwap {
    /// The swap without its rows, which are in the store.
    pub(crate) swap: SealedSwap,
    pub(crate) stage: StageId,
    pub(crate) until: UnixSeconds,
}

impl StagedSwap {
    /// Returns the identifier of the stage, for [`Vaults::unstage`](crate::Vaults::unstage) if it
    /// is not held after all.
    #[must_use]
    pub const fn stage(&self) -> StageId {
        self.stage
    }

    /// Returns the time until which it can be promoted, exclusive.
    #[must_use]
    pub const fn until(&self) -> UnixSeconds {
        self.until
    }

    /// Returns the head of the vault that it was checked against.
    #[must_use]
    pub const fn head(&self) -> Option<Revision> {
        self.swap.head
    }
}

impl fmt::Debug for StagedSwap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedSwap").field("stage", &self.stage).field("until", &self.until).finish_non_exhaustive()
    }
}

/// The rows of a stage as they were read and checked: a promotion moves exactly these, or nothing.
/// Only [`Vaults::covered`](crate::Vaults::covered) and the finish of an upload make one.
#[must_use = "what was checked is not promoted yet"]
#[derive(Clone)]
pub struct CheckedStage {
    pub(crate) stage: StageId,
    /// The head of the vault that they were checked against.
    pub(crate) head: Revision,
    /// The rows, sorted by id.
    pub(crate) rows: Vec<(CipherId, Mark)>,
    /// The digest of the rows with the notes that the vault has.
    pub(crate) digest: Digest,
}

impl CheckedStage {
    /// Returns the stage.
    #[must_use]
    pub const fn stage(&self) -> StageId {
        self.stage
    }

    /// Returns how many ciphers the stage has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the stage has no ciphers, because the vault is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl fmt::Debug for CheckedStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckedStage({:?}, {} ciphers)", self.stage, self.rows.len())
    }
}
