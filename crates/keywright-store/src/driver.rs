//! The driver: load, step, guarded commit, and only then the outcome.
//!
//! Every promise about races and lost replies lives here and in the guard, once, for every feature and every backend.

use std::sync::Arc;
use std::vec::Vec;

use keywright_core::{Clock, ClockError, Entropy, EntropyError, Keyring};

use crate::draft::{Draft, Loaded, Receipt, StepError};
use crate::lanes::{Lanes, Turn};
use crate::{Batch, BoxError, CommitError, Effect, Expect, LoadError, Partition, RecordStore, Revision, Slot, Write};

/// How often a step is run again after a conflict before the answer is "busy". In one process conflicts do not happen
/// (one attempt per account at a time), so this bounds a race between servers: with a fair store, 16 servers on one
/// account are served.
pub const MAX_RERUNS: u32 = 16;

/// How many requests on one account may wait in one process before the next is told "busy".
pub const MAX_WAITING: usize = 2_048;

/// How many slots a step may ask for beyond those named.
const MAX_EXTRA_LOADS: u32 = 64;

/// How often a lost reply is looked into before the answer is "unknown".
const MAX_SETTLES: u32 = 4;

/// Runs steps on a store. Cheap to clone; one per server.
#[derive(Clone)]
pub struct Driver {
    parts: Arc<Parts>,
}

struct Parts {
    store: Arc<dyn RecordStore>,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy + Send + Sync>,
    clock: Arc<dyn Clock>,
    lanes: Arc<Lanes>,
}

/// What became of an attempt whose reply was lost.
enum Settled {
    Won,
    /// It did not land and never can.
    Fenced,
}

impl Driver {
    /// A driver over a store.
    #[must_use]
    pub fn new(
        store: Arc<dyn RecordStore>,
        keyring: Arc<Keyring>,
        entropy: Arc<dyn Entropy + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { parts: Arc::new(Parts { store, keyring, entropy, clock, lanes: Lanes::new(MAX_WAITING) }) }
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RecordStore> {
        &self.parts.store
    }

    /// The keyring.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.parts.keyring
    }

    /// The source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy + Send + Sync> {
        &self.parts.entropy
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Waits for the partition's turn: for a caller that must do something slow between two transactions.
    ///
    /// # Errors
    /// [`TransactError::Busy`] if [`MAX_WAITING`] wait already.
    pub async fn turn(&self, partition: &Partition) -> Result<Turn, TransactError> {
        self.parts.lanes.turn(partition).await.ok_or(TransactError::Busy)
    }

