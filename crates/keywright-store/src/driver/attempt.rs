//! The loop of every operation: load, decide, lock the partition, commit, settle.

use keywright_core::SecurityEvent;

use super::measure::{self, Stopwatch, Tally};
use super::{Driver, MAX_RERUNS, TransactError};
use crate::batch::Batch;
use crate::draft::Draft;
use crate::draft::finish::{Finished, fence as finish_fence};
use crate::draft::notes::Notes;
use crate::first_of::first_of;
use crate::inside;
use crate::loaded::{Loaded, open_root};
use crate::locks::{PartitionAccess, PartitionGuard, Standing};
use crate::nonces::Nonces;
use crate::partition::Partition;
use crate::port::{BoxError, BoxFuture, CommitError, LoadError, Shortage};
use crate::release::Receipt;
use crate::revision::Revision;
use crate::settle::{Settlement, settle};
use crate::slot::{ROOT, SlotName};
use crate::step_error::{Damage, StepError};
use crate::wanted::Wanted;

/// How often the outcome of a lost reply is investigated before the answer is "unknown".
const MAX_SETTLES: u32 = 4;

/// How often damage is checked once more while the root changes in between.
const MAX_SUSPICIONS: u32 = 4;

/// What became of an attempt whose reply was lost.
enum Settled {
    Landed,
    /// It did not happen and never can.
    NeverLanded,
}

/// One attempt's decision.
struct Decision<T> {
    outcome: T,
    batch: Option<Batch>,
    events: Vec<SecurityEvent>,
    standing: Standing,
    notes: Notes,
}

/// The result of one round.
enum Round<T> {
    /// Load again.
    Again,
    /// A guess may be judged once the partition is locked. The snapshot is kept: if nobody was in
    /// the way, it is still valid.
    Judge(Loaded, Standing),
    Decided(Box<Loaded>, Revision, Decision<T>),
}

/// What an operation, or a read of the log, remembers from one round to the next.
pub(super) struct Rounds {
    wanted: Wanted,
    /// The root under which damage was seen. It counts as damage only if a second read finds the
    /// same root.
    suspected: Option<Option<Revision>>,
    suspicions: u32,
}

impl Rounds {
    pub(super) fn new(slots: &[SlotName]) -> Self {
        Self { wanted: Wanted::new(slots), suspected: None, suspicions: 0 }
    }

