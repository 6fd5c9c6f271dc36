//! A memory store that fails when told to.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use keywright_core::{SecurityEvent, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CommitError, EventId, LoadError, MemoryStore, Partition, RecordStore, Scanned, Slot, Stored,
    Upkeep,
};

#[derive(Debug, Default)]
pub(crate) struct FlakyStore {
    inner: MemoryStore,
    /// Every load fails.
    pub(crate) unreadable: AtomicBool,
    /// Every commit is refused.
    pub(crate) full: AtomicBool,
    /// Every commit's reply is lost, and the commit with it.
    pub(crate) silent: AtomicBool,
    /// What was loaded.
    pub(crate) loads: Mutex<Vec<Vec<Slot>>>,
}

impl RecordStore for FlakyStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [Slot],
    ) -> BoxFuture<'a, Result<Vec<Option<Stored>>, LoadError>> {
        if self.unreadable.load(Ordering::SeqCst) {
            return Box::pin(async { Err(LoadError::Failed("told to fail".into())) });
        }
        self.loads.lock().unwrap().push(slots.to_vec());
        self.inner.load(partition, slots)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        if self.silent.load(Ordering::SeqCst) {
            return Box::pin(async { Err(CommitError::Unknown("told to be silent".into())) });
        }
        if self.full.load(Ordering::SeqCst) {
            return Box::pin(async { Err(CommitError::Rejected("told to be full".into())) });
        }
        self.inner.commit(batch)
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        before: Option<EventId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(EventId, SecurityEvent)>, LoadError>> {
        self.inner.events(partition, before, limit)
    }
}

impl Upkeep for FlakyStore {
    fn sweep(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.sweep(before, limit)
    }

    fn forget_events(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.forget_events(before, limit)
    }

    fn scan(&self, after: Option<(Partition, Slot)>, limit: u32) -> BoxFuture<'_, Result<Vec<Scanned>, LoadError>> {
        self.inner.scan(after, limit)
    }
}
