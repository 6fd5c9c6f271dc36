//! The port: each method is one statement, except for housekeeping.

use std::future::pending;

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, Partition, RecordStore, Rows,
    SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows, VaultStore, Which,
};

use crate::fault::Fault;
use crate::link::Link;
use crate::store::PostgresStore;
use crate::{read, upkeep, write};

/// Reports a conflict for what was not done.
fn done(done: Result<bool, Fault>) -> Result<(), CommitError> {
    match done {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommitError::Conflict),
        Err(fault) => Err(fault.into_commit_error()),
    }
}

/// Reports a conflict for what does not hold. A check changes nothing, so nothing about it is unknown.
fn checked(holds: Result<bool, Fault>) -> Result<(), CommitError> {
    match holds {
        Ok(true) => Ok(()),
        Ok(false) => Err(CommitError::Conflict),
        Err(fault) => Err(fault.into_refusal()),
    }
}

impl RecordStore for PostgresStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| read::load(link, partition, slots).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        self.commit_until(batch, Box::pin(pending()))
    }

    fn commit_until<'a>(&'a self, batch: Batch, limit: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            if batch.write().is_some() {
                let work = async |link: &mut Link<'_>| write::apply(link, &batch).await;
                return done(self.on_until(self.commit_limit(), limit, work).await);
            }
            // A commit is visible only once it is flushed, and a standby has it where one must. So a plain read on the
            // primary is enough.
            let (partition, expect) = (batch.partition(), batch.expect());
            let work = async |link: &mut Link<'_>| read::holds(link, partition, expect).await;
            checked(self.on_until(self.load_limit(), limit, work).await)
        })
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| read::events(link, partition, chain, before, limit).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }
}

impl VaultStore for PostgresStore {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| read::manifest(link, account).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| match which {
                Which::All => read::all_rows(link, account).await,
                Which::Ids { ids, with_marks } => read::some_rows(link, account, ids, with_marks).await,
            })
            .await
            .map_err(Fault::into_load_error)
        })
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            done(
                self.on(self.commit_limit(), async |link| write::stage(link, account, stage, &rows, purge_after).await)
                    .await,
            )
        })
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            done(self.on(self.commit_limit(), async |link| write::unstage(link, account, stage).await).await)
        })
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| read::staged(link, account, stage).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| read::staged_texts(link, account, stage, after, limit).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }
}

impl Upkeep for PostgresStore {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| upkeep::horizon(link).await).await.map_err(Fault::into_load_error)
        })
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        Box::pin(async move {
            let moved = self.on(self.commit_limit(), async |link| upkeep::move_horizon(link, now).await).await;
            // The value came from a moment, so it is one again.
            UnixSeconds::new(moved.map_err(Fault::into_commit_error)?)
                .map_err(|error| CommitError::Unknown(error.into()))
        })
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            self.on(self.commit_limit(), async |link| upkeep::sweep(link, limit).await)
                .await
                .map_err(Fault::into_commit_error)
        })
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            self.on(self.commit_limit(), async |link| upkeep::forget_events(link, age, limit).await)
                .await
                .map_err(Fault::into_commit_error)
        })
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| upkeep::due(link, before, limit).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| upkeep::partitions(link, after.as_ref(), limit).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        Box::pin(async move {
            self.on(self.load_limit(), async |link| read::slots(link, partition, after, limit).await)
                .await
                .map_err(Fault::into_load_error)
        })
    }
}
