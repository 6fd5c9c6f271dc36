//! What cannot be brought about through the port: a backend that can do it lends a hand.

use std::sync::Arc;

use keywright_store::{BoxError, BoxFuture, CommitError, HostTransaction, Partition};

use crate::backend::Backend;
use crate::crash::Crashed;
use crate::fault::{Fault, FaultStore};

/// A backend whose replies can be lost: a connection that is cut, a `COMMIT` that fails, a commit that arrives late.
///
/// The fault must lie **below** the backend's own handling of replies: between its last line of
/// code and the database. A wrapper around the backend would hide that it tries again by itself, or
/// that it reports a lost `COMMIT` as refused. Only a store that is called in the same process, and
/// so has no reply to lose, may use [`FaultStore`] as its hooks.
///
/// Every hook is about the next commit through the **first** handle.
pub trait FaultHooks: Send + Sync {
    /// Loses the reply of the next commit: after the database has applied it (`landed`), or before it gets there.
    fn lose_next_reply(&self, landed: bool) -> Hook;

    /// Makes the next commit's own `COMMIT` fail: the transaction did all its work, the database answers with an error.
    fn fail_next_commit(&self) -> Hook;

    /// Lets the next commit stay on its way until [`deliver`](Self::deliver); its caller is told
    /// [`Unknown`](CommitError::Unknown).
    fn hold_next_commit(&self) -> Hook;

    /// Delivers the held commit. Returns what the store says of it; `None` if none was held.
    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>>;
}

/// Whether a hook is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is there or it is not")]
pub enum Hook {
    /// The fault will happen to the next commit.
    Armed,
    /// This backend cannot do that.
    Unsupported,
}

/// How a host ends its transaction, whatever the batch met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a transaction ends in one of two ways")]
pub enum HostEnd {
    /// It commits.
    Commit,
    /// It rolls back.
    RollBack,
}

/// A backend that can load and apply on a transaction which the host holds.
pub trait HostHook: Send + Sync {
    /// Opens a transaction of the host's own at the store's database, runs `work` in it, and ends it.
    ///
    /// # Errors
    /// If the transaction cannot be opened or ended.
    fn within(&self, end: HostEnd, work: &mut dyn FnMut(&mut dyn HostTransaction)) -> Result<(), BoxError>;
}

/// A backend whose rows can be reached past the port, as by an operator with a database shell.
pub trait LostRootHook: Send + Sync {
    /// Drops the row of a partition's root, and nothing else.
    fn lose_root<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// A backend that survives the end of a process: on files, or on a server of its own.
pub trait CrashHook: Send + Sync {
    /// Has another process write [`crash::write_until_killed`](crate::crash::write_until_killed) to the store, kills it
    /// without warning after at least `acknowledged` commits, and opens the store again.
    ///
    /// [`crash::kill_process`](crate::crash::kill_process) does it for a backend that can name the command.
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>>;
}

impl<S: Backend + 'static> FaultHooks for Arc<FaultStore<S>> {
    fn lose_next_reply(&self, landed: bool) -> Hook {
        self.next_commit(if landed { Fault::LostAfter } else { Fault::LostBefore });
        Hook::Armed
    }

    fn fail_next_commit(&self) -> Hook {
        self.next_commit(Fault::CommitFailed);
        Hook::Armed
    }

    fn hold_next_commit(&self) -> Hook {
        self.next_commit(Fault::Held);
        Hook::Armed
    }

    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>> {
        Box::pin(FaultStore::deliver(self))
    }
}
