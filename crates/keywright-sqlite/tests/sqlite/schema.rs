//! The tables themselves are input: somebody who writes the file can put triggers, views and other tables there.

use futures_lite::future::block_on;
use keywright_sqlite::rusqlite::Connection;
use keywright_sqlite::{BackupError, Fault, FaultKind, OpenError, SqliteStore, SqliteTransaction};
use keywright_store::{HostTransaction, LoadError, RecordStore};

use crate::records::{NOTE, account, number, numbered, rejected};

/// Puts every old body back: a store in which it fires takes commits in and forgets them.
const TURNS_BACK: &str = "CREATE TRIGGER back AFTER UPDATE ON keywright_roots BEGIN
    UPDATE keywright_roots SET revision = old.revision, body = old.body WHERE partition = new.partition; END";

/// What changes the schema where names are ours.
const ALTERED: [&str; 9] = [
    TURNS_BACK,
    "CREATE TRIGGER keywright_late AFTER INSERT ON orders BEGIN DELETE FROM keywright_records; END",
    "ALTER TABLE keywright_records RENAME TO rows;
     CREATE VIEW keywright_records AS SELECT * FROM rows WHERE slot <> 'voucher'",
    "ALTER TABLE keywright_events RENAME TO rows; CREATE VIRTUAL TABLE keywright_events USING fts5 (partition, chain)",
    "CREATE TABLE keywright_more (a)",
    "CREATE UNIQUE INDEX once ON keywright_roots (due_at)",
    "ALTER TABLE keywright_roots ADD COLUMN twin TEXT DEFAULT 'x'",
    "DROP INDEX keywright_roots_due",
    "DROP TABLE keywright_staged",
];

fn is_altered(fault: &Fault) -> bool {
    fault.kind() == FaultKind::AlteredSchema
}

#[test]
fn a_file_with_other_tables_under_our_names_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (at, altered) in ALTERED.into_iter().enumerate() {
        let path = directory.path().join(format!("{at}.db"));
        drop(SqliteStore::open(&path).unwrap());
        let mut host = Connection::open(&path).unwrap();
        // A host's own tables, indexes, views and triggers are its own.
        host.execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, n); CREATE INDEX orders_n ON orders (n);
             CREATE VIEW many AS SELECT * FROM orders;
             CREATE TRIGGER own AFTER INSERT ON orders BEGIN DELETE FROM orders WHERE id = 0; END;
             ANALYZE",
        )
        .unwrap();
        let store = SqliteStore::open(&path).unwrap();
        if host.execute_batch(altered).is_err() {
            assert!(altered.contains("fts5"), "{altered}");
            host.execute_batch("DROP TABLE keywright_events; CREATE TABLE keywright_events (partition)").unwrap();
        }
        // While it is open a host's transaction shows it.
        let transaction = host.transaction().unwrap();
        let mut ours = SqliteTransaction::new(&store, &transaction);
        let loaded = ours.load(&account(1), &[NOTE]);
        assert!(
            matches!(&loaded, Err(LoadError::Failed(source)) if source.downcast_ref().is_some_and(is_altered)),
            "{altered}: {loaded:?}"
        );
        assert_eq!(rejected(ours.apply(numbered(&account(1), None, 1))), FaultKind::AlteredSchema, "{altered}");
        transaction.rollback().unwrap();
        drop((store, host));

        let before = std::fs::read(&path).unwrap();
        let opened = SqliteStore::open(&path);
        assert!(matches!(&opened, Err(OpenError::Fault(fault)) if is_altered(fault)), "{altered}: {opened:?}");
        assert_eq!(std::fs::read(&path).unwrap(), before, "untouched");
        let copy = directory.path().join("copy.db");
        let restored = SqliteStore::restore(&path, &copy);
        assert!(matches!(&restored, Err(BackupError::Fault(fault)) if is_altered(fault)), "{altered}: {restored:?}");
        assert!(!copy.exists());
    }
}

/// One that is put there while the store is open does not fire: what is acknowledged is there.
#[test]
fn a_trigger_does_not_fire() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        Connection::open(&path).unwrap().execute_batch(TURNS_BACK).unwrap();
        let (first, _) = number(&store, &account(1)).await.unwrap();
        store.commit(numbered(&account(1), Some(first), 2)).await.unwrap();
        assert_eq!(number(&store, &account(1)).await.unwrap().1, 2);
    });
}
