//! A step that is spent in the host's own transaction.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use keywright_core::{AccountId, Keyring, SystemEntropy};
use keywright_postgres::sqlx::{self, Connection, PgConnection};
use keywright_postgres::{Fault, FaultKind, PostgresStore, PostgresTransaction};
use keywright_store::{
    AsyncHostTransaction, Batch, BoxFuture, Draft, Driver, GrantError, HostOutcome, Partition, Record, RecordStore,
    Slot, Spent, StepError, Tentative, WithinError,
};
use keywright_testing::postgres::Cluster;
use serde::{Deserialize, Serialize};

use crate::world::{Outcome, batch, commit, load_fault, outcome, root};

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
        let fresh = |draft: &mut Draft<'_>| draft.put(VOUCHER, &Voucher { spent: false });
        self.driver.transact(&self.account, &[VOUCHER.name()], fresh).await.unwrap();
    }

    async fn host(&self) -> PgConnection {
        PgConnection::connect(&self.cluster.url("postgres")).await.unwrap()
    }

    /// Spends the voucher, whose slot it names only on the way.
    async fn spend(
        &self,
        transaction: &mut PostgresTransaction<'_>,
    ) -> Result<Spent<Option<&'static str>>, WithinError> {
        order(transaction).await.unwrap();
        self.driver.within_async(transaction, &self.account, &[OTHER.name()], spend).await
    }

    async fn begin<'t>(&'t self, host: &'t mut PgConnection) -> PostgresTransaction<'t> {
        PostgresTransaction::begin(&self.store, host).await.unwrap()
    }

    /// Spends the voucher and orders, with these statements of the host's, whose errors it passes over.
    async fn grant_beside(
        &self,
        before: &'static str,
        after: &'static str,
    ) -> Result<HostOutcome<Option<&'static str>>, GrantError<sqlx::Error>> {
        let mut host = self.host().await;
        let mut transaction = self.begin(&mut host).await;
        let _ = sqlx::raw_sql(before).execute(&mut *transaction).await;
        let change = async |transaction: &mut PostgresTransaction<'_>| {
            order(transaction).await?;
            let _ = sqlx::raw_sql(after).execute(&mut **transaction).await;
            Ok(())
        };
        self.driver.grant_with(transaction, &self.account, &[], spend, change).await
    }

    /// Whether the voucher is spent, and how many orders there are.
    async fn state(&self) -> (bool, String) {
        let read = |draft: &mut Draft<'_>| draft.read(VOUCHER);
        let voucher = self.driver.observe(&self.account, &[VOUCHER.name()], read).await.unwrap();
        (voucher.is_some_and(|voucher| voucher.spent), self.orders())
    }

    fn orders(&self) -> String {
        self.cluster.sql("postgres", "SELECT count(*) FROM orders")
    }
}

async fn begin_as<'t>(world: &'t World, host: &'t mut PgConnection, begin: &'static str) -> PostgresTransaction<'t> {
    PostgresTransaction::begin_with(&world.store, host, begin).await.unwrap()
}

async fn order(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("INSERT INTO orders VALUES ('a book')").execute(connection).await.map(drop)
}

