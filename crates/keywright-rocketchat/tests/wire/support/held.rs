//! A store whose commits can be held up on their way.

use std::sync::{Arc, Mutex};

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CommitError, EventNumber, LoadError, Partition, RecordStore, SlotName, Snapshot, StoredEvents,
    StoredSlots, Upkeep,
};
use tokio::sync::Notify;

use super::Store;

#[derive(Debug)]
pub(crate) struct Held {
    inner: Arc<dyn Store>,
    commit: Mutex<Option<(Partition, Arc<Gate>)>>,
}

/// A commit that waits before it reaches the store.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    reached: Notify,
    opened: Notify,
}

impl Gate {
    /// Waits until the commit is there.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn open(&self) {
        self.opened.notify_one();
    }

    async fn pass(&self) {
        self.reached.notify_one();
        self.opened.notified().await;
    }
}

impl Held {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, commit: Mutex::default() }
    }

    /// Holds the next commit of a partition.
    pub(crate) fn hold_commit(&self, partition: Partition) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        *self.commit.lock().unwrap() = Some((partition, Arc::clone(&gate)));
        gate
    }

    fn commit_gate(&self, partition: &Partition) -> Option<Arc<Gate>> {
        let mut held = self.commit.lock().unwrap();
        held.take_if(|(wanted, _)| wanted == partition).map(|(_, gate)| gate)
    }
}

impl RecordStore for Held {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        self.inner.load(partition, slots)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            if let Some(gate) = self.commit_gate(batch.partition()) {
                gate.pass().await;
            }
            self.inner.commit(batch).await
        })
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        self.inner.events(partition, chain, before, limit)
    }
}

impl Upkeep for Held {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        self.inner.horizon()
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        self.inner.move_horizon(now)
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.sweep(limit)
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.forget_events(age, limit)
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.inner.due(before, limit)
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.inner.partitions(after, limit)
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        self.inner.slots(partition, after, limit)
    }
}
