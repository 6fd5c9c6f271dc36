//! Commits that are wrong within one transaction.

use std::sync::atomic::Ordering;

use keywright_core::EventChain;
use keywright_store::{Batch, CommitError, Partition, VaultWrite, Write};

use super::{Armed, Flaw, Logged, SabotagedStore, lock};
use crate::glass::rows::{RecordRow, Rows};

impl SabotagedStore {
    pub(super) async fn commit_flawed(&self, batch: Batch) -> Result<(), CommitError> {
        let armed = if self.number == 0 { lock(&self.shared.armed).take() } else { None };
        if let Some(armed) = armed {
            return self.fault(armed, batch);
        }
        let writes = batch.write().is_some();
        let creates = batch.expect().is_none();
        match self.flaw {
            Flaw::ComparesOutside if writes => self.compare_then_write(batch, 24).await,
            Flaw::CreatesUnlocked if writes && creates => self.compare_then_write(batch, 24).await,
            Flaw::LocksPerHandle if writes => {
                let _gate = self.gate.lock().await;
                self.compare_then_write(batch, 3).await
            }
            Flaw::AcknowledgesBeforeWriting if writes => self.write_behind(batch),
            Flaw::WritesInSteps => self.write_in_steps(batch).await,
            Flaw::PutsAfterTheRoot => self.puts_after_the_root(batch).await,
            Flaw::SwapsInSteps => self.swap_in_steps(batch).await,
            _ => self.at_once(batch).await,
        }
    }

    /// Commits in one transaction, with the flaw's fault.
    pub(super) async fn at_once(&self, batch: Batch) -> Result<(), CommitError> {
        let result = self.transact(batch);
        if self.alive.load(Ordering::SeqCst) { result } else { std::future::pending().await }
    }

    fn transact(&self, batch: Batch) -> Result<(), CommitError> {
        let mut rows = self.rows();
        if !self.alive.load(Ordering::SeqCst) {
            return Err(CommitError::Conflict);
        }
        let before = rows.clone();
        let view = if self.flaw == Flaw::ChecksOnAReplica && batch.write().is_none() {
            lock(&self.shared.replica).clone()
        } else {
            before.clone()
        };
        let asked = batch.clone();
        let Some(batch) = self.twist(&mut rows, batch) else { return Ok(()) };
        let result = if batch.write().is_some() { rows.apply(batch) } else { view.clone().apply(batch) };
        let partition = asked.partition();
        let Some(write) = asked.write() else { return result };
        match &result {
            Ok(()) => {
                self.note(&before, &asked, write);
                self.after_landing(&mut rows, &before, partition, write);
                self.replicate(&rows, before);
            }
            Err(CommitError::Conflict) => self.after_conflict(&mut rows, &before, partition, write),
            Err(_) => *rows = before,
        }
        result
    }

    fn replicate(&self, rows: &Rows, before: Rows) {
        *lock(&self.shared.replica) = before;
        let mut notes = self.notes();
        notes.commits = notes.commits.saturating_add(1);
        // The flush of every second.
        if notes.commits.is_multiple_of(17) {
            *lock(&self.shared.disk) = rows.clone();
        }
    }

    /// Remembers what flawed guards compare.
    fn note(&self, before: &Rows, batch: &Batch, write: &Write) {
        let mut notes = self.notes();
        let partition = batch.partition();
        notes.bodies.insert(write.revision, write.root.clone());
        notes.last.insert(partition.clone(), write.revision);
        let version = batch.expect().and_then(|expect| notes.versions.get(&expect)).copied().unwrap_or(0);
        let alone = write.put.is_empty() && write.delete.is_empty() && !write.erase && write.vault.is_none();
        notes.versions.insert(write.revision, version.saturating_add(u64::from(!alone)));
        let written = write.put.iter().map(|put| put.slot).chain(write.delete.iter().copied());
        let was_there = |slot| before.records.contains_key(&(partition.clone(), slot));
        let wrote = written.map(|slot| (slot, was_there(slot))).collect();
        notes.log.entry(partition.clone()).or_default().push(Logged { revision: write.revision, wrote });
    }

