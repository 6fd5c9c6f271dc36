//! Servers of every kind: which are refused, and that no encoding or collation matters.

use keywright_core::{EventChain, UnixSeconds};
use keywright_postgres::{FaultKind, OpenError, PostgresStore};
use keywright_store::{Batch, RecordStore, StageId, Upkeep, VaultStore};
use keywright_testing::postgres::Cluster;

use crate::world::{Outcome, account, batch, commit, load_fault, open_fault, outcome, root};

#[tokio::test]
async fn a_server_that_does_not_flush_is_refused() {
    let cluster = Cluster::builder().setting("fsync = off").start();
    assert!(matches!(PostgresStore::open(&cluster.url("postgres")).await, Err(OpenError::NoFsync)));
    assert_eq!(cluster.sql("postgres", "SELECT count(*) FROM pg_namespace WHERE nspname = 'keywright'"), "0");
}

#[tokio::test]
async fn a_standby_is_refused_whenever_it_is_met() {
    let cluster = Cluster::new();
    let store = PostgresStore::open(&cluster.url("postgres")).await.unwrap();
    let alice = account("alice");
    commit(&store, &alice).await.unwrap();
    let before = root(&store, &alice).await;

    let standby = cluster.standby("");
    assert_eq!(open_fault(PostgresStore::open(&standby.url("postgres")).await), FaultKind::Standby);

    // The same server comes back as a standby: after a failover, the address may lead to one.
    cluster.kill();
    cluster.write("standby.signal", "");
    cluster.start();
    // What was connected before notices that the server has ended.
    while matches!(store.load(&alice, &[]).await, Err(ref error) if format!("{error:?}").contains("Unreachable")) {}
    assert_eq!(load_fault(store.load(&alice, &[]).await).0, FaultKind::Standby);
    assert_eq!(outcome(store.commit(batch(&alice, before)).await), Outcome::Rejected(FaultKind::Standby));
    let check = store.commit(Batch::check(alice.clone(), before)).await;
    assert_eq!(outcome(check), Outcome::Rejected(FaultKind::Standby));
    // Not even "there is nothing" is an answer: nothing is staged, and nothing is due.
    let stage = StageId([1; 16]);
    assert_eq!(load_fault(store.staged(&alice, stage).await).0, FaultKind::Standby);
    assert_eq!(load_fault(store.staged_texts(&alice, stage, None, 10).await).0, FaultKind::Standby);
    assert_eq!(load_fault(store.due(UnixSeconds::MAX, 10).await).0, FaultKind::Standby);
    let last = Some(account("zoe"));
    assert_eq!(load_fault(store.partitions(last, 10).await).0, FaultKind::Standby);
    assert_eq!(load_fault(store.events(&alice, EventChain::Changes, None, 10).await).0, FaultKind::Standby);
    assert_eq!(load_fault(store.manifest(&alice).await).0, FaultKind::Standby);
    assert_eq!(load_fault(store.horizon().await).0, FaultKind::Standby);
    assert_eq!(outcome(store.sweep(10).await.map(drop)), Outcome::Rejected(FaultKind::Standby));
    assert_eq!(outcome(store.forget_events(0, 10).await.map(drop)), Outcome::Rejected(FaultKind::Standby));
    assert_eq!(outcome(store.unstage(&alice, stage).await), Outcome::Rejected(FaultKind::Standby));

    // And once it is the primary again, the same store goes on.
    cluster.sql("postgres", "SELECT pg_promote()");
    assert_eq!(root(&store, &alice).await, before);
    commit(&store, &alice).await.unwrap();
}

#[tokio::test]
async fn any_encoding_and_collation_will_do() {
    let cluster = Cluster::new();
    for (name, options) in [
        ("latin", "ENCODING 'LATIN1' LOCALE 'C'"),
        ("bytes", "ENCODING 'SQL_ASCII' LOCALE 'C'"),
        ("collated", "ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"),
    ] {
        cluster.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE template0 {options}"));
        let store = PostgresStore::open(&cluster.url(name)).await.unwrap();
        // In the order of their bytes, which is no collation's.
        let accounts = ["B", "a", "b", "é", "ключ"].map(account);
        for account in accounts.iter().rev() {
            commit(&store, account).await.unwrap();
            commit(&store, account).await.unwrap();
        }
        assert_eq!(store.partitions(None, 10).await.unwrap(), accounts, "{name}");
        assert!(store.due(UnixSeconds::MAX, 10).await.unwrap().is_empty());
    }
}

/// A pooler passes values on as text, which has to have the form that is read here.
#[tokio::test]
async fn a_role_that_prints_bytes_otherwise_is_refused_behind_a_pooler() {
    let cluster = Cluster::new();
    cluster.sql("postgres", "ALTER ROLE postgres SET bytea_output = escape");
    let builder = PostgresStore::builder(&cluster.url("postgres")).unwrap();
    let refused = builder.clone().behind_pooler().open().await;
    assert!(matches!(refused, Err(OpenError::ByteaOutput { ref found }) if found == "escape"), "{refused:?}");
    let store = builder.open().await.unwrap();
    commit(&store, &account("alice")).await.unwrap();
    assert!(root(&store, &account("alice")).await.is_some());
}
