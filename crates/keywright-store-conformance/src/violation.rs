//! What a case says when it fails: which promise of the port was broken.

use keywright_core::{AccountIdError, EntropyError};
use keywright_store::{BatchError, BoxError, CommitError, LoadError, TransactError};

/// One promise of the storage port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Promise {
    /// A batch applies if all its guards hold, and only then; a batch that does not is a conflict.
    #[error("a batch applies if, and only if, every guard holds")]
    Guards,
    /// A batch applies whole or not at all.
    #[error("a batch applies whole or not at all")]
    AllOrNothing,
    /// Of those who race for one grant, exactly one wins.
    #[error("of those who race for one grant, exactly one wins")]
    OneWinner,
    /// A record that was deleted and made again does not satisfy an old guard.
    #[error("a record that was deleted and made again does not satisfy an old guard")]
    NoReuse,
    /// A record lies under the revision of the batch that put it.
    #[error("a record lies under the revision of the batch that put it")]
    Revision,
    /// A body comes back byte for byte.
    #[error("a body comes back byte for byte")]
    Bytes,
    /// Partitions know nothing of each other.
    #[error("partitions know nothing of each other")]
    Partitions,
    /// A load answers slot by slot, in the order of the question.
    #[error("a load answers slot by slot, in the order of the question")]
    Order,
    /// Whatever one call reads is from one snapshot.
    #[error("whatever one call reads is from one snapshot")]
    Snapshot,
    /// A load never filters by age.
    #[error("a load never filters by age")]
    NoFilter,
    /// What was acknowledged is there.
    #[error("what was acknowledged is there")]
    Acknowledged,
    /// A commit whose future was dropped applied whole or not at all.
    #[error("a commit whose future was dropped applied whole or not at all")]
    Dropped,
    /// Events are listed newest first, those before a mark, at most a limit.
    #[error("events are listed newest first, those before a mark, at most a limit")]
    EventOrder,
    /// Events come with their change, are never lost, and outlive an erase.
    #[error("events come with their change, are never lost, and outlive an erase")]
    Events,
    /// An erase leaves nothing but what its own batch writes, and the events.
    #[error("an erase leaves nothing but what its own batch writes, and the events")]
    Erase,
    /// A swap covers exactly the ciphers that the account owns.
    #[error("a swap covers exactly the ciphers that the account owns")]
    ExactCover,
    /// A swap leaves the notes beside the ciphers.
    #[error("a swap leaves the notes beside the ciphers")]
    Notes,
    /// Vault edits and reads do what they say, sorted by id.
    #[error("vault edits and reads do what they say, sorted by id")]
    Vault,
    /// A stage keeps its rows, by id, until it is promoted, dropped, erased or swept.
    #[error("a stage keeps its rows, by id, until it is promoted, dropped, erased or swept")]
    Stages,
    /// A sweep drops only what is due, and no more than it was told.
    #[error("a sweep drops only what is due, and no more than it was told")]
    Sweep,
    /// A scan meets every record once, in order.
    #[error("a scan meets every record once, in order")]
    Scan,
    /// A commit that may have happened is `Unknown`, never `Conflict` or `Rejected`.
    #[error("a commit that may have happened is `Unknown`, never `Conflict` or `Rejected`")]
    Unknown,
    /// A commit that is delivered after a fence never lands.
    #[error("a commit that is delivered after a fence never lands")]
    Fence,
    /// A batch that fails inside a host's transaction leaves nothing there.
    #[error("a batch that fails inside a host's transaction leaves nothing there")]
    HostTransaction,
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A promise was broken.
    #[error("broken: {promise}; {seen}")]
    Broken {
        /// Which.
        promise: Promise,
        /// What was seen.
        seen: String,
    },
    /// The store failed to load although nothing was wrong.
    #[error("the store failed to load although nothing was wrong")]
    Load(#[from] LoadError),
    /// The store failed to commit although nothing was wrong.
    #[error("the store failed to commit although nothing was wrong")]
    Commit(#[source] CommitError),
    /// A driver on the store failed although nothing was wrong.
    #[error("a driver on the store failed although nothing was wrong")]
    Transact(#[from] TransactError),
    /// The case did not end in time: a lock that is never given back, as a rule.
    #[error("the case did not end within {0} seconds")]
    Hung(u64),
    /// The suite itself could not go on; says nothing about the store, unless one of its calls panicked.
    #[error("the suite itself could not go on")]
    Suite(#[source] BoxError),
}

impl Violation {
    /// The promise that was broken, if it was one.
    #[must_use]
    pub const fn promise(&self) -> Option<Promise> {
        match self {
            Self::Broken { promise, .. } => Some(*promise),
            _ => None,
        }
    }

    pub(crate) fn suite(error: impl Into<BoxError>) -> Self {
        Self::Suite(error.into())
    }
}

impl From<BatchError> for Violation {
    fn from(error: BatchError) -> Self {
        Self::suite(error)
    }
}

impl From<EntropyError> for Violation {
    fn from(error: EntropyError) -> Self {
        Self::suite(error)
    }
}

impl From<AccountIdError> for Violation {
    fn from(error: AccountIdError) -> Self {
        Self::suite(error)
    }
}

/// Ends a case unless something holds.
macro_rules! holds {
    ($condition:expr, $promise:ident, $($seen:tt)+) => {
        if !$condition {
            return Err($crate::Violation::Broken { promise: $crate::Promise::$promise, seen: format!($($seen)+) });
        }
    };
}
pub(crate) use holds;