    /// Returns `Ok` for a failure that is only a reason to load once more, and the error to report
    /// for any other.
    pub(super) fn go_on(&mut self, error: TransactError, revision: Option<Revision>) -> Result<(), TransactError> {
        match &error {
            TransactError::Step(StepError::NotLoaded(slots)) => {
                if self.wanted.add(slots) {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            // A backend that reads in two steps can show half of another server's commit.
            TransactError::Step(step) if step.is_damage() && self.suspected != Some(revision) => {
                self.suspected = Some(revision);
                self.suspicions = self.suspicions.saturating_add(1);
                // A root is one row, so a concurrent commit cannot make it one that does not open.
                let of_root = match step {
                    StepError::Open(error) => error.slot() == ROOT,
                    step => matches!(step, StepError::Damaged(Damage::Root | Damage::NewerRoot)),
                };
                match self.suspicions > MAX_SUSPICIONS {
                    false => Ok(()),
                    true if of_root => Err(error),
                    // Others commit all the time, and no two reads showed the same root: that does
                    // not prove damage.
                    true => Err(TransactError::Busy),
                }
            }
            _ => Err(error),
        }
    }
}

impl Driver {
    /// Runs a step until it is committed or denied.
    pub(super) async fn run_rounds<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        mut step: F,
        tally: &mut Tally,
    ) -> Result<(T, Receipt), TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let mut rounds = Rounds::new(slots);
        let mut guard: Option<PartitionGuard> = None;
        let mut kept: Option<Loaded> = None;
        let mut reruns = 0_u32;
        loop {
            let round = self.round(partition, &mut rounds, kept.take(), Some(&mut guard), &mut step).await;
            let (loaded, attempt, decision) = match round {
                Ok(Round::Decided(loaded, attempt, decision)) => (loaded, attempt, decision),
                Ok(Round::Again) => continue,
                Ok(Round::Judge(loaded, standing)) => {
                    let (taken, waited) = self.take(partition, standing, Some(loaded)).await?;
                    (guard, kept) = (Some(taken), waited);
                    continue;
                }
                Err(error) => {
                    drop(guard);
                    self.report(partition, &error);
                    return Err(error);
                }
            };
            let Decision { outcome, batch, events, standing, notes } = decision;
            tally.notes = notes;
            // Neither a change nor a grant, such as a refusal. It needs no lock and no write.
            let Some(batch) = batch else { return Ok((outcome, Receipt::new(attempt))) };
            if guard.is_none() {
                match self.parts.locks.try_acquire(partition) {
                    Some(taken) => guard = Some(taken),
                    None => {
                        // The decision is outdated by the time the partition is free, and it may
                        // hold a whole vault.
                        drop((outcome, batch, events, loaded));
                        guard = Some(self.take(partition, standing, None).await?.0);
                        continue;
                    }
                }
            }
            let writes = batch.write().is_some();
            match self.commit(batch).await {
                Ok(()) => {
                    tally.committed = true;
                    // The observer is the host's code, so it must not hold the lock.
                    drop(guard);
                    self.tell(partition, &events);
                    return Ok((outcome, Receipt::new(attempt)));
                }
                Err(CommitError::Conflict) => tally.conflicts = tally.conflicts.saturating_add(1),
                Err(CommitError::Rejected(source)) => return Err(TransactError::Rejected(source)),
                // A check that was not answered has changed nothing, so it is repeated.
                Err(CommitError::Unknown(source)) if !writes => {
                    if reruns >= MAX_RERUNS {
                        return Err(TransactError::Unknown(source));
                    }
                }
                Err(CommitError::Unknown(source)) => {
                    tally.unknown = tally.unknown.saturating_add(1);
                    match self.settle(partition, attempt, loaded.revision, source).await? {
                        Settled::Landed => {
                            tally.committed = true;
                            drop(guard);
                            self.tell(partition, &events);
                            return Ok((outcome, Receipt::new(attempt)));
                        }
                        Settled::NeverLanded => {}
                    }
                }
            }
            reruns = reruns.saturating_add(1);
            if reruns > MAX_RERUNS {
                return Err(TransactError::Busy);
            }
            tally.reruns = reruns;
        }
    }

