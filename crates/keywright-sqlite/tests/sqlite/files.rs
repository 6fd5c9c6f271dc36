//! Files that are not ours, not whole, not free, or of another version.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future::block_on;
use keywright_core::{AccountId, EventChain, Keyring, SystemEntropy, UnixSeconds};
use keywright_sqlite::{Fault, FaultKind, OpenError, SqliteStore, rusqlite};
use keywright_store::due::{self, NewTask};
use keywright_store::{
    BoxFuture, CipherId, ClientNonce, CommitError, Driver, LoadError, Mark, RecordStore, Row, RowMarks, Shortage,
    StageId, Timer, Upkeep, VaultStore,
};
use keywright_testing::keyring;
use rusqlite::Connection;

use crate::records::{account, number, numbered, rejected};

fn fault(path: &Path) -> FaultKind {
    match SqliteStore::open(path) {
        Err(OpenError::Fault(fault)) => fault.kind(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn not_a_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    for text in ["short".to_owned(), "a long text, longer than any header. ".repeat(400)] {
        std::fs::write(&path, &text).unwrap();
        assert_eq!(fault(&path), FaultKind::NotADatabase);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "untouched");
    }
}

#[test]
fn no_such_directory_and_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(fault(&directory.path().join("none/store.db")), FaultKind::CannotOpen);
    assert_eq!(fault(directory.path()), FaultKind::CannotOpen);
}

/// Where the tests run as root, permissions do not bind; there the unit test of `connect` stands alone.
#[cfg(unix)]
#[test]
fn a_write_protected_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    if std::fs::OpenOptions::new().append(true).open(&path).is_err() {
        assert_eq!(fault(&path), FaultKind::ReadOnly);
    }
}

#[test]
fn a_newer_version_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let host = Connection::open(&path).unwrap();
    host.pragma_update(None, "user_version", 1_000).unwrap();
    match SqliteStore::open(&path) {
        Err(error @ OpenError::Newer { found: 1_000, known }) => {
            assert!(error.to_string().contains("1000") && error.to_string().contains(&known.to_string()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(host.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0)).unwrap(), 1_000);
}

#[test]
fn a_file_from_before_the_first_release_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let before = Connection::open(&path).unwrap();
    before
        .execute_batch("CREATE TABLE keywright_records (slot); INSERT INTO keywright_records VALUES ('root')")
        .unwrap();
    before.pragma_update(None, "application_id", 0x4b57_7274).unwrap();
    before.pragma_update(None, "user_version", 1).unwrap();
    drop(before);
    let bytes = std::fs::read(&path).unwrap();
    for builder in [SqliteStore::builder(&path), SqliteStore::builder(&path).adopt()] {
        match builder.open() {
            Err(error @ OpenError::BeforeRelease) => assert!(error.to_string().contains("a new file")),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_host_whose_texts_are_not_utf_8_is_refused_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.db");
    let host = Connection::open(&path).unwrap();
    host.execute_batch("PRAGMA encoding = 'UTF-16le'; CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let refused = SqliteStore::builder(&path).adopt().open();
    assert!(matches!(refused, Err(OpenError::Encoding { encoding }) if encoding == "UTF-16le"));
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn another_programs_database_is_refused_and_a_hosts_adopted_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.db");
    let host = Connection::open(&path).unwrap();
    host.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY); INSERT INTO orders VALUES (1);").unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(OpenError::Foreign { application_id: 0 })));
    let mode: String = host.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "delete", "not even the journal mode was changed");

    let store = SqliteStore::builder(&path).adopt().open().unwrap();
    block_on(store.commit(numbered(&account(1), None, 1))).unwrap();
    assert_eq!(host.query_row("SELECT count(*) FROM orders", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    drop(store);
    drop(SqliteStore::open(&path).unwrap());

    host.pragma_update(None, "application_id", 7).unwrap();
    assert!(matches!(SqliteStore::builder(&path).adopt().open(), Err(OpenError::Foreign { application_id: 7 })));
}

#[test]
fn locked_by_another_program() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let build = || SqliteStore::builder(&path).busy_timeout(Duration::from_millis(50));

    // Before the file is ours, a lock hinders the opening.
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(matches!(build().open(), Err(OpenError::Fault(fault)) if fault.kind() == FaultKind::Locked));
    other.execute_batch("ROLLBACK").unwrap();

    // Then it hinders a commit: nothing is written, reading goes on, and the next commit works.
    block_on(async {
        let store = build().open().unwrap();
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        assert_eq!(rejected(store.commit(numbered(&account(2), None, 1)).await), FaultKind::Locked);
        assert_eq!(number(&store, &account(1)).await.unwrap().1, 1);
        assert_eq!(number(&store, &account(2)).await, None);
        other.execute_batch("ROLLBACK").unwrap();
        store.commit(numbered(&account(2), None, 1)).await.unwrap();
    });
}

/// Ends at once, like a caller without patience.
#[derive(Debug)]
struct NoPatience;

impl Timer for NoPatience {
    fn wait(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The caller's limit ends before the store's own: a commit that has not begun is taken back, so
/// the answer is that nothing happened, and not that nobody knows.
#[test]
fn a_commit_that_waits_for_the_lock_of_another_program_can_be_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = Arc::new(SqliteStore::builder(&path).busy_timeout(Duration::from_secs(10)).open().unwrap());
    let driver = Driver::builder(store.clone(), Arc::new(keyring()));
    let driver = driver.commit_limit(Arc::new(NoPatience), Duration::from_secs(2)).build().unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    block_on(async {
        let taken_back = store.commit_until(numbered(&account(1), None, 1), NoPatience.wait(Duration::ZERO)).await;
        assert_eq!(rejected(taken_back), FaultKind::Withdrawn);
        let busy = driver.ensure_account(&AccountId::new("user-2").unwrap()).await.unwrap_err();
        assert!(busy.is_busy() && busy.shortage() == Some(Shortage::Busy), "{busy:?}");
        other.execute_batch("ROLLBACK").unwrap();
        // The queue has no more of them, so what was taken back never happens.
        store.commit(numbered(&account(3), None, 1)).await.unwrap();
        assert_eq!(number(&*store, &account(1)).await, None);
        assert!(store.load(&account(2), &[]).await.unwrap().root.is_none());
    });
}

#[test]
fn two_stores_on_one_file_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let (one, two) = (SqliteStore::open(&path).unwrap(), SqliteStore::open(&path).unwrap());
    block_on(async {
        let mut before = None;
        for count in 1..=10 {
            let writer = if count % 2 == 0 { &one } else { &two };
            writer.commit(numbered(&account(1), before, count)).await.unwrap();
            let reader = if count % 2 == 0 { &two } else { &one };
            let (revision, found) = number(reader, &account(1)).await.unwrap();
            assert_eq!(found, count);
            before = Some(revision);
        }
    });
}

#[test]
fn a_row_of_an_unknown_form_is_corrupt_and_not_absent() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        let corrupt = |result| match result {
            Err(LoadError::Corrupt(source)) => assert!(source.downcast_ref::<Fault>().is_some()),
            other => panic!("{other:?}"),
        };
        let host = Connection::open(&path).unwrap();
        let change = |sql| assert_eq!(host.execute(sql, []).unwrap(), 1);
        change("UPDATE keywright_roots SET revision = x'00'");
        corrupt(store.load(&account(1), &[]).await.map(|_| ()));
        change("UPDATE keywright_roots SET revision = randomblob(16), partition = 'z/of another version'");
        assert_eq!(
            store.partitions(None, 10).await.unwrap(),
            [account(1)],
            "it is passed over, and what it left is listed"
        );
        assert!(store.load(&account(1), &[]).await.unwrap().has_rows);
        change("UPDATE keywright_events SET prev = x'00'");
        corrupt(store.events(&account(1), EventChain::Changes, None, 10).await.map(|_| ()));
        change("UPDATE keywright_events SET number = -1");
        corrupt(store.load(&account(1), &[]).await.map(|_| ()));
    });
}

