//! The tables, versioned by `PRAGMA user_version`, with forward migrations.
//!
//! Names have a prefix, so that a host's own tables may be in the same file. The file's
//! `application_id` and `user_version` are ours.

use std::sync::OnceLock;

use rusqlite::Connection;

use crate::fault::{Fault, FaultKind, OpenError};

/// Marks the file as ours (`PRAGMA application_id`): "KWst". Chosen here; no registry lists it.
pub(crate) const APPLICATION_ID: i32 = 0x4b57_7374;

/// The mark of files from before the first release. They cannot be migrated, and are refused
/// unchanged.
const BEFORE_RELEASE: i32 = 0x4b57_7274;

/// The step from each version to the next. A step is never edited once released; steps are only
/// added.
const MIGRATIONS: &[&str] = &[V1];

/// Every primary key begins with the partition.
///
/// Roots, ciphers and staged rows also have a rowid. Without one, whatever is larger than a quarter
/// of a page is stored in overflow pages, which each commit would write as well: a swap of 10,000
/// texts of 1,200 bytes takes half the time with a rowid. Records and events are small, and are
/// better stored beside those of the same partition.
const V1: &str = "
CREATE TABLE keywright_roots (
    partition TEXT NOT NULL,
    revision BLOB NOT NULL,
    body BLOB NOT NULL,
    purge_after INTEGER,
    due_at INTEGER,
    PRIMARY KEY (partition)
);
CREATE INDEX keywright_roots_purge ON keywright_roots (purge_after) WHERE purge_after IS NOT NULL;
CREATE INDEX keywright_roots_due ON keywright_roots (due_at, partition) WHERE due_at IS NOT NULL;

CREATE TABLE keywright_records (
    partition TEXT NOT NULL,
    slot TEXT NOT NULL,
    body BLOB NOT NULL,
    purge_after INTEGER,
    PRIMARY KEY (partition, slot)
) WITHOUT ROWID;
CREATE INDEX keywright_records_purge ON keywright_records (purge_after) WHERE purge_after IS NOT NULL;

CREATE TABLE keywright_ciphers (
    partition TEXT NOT NULL,
    id BLOB NOT NULL,
    text_mark BLOB NOT NULL,
    note_mark BLOB NOT NULL,
    nonce BLOB NOT NULL,
    note BLOB NOT NULL,
    text BLOB NOT NULL,
    PRIMARY KEY (partition, id)
);

CREATE TABLE keywright_stages (
    partition TEXT NOT NULL,
    stage BLOB NOT NULL,
    purge_after INTEGER NOT NULL,
    PRIMARY KEY (partition, stage)
) WITHOUT ROWID;
CREATE INDEX keywright_stages_purge ON keywright_stages (purge_after);

CREATE TABLE keywright_staged (
    partition TEXT NOT NULL,
    stage BLOB NOT NULL,
    id BLOB NOT NULL,
    text_mark BLOB NOT NULL,
    nonce BLOB NOT NULL,
    text BLOB NOT NULL,
    PRIMARY KEY (partition, stage, id)
);

CREATE TABLE keywright_events (
    partition TEXT NOT NULL,
    chain INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    json TEXT NOT NULL,
    prev BLOB NOT NULL,
    PRIMARY KEY (partition, chain, number)
) WITHOUT ROWID;
CREATE INDEX keywright_events_at ON keywright_events (at);

CREATE TABLE keywright_meta (
    name TEXT NOT NULL,
    value INTEGER NOT NULL,
    PRIMARY KEY (name)
) WITHOUT ROWID;
";

/// Takes the write lock and changes nothing.
pub(crate) const LOCK: &str = "UPDATE keywright_meta SET value = value WHERE 0";

/// The tables with rows that belong to partitions.
pub(crate) const PARTITIONED: [&str; 6] = [
    "keywright_roots",
    "keywright_records",
    "keywright_ciphers",
    "keywright_stages",
    "keywright_staged",
    "keywright_events",
];

