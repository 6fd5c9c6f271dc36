//! A full disk: refused clearly, nothing lost, and nothing half written.

use futures_lite::future::block_on;
use keywright_core::SystemEntropy;
use keywright_sqlite::{FaultKind, SqliteStore, rusqlite};
use keywright_store::{Batch, RecordStore, Revision, Slot};

use crate::records::{account, number, numbered, put, rejected};

#[test]
fn a_full_store_rejects_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let store = SqliteStore::builder(&path).size_limit(40).open().unwrap();
    block_on(async {
        let mut kept = 0;
        let refused = loop {
            let batch = numbered(&account(kept), None, 7);
            let mut writes = batch.writes().to_vec();
            writes.push(put(Slot::Host([1; 16]), None, &[0xaa; 3_000]));
            let large = Batch::new(account(kept), batch.revision(), writes).unwrap();
            match store.commit(large.with_events(batch.events().to_vec())).await {
                Ok(()) => kept += 1,
                refused => break refused,
            }
        };
        assert_eq!(rejected(refused), FaultKind::Full);
        assert!(kept > 3, "{kept}");
        assert_eq!(number(&store, &account(kept)).await, None);
        assert!(store.events(&account(kept), None, 10).await.unwrap().is_empty());
        for earlier in 0..kept {
            assert_eq!(number(&store, &account(earlier)).await.unwrap().1, 7);
        }
        // What needs no new page still works: a spent code can be marked as spent.
        let (revision, _) = number(&store, &account(0)).await.unwrap();
        let root = put(Slot::Root, Some(revision), &8_u64.to_be_bytes());
        let note = put(crate::records::NOTE, Some(revision), &8_u64.to_be_bytes());
        let small = Batch::new(account(0), Revision::random(&SystemEntropy).unwrap(), vec![root, note]).unwrap();
        store.commit(small).await.unwrap();
        drop(store);

        // With room again, it goes on where it stood.
        let store = SqliteStore::open(&path).unwrap();
        store.commit(numbered(&account(kept), None, 7)).await.unwrap();
        assert_eq!(number(&store, &account(0)).await.unwrap().1, 8);
    });
    let check = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(check.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

#[test]
fn in_a_group_only_what_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let store = SqliteStore::builder(&path).size_limit(40).open().unwrap();
    let large = |number: usize| {
        let root = put(Slot::Root, None, &[0xbb; 1_000_000]);
        Batch::new(account(number), Revision::random(&SystemEntropy).unwrap(), vec![root]).unwrap()
    };
    // Another program's lock holds the writer, so that all of these wait and form one group.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let blocked = store.commit(numbered(&account(100), None, 1));
        let unlock = async { other.execute_batch("COMMIT").unwrap() };
        let (first, a, b, c, ()) = tokio::join!(
            blocked,
            store.commit(numbered(&account(1), None, 1)),
            store.commit(large(2)),
            store.commit(numbered(&account(3), None, 1)),
            unlock
        );
        first.unwrap();
        a.unwrap();
        assert_eq!(rejected(b), FaultKind::Full);
        c.unwrap();
        assert_eq!(number(&store, &account(1)).await.unwrap().1, 1);
        assert_eq!(number(&store, &account(3)).await.unwrap().1, 1);
        assert_eq!(store.load(&account(2), &[Slot::Root]).await.unwrap(), [None]);
    });
}
