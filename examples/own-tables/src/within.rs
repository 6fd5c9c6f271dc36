//! A step and the shop's own statements in one transaction.

use deadpool_postgres::{Client, Transaction};
use keywright::store::{
    Batch, CommitError, Draft, Driver, HostTransaction, LoadError, Partition, Release, SlotName, Snapshot, Spent,
    StepError, Tentative, WithinError,
};
use tokio_postgres::IsolationLevel;

use crate::fault::Fault;
use crate::rows;
use crate::store::ShopStore;

/// How many times a step may ask for slots that were not named.
const MAX_EXTRA_LOADS: u32 = 16;

impl ShopStore {
    /// Runs a step that may grant something, and if it grants it, the shop's own change in the same transaction. Returns
    /// what was granted, once both are committed.
    ///
    /// The step spends what is granted already; it cannot check a guess
    /// ([`StepError::GuessInHostTransaction`]). It may run several times, and must be pure. The account's row is locked
    /// from before `change` until the end, so `change` must be short, and must not wait for anything but the database.
    ///
    /// # Errors
    /// Returns [`GrantError`] if nothing is granted. Deny on each variant. After
    /// [`GrantError::Unknown`] both changes may have been made, or none of them.
    pub async fn grant_with<T>(
        &self,
        driver: &Driver,
        partition: &Partition,
        slots: &[SlotName],
        mut step: impl FnMut(&mut Draft<'_>) -> Result<Option<Tentative<T>>, StepError>,
        change: impl AsyncFnOnce(&Transaction<'_>) -> Result<(), tokio_postgres::Error>,
    ) -> Result<Option<T>, GrantError> {
        let mut client = self.pool.get().await.map_err(Fault::from)?;
        let begun = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await;
        let mut transaction = begun.map_err(Fault::from)?;
        // A verdict, which is known before the commit. What is granted comes out after it.
        let mut grants = false;
        let decide = |draft: &mut Draft<'_>| step(draft).inspect(|granted| grants = granted.is_some());
        let spent = ShopTransaction(&mut transaction).within(driver, partition, slots, decide).await?;
        if grants {
            change(&transaction).await.map_err(Fault::from)?;
            // A `change` that has passed over an error has left a transaction that is rolled back by `COMMIT`, and
            // tokio-postgres reports that as a success. Any statement fails in it.
            transaction.batch_execute("SELECT 1").await.map_err(Fault::from)?;
        }
        match transaction.commit().await {
            Ok(()) => Ok(spent.after_commit()),
            Err(error) => {
                drop(Client::take(client));
                Err(GrantError::Unknown(error))
            }
        }
    }
}

/// Why nothing is granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// The step could not be spent, and nothing was written. After a conflict, begin again.
    #[error(transparent)]
    Within(#[from] WithinError),
    /// The shop's change or a statement around it failed, and nothing was written.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// `COMMIT` was sent, and it is unknown whether it happened.
    #[error("it is unknown whether the transaction was committed")]
    Unknown(#[source] tokio_postgres::Error),
}

/// A transaction of the shop's in which a step is spent.
pub struct ShopTransaction<'t, 'c>(pub &'t mut Transaction<'c>);

keywright::core::redacted_debug!(ShopTransaction<'_, '_>);

impl ShopTransaction<'_, '_> {
    /// Runs a step as [`Driver::within`] does, whose documentation applies.
    ///
    /// [`HostTransaction`] does not wait, and a database must be waited for. So the records are loaded first, the step
    /// runs on what was loaded, and the batch that it leaves is applied afterwards.
    ///
    /// # Errors
    /// Returns [`WithinError`] if nothing was spent.
    pub async fn within<T, F>(
        &mut self,
        driver: &Driver,
        partition: &Partition,
        slots: &[SlotName],
        mut step: F,
    ) -> Result<Spent<T::Released>, WithinError>
    where
        T: Release,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError>,
    {
        let mut loaded = slots.to_vec();
        let mut extra = 0_u32;
        loop {
            let snapshot = self.load(partition, &loaded).await?;
            let mut prepared = Prepared { loaded, snapshot, missing: None, batch: None };
            let spent = driver.within(&mut prepared, partition, slots, |draft: &mut Draft<'_>| step(draft));
            match prepared.missing {
                Some(missing) if extra < MAX_EXTRA_LOADS => {
                    extra = extra.saturating_add(1);
                    loaded = missing;
                }
                _ => {
                    let spent = spent?;
                    if let Some(batch) = prepared.batch {
                        self.apply(&batch).await?;
                    }
                    return Ok(spent);
                }
            }
        }
    }

    /// Loads inside the transaction.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    pub async fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        rows::load(&*self.0, partition, slots).await.map_err(Fault::into_load_error)
    }

    /// Applies a batch under a savepoint, so that a failure leaves nothing in the transaction. A batch without a write
    /// keeps the root as it is until the transaction ends.
    ///
    /// # Errors
    /// Returns [`CommitError`] if the batch was not applied. It is never [`CommitError::Unknown`].
    pub async fn apply(&mut self, batch: &Batch) -> Result<(), CommitError> {
        if self.apply_whole(batch).await.map_err(Fault::into_refusal)? { Ok(()) } else { Err(CommitError::Conflict) }
    }

    async fn apply_whole(&mut self, batch: &Batch) -> Result<bool, Fault> {
        // Dropped, it is rolled back.
        let savepoint = self.0.transaction().await?;
        let applied = match rows::parts(batch) {
            (partition, expect, Some(write)) => rows::apply(&savepoint, partition, expect, write).await?,
            // There is no row that could be kept absent.
            (_, None, None) => return Err(Fault::Failed("the absence of a root cannot be held".into())),
            (partition, expect, None) => rows::is_current(&savepoint, partition, expect, true).await?,
        };
        if applied {
            savepoint.commit().await?;
        }
        Ok(applied)
    }
}

/// What was loaded before the step runs, and what the step leaves.
struct Prepared {
    loaded: Vec<SlotName>,
    snapshot: Snapshot,
    /// The slots to load instead, if the step has asked for others.
    missing: Option<Vec<SlotName>>,
    batch: Option<Batch>,
}

impl HostTransaction for Prepared {
    fn load(&mut self, _: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        let record = |slot: &SlotName| {
            let place = self.loaded.iter().position(|loaded| loaded == slot)?;
            self.snapshot.records.get(place).cloned()
        };
        let Some(records) = slots.iter().map(record).collect() else {
            self.missing = Some(slots.to_vec());
            return Err(LoadError::TimedOut);
        };
        Ok(Snapshot { records, ..self.snapshot.clone() })
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        self.batch = Some(batch);
        Ok(())
    }
}
