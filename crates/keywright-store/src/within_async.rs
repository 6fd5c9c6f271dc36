//! Running a step inside one of the host's own transactions, on a database that has to be awaited.

use crate::batch::Batch;
use crate::draft::Draft;
use crate::driver::Driver;
use crate::partition::Partition;
use crate::port::{BoxError, BoxFuture, CommitError, LoadError, Snapshot};
use crate::release::Release;
use crate::slot::SlotName;
use crate::step_error::StepError;
use crate::wanted::Wanted;
use crate::within::{Spent, WithinError};

/// A transaction of the host's on the store's database, whose calls have to be awaited. It is what a
/// backend adds for [`Driver::within_async`] and [`Driver::grant_with`].
///
/// It owns the transaction, so that the one who commits it also knows what was spent in it. If it is
/// dropped, the transaction must be rolled back.
pub trait AsyncHostTransaction: Send {
    /// Loads as [`RecordStore::load`](crate::RecordStore::load) does, inside the transaction.
    ///
    /// # Errors
    /// Returns [`LoadError`] if the load failed.
    fn load<'a>(
        &'a mut self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>>;

    /// Applies a batch as [`RecordStore::commit`](crate::RecordStore::commit) does, inside the
    /// transaction and under a savepoint. If it fails, nothing of the batch is left in the
    /// transaction. A batch without a write is a locking read of the root.
    ///
    /// # Errors
    /// Returns [`CommitError`] if the batch was not applied. It is never [`CommitError::Unknown`],
    /// because nothing is committed yet.
    fn apply(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>>;

    /// Commits the transaction, with every batch that was applied in it.
    ///
    /// It must not report success for anything else. After a failed statement that the host passed
    /// over, PostgreSQL turns `COMMIT` into a rollback and reports no error; and a host may have
    /// rolled back to a savepoint from before the batch. Both have to be found out here, for example
    /// by a savepoint that is set behind each batch and released before `COMMIT`.
    ///
    /// # Errors
    /// Returns [`CommitError::Unknown`] if the transaction may have been committed, and the other
    /// variants if it was not.
    fn commit<'a>(self) -> BoxFuture<'a, Result<(), CommitError>>
    where
        Self: Sized + 'a;

    /// Rolls the transaction back. If the database does not answer, it does so by itself.
    fn roll_back<'a>(self) -> BoxFuture<'a, ()>
    where
        Self: Sized + 'a;
}

impl Driver {
    /// Runs a step as [`within`](Self::within) does, whose documentation applies, on a database that
    /// has to be awaited.
    ///
    /// [`grant_with`](Self::grant_with) does this and all that comes after it. What this returns is
    /// not committed: if [`Spent::is_granted`], make the host's change and commit, and call
    /// [`Spent::after_commit`] only if the commit succeeded; otherwise roll back.
    ///
    /// # Errors
    /// Returns [`WithinError`] if nothing was spent. The caller must deny on each variant.
    pub async fn within_async<T, F>(
        &self,
        transaction: &mut dyn AsyncHostTransaction,
        partition: &Partition,
        slots: &[SlotName],
        step: F,
    ) -> Result<Spent<T::Released>, WithinError>
    where
        T: Release,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError>,
    {
        let spent = self.spend_async(transaction, partition, slots, step).await;
        self.report_within(partition, &spent);
        spent
    }

