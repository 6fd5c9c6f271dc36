//! The storage port. Object safe; no method has a default body, because each one carries a part of the promise.
//!
//! To write a backend: keep a table of roots (partition, revision, body, two hints), one of records (partition, slot,
//! body, purge hint) and one of events; apply a [`Batch`] as one compare-and-set of the root; then run
//! `keywright-store-conformance` against it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};

use crate::{
    Batch, CipherId, EventNumber, Manifest, Mark, Partition, Revision, Rows, SlotName, StageId, StagedText, Stored,
    StoredEvent, VaultRows, Which,
};

/// A boxed future.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any error, with its source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Records under one guard per partition. Per partition a backend is strictly serialisable, and durable before it answers.
pub trait RecordStore: fmt::Debug + Send + Sync {
    /// The root and the slots asked for, in order, all from **one snapshot** that includes every commit acknowledged
    /// before the call: never from a replica. It never filters by age.
    ///
    /// # Errors
    /// [`LoadError`]; the caller denies.
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>>;

    /// One compare-and-set of the root, and with it everything else in the batch; durable before it answers. Without a
    /// write it answers whether the root still has that revision, as of a moment after the call began. By value, so that
    /// it can cross to a writer thread. Never retries by itself. Dropping the future does not undo it.
    ///
    /// # Errors
    /// [`CommitError`].
    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Events of one chain, newest first, those with a number below `before`, at most `limit`, with the root's revision of
    /// the same snapshot.
    ///
    /// # Errors
    /// [`LoadError`].
    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>>;
}

/// The vault: rows too many for one record. Writes ride in a [`Batch`]; staging is unguarded, its promotion is not.
pub trait VaultStore: RecordStore {
    /// The marks of every row, with the root's revision, from one snapshot.
    ///
    /// # Errors
    /// [`LoadError`].
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>>;

    /// Rows, with the root's revision, from one snapshot.
    ///
    /// # Errors
    /// [`LoadError`].
    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>>;

    /// Keeps rows under a stage id, replacing those of the same id: an upload can be resumed or repeated. Their notes are
    /// not kept. A partition without a root takes none: they would lie there as rows that lost it.
    ///
    /// # Errors
    /// [`CommitError`]; [`CommitError::Conflict`] if the partition has no root.
    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>>;

    /// Drops a stage and its rows at once; an unknown one is no error. As unguarded as [`stage`](Self::stage): only for one
    /// that no record names any more.
    ///
    /// # Errors
    /// [`CommitError`].
    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>>;

    /// Every (id, text mark) of a stage, sorted by id; empty for an unknown one. A row with a column of an unknown form is
    /// listed under the mark [`Mark::UNREADABLE`]: one such row must not keep the others, nor the account, from being read.
    ///
    /// # Errors
    /// [`LoadError`].
    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>>;

    /// The texts of a stage, sorted by id: at most `limit` of those behind `after`, from the first if that is `None`; empty
    /// for an unknown one. Whoever promotes a stage opens them first. A row with a column of an unknown form is shown under the
    /// mark [`Mark::UNREADABLE`], without a text.
    ///
    /// # Errors
    /// [`LoadError`].
    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>>;
}

/// How far the horizon moves in one round, in seconds: a day. A clock that runs ahead by years deletes a day's worth.
pub const HORIZON_STEP: u64 = 86_400;

/// Housekeeping, never on a request's path.
///
/// What is swept is decided by the store's own **horizon**, not by a clock: it follows the clock by at most
/// [`HORIZON_STEP`] a round, and comes back with it at once. A clock that once ran ahead leaves nothing behind.
pub trait Upkeep: fmt::Debug + Send + Sync {
    /// The horizon; `None` if it was never moved.
    ///
    /// # Errors
    /// [`LoadError`].
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>>;

    /// Moves the horizon to the smaller of `now` and a day beyond where it stands, and returns it: a horizon that lies beyond
    /// `now` comes back to it. Where it was never moved, it starts at the smaller of `now` and a day beyond the newest event
    /// of the store, or at `now` where there is none. A stored horizon that is no moment counts as one never moved.
    ///
    /// # Errors
    /// [`CommitError`].
    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>>;

    /// Drops at most `limit` records, stages and whole partitions whose `purge_after` lies before the horizon. Each is
    /// judged as it is at the moment in which it is deleted, in one atomic step; a partition goes with everything in it.
    /// Returns how many were dropped.
    ///
    /// # Errors
    /// [`CommitError`].
    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// Drops at most `limit` events that are more than `age` seconds older than the horizon: only from the old end of their
    /// chain, and never the newest of a chain. Returns how many were dropped.
    ///
    /// # Errors
    /// [`CommitError`].
    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>>;

    /// At most `limit` partitions with a `due_at` at or before `before`, the earliest first, without reading the others.
    ///
    /// # Errors
    /// [`LoadError`].
    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>>;

    /// Partitions that have any row (root, record, event, cipher or stage), in the order of their keys' bytes, those after
    /// `after`, at most `limit`.
    ///
    /// # Errors
    /// [`LoadError`].
    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>>;

    /// The slots of a partition in which a record lies, whatever its root names, with the root's revision of the same
    /// snapshot: in the order of their printed forms' bytes, those after `after`, at most `limit`. What loads name comes from
    /// roots; only this finds a record that somebody has added.
    ///
    /// # Errors
    /// [`LoadError`]; [`LoadError::Corrupt`] for a record in a slot of no known form.
    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>>;
}

/// What a load found, from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct Snapshot {
    /// The root.
    pub root: Option<Stored>,
    /// The bodies of the slots asked for, in that order.
    pub records: Vec<Option<Bytes>>,
    /// The newest number of each chain of events.
    pub newest: Newest,
    /// Whether the partition has any row beside its root: a record, an event, a cipher, a stage. Where it has no root, or
    /// one in which nothing is, that is damage.
    pub has_rows: bool,
}

/// The newest number of each chain of events; 0 where a chain has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct Newest {
    /// Of changes and grants.
    pub changes: EventNumber,
    /// Of denials.
    pub denials: EventNumber,
}

impl Newest {
    /// The newest number of a chain.
    #[must_use]
    pub const fn of(&self, chain: EventChain) -> EventNumber {
        match chain {
            EventChain::Changes => self.changes,
            EventChain::Denials => self.denials,
        }
    }
}

/// The slots in which records of a partition lie, and the root's revision of the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct StoredSlots {
    /// The root's revision; `None` where there is no root.
    pub root: Option<Revision>,
    /// The slots, in the order of their printed forms' bytes.
    pub slots: Vec<SlotName>,
}

/// A page of events, newest first, and the root's revision of the same snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "backends make it")]
pub struct StoredEvents {
    /// The root's revision; `None` where there is no root.
    pub root: Option<Revision>,
    /// The events.
    pub events: Vec<StoredEvent>,
}

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
    /// It took too long: the driver has given it up ([`load_limit`](crate::DriverBuilder::load_limit)), or the backend has
    /// by itself. Try again.
    #[error("the store gave no answer in time")]
    TimedOut,
}

/// A commit that did not happen, or perhaps did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The root has another revision. Nothing was written; load again.
    #[error("the partition changed since it was loaded")]
    Conflict,
    /// The store refused. Nothing was written.
    #[error("the store refused the commit")]
    Rejected(#[source] BoxError),
    /// The reply was lost, or the error came from `COMMIT` itself: **perhaps** written.
    #[error("it is unknown whether the commit happened")]
    Unknown(#[source] BoxError),
}
