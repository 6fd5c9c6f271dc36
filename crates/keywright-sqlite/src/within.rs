//! A host's own transaction on the same file.

use std::path::Path;
use std::sync::Arc;

use keywright_store::{Batch, CommitError, HostTransaction, LoadError, Partition, SlotName, Snapshot};
use rusqlite::{Connection, Transaction};

use crate::apply::Applier;
use crate::fault::{Fault, FaultKind};
use crate::rows::ApplyError;
use crate::store::SqliteStore;
use crate::watch::Watch;
use crate::{read, schema};

/// A transaction that the host holds on the store's file, for
/// [`Driver::within`](keywright_store::Driver::within).
///
/// A transaction on a file other than the store's (even if it belongs to another store), or on one
/// of another version, is refused with [`FaultKind::OtherFile`]. Otherwise a proof would be spent
/// in one file and still be unspent in the other. A store in memory has no file that a host could
/// share.
///
/// SQLite has one writer. Once the transaction has written, or if it was begun immediate, a commit
/// through the store waits for it until the busy timeout and is then rejected. So never await the
/// store while you hold such a transaction. Begin it immediate: a deferred one fails with
/// [`FaultKind::Locked`] if another writer came between its first read and its first write.
pub struct SqliteTransaction<'t> {
    connection: &'t Connection,
    watch: Option<Arc<Watch>>,
}

impl<'t> SqliteTransaction<'t> {
    /// Creates the value to pass to the driver, from the host's transaction on the store's file.
    /// The host still has to commit the transaction.
    #[must_use]
    pub fn new(store: &SqliteStore, transaction: &'t Transaction<'_>) -> Self {
        Self { connection: transaction, watch: store.watch().cloned() }
    }

    fn check_file(&self) -> Result<(), Fault> {
        match (&self.watch, self.connection.path()) {
            (Some(watch), Some(path)) => watch.is_at(Path::new(path))?,
            _ => return Err(Fault::new(FaultKind::OtherFile)),
        }
        if schema::is_current(self.connection)? { Ok(()) } else { Err(Fault::new(FaultKind::OtherFile)) }
    }
}

keywright_core::redacted_debug!(SqliteTransaction<'_>);

impl HostTransaction for SqliteTransaction<'_> {
    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        self.check_file().and_then(|()| read::load(self.connection, partition, slots)).map_err(Fault::into_load_error)
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        self.check_file().map_err(Fault::into_rejected)?;
        if batch.write().is_none() {
            // What the guard finds stays the same until the host's COMMIT.
            read::run(self.connection, schema::LOCK).map_err(|error| Fault::from(error).into_rejected())?;
        }
        apply_whole(self.connection, &batch).map_err(ApplyError::into_commit_error)
    }
}

/// Applies the batch under a savepoint, so that a failure half way through leaves nothing in the
/// host's transaction.
fn apply_whole(connection: &Connection, batch: &Batch) -> Result<(), ApplyError> {
    connection.execute_batch("SAVEPOINT keywright_within")?;
    let applied = Applier::new(connection)
        .map_err(ApplyError::from)
        .and_then(|mut applier| applier.apply(batch))
        .and_then(|()| Ok(connection.execute_batch("RELEASE keywright_within")?));
    if applied.is_err() && !connection.is_autocommit() {
        // Some of SQLite's failures (a full disk) have rolled back the whole transaction already.
        // Then there is no savepoint any more, nothing is left either, and the host's COMMIT fails.
        let _ = connection.execute_batch("ROLLBACK TO keywright_within; RELEASE keywright_within");
    }
    applied
}
