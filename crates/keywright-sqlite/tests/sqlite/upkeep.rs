//! Housekeeping on a file: what goes, what stays, and what is not read for it.

use futures_lite::future::block_on;
use keywright_core::EventChain;
use keywright_sqlite::{SqliteStore, rusqlite};
use keywright_store::{
    Batch, CipherId, ClientNonce, Mark, Partition, Put, RecordStore, Revision, Row, RowMarks, StageId, Upkeep,
    VaultStore, VaultWrite, Write,
};

use crate::records::{NOTE, account, at, event, put};

const DAY: u64 = 86_400;

fn root(purge_after: Option<u64>, due_at: Option<u64>) -> Write {
    let write = Write::root(Revision::draw().unwrap(), b"root".to_vec().into());
    Write { purge_after: purge_after.map(at), due_at: due_at.map(at), ..write }
}

fn row(id: u8) -> Row {
    let marks =
        RowMarks { id: CipherId([id; 16]), text: Mark([1; 16]), note: Mark([2; 16]), nonce: ClientNonce([3; 16]) };
    Row { marks, text: b"text".to_vec().into(), note: b"note".to_vec().into() }
}

async fn commit(store: &SqliteStore, account: &Partition, write: Write) {
    let before = store.load(account, &[]).await.unwrap().root.map(|root| root.revision);
    store.commit(Batch::new(account.clone(), before, write).unwrap()).await.unwrap();
}

fn rows(path: &std::path::Path) -> Vec<(&'static str, i64)> {
    let file = rusqlite::Connection::open(path).unwrap();
    ["roots", "records", "ciphers", "stages", "staged", "events"]
        .map(|table| (table, file.query_row(&format!("SELECT count(*) FROM keywright_{table}"), [], |row| row.get(0))))
        .map(|(table, count)| (table, count.unwrap()))
        .to_vec()
}

#[test]
fn a_partition_goes_whole_and_a_put_without_expiry_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        let vault = |id| Some(VaultWrite::Edit { put: vec![row(id)], delete: Vec::new() });
        let expiring = Put { purge_after: Some(at(DAY)), ..put(NOTE, b"1") };
        let full = |purge| Write {
            put: vec![put(NOTE, b"1")],
            events: vec![event(1)],
            vault: vault(1),
            ..root(purge, Some(5))
        };
        commit(&store, &account(1), full(Some(DAY))).await;
        commit(&store, &account(2), full(Some(3 * DAY))).await;
        commit(&store, &account(3), Write { put: vec![expiring.clone()], ..root(None, None) }).await;
        commit(&store, &account(4), Write { put: vec![expiring], ..root(None, None) }).await;
        // The record that was about to go is put anew, and lasts.
        commit(&store, &account(4), Write { put: vec![put(NOTE, b"2")], ..root(None, None) }).await;
        for one in [1, 2] {
            store.stage(&account(one), StageId([1; 16]), vec![row(1), row(2)], at(3 * DAY)).await.unwrap();
        }
        assert_eq!(store.sweep(100).await.unwrap(), 0, "without a horizon nothing goes");
        assert_eq!(store.move_horizon(at(0)).await.unwrap(), at(0), "the newest event is of then");
        assert_eq!(store.move_horizon(at(9 * DAY)).await.unwrap(), at(DAY), "a day at a time");
        assert_eq!(store.sweep(100).await.unwrap(), 0, "on the moment itself nothing goes yet");
        assert_eq!(store.move_horizon(at(9 * DAY)).await.unwrap(), at(2 * DAY));
        assert_eq!(store.move_horizon(at(5)).await.unwrap(), at(5), "back with the clock");
        assert_eq!(store.move_horizon(at(9 * DAY)).await.unwrap(), at(DAY + 5));
        assert_eq!(store.move_horizon(at(2 * DAY)).await.unwrap(), at(2 * DAY));
        assert_eq!(store.horizon().await.unwrap(), Some(at(2 * DAY)));
        assert_eq!(store.sweep(1).await.unwrap(), 1);
        assert_eq!(store.sweep(100).await.unwrap(), 1);
        assert_eq!(store.sweep(100).await.unwrap(), 0);
        let left = [("roots", 3), ("records", 2), ("ciphers", 1), ("stages", 1), ("staged", 2), ("events", 1)];
        assert_eq!(rows(&path), left);
        assert_eq!(store.partitions(None, 9).await.unwrap(), [account(2), account(3), account(4)]);
        assert_eq!(store.move_horizon(at(9 * DAY)).await.unwrap(), at(3 * DAY));
        assert_eq!(store.move_horizon(at(9 * DAY)).await.unwrap(), at(4 * DAY));
        assert_eq!(store.sweep(1).await.unwrap(), 1, "the stage");
        let left = [("roots", 3), ("records", 2), ("ciphers", 1), ("stages", 0), ("staged", 0), ("events", 1)];
        assert_eq!(rows(&path), left);
        assert_eq!(store.sweep(1).await.unwrap(), 1, "the partition");
        let left = [("roots", 2), ("records", 1), ("ciphers", 0), ("stages", 0), ("staged", 0), ("events", 0)];
        assert_eq!(rows(&path), left);
    });
}

