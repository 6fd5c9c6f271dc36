//! The storage port. Object safe; no method has a default body, because each one carries a part of the promise.
//!
//! To write a backend: map (partition, slot) to a body and a revision, apply a [`Batch`] in one transaction that locks
//! the root row first, and run `keywright-store-conformance` against it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

use keywright_core::{SecurityEvent, UnixSeconds};

use crate::{Batch, CipherId, Manifest, Mark, Partition, Row, Rows, Slot, StageId, Stored, Which};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error, with its source.
pub type BoxError = Box<dyn core::error::Error + Send + Sync + 'static>;

/// Guarded records.
pub trait RecordStore: fmt::Debug + Send + Sync {
    /// The slots asked for, in order, all from **one snapshot of the primary**. Never filters by age: the core owns the
    /// clock.
    ///
    /// # Errors
    /// [`LoadError`]; the caller denies.
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [Slot],
    ) -> BoxFuture<'a, Result<Vec<Option<Stored>>, LoadError>>;

    /// Applies all of the batch, durably, or nothing. By value, so that it can cross to a writer thread. Never retries
    /// by itself. Dropping the future does not undo it.
    ///
    /// # Errors
    /// [`CommitError`].
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Events of a partition, newest first, those before `before`, at most `limit`.
    ///
    /// # Errors
    /// [`LoadError`].
    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        before: Option<EventId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(EventId, SecurityEvent)>, LoadError>>;
}

/// The vault: rows too many for one record. Writes ride in a [`Batch`]; staging is unguarded, its promotion is not.
pub trait VaultStore: RecordStore {
    /// Head and every (id, mark), sorted by id, from one snapshot.
    ///
    /// # Errors
    /// [`LoadError`].
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>>;

    /// Rows, sorted by id, from one snapshot.
    ///
    /// # Errors
    /// [`LoadError`].
    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<Vec<Row>, LoadError>>;

    /// Keeps rows under a stage id, replacing those of the same id: an upload can be resumed or repeated.
    ///
    /// # Errors
    /// [`CommitError`].
    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>>;

    /// Drops a stage and its rows at once: a refused upload should not lie there until it is swept. An unknown one is no
    /// error. As unguarded as [`stage`](Self::stage): only for one that no record names any more.
    ///
    /// # Errors
    /// [`CommitError`].
    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>>;

    /// Every (id, mark) of a stage, sorted by id; empty for an unknown one.
    ///
    /// # Errors
    /// [`LoadError`].
    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>>;
}

/// Housekeeping, never on a request's path.
pub trait Upkeep: fmt::Debug + Send + Sync {
    /// Drops at most `limit` records and stages whose `purge_after` lies before `before`. Gives their number.
    ///
    /// # Errors
    /// [`CommitError`].
    fn sweep(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// Drops at most `limit` events older than `before`. Gives their number.
    ///
    /// # Errors
    /// [`CommitError`].
    fn forget_events(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// Records of all partitions, in the order of (partition, slot) as text, those after `after`, at most `limit`:
    /// for re-sealing, for due work, and to see whether a store is empty.
    ///
    /// # Errors
    /// [`LoadError`].
    fn scan(&self, after: Option<(Partition, Slot)>, limit: u32) -> BoxFuture<'_, Result<Vec<Scanned>, LoadError>>;
}

/// One record met by a [`scan`](Upkeep::scan).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// Its partition.
    pub partition: Partition,
    /// Its slot.
    pub slot: Slot,
    /// What lies there.
    pub stored: Stored,
    /// The sweep hint that it was put with: who puts the same body again keeps it.
    pub purge_after: Option<UnixSeconds>,
}

/// The place of an event in its partition's log; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub u64);

/// A load that failed. Nothing was learned; the caller denies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store cannot be reached, or failed.
    #[error("the store failed to load")]
    Failed(#[source] BoxError),
    /// A row has a form that this version does not know.
    #[error("the store holds a row of an unknown form")]
    Corrupt(#[source] BoxError),
}

/// A commit that did not happen, or perhaps did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A guard failed. Nothing was written; load again.
    #[error("a record changed since it was loaded")]
    Conflict,
    /// The store refused. Nothing was written.
    #[error("the store refused the commit")]
    Rejected(#[source] BoxError),
    /// The reply was lost, or the error came from `COMMIT` itself: **perhaps** written.
    #[error("it is unknown whether the commit happened")]
    Unknown(#[source] BoxError),
}