    async fn spend_async<T, F>(
        &self,
        transaction: &mut dyn AsyncHostTransaction,
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
            let snapshot = transaction.load(partition, wanted.slots()).await?;
            // What a step is given must not live across an await.
            match self.decide_within(partition, &wanted, snapshot, &mut step) {
                Ok((batch, spent)) => {
                    if let Some(batch) = batch {
                        transaction.apply(batch).await?;
                    }
                    return Ok(spent);
                }
                Err(WithinError::Step(StepError::NotLoaded(missing))) if wanted.add(&missing) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs a step that may grant something, and if it does, the host's own change in the same
    /// transaction. Both are committed, or neither. Only then is the outcome released.
    ///
    /// A step grants something if its outcome has a [`Tentative`](crate::Tentative) value in it. If
    /// it does not, it was refused: `change` is not called, and everything is rolled back, what the
    /// step has written included.
    ///
    /// The step may run several times; it must be pure, and it cannot check a guess
    /// ([`StepError::GuessInHostTransaction`]). The account is locked from before `change` until the
    /// end, so `change` must be short, and must not wait for anything but the database.
    ///
    /// ```
    /// # use keywright_store::{Batch, BoxFuture, CommitError, LoadError, MemoryStore, RecordStore, SlotName, Snapshot};
    /// # use keywright_core::{AccountId, Keyring, SystemEntropy};
    /// # use std::sync::Arc;
    /// use keywright_store::{AsyncHostTransaction, Draft, Driver, HostOutcome, Partition, Record, Slot};
    /// # #[derive(serde::Serialize, serde::Deserialize)]
    /// # struct Voucher { spent: bool }
    /// # impl Record for Voucher { const SCHEMA: u16 = 1; }
    /// # const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
    /// # struct Shop { records: Arc<MemoryStore>, orders: Vec<&'static str> }
    /// # impl Shop { async fn order(&mut self, item: &'static str) -> Result<(), std::fmt::Error> { self.orders.push(item); Ok(()) } }
    /// # // A backend of a real database has a transaction here. This one commits at once.
    /// # impl AsyncHostTransaction for Shop {
    /// #     fn load<'a>(&'a mut self, partition: &'a Partition, slots: &'a [SlotName]) -> BoxFuture<'a, Result<Snapshot, LoadError>> { self.records.load(partition, slots) }
    /// #     fn apply(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> { self.records.commit(batch) }
    /// #     fn commit<'a>(self) -> BoxFuture<'a, Result<(), CommitError>> where Self: Sized + 'a { Box::pin(async { Ok(()) }) }
    /// #     fn roll_back<'a>(self) -> BoxFuture<'a, ()> where Self: Sized + 'a { Box::pin(async {}) }
    /// # }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # futures_lite::future::block_on(async {
    /// # let records = Arc::new(MemoryStore::new());
    /// # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
    /// # let driver = Driver::builder(records.clone(), keyring).slots(&[VOUCHER.kind()]).build()?;
    /// # let id = AccountId::new("user-1")?;
    /// # driver.ensure_account(&id).await?;
    /// # let account = Partition::account(&id);
    /// # driver.transact(&account, &[], |draft| draft.put(VOUCHER, &Voucher { spent: false })).await?;
    /// # let begin = || Shop { records: records.clone(), orders: Vec::new() };
    /// let spend = |draft: &mut Draft<'_>| match draft.read(VOUCHER)? {
    ///     Some(Voucher { spent: false }) => {
    ///         draft.put(VOUCHER, &Voucher { spent: true })?;
    ///         Ok(Some(draft.tentative("a book")))
    ///     }
    ///     _ => Ok(None),
    /// };
    /// // `begin` begins a transaction of the host's on the store's database.
    /// let order = async |shop: &mut Shop| shop.order("a book").await;
    /// let outcome = driver.grant_with(begin(), &account, &[VOUCHER.name()], spend, order).await?;
    /// assert_eq!(outcome, HostOutcome::Committed(Some("a book")));
    ///
    /// let order = async |shop: &mut Shop| shop.order("a book").await;
    /// let outcome = driver.grant_with(begin(), &account, &[VOUCHER.name()], spend, order).await?;
    /// assert_eq!(outcome, HostOutcome::RolledBack(None), "and there was no order");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`GrantError`] if nothing is granted. The caller must deny on each variant. After
    /// [`GrantError::Unknown`], both changes may have been committed, or neither.
    pub async fn grant_with<X, T, F, C, E>(
        &self,
        mut transaction: X,
        partition: &Partition,
        slots: &[SlotName],
        step: F,
        change: C,
    ) -> Result<HostOutcome<T::Released>, GrantError<E>>
    where
        X: AsyncHostTransaction,
        T: Release,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError>,
        C: AsyncFnOnce(&mut X) -> Result<(), E>,
    {
        let spent = match self.within_async(&mut transaction, partition, slots, step).await {
            Ok(spent) => spent,
            Err(error) => {
                transaction.roll_back().await;
                return Err(GrantError::NotSpent(error));
            }
        };
        if !spent.is_granted() {
            transaction.roll_back().await;
            return Ok(HostOutcome::RolledBack(spent.refused()));
        }
        if let Err(error) = change(&mut transaction).await {
            transaction.roll_back().await;
            return Err(GrantError::Change(error));
        }
        match transaction.commit().await {
            Ok(()) => Ok(HostOutcome::Committed(spent.after_commit())),
            Err(CommitError::Unknown(source)) => Err(GrantError::Unknown(source)),
            Err(error) => Err(GrantError::NotSpent(error.into())),
        }
    }
}

/// How [`Driver::grant_with`] has ended a transaction of the host's, with the step's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "what was rolled back has not happened"]
#[expect(clippy::exhaustive_enums, reason = "a transaction ends in one of two ways")]
pub enum HostOutcome<T> {
    /// The step has granted something, and it is committed with the host's change.
    Committed(T),
    /// The step has granted nothing. Nothing was changed, by the step or by the host.
    RolledBack(T),
}

impl<T> HostOutcome<T> {
    /// Returns the step's outcome, which says by itself whether anything is granted.
    pub fn into_inner(self) -> T {
        match self {
            Self::Committed(outcome) | Self::RolledBack(outcome) => outcome,
        }
    }
}

/// Why [`Driver::grant_with`] grants nothing. The caller must deny on each of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError<E> {
    /// The step was not spent, or the transaction was certainly not committed. After
    /// [`WithinError::Conflict`], begin a new transaction.
    #[error(transparent)]
    NotSpent(#[from] WithinError),
    /// The host's own change failed, and everything was rolled back.
    #[error("the host's change failed")]
    Change(#[source] E),
    /// The transaction **may** have been committed. Nothing is granted. The client must learn that
    /// the result is unknown, never that the change was refused.
    #[error("it is unknown whether the host's transaction was committed")]
    Unknown(#[source] BoxError),
}
