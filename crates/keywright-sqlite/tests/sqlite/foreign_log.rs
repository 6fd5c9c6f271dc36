//! A write-ahead log that is not the file's own is refused before anything is changed.

use std::fs;
use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use keywright_core::UnixSeconds;
use keywright_sqlite::rusqlite::Connection;
use keywright_sqlite::{OpenError, SqliteStore};
use keywright_store::{RecordStore, Upkeep};
use tempfile::TempDir;

use crate::records::{account, numbered};

/// The files of a store that was killed: its log was never written back.
struct Killed {
    folder: TempDir,
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Copies the files of a running store, as they are after a crash. `commits` are in its log.
fn killed(commits: u8) -> Killed {
    let folder = tempfile::tempdir().unwrap();
    let running = tempfile::tempdir().unwrap();
    let path = running.path().join("db");
    let store = SqliteStore::open(&path).unwrap();
    for number in 0..commits {
        block_on(store.commit(numbered(&account(usize::from(number)), None, 1))).unwrap();
    }
    fs::copy(&path, folder.path().join("db")).unwrap();
    fs::copy(beside(&path, "-wal"), folder.path().join("db-wal")).unwrap();
    drop(store);
    Killed { folder }
}

impl Killed {
    fn path(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("db-wal")
    }

    fn with_log_of(self, other: &Self) -> Self {
        fs::copy(other.log(), self.log()).unwrap();
        self
    }

    /// The store is not opened, and no file is changed.
    fn is_refused(&self) {
        // An absent file is created empty, with the owner's permissions, before anything is looked at.
        let before = (fs::read(self.path()).unwrap_or_default(), fs::read(self.log()).unwrap());
        match SqliteStore::open(self.path()) {
            Err(error @ OpenError::ForeignLog { .. }) => {
                let said = error.to_string();
                assert!(said.contains("db-wal") && said.contains("move the log"), "{said}");
            }
            other => panic!("{other:?}"),
        }
        assert!((fs::read(self.path()).unwrap(), fs::read(self.log()).unwrap()) == before);
    }

    fn accounts(&self) -> usize {
        let store = SqliteStore::open(self.path()).unwrap();
        block_on(store.partitions(None, 100)).unwrap().len()
    }
}

#[test]
fn a_stores_own_log_is_applied() {
    for commits in [1, 40] {
        assert_eq!(killed(commits).accounts(), usize::from(commits));
    }
}

#[test]
fn the_log_of_another_store_is_refused() {
    for (commits, others) in [(1, 1), (20, 1), (1, 40), (40, 40)] {
        killed(commits).with_log_of(&killed(others)).is_refused();
    }
}

/// As happens when a backup is copied over a store that was not stopped.
#[test]
fn a_backup_beside_a_log_is_refused() {
    let was = killed(10);
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    block_on(SqliteStore::open(killed(5).path()).unwrap().backup_to(&backup)).unwrap();
    fs::copy(&backup, was.path()).unwrap();
    was.is_refused();
    // What the message says to do.
    fs::remove_file(was.log()).unwrap();
    assert_eq!(was.accounts(), 5);
}

/// A restored copy of a store is another file: the log of the first is not its own either.
#[test]
fn the_log_of_the_store_that_a_copy_was_made_of_is_refused() {
    let was = killed(10);
    let folder = tempfile::tempdir().unwrap();
    let (backup, copy) = (folder.path().join("backup"), folder.path().join("copy"));
    let running = SqliteStore::open(was.path()).unwrap();
    block_on(running.backup_to(&backup)).unwrap();
    SqliteStore::restore(&backup, &copy).unwrap();
    let restored = SqliteStore::open(&copy).unwrap();
    block_on(restored.commit(numbered(&account(77), None, 1))).unwrap();
    let mixed = killed(1);
    fs::copy(&copy, mixed.path()).unwrap();
    fs::copy(beside(&was.path(), "-wal"), mixed.log()).unwrap();
    mixed.is_refused();
}

/// Without a file there is nothing that a log could belong to, and SQLite would delete it.
#[test]
fn a_log_without_its_file_is_kept() {
    let was = killed(3);
    fs::remove_file(was.path()).unwrap();
    was.is_refused();
    fs::write(was.path(), "").unwrap();
    was.is_refused();
}

/// The salt counts up whenever the log begins again, and is noted at the start and every hour.
#[test]
fn a_log_that_began_again_many_times_is_the_stores_own() {
    let running = tempfile::tempdir().unwrap();
    let path = running.path().join("db");
    let store = SqliteStore::open(&path).unwrap();
    let other = Connection::open(&path).unwrap();
    for number in 0..50 {
        block_on(store.commit(numbered(&account(number), None, 1))).unwrap();
        other.query_row("PRAGMA wal_checkpoint(RESTART)", (), |_| Ok(())).unwrap();
        if number == 25 {
            block_on(store.move_horizon(UnixSeconds::new(1_700_000_000).unwrap())).unwrap();
        }
    }
    block_on(store.commit(numbered(&account(50), None, 1))).unwrap();
    let killed = Killed { folder: tempfile::tempdir().unwrap() };
    fs::copy(&path, killed.path()).unwrap();
    fs::copy(beside(&path, "-wal"), killed.log()).unwrap();
    assert_eq!(killed.accounts(), 51);
}
