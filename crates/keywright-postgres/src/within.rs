//! A step inside one of the host's own transactions.

use std::ops::{Deref, DerefMut};

use keywright_store::{AsyncHostTransaction, Batch, BoxFuture, CommitError, LoadError, Partition, SlotName, Snapshot};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Row as _, Transaction};

use crate::fault::{Fault, FaultKind};
use crate::link::Link;
use crate::store::PostgresStore;
use crate::{read, schema, statements, write};

/// A transaction on a connection of the host's to the store's own database, in which a step is spent: for
/// [`Driver::grant_with`](keywright_store::Driver::grant_with) and
/// [`Driver::within_async`](keywright_store::Driver::within_async).
///
/// ```no_run
/// # use keywright_postgres::{PostgresStore, PostgresTransaction, sqlx};
/// # use keywright_store::{Driver, Partition};
/// # async fn order(store: &PostgresStore, driver: &Driver, host: &sqlx::PgPool, account: &Partition)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = host.acquire().await?;
/// let transaction = PostgresTransaction::begin(store, &mut connection).await?;
/// let granted = driver
///     .grant_with(
///         transaction,
///         account,
///         &[],
///         |draft| Ok(draft.tentative("granted")),
///         async |transaction: &mut PostgresTransaction<'_>| {
///             sqlx::query("INSERT INTO orders (item) VALUES ('a book')").execute(&mut **transaction).await.map(drop)
///         },
///     )
///     .await?;
/// assert_eq!(granted.into_inner(), "granted");
/// # Ok(())
/// # }
/// ```
///
/// It derefs to the connection, for the host's own statements. They may use savepoints, but must not
/// release one from before the step: whether the step is still in the transaction cannot be seen
/// then, and the commit is refused as unknown. They must not end the transaction: its end is [`commit`](AsyncHostTransaction::commit), which refuses if a
/// statement has failed and the host went on, if the host has ended the transaction itself, or if it
/// has rolled back to a savepoint from before the step ([`FaultKind::HostTransaction`]). Dropped, it
/// is rolled back. If the future of a step is dropped, nobody knows how much of the step is in the
/// transaction: it can only be rolled back then, and everything else is refused. Its commit waits for
/// the server's disk, even if the host has set `synchronous_commit` to `off` in it.
///
/// From the first check or write on, the account's lock is held until the transaction ends: keep it
/// short, and never wait for the store inside it. The connection may be of another role, if that
/// role serves requests too ([`Builder::serve`](crate::Builder::serve)).
///
/// On a distributed database, the host's own rows must be in a table that is distributed by the
/// same key. Otherwise the two are not committed together.
pub struct PostgresTransaction<'t> {
    store: &'t PostgresStore,
    transaction: Transaction<'t, Postgres>,
    is_ours: bool,
    /// How many batches were applied. Behind each of them is a savepoint, which is there for as
    /// long as the batch is in the transaction.
    applied: u32,
    /// A batch was begun and not ended, because its future was dropped. Any part of it may be in the
    /// transaction, although it counts as not applied.
    in_doubt: bool,
}

impl<'t> PostgresTransaction<'t> {
    /// Begins a transaction on a connection of the host's.
    ///
    /// # Errors
    /// Returns a fault if it cannot be begun, and [`FaultKind::HostTransaction`] if the connection is
    /// in a transaction already, however the host has begun it. That one is left as it is.
    pub async fn begin(store: &'t PostgresStore, connection: &'t mut PgConnection) -> Result<Self, Fault> {
        Self::begin_with(store, connection, "BEGIN").await
    }

    /// Begins a transaction by a statement of the host's, such as `BEGIN ISOLATION LEVEL
    /// SERIALIZABLE`.
    ///
    /// # Errors
    /// Returns a fault as [`begin`](Self::begin) does.
    pub async fn begin_with(
        store: &'t PostgresStore,
        connection: &'t mut PgConnection,
        statement: &'static str,
    ) -> Result<Self, Fault> {
        // A second `BEGIN` does nothing in PostgreSQL but warn, and nobody sees the warning: the host's
        // earlier statements would be committed or rolled back with the step. In one of sqlx it would be a
        // savepoint, whose commit commits nothing.
        if is_in_transaction(connection).await? {
            return Err(Fault::new(FaultKind::HostTransaction));
        }
        let transaction = connection.begin_with(statement).await?;
        Ok(Self { store, transaction, is_ours: false, applied: 0, in_doubt: false })
    }

