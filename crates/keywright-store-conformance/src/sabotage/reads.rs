//! The flaws of loads, reads and upkeep; the port itself.

use bytes::Bytes;
use keywright_core::{SecurityEvent, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, Effect, EventId, Expect, LoadError, Manifest, Mark, Partition,
    RecordStore, Row, Rows, Scanned, Slot, StageId, Stored, Upkeep, VaultStore, Which, Write,
};

use super::commits::{flipped, folded};
use super::{Flaw, SabotagedStore};

/// What the flawed store takes for the present: the year 2001.
const ITS_CLOCK: UnixSeconds = UnixSeconds::EPOCH.plus(1_000_000_000);

impl SabotagedStore {
    fn place(&self, partition: &Partition) -> Partition {
        if self.flaw == Flaw::FoldsCase { folded(partition) } else { partition.clone() }
    }

    fn spoilt(&self, partition: &Partition, slot: Slot, mut stored: Stored) -> Option<Stored> {
        match self.flaw {
            Flaw::ShowsOtherRevisions => stored.revision = flipped(stored.revision),
            Flaw::CutsAtNul => {
                let end = stored.body.iter().position(|byte| *byte == 0).unwrap_or(stored.body.len());
                stored.body.truncate(end);
            }
            Flaw::BodiesAreText => stored.body = Bytes::from(String::from_utf8_lossy(&stored.body).into_owned()),
            Flaw::FiltersExpired => {
                let hint = self.notes().hints.get(&(partition.clone(), slot)).copied().flatten();
                if hint.is_some_and(|hint| hint < ITS_CLOCK) {
                    return None;
                }
            }
            _ => {}
        }
        Some(stored)
    }

    async fn load_flawed(&self, partition: &Partition, slots: &[Slot]) -> Result<Vec<Option<Stored>>, LoadError> {
        let place = self.place(partition);
        let loaded = if self.flaw == Flaw::LoadsTorn {
            let mut loaded = Vec::new();
            for &slot in slots {
                loaded.extend(self.inner.load(&place, &[slot]).await?);
                tokio::task::yield_now().await;
            }
            loaded
        } else {
            self.inner.load(&place, slots).await?
        };
        let pairs = slots.iter().zip(loaded);
        Ok(pairs.map(|(&slot, stored)| stored.and_then(|stored| self.spoilt(&place, slot, stored))).collect())
    }

    async fn manifest_flawed(&self, account: &Partition) -> Result<Manifest, LoadError> {
        let place = self.place(account);
        let mut manifest = self.inner.manifest(&place).await?;
        match self.flaw {
            Flaw::ManifestTorn => {
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
                manifest.entries = self.inner.manifest(&place).await?.entries;
            }
            Flaw::ManifestUnsorted => manifest.entries.reverse(),
            Flaw::ErasesNoCiphers => {
                if let Some(left) = self.notes().ciphers_left.get(&place) {
                    manifest.entries.extend(left.iter().map(|row| (row.id, row.mark)));
                }
            }
            _ => {}
        }
        Ok(manifest)
    }

    /// Drops one record that lives for ever, then sweeps as it should.
    async fn sweep_unhinted(&self, before: UnixSeconds, limit: u32) -> Result<u64, CommitError> {
        let all = self.inner.scan(None, u32::MAX).await.map_err(|error| CommitError::Rejected(error.into()))?;
        let hinted =
            |met: &Scanned| self.notes().hints.get(&(met.partition.clone(), met.slot)).copied().flatten().is_some();
        let Some(victim) = all.iter().find(|met| met.slot != Slot::Root && !hinted(met)) else {
            return self.inner.sweep(before, limit).await;
        };
        let root = all.iter().find(|met| met.partition == victim.partition && met.slot == Slot::Root);
        let root = root.map_or(Expect::Absent, |root| Expect::Revision(root.stored.revision));
        let writes = vec![
            Write { slot: Slot::Root, expect: root, effect: Effect::Check },
            Write { slot: victim.slot, expect: Expect::Revision(victim.stored.revision), effect: Effect::Delete },
        ];
        let batch = Batch::new(victim.partition.clone(), victim.stored.revision, writes)
            .map_err(|error| CommitError::Rejected(error.into()))?;
        self.inner.commit(batch).await?;
        self.inner.sweep(before, limit).await
    }
}

impl RecordStore for SabotagedStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [Slot],
    ) -> BoxFuture<'a, Result<Vec<Option<Stored>>, LoadError>> {
        Box::pin(self.load_flawed(partition, slots))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.commit_flawed(batch))
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        before: Option<EventId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(EventId, SecurityEvent)>, LoadError>> {
        Box::pin(async move {
            let place = self.place(partition);
            let mut events = self.inner.events(&place, before, limit).await?;
            let erased = self.notes().erased_events.get(&place).copied();
            events.retain(|(id, _)| erased.is_none_or(|erased| *id > erased));
            Ok(events)
        })
    }
}

impl VaultStore for SabotagedStore {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(self.manifest_flawed(account))
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<Vec<Row>, LoadError>> {
        Box::pin(async move {
            let place = self.place(account);
            let mut rows = self.inner.read(&place, which).await?;
            let mut notes = self.notes();
            notes.reads = notes.reads.saturating_add(1);
            rows.extend(notes.ciphers_left.get(&place).into_iter().flatten().cloned());
            Ok(rows)
        })
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move { self.inner.stage(&self.place(account), stage, rows, purge_after).await })
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            if self.flaw == Flaw::UnstagesNothing {
                return Ok(());
            }
            self.inner.unstage(&self.place(account), stage).await
        })
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        Box::pin(async move { self.inner.staged(&self.place(account), stage).await })
    }
}

impl Upkeep for SabotagedStore {
    fn sweep(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        match self.flaw {
            Flaw::SweepsUnlimited => self.inner.sweep(before, u32::MAX),
            Flaw::SweepsUnhinted => Box::pin(self.sweep_unhinted(before, limit)),
            _ => self.inner.sweep(before, limit),
        }
    }

    fn forget_events(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.forget_events(before, limit)
    }

    fn scan(&self, after: Option<(Partition, Slot)>, limit: u32) -> BoxFuture<'_, Result<Vec<Scanned>, LoadError>> {
        let skips = self.flaw == Flaw::ScanSkips && after.is_some();
        Box::pin(async move {
            let mut page = self.inner.scan(after, limit).await?;
            if skips && page.len() > 1 {
                page.remove(0);
            }
            Ok(page)
        })
    }
}