fn spend(draft: &mut Draft<'_>) -> Result<Option<Tentative<&'static str>>, StepError> {
    match draft.read(VOUCHER)? {
        Some(Voucher { spent: false }) => {
            draft.put(VOUCHER, &Voucher { spent: true })?;
            Ok(Some(draft.tentative("a book")))
        }
        _ => Ok(None),
    }
}

#[tokio::test]
async fn a_voucher_is_spent_with_the_hosts_own_row_or_not_at_all() {
    let world = World::new().await;
    let mut host = world.host().await;
    let mut transaction = world.begin(&mut host).await;
    drop(world.spend(&mut transaction).await.unwrap());
    transaction.roll_back().await;
    assert_eq!(world.state().await, (false, "0".to_owned()));
    let mut transaction = world.begin(&mut host).await;
    drop(world.spend(&mut transaction).await.unwrap());
    // Dropped, it is rolled back with the connection's next request.
    drop(transaction);
    let mut transaction = world.begin(&mut host).await;
    let spent = world.spend(&mut transaction).await.unwrap();
    assert!(spent.is_granted());
    transaction.commit().await.unwrap();
    assert_eq!(spent.after_commit(), Some("a book"));
    assert_eq!(world.state().await, (true, "1".to_owned()));
    // A second time there is nothing to spend, and the host knows it before it commits.
    let mut transaction = world.begin(&mut host).await;
    let spent = world.spend(&mut transaction).await.unwrap();
    assert!(!spent.is_granted());
    transaction.roll_back().await;
    assert_eq!(world.orders(), "1");
}

/// The server only warns of a second `BEGIN`, and the host's own statements would end with the step.
#[tokio::test]
async fn no_transaction_is_begun_inside_another_one() {
    let world = World::new().await;
    let refused = async |host: &mut PgConnection| {
        let fault = PostgresTransaction::begin(&world.store, host).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::HostTransaction, "{fault:?}");
        PostgresTransaction::begin_with(&world.store, host, "BEGIN ISOLATION LEVEL SERIALIZABLE").await.unwrap_err();
    };
    let mut host = world.host().await;
    for (begin, orders) in [("BEGIN", "1"), ("BEGIN ISOLATION LEVEL SERIALIZABLE", "2"), ("BEGIN; SELECT 1", "3")] {
        sqlx::raw_sql(begin).execute(&mut host).await.unwrap();
        refused(&mut host).await;
        order(&mut host).await.unwrap();
        refused(&mut host).await;
        // The host's own goes on as if nothing had been asked.
        sqlx::raw_sql("COMMIT").execute(&mut host).await.unwrap();
        assert_eq!(world.orders(), orders, "{begin}");
    }
    // One that has failed, and one of sqlx.
    sqlx::raw_sql("BEGIN; SELECT 1 / 0").execute(&mut host).await.unwrap_err();
    refused(&mut host).await;
    sqlx::raw_sql("ROLLBACK").execute(&mut host).await.unwrap();
    let mut own = host.begin().await.unwrap();
    refused(&mut own).await;
    own.rollback().await.unwrap();
    // What is not in a transaction is not refused, however often it has been.
    for _ in 0..20 {
        world.begin(&mut host).await.roll_back().await;
    }
    assert_eq!(world.state().await, (false, "3".to_owned()));
}

#[tokio::test]
async fn a_host_orders_only_what_is_granted() {
    let world = World::new().await;
    let first = world.grant_beside("", "").await.unwrap();
    assert_eq!(first, HostOutcome::Committed(Some("a book")));
    let second = world.grant_beside("", "").await.unwrap();
    assert_eq!(second, HostOutcome::RolledBack(None));
    assert_eq!(world.state().await, (true, "1".to_owned()));
}

/// PostgreSQL answers a `COMMIT` with a rollback, and no error, if a statement has failed before.
#[tokio::test]
async fn a_host_that_passes_over_an_error_is_granted_nothing() {
    let world = World::new().await;
    for (before, after) in [
        ("", "SELECT 1 / 0"),
        // Undoes what was spent, and keeps the transaction: the host's row alone would be committed.
        ("SAVEPOINT mine", "ROLLBACK TO SAVEPOINT mine; INSERT INTO orders VALUES ('a book')"),
        // Releases what marks the step as well, so whether it is in it cannot be seen any more.
        ("SAVEPOINT mine", "RELEASE SAVEPOINT mine"),
        ("", "ROLLBACK"),
        ("", "ROLLBACK; BEGIN; INSERT INTO orders VALUES ('a book')"),
    ] {
        let granted = world.grant_beside(before, after).await;
        let source = match granted {
            Err(GrantError::NotSpent(WithinError::Failed(source))) if after == "SELECT 1 / 0" => source,
            Err(GrantError::Unknown(source)) if after != "SELECT 1 / 0" => source,
            other => panic!("{after}: {other:?}"),
        };
        assert_eq!(source.downcast_ref::<Fault>().unwrap().kind(), FaultKind::HostTransaction, "{after}");
        assert_eq!(world.state().await, (false, "0".to_owned()), "{after}");
    }
    // One that ends the transaction itself has spent the voucher, and is granted nothing for it.
    let granted = world.grant_beside("", "COMMIT").await;
    assert!(matches!(granted, Err(GrantError::Unknown(_))), "{granted:?}");
    assert_eq!(world.state().await, (true, "1".to_owned()));
}

/// Polls a future as often as it wakes, but no more than so many times.
async fn polled<T>(mut future: BoxFuture<'_, T>, times: usize) -> Option<T> {
    let mut left = times;
    poll_fn(|context| {
        if let Poll::Ready(value) = future.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        left = left.saturating_sub(1);
        if left == 0 { Poll::Ready(None) } else { Poll::Pending }
    })
    .await
}

