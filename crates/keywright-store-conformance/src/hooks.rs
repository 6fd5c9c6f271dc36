//! What cannot be brought about through the storage traits, and what a backend offers for it.

use std::sync::Arc;

use keywright_store::{
    AsyncHostTransaction, Batch, BoxError, BoxFuture, CommitError, HostTransaction, LoadError, Partition, SlotName,
    Snapshot,
};
use tokio::runtime::Handle;

use crate::crash::Crashed;
use crate::fault::{Fault, FaultStore};
use keywright_store::Store;

/// A backend whose replies can be lost: a connection is cut, a `COMMIT` fails, a commit arrives
/// late.
///
/// The fault must happen **below** the backend's own handling of replies, between its last line of
/// code and the database. A wrapper around the backend would hide that the backend retries by
/// itself, or that it reports a lost `COMMIT` as refused. Only a store that is called in the same
/// process, and so has no reply to lose, may use [`FaultStore`] as its hooks.
///
/// Every hook applies to the next commit through the **first** handle.
pub trait FaultHooks: Send + Sync {
    /// Loses the reply of the next commit, either after the database has applied it (`landed`) or
    /// before it reaches the database.
    fn lose_next_reply(&self, landed: bool) -> Hook;

    /// Makes the next commit's own `COMMIT` fail: the transaction has done all its work, and the
    /// database answers with an error.
    fn fail_next_commit(&self) -> Hook;

    /// Holds the next commit until [`deliver`](Self::deliver). Its caller receives
    /// [`Unknown`](CommitError::Unknown).
    fn hold_next_commit(&self) -> Hook;

    /// Delivers the held commit. Returns the store's reply to it, or `None` if no commit was held.
    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>>;
}

/// Whether a hook is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is there or it is not")]
pub enum Hook {
    /// The fault will happen to the next commit.
    Armed,
    /// This backend cannot cause the fault.
    Unsupported,
}

/// How a host ends its transaction, whatever the outcome of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a transaction ends in one of two ways")]
pub enum HostEnd {
    /// The host commits.
    Commit,
    /// The host rolls back.
    RollBack,
}

/// A backend that can load and apply on a transaction that the host holds.
pub trait HostHook: Send + Sync {
    /// Opens a transaction of the host on the store's database, runs `work` in it, and ends it. If
    /// its calls have to be awaited, [`run_host_transaction`] does the last two.
    ///
    /// It is called where blocking is allowed.
    ///
    /// # Errors
    /// An error if the transaction cannot be opened or ended.
    fn within(&self, end: HostEnd, work: &mut dyn FnMut(&mut dyn HostTransaction)) -> Result<(), BoxError>;
}

/// Runs `work` in a transaction of the host's that has to be awaited, and ends it. This is for
/// [`HostHook::within`], and blocks.
///
/// # Errors
/// An error if the transaction cannot be committed.
pub fn run_host_transaction<X: AsyncHostTransaction>(
    mut transaction: X,
    end: HostEnd,
    work: &mut dyn FnMut(&mut dyn HostTransaction),
) -> Result<(), BoxError> {
    work(&mut Blocking(&mut transaction));
    match end {
        HostEnd::Commit => Handle::current().block_on(transaction.commit())?,
        HostEnd::RollBack => Handle::current().block_on(transaction.roll_back()),
    }
    Ok(())
}

struct Blocking<'a>(&'a mut dyn AsyncHostTransaction);

impl HostTransaction for Blocking<'_> {
    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        Handle::current().block_on(self.0.load(partition, slots))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        Handle::current().block_on(self.0.apply(batch))
    }
}

/// A backend whose rows can be reached without the storage traits, as an operator does with a
/// database shell.
pub trait LostRootHook: Send + Sync {
    /// Deletes the row of a partition's root, and nothing else.
    fn lose_root<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<(), BoxError>>;
}

/// A backend that survives the end of a process, because it uses files or a separate server.
pub trait CrashHook: Send + Sync {
    /// Runs another process that writes
    /// [`crash::write_until_killed`](crate::crash::write_until_killed) to the store, kills it
    /// without warning after at least `acknowledged` commits, and opens the store again.
    ///
    /// [`crash::kill_process`](crate::crash::kill_process) implements this for a backend that can
    /// name the command.
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>>;
}

impl<S: Store + 'static> FaultHooks for Arc<FaultStore<S>> {
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