    /// Runs a step on one partition and commits what it leaves; the outcome comes back only after that, with the
    /// receipt that releases what is [`Tentative`](crate::Tentative). `slots` are what the step is known to need.
    ///
    /// The step may run several times; it must be pure. A step that changes and grants nothing commits nothing.
    ///
    /// # Errors
    /// [`TransactError`]. Each of them denies; none says that a change was refused when it may have happened.
    pub async fn transact<T, F>(
        &self,
        partition: &Partition,
        slots: &[Slot],
        step: F,
    ) -> Result<(T, Receipt), TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let turn = self.turn(partition).await?;
        self.transact_in(&turn, slots, step).await
    }

    /// The same, inside a turn that is held already.
    ///
    /// # Errors
    /// As [`transact`](Self::transact).
    pub async fn transact_in<T, F>(
        &self,
        turn: &Turn,
        slots: &[Slot],
        mut step: F,
    ) -> Result<(T, Receipt), TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let partition = turn.partition();
        let mut wanted = wanted(slots);
        let mut reruns = 0;
        let mut extra = 0;
        loop {
            let loaded = self.load(partition, &wanted).await?;
            let attempt = Revision::random(&*self.parts.entropy)?;
            let (outcome, batch) = match self.decide(partition, &loaded, attempt, &mut step) {
                Ok(decided) => decided,
                Err(TransactError::Step(StepError::NotLoaded(slot)))
                    if extra < MAX_EXTRA_LOADS && !wanted.contains(&slot) =>
                {
                    extra = extra.saturating_add(1);
                    wanted.push(slot);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Some(batch) = batch else { return Ok((outcome, Receipt::new(attempt))) };
            let trace = Trace::of(&batch);
            match self.parts.store.commit(batch).await {
                Ok(()) => return Ok((outcome, Receipt::new(attempt))),
                Err(CommitError::Conflict) => {}
                Err(CommitError::Rejected(source)) => return Err(TransactError::Rejected(source)),
                Err(CommitError::Unknown(source)) => match self.settle(partition, &trace, source).await? {
                    Settled::Won => return Ok((outcome, Receipt::new(attempt))),
                    Settled::Fenced => {}
                },
            }
            reruns = u32::saturating_add(reruns, 1);
            if reruns > MAX_RERUNS {
                return Err(TransactError::Busy);
            }
        }
    }

    /// Looks at one partition without a turn and without a commit. What comes back may be old when it arrives: decide
    /// nothing by it that a commit does not decide again.
    ///
    /// # Errors
    /// [`TransactError`]; [`StepError::Misuse`] if the step changes or grants something.
    pub async fn observe<T, F>(&self, partition: &Partition, slots: &[Slot], mut look: F) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let mut wanted = wanted(slots);
        let mut extra = 0_u32;
        loop {
            let loaded = self.load(partition, &wanted).await?;
            let attempt = Revision::random(&*self.parts.entropy)?;
            let now = self.parts.clock.now()?;
            let mut draft = Draft::new(partition, &loaded, &self.parts.keyring, &*self.parts.entropy, now, attempt);
            match look(&mut draft).and_then(|seen| Ok((seen, draft.into_batch()?))) {
                Ok((seen, None)) => return Ok(seen),
                Ok((_, Some(_))) => return Err(StepError::Misuse("an observation changed something").into()),
                Err(StepError::NotLoaded(slot)) if extra < MAX_EXTRA_LOADS && !wanted.contains(&slot) => {
                    extra = extra.saturating_add(1);
                    wanted.push(slot);
                }
                Err(error) => return Err(TransactError::Step(error)),
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
    ) -> Result<(T, Option<Batch>), TransactError> {
        let now = self.parts.clock.now()?;
        let mut draft = Draft::new(partition, loaded, &self.parts.keyring, &*self.parts.entropy, now, attempt);
        let outcome = step(&mut draft)?;
        Ok((outcome, draft.into_batch()?))
    }

    async fn load(&self, partition: &Partition, slots: &[Slot]) -> Result<Loaded, TransactError> {
        let stored = self.parts.store.load(partition, slots).await.map_err(TransactError::Load)?;
        if stored.len() != slots.len() {
            return Err(TransactError::Load(LoadError::Failed("the store answered another number of slots".into())));
        }
        Ok(slots.iter().copied().zip(stored).collect())
    }

    /// Finds out what became of a commit whose reply was lost. Reading back our own revision proves that it landed; that
    /// it is absent proves nothing, it may still be on its way. So the root is put again under a new revision: every
    /// batch guards the root, so once the fence stands the lost commit can never land. The fence also rests on
    /// every record just as it was loaded: else a commit that lands between the load and the fence would be called lost.
    async fn settle(&self, partition: &Partition, trace: &Trace, source: BoxError) -> Result<Settled, TransactError> {
        for _ in 0..MAX_SETTLES {
            let slots: Vec<Slot> = trace.guards.iter().map(|(slot, ..)| *slot).collect();
            let Ok(loaded) = self.load(partition, &slots).await else { break };
            if holds(&loaded, trace.revision) {
                return Ok(Settled::Won);
            }
            let moved = trace.guards.iter().any(|(slot, expect, puts)| {
                *puts && loaded.get(slot).is_none_or(|stored| !meets(stored.as_ref(), *expect))
            });
            if moved {
                // Somebody wrote there since. Ours may have landed before that and been overwritten: not to be known.
                break;
            }
            let Some(fence) = fence(partition, &loaded, Revision::random(&*self.parts.entropy)?) else {
                // No root to fence with: this commit was to make it, and its own guard is that there is none.
                break;
            };
            match self.parts.store.commit(fence).await {
                Ok(()) => return Ok(Settled::Fenced),
                Err(CommitError::Conflict) => {}
                Err(CommitError::Rejected(_) | CommitError::Unknown(_)) => break,
            }
        }
        Err(TransactError::Unknown(source))
    }
}

/// What a driver must remember of a batch to settle it.
struct Trace {
    revision: Revision,
    guards: Vec<(Slot, Expect, bool)>,
}

impl Trace {
    fn of(batch: &Batch) -> Self {
        let guards = batch
            .writes()
            .iter()
            .map(|write| (write.slot, write.expect, matches!(write.effect, Effect::Put { .. })))
            .collect();
        Self { revision: batch.revision(), guards }
    }
}

fn wanted(slots: &[Slot]) -> Vec<Slot> {
    let mut wanted = Vec::with_capacity(slots.len().saturating_add(1));
    wanted.push(Slot::Root);
    for &slot in slots {
        if !wanted.contains(&slot) {
            wanted.push(slot);
        }
    }
    wanted
}

fn holds(loaded: &Loaded, revision: Revision) -> bool {
    loaded.values().flatten().any(|stored| stored.revision == revision)
}

fn meets(stored: Option<&crate::Stored>, expect: Expect) -> bool {
    match (stored, expect) {
        (None, Expect::Absent) => true,
        (Some(stored), Expect::Revision(revision)) => stored.revision == revision,
        (None, Expect::Revision(_)) | (Some(_), Expect::Absent) => false,
    }
}

/// The root's same body under a new revision, if every other record is still as it was loaded.
fn fence(partition: &Partition, loaded: &Loaded, revision: Revision) -> Option<Batch> {
    let root = loaded.get(&Slot::Root)?.as_ref()?;
    let writes = loaded.iter().map(|(&slot, stored)| {
        let expect = stored.as_ref().map_or(Expect::Absent, |stored| Expect::Revision(stored.revision));
        let effect = match slot {
            Slot::Root => Effect::Put { body: root.body.clone(), purge_after: None },
            _ => Effect::Check,
        };
        Write { slot, expect, effect }
    });
    Batch::new(partition.clone(), revision, writes.collect()).ok()
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("store", &self.parts.store).finish_non_exhaustive()
    }
}

/// Why there is no outcome. Every one of them denies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactError {
    /// Too many wait for this account, or other servers were faster too often. Nothing was counted or written; try again.
    #[error("the account is busy")]
    Busy,
    /// **Perhaps** it happened. Nothing is granted; a change must be answered as unknown, never as refused.
    #[error("it is unknown whether the change happened")]
    Unknown(#[source] BoxError),
    /// The store could not be read. Nothing was counted or written.
    #[error("the account's records cannot be read")]
    Load(#[source] LoadError),
    /// The store refused the commit. Nothing was counted or written.
    #[error("the store refused the commit")]
    Rejected(#[source] BoxError),
    /// The step could not decide. Nothing was counted or written.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The clock cannot be used.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
