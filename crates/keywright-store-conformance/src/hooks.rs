//! What cannot be forced from outside: a backend that can bring these faults about lends a hand.

use std::sync::Arc;

use keywright_store::{Batch, BoxFuture, CommitError};

use crate::{Backend, Fault, FaultStore};

/// A backend whose faults can be forced: a connection that is cut, a `COMMIT` that fails, a transaction of a host's.
///
/// Each hook says whether it is there; a case whose hook is not is skipped, and says so. [`FaultStore`] has all but the
/// host's transaction.
pub trait FaultHooks: Send + Sync {
    /// The store. Always the same one.
    fn store(&self) -> Arc<dyn Backend>;

    /// Makes the reply of the next commit be lost: after the store has applied it (`landed`), or before it arrives.
    fn lose_next_reply(&self, landed: bool) -> Hook;

    /// Makes the next commit's own `COMMIT` fail: the transaction did all its work, the database answers with an error.
    fn fail_next_commit(&self) -> Hook;

    /// Lets the next commit stay on its way until [`deliver`](Self::deliver); its caller hears `Unknown`.
    fn hold_next_commit(&self) -> Hook;

    /// Delivers the held commit. Gives what the store says of it; `None` if none was held.
    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>>;

    /// Applies a batch inside a transaction of the host's own, then ends that transaction. Gives what the batch met there;
    /// `None` if the backend has no such thing.
    fn within_host(&self, batch: Batch, end: HostEnd) -> BoxFuture<'_, Option<Result<(), CommitError>>>;
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

/// What came of a case that needs a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The promise held.
    Held,
    /// The backend has no such hook.
    Skipped,
}

impl<S: Backend + 'static> FaultHooks for Arc<FaultStore<S>> {
    fn store(&self) -> Arc<dyn Backend> {
        Self::clone(self)
    }

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

    fn within_host(&self, _: Batch, _: HostEnd) -> BoxFuture<'_, Option<Result<(), CommitError>>> {
        Box::pin(std::future::ready(None))
    }
}
