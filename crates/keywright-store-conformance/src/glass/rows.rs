//! The tables, and what each call of the storage traits does to them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, CipherId, CommitError, EventNumber, HORIZON_STEP, Manifest, Mark, Newest, Partition, Revision, Row,
    RowMarks, SlotName, Snapshot, StageId, StagedText, Stored, StoredEvent, StoredEvents, StoredSlots, VaultRows,
    VaultWrite, Which, Write,
};

/// The row of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row that lies open")]
pub struct RootRow {
    /// The root's revision and its sealed body.
    pub stored: Stored,
    /// The moment from which the whole partition may be swept.
    pub purge_after: Option<UnixSeconds>,
    /// The moment at which the partition has due work.
    pub due_at: Option<UnixSeconds>,
}

/// The row of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a row that lies open")]
pub struct RecordRow {
    /// The record's sealed body.
    pub body: Bytes,
    /// The moment from which the record may be swept.
    pub purge_after: Option<UnixSeconds>,
}

/// The rows of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "rows that lie open")]
pub struct StageRows {
    /// The stage's rows.
    pub rows: BTreeMap<CipherId, Row>,
    /// The moment from which the stage may be swept.
    pub purge_after: UnixSeconds,
}

/// Every row of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "tables that lie open")]
pub struct Rows {
    /// The roots.
    pub roots: BTreeMap<Partition, RootRow>,
    /// The records.
    pub records: BTreeMap<(Partition, SlotName), RecordRow>,
    /// The ciphers.
    pub ciphers: BTreeMap<(Partition, CipherId), Row>,
    /// The stages.
    pub stages: BTreeMap<(Partition, StageId), StageRows>,
    /// The events.
    pub events: BTreeMap<(Partition, EventChain, EventNumber), StoredEvent>,
    /// The horizon.
    pub horizon: Option<UnixSeconds>,
}

fn rejected(why: &'static str) -> CommitError {
    CommitError::Rejected(why.into())
}

pub(crate) fn distinct(rows: &[Row]) -> Result<BTreeMap<CipherId, Row>, CommitError> {
    let by_id: BTreeMap<CipherId, Row> = rows.iter().map(|row| (row.id(), row.clone())).collect();
    if by_id.len() == rows.len() { Ok(by_id) } else { Err(rejected("a vault write names one cipher twice")) }
}

impl Rows {
    /// Returns the revision of a partition's root.
    #[must_use]
    pub fn revision(&self, partition: &Partition) -> Option<Revision> {
        self.roots.get(partition).map(|root| root.stored.revision)
    }

    /// Returns the ciphers of an account, sorted by id.
    pub fn vault<'a>(&'a self, account: &'a Partition) -> impl Iterator<Item = &'a Row> {
        self.ciphers.iter().filter(move |((owner, _), _)| owner == account).map(|(_, row)| row)
    }

