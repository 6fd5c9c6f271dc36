//! A step inside one of the host's own transactions.

use keywright_store::{
    Batch, CommitError, Draft, Driver, HostTransaction, LoadError, Partition, Release, SlotName, Snapshot, Spent,
    StepError, WithinError,
};
use sqlx::PgConnection;

use crate::fault::{Fault, FaultKind};
use crate::link::Link;
use crate::store::PostgresStore;
use crate::{read, schema, write};

/// How many rounds of further slots a step may request beyond those that were named.
const MAX_EXTRA_LOADS: u32 = 64;

/// A transaction of the host's, on the store's own database, in which a step is spent.
///
/// ```no_run
/// # use keywright_postgres::{PostgresStore, PostgresTransaction, sqlx};
/// # use keywright_store::{Driver, Partition};
/// # async fn order(store: &PostgresStore, driver: &Driver, host: &sqlx::PgPool, account: &Partition)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let mut transaction = host.begin().await?;
/// sqlx::query("INSERT INTO orders (item) VALUES ('a book')").execute(&mut *transaction).await?;
/// let spent = PostgresTransaction::new(store, &mut transaction)
///     .within(driver, account, &[], |draft| Ok(draft.tentative("granted")))
///     .await?;
/// transaction.commit().await?;
/// assert_eq!(spent.after_commit(), "granted");
/// # Ok(())
/// # }
/// ```
///
/// From the first check or write on, the account's lock is held until the transaction ends: keep it
/// short, and never wait for the store inside it. The connection may be of another role, if that
/// role serves requests too ([`Builder::serve`](crate::Builder::serve)).
///
/// On a distributed database, the host's own rows must be in a table that is distributed by the
/// same key. Otherwise the two are not committed together.
pub struct PostgresTransaction<'t> {
    store: &'t PostgresStore,
    connection: &'t mut PgConnection,
    is_ours: bool,
}

impl<'t> PostgresTransaction<'t> {
    /// Lends the host's transaction to the driver. The host still has to commit it.
    #[must_use]
    pub const fn new(store: &'t PostgresStore, connection: &'t mut PgConnection) -> Self {
        Self { store, connection, is_ours: false }
    }

    /// Runs a step as [`Driver::within`] does, whose documentation applies. The step may run several
    /// times; it must be pure.
    ///
    /// # Errors
    /// Returns [`WithinError`] if nothing was spent. The caller must deny on each variant. After
    /// [`WithinError::Conflict`], begin a new transaction.
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
        let mut wanted = slots.to_vec();
        let mut extra = 0_u32;
        loop {
            let snapshot = self.load(partition, &wanted).await;
            let mut loaded = Loaded { wanted: &wanted, snapshot: Some(snapshot), missing: None, batch: None };
            let spent = driver.within(&mut loaded, partition, slots, |draft: &mut Draft<'_>| step(draft));
            let Loaded { missing, batch, .. } = loaded;
            if let Some(missing) = missing
                && extra < MAX_EXTRA_LOADS
            {
                extra = extra.saturating_add(1);
                wanted = missing;
                continue;
            }
            let spent = spent?;
            if let Some(batch) = batch {
                self.apply(&batch).await?;
            }
            return Ok(spent);
        }
    }

    /// Loads as [`RecordStore::load`](keywright_store::RecordStore::load) does, inside the
    /// transaction.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    pub async fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        self.check().await.map_err(Fault::into_load_error)?;
        let mut link = Link { connection: self.connection, protocol: self.store.protocol() };
        read::load(&mut link, partition, slots).await.map_err(Fault::into_load_error)
    }

    /// Applies a batch under a savepoint, so that a failure leaves nothing in the transaction. A
    /// batch without a write holds the root as it is until the transaction ends.
    ///
    /// # Errors
    /// Returns [`CommitError`] if the batch was not applied. It is never [`CommitError::Unknown`],
    /// because nothing is committed yet.
    pub async fn apply(&mut self, batch: &Batch) -> Result<(), CommitError> {
        self.check().await.map_err(Fault::into_refusal)?;
        self.apply_whole(batch)
            .await
            .map_err(Fault::into_refusal)
            .and_then(|done| if done { Ok(()) } else { Err(CommitError::Conflict) })
    }

    async fn apply_whole(&mut self, batch: &Batch) -> Result<bool, Fault> {
        // Outside of a transaction this fails, and nothing is spent at once.
        sqlx::raw_sql("SAVEPOINT keywright_within").execute(&mut *self.connection).await?;
        let mut link = Link { connection: self.connection, protocol: self.store.protocol() };
        let applied = write::apply(&mut link, batch).await;
        let end = match applied {
            Ok(true) => "RELEASE SAVEPOINT keywright_within",
            _ => "ROLLBACK TO SAVEPOINT keywright_within; RELEASE SAVEPOINT keywright_within",
        };
        let ended = sqlx::raw_sql(end).execute(&mut *self.connection).await;
        let applied = applied?;
        ended?;
        Ok(applied)
    }

    /// Checks, once, that this is the store's database.
    async fn check(&mut self) -> Result<(), Fault> {
        if !self.is_ours {
            let found = schema::id(self.connection).await;
            match found {
                Ok(id) if id == self.store.id() => self.is_ours = true,
                Ok(_) => return Err(Fault::new(FaultKind::OtherDatabase)),
                Err(fault) if fault.kind() == FaultKind::AlteredSchema => {
                    return Err(Fault::new(FaultKind::OtherDatabase));
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

keywright_core::redacted_debug!(PostgresTransaction<'_>);

/// What was loaded before the step runs, and the batch that it leaves.
struct Loaded<'w> {
    wanted: &'w [SlotName],
    snapshot: Option<Result<Snapshot, LoadError>>,
    /// The slots to load instead, if the step has asked for others.
    missing: Option<Vec<SlotName>>,
    batch: Option<Batch>,
}

impl HostTransaction for Loaded<'_> {
    fn load(&mut self, _: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        let found = match &self.snapshot {
            Some(Ok(snapshot)) => snapshot,
            _ => return self.snapshot.take().unwrap_or(Err(LoadError::TimedOut)),
        };
        let record = |slot: &SlotName| {
            let place = self.wanted.iter().position(|wanted| wanted == slot)?;
            found.records.get(place).cloned()
        };
        let records: Option<Vec<_>> = slots.iter().map(record).collect();
        let Some(records) = records else {
            self.missing = Some(slots.to_vec());
            return Err(LoadError::TimedOut);
        };
        Ok(Snapshot { records, ..found.clone() })
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        self.batch = Some(batch);
        Ok(())
    }
}
