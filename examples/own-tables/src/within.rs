//! A step and the shop's own statements in one transaction.

use deadpool_postgres::{Client, Transaction};
use keywright::store::{
    AsyncHostTransaction, Batch, BoxFuture, CommitError, Draft, Driver, GrantError, LoadError, Partition, SlotName,
    Snapshot, StepError, Tentative, WithinError,
};
use tokio_postgres::{IsolationLevel, SimpleQueryMessage};

use crate::fault::Fault;
use crate::rows;
use crate::store::ShopStore;

impl ShopStore {
    /// Runs a step that may grant something, and if it grants it, the shop's own change in the same transaction. Returns
    /// what was granted, once both are committed.
    ///
    /// This is [`Driver::grant_with`], whose documentation applies, in a transaction from the store's pool.
    ///
    /// # Errors
    /// Returns [`GrantError`] if nothing is granted. Deny on each variant. After
    /// [`GrantError::Unknown`] both changes may have been made, or none of them.
    pub async fn grant_with<T>(
        &self,
        driver: &Driver,
        partition: &Partition,
        slots: &[SlotName],
        step: impl FnMut(&mut Draft<'_>) -> Result<Option<Tentative<T>>, StepError>,
        change: impl AsyncFnOnce(&Transaction<'_>) -> Result<(), tokio_postgres::Error>,
    ) -> Result<Option<T>, GrantError<Fault>> {
        let unusable = |fault: Fault| GrantError::NotSpent(WithinError::Failed(fault.into()));
        let mut client = self.pool.get().await.map_err(|error| unusable(error.into()))?;
        let transaction = ShopTransaction::begin(&mut client).await.map_err(unusable)?;
        let change = async |ours: &mut ShopTransaction<'_>| change(&ours.transaction).await.map_err(Fault::from);
        let outcome = driver.grant_with(transaction, partition, slots, step, change).await;
        if let Err(GrantError::Unknown(_)) = outcome {
            drop(Client::take(client)); // and this connection is not used again
        }
        Ok(outcome?.into_inner())
    }
}

/// A transaction of the shop's in which a step is spent.
pub struct ShopTransaction<'c> {
    transaction: Transaction<'c>,
    applied: u32,
    /// A batch was begun and not ended, because its future was dropped. Any part of it may be in the transaction.
    in_doubt: bool,
}

keywright::core::redacted_debug!(ShopTransaction<'_>);

impl<'c> ShopTransaction<'c> {
    /// Begins a transaction.
    ///
    /// It is begun here, because the `commit` of one that is nested in another only releases a savepoint, and a grant
    /// would get out before anything is committed.
    ///
    /// # Errors
    /// Returns [`Fault`] if it cannot be begun, or if the connection is in a transaction already, by a `BEGIN` of the
    /// shop's own. That one is left as it was.
    pub async fn begin(client: &'c mut Client) -> Result<Self, Fault> {
        // To a second `BEGIN`, PostgreSQL answers with a mere warning. But the time of a transaction is that of the
        // first statement in it, so outside of one the two times are the same.
        let now = client.simple_query("SELECT WHERE now() <> statement_timestamp()").await?;
        if now.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))) {
            return Err(Fault::Failed("the connection is in a transaction already".into()));
        }
        let begun = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await;
        Ok(Self { transaction: begun?, applied: 0, in_doubt: false })
    }

    fn not_in_doubt(&self) -> Result<(), Fault> {
        if self.in_doubt {
            return Err(Fault::Failed("a step was dropped half way, and only a rollback is left".into()));
        }
        Ok(())
    }

    async fn apply_whole(&mut self, batch: &Batch) -> Result<bool, Fault> {
        // Dropped, it is rolled back.
        let savepoint = self.transaction.transaction().await?;
        let applied = match rows::parts(batch) {
            (partition, expect, Some(write)) => rows::apply(&savepoint, partition, expect, write).await?,
            // There is no row that could be kept absent.
            (_, None, None) => return Err(Fault::Failed("the absence of a root cannot be held".into())),
            (partition, expect, None) => rows::is_current(&savepoint, partition, expect, true).await?,
        };
        if applied {
            savepoint.commit().await?;
            // It is there for as long as the batch is in the transaction, and `commit` looks for it.
            let place = self.applied.saturating_add(1);
            self.transaction.batch_execute(&format!("SAVEPOINT keywright_applied_{place}")).await?;
            self.applied = place;
        }
        Ok(applied)
    }
}

impl AsyncHostTransaction for ShopTransaction<'_> {
    fn load<'a>(
        &'a mut self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            self.not_in_doubt().map_err(Fault::into_load_error)?;
            rows::load(&self.transaction, partition, slots).await.map_err(Fault::into_load_error)
        })
    }

    fn apply(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            self.not_in_doubt().map_err(Fault::into_refusal)?;
            self.in_doubt = true;
            let applied = self.apply_whole(&batch).await;
            // Whatever has failed, it fails the transaction or is rolled back.
            self.in_doubt = false;
            if applied.map_err(Fault::into_refusal)? { Ok(()) } else { Err(CommitError::Conflict) }
        })
    }

    /// A `change` that has passed over an error has left a transaction that is rolled back by `COMMIT`, and
    /// tokio-postgres reports that as a success. So does one that rolls back to a savepoint of its own from before the
    /// batch, or ends the transaction itself. In each case, what comes before `COMMIT` here fails.
    fn commit<'a>(self) -> BoxFuture<'a, Result<(), CommitError>>
    where
        Self: Sized + 'a,
    {
        Box::pin(async move {
            let mut last = "SAVEPOINT keywright_end; RELEASE SAVEPOINT keywright_end".to_owned();
            for place in (1..=self.applied).rev() {
                last.push_str(&format!("; RELEASE SAVEPOINT keywright_applied_{place}"));
            }
            // A `change` may have chosen that the answer comes before the flush.
            last.push_str(
                "; SELECT set_config('synchronous_commit', 'on', true)
                WHERE current_setting('synchronous_commit') = 'off'",
            );
            if let Err(error) = self.transaction.batch_execute(&last).await {
                return Err(Fault::into_end(error));
            }
            // Dropped, it is rolled back.
            self.not_in_doubt().map_err(Fault::into_refusal)?;
            // Whatever `COMMIT` reports, it may have happened.
            self.transaction.commit().await.map_err(|error| CommitError::Unknown(error.into()))
        })
    }

    fn roll_back<'a>(self) -> BoxFuture<'a, ()>
    where
        Self: Sized + 'a,
    {
        Box::pin(async move {
            // If this fails, the connection is lost, and the server rolls back.
            let _ = self.transaction.rollback().await;
        })
    }
}
