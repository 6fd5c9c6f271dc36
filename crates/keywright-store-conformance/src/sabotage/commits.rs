//! The flaws of commits.

use keywright_core::{AccountId, SecurityEvent};
use keywright_store::{
    Batch, BatchError, CommitError, Effect, EventId, Expect, LoadError, Partition, RecordStore, Revision, Slot, Stored,
    Upkeep, VaultStore, VaultWrite, Which, Write,
};

use super::{Flaw, SabotagedStore};

/// How long a step that should be locked leaves the door open, in turns of the scheduler.
const DOOR_OPEN: u32 = 64;

/// How long a half-done swap waits for a reader, in the same turns.
const NOBODY_COMES: u32 = 10_000;

fn refuse(error: BatchError) -> CommitError {
    CommitError::Rejected(error.into())
}

fn failed(error: LoadError) -> CommitError {
    CommitError::Rejected(error.into())
}

/// The batch with other writes, events and vault write.
fn remade(
    batch: &Batch,
    writes: Vec<Write>,
    events: Vec<SecurityEvent>,
    vault: Option<VaultWrite>,
) -> Result<Batch, CommitError> {
    let mut next = Batch::new(batch.partition().clone(), batch.revision(), writes).map_err(refuse)?.with_events(events);
    if batch.erases() {
        next = next.with_erase().map_err(refuse)?;
    }
    if let Some(vault) = vault {
        next = next.with_vault(vault).map_err(refuse)?;
    }
    Ok(next)
}

fn with_writes(batch: &Batch, writes: Vec<Write>) -> Result<Batch, CommitError> {
    remade(batch, writes, batch.events().to_vec(), batch.vault().cloned())
}

fn expecting(stored: Option<&Stored>) -> Expect {
    stored.map_or(Expect::Absent, |stored| Expect::Revision(stored.revision))
}

/// The write under a guard that holds.
fn forced(write: &Write, stored: Option<&Stored>) -> Write {
    let expect = expecting(stored);
    let effect = match &write.effect {
        Effect::Delete if expect == Expect::Absent => Effect::Check,
        effect => effect.clone(),
    };
    Write { slot: write.slot, expect, effect }
}

fn meets(write: &Write, stored: Option<&Stored>) -> bool {
    write.expect == expecting(stored)
}

const fn puts(write: &Write) -> bool {
    matches!(write.effect, Effect::Put { .. })
}

pub(super) fn flipped(revision: Revision) -> Revision {
    Revision::from_bytes(revision.to_bytes().map(|byte| !byte))
}

pub(super) fn folded(partition: &Partition) -> Partition {
    let lower = |account: AccountId| AccountId::new(account.as_str().to_lowercase()).ok();
    partition.as_account().and_then(lower).map_or_else(|| partition.clone(), |account| Partition::account(&account))
}

async fn leave_the_door_open() {
    for _ in 0..DOOR_OPEN {
        tokio::task::yield_now().await;
    }
}

impl SabotagedStore {
    pub(super) async fn commit_flawed(&self, batch: Batch) -> Result<(), CommitError> {
        if self.flaw == Flaw::ChecksThenWrites {
            return self.check_then_write(batch).await;
        }
        if self.flaw == Flaw::ErasesUnlocked && batch.erases() {
            return self.erase_unlocked(batch).await;
        }
        let _gate = self.gate.lock().await;
        match self.flaw {
            Flaw::IgnoresChecks => {
                self.regardless(batch, |write| write.effect == Effect::Check && write.slot != Slot::Root).await
            }
            Flaw::IgnoresRevisions => {
                let ignored = |write: &Write| write.expect != Expect::Absent && write.effect != Effect::Check;
                self.regardless(batch, |write| ignored(write) && write.slot != Slot::Root).await
            }
            Flaw::ReplacesPresent => {
                self.regardless(batch, |write| write.expect == Expect::Absent && puts(write)).await
            }
            Flaw::IgnoresRoot => self.regardless(batch, |write| write.slot == Slot::Root).await,
            Flaw::ReusesVersions => self.by_version(batch).await,
            Flaw::ShowsOtherRevisions => self.by_shown_revision(batch).await,
            Flaw::WritesHalf | Flaw::TellsConflicts => self.after_a_conflict(batch).await,
            Flaw::LosesEvents | Flaw::AcknowledgesUnwritten => self.now_and_then(batch).await,
            Flaw::ErasesEvents | Flaw::ErasesNoCiphers if batch.erases() => self.erase_otherwise(batch).await,
            Flaw::CommitsInSteps => self.in_steps(batch).await,
            Flaw::SwapsUncovered => self.swap_uncovered(batch).await,
            Flaw::SwapsInSteps => self.swap_in_steps(batch).await,
            Flaw::SwapsTakeNotes => self.swap_as_edit(batch).await,
            Flaw::FoldsCase => self.folding(&batch).await,
            _ => self.noting(batch).await,
        }
    }

    async fn present(&self, batch: &Batch) -> Result<Vec<Option<Stored>>, CommitError> {
        let slots: Vec<Slot> = batch.writes().iter().map(|write| write.slot).collect();
        self.inner.load(batch.partition(), &slots).await.map_err(failed)
    }

