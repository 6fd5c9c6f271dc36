//! A store in memory, for tests and for servers whose accounts live as long as the process.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};

use crate::batch::{Batch, EventNumber, Stored, StoredEvent, Write};
use crate::partition::Partition;
use crate::port::{
    BoxFuture, CommitError, HORIZON_STEP, LoadError, Newest, RecordStore, Snapshot, StoredEvents, StoredSlots, Upkeep,
    VaultStore,
};
use crate::revision::Revision;
use crate::slot::SlotName;
use crate::vault::{CipherId, Manifest, Mark, Row, RowMarks, Rows, StageId, StagedText, VaultRows, VaultWrite, Which};

#[derive(Default)]
struct Tables {
    roots: BTreeMap<Partition, RootRow>,
    records: BTreeMap<(Partition, SlotName), RecordRow>,
    ciphers: BTreeMap<Partition, BTreeMap<CipherId, Row>>,
    stages: BTreeMap<(Partition, StageId), Stage>,
    events: BTreeMap<(Partition, EventChain), BTreeMap<EventNumber, StoredEvent>>,
    horizon: Option<UnixSeconds>,
}

struct RootRow {
    stored: Stored,
    purge_after: Option<UnixSeconds>,
    due_at: Option<UnixSeconds>,
}

struct RecordRow {
    body: Bytes,
    purge_after: Option<UnixSeconds>,
}

struct Stage {
    rows: BTreeMap<CipherId, Row>,
    purge_after: UnixSeconds,
}

/// A store that keeps everything in the process and nothing on disk.
#[derive(Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
}

impl MemoryStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Every change is made after every check, by code that does not panic, so a poisoned table
        // is still consistent.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

keywright_core::redacted_debug!(MemoryStore);

impl Tables {
    fn revision(&self, partition: &Partition) -> Option<Revision> {
        self.roots.get(partition).map(|root| root.stored.revision)
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        let (partition, expect, write) = batch.into_parts();
        if self.revision(&partition) != expect {
            return Err(CommitError::Conflict);
        }
        let Some(write) = write else { return Ok(()) };
        // Every check that can refuse comes before the first change.
        let taken = |event: &StoredEvent| {
            self.events
                .get(&(partition.clone(), event.chain))
                .is_some_and(|numbers| numbers.contains_key(&event.number))
        };
        if write.events.iter().any(taken) {
            return Err(CommitError::Rejected("an event's number is taken".into()));
        }
        let vault = write.vault.as_ref().map(|vault| self.plan_vault(&partition, write.erase, vault)).transpose()?;
        self.write(&partition, write, vault);
        Ok(())
    }

    fn write(&mut self, partition: &Partition, write: Write, vault: Option<BTreeMap<CipherId, Row>>) {
        if write.erase {
            self.erase(partition);
        }
        for slot in write.delete {
            self.records.remove(&(partition.clone(), slot));
        }
        for put in write.put {
            let row = RecordRow { body: put.body, purge_after: put.purge_after };
            self.records.insert((partition.clone(), put.slot), row);
        }
        if let Some(rows) = vault {
            self.ciphers.insert(partition.clone(), rows);
            if let Some(VaultWrite::Promote { stage, .. }) = &write.vault {
                self.stages.remove(&(partition.clone(), *stage));
            }
        }
        for (chain, first) in write.forget {
            if let Some(numbers) = self.events.get_mut(&(partition.clone(), chain)) {
                *numbers = numbers.split_off(&first);
            }
        }
        for event in write.events {
            self.events.entry((partition.clone(), event.chain)).or_default().insert(event.number, event);
        }
        let stored = Stored { revision: write.revision, body: write.root };
        let horizon = self.horizon.map(|horizon| horizon.plus(HORIZON_STEP));
        let purge_after = write.purge_after.map(|moment| horizon.map_or(moment, |horizon| moment.max(horizon)));
        let root = RootRow { stored, purge_after, due_at: write.due_at };
        self.roots.insert(partition.clone(), root);
    }

    fn erase(&mut self, partition: &Partition) {
        self.records.retain(|(owner, _), _| owner != partition);
        self.ciphers.remove(partition);
        self.stages.retain(|(owner, _), _| owner != partition);
    }

    /// Drops a partition with everything in it.
    fn drop_partition(&mut self, partition: &Partition) {
        self.erase(partition);
        self.roots.remove(partition);
        for chain in EventChain::ALL {
            self.events.remove(&(partition.clone(), chain));
        }
    }

