//! Damage that is found inside a host's own transaction is reported like any other.

use std::sync::Arc;

use futures_lite::future::block_on;
use keywright_core::{Keyring, SystemEntropy};
use keywright_sqlite::rusqlite::{Connection, TransactionBehavior};
use keywright_sqlite::{SqliteStore, SqliteTransaction};
use keywright_store::{
    Damage, Draft, Driver, LoadError, Record, Slot, SlotName, StepError, TransactError, WithinError,
};
use keywright_testing::Heard;
use serde::{Deserialize, Serialize};

use crate::records::account;

#[derive(Serialize, Deserialize)]
struct Voucher {
    spent: bool,
}

impl Record for Voucher {
    const SCHEMA: u16 = 1;
}

const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
const SLOTS: &[SlotName] = &[VOUCHER.name()];

fn spend(draft: &mut Draft<'_>) -> Result<(), StepError> {
    draft.read(VOUCHER)?;
    draft.put(VOUCHER, &Voucher { spent: true })
}

#[test]
fn damage_in_a_hosts_transaction_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
    let heard = Heard::new();
    let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
    let driver = Driver::builder(store.clone(), keyring).observer(heard.clone()).build().unwrap();
    let owner = account(1);
    let made = driver.transact(&owner, SLOTS, |draft| {
        draft.create_account()?;
        draft.put(VOUCHER, &Voucher { spent: false })
    });
    block_on(made).unwrap();
    let path = store.path().unwrap();
    let within = |sql: &str, step: fn(&mut Draft<'_>) -> Result<(), StepError>| {
        let mut host = Connection::open(path).unwrap();
        let tx = host.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        tx.execute_batch(sql).unwrap();
        // Dropped, and with it what was done to the rows.
        driver.within(&mut SqliteTransaction::new(&store, &tx), &owner, &[], step).map(|_| ())
    };

    within("", spend).unwrap();
    let misuse = within("", |_| Err(StepError::Misuse("made to fail"))).unwrap_err();
    assert!(matches!(misuse, WithinError::Step(StepError::Misuse(_))), "{misuse:?}");
    assert_eq!(heard.take_damage(), [], "no damage");

    let dropped = within("DELETE FROM keywright_records", spend).unwrap_err();
    assert!(matches!(dropped, WithinError::Step(StepError::Damaged(Damage::Record(_)))), "{dropped:?}");
    let altered = within("UPDATE keywright_records SET body = zeroblob(99)", spend).unwrap_err();
    assert!(matches!(altered, WithinError::Step(StepError::Open(_))), "{altered:?}");
    let orphans = within("DELETE FROM keywright_roots", spend).unwrap_err();
    assert!(matches!(orphans, WithinError::Step(StepError::Damaged(Damage::Orphans))), "{orphans:?}");
    let malformed = within("UPDATE keywright_roots SET revision = x'01'", spend).unwrap_err();
    assert!(matches!(malformed, WithinError::Load(LoadError::Corrupt(_))), "{malformed:?}");
    let told = heard.take_damage();
    assert_eq!(told.len(), 4, "each once: {told:?}");
    assert!(told.iter().all(|(partition, _)| *partition == owner), "{told:?}");

    // As outside of a transaction.
    Connection::open(path).unwrap().execute_batch("DELETE FROM keywright_records").unwrap();
    let read = block_on(driver.transact(&owner, SLOTS, |draft| draft.read(VOUCHER).map(drop)));
    assert!(matches!(read, Err(TransactError::Step(StepError::Damaged(Damage::Record(_))))), "{read:?}");
    assert_eq!(heard.take_damage(), told.get(..1).unwrap());
}
