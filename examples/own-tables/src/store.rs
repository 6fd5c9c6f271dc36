//! The store of records.

use std::time::Duration;

use deadpool_postgres::{Client, Manager, Pool, Runtime};
use keywright::core::EventChain;
use keywright::store::{
    Batch, BoxFuture, CommitError, EventNumber, LoadError, Partition, RecordStore, SlotName, Snapshot, StoredEvents,
};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{Config, IsolationLevel, NoTls};

use crate::fault::{Fault, OpenError};
use crate::rows;

/// How long to wait for a connection, in seconds.
const WAIT: u64 = 2;

/// Settings of each connection. Nobody waits for a row for longer than `lock_timeout`. A server of ours that dies between
/// the guard and its `COMMIT`, without a word to the database, keeps the row no longer than the third one.
const SETTINGS: &str = "-c lock_timeout=10s -c statement_timeout=15s -c idle_in_transaction_session_timeout=5s";

/// Keywright's records in the shop's own tables. A clone uses the same connections.
#[derive(Clone)]
pub struct ShopStore {
    pub(crate) pool: Pool,
}

keywright::core::redacted_debug!(ShopStore);

impl ShopStore {
    /// Opens the store with so many connections. The tables must be there ([`SCHEMA`](crate::SCHEMA)).
    ///
    /// # Errors
    /// Returns [`OpenError`] if the database cannot be reached, or is set so that it may forget what it has committed.
    pub async fn open(mut config: Config, connections: usize) -> Result<Self, OpenError> {
        let options = config.get_options().map_or_else(|| SETTINGS.to_owned(), |own| format!("{own} {SETTINGS}"));
        // On a standby, no answer is certain.
        config.options(options).target_session_attrs(TargetSessionAttrs::ReadWrite);
        let limit = Some(Duration::from_secs(WAIT));
        let pool = Pool::builder(Manager::new(config, NoTls))
            .max_size(connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(limit)
            .create_timeout(limit)
            .build()?;
        let store = Self { pool };
        let client = store.pool.get().await.map_err(Fault::from)?;
        let sql = "SELECT current_setting('fsync'), current_setting('synchronous_commit'),
            current_setting('server_encoding')";
        let row = client.query_one(sql, &[]).await.map_err(Fault::from)?;
        let text = |column: usize| row.try_get::<_, String>(column).map_err(Fault::from);
        for (column, setting) in [(0, "fsync"), (1, "synchronous_commit")] {
            if text(column)? == "off" {
                return Err(OpenError::NotDurable { setting });
            }
        }
        if text(2)? != "UTF8" {
            return Err(OpenError::Encoding(text(2)?));
        }
        Ok(store)
    }

    /// One transaction, one attempt. A refused or lost commit is never repeated here: whether it may be is for the driver
    /// to find out, which knows what the commit was meant to grant.
    async fn commit_once(&self, batch: &Batch) -> Result<(), CommitError> {
        let mut client = self.pool.get().await.map_err(|error| Fault::from(error).into_refusal())?;
        let (partition, expect, write) = rows::parts(batch);
        let Some(write) = write else {
            // A commit is visible only once it is durable, so a plain read on the primary is enough.
            let stands = rows::is_current(&client, partition, expect, false).await.map_err(Fault::into_refusal)?;
            return if stands { Ok(()) } else { Err(CommitError::Conflict) };
        };
        let begun = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await;
        let transaction = begun.map_err(|error| Fault::from(error).into_refusal())?;
        // Up to here and in here, every error is a refusal: without a `COMMIT`, the database keeps nothing. A transaction
        // that is dropped is rolled back.
        if !rows::apply(&transaction, partition, expect, write).await.map_err(Fault::into_refusal)? {
            return Err(CommitError::Conflict);
        }
        match transaction.commit().await {
            Ok(()) => Ok(()),
            // Whatever `COMMIT` reports, it may have happened.
            Err(error) => {
                drop(Client::take(client)); // and this connection is not used again
                Err(CommitError::Unknown(error.into()))
            }
        }
    }
}

impl RecordStore for ShopStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            let client = self.pool.get().await.map_err(|error| Fault::from(error).into_load_error())?;
            rows::load(&client, partition, slots).await.map_err(Fault::into_load_error)
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move { self.commit_once(&batch).await })
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        Box::pin(async move {
            let client = self.pool.get().await.map_err(|error| Fault::from(error).into_load_error())?;
            rows::page(&client, partition, chain, before, limit).await.map_err(Fault::into_load_error)
        })
    }
}
