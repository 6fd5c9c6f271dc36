//! A store in memory: for tests, and for servers whose accounts live as long as the process.

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use keywright_core::{SecurityEvent, UnixSeconds};

use crate::{
    Batch, BoxFuture, CipherId, CommitError, Effect, EventId, Expect, LoadError, Manifest, Mark, Partition,
    RecordStore, Row, Rows, Scanned, Slot, StageId, Stored, Upkeep, VaultStore, VaultWrite, Which,
};

#[derive(Default)]
struct Tables {
    /// By (partition, slot's text): the order that `scan` promises.
    records: BTreeMap<(Partition, String), Record>,
    ciphers: BTreeMap<Partition, BTreeMap<CipherId, Row>>,
    stages: BTreeMap<(Partition, StageId), Stage>,
    events: BTreeMap<(Partition, EventId), SecurityEvent>,
    last_event: u64,
}

struct Record {
    slot: Slot,
    stored: Stored,
    purge_after: Option<UnixSeconds>,
}

struct Stage {
    rows: BTreeMap<CipherId, Row>,
    purge_after: UnixSeconds,
}

/// Everything in one process, nothing on disk.
#[derive(Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Every change is made after every check, by code that does not panic: a poisoned table is still whole.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryStore(..)")
    }
}

impl Tables {
    fn apply(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let partition = batch.partition();
        for write in batch.writes() {
            let found = self.records.get(&(partition.clone(), write.slot.to_text()));
            let holds = match write.expect {
                Expect::Absent => found.is_none(),
                Expect::Revision(revision) => found.is_some_and(|record| record.stored.revision == revision),
            };
            if !holds {
                return Err(CommitError::Conflict);
            }
        }
        let vault = batch.vault().map(|write| self.plan_vault(batch, write)).transpose()?;
        if batch.erases() {
            self.erase(batch);
        }
        for write in batch.writes() {
            let key = (partition.clone(), write.slot.to_text());
            match &write.effect {
                Effect::Check => {}
                Effect::Delete => {
                    self.records.remove(&key);
                }
                Effect::Put { body, purge_after } => {
                    let stored = Stored { revision: batch.revision(), body: body.clone() };
                    self.records.insert(key, Record { slot: write.slot, stored, purge_after: *purge_after });
                }
            }
        }
        if let Some(rows) = vault {
            self.ciphers.insert(partition.clone(), rows);
            if let Some(VaultWrite::Promote { stage }) = batch.vault() {
                self.stages.remove(&(partition.clone(), *stage));
            }
        }
        for event in batch.events() {
            self.last_event = self.last_event.saturating_add(1);
            self.events.insert((partition.clone(), EventId(self.last_event)), event.clone());
        }
        Ok(())
    }

    fn erase(&mut self, batch: &Batch) {
        let partition = batch.partition();
        self.records.retain(|(owner, _), record| {
            owner != partition || batch.writes().iter().any(|write| write.slot == record.slot)
        });
        self.ciphers.remove(partition);
        self.stages.retain(|(owner, _), _| owner != partition);
    }

    /// The vault as it will be; a conflict if a swap is not an exact cover.
    fn plan_vault(&self, batch: &Batch, write: &VaultWrite) -> Result<BTreeMap<CipherId, Row>, CommitError> {
        let partition = batch.partition();
        // An erase comes first: what it drops is owned no more.
        let owned = self.ciphers.get(partition).filter(|_| !batch.erases());
        match write {
            VaultWrite::Edit { put, delete } => {
                let mut next = owned.cloned().unwrap_or_default();
                for id in delete {
                    next.remove(id);
                }
                next.extend(distinct(put)?);
                Ok(next)
            }
            VaultWrite::Swap { rows } => exact(owned, distinct(rows)?),
            VaultWrite::Promote { stage } => {
                let staged = self
                    .stages
                    .get(&(partition.clone(), *stage))
                    .filter(|_| !batch.erases())
                    .map(|stage| stage.rows.clone());
                exact(owned, staged.unwrap_or_default())
            }
        }
    }
}

fn distinct(rows: &Rows) -> Result<BTreeMap<CipherId, Row>, CommitError> {
    let by_id: BTreeMap<CipherId, Row> = rows.iter().map(|row| (row.id, row.clone())).collect();
    if by_id.len() == rows.len() {
        Ok(by_id)
    } else {
        Err(CommitError::Rejected("a vault write names one cipher twice".into()))
    }
}

