//! A full disk: refused clearly, nothing lost, and nothing half written.

use futures_lite::future::block_on;
use keywright_core::EventChain;
use keywright_sqlite::{FaultKind, SqliteStore, rusqlite};
use keywright_store::slot::KindName;
use keywright_store::{Batch, RecordStore, Revision, SlotName, Write};

use crate::records::{NOTE, account, number, numbered, put, rejected, write};

const BALLAST: SlotName = SlotName::new(KindName::new("ballast"), None);

#[test]
fn a_full_store_rejects_and_keeps_what_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let store = SqliteStore::builder(&path).size_limit(60).open().unwrap();
    block_on(async {
        let mut kept = 0;
        let refused = loop {
            let mut large = write(7);
            large.put.push(put(BALLAST, &[0xaa; 3_000]));
            match store.commit(Batch::new(account(kept), None, large).unwrap()).await {
                Ok(()) => kept += 1,
                refused => break refused,
            }
        };
        assert_eq!(rejected(refused), FaultKind::Full);
        assert!(kept > 3, "{kept}");
        assert_eq!(number(&store, &account(kept)).await, None);
        let events = store.events(&account(kept), EventChain::Changes, None, 10).await.unwrap();
        assert!(events.root.is_none() && events.events.is_empty());
        for earlier in 0..kept {
            assert_eq!(number(&store, &account(earlier)).await.unwrap().1, 7);
        }
        // What needs no new page still works: a spent code can be marked as spent.
        let (revision, _) = number(&store, &account(0)).await.unwrap();
        let mut small = write(8);
        small.events.clear();
        small.put = vec![put(NOTE, &8_u64.to_be_bytes())];
        store.commit(Batch::new(account(0), Some(revision), small).unwrap()).await.unwrap();
        drop(store);

        // With room again, it goes on where it stood.
        let store = SqliteStore::open(&path).unwrap();
        store.commit(numbered(&account(kept), None, 7)).await.unwrap();
        let first = store.load(&account(0), &[NOTE]).await.unwrap();
        assert_eq!(first.records, [Some(8_u64.to_be_bytes().to_vec().into())]);
    });
    let check = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(check.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

#[test]
fn in_a_group_only_what_does_not_fit_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let store = SqliteStore::builder(&path).size_limit(60).open().unwrap();
    let large = |number: usize| {
        let write = Write::root(Revision::draw().unwrap(), vec![0xbb; 1_000_000].into());
        Batch::new(account(number), None, write).unwrap()
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
        assert_eq!(store.load(&account(2), &[]).await.unwrap().root, None);
    });
}