    /// Commits faithfully, and notes what each record was given to live.
    async fn noting(&self, batch: Batch) -> Result<(), CommitError> {
        let hints: Vec<_> = batch
            .writes()
            .iter()
            .filter_map(|write| match &write.effect {
                Effect::Put { purge_after, .. } => Some(((batch.partition().clone(), write.slot), *purge_after)),
                Effect::Check | Effect::Delete => None,
            })
            .collect();
        self.inner.commit(batch).await?;
        self.notes().hints.extend(hints);
        Ok(())
    }

    async fn regardless(&self, batch: Batch, ignored: impl Fn(&Write) -> bool) -> Result<(), CommitError> {
        let present = self.present(&batch).await?;
        let writes = batch
            .writes()
            .iter()
            .zip(&present)
            .map(|(write, stored)| if ignored(write) { forced(write, stored.as_ref()) } else { write.clone() });
        self.inner.commit(with_writes(&batch, writes.collect())?).await
    }

    async fn by_version(&self, batch: Batch) -> Result<(), CommitError> {
        let present = self.present(&batch).await?;
        let mut writes = Vec::new();
        for (write, stored) in batch.writes().iter().zip(&present) {
            let notes = self.notes();
            let known = notes.versions.get(&(batch.partition().clone(), write.slot));
            let version = |revision| known.and_then(|known| known.get(&revision)).copied();
            let same = match (write.expect, stored) {
                (Expect::Revision(guard), Some(stored)) => version(guard) == version(stored.revision),
                _ => false,
            };
            writes.push(if same { forced(write, stored.as_ref()) } else { write.clone() });
        }
        self.inner.commit(with_writes(&batch, writes)?).await?;
        for (write, stored) in batch.writes().iter().zip(&present).filter(|(write, _)| puts(write)) {
            let mut notes = self.notes();
            let known = notes.versions.entry((batch.partition().clone(), write.slot)).or_default();
            let before = stored.as_ref().and_then(|stored| known.get(&stored.revision)).copied().unwrap_or(0);
            known.insert(batch.revision(), before.saturating_add(1));
        }
        Ok(())
    }

    async fn by_shown_revision(&self, batch: Batch) -> Result<(), CommitError> {
        let present = self.present(&batch).await?;
        let writes = batch.writes().iter().zip(&present).map(|(write, stored)| match (write.expect, stored) {
            (Expect::Revision(guard), Some(stored)) if guard == flipped(stored.revision) => forced(write, Some(stored)),
            _ => write.clone(),
        });
        self.inner.commit(with_writes(&batch, writes.collect())?).await
    }

    async fn after_a_conflict(&self, batch: Batch) -> Result<(), CommitError> {
        let result = self.inner.commit(batch.clone()).await;
        if !matches!(result, Err(CommitError::Conflict)) {
            return result;
        }
        let present = self.present(&batch).await?;
        let pairs = || batch.writes().iter().zip(&present);
        let root = pairs().find(|(write, _)| write.slot == Slot::Root).and_then(|(_, stored)| stored.as_ref());
        let mut writes = vec![Write { slot: Slot::Root, expect: expecting(root), effect: Effect::Check }];
        let mut events = batch.events().to_vec();
        if self.flaw == Flaw::WritesHalf {
            let others = pairs().filter(|(write, _)| puts(write) && write.slot != Slot::Root);
            let half = others.clone().count().div_ceil(2);
            writes.extend(others.take(half).map(|(write, stored)| forced(write, stored.as_ref())));
            events.clear();
        }
        let half = Batch::new(batch.partition().clone(), batch.revision(), writes).map_err(refuse)?;
        self.inner.commit(half.with_events(events)).await?;
        Err(CommitError::Conflict)
    }

    async fn now_and_then(&self, batch: Batch) -> Result<(), CommitError> {
        let count = {
            let mut notes = self.notes();
            notes.commits = notes.commits.saturating_add(1);
            notes.commits
        };
        if self.flaw == Flaw::LosesEvents && count % 7 == 0 {
            let writes = batch.writes().to_vec();
            return self.inner.commit(remade(&batch, writes, Vec::new(), batch.vault().cloned())?).await;
        }
        let moves_root = batch.writes().iter().any(|write| write.slot == Slot::Root && puts(write));
        if self.flaw == Flaw::AcknowledgesUnwritten && count % 5 == 0 && !moves_root {
            return Ok(());
        }
        self.inner.commit(batch).await
    }

    async fn erase_otherwise(&self, batch: Batch) -> Result<(), CommitError> {
        let partition = batch.partition().clone();
        let rows = self.inner.read(&partition, Which::All).await.map_err(failed)?;
        let newest = self.inner.events(&partition, None, 1).await.map_err(failed)?;
        self.inner.commit(batch).await?;
        let mut notes = self.notes();
        if self.flaw == Flaw::ErasesNoCiphers {
            notes.ciphers_left.insert(partition, rows);
        } else if let Some((EventId(id), _)) = newest.first() {
            notes.erased_events.insert(partition, EventId(*id));
        }
        Ok(())
    }