    /// Returns the vault as it will be, or a conflict if a swap is not an exact cover or a stage is
    /// not the one that was checked.
    fn plan_vault(
        &self,
        partition: &Partition,
        erase: bool,
        write: &VaultWrite,
    ) -> Result<BTreeMap<CipherId, Row>, CommitError> {
        // An erase comes first, so what it drops no longer counts.
        let owned = self.ciphers.get(partition).filter(|_| !erase);
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
            VaultWrite::Promote { stage, rows } => {
                let staged = self.stages.get(&(partition.clone(), *stage)).map(|stage| stage.rows.clone());
                let staged = staged.unwrap_or_default();
                let marks = staged.values().map(|row| (row.marks.id, row.marks.text));
                if !marks.eq(rows.iter().copied()) {
                    return Err(CommitError::Conflict);
                }
                exact(owned, staged)
            }
        }
    }

    /// Every partition that has a row.
    fn partitions(&self) -> BTreeSet<&Partition> {
        self.roots
            .keys()
            .chain(self.records.keys().map(|(partition, _)| partition))
            .chain(self.ciphers.iter().filter(|(_, rows)| !rows.is_empty()).map(|(partition, _)| partition))
            .chain(self.stages.keys().map(|(partition, _)| partition))
            .chain(self.events.iter().filter(|(_, rows)| !rows.is_empty()).map(|((partition, _), _)| partition))
            .collect()
    }

    fn has_rows(&self, partition: &Partition) -> bool {
        let begins = |owner: Option<&Partition>| owner == Some(partition);
        let slot = (partition.clone(), SlotName::first());
        let stage = (partition.clone(), StageId([0; 16]));
        begins(self.records.range(slot..).next().map(|((owner, _), _)| owner))
            || begins(self.stages.range(stage..).next().map(|((owner, _), _)| owner))
            || self.ciphers.get(partition).is_some_and(|rows| !rows.is_empty())
            || self.newest(partition) != Newest::default()
    }

    fn newest(&self, partition: &Partition) -> Newest {
        let of = |chain| {
            let numbers = self.events.get(&(partition.clone(), chain));
            numbers.and_then(BTreeMap::last_key_value).map_or(0, |(number, _)| *number)
        };
        Newest { changes: of(EventChain::Changes), denials: of(EventChain::Denials) }
    }

    fn sweep(&mut self, limit: u32) -> u64 {
        let Some(horizon) = self.horizon else { return 0 };
        let mut left = u64::from(limit);
        let mut due = |purge_after: Option<UnixSeconds>| {
            let goes = left > 0 && purge_after.is_some_and(|moment| moment < horizon);
            left = left.saturating_sub(u64::from(goes));
            goes
        };
        self.records.retain(|_, record| !due(record.purge_after));
        self.stages.retain(|_, stage| !due(Some(stage.purge_after)));
        let over: Vec<Partition> = self
            .roots
            .iter()
            .filter(|(_, root)| due(root.purge_after))
            .map(|(partition, _)| partition.clone())
            .collect();
        for partition in &over {
            self.drop_partition(partition);
        }
        u64::from(limit).saturating_sub(left)
    }

    fn forget_events(&mut self, age: u64, limit: u32) -> u64 {
        let Some(horizon) = self.horizon else { return 0 };
        let cutoff = horizon.minus(age);
        let mut forgotten = 0;
        for numbers in self.events.values_mut() {
            // Events are dropped only from the old end, and never the newest.
            while forgotten < u64::from(limit)
                && numbers.len() > 1
                && let Some(oldest) = numbers.first_entry().filter(|oldest| oldest.get().at < cutoff)
            {
                oldest.remove();
                forgotten = forgotten.saturating_add(1);
            }
        }
        forgotten
    }
}

fn distinct(rows: &Rows) -> Result<BTreeMap<CipherId, Row>, CommitError> {
    let by_id: BTreeMap<CipherId, Row> = rows.iter().map(|row| (row.id(), row.clone())).collect();
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
    // The notes are kept, because a client that swaps sends only the texts.
    let keep_note = |row: Row, old: &Row| {
        let marks = RowMarks { note: old.marks.note, ..row.marks };
        Row { marks, note: old.note.clone(), ..row }
    };
    Ok(next.into_iter().zip(owned.values()).map(|((id, row), old)| (id, keep_note(row, old))).collect())
}

