//! What an operation reads from the store.

use std::sync::Arc;

use keywright_confirm::{ConfirmPolicy, Confirmation, Confirmations, SendOutcome, WaitOutcome};
use keywright_core::{AccountId, Client, Keyring, ManualClock, SessionId, SystemEntropy, UnixSeconds};
use keywright_store::{Driver, MemoryStore};
use keywright_store_conformance::FaultStore;

use crate::support::{DELETE, Delete, START, wrong};

/// Every operation passes all its slots to the driver: there is one load, whatever the outcome.
#[tokio::test]
async fn every_act_loads_once() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(START).unwrap()));
    let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
    let driver = Driver::builder(store.clone(), keyring).clock(clock.clone());
    let driver = driver.slots(keywright_confirm::SLOT_KINDS).build().unwrap();
    let account = &AccountId::new("user-1").unwrap();
    driver.ensure_account(account).await.unwrap();
    let confirmations = Confirmations::new(driver, ConfirmPolicy::default());
    store.note_loads();
    let once = |act: &str| {
        let loads = store.noted_loads();
        assert_eq!(loads.len(), 1, "{act}: {loads:?}");
        store.note_loads();
    };

    let code = confirmations.begin_code(account, &DELETE, SessionId::new("s")).await.unwrap();
    once("a typed code");
    let denied = confirmations.confirm_code(account, DELETE, SessionId::new("s"), &wrong(code.expose())).await.unwrap();
    assert!(matches!(denied, Confirmation::Denied(_)));
    once("a wrong one");
    let granted = confirmations.confirm_code(account, DELETE, SessionId::new("s"), code.expose()).await.unwrap();
    assert!(matches!(granted, Confirmation::Granted(_)));
    once("the right one");

    let asked = confirmations.begin_mailed(account, &DELETE, SessionId::new("s")).await.unwrap();
    once("a mailed code");
    let SendOutcome::Send(code) = asked else { panic!("no mail") };
    let none = confirmations.begin_mailed(account, &DELETE, SessionId::new("s")).await.unwrap();
    assert!(matches!(none, SendOutcome::NotYet { .. }));
    once("another too soon");
    clock.advance(60);
    assert!(confirmations.resend::<Delete>(account, Some(SessionId::new("s"))).await.unwrap().is_some());
    once("the same again");
    let denied = confirmations
        .confirm_mailed(account, DELETE, SessionId::new("s"), &wrong(code.expose()), Client::unknown())
        .await
        .unwrap();
    assert!(!matches!(denied, Confirmation::Granted(_)));
    once("a wrong mailed code");

    assert!(matches!(
        confirmations.confirm_wait(account, DELETE, SessionId::new("s")).await.unwrap(),
        WaitOutcome::Begun(_)
    ));
    once("a wait");
    let wait = confirmations.begin_wait(account, &DELETE, SessionId::new("s")).await.unwrap();
    once("a wait begun");
    assert!(confirmations.cancel(account, wait.cancel_token()).await.unwrap());
    once("a wait cancelled");
}
