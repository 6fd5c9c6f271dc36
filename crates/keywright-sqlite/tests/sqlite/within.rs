//! Spending inside a host's own transaction on the same file.

use std::error::Error;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use futures_lite::future::block_on;
use keywright_core::{Attempt, Client, EventKind, Generation, SecretKind, Severity};
use keywright_sqlite::rusqlite::{Connection, Transaction, TransactionBehavior};
use keywright_sqlite::{Fault, FaultKind, SqliteStore, SqliteTransaction};
use keywright_store::guess::{self, AttemptOutcome, Comparison};
use keywright_store::{
    Batch, CommitError, Draft, HostTransaction, Partition, Record, RecordStore, Slot, SlotName, Spent, StepError,
    WithinError,
};
use serde::{Deserialize, Serialize};

use crate::records::{NOTE, account, number, numbered, rejected};

#[derive(Serialize, Deserialize)]
struct Voucher {
    spent: bool,
}

impl Record for Voucher {
    const SCHEMA: u16 = 1;
}

const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
const SLOTS: &[SlotName] = &[VOUCHER.name()];
const LEDGER: &[SlotName] = &[guess::LEDGER.name()];
static VOUCHER_SPENT: EventKind = EventKind::change("voucher_spent", Severity::Notice, "a voucher was spent");
const SECRET: SecretKind = SecretKind::new("voucher");

struct World {
    base: keywright_testing::World,
    directory: tempfile::TempDir,
    store: Arc<SqliteStore>,
    account: Partition,
}

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.base
    }
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
        let base = keywright_testing::World::builder().store(store.clone()).open();
        let world = Self { account: base.partition(), base, directory, store };
        let made = world.driver.transact(&world.account, SLOTS, |draft| {
            draft.create_account()?;
            draft.put(VOUCHER, &Voucher { spent: false })
        });
        block_on(made).unwrap();
        world.host().execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
        world
    }

    fn path(&self) -> &Path {
        self.store.path().unwrap()
    }

    fn host(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn spend(&self, tx: &Transaction<'_>) -> Result<Spent<bool>, WithinError> {
        // The slot is not named: the step asks for it, and is run again.
        self.driver.within(&mut SqliteTransaction::new(&self.store, tx), &self.account, &[], spend)
    }

    fn is_spent(&self) -> bool {
        let read = self.driver.transact(&self.account, SLOTS, |draft| draft.read(VOUCHER));
        block_on(read).unwrap().unwrap().spent
    }

    fn orders(&self) -> i64 {
        self.host().query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap()
    }

    fn events(&self) -> usize {
        block_on(self.driver.recent_events(&self.account.as_account().unwrap(), 10)).unwrap().len()
    }
}

