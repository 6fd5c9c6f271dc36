//! A password that is reset by a ticket: the shop's row and the spent ticket change together, or neither does.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use deadpool_postgres::{Client, Pool};
use keywright::core::{EventKind, Severity};
use keywright::store::{
    AsyncHostTransaction, Batch, BoxFuture, CommitError, Draft, GrantError, Partition, Record, RecordStore, Revision,
    Slot, StepError, Tentative, WithinError, Write,
};
use keywright::{AccountId, Keyring, Keywright, NoVault, SystemEntropy};
use keywright_testing::postgres::Cluster;
use own_tables::{Fault, SCHEMA, ShopStore, ShopTransaction};
use serde::{Deserialize, Serialize};

/// Lets its owner set a new password, once.
#[derive(Serialize, Deserialize)]
struct Ticket {
    is_open: bool,
}

impl Record for Ticket {
    const SCHEMA: u16 = 1;
}

const TICKET: Slot<Ticket> = Slot::lasting("shop-reset");

static PASSWORD_RESET: EventKind = EventKind::change("shop_password_reset", Severity::Notice, "the password was reset");

struct World {
    cluster: Cluster,
    store: ShopStore,
    keywright: Keywright,
    account: AccountId,
    user: i64,
}

impl World {
    async fn new() -> Self {
        let cluster = Cluster::new();
        cluster.sql("postgres", SCHEMA);
        let user = cluster.sql("postgres", "INSERT INTO shop.users (email) VALUES ('a@shop.example') RETURNING id");
        let config = cluster.url("postgres").parse().unwrap();
        let store = ShopStore::open(config, 8).await.unwrap();
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        let builder = Keywright::builder(NoVault(store.clone())).keyring(keyring).slots(&[TICKET.kind()]);
        let keywright = builder.open().await.unwrap();
        let account = AccountId::new(&*user).unwrap();
        keywright.ensure_account(&account).await.unwrap();
        let world = Self { cluster, store, keywright, account, user: user.parse().unwrap() };
        let issue = |draft: &mut Draft<'_>| draft.put(TICKET, &Ticket { is_open: true });
        let partition = Partition::account(&world.account);
        world.keywright.driver().transact(&partition, &[TICKET.name()], issue).await.unwrap();
        world
    }

    /// A connection that the store knows nothing of.
    async fn client(&self) -> Client {
        let config = self.cluster.url("postgres").parse().unwrap();
        let manager = deadpool_postgres::Manager::new(config, tokio_postgres::NoTls);
        Pool::builder(manager).max_size(1).build().unwrap().get().await.unwrap()
    }

    /// Spends the ticket, ends all sessions, and runs these statements of the shop's with it.
    async fn reset(&self, statements: &str) -> Result<Option<&'static str>, GrantError<Fault>> {
        let spend = |draft: &mut Draft<'_>| -> Result<Option<Tentative<&'static str>>, StepError> {
            let Some(Ticket { is_open: true }) = draft.read(TICKET)? else { return Ok(None) };
            draft.put(TICKET, &Ticket { is_open: false })?;
            draft.move_credential_epoch()?; // ends all sessions
            draft.event(&PASSWORD_RESET);
            Ok(Some(draft.tentative("changed")))
        };
        let partition = Partition::account(&self.account);
        // The slot is not named: the step asks for it, and is run again.
        self.store
            .grant_with(self.keywright.driver(), &partition, &[], spend, async |transaction| {
                // Longer with every change, so that changes can be counted.
                let sql =
                    "UPDATE shop.users SET password_hash = concat(password_hash, '#'), password_changed_at = now()
                    WHERE id = $1";
                transaction.execute(sql, &[&self.user]).await?;
                // The shop passes over the error of what follows.
                let _ = transaction.batch_execute(statements).await;
                Ok(())
            })
            .await
    }

    /// How often the password was changed, and whether the ticket is open.
    async fn state(&self) -> (String, bool) {
        let changes = self.cluster.sql("postgres", "SELECT coalesce(length(password_hash), 0) FROM shop.users");
        let partition = Partition::account(&self.account);
        let is_open = |draft: &mut Draft<'_>| Ok(draft.read(TICKET)?.is_some_and(|ticket| ticket.is_open));
        let is_open = self.keywright.driver().observe(&partition, &[TICKET.name()], is_open).await.unwrap();
        (changes, is_open)
    }
}

#[tokio::test]
async fn a_password_changes_with_its_ticket_once() {
    let world = World::new().await;
    assert_eq!(world.reset("").await.unwrap(), Some("changed"));
    assert_eq!(world.reset("").await.unwrap(), None);
    assert_eq!(world.state().await, ("1".to_owned(), false));
}