fn exact(
    owned: Option<&BTreeMap<CipherId, Row>>,
    next: BTreeMap<CipherId, Row>,
) -> Result<BTreeMap<CipherId, Row>, CommitError> {
    let none = BTreeMap::new();
    let owned = owned.unwrap_or(&none);
    if !owned.keys().eq(next.keys()) {
        return Err(CommitError::Conflict);
    }
    // The notes stay: who swaps sends texts alone.
    Ok(next
        .into_iter()
        .zip(owned.values())
        .map(|((id, row), old)| (id, Row { meta: old.meta.clone(), ..row }))
        .collect())
}

impl RecordStore for MemoryStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [Slot],
    ) -> BoxFuture<'a, Result<Vec<Option<Stored>>, LoadError>> {
        let tables = self.tables();
        let found = slots
            .iter()
            .map(|slot| tables.records.get(&(partition.clone(), slot.to_text())).map(|record| record.stored.clone()))
            .collect();
        Box::pin(ready(Ok(found)))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(ready(self.tables().apply(&batch)))
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        before: Option<EventId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(EventId, SecurityEvent)>, LoadError>> {
        let end = (partition.clone(), before.unwrap_or(EventId(u64::MAX)));
        let start = (partition.clone(), EventId(0));
        let events = if start < end {
            let tables = self.tables();
            let newest_first = tables.events.range(start..end).rev();
            newest_first.take(limit as usize).map(|((_, id), event)| (*id, event.clone())).collect()
        } else {
            Vec::new()
        };
        Box::pin(ready(Ok(events)))
    }
}

impl VaultStore for MemoryStore {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        let tables = self.tables();
        let head = tables.records.get(&(account.clone(), Slot::VaultHead.to_text())).map(|head| head.stored.clone());
        let rows = tables.ciphers.get(account).into_iter().flat_map(BTreeMap::values);
        let manifest = Manifest { head, entries: rows.map(|row| (row.id, row.mark)).collect() };
        Box::pin(ready(Ok(manifest)))
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<Vec<Row>, LoadError>> {
        let tables = self.tables();
        let rows = tables.ciphers.get(account).into_iter().flat_map(BTreeMap::values);
        let rows = match which {
            Which::All => rows.cloned().collect(),
            Which::Ids(ids) => rows.filter(|row| ids.contains(&row.id)).cloned().collect(),
        };
        Box::pin(ready(Ok(rows)))
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        let result = distinct(&rows).map(|rows| {
            let mut tables = self.tables();
            let kept = tables
                .stages
                .entry((account.clone(), stage))
                .or_insert_with(|| Stage { rows: BTreeMap::new(), purge_after });
            kept.rows.extend(rows);
            kept.purge_after = purge_after;
        });
        Box::pin(ready(result))
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        self.tables().stages.remove(&(account.clone(), stage));
        Box::pin(ready(Ok(())))
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        let tables = self.tables();
        let rows = tables.stages.get(&(account.clone(), stage)).map(|stage| stage.rows.values());
        let entries = rows.into_iter().flatten().map(|row| (row.id, row.mark)).collect();
        Box::pin(ready(Ok(entries)))
    }
}

impl Upkeep for MemoryStore {
    fn sweep(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        let mut tables = self.tables();
        let mut left = u64::from(limit);
        let mut due = |purge_after: Option<UnixSeconds>| {
            let goes = left > 0 && purge_after.is_some_and(|moment| moment < before);
            left = left.saturating_sub(u64::from(goes));
            goes
        };
        tables.records.retain(|_, record| !due(record.purge_after));
        tables.stages.retain(|_, stage| !due(Some(stage.purge_after)));
        Box::pin(ready(Ok(u64::from(limit).saturating_sub(left))))
    }

    fn forget_events(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        let mut left = u64::from(limit);
        self.tables().events.retain(|_, event| {
            let goes = left > 0 && event.at < before;
            left = left.saturating_sub(u64::from(goes));
            !goes
        });
        Box::pin(ready(Ok(u64::from(limit).saturating_sub(left))))
    }

    fn scan(&self, after: Option<(Partition, Slot)>, limit: u32) -> BoxFuture<'_, Result<Vec<Scanned>, LoadError>> {
        let tables = self.tables();
        let after = after.map(|(partition, slot)| (partition, slot.to_text()));
        let start = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let found = tables
            .records
            .range((start, std::ops::Bound::Unbounded))
            .take(limit as usize)
            .map(|((partition, _), record)| Scanned {
                partition: partition.clone(),
                slot: record.slot,
                stored: record.stored.clone(),
                purge_after: record.purge_after,
            })
            .collect();
        Box::pin(ready(Ok(found)))
    }
}
