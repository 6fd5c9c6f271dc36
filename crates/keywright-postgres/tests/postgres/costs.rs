//! What a commit costs: one round trip, and no rows that stay behind.

use keywright_postgres::PostgresStore;
use keywright_store::{Batch, RecordStore};
use keywright_testing::postgres::Cluster;

use crate::proxy::Proxy;
use crate::world::{account, batch, batch_of, commit, root};

#[tokio::test]
async fn a_commit_a_load_and_a_check_are_one_round_trip_each() {
    let cluster = Cluster::new();
    let proxy = Proxy::before(&cluster.url("postgres")).await;
    for pooled in [false, true] {
        let builder = PostgresStore::builder(&proxy.url()).unwrap().connections(1);
        let store = if pooled { builder.behind_pooler() } else { builder }.open().await.unwrap();
        let alice = account(&format!("alice-{pooled}"));
        // The first of each kind prepares its statement.
        commit(&store, &alice).await.unwrap();
        let now = root(&store, &alice).await;
        store.commit(Batch::check(alice.clone(), now)).await.unwrap();
        let start = proxy.round_trips();
        store.commit(batch(&alice, now)).await.unwrap();
        assert_eq!(proxy.round_trips() - start, 1, "a commit, pooled: {pooled}");
        let now = root(&store, &alice).await;
        assert_eq!(proxy.round_trips() - start, 2, "a load, pooled: {pooled}");
        store.commit(Batch::check(alice.clone(), now)).await.unwrap();
        assert_eq!(proxy.round_trips() - start, 3, "a check, pooled: {pooled}");
    }
}

/// A root is rewritten on its own page (a "HOT" update): no entry is added to an index, and nothing to a TOAST table.
#[tokio::test]
async fn many_commits_of_one_account_leave_no_bloat() {
    let cluster = Cluster::new();
    let store = PostgresStore::open(&cluster.url("postgres")).await.unwrap();
    for (name, size) in [("small", 700), ("large", 3_000)] {
        let partition = account(name);
        let mut expect = None;
        for _ in 0..1_500 {
            let batch = batch_of(&partition, expect, size);
            expect = batch.write().map(|write| write.revision);
            store.commit(batch).await.unwrap();
        }
    }
    store.close();
    // The statistics of a session are complete once it has ended.
    let counts = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_all_tables WHERE relid = 'keywright.roots'::regclass";
    let counts = loop {
        let counts = cluster.sql("postgres", counts);
        if counts.starts_with("2998|") {
            break counts;
        }
    };
    let hot: u32 = counts.split('|').nth(1).unwrap().parse().unwrap();
    assert!(hot >= 2_900, "of 2,998 updates, {hot} stayed on their page");
    let sizes = cluster.sql(
        "postgres",
        "SELECT pg_relation_size('keywright.roots'), pg_relation_size('keywright.roots_pkey'),
             pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'keywright.roots'::regclass",
    );
    let sizes: Vec<u32> = sizes.split('|').map(|size| size.parse().unwrap()).collect();
    assert!(sizes[0] <= 40 * 8_192, "the table has {} bytes", sizes[0]);
    assert!(sizes[1] <= 4 * 8_192, "its index has {} bytes", sizes[1]);
    assert_eq!(sizes[2], 0, "bodies were stored elsewhere");
}
