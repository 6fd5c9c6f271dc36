//! The loop of every act: load, decide, take the partition, commit, settle.

use keywright_core::SecurityEvent;

use super::{Driver, MAX_RERUNS, TransactError};
use crate::draft::finish_fence;
use crate::draft::{Draft, Finished};
use crate::loaded::{Loaded, open_root};
use crate::locks::PartitionGuard;
use crate::release::Receipt;
use crate::settle::{Settlement, settle};
use crate::slot::SlotName;
use crate::step_error::StepError;
use crate::{Batch, BoxError, CommitError, Partition, Revision, Standing};

/// How many rounds of further slots a step may ask for beyond those named.
const MAX_EXTRA_LOADS: u32 = 64;

/// How often a lost reply is looked into before the answer is "unknown".
const MAX_SETTLES: u32 = 4;

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
}

/// What an act remembers from one round to the next.
struct Rounds {
    wanted: Vec<SlotName>,
    extra: u32,
    /// The root under which damage was seen: it is damage only if a second look finds the same root.
    suspected: Option<Option<Revision>>,
}

impl Rounds {
    fn new(slots: &[SlotName]) -> Self {
        let mut wanted: Vec<SlotName> = Vec::with_capacity(slots.len());
        for &slot in slots {
            if !wanted.contains(&slot) {
                wanted.push(slot);
            }
        }
        Self { wanted, extra: 0, suspected: None }
    }

    /// Whether the failure is only a reason to load once more.
    fn goes_on(&mut self, error: &TransactError, revision: Option<Revision>) -> bool {
        let TransactError::Step(error) = error else { return false };
        match error {
            StepError::NotLoaded(slots) if self.extra < MAX_EXTRA_LOADS => {
                let before = self.wanted.len();
                for &slot in slots {
                    if !self.wanted.contains(&slot) {
                        self.wanted.push(slot);
                    }
                }
                self.extra = self.extra.saturating_add(1);
                self.wanted.len() > before
            }
            // A backend that reads in two steps can show half of another's commit.
            error if error.is_damage() && self.suspected != Some(revision) => {
                self.suspected = Some(revision);
                true
            }
            _ => false,
        }
    }
}

