//! The port: each method is a change for the writer or a query for a reader.

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, Partition, RecordStore, Rows,
    SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows, VaultStore, Which, first_of,
};

use crate::change::Change;
use crate::fault::{Fault, FaultKind};
use crate::store::SqliteStore;
use crate::watch::Watch;
use crate::{apply, read, upkeep};

impl RecordStore for SqliteStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        let (partition, slots) = (partition.clone(), slots.to_vec());
        Box::pin(async move {
            self.ask_beside(Watch::check_main, move |connection| read::load(connection, &partition, &slots))
                .await
                .map_err(Fault::into_load_error)
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            if batch.write().is_some() {
                return self.change(Change::Commit(batch)).await.map(|_| ());
            }
            // A reader's snapshot has every commit that was acknowledged before it, so the writer
            // is not needed, and nothing is synchronised.
            let holds = move |connection: &_| Ok(apply::holds(connection, batch.partition(), batch.expect())?);
            match self.ask(holds).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(CommitError::Conflict),
                Err(fault) => Err(fault.into_rejected()),
            }
        })
    }

    fn commit_until<'a>(&'a self, batch: Batch, limit: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            if batch.write().is_some() {
                return self.change_until(Change::Commit(batch), limit).await.map(|_| ());
            }
            // A check changes nothing, so there is nothing unknown about one that is given up.
            let checked = first_of(self.commit(batch), limit).await;
            checked.unwrap_or_else(|| Err(Fault::new(FaultKind::Withdrawn).into_rejected()))
        })
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        let partition = partition.clone();
        Box::pin(async move {
            self.ask(move |connection| read::events(connection, &partition, chain, before, limit))
                .await
                .map_err(Fault::into_load_error)
        })
    }
}

impl VaultStore for SqliteStore {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        let account = account.clone();
        Box::pin(async move {
            self.ask(move |connection| read::manifest(connection, &account)).await.map_err(Fault::into_load_error)
        })
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        let account = account.clone();
        let ids = match which {
            Which::All => None,
            Which::Ids { ids, with_marks } => Some((ids.to_vec(), with_marks)),
        };
        let question = move |connection: &_| match ids {
            None => read::all_rows(connection, &account),
            Some((ids, with_marks)) => read::rows(connection, &account, &ids, with_marks),
        };
        Box::pin(async move { self.ask(question).await.map_err(Fault::into_load_error) })
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        let change = Change::Stage { account: account.clone(), stage, rows, purge_after };
        Box::pin(async move { self.change(change).await.map(|_| ()) })
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        let change = Change::Unstage { account: account.clone(), stage };
        Box::pin(async move { self.change(change).await.map(|_| ()) })
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        let account = account.clone();
        Box::pin(async move {
            self.ask(move |connection| read::staged(connection, &account, stage)).await.map_err(Fault::into_load_error)
        })
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        let account = account.clone();
        let question = move |connection: &_| read::staged_texts(connection, &account, stage, after, limit);
        Box::pin(async move { self.ask(question).await.map_err(Fault::into_load_error) })
    }
}

impl Upkeep for SqliteStore {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        Box::pin(async move { self.ask(upkeep::horizon).await.map_err(Fault::into_load_error) })
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        Box::pin(async move {
            let moved = self.change(Change::MoveHorizon { now }).await?;
            // The value came from a moment, so it is one again.
            UnixSeconds::new(moved).map_err(|error| CommitError::Unknown(error.into()))
        })
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(self.change(Change::Sweep { limit }))
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            let chains = self.ask(move |connection| upkeep::forgettable(connection, age, limit)).await;
            let chains = chains.map_err(Fault::into_rejected)?;
            if chains.is_empty() {
                return Ok(0);
            }
            self.change(Change::ForgetEvents { chains, age, limit }).await
        })
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            self.ask(move |connection| upkeep::due(connection, before, limit)).await.map_err(Fault::into_load_error)
        })
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            self.ask(move |connection| upkeep::partitions(connection, after.as_ref(), limit))
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
        let partition = partition.clone();
        let question = move |connection: &_| read::slots(connection, &partition, after, limit);
        Box::pin(async move { self.ask(question).await.map_err(Fault::into_load_error) })
    }
}