impl RecordStore for MemoryStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        let tables = self.tables();
        let body = |slot: &SlotName| tables.records.get(&(partition.clone(), *slot)).map(|row| row.body.clone());
        let root = tables.roots.get(partition).map(|root| root.stored.clone());
        let has_rows = tables.has_rows(partition);
        let snapshot =
            Snapshot { records: slots.iter().map(body).collect(), newest: tables.newest(partition), has_rows, root };
        Box::pin(ready(Ok(snapshot)))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(ready(self.tables().apply(batch)))
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        let tables = self.tables();
        let numbers = tables.events.get(&(partition.clone(), chain));
        let newest_first = numbers.into_iter().flat_map(|numbers| numbers.range(..before.unwrap_or(u64::MAX)).rev());
        let events = newest_first.take(limit as usize).map(|(_, event)| event.clone()).collect();
        let page = StoredEvents { root: tables.revision(partition), events };
        Box::pin(ready(Ok(page)))
    }
}

impl VaultStore for MemoryStore {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        let tables = self.tables();
        let rows = tables.ciphers.get(account).into_iter().flat_map(BTreeMap::values);
        let manifest = Manifest { root: tables.revision(account), rows: rows.map(|row| row.marks).collect() };
        Box::pin(ready(Ok(manifest)))
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        let tables = self.tables();
        let all = || tables.ciphers.get(account).into_iter().flat_map(BTreeMap::values);
        let (rows, marks) = match which {
            Which::All => (all().cloned().collect(), None),
            Which::Ids { ids, with_marks } => (
                all().filter(|row| ids.contains(&row.id())).cloned().collect(),
                with_marks.then(|| all().map(|row| row.marks).collect()),
            ),
        };
        Box::pin(ready(Ok(VaultRows { root: tables.revision(account), rows, marks })))
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        let result = distinct(&rows).and_then(|rows| {
            let mut tables = self.tables();
            if !tables.roots.contains_key(account) {
                return Err(CommitError::Conflict);
            }
            let kept = tables
                .stages
                .entry((account.clone(), stage))
                .or_insert_with(|| Stage { rows: BTreeMap::new(), purge_after });
            kept.rows.extend(rows);
            kept.purge_after = purge_after;
            Ok(())
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
        let entries = rows.into_iter().flatten().map(|row| (row.marks.id, row.marks.text)).collect();
        Box::pin(ready(Ok(entries)))
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        let tables = self.tables();
        let rows = tables.stages.get(&(account.clone(), stage)).map(|stage| stage.rows.values());
        let rows = rows.into_iter().flatten().filter(|row| after.is_none_or(|after| row.marks.id > after));
        let text = |row: &Row| StagedText { id: row.marks.id, mark: row.marks.text, text: row.text.clone() };
        let texts = rows.take(usize::try_from(limit).unwrap_or(usize::MAX)).map(text).collect();
        Box::pin(ready(Ok(texts)))
    }
}

impl Upkeep for MemoryStore {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        Box::pin(ready(Ok(self.tables().horizon)))
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        let mut tables = self.tables();
        let newest = tables.events.values().flat_map(BTreeMap::values).map(|event| event.at).max();
        let stands = tables.horizon.or(newest).unwrap_or(now);
        let moved = now.min(stands.plus(HORIZON_STEP));
        tables.horizon = Some(moved);
        Box::pin(ready(Ok(moved)))
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(ready(Ok(self.tables().sweep(limit))))
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(ready(Ok(self.tables().forget_events(age, limit))))
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        let tables = self.tables();
        let mut due: Vec<(UnixSeconds, &Partition)> = tables
            .roots
            .iter()
            .filter_map(|(partition, root)| root.due_at.filter(|at| *at <= before).map(|at| (at, partition)))
            .collect();
        due.sort_unstable();
        let found = due.into_iter().take(limit as usize).map(|(_, partition)| partition.clone()).collect();
        Box::pin(ready(Ok(found)))
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        let tables = self.tables();
        let all = tables.partitions();
        let rest = all.into_iter().filter(|partition| after.as_ref().is_none_or(|after| *partition > after));
        let found = rest.take(limit as usize).cloned().collect();
        Box::pin(ready(Ok(found)))
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        let tables = self.tables();
        let of_partition = tables.records.keys().filter(|(owner, _)| owner == partition);
        let mut slots: Vec<(String, SlotName)> = of_partition.map(|(_, slot)| (slot.to_text(), *slot)).collect();
        let after = after.map(|after| after.to_text());
        slots.retain(|(text, _)| after.as_ref().is_none_or(|after| text > after));
        slots.sort_unstable();
        slots.truncate(limit as usize);
        let slots = slots.into_iter().map(|(_, slot)| slot).collect();
        Box::pin(ready(Ok(StoredSlots { root: tables.revision(partition), slots })))
    }
}