#[test]
fn an_event_whose_number_is_taken_is_refused_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("store.db")).unwrap();
    block_on(async {
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        let (revision, _) = number(&store, &account(1)).await.unwrap();
        // The same number once more; and behind a guard that fails, where the conflict counts.
        assert_eq!(rejected(store.commit(numbered(&account(1), Some(revision), 1)).await), FaultKind::EventNumberTaken);
        assert!(matches!(store.commit(numbered(&account(1), None, 1)).await, Err(CommitError::Conflict)));
        assert_eq!(number(&store, &account(1)).await, Some((revision, 1)));
    });
}

#[test]
fn what_was_sealed_is_nowhere_in_clear_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = std::sync::Arc::new(SqliteStore::open(&path).unwrap());
    let keyring = std::sync::Arc::new(Keyring::generate(&SystemEntropy).unwrap());
    let driver = Driver::builder(store, keyring).build().unwrap();
    block_on(driver.transact(&account(1), &[due::DUE.name()], |draft| {
        draft.create_account()?;
        due::add(draft, NewTask::new("planted-needle", Vec::new()))
    }))
    .unwrap();
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(14).any(|window| window == b"planted-needle"));
    }
}

/// The answer to a large change does not wait until the log is taken back into the file; but that is done, by the time the
/// next change is answered.
#[test]
fn large_changes_do_not_pile_up_in_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let ids = 0..3_000_u32;
    let rows = |fill: u8| {
        let row = |id: u32| Row {
            marks: RowMarks {
                id: CipherId(u128::from(id).to_be_bytes()),
                text: Mark([fill; 16]),
                note: Mark([fill; 16]),
                nonce: ClientNonce([fill; 16]),
            },
            text: vec![fill; 400].into(),
            note: Vec::new().into(),
        };
        ids.clone().map(row).collect::<Vec<_>>()
    };
    block_on(async {
        store.commit(numbered(&account(0), None, 0)).await.unwrap();
        for fill in 0..12 {
            let stage = StageId([7; 16]);
            store.stage(&account(0), stage, rows(fill), UnixSeconds::MAX).await.unwrap();
        }
        // A small one, behind the last.
        let (revision, _) = number(&store, &account(0)).await.unwrap();
        store.commit(numbered(&account(0), Some(revision), 1)).await.unwrap();
        assert_eq!(store.staged(&account(0), StageId([7; 16])).await.unwrap().len(), ids.len());
    });
    let log = std::fs::metadata(path.with_extension("db-wal")).unwrap().len();
    assert!(log < 3 * 3_000 * 450, "{log} bytes in the log: all twelve would be 16 million");
}
