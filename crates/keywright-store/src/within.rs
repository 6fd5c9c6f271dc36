//! Running a step inside one of the host's own transactions, so that a proof is spent atomically
//! with the host's change.

use keywright_core::SecurityEvent;

use crate::batch::Batch;
use crate::draft::Draft;
use crate::draft::finish::Finished;
use crate::driver::Driver;
use crate::inside;
use crate::loaded::Loaded;
use crate::partition::Partition;
use crate::port::{BoxError, CommitError, LoadError, Snapshot};
use crate::release::{Receipt, Release};
use crate::revision::Revision;
use crate::slot::SlotName;
use crate::step_error::StepError;
use crate::wanted::Wanted;

/// What a backend adds for [`Driver::within`]: loading and applying on a transaction that the host
/// holds, on a database whose calls block. If they have to be awaited, it is
/// [`AsyncHostTransaction`](crate::AsyncHostTransaction).
pub trait HostTransaction {
    /// Loads as [`RecordStore::load`](crate::RecordStore::load) does, inside the transaction.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError>;

    /// Applies a batch as [`RecordStore::commit`](crate::RecordStore::commit) does, inside the
    /// transaction and under a savepoint. If it fails, nothing of the batch is left in the
    /// transaction. A batch without a write is a locking read of the root.
    ///
    /// # Errors
    /// Returns [`CommitError`] if the batch was not applied. It is never [`CommitError::Unknown`],
    /// because nothing is committed yet.
    fn apply(&mut self, batch: Batch) -> Result<(), CommitError>;
}

impl Driver {
    /// Runs a step on one partition inside the **host's** transaction. What was granted is spent
    /// if, and only if, the host's own change is committed.
    ///
    /// Only the spending of what is already granted belongs here. The guess ledger cannot be read
    /// ([`StepError::GuessInHostTransaction`]), because the host's rollback would erase the charge.
    /// Check guesses first, in their own commit.
    ///
    /// The step may run several times; it must be pure. If this fails, for whatever reason, nothing
    /// of it is left in the transaction, and the host may continue the transaction or roll it back.
    /// [`Spent`] releases the outcome only after the host's `COMMIT`; whether the step has granted
    /// anything, [`Spent::is_granted`] says before.
    ///
    /// # Errors
    /// Returns [`WithinError`] if nothing was spent. The caller must deny on each variant.
    pub fn within<T, F>(
        &self,
        transaction: &mut dyn HostTransaction,
        partition: &Partition,
        slots: &[SlotName],
        step: F,
    ) -> Result<Spent<T::Released>, WithinError>
    where
        T: Release,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError>,
    {
        let spent = self.spend(transaction, partition, slots, step);
        self.report_within(partition, &spent);
        spent
    }

    fn spend<T, F>(
        &self,
        transaction: &mut dyn HostTransaction,
        partition: &Partition,
        slots: &[SlotName],
        mut step: F,
    ) -> Result<Spent<T::Released>, WithinError>
    where
        T: Release,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError>,
    {
        let mut wanted = Wanted::new(slots);
        loop {
            let snapshot = transaction.load(partition, wanted.slots())?;
            match self.decide_within(partition, &wanted, snapshot, &mut step) {
                Ok((batch, spent)) => {
                    if let Some(batch) = batch {
                        transaction.apply(batch)?;
                    }
                    return Ok(spent);
                }
                Err(WithinError::Step(StepError::NotLoaded(missing))) if wanted.add(&missing) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a step once on what was loaded. Returns the batch that is to be applied, and what is
    /// spent with it.
    pub(crate) fn decide_within<T, F>(
        &self,
        partition: &Partition,
        wanted: &Wanted,
        snapshot: Snapshot,
        step: &mut F,
    ) -> Result<(Option<Batch>, Spent<T::Released>), WithinError>
    where
        T: Release,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError>,
    {
        let loaded = Loaded::open(self.keyring(), self.kinds(), partition, wanted.slots(), snapshot)?;
        let attempt = Revision::draw().map_err(StepError::from)?;
        let env = self.env().map_err(|error| WithinError::Failed(error.into()))?;
        let mut draft = Draft::new(partition, &loaded, env, attempt).spending();
        let outcome = inside::run(|| step(&mut draft))?;
        let Finished { batch, events, .. } = draft.finish()?;
        let receipt = Receipt::new(attempt);
        let value = outcome.release(&receipt).map_err(|error| WithinError::Failed(error.into()))?;
        let notice = (self.clone(), partition.clone(), events);
        Ok((batch, Spent { value, is_granted: receipt.has_released(), notice }))
    }

    /// Reports damage. The transaction shows one snapshot, so there is no need to wait for another
    /// read.
    pub(crate) fn report_within<T>(&self, partition: &Partition, spent: &Result<Spent<T>, WithinError>) {
        match spent {
            Err(WithinError::Step(error)) => self.report_step(partition, error),
            Err(WithinError::Load(error)) => self.report_load(partition, error),
            _ => {}
        }
    }
}

/// The outcome of a step that was spent in a host's transaction which is **not yet committed**.
#[must_use = "an outcome comes out after the host's commit"]
pub struct Spent<T> {
    value: T,
    is_granted: bool,
    /// The events for the observer, which is notified after the host's commit.
    notice: (Driver, Partition, Vec<SecurityEvent>),
}

impl<T> Spent<T> {
    /// Whether the step has granted something: whether its outcome has a
    /// [`Tentative`](crate::Tentative) value in it. If it has not, the step was refused: roll back,
    /// and do not make the change that goes with the grant.
    #[must_use]
    pub const fn is_granted(&self) -> bool {
        self.is_granted
    }

    /// Returns the outcome. Call this only after the host's `COMMIT` has succeeded. Drop the value
    /// after a rollback, or if the `COMMIT` returned an error: then the result is unknown, and
    /// nothing is granted.
    pub fn after_commit(self) -> T {
        let (driver, partition, events) = self.notice;
        driver.tell(&partition, &events);
        self.value
    }

    /// Returns the outcome of a step that was refused and is rolled back: its events never happened.
    pub(crate) fn refused(self) -> T {
        self.value
    }
}

keywright_core::redacted_debug!(impl[T] Spent<T>);

/// Why nothing was spent. Nothing is left in the host's transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WithinError {
    /// The step could not decide.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The partition changed since it was loaded. Begin a new transaction.
    #[error("the partition changed since it was loaded")]
    Conflict,
    /// The partition could not be read.
    #[error("the partition cannot be read")]
    Load(#[from] LoadError),
    /// The transaction rejected the batch, or cannot be used.
    #[error("the host's transaction rejected the batch or cannot be used")]
    Failed(#[source] BoxError),
}

impl From<CommitError> for WithinError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict => Self::Conflict,
            CommitError::Rejected(source) | CommitError::Unknown(source) => Self::Failed(source),
        }
    }
}