    async fn in_steps(&self, batch: Batch) -> Result<(), CommitError> {
        let present = self.present(&batch).await?;
        if batch.erases() || batch.vault().is_some() {
            return self.inner.commit(batch).await;
        }
        if !batch.writes().iter().zip(&present).all(|(write, stored)| meets(write, stored.as_ref())) {
            return Err(CommitError::Conflict);
        }
        let (root, others): (Vec<Write>, Vec<Write>) =
            batch.writes().iter().cloned().partition(|w| w.slot == Slot::Root);
        let (first, second) = others.split_at(others.len() / 2);
        let check = root.iter().map(|root| Write { effect: Effect::Check, ..root.clone() });
        let first = check.chain(first.iter().cloned()).collect();
        self.inner.commit(remade(&batch, first, Vec::new(), None)?).await?;
        tokio::task::yield_now().await;
        let second = root.into_iter().chain(second.iter().cloned()).collect();
        self.inner.commit(remade(&batch, second, batch.events().to_vec(), None)?).await
    }

    async fn check_then_write(&self, batch: Batch) -> Result<(), CommitError> {
        let present = self.present(&batch).await?;
        if !batch.writes().iter().zip(&present).all(|(write, stored)| meets(write, stored.as_ref())) {
            return Err(CommitError::Conflict);
        }
        leave_the_door_open().await;
        let _gate = self.gate.lock().await;
        self.regardless(batch, |_| true).await
    }

    async fn erase_unlocked(&self, batch: Batch) -> Result<(), CommitError> {
        let seen = self.others(&batch).await?;
        leave_the_door_open().await;
        let _gate = self.gate.lock().await;
        let late = self.others(&batch).await?.into_iter().filter(|(slot, _)| !seen.iter().any(|(had, _)| had == slot));
        let late = late.map(|(slot, stored)| Write { slot, expect: expecting(Some(&stored)), effect: Effect::Check });
        let writes = batch.writes().iter().cloned().chain(late).collect();
        self.inner.commit(with_writes(&batch, writes)?).await
    }

    /// The records of the batch's partition that it does not write.
    async fn others(&self, batch: &Batch) -> Result<Vec<(Slot, Stored)>, CommitError> {
        let all = self.inner.scan(None, u32::MAX).await.map_err(failed)?;
        let others = all.into_iter().filter(|met| {
            met.partition == *batch.partition() && batch.writes().iter().all(|write| write.slot != met.slot)
        });
        Ok(others.map(|met| (met.slot, met.stored)).collect())
    }

    async fn swap_uncovered(&self, batch: Batch) -> Result<(), CommitError> {
        let Some(VaultWrite::Swap { rows }) = batch.vault() else { return self.inner.commit(batch).await };
        let owned = self.inner.manifest(batch.partition()).await.map_err(failed)?.entries;
        let gone = owned.into_iter().map(|(id, _)| id).filter(|id| rows.iter().all(|row| row.id != *id));
        let edit = VaultWrite::Edit { put: rows.clone(), delete: gone.collect() };
        self.inner.commit(remade(&batch, batch.writes().to_vec(), batch.events().to_vec(), Some(edit))?).await
    }

    async fn swap_as_edit(&self, batch: Batch) -> Result<(), CommitError> {
        let Some(VaultWrite::Swap { rows }) = batch.vault() else { return self.inner.commit(batch).await };
        let owned = self.inner.manifest(batch.partition()).await.map_err(failed)?.entries;
        let covers = owned.len() == rows.len() && rows.iter().all(|row| owned.iter().any(|(id, _)| *id == row.id));
        if !covers {
            return self.inner.commit(batch).await;
        }
        let edit = VaultWrite::Edit { put: rows.clone(), delete: Vec::new() };
        self.inner.commit(remade(&batch, batch.writes().to_vec(), batch.events().to_vec(), Some(edit))?).await
    }

    async fn swap_in_steps(&self, batch: Batch) -> Result<(), CommitError> {
        let Some(VaultWrite::Swap { rows }) = batch.vault() else { return self.inner.commit(batch).await };
        let half = rows.iter().take(rows.len() / 2).cloned().collect();
        let edit = VaultWrite::Edit { put: half, delete: Vec::new() };
        self.inner.commit(remade(&batch, batch.writes().to_vec(), Vec::new(), Some(edit))?).await?;
        self.wait_for_a_reader().await;
        // The first step has moved what the batch puts.
        self.regardless(batch, puts).await
    }

    /// Waits until somebody has read what is half done, or nobody comes.
    async fn wait_for_a_reader(&self) {
        let before = self.notes().reads;
        for _ in 0..NOBODY_COMES {
            if self.notes().reads > before {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn folding(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut next = Batch::new(folded(batch.partition()), batch.revision(), batch.writes().to_vec())
            .map_err(refuse)?
            .with_events(batch.events().to_vec());
        if batch.erases() {
            next = next.with_erase().map_err(refuse)?;
        }
        if let Some(vault) = batch.vault() {
            next = next.with_vault(vault.clone()).map_err(refuse)?;
        }
        self.inner.commit(next).await
    }
}
