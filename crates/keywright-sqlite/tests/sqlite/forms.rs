//! Rows of a form that nobody has written through the store. One of them must not stop the work on all others.

use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use keywright_sqlite::SqliteStore;
use keywright_sqlite::rusqlite::Connection;
use keywright_store::{
    Batch, CipherId, ClientNonce, CommitError, LoadError, Mark, Partition, Put, RecordStore, Revision, Row, RowMarks,
    StageId, Upkeep, VaultStore, VaultWrite, Which, Write,
};

use crate::records::{NOTE, account, at, event, put};

const DAY: u64 = 86_400;

/// Keys of no partition, as SQL: a number, another kind, no UTF-8, a NUL within, a blob, something very long.
const KEYS: [&str; 8] = [
    "7",
    "'x/none'",
    "''",
    "CAST(x'612fff' AS TEXT)",
    "'a/' || char(0)",
    "x'612f75736572'",
    "zeroblob(20)",
    "hex(zeroblob(500))",
];

struct Site {
    store: SqliteStore,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        Self { store: SqliteStore::open(&path).unwrap(), path, _directory: directory }
    }

    fn file(&self, sql: &str) {
        edit(&self.path, sql);
    }

    async fn commit(&self, account: &Partition, write: Write) -> Revision {
        let revision = write.revision;
        let before = self.store.load(account, &[]).await.unwrap().root.map(|root| root.revision);
        self.store.commit(Batch::new(account.clone(), before, write).unwrap()).await.unwrap();
        revision
    }
}

