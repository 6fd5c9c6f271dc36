//! A store whose bodies can be damaged under it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CommitError, EventNumber, LoadError, Partition, RecordStore, SlotName, Snapshot, StoredEvents,
    StoredSlots, Upkeep,
};

use tokio::sync::Notify;

use super::Store;

#[derive(Debug)]
pub(crate) struct Tampered {
    inner: Arc<dyn Store>,
    /// Partition and slot, `root` for a root.
    damaged: Mutex<BTreeSet<(Partition, String)>>,
    held_load: Mutex<Option<(usize, Arc<Held>)>>,
    held_commit: Mutex<Option<Arc<Held>>>,
}

/// A call that waits before it reaches the store.
#[derive(Debug, Default)]
pub(crate) struct Held {
    reached: Notify,
    released: Notify,
}

impl Held {
    /// Waits until the call is there.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }

    pub(crate) fn release(&self) {
        self.released.notify_one();
    }

    async fn hold(&self) {
        self.reached.notify_one();
        self.released.notified().await;
    }
}

impl Tampered {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, damaged: Mutex::default(), held_load: Mutex::default(), held_commit: Mutex::default() }
    }

    /// From now on, the last byte of this body is another.
    pub(crate) fn damage(&self, partition: &Partition, slot: &str) {
        self.damaged.lock().unwrap().insert((partition.clone(), slot.into()));
    }

    /// Holds one load: the first after `others`.
    pub(crate) fn hold_load(&self, others: usize) -> Arc<Held> {
        let held = Arc::new(Held::default());
        *self.held_load.lock().unwrap() = Some((others, Arc::clone(&held)));
        held
    }

    /// Holds the next commit.
    pub(crate) fn hold_commit(&self) -> Arc<Held> {
        let held = Arc::new(Held::default());
        *self.held_commit.lock().unwrap() = Some(Arc::clone(&held));
        held
    }

    fn next_load(&self) -> Option<Arc<Held>> {
        let mut held = self.held_load.lock().unwrap();
        match held.take() {
            Some((0, now)) => Some(now),
            Some((others, later)) => {
                *held = Some((others.saturating_sub(1), later));
                None
            }
            None => None,
        }
    }

    fn read(&self, partition: &Partition, slot: &str, body: Bytes) -> Bytes {
        if !self.damaged.lock().unwrap().contains(&(partition.clone(), slot.into())) {
            return body;
        }
        let mut body = body.to_vec();
        *body.last_mut().unwrap() ^= 1;
        body.into()
    }
}

impl RecordStore for Tampered {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            if let Some(held) = self.next_load() {
                held.hold().await;
            }
            let mut found = self.inner.load(partition, slots).await?;
            if let Some(root) = &mut found.root {
                root.body = self.read(partition, "root", std::mem::take(&mut root.body));
            }
            for (slot, record) in slots.iter().zip(&mut found.records) {
                *record = record.take().map(|body| self.read(partition, &slot.to_text(), body));
            }
            Ok(found)
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            let held = self.held_commit.lock().unwrap().take();
            if let Some(held) = held {
                held.hold().await;
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

impl Upkeep for Tampered {
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
