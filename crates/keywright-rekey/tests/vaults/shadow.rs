//! A store in memory whose vault reads can be made to answer otherwise: as a backend does that reads in two steps, or one
//! that lags behind.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, MemoryStore, Partition,
    RecordStore, Revision, Rows, SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows,
    VaultStore, Which,
};

/// What becomes of one read of the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trick {
    /// One row is missing.
    Lost,
    /// One row is missing, and the root is another.
    LostElsewhere,
    /// The rows are right, and the root is another.
    Elsewhere,
}

#[derive(Debug, Default)]
pub(crate) struct Shadow {
    inner: MemoryStore,
    next: Mutex<VecDeque<Trick>>,
    always: Mutex<Option<Trick>>,
}

impl Shadow {
    /// The next reads of the vault.
    pub(crate) fn next(&self, tricks: impl IntoIterator<Item = Trick>) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).extend(tricks);
    }

    /// All further reads.
    pub(crate) fn always(&self, trick: Option<Trick>) {
        *self.always.lock().unwrap_or_else(PoisonError::into_inner) = trick;
    }

    fn trick(&self) -> Option<Trick> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.or(*self.always.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn play<T>(trick: Option<Trick>, root: &mut Option<Revision>, rows: &mut Vec<T>) {
    if matches!(trick, Some(Trick::Lost | Trick::LostElsewhere)) {
        rows.pop();
    }
    if matches!(trick, Some(Trick::LostElsewhere | Trick::Elsewhere)) {
        *root = Some(Revision::from_bytes([0x77; 16]));
    }
}

impl VaultStore for Shadow {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(async move {
            let mut manifest = self.inner.manifest(account).await?;
            play(self.trick(), &mut manifest.root, &mut manifest.rows);
            Ok(manifest)
        })
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        Box::pin(async move {
            let mut read = self.inner.read(account, which).await?;
            match &mut read.marks {
                Some(marks) => play(self.trick(), &mut read.root, marks),
                None => play(self.trick(), &mut read.root, &mut read.rows),
            }
            Ok(read)
        })
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        self.inner.stage(account, stage, rows, purge_after)
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        self.inner.unstage(account, stage)
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        self.inner.staged(account, stage)
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        self.inner.staged_texts(account, stage, after, limit)
    }
}

impl RecordStore for Shadow {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        self.inner.load(partition, slots)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        self.inner.commit(batch)
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

impl Upkeep for Shadow {
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