/// It counts as not spent, but some or all of it may be in the transaction.
#[tokio::test]
async fn after_a_step_that_was_dropped_half_way_there_is_only_a_rollback() {
    let world = World::new().await;
    let before = root(&world.store, &world.account).await;
    let mut host = world.host().await;
    for times in 1.. {
        let mut transaction = world.begin(&mut host).await;
        // That this is the store's database is asked here, and not on the way.
        transaction.load(&world.account, &[]).await.unwrap();
        if polled(transaction.apply(batch(&world.account, before)), times).await.is_some() {
            transaction.commit().await.unwrap();
            break;
        }
        let again = transaction.apply(batch(&world.account, before)).await;
        assert_eq!(outcome(again), Outcome::Rejected(FaultKind::HostTransaction), "{times}");
        assert_eq!(load_fault(transaction.load(&world.account, &[]).await).0, FaultKind::HostTransaction, "{times}");
        if times % 2 == 0 {
            transaction.roll_back().await;
        } else {
            order(&mut transaction).await.unwrap();
            assert_eq!(outcome(transaction.commit().await), Outcome::Rejected(FaultKind::HostTransaction), "{times}");
        }
        assert_eq!((root(&world.store, &world.account).await, &*world.orders()), (before, "0"), "{times}");
    }
    assert_ne!(root(&world.store, &world.account).await, before);
    // Of one that waited for a lock, the whole batch is in the transaction later.
    let before = root(&world.store, &world.account).await;
    for end in ["", "ROLLBACK", "COMMIT"] {
        let mut holder = world.host().await;
        sqlx::raw_sql("BEGIN; SELECT FROM keywright.roots FOR UPDATE").execute(&mut holder).await.unwrap();
        let mut transaction = world.begin(&mut host).await;
        let mut applying = transaction.apply(batch(&world.account, before));
        poll_fn(|context| {
            assert!(applying.as_mut().poll(context).is_pending(), "the root is locked");
            context.waker().wake_by_ref();
            match &*world.cluster.sql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") {
                "0" => Poll::Pending,
                _ => Poll::Ready(()),
            }
        })
        .await;
        drop(applying);
        sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
        sqlx::raw_sql(end).execute(&mut *transaction).await.unwrap();
        let refused = outcome(transaction.commit().await);
        let certain = root(&world.store, &world.account).await == before;
        assert_eq!(certain, end != "COMMIT");
        // A host that ends the transaction by itself is told that nobody knows.
        let right = if end.is_empty() { Outcome::Rejected } else { Outcome::Unknown };
        assert_eq!(refused, right(FaultKind::HostTransaction), "{end}");
    }
}

#[tokio::test]
async fn a_hosts_own_savepoints_are_no_matter() {
    let world = World::new().await;
    let after = "SAVEPOINT mine; INSERT INTO orders VALUES ('a pen'); ROLLBACK TO SAVEPOINT mine; SAVEPOINT yours; \
                 INSERT INTO orders VALUES ('an ink'); RELEASE SAVEPOINT yours";
    let granted = world.grant_beside("SAVEPOINT earlier", after).await.unwrap();
    assert_eq!(granted, HostOutcome::Committed(Some("a book")));
    assert_eq!(world.state().await, (true, "2".to_owned()));
}

#[tokio::test]
async fn a_commit_that_fails_grants_nothing() {
    let world = World::new().await;
    let fail = |what: &str| {
        format!(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {what}; RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON orders
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fail()"
        )
    };
    world.cluster.sql("postgres", &fail("RAISE 'no'"));
    let refused = world.grant_beside("", "").await;
    assert!(matches!(refused, Err(GrantError::NotSpent(WithinError::Failed(_)))), "{refused:?}");
    world.cluster.sql("postgres", "DROP TRIGGER fail ON orders; DROP FUNCTION fail");
    world.cluster.sql("postgres", &fail("PERFORM pg_terminate_backend(pg_backend_pid())"));
    let lost = world.grant_beside("", "").await;
    assert!(matches!(lost, Err(GrantError::Unknown(_))), "{lost:?}");
    assert_eq!(world.state().await, (false, "0".to_owned()));
}

/// Otherwise the answer comes before the flush, and a server that loses its power forgets what was spent.
#[tokio::test]
async fn a_host_cannot_have_its_commit_answered_before_it_is_on_the_disk() {
    let world = World::new().await;
    world.cluster.sql(
        "postgres",
        "CREATE TABLE seen (setting text);
         CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER look AFTER INSERT ON orders
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION look()",
    );
    for (setting, at_commit) in [
        ("SET LOCAL synchronous_commit = off", "on"),
        ("SET synchronous_commit = off", "on"),
        ("SAVEPOINT mine; SET LOCAL synchronous_commit = off", "on"),
        ("CREATE SCHEMA evil; SET LOCAL search_path = evil; SET LOCAL synchronous_commit = off", "on"),
        // These wait for the disk, and are the host's to choose.
        ("SET LOCAL synchronous_commit = local", "local"),
        ("", "on"),
    ] {
        world.give().await;
        let granted = world.grant_beside("", setting).await.unwrap();
        assert_eq!(granted, HostOutcome::Committed(Some("a book")), "{setting}");
        let seen = world.cluster.sql("postgres", "DELETE FROM seen RETURNING setting");
        assert_eq!(seen.lines().next(), Some(at_commit), "{setting}");
    }
}