    pub(crate) fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        let (partition, expect, write) = batch.into_parts();
        if self.revision(&partition) != expect {
            return Err(CommitError::Conflict);
        }
        let Some(write) = write else { return Ok(()) };
        // Everything that can refuse comes before the first change.
        let numbers: BTreeSet<_> = write.events.iter().map(|event| (event.chain, event.number)).collect();
        let taken = |(chain, number): &(EventChain, EventNumber)| {
            self.events.contains_key(&(partition.clone(), *chain, *number))
        };
        if numbers.len() != write.events.len() || numbers.iter().any(taken) {
            return Err(rejected("an event's number is taken"));
        }
        let vault = write.vault.as_ref().map(|vault| self.plan(&partition, write.erase, vault)).transpose()?;
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
            self.ciphers.retain(|(owner, _), _| owner != partition);
            self.ciphers.extend(rows.into_iter().map(|(id, row)| ((partition.clone(), id), row)));
            if let Some(VaultWrite::Promote { stage, .. }) = write.vault {
                self.stages.remove(&(partition.clone(), stage));
            }
        }
        for (chain, first) in write.forget {
            self.events.retain(|(owner, of, number), _| owner != partition || *of != chain || *number >= first);
        }
        let events = write.events.into_iter();
        self.events.extend(events.map(|event| ((partition.clone(), event.chain, event.number), event)));
        let stored = Stored { revision: write.revision, body: write.root };
        // A writer whose clock is behind must not have its partition swept while a late commit may
        // still arrive.
        let earliest = self.horizon.map(|horizon| horizon.plus(HORIZON_STEP));
        let purge_after = write.purge_after.map(|moment| earliest.map_or(moment, |earliest| moment.max(earliest)));
        let root = RootRow { stored, purge_after, due_at: write.due_at };
        self.roots.insert(partition.clone(), root);
    }

    pub(crate) fn erase(&mut self, partition: &Partition) {
        self.records.retain(|(owner, _), _| owner != partition);
        self.ciphers.retain(|(owner, _), _| owner != partition);
        self.stages.retain(|(owner, _), _| owner != partition);
    }

    /// The vault as it will be after the batch.
    fn plan(
        &self,
        partition: &Partition,
        erase: bool,
        write: &VaultWrite,
    ) -> Result<BTreeMap<CipherId, Row>, CommitError> {
        let owned: BTreeMap<CipherId, Row> =
            if erase { BTreeMap::new() } else { self.vault(partition).map(|row| (row.id(), row.clone())).collect() };
        match write {
            VaultWrite::Edit { put, delete } => {
                let mut next = owned;
                next.retain(|id, _| !delete.contains(id));
                next.extend(distinct(put)?);
                Ok(next)
            }
            VaultWrite::Swap { rows } => cover(&owned, distinct(rows)?),
            VaultWrite::Promote { stage, rows } => {
                if self.staged(partition, *stage) != *rows {
                    return Err(CommitError::Conflict);
                }
                let staged = self.stages.get(&(partition.clone(), *stage));
                cover(&owned, staged.map(|stage| stage.rows.clone()).unwrap_or_default())
            }
        }
    }

    pub(crate) fn load(&self, partition: &Partition, slots: &[SlotName]) -> Snapshot {
        let root = self.roots.get(partition).map(|root| root.stored.clone());
        let body = |slot: &SlotName| self.records.get(&(partition.clone(), *slot)).map(|row| row.body.clone());
        let has_rows = self.others().any(|owner| owner == partition);
        Snapshot { records: slots.iter().map(body).collect(), newest: self.newest(partition), has_rows, root }
    }

    fn of_chain<'a>(
        &'a self,
        partition: &Partition,
        chain: EventChain,
    ) -> impl DoubleEndedIterator<Item = &'a StoredEvent> {
        let at = |number| (partition.clone(), chain, number);
        self.events.range(at(EventNumber::MIN)..=at(EventNumber::MAX)).map(|(_, event)| event)
    }

    fn newest(&self, partition: &Partition) -> Newest {
        let of = |chain| self.of_chain(partition, chain).last().map_or(0, |event| event.number);
        Newest { changes: of(EventChain::Changes), denials: of(EventChain::Denials) }
    }

    pub(crate) fn page(
        &self,
        partition: &Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> StoredEvents {
        let newest_first = self.of_chain(partition, chain).rev();
        let before = newest_first.filter(|event| before.is_none_or(|before| event.number < before));
        StoredEvents { root: self.revision(partition), events: before.take(limit as usize).cloned().collect() }
    }

    pub(crate) fn manifest(&self, account: &Partition) -> Manifest {
        Manifest { root: self.revision(account), rows: self.vault(account).map(|row| row.marks).collect() }
    }

    pub(crate) fn read(&self, account: &Partition, which: Which<'_>) -> VaultRows {
        let (rows, marks) = match which {
            Which::All => (self.vault(account).cloned().collect(), None),
            Which::Ids { ids, with_marks } => (
                self.vault(account).filter(|row| ids.contains(&row.id())).cloned().collect(),
                with_marks.then(|| self.vault(account).map(|row| row.marks).collect()),
            ),
        };
        VaultRows { root: self.revision(account), rows, marks }
    }

    pub(crate) fn stage(
        &mut self,
        account: &Partition,
        stage: StageId,
        rows: Vec<Row>,
        purge_after: UnixSeconds,
    ) -> Result<(), CommitError> {
        let rows = distinct(&rows)?;
        if !self.roots.contains_key(account) {
            return Err(CommitError::Conflict);
        }
        let empty = || StageRows { rows: BTreeMap::new(), purge_after };
        let kept = self.stages.entry((account.clone(), stage)).or_insert_with(empty);
        kept.rows.extend(rows);
        kept.purge_after = purge_after;
        Ok(())
    }

    pub(crate) fn staged(&self, account: &Partition, stage: StageId) -> Vec<(CipherId, Mark)> {
        let rows = self.stages.get(&(account.clone(), stage)).map(|stage| stage.rows.values());
        rows.into_iter().flatten().map(|row| (row.id(), row.marks.text)).collect()
    }

    pub(crate) fn staged_texts(
        &self,
        account: &Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> Vec<StagedText> {
        let rows = self.stages.get(&(account.clone(), stage)).map(|stage| stage.rows.values());
        let rows = rows.into_iter().flatten().filter(|row| after.is_none_or(|after| row.id() > after));
        let text = |row: &Row| StagedText { id: row.id(), mark: row.marks.text, text: row.text.clone() };
        rows.take(usize::try_from(limit).unwrap_or(usize::MAX)).map(text).collect()
    }

    /// The time of the newest event in the store.
    pub(crate) fn newest_moment(&self) -> Option<UnixSeconds> {
        self.events.values().map(|event| event.at).max()
    }

    pub(crate) fn move_horizon(&mut self, now: UnixSeconds) -> UnixSeconds {
        let stands = self.horizon.or_else(|| self.newest_moment()).unwrap_or(now);
        let moved = now.min(stands.plus(HORIZON_STEP));
        self.horizon = Some(moved);
        moved
    }

    pub(crate) fn sweep(&mut self, limit: u32) -> u64 {
        let Some(horizon) = self.horizon else { return 0 };
        self.sweep_before(horizon, limit)
    }

    pub(crate) fn sweep_before(&mut self, moment: UnixSeconds, limit: u32) -> u64 {
        let mut dropped = 0;
        let mut goes = |purge_after: Option<UnixSeconds>| {
            let goes = dropped < u64::from(limit) && purge_after.is_some_and(|at| at < moment);
            dropped = dropped.saturating_add(u64::from(goes));
            goes
        };
        self.records.retain(|_, row| !goes(row.purge_after));
        self.stages.retain(|_, stage| !goes(Some(stage.purge_after)));
        let over: Vec<Partition> = self
            .roots
            .iter()
            .filter(|(_, root)| goes(root.purge_after))
            .map(|(partition, _)| partition.clone())
            .collect();
        for partition in &over {
            self.drop_partition(partition);
        }
        dropped
    }

    pub(crate) fn drop_partition(&mut self, partition: &Partition) {
        self.erase(partition);
        self.roots.remove(partition);
        self.events.retain(|(owner, _, _), _| owner != partition);
    }

    /// The chains that have events, and the numbers of each, oldest first.
    pub(crate) fn chains(&self) -> BTreeMap<(Partition, EventChain), Vec<(EventNumber, UnixSeconds)>> {
        let mut chains: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((partition, chain, number), event) in &self.events {
            chains.entry((partition.clone(), *chain)).or_default().push((*number, event.at));
        }
        chains
    }

    pub(crate) fn forget_events(&mut self, age: u64, limit: u32) -> u64 {
        let Some(horizon) = self.horizon else { return 0 };
        let cutoff = horizon.minus(age);
        let mut gone = Vec::new();
        for ((partition, chain), numbers) in self.chains() {
            // All but the newest, from the old end.
            let oldest = numbers.iter().take(numbers.len().saturating_sub(1)).take_while(|(_, at)| *at < cutoff);
            gone.extend(oldest.map(|(number, _)| (partition.clone(), chain, *number)));
        }
        gone.truncate(limit as usize);
        for key in &gone {
            self.events.remove(key);
        }
        u64::try_from(gone.len()).unwrap_or(u64::MAX)
    }

    pub(crate) fn due(&self, before: UnixSeconds, limit: u32) -> Vec<Partition> {
        let due = self.roots.iter().filter_map(|(partition, root)| Some((root.due_at?, partition)));
        let mut due: Vec<_> = due.filter(|(at, _)| *at <= before).collect();
        due.sort_unstable();
        due.into_iter().take(limit as usize).map(|(_, partition)| partition.clone()).collect()
    }

    /// Every partition that has a row.
    pub(crate) fn partitions(&self) -> BTreeSet<&Partition> {
        self.roots.keys().chain(self.others()).collect()
    }

    /// The partitions of all rows other than roots.
    fn others(&self) -> impl Iterator<Item = &Partition> {
        let records = self.records.keys().map(|(partition, _)| partition);
        let ciphers = self.ciphers.keys().map(|(partition, _)| partition);
        let stages = self.stages.keys().map(|(partition, _)| partition);
        let events = self.events.keys().map(|(partition, _, _)| partition);
        records.chain(ciphers).chain(stages).chain(events)
    }

    pub(crate) fn page_slots(&self, partition: &Partition, after: Option<SlotName>, limit: u32) -> StoredSlots {
        let of_partition = self.records.keys().filter(|(owner, _)| owner == partition);
        let mut slots: Vec<(String, SlotName)> = of_partition.map(|(_, slot)| (slot.to_text(), *slot)).collect();
        slots.sort_unstable();
        let after = after.map(|after| after.to_text());
        let rest = slots.into_iter().filter(|(text, _)| after.as_ref().is_none_or(|after| text > after));
        let slots = rest.take(limit as usize).map(|(_, slot)| slot).collect();
        StoredSlots { root: self.revision(partition), slots }
    }

    pub(crate) fn page_partitions(&self, after: Option<&Partition>, limit: u32) -> Vec<Partition> {
        let all = self.partitions().into_iter();
        all.filter(|partition| after.is_none_or(|after| *partition > after)).take(limit as usize).cloned().collect()
    }
}

/// The next rows with the notes of the rows that they replace, if both have the same ids.
fn cover(
    owned: &BTreeMap<CipherId, Row>,
    next: BTreeMap<CipherId, Row>,
) -> Result<BTreeMap<CipherId, Row>, CommitError> {
    if !owned.keys().eq(next.keys()) {
        return Err(CommitError::Conflict);
    }
    let keep_note = |row: Row, old: &Row| {
        let marks = RowMarks { note: old.marks.note, ..row.marks };
        Row { marks, note: old.note.clone(), ..row }
    };
    Ok(next.into_iter().zip(owned.values()).map(|((id, row), old)| (id, keep_note(row, old))).collect())
}
