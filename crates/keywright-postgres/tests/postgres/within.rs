//! A step that is spent in the host's own transaction.

use std::sync::Arc;

use keywright_core::{AccountId, Keyring, SystemEntropy};
use keywright_postgres::sqlx::{self, Connection, PgConnection};
use keywright_postgres::{PostgresStore, PostgresTransaction};
use keywright_store::{Batch, Driver, Partition, Record, RecordStore, Slot, Spent, WithinError};
use keywright_testing::postgres::Cluster;
use serde::{Deserialize, Serialize};

use crate::world::{Outcome, batch, commit, outcome, root};

#[derive(Serialize, Deserialize)]
struct Voucher {
    spent: bool,
}

impl Record for Voucher {
    const SCHEMA: u16 = 1;
}

const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
const OTHER: Slot<Voucher> = Slot::lasting("other");

struct World {
    cluster: Cluster,
    store: Arc<PostgresStore>,
    driver: Driver,
    account: Partition,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::new();
        cluster.sql("postgres", "CREATE TABLE orders (item text)");
        let store = Arc::new(PostgresStore::open(&cluster.url("postgres")).await.unwrap());
        let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
        let slots = [VOUCHER.kind(), OTHER.kind()];
        let driver = Driver::builder(store.clone(), keyring).slots(&slots).build().unwrap();
        let id = AccountId::new("alice").unwrap();
        driver.ensure_account(&id).await.unwrap();
        let world = Self { cluster, store, driver, account: Partition::account(&id) };
        world.give().await;
        world
    }

    async fn give(&self) {
        let fresh = |draft: &mut keywright_store::Draft<'_>| draft.put(VOUCHER, &Voucher { spent: false });
        self.driver.transact(&self.account, &[VOUCHER.name()], fresh).await.unwrap();
    }

    async fn host(&self) -> PgConnection {
        PgConnection::connect(&self.cluster.url("postgres")).await.unwrap()
    }

    /// Spends the voucher, whose slot it names only on the way.
    async fn spend(&self, connection: &mut PgConnection) -> Result<Spent<Option<&'static str>>, WithinError> {
        sqlx::raw_sql("INSERT INTO orders VALUES ('a book')").execute(&mut *connection).await.unwrap();
        PostgresTransaction::new(&self.store, connection)
            .within(&self.driver, &self.account, &[OTHER.name()], |draft| match draft.read(VOUCHER)? {
                Some(Voucher { spent: false }) => {
                    draft.put(VOUCHER, &Voucher { spent: true })?;
                    Ok(Some(draft.tentative("a book")))
                }
                _ => Ok(None),
            })
            .await
    }

    fn orders(&self) -> String {
        self.cluster.sql("postgres", "SELECT count(*) FROM orders")
    }
}

#[tokio::test]
async fn a_voucher_is_spent_with_the_hosts_own_row_or_not_at_all() {
    let world = World::new().await;
    let mut host = world.host().await;
    let transaction = host.begin().await.unwrap();
    {
        let mut transaction = transaction;
        drop(world.spend(&mut transaction).await.unwrap());
        transaction.rollback().await.unwrap();
    }
    assert_eq!(world.orders(), "0");
    let mut transaction = host.begin().await.unwrap();
    let spent = world.spend(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!((spent.after_commit(), &*world.orders()), (Some("a book"), "1"));
    // A second time there is nothing to spend.
    let mut transaction = host.begin().await.unwrap();
    let spent = world.spend(&mut transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(spent.after_commit(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_transactions_that_spend_one_voucher_one_does() {
    let world = Arc::new(World::new().await);
    let mut first = world.host().await;
    let mut one = first.begin().await.unwrap();
    let spent = world.spend(&mut one).await.unwrap();
    let racing = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            let mut second = world.host().await;
            let mut other = second.begin().await.unwrap();
            let raced = world.spend(&mut other).await.map(|_| ());
            // Nothing of the step is left, and the host may go on.
            other.commit().await.unwrap();
            raced
        }
    });
    while world.cluster.sql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {}
    one.commit().await.unwrap();
    let raced = racing.await.unwrap();
    assert_eq!(spent.after_commit(), Some("a book"));
    assert!(matches!(raced, Err(WithinError::Conflict)));
    assert_eq!(world.orders(), "2");
}

#[tokio::test]
async fn a_strictly_isolated_transaction_has_to_be_begun_again() {
    let world = World::new().await;
    let mut host = world.host().await;
    let mut transaction = host.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    sqlx::raw_sql("SELECT count(*) FROM orders").execute(&mut *transaction).await.unwrap();
    world.give().await;
    assert!(matches!(world.spend(&mut transaction).await, Err(WithinError::Conflict)));
    transaction.rollback().await.unwrap();
    let mut transaction = host.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await.unwrap();
    let spent = world.spend(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(spent.after_commit(), Some("a book"));
}

#[tokio::test]
async fn another_database_or_no_transaction_is_refused() {
    let world = World::new().await;
    world.cluster.sql("postgres", "CREATE DATABASE elsewhere; ");
    drop(PostgresStore::open(&world.cluster.url("elsewhere")).await.unwrap());
    world.cluster.sql("postgres", "CREATE DATABASE empty");
    for database in ["elsewhere", "empty"] {
        let mut host = PgConnection::connect(&world.cluster.url(database)).await.unwrap();
        let mut transaction = host.begin().await.unwrap();
        let spent = PostgresTransaction::new(&world.store, &mut transaction)
            .within(&world.driver, &world.account, &[], |draft| Ok(draft.tentative(())))
            .await;
        assert!(format!("{:?}", spent.map(|_| ())).contains("OtherDatabase"), "{database}");
    }
    let mut host = world.host().await;
    let before = root(&world.store, &world.account).await;
    let alone = world.spend(&mut host).await;
    assert!(matches!(alone, Err(WithinError::Failed(_))), "spent at once, whatever the host does next");
    assert_eq!(root(&world.store, &world.account).await, before);
}

/// What a check has found stays so until the host's transaction ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_holds_the_root() {
    let world = World::new().await;
    let before = root(&world.store, &world.account).await;
    let mut host = world.host().await;
    let mut transaction = host.begin().await.unwrap();
    let mut ours = PostgresTransaction::new(&world.store, &mut transaction);
    ours.apply(&Batch::check(world.account.clone(), before)).await.unwrap();
    assert!(ours.apply(&Batch::check(world.account.clone(), None)).await.is_err());
    let waiting = tokio::spawn({
        let (store, batch) = (Arc::clone(&world.store), batch(&world.account, before));
        async move { store.commit(batch).await }
    });
    while world.cluster.sql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {}
    assert!(!waiting.is_finished());
    transaction.commit().await.unwrap();
    assert_eq!(outcome(waiting.await.unwrap()), Outcome::Done);
    commit(&world.store, &world.account).await.unwrap();
}
