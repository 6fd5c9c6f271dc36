//! How many round trips each call of the store takes, counted by a proxy.

use keywright::core::{EventChain, UnixSeconds};
use keywright::store::{Batch, Partition, Put, RecordStore, Revision, Slot, StoredEvent, Write};
use keywright_testing::postgres::Cluster;
use keywright_testing::postgres::proxy::Proxy;
use own_tables::{SCHEMA, ShopStore};

const LEDGER: Slot<()> = Slot::lasting("ledger");

/// A write of the root, of so many records, and of so many events from a number on.
fn write(records: usize, events: usize, from: u64) -> Write {
    let put = Put { slot: LEDGER.name(), body: "body".into(), purge_after: None };
    let event = |number| StoredEvent {
        chain: EventChain::Changes,
        number,
        at: UnixSeconds::EPOCH,
        json: "{}".into(),
        prev: [0; 32],
    };
    Write {
        put: vec![put; records],
        events: (from..).take(events).map(event).collect(),
        ..Write::root(Revision::draw().unwrap(), "root".into())
    }
}

#[tokio::test]
async fn a_commit_is_three_round_trips_and_one_for_each_kind_of_row() {
    let cluster = Cluster::new();
    cluster.sql("postgres", SCHEMA);
    let proxy = Proxy::before(&cluster.url("postgres")).await;
    let store = ShopStore::open(proxy.url().parse().unwrap(), 1).await.unwrap();
    let (partition, mut root) = (Partition::server(), None);
    let mut counts = Vec::new();
    // The first time, each statement is prepared.
    for (round, [first, second]) in [(0, [1, 2]), (1, [3, 4])] {
        for (records, events, from) in [(0, 0, 0), (1, 0, 0), (1, 1, first), (1, 1, second)] {
            let write = write(records, events, from);
            let next = write.revision;
            let before = proxy.round_trips();
            store.commit(Batch::new(partition.clone(), root, write).unwrap()).await.unwrap();
            counts.push((round, proxy.round_trips().saturating_sub(before)));
            root = Some(next);
        }
        let before = proxy.round_trips();
        store.commit(Batch::check(partition.clone(), root)).await.unwrap();
        let checked = proxy.round_trips();
        store.load(&partition, &[LEDGER.name()]).await.unwrap();
        counts.push((round, checked.saturating_sub(before)));
        counts.push((round, proxy.round_trips().saturating_sub(checked)));
    }
    let prepared: Vec<usize> = counts.iter().filter(|(round, _)| *round == 1).map(|(_, count)| *count).collect();
    // The root; with a record; with a record and an event, twice; a check; a load.
    assert_eq!(prepared, [3, 4, 5, 5, 1, 1]);
}