fn spend(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    match draft.read(VOUCHER)? {
        Some(Voucher { spent: false }) => {
            draft.put(VOUCHER, &Voucher { spent: true })?;
            draft.event(&VOUCHER_SPENT);
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// The fault at the end of an error's chain of sources.
fn fault(error: &dyn Error) -> FaultKind {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.kind();
        }
        source = error.source();
    }
    panic!("{error:?} has no fault in it");
}

#[test]
fn spent_with_the_hosts_commit_and_only_once() {
    let world = World::new();
    let mut host = world.host();
    for first in [true, false] {
        let tx = host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        tx.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
        let spent = world.spend(&tx).unwrap();
        assert_eq!(world.is_spent(), !first, "nobody else sees it before the commit");
        tx.commit().unwrap();
        assert_eq!(spent.after_commit(), first);
        assert!(world.is_spent());
    }
    assert_eq!(world.orders(), 2);
}

#[test]
fn rolled_back_with_the_host() {
    let world = World::new();
    let mut host = world.host();
    let tx = host.transaction().unwrap();
    tx.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
    drop(world.spend(&tx).unwrap());
    tx.rollback().unwrap();
    assert!(!world.is_spent());
    assert_eq!(world.orders(), 0);
    assert_eq!(world.events(), 1);
}

#[test]
fn a_failed_batch_leaves_nothing_in_the_hosts_transaction() {
    let world = World::new();
    let mut host = world.host();
    // Events are written last: the root and the record are in the transaction already when this fails.
    host.execute_batch(
        "CREATE TEMP TRIGGER spoil BEFORE INSERT ON main.keywright_events BEGIN SELECT RAISE(ABORT, 'no'); END;",
    )
    .unwrap();
    let tx = host.transaction().unwrap();
    tx.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
    assert!(matches!(world.spend(&tx), Err(WithinError::Failed(_))));
    tx.commit().unwrap();
    assert_eq!(world.orders(), 1);
    assert!(!world.is_spent());
    assert_eq!(world.events(), 1);
}

#[test]
fn a_denial_of_ours_survives_the_hosts_rollback() {
    let world = World::new();
    let mut host = world.host();
    let tx = host.transaction().unwrap();
    let before: i64 = tx.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!(before, 0);
    // The host's transaction is open and has read. The guess is checked in a commit of our own.
    let denied = world.driver.transact(&world.account, LEDGER, |draft| {
        let attempt = Attempt::new(SECRET, Generation::random(draft.entropy())?, Client::unknown());
        Ok(matches!(guess::check(draft, &attempt, |_| Ok(Comparison::<()>::Wrong))?, AttemptOutcome::Wrong(_)))
    });
    assert!(block_on(denied).unwrap());
    tx.rollback().unwrap();
    let ledger = world.driver.transact(&world.account, LEDGER, |draft| draft.read(guess::LEDGER));
    assert!(block_on(ledger).unwrap().is_some());
    assert_eq!(world.events(), 2, "the denial is told");
}

#[test]
fn guesses_and_stale_snapshots_are_refused() {
    let world = World::new();
    let mut host = world.host();
    let tx = host.transaction().unwrap();
    let guess = world.driver.within(&mut SqliteTransaction::new(&world.store, &tx), &world.account, &[], |draft| {
        draft.read(guess::LEDGER).map(|_| ())
    });
    assert!(matches!(guess, Err(WithinError::Step(StepError::GuessInHostTransaction))));
    // Our own commit comes between this transaction's first read and its first write.
    block_on(world.driver.transact(&world.account, &[], |draft| {
        draft.event(&VOUCHER_SPENT);
        Ok(())
    }))
    .unwrap();
    assert_eq!(fault(&world.spend(&tx).unwrap_err()), FaultKind::Locked);
    drop(tx);
    assert!(!world.is_spent());
}

#[test]
fn a_transaction_on_another_file_is_refused() {
    let world = World::new();
    let mut other = Connection::open(world.directory.path().join("other.db")).unwrap();
    let tx = other.transaction().unwrap();
    assert_eq!(fault(&world.spend(&tx).unwrap_err()), FaultKind::OtherFile);
    let apply = SqliteTransaction::new(&world.store, &tx).apply(numbered(&account(2), None, 1));
    assert_eq!(rejected(apply), FaultKind::OtherFile);
    // Nor is one on another store's file, though it has the same tables.
    let path = world.directory.path().join("second.db");
    let second = SqliteStore::open(&path).unwrap();
    let mut twin = Connection::open(&path).unwrap();
    let twin = twin.transaction().unwrap();
    assert_eq!(fault(&world.spend(&twin).unwrap_err()), FaultKind::OtherFile);
    assert_eq!(
        rejected(SqliteTransaction::new(&world.store, &twin).apply(numbered(&account(2), None, 1))),
        FaultKind::OtherFile
    );
    assert!(SqliteTransaction::new(&second, &twin).load(&account(2), &[NOTE]).is_ok());
    let memory = SqliteStore::open_in_memory().unwrap();
    let apply = SqliteTransaction::new(&memory, &twin).apply(numbered(&account(2), None, 1));
    assert_eq!(rejected(apply), FaultKind::OtherFile);
    assert_eq!(format!("{:?}", SqliteTransaction::new(&world.store, &tx)), "SqliteTransaction(..)");
}

/// A batch without a write locks what it has read: nobody changes it before the host's own commit.
#[test]
fn a_check_holds_until_the_hosts_commit() {
    let world = World::new();
    let mut host = world.host();
    block_on(async {
        world.store.commit(numbered(&account(2), None, 1)).await.unwrap();
        let (revision, _) = number(&*world.store, &account(2)).await.unwrap();
        let tx = host.transaction().unwrap();
        let mut ours = SqliteTransaction::new(&world.store, &tx);
        assert!(ours.load(&account(2), &[NOTE]).unwrap().root.is_some());
        ours.apply(Batch::check(account(2), Some(revision))).unwrap();
        assert!(matches!(ours.apply(Batch::check(account(2), None)), Err(CommitError::Conflict)));
        let held = world.store.commit(numbered(&account(2), Some(revision), 2)).await;
        assert_eq!(rejected(held), FaultKind::Locked);
        tx.commit().unwrap();
        world.store.commit(numbered(&account(2), Some(revision), 2)).await.unwrap();
    });
}
