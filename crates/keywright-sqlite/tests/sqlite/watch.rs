//! A file that is deleted or replaced under a running store stops it.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use keywright_core::EventChain;
use keywright_sqlite::rusqlite::Connection;
use keywright_sqlite::{Fault, FaultKind, SqliteStore};
use keywright_store::{Batch, LoadError, RecordStore, Upkeep, VaultStore};

use crate::records::{account, at, number, numbered, rejected};

fn beside(path: &Path, suffix: &str) -> PathBuf {
    format!("{}{suffix}", path.display()).into()
}

fn unread<T: std::fmt::Debug>(result: Result<T, LoadError>) -> FaultKind {
    match result {
        Err(LoadError::Failed(source)) => source.downcast_ref::<Fault>().unwrap().kind(),
        other => panic!("{other:?}"),
    }
}

async fn is_stopped(store: &SqliteStore) {
    let one = account(1);
    assert_eq!(store.check_files().unwrap_err().kind(), FaultKind::FileReplaced);
    assert_eq!(rejected(store.commit(numbered(&account(9), None, 1)).await), FaultKind::FileReplaced);
    assert_eq!(rejected(store.commit(Batch::check(account(9), None)).await), FaultKind::FileReplaced);
    assert_eq!(rejected(store.move_horizon(at(1)).await), FaultKind::FileReplaced);
    assert_eq!(rejected(store.sweep(1).await), FaultKind::FileReplaced);
    assert_eq!(unread(store.load(&one, &[]).await), FaultKind::FileReplaced);
    assert_eq!(unread(store.events(&one, EventChain::Changes, None, 1).await), FaultKind::FileReplaced);
    assert_eq!(unread(store.manifest(&one).await), FaultKind::FileReplaced);
    assert_eq!(unread(store.partitions(None, 1).await), FaultKind::FileReplaced);
}

#[test]
fn a_deleted_file_stops_the_store_for_good() {
    for suffix in ["", "-wal", "-shm"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let store = SqliteStore::open(&path).unwrap();
        block_on(async {
            store.commit(numbered(&account(1), None, 1)).await.unwrap();
            let aside = directory.path().join("aside");
            fs::rename(beside(&path, suffix), &aside).unwrap();
            is_stopped(&store).await;
            // Put back, it is the same file; but nobody knows what was missed meanwhile.
            fs::rename(&aside, beside(&path, suffix)).unwrap();
            is_stopped(&store).await;
        });
        drop(store);
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(block_on(number(&store, &account(1))).unwrap().1, 1, "opened anew, it goes on");
    }
}

#[test]
fn a_replaced_file_stops_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    let copy = directory.path().join("copy.db");
    block_on(async {
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        store.backup_to(&copy).await.unwrap();
        fs::rename(&copy, &path).unwrap();
        is_stopped(&store).await;
    });
}

#[test]
fn another_writer_of_the_same_file_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE orders (id); INSERT INTO orders VALUES (1); VACUUM").unwrap();
        other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        other.close().unwrap();
        drop(SqliteStore::open(&path).unwrap());
        store.check_files().unwrap();
        store.commit(numbered(&account(2), None, 1)).await.unwrap();
        assert_eq!(number(&store, &account(1)).await.unwrap().1, 1);
    });
}

#[test]
fn a_link_is_followed_and_its_change_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (data, link) = (directory.path().join("data"), directory.path().join("store.db"));
    fs::create_dir(&data).unwrap();
    drop(SqliteStore::open(data.join("one.db")).unwrap());
    drop(SqliteStore::open(data.join("two.db")).unwrap());
    std::os::unix::fs::symlink(data.join("one.db"), &link).unwrap();
    let store = SqliteStore::open(&link).unwrap();
    block_on(async {
        store.commit(numbered(&account(1), None, 1)).await.unwrap();
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(data.join("two.db"), &link).unwrap();
        is_stopped(&store).await;
    });
}

#[test]
fn a_new_file_is_its_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(store.commit(numbered(&account(1), None, 1))).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mode = fs::metadata(beside(&path, suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
}

#[test]
fn a_link_that_leads_nowhere_yet_makes_a_private_file() {
    let directory = tempfile::tempdir().unwrap();
    let (link, target) = (directory.path().join("store.db"), directory.path().join("real.db"));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let store = SqliteStore::open(&link).unwrap();
    block_on(store.commit(numbered(&account(1), None, 1))).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(fs::metadata(beside(&target, suffix)).unwrap().permissions().mode() & 0o777, 0o600, "{suffix}");
    }
}

#[test]
fn a_backup_opens_no_other_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    fs::rename(&path, directory.path().join("aside.db")).unwrap();
    fs::write(&path, "somebody else's").unwrap();
    let copied = block_on(store.backup_to(directory.path().join("copy.db")));
    assert!(
        matches!(&copied, Err(keywright_sqlite::BackupError::Fault(fault)) if fault.kind() == FaultKind::FileReplaced),
        "{copied:?}"
    );
}
