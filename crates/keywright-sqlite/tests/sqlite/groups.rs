//! Commits that wait are committed together; none waits on an executor's thread.

use std::sync::Arc;

use futures_lite::future::block_on;
use keywright_core::EventChain;
use keywright_sqlite::{SqliteStore, rusqlite};
use keywright_store::{Batch, CommitError, RecordStore, Upkeep};

use crate::records::{account, at, moments, number, numbered};

#[test]
fn sixty_four_tasks_lose_and_mix_nothing() {
    const TASKS: usize = 64;
    const ROUNDS: u64 = 10;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    // Small numbers, so that the inbox is full and groups are cut.
    let store = Arc::new(SqliteStore::builder(&path).readers(3).inbox(20).group(11).open().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        let shared = account(1_000);
        store.commit(numbered(&shared, None, 0)).await.unwrap();
        let tasks = (0..TASKS).map(|task| {
            let (store, shared) = (Arc::clone(&store), shared.clone());
            tokio::spawn(async move {
                let mut before = None;
                for count in 1..=ROUNDS {
                    store.commit(numbered(&account(task), before, count)).await.unwrap();
                    // What was acknowledged is there for the next load.
                    let (revision, found) = number(&*store, &account(task)).await.unwrap();
                    assert_eq!(found, count);
                    before = Some(revision);
                }
                // And all race for one account: a loser loads again.
                loop {
                    let (revision, count) = number(&*store, &shared).await.unwrap();
                    match store.commit(numbered(&shared, Some(revision), count + 1)).await {
                        Ok(()) => return,
                        Err(CommitError::Conflict) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert_eq!(number(&*store, &shared).await.unwrap().1, 64);
        assert_eq!(moments(&*store, &shared).await.len(), 65);
    });
    drop(runtime);
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        for task in 0..TASKS {
            assert_eq!(number(&store, &account(task)).await.unwrap().1, ROUNDS);
            let all = moments(&store, &account(task)).await;
            assert_eq!(all, (1..=ROUNDS).rev().collect::<Vec<_>>(), "newest first, none twice");
            let page = store.events(&account(task), EventChain::Changes, Some(8), 2).await.unwrap();
            assert_eq!(page.events.iter().map(|event| event.number).collect::<Vec<_>>(), [7, 6]);
        }
        let changes = async |before, limit| {
            let page = store.events(&account(0), EventChain::Changes, before, limit).await.unwrap();
            page.events.len()
        };
        assert_eq!(changes(Some(0), 9).await, 0);
        assert_eq!(changes(Some(u64::MAX), 9).await, 9);
        assert_eq!(changes(None, 0).await, 0);
        assert!(store.events(&account(0), EventChain::Denials, None, 9).await.unwrap().events.is_empty());
    });
}

#[test]
fn a_commit_in_flight_and_a_full_inbox_leave_the_executor_free() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::builder(&path).inbox(1).group(1).open().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // Until it commits, no commit of the store can end; it commits on the very thread that awaits them.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    runtime.block_on(async {
        let (a, b, c, d) = tokio::join!(
            store.commit(numbered(&account(1), None, 1)),
            store.commit(numbered(&account(2), None, 1)),
            store.commit(numbered(&account(3), None, 1)),
            async {
                // A load is answered meanwhile.
                assert_eq!(number(&store, &account(1)).await, None);
                other.execute_batch("COMMIT")
            }
        );
        a.unwrap();
        b.unwrap();
        c.unwrap();
        d.unwrap();
    });
}

#[test]
fn a_dropped_future_undoes_nothing_and_a_dropped_store_finishes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        for task in 0..20 {
            // Polled once: it is taken in. Then nobody asks any more.
            let mut commit = store.commit(numbered(&account(task), None, 1));
            assert!(futures_lite::future::poll_once(commit.as_mut()).await.is_none());
        }
        other.execute_batch("COMMIT").unwrap();
    });
    drop(store);
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        for task in 0..20 {
            assert_eq!(number(&store, &account(task)).await.unwrap().1, 1);
        }
    });
}

#[test]
fn in_memory_works_alike() {
    block_on(async {
        let store = SqliteStore::open_in_memory().unwrap();
        assert_eq!(store.path(), None);
        store.check_files().unwrap();
        store.commit(numbered(&account(1), None, 5)).await.unwrap();
        assert!(matches!(store.commit(numbered(&account(1), None, 6)).await, Err(CommitError::Conflict)));
        let (revision, number) = number(&store, &account(1)).await.unwrap();
        assert_eq!(number, 5);
        store.commit(Batch::check(account(1), Some(revision))).await.unwrap();
        let changed = store.commit(Batch::check(account(1), None)).await;
        assert!(matches!(changed, Err(CommitError::Conflict)));
        assert_eq!(store.partitions(None, 10).await.unwrap(), [account(1)]);
        assert_eq!(store.move_horizon(at(50)).await.unwrap(), at(50));
        store.commit(numbered(&account(1), Some(revision), 9)).await.unwrap();
        assert_eq!(store.forget_events(45, 9).await.unwrap(), 0);
        assert_eq!(store.forget_events(44, 9).await.unwrap(), 1);
        assert_eq!(moments(&store, &account(1)).await, [9]);
    });
}
