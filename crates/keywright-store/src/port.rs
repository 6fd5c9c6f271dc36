//! The traits that a storage backend implements. They are object safe. No method that the guarantees
//! need has a default body.
//!
//! A backend has a table of roots (partition, revision, body, `purge_after`, `due_at`), one of
//! records (partition, slot, body, `purge_after`) and one of events. It applies a [`Batch`] in one
//! transaction that compares and sets the root's revision. `keywright-store-conformance` has the
//! test suite for backends.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};

use crate::batch::{Batch, EventNumber, Stored, StoredEvent};
use crate::first_of::first_of;
use crate::partition::Partition;
use crate::revision::Revision;
use crate::slot::SlotName;
use crate::vault::{CipherId, Manifest, Mark, Rows, StageId, StagedText, VaultRows, Which};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error, with its source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Stores records, with one guard per partition: the root's revision. For each partition, a backend
/// must be strictly serialisable, and must make a commit durable before it returns.
pub trait RecordStore: fmt::Debug + Send + Sync {
    /// Loads the root and the requested slots, in the order of the request, all from **one
    /// snapshot** that includes every commit that was acknowledged before the call. It must not
    /// read from a replica, and must return records even if they have expired.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed. The caller must deny.
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>>;

    /// Applies one compare-and-set of the root, together with everything else in the batch. It is
    /// durable before this returns. For a batch without a write, this checks whether the root still
    /// has that revision, as of a moment after the call began.
    ///
    /// The batch is passed by value, so that it can be sent to a writer thread. A backend must not
    /// retry a commit. Dropping the future does not undo the commit.
    ///
    /// # Errors
    /// Returns [`CommitError`] if the batch was not applied, or if that is unknown.
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Commits as [`commit`](Self::commit) does, and stops waiting when `limit` completes.
    ///
    /// By default the result is then [`CommitError::Unknown`]. A store that keeps commits in a
    /// queue should take back one that it has not begun, and return [`CommitError::Rejected`] with
    /// [`Shortage::Busy`] among its sources: a server can then say that nothing happened. It must
    /// be certain that the commit can never happen.
    ///
    /// # Errors
    /// Returns the errors of [`commit`](Self::commit).
    fn commit_until<'a>(&'a self, batch: Batch, limit: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), CommitError>> {
        let commit = first_of(self.commit(batch), limit);
        Box::pin(async move {
            let unknown = || Err(CommitError::Unknown("the store did not answer in time".into()));
            commit.await.unwrap_or_else(unknown)
        })
    }

    /// Loads events of one chain, newest first: those with a number below `before`, at most
    /// `limit`, with the root's revision from the same snapshot.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>>;
}

/// Stores vaults, which have too many rows for one record. A row is one cipher: its text, a note of
/// the application, and the random [marks](crate::Mark) that identify the stored versions of both.
/// Changes of a vault are part of a [`Batch`]. Rows of a new vault can also be stored beside the
/// current one, as a *stage*, without a guard; a batch can later *promote* the stage, which makes
/// its rows the current ones.
pub trait VaultStore: RecordStore {
    /// Loads the marks of every row, with the root's revision, from one snapshot.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>>;

    /// Loads rows, with the root's revision, from one snapshot.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>>;

    /// Stores rows under a stage id, replacing staged rows of the same cipher id, so that an upload
    /// can be resumed or repeated. Their notes are not stored. For a partition without a root this
    /// is refused, because rows without a root count as damage.
    ///
    /// # Errors
    /// Returns [`CommitError`] if nothing was staged, or if that is unknown; it is
    /// [`CommitError::Conflict`] if the partition has no root.
    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>>;

    /// Drops a stage and its rows immediately. An unknown stage is not an error. This is as
    /// unguarded as [`stage`](Self::stage), so use it only for a stage to which no record refers
    /// any more.
    ///
    /// # Errors
    /// Returns [`CommitError`] if nothing was dropped, or if that is unknown.
    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>>;

    /// Lists every (id, text mark) of a stage, sorted by id. The list of an unknown stage is empty.
    /// A malformed row is listed under the mark [`Mark::UNREADABLE`], because one such row must not
    /// prevent the others, or the account, from being read.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>>;

    /// Loads the texts of a stage, sorted by id: at most `limit` of those after `after`, or from
    /// the first if that is `None`. The result for an unknown stage is empty. A promotion opens the
    /// texts first. A malformed row is returned under the mark [`Mark::UNREADABLE`], without a
    /// text.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>>;
}

/// How far the horizon moves in one round, in seconds: a day. If a clock runs ahead by years, a
/// round deletes only what expired within one more day.
pub const HORIZON_STEP: u64 = 86_400;

/// Maintenance of a store, which is never part of handling a request.
///
/// What is swept is decided by the store's own **horizon**, not by a clock. Each round of
/// maintenance moves the horizon towards the clock's time, forward by at most [`HORIZON_STEP`] and
/// back without limit. A clock that once ran ahead thus has no lasting effect.
pub trait Upkeep: fmt::Debug + Send + Sync {
    /// Returns the horizon, or `None` if it was never moved.
    ///
    /// # Errors
    /// Returns [`LoadError`] if it cannot be read.
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>>;

