//! Loads, pages, reads of the vault, and stages: the storage traits for records and vaults.

use std::collections::BTreeMap;

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, Partition, RecordStore,
    Rows as VaultWriteRows, SlotName, Snapshot, StageId, StagedText, StoredEvents, VaultRows, VaultStore, Which,
};

use super::twists::{flipped, folded, up_to_nul};
use super::{Flaw, SabotagedStore, lock};
use crate::glass::rows::{StageRows, distinct};
use crate::site::pause;

/// The present of a flawed store: the year 2001.
pub(super) const ITS_CLOCK: UnixSeconds = UnixSeconds::EPOCH.plus(1_000_000_000);

impl SabotagedStore {
    pub(super) fn place(&self, partition: &Partition) -> Partition {
        if self.flaw == Flaw::FoldsCase { folded(partition) } else { partition.clone() }
    }

    async fn load_flawed(&self, partition: &Partition, slots: &[SlotName]) -> Snapshot {
        let place = self.place(partition);
        let mut seen = if self.flaw == Flaw::LoadsFromAReplica && self.number == 1 {
            lock(&self.shared.replica).load(&place, slots)
        } else {
            self.rows().load(&place, slots)
        };
        match self.flaw {
            Flaw::LoadsInSteps => {
                for (slot, record) in slots.iter().zip(&mut seen.records) {
                    pause(1).await;
                    *record = self.rows().load(&place, &[*slot]).records.pop().flatten();
                }
            }
            Flaw::ShowsOtherRevisions => {
                if let Some(root) = &mut seen.root {
                    root.revision = flipped(root.revision);
                }
            }
            Flaw::FiltersExpired => {
                let rows = self.rows();
                for (slot, record) in slots.iter().zip(&mut seen.records) {
                    let purge_after = rows.records.get(&(place.clone(), *slot)).and_then(|row| row.purge_after);
                    if purge_after.is_some_and(|at| at < ITS_CLOCK) {
                        *record = None;
                    }
                }
            }
            Flaw::AnswersInIndexOrder => {
                let mut sorted = slots.to_vec();
                sorted.sort_unstable();
                seen.records = self.rows().load(&place, &sorted).records;
            }
            Flaw::CountsEvents => {
                let rows = self.rows();
                let count = |chain| {
                    let of_chain = rows.events.keys().filter(|(owner, of, _)| *owner == place && *of == chain);
                    u64::try_from(of_chain.count()).unwrap_or(0)
                };
                seen.newest.changes = count(EventChain::Changes);
                seen.newest.denials = count(EventChain::Denials);
            }
            Flaw::NeverSeesOrphans => seen.has_rows = false,
            Flaw::OverlooksStages => {
                let rows = self.rows();
                seen.has_rows = rows.records.keys().any(|(owner, _)| *owner == place);
            }
            _ => {}
        }
        seen
    }

    async fn page_flawed(
        &self,
        partition: &Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> StoredEvents {
        let place = self.place(partition);
        let mut page = self.rows().page(&place, chain, before, limit);
        match self.flaw {
            Flaw::PagesByMoment => {
                page = self.rows().page(&place, chain, before, u32::MAX);
                page.events.sort_by_key(|event| std::cmp::Reverse(event.at));
                page.events.truncate(limit as usize);
            }
            Flaw::PagesInSteps => {
                self.wait_for_a_commit().await;
                page.root = self.rows().revision(&place);
            }
            _ => {}
        }
        page
    }

    async fn manifest_flawed(&self, account: &Partition) -> Manifest {
        let place = self.place(account);
        let mut manifest = self.rows().manifest(&place);
        match self.flaw {
            Flaw::ListsUnsorted => manifest.rows.reverse(),
            Flaw::ListsInSteps => {
                self.wait_for_a_commit().await;
                manifest.root = self.rows().revision(&place);
            }
            _ => {}
        }
        manifest
    }

    fn stage_flawed(
        &self,
        account: &Partition,
        stage: StageId,
        mut rows: VaultWriteRows,
        purge_after: UnixSeconds,
    ) -> Result<(), CommitError> {
        let place = self.place(account);
        let mut tables = self.rows();
        let key = (place.clone(), stage);
        let purge_after = match self.flaw {
            Flaw::StagesReplace => {
                tables.stages.remove(&key);
                purge_after
            }
            Flaw::StagesGoByTheirFirstPart => tables.stages.get(&key).map_or(purge_after, |stage| stage.purge_after),
            Flaw::TextsEndAtNul => {
                rows.iter_mut().for_each(|row| row.text = up_to_nul(&row.text));
                purge_after
            }
            Flaw::StagesAnywhere => {
                let empty = || StageRows { rows: BTreeMap::new(), purge_after };
                let kept = tables.stages.entry(key).or_insert_with(empty);
                kept.rows.extend(distinct(&rows)?);
                kept.purge_after = purge_after;
                return Ok(());
            }
            _ => purge_after,
        };
        tables.stage(&place, stage, rows, purge_after)
    }
}

impl SabotagedStore {
    fn staged_texts_flawed(
        &self,
        account: &Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> Vec<StagedText> {
        let place = self.place(account);
        let rows = self.rows();
        let mut page = rows.staged_texts(&place, stage, after, limit);
        match self.flaw {
            // The next page starts after a row that this page did not show.
            Flaw::SkipsTextsBetweenPages if after.is_some() => {
                page = rows.staged_texts(&place, stage, after, limit.saturating_add(1));
                page = page.into_iter().skip(1).collect();
            }
            Flaw::ShowsTextsOfTheVault => {
                for text in &mut page {
                    let owned = rows.ciphers.get(&(place.clone(), text.id));
                    text.text = owned.map_or_else(|| text.text.clone(), |row| row.text.clone());
                }
            }
            Flaw::ShowsTextsOfOtherStages => {
                let others = rows.stages.iter().filter(|((owner, other), _)| *owner == place && *other != stage);
                for (_, other) in others {
                    for text in &mut page {
                        text.text = other.rows.get(&text.id).map_or_else(|| text.text.clone(), |row| row.text.clone());
                    }
                }
            }
            _ => {}
        }
        page
    }
}

impl RecordStore for SabotagedStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move { Ok(self.load_flawed(partition, slots).await) })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.commit_flawed(batch))
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        Box::pin(async move { Ok(self.page_flawed(partition, chain, before, limit).await) })
    }
}

impl VaultStore for SabotagedStore {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(async move { Ok(self.manifest_flawed(account).await) })
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        Box::pin(async move {
            let mut notes = self.notes();
            notes.reads = notes.reads.saturating_add(1);
            drop(notes);
            Ok(self.rows().read(&self.place(account), which))
        })
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: VaultWriteRows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move { self.stage_flawed(account, stage, rows, purge_after) })
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            if self.flaw != Flaw::UnstagesNothing {
                self.rows().stages.remove(&(self.place(account), stage));
            }
            Ok(())
        })
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        Box::pin(async move { Ok(self.rows().staged(&self.place(account), stage)) })
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        Box::pin(async move { Ok(self.staged_texts_flawed(account, stage, after, limit)) })
    }
}
