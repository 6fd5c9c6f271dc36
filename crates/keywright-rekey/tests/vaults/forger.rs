//! An attacker who can write the database but has no keyring: rows are read, altered, moved,
//! dropped and put back by SQL.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::Arc;

use keywright_core::AccountId;
use keywright_sqlite::{SqliteStore, rusqlite};
use rusqlite::{Connection, params};

use crate::world::World;

/// A row of a vault, as it is stored in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileRow {
    pub(crate) partition: String,
    pub(crate) id: Vec<u8>,
    pub(crate) text_mark: Vec<u8>,
    pub(crate) note_mark: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) note: Vec<u8>,
    pub(crate) text: Vec<u8>,
}

/// A row of a stage, as it is stored in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileStaged {
    pub(crate) partition: String,
    pub(crate) stage: Vec<u8>,
    pub(crate) id: Vec<u8>,
    pub(crate) text_mark: Vec<u8>,
    pub(crate) nonce: Vec<u8>,
    pub(crate) text: Vec<u8>,
}

/// A file that a store had open, or still has.
#[derive(Debug)]
pub(crate) struct Forger {
    _directory: tempfile::TempDir,
    path: PathBuf,
    file: OnceCell<Connection>,
}

impl Forger {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        Self { _directory: directory, path, file: OnceCell::new() }
    }

    /// Copies the file to another place.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        self.file().execute("VACUUM INTO ?1", [copy.path.to_str().unwrap()]).unwrap();
        copy
    }

    /// Opens a server's store over the file.
    pub(crate) fn world(&self) -> World {
        World::over(Arc::new(SqliteStore::builder(&self.path).readers(1).open().unwrap()))
    }

    fn file(&self) -> &Connection {
        self.file.get_or_init(|| {
            let file = Connection::open(&self.path).unwrap();
            // It does not matter here whether the file survives a power loss.
            file.pragma_update(None, "synchronous", "OFF").unwrap();
            file
        })
    }

    pub(crate) fn rows(&self, account: &AccountId) -> Vec<FileRow> {
        let file = self.file();
        let select = "SELECT partition, id, text_mark, note_mark, nonce, note, text FROM keywright_ciphers
                      WHERE partition = 'a/' || ?1 ORDER BY id";
        let mut select = file.prepare(select).unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            Ok(FileRow {
                partition: row.get(0)?,
                id: row.get(1)?,
                text_mark: row.get(2)?,
                note_mark: row.get(3)?,
                nonce: row.get(4)?,
                note: row.get(5)?,
                text: row.get(6)?,
            })
        };
        select.query_map([account.as_str()], read).unwrap().map(Result::unwrap).collect()
    }

    pub(crate) fn staged(&self, account: &AccountId) -> Vec<FileStaged> {
        let file = self.file();
        let select = "SELECT partition, stage, id, text_mark, nonce, text FROM keywright_staged
                      WHERE partition = 'a/' || ?1 ORDER BY stage, id";
        let mut select = file.prepare(select).unwrap();
        let read = |row: &rusqlite::Row<'_>| {
            Ok(FileStaged {
                partition: row.get(0)?,
                stage: row.get(1)?,
                id: row.get(2)?,
                text_mark: row.get(3)?,
                nonce: row.get(4)?,
                text: row.get(5)?,
            })
        };
        select.query_map([account.as_str()], read).unwrap().map(Result::unwrap).collect()
    }

    /// Writes a row, which replaces the one with the same account and id.
    pub(crate) fn put(&self, row: &FileRow) {
        let FileRow { partition, id, text_mark, note_mark, nonce, note, text } = row;
        let put = "INSERT OR REPLACE INTO keywright_ciphers (partition, id, text_mark, note_mark, nonce, note, text)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        self.file().execute(put, params![partition, id, text_mark, note_mark, nonce, note, text]).unwrap();
    }

    /// Writes values into the columns of a cipher that no store writes there.
    pub(crate) fn spoil(&self, row: &FileRow, columns: &str) {
        let spoil = format!("UPDATE keywright_ciphers SET {columns} WHERE partition = ?1 AND id = ?2");
        assert_eq!(self.file().execute(&spoil, params![row.partition, row.id]).unwrap(), 1);
    }

    pub(crate) fn drop_row(&self, row: &FileRow) {
        let drop = "DELETE FROM keywright_ciphers WHERE partition = ?1 AND id = ?2";
        assert_eq!(self.file().execute(drop, params![row.partition, row.id]).unwrap(), 1);
    }

    pub(crate) fn put_staged(&self, row: &FileStaged) {
        let FileStaged { partition, stage, id, text_mark, nonce, text } = row;
        let put = "INSERT OR REPLACE INTO keywright_staged (partition, stage, id, text_mark, nonce, text)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.file().execute(put, params![partition, stage, id, text_mark, nonce, text]).unwrap();
    }

    /// Writes values into the columns of a staged row that no store writes there.
    pub(crate) fn spoil_staged(&self, row: &FileStaged, columns: &str) {
        let spoil = format!("UPDATE keywright_staged SET {columns} WHERE partition = ?1 AND stage = ?2 AND id = ?3");
        assert_eq!(self.file().execute(&spoil, params![row.partition, row.stage, row.id]).unwrap(), 1);
    }

    pub(crate) fn drop_staged(&self, row: &FileStaged) {
        let drop = "DELETE FROM keywright_staged WHERE partition = ?1 AND stage = ?2 AND id = ?3";
        assert_eq!(self.file().execute(drop, params![row.partition, row.stage, row.id]).unwrap(), 1);
    }
}
