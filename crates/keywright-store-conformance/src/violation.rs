//! What a case reports when it fails: the promise of the storage traits that was broken.

use keywright_core::{AccountIdError, EntropyError, KeyringError};
use keywright_store::{BatchError, BoxError, CommitError, LoadError, TransactError};

use crate::history::anomaly::Anomaly;

/// How long one case may take, in seconds. The slowest takes a few seconds on a memory store, so a
/// case that takes longer than this is deadlocked.
pub const PATIENCE: u64 = 120;

/// One promise of the storage traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Promise {
    /// A batch applies if the root has the expected revision, and only then.
    #[error("a batch applies if, and only if, the root has the expected revision")]
    Guard,
    /// A batch applies whole or not at all.
    #[error("a batch applies whole or not at all")]
    AllOrNothing,
    /// Of several writers that race for one root, exactly one wins.
    #[error("of those who race for one root, exactly one wins")]
    OneWinner,
    /// A root that looks as it did before does not satisfy an old guard.
    #[error("a root that looks as it did before does not satisfy an old guard")]
    NoReuse,
    /// The root is stored under the revision of the batch that put it.
    #[error("the root lies under the revision of the batch that put it")]
    Revision,
    /// Records are put and deleted unconditionally, whether or not they exist.
    #[error("records are put and deleted blindly, whatever was there")]
    Blind,
    /// A body comes back byte for byte.
    #[error("a body comes back byte for byte")]
    Bytes,
    /// Partitions are independent of each other.
    #[error("partitions know nothing of each other")]
    Partitions,
    /// A load returns one entry for each slot, in the order of the request.
    #[error("a load answers slot by slot, in the order of the question")]
    Order,
    /// Everything that one call reads is from one snapshot.
    #[error("whatever one call reads is from one snapshot")]
    Snapshot,
    /// A load never filters by age.
    #[error("a load never filters by age")]
    NoFilter,
    /// A read that starts after a commit was acknowledged sees that commit.
    #[error("whoever asks after a reply sees what was acknowledged")]
    Acknowledged,
    /// A commit whose future was dropped has applied whole or not at all.
    #[error("a commit whose future was dropped applied whole or not at all")]
    Dropped,
    /// A commit that is delivered after a fence never applies.
    #[error("a commit that is delivered after a fence never lands")]
    Fence,
    /// Events are stored with their change and unaltered, are never lost, and outlive an erase.
    #[error("events come with their change, unaltered, are never lost, and outlive an erase")]
    Events,
    /// Events are listed newest first, below a given number, up to a limit, and with the root of
    /// their snapshot.
    #[error("events are listed newest first, those before a number, at most a limit, with the root of their snapshot")]
    EventPages,
    /// A batch with an event number that is already taken is refused as a whole.
    #[error("an event's number that is taken refuses the whole batch")]
    EventNumbers,
    /// A load reports the highest number of each chain.
    #[error("a load reports the highest number of each chain")]
    Newest,
    /// A load reports whether a partition has rows other than its root, and also whether it has
    /// rows without a root.
    #[error("a load reports whether a partition has rows beside its root, or without one")]
    LostRoot,
    /// An erase leaves only what its own batch puts, and the events.
    #[error("an erase leaves nothing but what its own batch puts, and the events")]
    Erase,
    /// Vault edits and reads do what they promise, sorted by id.
    #[error("vault edits and reads do what they say, sorted by id")]
    Vault,
    /// A swap covers exactly the ciphers that the account has.
    #[error("a swap covers exactly the ciphers that the account has")]
    ExactCover,
    /// A swap leaves the notes beside the ciphers unchanged.
    #[error("a swap leaves the notes beside the ciphers")]
    Notes,
    /// A stage in a partition with a root keeps its rows, by id, until it is promoted, dropped,
    /// erased or swept.
    #[error("a stage beside a root keeps its rows, by id, until it is promoted, dropped, erased or swept")]
    Stages,
    /// A promotion moves exactly the rows that were checked.
    #[error("a promotion moves exactly the rows that were checked")]
    Checked,
    /// The horizon follows the clock: forward by at most a day a round, and back at once.
    #[error("the horizon follows the clock, forward by at most a day a round, back at once")]
    Horizon,
    /// A sweep drops the rows that lie before the horizon when it deletes them, nothing else, and
    /// no more than its limit.
    #[error("a sweep drops what lies before the horizon as it deletes it, nothing else, and no more than its limit")]
    Sweep,
    /// Events are forgotten from the old end of their chain, and the newest one never is.
    #[error("events are forgotten from the old end of their chain, and never the newest")]
    Forget,
    /// Due partitions are found by their current due moment, the earliest first.
    #[error("due partitions are found by their present due moment, the earliest first")]
    Due,
    /// Every partition that has a row is listed once, in the order of its key's bytes.
    #[error("every partition that has a row is listed once, in the order of its key's bytes")]
    Listing,
    /// A commit that may have happened is `Unknown`, never `Conflict` or `Rejected`.
    #[error("a commit that may have happened is `Unknown`, never `Conflict` or `Rejected`")]
    Unknown,
    /// A batch that fails inside a host's transaction leaves nothing in it.
    #[error("a batch that fails inside a host's transaction leaves nothing there")]
    HostTransaction,
    /// A commit is durable before it is acknowledged.
    #[error("a commit is durable before it is acknowledged")]
    Durable,
    /// A partition is strictly serialisable.
    #[error("a partition is strictly serialisable")]
    Serialisable,
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A promise was broken.
    #[error("broken: {promise}; {seen}")]
    Broken {
        /// The promise.
        promise: Promise,
        /// What the case saw.
        seen: String,
    },
    /// No serial order explains a recorded history. The history is printed in the shortest form
    /// that was found.
    #[error("broken: a partition is strictly serialisable; {0}")]
    History(#[source] Box<Anomaly>),
    /// The store failed to load, although no fault was injected.
    #[error("the store failed to load although nothing was wrong")]
    Load(#[from] LoadError),
    /// The store failed to commit, although no fault was injected.
    #[error("the store failed to commit although nothing was wrong")]
    Commit(#[source] CommitError),
    /// A driver on the store failed, although no fault was injected.
    #[error("a driver on the store failed although nothing was wrong")]
    Transact(#[from] TransactError),
    /// The case did not end in time. The usual cause is a lock that is never released.
    #[error("the case did not end within {0} seconds")]
    Hung(u64),
    /// The suite itself could not continue. This does not concern the store, unless one of its
    /// calls panicked.
    #[error("the suite itself could not go on")]
    Suite(#[source] BoxError),
}

impl Violation {
    /// Returns the promise that was broken, if a promise was.
    #[must_use]
    pub const fn promise(&self) -> Option<Promise> {
        match self {
            Self::Broken { promise, .. } => Some(*promise),
            Self::History(_) => Some(Promise::Serialisable),
            _ => None,
        }
    }

    pub(crate) fn suite(error: impl Into<BoxError>) -> Self {
        Self::Suite(error.into())
    }
}

macro_rules! from_suite {
    ($($error:ty),+) => {$(
        impl From<$error> for Violation {
            fn from(error: $error) -> Self {
                Self::suite(error)
            }
        }
    )+};
}
from_suite!(BatchError, EntropyError, AccountIdError, KeyringError);

/// Ends a case with a violation unless the condition holds.
macro_rules! holds {
    ($condition:expr, $promise:ident, $($seen:tt)+) => {
        if !$condition {
            return Err($crate::Violation::Broken { promise: $crate::Promise::$promise, seen: format!($($seen)+) });
        }
    };
}
pub(crate) use holds;