    /// Moves the horizon to the smaller of `now` and a day beyond its present value, and returns
    /// it. A horizon beyond `now` thus comes back to `now`.
    ///
    /// If it was never moved, it starts at the smaller of `now` and a day beyond the newest event
    /// of the store, or at `now` if there is no event. A stored horizon that is not a valid time
    /// counts as one that was never moved.
    ///
    /// # Errors
    /// Returns [`CommitError`] if it was not moved, or if that is unknown.
    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>>;

    /// Deletes at most `limit` records, stages and whole partitions whose `purge_after` is before
    /// the horizon. Checking and deleting each one is atomic. A partition is dropped with
    /// everything in it. Returns how many were dropped.
    ///
    /// # Errors
    /// Returns [`CommitError`] if the sweep failed, or if that is unknown.
    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// Drops at most `limit` events that are more than `age` seconds older than the horizon. It
    /// drops only from the old end of a chain, and never a chain's newest event. Returns how many
    /// were dropped.
    ///
    /// # Errors
    /// Returns [`CommitError`] if no event was dropped, or if that is unknown.
    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// Lists at most `limit` partitions with a `due_at` at or before `before`, the earliest first,
    /// without reading the others.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>>;

    /// Lists the partitions that have any row (root, record, event, cipher or stage), in the order
    /// of their keys' bytes: at most `limit` of those after `after`.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>>;

    /// Lists the slots of a partition that hold a record, whatever its root lists, with the root's
    /// revision from the same snapshot. They are in the order of their printed forms' bytes: at
    /// most `limit` of those after `after`. Loads request only slots that a root lists, so only
    /// this finds a record that somebody has added.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed, with [`LoadError::Corrupt`] for a record in a slot
    /// of an unknown form.
    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>>;
}

/// A backend that keeps everything: records, vaults, and its own upkeep. Every type with the three
/// traits is one.
pub trait Store: VaultStore + Upkeep {}

impl<S: VaultStore + Upkeep + ?Sized> Store for S {}

/// The result of a load, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct Snapshot {
    /// The root.
    pub root: Option<Stored>,
    /// The bodies of the requested slots, in the order of the request.
    pub records: Vec<Option<Bytes>>,
    /// The newest number of each chain of events.
    pub newest: Newest,
    /// Whether the partition has any row besides its root: a record, an event, a cipher, or a
    /// stage. If it has no root, or an empty one, that is damage.
    pub has_rows: bool,
}

/// The newest number of each chain of events; 0 for a chain without events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct Newest {
    /// The newest number of the chain of changes and grants.
    pub changes: EventNumber,
    /// The newest number of the chain of denials.
    pub denials: EventNumber,
}

impl Newest {
    /// Returns the newest number of a chain.
    #[must_use]
    pub const fn of(&self, chain: EventChain) -> EventNumber {
        match chain {
            EventChain::Changes => self.changes,
            EventChain::Denials => self.denials,
        }
    }
}

/// The slots of a partition that hold records, and the root's revision from the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct StoredSlots {
    /// The root's revision; `None` if there is no root.
    pub root: Option<Revision>,
    /// The slots, in the order of their printed forms' bytes.
    pub slots: Vec<SlotName>,
}

/// A page of events, newest first, and the root's revision from the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct StoredEvents {
    /// The root's revision; `None` if there is no root.
    pub root: Option<Revision>,
    /// The events.
    pub events: Vec<StoredEvent>,
}

/// What a store lacks at the moment. A backend puts it among the sources of its error, at any depth,
/// and [`TransactError::shortage`](crate::TransactError::shortage) finds it there, so that a
/// request is answered with what helps: to try again, or to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Shortage {
    /// Others hold a lock, or every connection. Nothing was written; the same request may well
    /// succeed in a moment.
    #[error("the store is in use by others")]
    Busy,
    /// There is no room. Nothing was written, and nothing is lost.
    #[error("the store has no room")]
    Room,
}

impl Shortage {
    /// Returns the shortage that an error reports, or one of its sources.
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(shortage) = error.downcast_ref::<Self>() {
                return Some(*shortage);
            }
            next = error.source();
        }
        None
    }
}

/// A load failed. The caller must deny the request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The store cannot be reached, or failed.
    #[error("the store failed to load")]
    Failed(#[source] BoxError),
    /// A row has a form that this version does not know, or the store is damaged where it is.
    #[error("the store holds a row that is malformed, damaged or was written by a newer version")]
    Corrupt(#[source] BoxError),
    /// The load took too long: the driver ([`load_limit`](crate::DriverBuilder::load_limit)) or the
    /// backend itself gave it up. Try again.
    #[error("the store did not answer in time")]
    TimedOut,
}

/// A commit did not happen, or may have happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The root has another revision. Nothing was written; load again.
    #[error("the partition changed since it was loaded")]
    Conflict,
    /// The store refused the commit. Nothing was written.
    #[error("the store refused the commit")]
    Rejected(#[source] BoxError),
    /// The reply was lost, or `COMMIT` itself returned the error: the commit **may** have been
    /// written.
    #[error("it is unknown whether the commit happened")]
    Unknown(#[source] BoxError),
}