fn edit(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

fn root() -> Write {
    Write::root(Revision::draw().unwrap(), b"root".to_vec().into())
}

fn row(id: u8) -> Row {
    let marks =
        RowMarks { id: CipherId([id; 16]), text: Mark([1; 16]), note: Mark([2; 16]), nonce: ClientNonce([3; 16]) };
    Row { marks, text: b"text".to_vec().into(), note: b"note".to_vec().into() }
}

#[test]
fn listings_go_on_past_keys_of_no_partition() {
    let site = Site::new();
    block_on(async {
        for number in [1, 2, 3] {
            site.commit(&account(number), Write { due_at: Some(at(50)), ..root() }).await;
        }
        site.commit(&Partition::server(), root()).await;
        for key in KEYS {
            site.file(&format!(
                "INSERT INTO keywright_roots (partition, revision, body, due_at) VALUES ({key}, x'00', x'00', 1);
                 INSERT INTO keywright_events VALUES ({key}, 0, 1, 0, '{{}}', x'00'), ({key}, 0, 2, 0, '{{}}', x'00');
                 INSERT INTO keywright_staged VALUES ({key}, x'00', x'00', x'00', x'00', x'00');"
            ));
        }
        let all = [account(1), account(2), account(3), Partition::server()];
        assert_eq!(site.store.partitions(None, 99).await.unwrap(), all);
        let mut paged = Vec::new();
        while let Some(next) = site.store.partitions(paged.last().cloned(), 1).await.unwrap().pop() {
            paged.push(next);
        }
        assert_eq!(paged, all);
        for limit in [1, 2, 3, 99] {
            let found = site.store.due(at(50), limit).await.unwrap();
            assert_eq!(found, all[..3.min(limit as usize)], "those with no partition are due before them");
        }
    });
}

#[test]
fn a_sweep_takes_what_is_over_whatever_its_key() {
    let site = Site::new();
    block_on(async {
        site.commit(&account(1), Write { put: vec![Put { purge_after: Some(at(5)), ..put(NOTE, b"1") }], ..root() })
            .await;
        site.commit(&account(2), Write { purge_after: Some(at(5)), ..root() }).await;
        site.commit(&account(3), root()).await;
        site.store.stage(&account(3), StageId([1; 16]), vec![row(1)], at(5)).await.unwrap();
        for key in KEYS {
            site.file(&format!(
                "INSERT INTO keywright_roots (partition, revision, body, purge_after) VALUES ({key}, x'00', x'00', 1);
                 INSERT INTO keywright_records VALUES ({key}, 'x', x'00', NULL);
                 INSERT INTO keywright_stages VALUES ({key}, 7, 1), ({key}, x'00', 1), ({key}, 'stage', 2.5);
                 INSERT INTO keywright_staged VALUES ({key}, 7, x'00', x'00', x'00', x'00');"
            ));
        }
        // Moments that are none: they are never over.
        for (moment, number) in [("'soon'", 4), ("x'00'", 5), ("1e300", 6), ("9223372036854775807", 7)] {
            site.commit(&account(number), Write { put: vec![put(NOTE, b"1")], due_at: Some(at(1)), ..root() }).await;
            site.file(&format!(
                "UPDATE keywright_roots SET purge_after = {moment}, due_at = {moment} WHERE partition = 'a/user-{number}';
                 UPDATE keywright_records SET purge_after = {moment} WHERE partition = 'a/user-{number}'"
            ));
        }
        site.store.move_horizon(at(DAY)).await.unwrap();
        let ours = 3;
        let others = u64::try_from(KEYS.len()).unwrap() * 4;
        let mut swept = 0;
        for _ in 0..50 {
            swept += site.store.sweep(3).await.unwrap();
        }
        assert_eq!(swept, ours + others);
        let left = [account(1), account(3), account(4), account(5), account(6), account(7)];
        assert_eq!(site.store.partitions(None, 99).await.unwrap(), left);
        assert_eq!(site.store.due(at(u64::from(u32::MAX)), 99).await.unwrap(), []);
        let count =
            |sql: &str| Connection::open(&site.path).unwrap().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM keywright_staged"), 0);
        assert_eq!(count("SELECT count(*) FROM keywright_roots"), 6);
    });
}

#[test]
fn events_are_forgotten_past_chains_of_no_account() {
    let site = Site::new();
    block_on(async {
        site.commit(&account(1), Write { events: vec![event(1), event(2), event(3)], ..root() }).await;
        for key in KEYS {
            site.file(&format!(
                "INSERT INTO keywright_events VALUES ({key}, 0, 1, -5, '{{}}', x'00'), ({key}, 0, 2, 0, '{{}}', x'00');"
            ));
        }
        site.file(
            "INSERT INTO keywright_events VALUES ('a/user-2', 9, 1, 0, '{}', x'00'), ('a/user-2', 9, 2, 0, '{}', x'00'),
                 ('a/user-2', 'x', 1, 0, '{}', x'00'), ('a/user-2', 'x', 2, 0, '{}', x'00'),
                 ('a/user-3', 0, 1, 'soon', '{}', x'00'), ('a/user-3', 0, 2, 0, '{}', x'00');",
        );
        site.store.move_horizon(at(DAY)).await.unwrap();
        assert_eq!(site.store.forget_events(0, 1).await.unwrap(), 1);
        assert_eq!(site.store.forget_events(0, 99).await.unwrap(), 1);
        assert_eq!(site.store.forget_events(0, 99).await.unwrap(), 0);
    });
}

/// Columns of a cipher, and what does not belong there.
const CIPHERS: [&str; 9] = [
    "text_mark = x'00'",
    "note_mark = 'sixteen letters!'",
    "nonce = 7",
    "text = 'a text, not a blob'",
    "note = 1.5",
    "id = x'0202020202020202020202020202'",
    "id = 'sixteen letters!'",
    "id = 7",
    "id = zeroblob(40)",
];

#[test]
fn a_cipher_of_an_unknown_form_is_read_as_one_that_does_not_open_and_can_be_dropped() {
    for wrong in CIPHERS {
        let site = Site::new();
        let id = account(1);
        block_on(async {
            let vault = Some(VaultWrite::Edit { put: vec![row(1), row(2), row(3)], delete: Vec::new() });
            site.commit(&id, Write { vault, ..root() }).await;
            site.file(&format!("UPDATE keywright_ciphers SET {wrong} WHERE id = x'02020202020202020202020202020202'"));
            let all = site.store.read(&id, Which::All).await.unwrap();
            assert!(all.rows.is_sorted_by_key(Row::id) && all.rows.len() == 3, "{wrong}");
            let bad: Vec<&Row> = all.rows.iter().filter(|seen| **seen != row(1) && **seen != row(3)).collect();
            let [bad] = bad[..] else { panic!("{wrong}: {all:?}") };
            assert_eq!((bad.marks.text, bad.marks.note), (Mark([0; 16]), Mark([0; 16])), "{wrong}");
            let manifest = site.store.manifest(&id).await.unwrap().rows;
            assert_eq!(manifest.len(), 3, "{wrong}");
            assert!(manifest.is_sorted_by_key(|marks| marks.id), "{wrong}");
            let named = [bad.id(), row(1).id()];
            let named = site.store.read(&id, Which::Ids { ids: &named, with_marks: true }).await.unwrap();
            assert_eq!(named.marks.unwrap(), manifest, "{wrong}");
            // No swap covers a row that has no id.
            let swap = VaultWrite::Swap { rows: vec![row(1), row(2), row(3)] };
            let before = site.store.load(&id, &[]).await.unwrap().root.unwrap().revision;
            if wrong.starts_with("id") {
                let batch = Batch::new(id.clone(), Some(before), Write { vault: Some(swap), ..root() }).unwrap();
                let swapped = site.store.commit(batch).await;
                assert!(matches!(swapped, Err(CommitError::Conflict)), "{wrong}: {swapped:?}");
            }
            let drop = VaultWrite::Edit { put: Vec::new(), delete: vec![bad.id()] };
            site.commit(&id, Write { vault: Some(drop), ..root() }).await;
            assert_eq!(site.store.read(&id, Which::All).await.unwrap().rows, [row(1), row(3)], "{wrong}");
        });
    }
}

#[test]
fn a_root_of_an_unknown_form_is_corrupt_and_nobodys_to_write() {
    let site = Site::new();
    let id = account(1);
    block_on(async {
        let revision = site.commit(&id, root()).await;
        for wrong in ["revision = zeroblob(15)", "revision = 'sixteen letters!'", "body = 'a text'"] {
            site.file(&format!("UPDATE keywright_roots SET {wrong}"));
            let loaded = site.store.load(&id, &[]).await;
            assert!(matches!(loaded, Err(LoadError::Corrupt(_))), "{wrong}: {loaded:?}");
            if wrong.starts_with("revision") {
                for expect in [None, Some(revision)] {
                    let checked = site.store.commit(Batch::check(id.clone(), expect)).await;
                    assert!(matches!(checked, Err(CommitError::Conflict)), "{wrong}: {checked:?}");
                    let written = site.store.commit(Batch::new(id.clone(), expect, root()).unwrap()).await;
                    assert!(matches!(written, Err(CommitError::Conflict)), "{wrong}: {written:?}");
                }
            }
        }
    });
}
