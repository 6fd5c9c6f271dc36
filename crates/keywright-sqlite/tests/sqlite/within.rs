//! Spending inside a host's own transaction on the same file.

use std::path::Path;
use std::sync::Arc;

use futures_lite::future::block_on;
use keywright_core::{
    Admission, Door, EventKind, GuessLedger, Keyring, LedgerPolicy, ManualClock, Strength, SystemEntropy, UnixSeconds,
};
use keywright_sqlite::rusqlite::{Connection, TransactionBehavior};
use keywright_sqlite::{FaultKind, Spent, SqliteStore, WithinContext, WithinError, within};
use keywright_store::{Draft, Driver, Partition, Record, RecordStore, Slot, StepError};
use serde::{Deserialize, Serialize};

use crate::records::account;

#[derive(Serialize, Deserialize)]
struct Voucher {
    spent: bool,
}

impl Record for Voucher {
    const SCHEMA: u16 = 1;
}

const VOUCHER: Slot = Slot::Host([3; 16]);

struct Site {
    directory: tempfile::TempDir,
    store: Arc<SqliteStore>,
    keyring: Arc<Keyring>,
    driver: Driver,
    account: Partition,
}

fn now() -> UnixSeconds {
    UnixSeconds::new(1_700_000_000).unwrap()
}

impl Site {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
        let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
        let clock = Arc::new(ManualClock::new(now()));
        let driver = Driver::new(store.clone(), Arc::clone(&keyring), Arc::new(SystemEntropy), clock);
        let site = Self { directory, store, keyring, driver, account: account(1) };
        let made = site.driver.transact(&site.account, &[VOUCHER], |draft| {
            draft.create_account()?;
            draft.put(VOUCHER, &Voucher { spent: false }, None)
        });
        block_on(made).unwrap();
        site.host().execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)").unwrap();
        site
    }

    fn path(&self) -> &Path {
        self.store.path().unwrap()
    }

    fn host(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn spend(&self, tx: &keywright_sqlite::rusqlite::Transaction<'_>) -> Result<Spent<bool>, WithinError> {
        // The slot is not named: the step asks for it, and is run again.
        within(tx, &WithinContext::new(&self.keyring, &SystemEntropy, now()), &self.account, &[], spend)
    }

    fn is_spent(&self) -> bool {
        let read = self.driver.transact(&self.account, &[VOUCHER], |draft| draft.read::<Voucher>(VOUCHER));
        block_on(read).unwrap().0.unwrap().spent
    }

    fn orders(&self) -> i64 {
        self.host().query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap()
    }
}

fn spend(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    match draft.read::<Voucher>(VOUCHER)? {
        Some(Voucher { spent: false }) => {
            draft.put(VOUCHER, &Voucher { spent: true }, None)?;
            draft.event(EventKind::AppTokenEnded);
            Ok(true)
        }
        _ => Ok(false),
    }
}

#[test]
fn spent_with_the_hosts_commit_and_only_once() {
    let site = Site::new();
    let mut host = site.host();
    for first in [true, false] {
        let tx = host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        tx.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
        let spent = site.spend(&tx).unwrap();
        assert_eq!(format!("{spent:?}"), "Spent(..)");
        assert_eq!(site.is_spent(), !first, "nobody else sees it before the commit");
        tx.commit().unwrap();
        assert_eq!(spent.after_commit(), first);
        assert!(site.is_spent());
    }
    assert_eq!(site.orders(), 2);
}

#[test]
fn rolled_back_with_the_host() {
    let site = Site::new();
    let mut host = site.host();
    let tx = host.transaction().unwrap();
    tx.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
    drop(site.spend(&tx).unwrap());
    tx.rollback().unwrap();
    assert!(!site.is_spent());
    assert_eq!(site.orders(), 0);
    assert_eq!(block_on(site.store.events(&site.account, None, 9)).unwrap().len(), 1);
}

#[test]
fn a_failed_batch_leaves_nothing_in_the_hosts_transaction() {
    let site = Site::new();
    let mut host = site.host();
    // Events are written last: the records are in the transaction already when this fails.
    host.execute_batch(
        "CREATE TEMP TRIGGER spoil BEFORE INSERT ON main.keywright_events BEGIN SELECT RAISE(ABORT, 'no'); END;",
    )
    .unwrap();
    let tx = host.transaction().unwrap();
    tx.execute("INSERT INTO orders DEFAULT VALUES", []).unwrap();
    assert!(matches!(site.spend(&tx), Err(WithinError::Fault(fault)) if fault.kind() == FaultKind::Other));
    tx.commit().unwrap();
    assert_eq!(site.orders(), 1);
    assert!(!site.is_spent());
}

#[test]
fn a_denial_of_ours_survives_the_hosts_rollback() {
    let site = Site::new();
    let policy = LedgerPolicy::default();
    let mut host = site.host();
    let tx = host.transaction().unwrap();
    let before: i64 = tx.query_row("SELECT count(*) FROM orders", [], |row| row.get(0)).unwrap();
    assert_eq!(before, 0);
    // The host's transaction is open and has read. The guess is checked in a commit of our own.
    let denied = site.driver.transact(&site.account, &[Slot::Ledger], |draft| {
        let mut ledger = draft.read::<GuessLedger>(Slot::Ledger)?.unwrap_or_default();
        let Admission::Open(lane) = ledger.admit(&policy, Door::Challenge, Strength::Guessable, None, draft.now())
        else {
            return Ok(false);
        };
        let _ = ledger.charge(&policy, &lane, draft.now());
        draft.put(Slot::Ledger, &ledger, None)?;
        Ok(true)
    });
    assert!(block_on(denied).unwrap().0);
    tx.rollback().unwrap();
    let charged = site.driver.transact(&site.account, &[Slot::Ledger], |draft| draft.read::<GuessLedger>(Slot::Ledger));
    assert_ne!(block_on(charged).unwrap().0.unwrap(), GuessLedger::default());
}

#[test]
fn guesses_other_files_and_stale_snapshots_are_refused() {
    let site = Site::new();
    let context = WithinContext::new(&site.keyring, &SystemEntropy, now());
    let mut host = site.host();
    let tx = host.transaction().unwrap();
    let guess = within(&tx, &context, &site.account, &[Slot::Ledger], |draft| {
        draft.read::<GuessLedger>(Slot::Ledger).map(|_| ())
    });
    assert!(matches!(guess, Err(WithinError::Step(StepError::GuessInHostTransaction))));
    // Our own commit comes between this transaction's first read and its first write.
    block_on(site.driver.transact(&site.account, &[], |draft| {
        draft.event(EventKind::SessionOpened);
        Ok(())
    }))
    .unwrap();
    assert!(matches!(site.spend(&tx), Err(WithinError::Fault(fault)) if fault.kind() == FaultKind::Locked));
    drop(tx);
    assert!(!site.is_spent());

    let mut other = Connection::open(site.directory.path().join("other.db")).unwrap();
    let tx = other.transaction().unwrap();
    assert!(matches!(site.spend(&tx), Err(WithinError::OtherFile)));
}
