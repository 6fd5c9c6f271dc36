//! What is refused, and how the driver learns of it.

use keywright::store::{Batch, CommitError, Partition, RecordStore, Revision, Shortage, Write};
use keywright_testing::postgres::Cluster;
use own_tables::{Fault, OpenError, SCHEMA, ShopStore};
use tokio_postgres::{Config, NoTls};

fn config(cluster: &Cluster) -> Config {
    cluster.url("postgres").parse().unwrap()
}

fn batch(expect: Option<Revision>) -> (Revision, Batch) {
    let write = Write::root(Revision::draw().unwrap(), "body".into());
    (write.revision, Batch::new(Partition::server(), expect, write).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_given_up_behind_a_lock_is_busy_and_has_written_nothing() {
    let cluster = Cluster::new();
    cluster.sql("postgres", SCHEMA);
    let store = ShopStore::open(config(&cluster), 2).await.unwrap();
    let (root, first) = batch(None);
    store.commit(first).await.unwrap();

    let (holder, connection) = config(&cluster).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    holder.batch_execute("BEGIN; SELECT FROM shop.account_security_roots FOR UPDATE").await.unwrap();
    let (next, second) = batch(Some(root));
    // The database gives up the statement as soon as it waits, as it does by itself after ten seconds.
    let give_up = async {
        let sql = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        while holder.query(sql, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let (refused, ()) = tokio::join!(store.commit(second), give_up);
    let Err(CommitError::Rejected(source)) = refused else { panic!("{refused:?}") };
    let shortage = match source.downcast_ref() {
        Some(Fault::Short { shortage, .. }) => *shortage,
        other => panic!("{other:?}"),
    };
    assert_eq!(shortage, Shortage::Busy);

    holder.batch_execute("ROLLBACK").await.unwrap();
    let seen = store.load(&Partition::server(), &[]).await.unwrap().root.unwrap().revision;
    assert!(seen == root && seen != next);
    // The connection is as good as before.
    store.commit(batch(Some(root)).1).await.unwrap();
}

#[tokio::test]
async fn a_database_that_may_forget_is_refused() {
    for setting in ["fsync", "synchronous_commit"] {
        let cluster = Cluster::builder().setting(&format!("{setting} = off")).start();
        let refused = ShopStore::open(config(&cluster), 1).await.err();
        assert!(matches!(refused, Some(OpenError::NotDurable { setting: found }) if found == setting), "{refused:?}");
    }
}