    fn after_conflict(&self, rows: &mut Rows, before: &Rows, partition: &Partition, write: &Write) {
        match self.flaw {
            Flaw::WritesHalfOnConflict => {
                for put in write.put.iter().take(write.put.len().div_ceil(2)) {
                    let row = RecordRow { body: put.body.clone(), purge_after: put.purge_after };
                    rows.records.insert((partition.clone(), put.slot), row);
                }
            }
            Flaw::TellsConflicts => {
                for event in &write.events {
                    rows.events.insert((partition.clone(), event.chain, event.number), event.clone());
                }
            }
            Flaw::ErasesBeforeTheGuard if write.erase => rows.erase(partition),
            Flaw::EditsBeforeTheGuard => {
                if let Some(VaultWrite::Edit { put, .. } | VaultWrite::Swap { rows: put }) = &write.vault {
                    for row in put {
                        rows.ciphers.insert((partition.clone(), row.id()), row.clone());
                    }
                }
            }
            _ => *rows = before.clone(),
        }
    }

    fn after_landing(&self, rows: &mut Rows, before: &Rows, partition: &Partition, write: &Write) {
        let takes_it = match self.flaw {
            Flaw::TakesAnyExpiry => true,
            Flaw::CreatesWithAnyExpiry => !before.roots.contains_key(partition),
            _ => false,
        };
        if let Some(root) = rows.roots.get_mut(partition).filter(|_| takes_it) {
            root.purge_after = write.purge_after;
        }
        if !write.erase {
            return;
        }
        let own = |owner: &Partition| owner == partition;
        match self.flaw {
            Flaw::ErasesEvents => {
                rows.events.retain(|(owner, chain, number), _| {
                    !own(owner) || write.events.iter().any(|event| event.chain == *chain && event.number == *number)
                });
            }
            Flaw::ErasesWhatLasts => {
                let expiring =
                    before.records.iter().filter(|((owner, _), row)| own(owner) && row.purge_after.is_some());
                let spared: Vec<_> = expiring.map(|(key, row)| (key.clone(), row.clone())).collect();
                rows.records.extend(spared);
            }
            Flaw::ErasesByPrefix => rows.records.retain(|(owner, slot), _| {
                let longer = owner.key().starts_with(partition.key()) && !own(owner);
                !longer && (!own(owner) || write.put.iter().any(|put| put.slot == *slot))
            }),
            Flaw::ErasesNoCiphers => {
                let left = before.ciphers.iter().filter(|((owner, _), _)| own(owner));
                rows.ciphers.extend(left.map(|(key, row)| (key.clone(), row.clone())).collect::<Vec<_>>());
            }
            Flaw::ErasesNoStages => {
                let left = before.stages.iter().filter(|((owner, _), _)| own(owner));
                rows.stages.extend(left.map(|(key, row)| (key.clone(), row.clone())).collect::<Vec<_>>());
            }
            _ => {}
        }
    }

    fn fault(&self, armed: Armed, batch: Batch) -> Result<(), CommitError> {
        let lost = || CommitError::Unknown("the reply was lost on purpose".into());
        match (armed, self.flaw) {
            (Armed::Held, _) => {
                *lock(&self.shared.held) = Some(batch);
                Err(lost())
            }
            (Armed::LostAfter, Flaw::RetriesByItself) => {
                let _ = self.transact(batch.clone());
                self.transact(batch)
            }
            (Armed::LostAfter | Armed::LostBefore, Flaw::RejectsLostReplies) => {
                if matches!(armed, Armed::LostAfter) {
                    let _ = self.transact(batch);
                }
                Err(CommitError::Rejected("connection reset".into()))
            }
            (Armed::LostAfter, _) => {
                let _ = self.transact(batch);
                Err(lost())
            }
            (Armed::CommitFails, Flaw::RejectsFailedCommits) => Err(CommitError::Rejected("COMMIT failed".into())),
            (Armed::LostBefore | Armed::CommitFails, _) => Err(lost()),
        }
    }
}

/// The batch, changed to expect the revision that the root has.
pub(super) fn forced(rows: &Rows, batch: Batch) -> Batch {
    let (partition, _, write) = batch.into_parts();
    let expect = rows.revision(&partition);
    remade(partition, expect, write)
}

pub(super) fn remade(partition: Partition, expect: Option<keywright_store::Revision>, write: Option<Write>) -> Batch {
    let check = Batch::check(partition.clone(), expect);
    match write {
        // A write that cannot form a batch is a conflict: it expects what it puts.
        Some(write) => Batch::new(partition, expect, write).unwrap_or(check),
        None => check,
    }
}

/// Removes events whose numbers the batch uses.
pub(super) fn make_room(rows: &mut Rows, partition: &Partition, write: &Write) {
    for event in &write.events {
        rows.events.remove(&(partition.clone(), event.chain, event.number));
    }
}

pub(super) const fn other(chain: EventChain) -> EventChain {
    match chain {
        EventChain::Changes => EventChain::Denials,
        EventChain::Denials => EventChain::Changes,
    }
}
