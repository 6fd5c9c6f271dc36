//! Opens connections and sets them up.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::fault::{Fault, FaultKind, OpenError};
use crate::{read, schema};

/// How many prepared statements a connection keeps: more than this crate has.
const STATEMENTS: usize = 64;

/// The write-ahead log is cut back to this many bytes after a checkpoint, so that one large swap does not leave a large
/// file for ever.
const LOG_BYTES: i64 = 64 << 20;

/// The writer's page cache in KiB (negative, as SQLite counts them): room for the pages of a vault of 10,000 ciphers. In
/// SQLite's own 2 MiB a swap's pages go out to the log before it ends and are read back for the next row.
const WRITER_CACHE: i64 = -8_192;

/// What every connection of a store is opened with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) busy_timeout: Duration,
    pub(crate) size_limit: Option<u32>,
    pub(crate) adopt: bool,
}

/// The flags of a file's connections. Not `URI`: an operator's path is a path. Not `FULL_MUTEX`: a connection stays with
/// its thread or behind a mutex.
pub(crate) const READ_WRITE: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE).union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The writer's connection; makes the file and brings it to the newest version.
pub(crate) fn writer(path: &Path, flags: OpenFlags, settings: &Settings) -> Result<Connection, OpenError> {
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(settings.busy_timeout)?;
    distrust(&connection)?;
    // First whose file it is: from then on it is changed.
    // In one snapshot, because another process may be making the same file just now.
    read::run(&connection, "BEGIN")?;
    let found = schema::version(&connection, settings.adopt)?;
    schema::check(&connection, found)?;
    read::run(&connection, "COMMIT")?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(OpenError::NoWriteAheadLog { mode });
    }
    connection.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(()))?;
    set_up_writer(&mut connection, settings)?;
    refuse_read_only(&connection)?;
    // What a killed process left in the log is visible from now on, so it must be durable too: a checkpoint synchronises
    // the log before anything else.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(connection)
}

/// SQLite opens a write-protected file for reading without a word, and says so at the first write. This one writes nothing.
fn refuse_read_only(connection: &Connection) -> Result<(), Fault> {
    match read::run(connection, schema::LOCK).map_err(Fault::from) {
        // Another program writes just now, so it can be written.
        Err(fault) if fault.kind() != FaultKind::Locked => Err(fault),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// One more connection, for a thread that only reads.
pub(crate) fn reader(path: &Path, settings: &Settings) -> Result<Connection, OpenError> {
    // Opened for writing too: a reader may have to recover the log that a crashed process left.
    let connection = Connection::open_with_flags(path, READ_WRITE.difference(OpenFlags::SQLITE_OPEN_CREATE))?;
    connection.busy_timeout(settings.busy_timeout)?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// A database in memory, alone in the world.
pub(crate) fn memory(settings: &Settings) -> Result<Connection, OpenError> {
    let mut connection = Connection::open_in_memory()?;
    set_up_writer(&mut connection, settings)?;
    Ok(connection)
}

fn set_up_writer(connection: &mut Connection, settings: &Settings) -> Result<(), OpenError> {
    set_up(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    // What was replaced or erased is overwritten, not left in free pages.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // Where a plain sync leaves data in the drive's cache (Apple's systems). Elsewhere it changes nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    if let Some(pages) = settings.size_limit {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    schema::migrate(connection, settings.adopt)
}

fn set_up(connection: &Connection) -> Result<(), OpenError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    distrust(connection)?;
    // Nothing spills to another file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Plans do not hang on the values of parameters: every table is read by its whole key. Without this SQLite prepares some
    // statements anew for each other account, which takes longer than running them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The file is input: no function that its schema names is run, no trigger fires, no view is read. Triggers of a host's on
/// its own tables are for its own connections.
pub(crate) fn distrust(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    connection.pragma_update(None, "trusted_schema", false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_said_to_be_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let settings = Settings { busy_timeout: Duration::ZERO, size_limit: None, adopt: false };
        drop(writer(&path, READ_WRITE, &settings).unwrap());
        // As the operating system makes it for a write-protected file, also where the tests run as root.
        match writer(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, &settings) {
            Err(OpenError::Fault(fault)) => assert_eq!(fault.kind(), FaultKind::ReadOnly),
            other => panic!("{other:?}"),
        }
    }
}
