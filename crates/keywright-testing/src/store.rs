//! The store that a test needs, and a store that keeps no vault.

use std::sync::Arc;

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CommitError, EventNumber, LoadError, Partition, RecordStore, SlotName, Snapshot, StoredEvents,
    StoredSlots, Upkeep, VaultStore,
};

/// A whole store: records, vault and upkeep. Every type with these three traits implements it.
pub trait Store: VaultStore + Upkeep {}

impl<S: VaultStore + Upkeep + ?Sized> Store for S {}

/// The records and the upkeep of a store. Its type keeps no vault.
#[derive(Debug)]
pub struct WithoutVault<S: ?Sized>(Arc<S>);

impl<S: ?Sized> WithoutVault<S> {
    /// Shares a store.
    #[must_use]
    pub const fn new(store: Arc<S>) -> Self {
        Self(store)
    }
}

impl<S: RecordStore + ?Sized> RecordStore for WithoutVault<S> {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        self.0.load(partition, slots)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        self.0.commit(batch)
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        self.0.events(partition, chain, before, limit)
    }
}

impl<S: Upkeep + ?Sized> Upkeep for WithoutVault<S> {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        self.0.horizon()
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        self.0.move_horizon(now)
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.sweep(limit)
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.forget_events(age, limit)
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.0.due(before, limit)
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.0.partitions(after, limit)
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        self.0.slots(partition, after, limit)
    }
}
