//! Errors of steps.

use std::fmt;

use keywright_core::{EntropyError, EventChain, OpenError, SealError};

use crate::batch::BatchError;
use crate::locks::Standing;
use crate::slot::SlotName;

/// A step failed before it could decide. The caller must deny the request; nothing was counted or
/// written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The step read slots that were not loaded. Pass this error on: the driver loads them and runs
    /// the step again.
    #[error("records were not loaded: {}", Listed(.0))]
    NotLoaded(Vec<SlotName>),
    /// The step is about to check a guess, which it may do only while nobody else commits to the
    /// partition. Pass this error on: the driver locks the partition and runs the step again.
    #[error("a guess can be checked only while the partition is locked")]
    NeedsPartition(Standing),
    /// The step is about to check a guess that the host's verifier must compare with slow hashes.
    /// Pass this error on: the driver has it compared, and runs the step again
    /// ([`hashed`](crate::hashed)).
    #[error("the guess must be compared with slow hashes, outside of a step")]
    NeedsComparison,
    /// A body does not open: it is damaged, was moved, is an older version, or is sealed under a
    /// key that the keyring lacks. It never counts as absent.
    #[error(transparent)]
    Open(OpenError),
    /// A body opened but has an unknown form.
    #[error("the record `{0}` cannot be decoded: a newer version may have written it")]
    Decode(SlotName),
    /// A record could not be encoded.
    #[error("the record `{0}` cannot be encoded")]
    Encode(SlotName),
    /// The records that the root lists and those in the store are not the same.
    #[error(transparent)]
    Damaged(Damage),
    /// The root lists a kind of slot that this server does not know, or more slots of a kind than
    /// it declares. A newer version wrote it.
    #[error("the root lists the slot `{0}`, but this server declares no such kind or fewer slots of it")]
    UndeclaredSlot(SlotName),
    /// More slots of a kind were put than it declares, and nothing makes room for them. See
    /// [`Full`](crate::Full).
    #[error("the record `{0}` exceeds the number of slots of its kind")]
    TooManySlots(SlotName),
    /// The account's records were never created.
    #[error("the account has no records: call `ensure_account` at its sign-up, or at each log-in")]
    NoAccount,
    /// The account's records exist already.
    #[error("the account has records already")]
    AccountExists,
    /// The account has [`MAX_DUE`](crate::due::MAX_DUE) due tasks already.
    #[error("the account has too many due tasks")]
    TooMuchDue,
    /// A guess was to be checked inside a host's transaction, but needs a commit of its own.
    #[error("a guess cannot be checked inside a host's transaction")]
    GuessInHostTransaction,
    /// The random number generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A step produced an invalid batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A step contains a programming error.
    #[error("misuse: {0}")]
    Misuse(&'static str),
    /// A domain crate could not wrap a key. This does not happen with sound primitives and inputs.
    #[error("a key could not be wrapped")]
    Crypto,
}

impl StepError {
    /// Whether the error means that stored data is damaged, lost or altered, so that an operator
    /// must investigate.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Decode(_) | Self::Damaged(_) | Self::UndeclaredSlot(_))
    }
}

/// A difference between the root and the rest of the store: data was lost, altered or only partly
/// restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A record is missing that must be there, or is there although the root does not list it.
    #[error("the record `{0}` and the root disagree: a record was lost, added or put back")]
    Record(SlotName),
    /// The root opens but cannot have been written by this version.
    #[error("the root record contains values that no version writes")]
    Root,
    /// A newer version wrote the root record, in a form that this one does not know.
    #[error("a newer version wrote the root record")]
    NewerRoot,
    /// There are rows in a partition that has no root, or a blank one.
    #[error("the partition has rows but no root record")]
    Orphans,
    /// A row of the partition has a form in which no row is ever written.
    #[error("a row of the partition is malformed")]
    Form,
    /// A chain of events is not the one that the root authenticates.
    #[error("the chain of {0:?} and the root disagree: events were lost, altered or added, or the root was put back")]
    Events(EventChain),
    /// The rows of a vault are not those that its head authenticates.
    #[error("the rows of the vault and its head disagree: a row was lost, altered, added or put back")]
    Vault,
    /// The store returned a different number of slots than was requested.
    #[error("the store returned a different number of slots than was requested")]
    Answer,
}

struct Listed<'a>(&'a [SlotName]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, slot) in self.0.iter().enumerate() {
            write!(f, "{}`{slot}`", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