    /// A read that commits nothing.
    pub(super) async fn look_rounds<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        mut look: F,
        tally: &mut Tally,
    ) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let mut rounds = Rounds::new(slots);
        loop {
            match self.round(partition, &mut rounds, None, None, &mut look).await {
                Ok(Round::Again) => {}
                Ok(Round::Decided(_, _, Decision { outcome, batch: None, notes, .. })) => {
                    tally.notes = notes;
                    return Ok(outcome);
                }
                Ok(Round::Decided(..)) => {
                    return Err(StepError::Misuse("a read-only step changed or granted something").into());
                }
                Ok(Round::Judge(..)) => return Err(StepError::Misuse("a read-only step checked a guess").into()),
                Err(error) => {
                    self.report(partition, &error);
                    return Err(error);
                }
            }
        }
    }

    /// Locks the partition, immediately or after waiting. What was loaded before is still valid
    /// only if nobody was in the way.
    async fn take(
        &self,
        partition: &Partition,
        standing: Standing,
        loaded: Option<Loaded>,
    ) -> Result<(PartitionGuard, Option<Loaded>), TransactError> {
        if let Some(guard) = self.parts.locks.try_acquire(partition) {
            return Ok((guard, loaded));
        }
        drop(loaded);
        let guard = self.parts.locks.acquire(partition, standing).await.ok_or(TransactError::Busy)?;
        Ok((guard, None))
    }

    /// Loads, unless a snapshot is at hand, and decides once. A read has no place for a lock guard,
    /// and takes none.
    async fn round<T, F>(
        &self,
        partition: &Partition,
        rounds: &mut Rounds,
        kept: Option<Loaded>,
        guard: Option<&mut Option<PartitionGuard>>,
        step: &mut F,
    ) -> Result<Round<T>, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let parts = &*self.parts;
        let loaded = match kept {
            Some(loaded) => loaded,
            None => {
                let load = parts.store.load(partition, rounds.wanted.slots());
                let snapshot = self.in_time(partition, load).await.map_err(TransactError::Load)?;
                let revision = snapshot.root.as_ref().map(|root| root.revision);
                match Loaded::open(&parts.keyring, parts.kinds.as_ref(), partition, rounds.wanted.slots(), snapshot) {
                    Ok(loaded) => loaded,
                    Err(error) => {
                        return rounds.go_on(error.into(), revision).map(|()| Round::Again);
                    }
                }
            }
        };
        match self.decide(partition, &loaded, guard, step) {
            Ok((attempt, decision)) => Ok(Round::Decided(Box::new(loaded), attempt, decision)),
            Err(TransactError::Step(StepError::NeedsPartition(standing))) => Ok(Round::Judge(loaded, standing)),
            Err(error) => rounds.go_on(error, loaded.revision).map(|()| Round::Again),
        }
    }

    /// Runs one attempt between two awaits. A draft is not `Send`, so it must not live across one.
    fn decide<T>(
        &self,
        partition: &Partition,
        loaded: &Loaded,
        guard: Option<&mut Option<PartitionGuard>>,
        step: &mut impl FnMut(&mut Draft<'_>) -> Result<T, StepError>,
    ) -> Result<(Revision, Decision<T>), TransactError> {
        let decide = |draft: Draft<'_>, step: &mut dyn FnMut(&mut Draft<'_>) -> Result<T, StepError>| {
            let mut draft = draft;
            let outcome = inside::run(|| step(&mut draft))?;
            let Finished { batch, events, standing, notes } = draft.finish()?;
            Ok::<_, StepError>(Decision { outcome, batch, events, standing, notes })
        };
        let env = self.env()?;
        let Some(guard) = guard else {
            let attempt = Revision::draw()?;
            return Ok((attempt, decide(Draft::new(partition, loaded, env, attempt), step)?));
        };
        let (attempt, nonces) = Nonces::draw()?;
        let access = PartitionAccess::new(&self.parts.locks, guard.take());
        let decision = decide(Draft::new(partition, loaded, env, attempt).with(&access, nonces), step);
        *guard = access.into_guard();
        Ok((attempt, decision?))
    }

    /// Commits, and stops waiting for an answer after the limit. What became of the commit is then
    /// unknown, unless the store knows that it never began.
    async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        let _time = Stopwatch::of_commit();
        match &self.parts.deadline {
            None => self.parts.store.commit(batch).await,
            Some((timer, limit)) => self.parts.store.commit_until(batch, timer.wait(*limit)).await,
        }
    }

    /// Waits for a load until the limit.
    pub(super) async fn in_time<T>(
        &self,
        partition: &Partition,
        load: BoxFuture<'_, Result<T, LoadError>>,
    ) -> Result<T, LoadError> {
        let _time = Stopwatch::of_load();
        let Some((timer, limit)) = &self.parts.load_deadline else { return load.await };
        match first_of(load, timer.wait(*limit)).await {
            Some(answer) => answer,
            None => {
                tracing::warn!(partition = partition.key(), limit = ?limit, "a load took too long and was abandoned");
                Err(LoadError::TimedOut)
            }
        }
    }

    /// Finds out what became of a commit whose reply was lost (`docs/security.md` § 7). While the
    /// root on which it was based is still current, it may be on its way. The root is then written
    /// again; once that succeeds, the commit can never land.
    async fn settle(
        &self,
        partition: &Partition,
        ours: Revision,
        loaded: Option<Revision>,
        source: BoxError,
    ) -> Result<Settled, TransactError> {
        let base = loaded.unwrap_or(Revision::ZERO);
        for _ in 0..MAX_SETTLES {
            let snapshot = match self.in_time(partition, self.parts.store.load(partition, &[])).await {
                Ok(snapshot) => snapshot,
                Err(error) => {
                    self.report(partition, &TransactError::Load(error));
                    break;
                }
            };
            let current = match snapshot.root {
                None => None,
                Some(stored) => match open_root(&self.parts.keyring, partition, stored.revision, &stored.body) {
                    Ok(root) => Some((stored.revision, root)),
                    Err(error) => {
                        self.report(partition, &error.into());
                        break;
                    }
                },
            };
            match settle(current.as_ref().map(|(revision, root)| (*revision, root.recent.as_slice())), ours, base) {
                Settlement::Landed => return Ok(Settled::Landed),
                Settlement::NeverLanded => return Ok(Settled::NeverLanded),
                Settlement::Unknown => break,
                Settlement::Fence => {
                    // Whatever prevents the fence leaves the attempt as unknown as it was. What
                    // steps are given is not `Send`, so it must not live across the commit.
                    let fence = self.env().ok().and_then(|env| finish_fence(&env, partition, current).ok());
                    let Some(fence) = fence else { break };
                    match self.commit(fence).await {
                        Ok(()) => return Ok(Settled::NeverLanded),
                        // The next read settles the fence itself.
                        Err(CommitError::Conflict | CommitError::Unknown(_)) => {}
                        // The store was busy, perhaps with the attempt itself.
                        Err(CommitError::Rejected(source)) if Shortage::of(&*source) == Some(Shortage::Busy) => {}
                        Err(CommitError::Rejected(_)) => break,
                    }
                }
            }
        }
        Err(TransactError::Unknown(source))
    }

    pub(super) fn report(&self, partition: &Partition, error: &TransactError) {
        match error {
            TransactError::Step(error) => self.report_step(partition, error),
            TransactError::Load(error) => self.report_load(partition, error),
            _ => {}
        }
    }

    pub(crate) fn report_step(&self, partition: &Partition, error: &StepError) {
        if error.is_damage() {
            self.tell_of_damage(partition, error, error);
        }
    }

    pub(crate) fn report_load(&self, partition: &Partition, error: &LoadError) {
        if matches!(error, LoadError::Corrupt(_)) {
            self.tell_of_damage(partition, error, &StepError::Damaged(Damage::Form));
        }
    }

    fn tell_of_damage(&self, partition: &Partition, error: &(dyn std::error::Error + 'static), damage: &StepError) {
        measure::count_damage();
        tracing::error!(partition = partition.key(), error, "stored data is damaged");
        if let Some(observer) = &self.parts.observer {
            inside::run(|| observer.damage(partition, damage));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damage() -> TransactError {
        StepError::Damaged(Damage::Orphans).into()
    }

    #[test]
    fn damage_is_reported_only_if_two_reads_show_the_same_root() {
        let root = Some(Revision::draw().unwrap());
        let mut rounds = Rounds::new(&[]);
        rounds.go_on(damage(), root).unwrap();
        assert!(matches!(rounds.go_on(damage(), root), Err(TransactError::Step(error)) if error.is_damage()));
        // A partition whose root differs at each read is busy, not damaged.
        let mut rounds = Rounds::new(&[]);
        for _ in 0..MAX_SUSPICIONS {
            rounds.go_on(damage(), Some(Revision::draw().unwrap())).unwrap();
        }
        assert!(matches!(rounds.go_on(damage(), Some(Revision::draw().unwrap())), Err(TransactError::Busy)));
    }
}