#[tokio::test]
async fn a_change_that_fails_spends_nothing_even_if_the_shop_passes_over_it() {
    let world = World::new().await;
    let failed = world.reset("SELECT 1 / 0").await;
    assert!(matches!(failed, Err(GrantError::NotSpent(WithinError::Failed(_)))), "{failed:?}");
    // The transaction is another one, or none. What was spent is not in it.
    for ended in ["ROLLBACK", "ROLLBACK; BEGIN"] {
        let failed = world.reset(ended).await;
        assert!(matches!(failed, Err(GrantError::Unknown(_))), "{ended}: {failed:?}");
    }
    assert_eq!(world.state().await, ("0".to_owned(), true));
    assert_eq!(world.reset("").await.unwrap(), Some("changed"));
}

/// The commit of a transaction inside another one commits nothing. By its type, `ShopTransaction` is in none that
/// `tokio-postgres` knows of, and here it asks about any other.
#[tokio::test]
async fn a_transaction_that_the_shop_has_begun_is_not_taken_over() {
    let world = World::new().await;
    let mut client = world.client().await;
    for before in ["BEGIN", "BEGIN; SAVEPOINT mine; UPDATE shop.users SET email = 'b@shop.example'"] {
        client.batch_execute(before).await.unwrap();
        let refused = ShopTransaction::begin(&mut client).await;
        assert!(matches!(refused, Err(Fault::Failed(_))), "{before}: {refused:?}");
        drop(refused);
        // It is still there, and the shop's to end.
        client.batch_execute("SAVEPOINT theirs").await.unwrap();
        client.batch_execute("ROLLBACK").await.unwrap();
        let transaction = ShopTransaction::begin(&mut client).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

/// Some or all of it may be in the transaction.
#[tokio::test]
async fn after_a_step_that_was_dropped_half_way_there_is_only_a_rollback() {
    let world = World::new().await;
    let partition = Partition::account(&world.account);
    let root = async || world.store.load(&partition, &[]).await.unwrap().root.map(|root| root.revision);
    let before = root().await;
    let mut client = world.client().await;
    let batch = || {
        let write = Write::root(Revision::draw().unwrap(), "root".into());
        Batch::new(partition.clone(), before, write).unwrap()
    };
    // It waits for a lock, and later the whole batch is in the transaction.
    let mut transaction = ShopTransaction::begin(&mut client).await.unwrap();
    let holder = world.client().await;
    holder.batch_execute("BEGIN; SELECT FROM shop.account_security_roots FOR UPDATE").await.unwrap();
    let mut applying = transaction.apply(batch());
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
    holder.batch_execute("ROLLBACK").await.unwrap();
    assert!(matches!(transaction.commit().await, Err(CommitError::Rejected(_))));
    // Wherever it is dropped.
    for times in 1.. {
        let mut transaction = ShopTransaction::begin(&mut client).await.unwrap();
        if polled(transaction.apply(batch()), times).await.is_some() {
            transaction.commit().await.unwrap();
            break;
        }
        assert!(transaction.load(&partition, &[]).await.is_err(), "{times}");
        assert!(matches!(transaction.apply(batch()).await, Err(CommitError::Rejected(_))), "{times}");
        assert!(matches!(transaction.commit().await, Err(CommitError::Rejected(_))), "{times}");
        assert_eq!(root().await, before, "{times}");
    }
    assert_ne!(root().await, before);
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

/// Otherwise the answer comes before the flush, and a server that loses its power forgets what was spent.
#[tokio::test]
async fn the_shop_cannot_have_its_commit_answered_before_it_is_on_the_disk() {
    let world = World::new().await;
    world.cluster.sql(
        "postgres",
        "CREATE TABLE shop.seen (setting text);
         CREATE FUNCTION shop.look() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN INSERT INTO shop.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER look AFTER UPDATE ON shop.users
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.look()",
    );
    assert_eq!(world.reset("SET LOCAL synchronous_commit = off").await.unwrap(), Some("changed"));
    assert_eq!(world.cluster.sql("postgres", "SELECT setting FROM shop.seen"), "on");
}

#[tokio::test]
async fn a_commit_that_fails_grants_nothing() {
    let world = World::new().await;
    world.cluster.sql(
        "postgres",
        "CREATE FUNCTION shop.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
         CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON shop.users
             DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.fail()",
    );
    assert!(matches!(world.reset("").await, Err(GrantError::Unknown(_))));
    assert_eq!(world.state().await, ("0".to_owned(), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_racing_resets_one_changes_the_password() {
    let world = Arc::new(World::new().await);
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.reset("").await })
        })
        .collect();
    let mut granted = 0;
    for racer in racers {
        granted += usize::from(matches!(racer.await.unwrap(), Ok(Some(_))));
    }
    assert_eq!(granted, 1);
    assert_eq!(world.state().await, ("1".to_owned(), false));
}