    async fn load_whole(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, Fault> {
        self.check().await?;
        let mut link = Link { connection: &mut self.transaction, protocol: self.store.protocol() };
        read::load(&mut link, partition, slots).await
    }

    async fn apply_whole(&mut self, batch: &Batch) -> Result<bool, Fault> {
        self.check().await?;
        self.in_doubt = true;
        // Outside of a transaction this fails, and nothing is spent at once.
        if let Err(fault) = self.run("SAVEPOINT keywright_within".to_owned()).await {
            self.in_doubt = false;
            return Err(fault);
        }
        let mut link = Link { connection: &mut self.transaction, protocol: self.store.protocol() };
        let applied = write::apply(&mut link, batch).await;
        let place = self.applied.saturating_add(1);
        let end = match applied {
            Ok(true) => format!("RELEASE SAVEPOINT keywright_within; SAVEPOINT keywright_applied_{place}"),
            _ => "ROLLBACK TO SAVEPOINT keywright_within; RELEASE SAVEPOINT keywright_within".to_owned(),
        };
        let ended = self.run(end).await;
        self.in_doubt = ended.is_err();
        let applied = applied?;
        ended?;
        if applied {
            self.applied = place;
        }
        Ok(applied)
    }

    async fn commit_whole(mut self) -> Result<(), Fault> {
        // This fails unless there is a transaction that has not failed.
        let mut all = "SAVEPOINT keywright_end; RELEASE SAVEPOINT keywright_end".to_owned();
        for place in (1..=self.applied).rev() {
            all.push_str(&format!("; RELEASE SAVEPOINT keywright_applied_{place}"));
        }
        // The host may have chosen since the step that the answer comes before the flush.
        all.push_str(
            "; SELECT pg_catalog.set_config('synchronous_commit', 'on', true) \
             WHERE pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) 'off'",
        );
        self.run(all).await.map_err(Fault::of_host_transaction)?;
        if self.in_doubt {
            // If this fails, the connection is lost, and the server rolls back.
            let _ = self.transaction.rollback().await;
            return Err(Fault::new(FaultKind::HostTransaction));
        }
        // Nothing comes between, so this ends the transaction as it is, or reports why it does not.
        self.transaction.commit().await?;
        Ok(())
    }

    async fn run(&mut self, statements: String) -> Result<(), Fault> {
        // There is nothing in them but our own text and numbers.
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Checks that no batch is in doubt and, once, that this is the store's database.
    async fn check(&mut self) -> Result<(), Fault> {
        if self.in_doubt {
            return Err(Fault::new(FaultKind::HostTransaction));
        }
        if !self.is_ours {
            let found = schema::id(&mut self.transaction).await;
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

/// Whether a connection of the host's is in a transaction. It is told by the server, because sqlx
/// knows only of those that it has begun itself.
async fn is_in_transaction(connection: &mut PgConnection) -> Result<bool, Fault> {
    let answer = sqlx::raw_sql(statements::IN_TRANSACTION).fetch_one(connection).await;
    // In one that has failed, every question is refused.
    let row = answer.map_err(|error| Fault::from(error).of_host_transaction())?;
    Ok(row.try_get(0)?)
}

impl AsyncHostTransaction for PostgresTransaction<'_> {
    fn load<'a>(
        &'a mut self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move { self.load_whole(partition, slots).await.map_err(Fault::into_load_error) })
    }

    fn apply(&mut self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            match self.apply_whole(&batch).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(CommitError::Conflict),
                Err(fault) => Err(fault.into_refusal()),
            }
        })
    }

    fn commit<'a>(self) -> BoxFuture<'a, Result<(), CommitError>>
    where
        Self: Sized + 'a,
    {
        Box::pin(async move { self.commit_whole().await.map_err(Fault::into_commit_error) })
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

impl Deref for PostgresTransaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for PostgresTransaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}

keywright_core::redacted_debug!(PostgresTransaction<'_>);