/// The newest version that this program knows.
pub(crate) fn known_version() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Returns the file's version, or 0 for one that has none of our tables yet. This only reads.
///
/// # Errors
/// Returns [`OpenError::Foreign`], [`OpenError::BeforeRelease`], [`OpenError::Newer`] or
/// [`OpenError::Encoding`] if the file cannot be used, or the fault if it cannot be read.
pub(crate) fn version(connection: &Connection, adopt: bool) -> Result<i32, OpenError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application_id, found) = (pragma("application_id")?, pragma("user_version")?);
    if application_id == APPLICATION_ID {
        let known = known_version();
        return if found > known { Err(OpenError::Newer { found, known }) } else { Ok(found.max(0)) };
    }
    if application_id == BEFORE_RELEASE {
        return Err(OpenError::BeforeRelease);
    }
    let empty = connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?;
    if application_id != 0 || found != 0 || !(empty || adopt) {
        return Err(OpenError::Foreign { application_id });
    }
    // In another encoding, the order of keys would be that of different bytes.
    let encoding: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
    if encoding == "UTF-8" { Ok(0) } else { Err(OpenError::Encoding { encoding }) }
}

/// Migrates the file to the newest version, in one transaction.
///
/// # Errors
/// Returns the errors of [`version`]. The file is then unchanged.
pub(crate) fn migrate(connection: &mut Connection, adopt: bool) -> Result<(), OpenError> {
    if version(connection, adopt)? == known_version() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Checked again under the lock, because another process may have done it meanwhile.
    let from = version(&transaction, adopt)?;
    check(&transaction, from)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or(usize::MAX)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known_version())?;
    transaction.commit()?;
    Ok(())
}

/// Whether a host's connection is on a file with exactly our present tables.
///
/// # Errors
/// Returns the fault if the file cannot be read, with [`FaultKind::AlteredSchema`] as for
/// [`check`].
pub(crate) fn is_current(connection: &Connection) -> Result<bool, Fault> {
    match version(connection, false) {
        Ok(found) if found == known_version() => check(connection, found).map(|()| true),
        Err(OpenError::Fault(fault)) => Err(fault),
        Ok(_) | Err(_) => Ok(false),
    }
}

/// One row of the file's schema: type, name, table, and text.
type Entry = (String, String, String, Option<String>);

/// Checks that, wherever a name is ours, the file's schema has exactly what the migrations up to a
/// version create.
///
/// The schema is input like any row. A trigger on one of our tables would write what nobody
/// committed. A view or a virtual table in place of one would accept data that it never returns.
///
/// # Errors
/// Returns [`FaultKind::AlteredSchema`], with the name in the log, or the fault if the file cannot
/// be read.
pub(crate) fn check(connection: &Connection, version: i32) -> Result<(), Fault> {
    let found = match entries(connection) {
        Err(error) if Fault::from_row(&error) => return Err(altered("a row of an unknown form")),
        found => found?,
    };
    let expected = expected(version)?;
    let differs = |one: &[Entry], other: &[Entry]| one.iter().find(|entry| !other.contains(entry)).cloned();
    match differs(&found, &expected).or_else(|| differs(&expected, &found)) {
        None => Ok(()),
        Some((_, name, ..)) => Err(altered(&name)),
    }
}

fn altered(name: &str) -> Fault {
    // The name comes from the file; this is enough of it to find it again.
    let name: String = name.chars().take(64).collect();
    tracing::error!(name, "the database's tables differ from those that this program creates");
    Fault::new(FaultKind::AlteredSchema)
}

fn entries(connection: &Connection) -> rusqlite::Result<Vec<Entry>> {
    let mut select = connection.prepare_cached(
        r"SELECT type, name, tbl_name, sql FROM main.sqlite_schema
          WHERE name LIKE 'keywright\_%' ESCAPE '\' OR tbl_name LIKE 'keywright\_%' ESCAPE '\'",
    )?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?.collect()
}

/// Determines what the migrations create, by running them.
fn expected(version: i32) -> rusqlite::Result<Vec<Entry>> {
    static PRESENT: OnceLock<Vec<Entry>> = OnceLock::new();
    let make = || {
        let fresh = Connection::open_in_memory()?;
        for step in MIGRATIONS.iter().take(usize::try_from(version).unwrap_or(0)) {
            fresh.execute_batch(step)?;
        }
        entries(&fresh)
    };
    if version != known_version() {
        return make();
    }
    if let Some(entries) = PRESENT.get() {
        return Ok(entries.clone());
    }
    let made = make()?;
    Ok(PRESENT.get_or_init(|| made).clone())
}
