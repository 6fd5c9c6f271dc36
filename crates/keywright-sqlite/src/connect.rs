//! Opens connections and sets them up.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::fault::{Fault, FaultKind, OpenError};
use crate::{log, read, schema};

/// How many prepared statements a connection keeps, which is more than this crate has.
const STATEMENTS: usize = 64;

/// The write-ahead log is truncated to this many bytes after a checkpoint, so that one large swap
/// does not leave a large file forever.
const LOG_BYTES: i64 = 64 << 20;

/// The writer's page cache in KiB (negative, as SQLite counts them). It has room for the pages of a
/// vault of 10,000 ciphers. With SQLite's own 2 MiB, a swap's pages are written to the log before
/// it ends and are read back for the next row.
const WRITER_CACHE: i64 = -8_192;

/// The settings of every connection of a store.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) busy_timeout: Duration,
    pub(crate) size_limit: Option<u32>,
    pub(crate) adopt: bool,
}

/// The flags of a file's connections. `URI` is not set, because an operator's path is a path.
/// `FULL_MUTEX` is not set, because a connection stays with its thread or behind a mutex.
pub(crate) const READ_WRITE: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_CREATE).union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Opens the writer's connection. Creates the file if necessary, and migrates it to the newest
/// version.
pub(crate) fn writer(path: &Path, flags: OpenFlags, settings: &Settings) -> Result<Connection, OpenError> {
    log::check(path, settings.adopt)?;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(settings.busy_timeout)?;
    distrust(&connection)?;
    // First check which program the file belongs to, because it is changed from then on. Do it in
    // one snapshot, because another process may be creating the same file right now.
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
    log::note_at_start(&connection)?;
    // What a killed process left in the log becomes visible now, so it must be durable too. A
    // checkpoint synchronises the log before anything else.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(connection)
}

/// Refuses a write-protected file. SQLite opens one for reading without an error, and reports it
/// only at the first write. This check writes nothing.
fn refuse_read_only(connection: &Connection) -> Result<(), Fault> {
    match read::run(connection, schema::LOCK).map_err(Fault::from) {
        // Another program is writing right now, so the file is writable.
        Err(fault) if fault.kind() != FaultKind::Locked => Err(fault),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Opens one more connection, for a thread that only reads.
pub(crate) fn reader(path: &Path, settings: &Settings) -> Result<Connection, OpenError> {
    // Opened for writing too, because a reader may have to recover the log that a crashed process
    // left.
    let connection = Connection::open_with_flags(path, READ_WRITE.difference(OpenFlags::SQLITE_OPEN_CREATE))?;
    connection.busy_timeout(settings.busy_timeout)?;
    set_up(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens a private database in memory.
pub(crate) fn memory(settings: &Settings) -> Result<Connection, OpenError> {
    let mut connection = Connection::open_in_memory()?;
    set_up_writer(&mut connection, settings)?;
    Ok(connection)
}

fn set_up_writer(connection: &mut Connection, settings: &Settings) -> Result<(), OpenError> {
    set_up(connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    // Replaced or erased data is overwritten, not left in free pages.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // For systems on which a plain sync leaves data in the drive's cache (Apple's). Elsewhere it
    // changes nothing.
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
    // Temporary data is never written to another file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Plans do not depend on the values of parameters, because every table is read by its whole
    // key. Without this, SQLite prepares some statements again for each other account, which takes
    // longer than running them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The file is input: no function that its schema names is run, no trigger fires, and no view is
/// read. A host's triggers on its own tables are for its own connections.
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
        // As the operating system opens a write-protected file, also if the tests run as root.
        match writer(&path, OpenFlags::SQLITE_OPEN_READ_ONLY, &settings) {
            Err(OpenError::Fault(fault)) => assert_eq!(fault.kind(), FaultKind::ReadOnly),
            other => panic!("{other:?}"),
        }
    }
}