/// Two steps in one transaction are both in what is committed.
#[tokio::test]
async fn two_steps_are_committed_together_or_refused_together() {
    let world = World::new().await;
    for undone in [true, false] {
        let mut host = world.host().await;
        let mut transaction = world.begin(&mut host).await;
        let first = world.spend(&mut transaction).await.unwrap();
        sqlx::raw_sql("SAVEPOINT mine").execute(&mut *transaction).await.unwrap();
        let other = |draft: &mut Draft<'_>| {
            draft.put(OTHER, &Voucher { spent: true })?;
            Ok(draft.tentative("a pen"))
        };
        let second = world.driver.within_async(&mut transaction, &world.account, &[], other).await.unwrap();
        if undone {
            sqlx::raw_sql("ROLLBACK TO SAVEPOINT mine").execute(&mut *transaction).await.unwrap();
            assert!(transaction.commit().await.is_err(), "the second one is not in it");
            assert_eq!(world.state().await, (false, "0".to_owned()));
            continue;
        }
        transaction.commit().await.unwrap();
        assert_eq!((first.after_commit(), second.after_commit()), (Some("a book"), "a pen"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_transactions_that_spend_one_voucher_one_does() {
    let world = Arc::new(World::new().await);
    let mut first = world.host().await;
    let mut one = world.begin(&mut first).await;
    let spent = world.spend(&mut one).await.unwrap();
    let racing = tokio::spawn({
        let world = Arc::clone(&world);
        async move {
            let mut second = world.host().await;
            let mut other = world.begin(&mut second).await;
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
    let mut transaction = begin_as(&world, &mut host, "BEGIN ISOLATION LEVEL REPEATABLE READ").await;
    sqlx::raw_sql("SELECT count(*) FROM orders").execute(&mut *transaction).await.unwrap();
    world.give().await;
    assert!(matches!(world.spend(&mut transaction).await, Err(WithinError::Conflict)));
    transaction.roll_back().await;
    let mut transaction = begin_as(&world, &mut host, "BEGIN ISOLATION LEVEL SERIALIZABLE").await;
    let spent = world.spend(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(spent.after_commit(), Some("a book"));
}

#[tokio::test]
async fn another_database_or_a_transaction_inside_another_is_refused() {
    let world = World::new().await;
    world.cluster.sql("postgres", "CREATE DATABASE elsewhere");
    drop(PostgresStore::open(&world.cluster.url("elsewhere")).await.unwrap());
    world.cluster.sql("postgres", "CREATE DATABASE empty");
    let nothing = |draft: &mut Draft<'_>| Ok(draft.tentative(()));
    for database in ["elsewhere", "empty"] {
        let mut host = PgConnection::connect(&world.cluster.url(database)).await.unwrap();
        let mut transaction = world.begin(&mut host).await;
        let spent = world.driver.within_async(&mut transaction, &world.account, &[], nothing).await;
        assert!(format!("{:?}", spent.map(|_| ())).contains("OtherDatabase"), "{database}");
    }
    let mut host = world.host().await;
    let mut outer = host.begin().await.unwrap();
    let inner = PostgresTransaction::begin(&world.store, &mut outer).await;
    assert!(inner.is_err(), "its commit would commit nothing");
}

/// What a check has found stays so until the host's transaction ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_holds_the_root() {
    let world = World::new().await;
    let before = root(&world.store, &world.account).await;
    let mut host = world.host().await;
    let mut ours = world.begin(&mut host).await;
    ours.apply(Batch::check(world.account.clone(), before)).await.unwrap();
    assert!(ours.apply(Batch::check(world.account.clone(), None)).await.is_err());
    let waiting = tokio::spawn({
        let (store, batch) = (Arc::clone(&world.store), batch(&world.account, before));
        async move { store.commit(batch).await }
    });
    while world.cluster.sql("postgres", "SELECT count(*) FROM pg_locks WHERE NOT granted") == "0" {}
    assert!(!waiting.is_finished());
    ours.commit().await.unwrap();
    assert_eq!(outcome(waiting.await.unwrap()), Outcome::Done);
    commit(&world.store, &world.account).await.unwrap();
}
