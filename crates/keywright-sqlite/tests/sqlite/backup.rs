//! Copies while the store runs, and back.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_lite::future::block_on;
use keywright_sqlite::{BackupError, Fault, FaultKind, OpenError, SqliteStore, rusqlite};
use keywright_store::RecordStore;

use crate::records::{account, moments, number, numbered};

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Commits in turn for two accounts until it is stopped. So of any one moment, the second is never ahead of the first,
/// and at most one behind.
async fn commit_in_turn(store: &SqliteStore, stop: &AtomicBool) -> u64 {
    let mut before = [None, None];
    for count in 1.. {
        for (at, before) in before.iter_mut().enumerate() {
            store.commit(numbered(&account(at), *before, count)).await.unwrap();
            *before = Some(number(store, &account(at)).await.unwrap().0);
        }
        if stop.load(Ordering::Relaxed) && count > 20 {
            return count;
        }
    }
    0
}

#[test]
fn a_copy_made_while_commits_go_on_is_of_one_moment() {
    let directory = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path().join("store.db")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let commits = scope.spawn(|| block_on(commit_in_turn(&store, &stop)));
        block_on(async {
            while number(&store, &account(1)).await.is_none() {}
            for copy in 0..8 {
                store.backup_to(copies.path().join(format!("{copy}.db"))).await.unwrap();
            }
        });
        stop.store(true, Ordering::Relaxed);
        assert!(commits.join().unwrap() > 20);
    });
    assert_eq!(names(copies.path()).len(), 8, "single files, nothing beside them");
    block_on(async {
        let mut last = 0;
        for copy in 0..8 {
            let path = copies.path().join(format!("{copy}.db"));
            #[cfg(unix)]
            assert_eq!(
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777,
                0o600
            );
            let copied = SqliteStore::open(&path).unwrap();
            let first = number(&copied, &account(0)).await.unwrap().1;
            let second = number(&copied, &account(1)).await.unwrap().1;
            assert!(second == first || second + 1 == first, "{first} and {second}");
            assert!(first >= last, "a later copy is not of an earlier moment");
            assert_eq!(moments(&copied, &account(0)).await.len() as u64, first);
            last = first;
        }
    });
}

#[test]
fn a_copy_is_restored_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("store.db"), directory.path().join("copy.db"));
    block_on(async {
        let store = SqliteStore::open(&path).unwrap();
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        store.backup_to(&copy).await.unwrap();
        let (revision, _) = number(&store, &account(1)).await.unwrap();
        store.commit(numbered(&account(1), Some(revision), 2)).await.unwrap();

        // Never over a file, nor beside the log of one.
        let exists = |result| matches!(result, Err(BackupError::Exists(_)));
        assert!(exists(SqliteStore::restore(&copy, &path)));
        assert!(exists(store.backup_to(&copy).await));
        fs::remove_file(&path).unwrap();
        assert!(exists(SqliteStore::restore(&copy, &path)), "the old log is still there");
        assert!(!path.exists());
        drop(store);
        for rest in ["store.db-wal", "store.db-shm"] {
            let _ = fs::remove_file(directory.path().join(rest));
        }

        SqliteStore::restore(&copy, &path).unwrap();
        assert_eq!(names(directory.path()), ["copy.db", "store.db"]);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(number(&store, &account(1)).await, Some((revision, 1)));
        store.commit(numbered(&account(1), Some(revision), 2)).await.unwrap();
    });
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

#[test]
fn a_store_in_memory_is_copied_to_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy.db");
    block_on(async {
        let store = SqliteStore::open_in_memory().unwrap();
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        store.backup_to(&copy).await.unwrap();
        let copied = SqliteStore::open(&copy).unwrap();
        assert_eq!(number(&copied, &account(1)).await, number(&store, &account(1)).await);
    });
}

#[test]
fn what_cannot_be_copied_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("store.db"), directory.path().join("copy.db"));
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        let nowhere = store.backup_to(directory.path().join("none/copy.db")).await;
        assert!(matches!(nowhere, Err(BackupError::Io(_))));
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        #[cfg(unix)]
        {
            // The path leads to another file by now.
            fs::rename(&path, directory.path().join("aside.db")).unwrap();
            drop(rusqlite::Connection::open(&path).unwrap());
            let other = store.backup_to(&copy).await;
            assert!(matches!(other, Err(BackupError::Fault(fault)) if fault.kind() == FaultKind::FileReplaced));
        }
    });
    let text = directory.path().join("notes.txt");
    fs::write(&text, "no database at all. ".repeat(100)).unwrap();
    let fault = |result| match result {
        Err(BackupError::Fault(fault)) => Fault::kind(&fault),
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(SqliteStore::restore(&text, &copy)), FaultKind::NotADatabase);
    assert_eq!(fault(SqliteStore::restore(directory.path().join("none"), &copy)), FaultKind::CannotOpen);
    let foreign = directory.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE orders (id)").unwrap();
    let refused = SqliteStore::restore(&foreign, &copy);
    assert!(matches!(refused, Err(BackupError::NotOurs(OpenError::Foreign { .. }))));
    let empty = directory.path().join("empty.db");
    fs::write(&empty, "").unwrap();
    assert!(matches!(SqliteStore::restore(&empty, &copy), Err(BackupError::NotOurs(_))), "not a blank store");
    assert!(!copy.exists());
}