impl Driver {
    /// Runs a step until it is committed or denied.
    pub(super) async fn attempt<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        mut step: F,
    ) -> Result<(T, Receipt), TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let mut rounds = Rounds::new(slots);
        let mut guard: Option<PartitionGuard> = None;
        let mut reruns = 0_u32;
        loop {
            let Some((loaded, attempt, decision)) = self.round(partition, &mut rounds, &mut step).await? else {
                continue;
            };
            let Decision { outcome, batch, events, standing } = decision;
            // Neither a change nor a grant: a refusal, for one. It takes no turn and no write.
            let Some(batch) = batch else { return Ok((outcome, Receipt::new(attempt))) };
            if guard.is_none() {
                guard = self.parts.locks.try_acquire(partition);
                if guard.is_none() {
                    // What was decided on is old by the time the partition is free.
                    let waited = self.parts.locks.acquire(partition, standing).await;
                    guard = Some(waited.ok_or(TransactError::Busy)?);
                    continue;
                }
            }
            let writes = batch.write().is_some();
            match self.parts.store.commit(batch).await {
                Ok(()) => {
                    self.tell(partition, &events);
                    return Ok((outcome, Receipt::new(attempt)));
                }
                Err(CommitError::Conflict) => {}
                Err(CommitError::Rejected(source)) => return Err(TransactError::Rejected(source)),
                // A question that was not answered has changed nothing: it is asked again.
                Err(CommitError::Unknown(source)) if !writes => {
                    if reruns >= MAX_RERUNS {
                        return Err(TransactError::Unknown(source));
                    }
                }
                Err(CommitError::Unknown(source)) => {
                    match self.settle(partition, attempt, loaded.revision, source).await? {
                        Settled::Landed => {
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
        }
    }

    /// A look that commits nothing.
    pub(super) async fn look<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        mut look: F,
    ) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let mut rounds = Rounds::new(slots);
        loop {
            let Some((_, _, decision)) = self.round(partition, &mut rounds, &mut look).await? else { continue };
            return match decision.batch {
                None => Ok(decision.outcome),
                Some(_) => Err(StepError::Misuse("an observation changed or granted something").into()),
            };
        }
    }

    /// Loads and decides once; `None` if it must be done again.
    async fn round<T, F>(
        &self,
        partition: &Partition,
        rounds: &mut Rounds,
        step: &mut F,
    ) -> Result<Option<(Loaded, Revision, Decision<T>)>, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let parts = &*self.parts;
        let snapshot = parts.store.load(partition, &rounds.wanted).await.map_err(TransactError::Load)?;
        let revision = snapshot.root.as_ref().map(|root| root.revision);
        let attempt = Revision::draw()?;
        let decided = Loaded::open(&parts.keyring, parts.kinds.as_ref(), partition, &rounds.wanted, snapshot)
            .map_err(TransactError::from)
            .and_then(|loaded| {
                let decision = self.decide(partition, &loaded, attempt, step)?;
                Ok((loaded, attempt, decision))
            });
        match decided {
            Ok(decided) => Ok(Some(decided)),
            Err(error) if rounds.goes_on(&error, revision) => Ok(None),
            Err(error) => {
                self.report(partition, &error);
                Err(error)
            }
        }
    }

    /// One attempt, between two awaits: a draft is not `Send`, so it must not live across one.
    fn decide<T>(
        &self,
        partition: &Partition,
        loaded: &Loaded,
        attempt: Revision,
        step: &mut impl FnMut(&mut Draft<'_>) -> Result<T, StepError>,
    ) -> Result<Decision<T>, TransactError> {
        let mut draft = Draft::new(partition, loaded, self.env()?, attempt);
        let outcome = step(&mut draft)?;
        let Finished { batch, events, standing } = draft.finish()?;
        Ok(Decision { outcome, batch, events, standing })
    }

    /// Finds out what became of a commit whose reply was lost (`security.md` § 7). While the root that it was based on
    /// still stands, it may be on its way: the root is put anew, and once that stands, it can never land.
    async fn settle(
        &self,
        partition: &Partition,
        ours: Revision,
        loaded: Option<Revision>,
        source: BoxError,
    ) -> Result<Settled, TransactError> {
        let base = loaded.unwrap_or(Revision::ZERO);
        for _ in 0..MAX_SETTLES {
            let Ok(snapshot) = self.parts.store.load(partition, &[]).await else { break };
            let current = match snapshot.root {
                None => None,
                Some(stored) => match open_root(&self.parts.keyring, partition, stored.revision, &stored.body) {
                    Ok(root) => Some((stored.revision, root)),
                    Err(_) => break,
                },
            };
            match settle(current.as_ref().map(|(revision, root)| (*revision, root.recent.as_slice())), ours, base) {
                Settlement::Landed => return Ok(Settled::Landed),
                Settlement::NeverLanded => return Ok(Settled::NeverLanded),
                Settlement::Unknown => break,
                Settlement::Fence => {
                    // Whatever keeps the fence from being made leaves the attempt as unknown as it was.
                    // The environment is not `Send`, so it must not live across the commit.
                    let fence = self.env().ok().and_then(|env| finish_fence(&env, partition, current).ok());
                    let Some(fence) = fence else { break };
                    match self.parts.store.commit(fence).await {
                        Ok(()) => return Ok(Settled::NeverLanded),
                        // The fence itself is settled by the next look.
                        Err(CommitError::Conflict | CommitError::Unknown(_)) => {}
                        Err(CommitError::Rejected(_)) => break,
                    }
                }
            }
        }
        Err(TransactError::Unknown(source))
    }

    fn tell(&self, partition: &Partition, events: &[SecurityEvent]) {
        let Some(observer) = &self.parts.observer else { return };
        let Some(account) = partition.as_account().filter(|_| !events.is_empty()) else { return };
        for event in events {
            observer.event(&account, event);
        }
    }

    pub(super) fn report(&self, partition: &Partition, error: &TransactError) {
        let TransactError::Step(error) = error else { return };
        if error.is_damage() {
            tracing::error!(
                partition = partition.key(),
                error = error as &dyn std::error::Error,
                "stored data is damaged"
            );
            if let Some(observer) = &self.parts.observer {
                observer.damage(partition, error);
            }
        }
    }
}