#[test]
fn events_go_from_the_old_end_of_a_chain_and_never_its_newest() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        let timed = |number, moment: u64| keywright_store::StoredEvent { at: at(moment), ..event(number) };
        let denied =
            |number, moment| keywright_store::StoredEvent { chain: EventChain::Denials, ..timed(number, moment) };
        // One chain in order; one whose clock went back; one whose oldest is young; one that is idle.
        let one = vec![timed(1, 10), timed(2, 20), timed(3, 30), timed(4, 900), denied(1, 1), denied(2, 2)];
        commit(&store, &account(1), Write { events: one, ..root(None, None) }).await;
        let back = vec![timed(1, 10), timed(2, 800), timed(3, 20), timed(4, 900)];
        commit(&store, &account(2), Write { events: back, ..root(None, None) }).await;
        let young = vec![timed(1, 800), timed(2, 10), timed(3, 20)];
        commit(&store, &account(3), Write { events: young, ..root(None, None) }).await;
        commit(&store, &account(4), Write { events: vec![timed(7, 5)], ..root(None, None) }).await;
        assert_eq!(store.forget_events(0, 100).await.unwrap(), 0, "without a horizon nothing goes");
        store.move_horizon(at(1_000)).await.unwrap();
        assert_eq!(store.forget_events(970, 100).await.unwrap(), 4, "the moments below 30");
        let file = rusqlite::Connection::open(&path).unwrap();
        let left = |chain: u8| {
            let mut select = file
                .prepare("SELECT partition || ' ' || number FROM keywright_events WHERE chain = ?1 ORDER BY partition, number")
                .unwrap();
            let rows = select.query_map([chain], |row| row.get::<_, String>(0)).unwrap();
            rows.collect::<Result<Vec<_>, _>>().unwrap()
        };
        let user = |name: &str, numbers: std::ops::RangeInclusive<u8>| {
            numbers.map(|number| format!("a/user-{name} {number}")).collect::<Vec<_>>()
        };
        assert_eq!(left(0), [user("1", 3..=4), user("2", 2..=4), user("3", 1..=3), user("4", 7..=7)].concat());
        assert_eq!(left(1), user("1", 2..=2));
        assert_eq!(store.forget_events(100, 2).await.unwrap(), 2, "no more than the limit");
        assert_eq!(store.forget_events(50, 100).await.unwrap(), 3);
        assert_eq!(store.forget_events(0, 100).await.unwrap(), 0);
        assert_eq!(left(0), [user("1", 4..=4), user("2", 4..=4), user("3", 3..=3), user("4", 7..=7)].concat());
    });
}

#[test]
fn due_work_is_found_earliest_first_and_partitions_in_the_order_of_their_bytes() {
    block_on(async {
        let store = SqliteStore::open_in_memory().unwrap();
        for (number, due_at) in [(1, Some(30)), (2, None), (3, Some(10)), (4, Some(50)), (10, Some(30))] {
            commit(&store, &account(number), root(None, due_at)).await;
        }
        store.commit(Batch::new(Partition::server(), None, root(None, None)).unwrap()).await.unwrap();
        store.stage(&Partition::name(&[7; 32]), StageId([1; 16]), Vec::new(), at(1)).await.unwrap();
        assert_eq!(store.due(at(9), 9).await.unwrap(), []);
        assert_eq!(store.due(at(30), 9).await.unwrap(), [account(3), account(1), account(10)]);
        assert_eq!(store.due(at(99), 2).await.unwrap(), [account(3), account(1)]);
        // Done: no longer due.
        commit(&store, &account(3), root(None, None)).await;
        assert_eq!(store.due(at(30), 1).await.unwrap(), [account(1)]);

        let all = [
            account(1),
            account(10),
            account(2),
            account(3),
            account(4),
            Partition::name(&[7; 32]),
            Partition::server(),
        ];
        assert_eq!(store.partitions(None, 99).await.unwrap(), all);
        assert_eq!(store.partitions(Some(account(10)), 2).await.unwrap(), all[2..4]);
        assert_eq!(store.partitions(Some(Partition::server()), 2).await.unwrap(), []);
    });
}

/// What may stand in a column of SQLite's, whatever type the column has.
const NO_MOMENTS: [&str; 6] = ["-1", "'soon'", "x'00'", "1e300", "9223372036854775807", "''"];

#[test]
fn a_horizon_that_is_no_moment_sweeps_nothing_and_starts_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(&path).unwrap();
    block_on(async {
        let write = Write { put: vec![Put { purge_after: Some(at(1)), ..put(NOTE, b"1") }], ..root(None, None) };
        let write = Write { events: vec![event(1)], ..write };
        commit(&store, &account(1), write).await;
        store.move_horizon(at(0)).await.unwrap();
        for value in NO_MOMENTS {
            let file = rusqlite::Connection::open(&path).unwrap();
            file.execute_batch(&format!("UPDATE keywright_meta SET value = {value} WHERE name = 'horizon'")).unwrap();
            assert_eq!(store.horizon().await.unwrap(), None, "{value}");
            assert_eq!(store.sweep(100).await.unwrap(), 0, "{value}");
            assert_eq!(store.forget_events(0, 100).await.unwrap(), 0, "{value}");
            // A fence that is put meanwhile is kept as it asks.
            let before = store.load(&account(2), &[]).await.unwrap().root.map(|root| root.revision);
            store.commit(Batch::new(account(2), before, root(Some(7 * DAY), None)).unwrap()).await.unwrap();
            let kept: i64 = file
                .query_row("SELECT purge_after FROM keywright_roots WHERE purge_after IS NOT NULL", [], |row| {
                    row.get(0)
                })
                .unwrap();
            assert_eq!(kept, 7 * 86_400, "{value}");
            let anew = store.move_horizon(at(9 * DAY)).await.unwrap();
            assert!(anew <= at(9 * DAY), "{value}");
            assert_eq!(store.horizon().await.unwrap(), Some(anew), "{value}");
            store.move_horizon(at(0)).await.unwrap();
        }
    });
}
