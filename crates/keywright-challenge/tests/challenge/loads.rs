//! What an operation reads from the store.

use std::sync::Arc;

use keywright_challenge::{SetOutcome, Verification};
use keywright_core::{Client, ClientTag};
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;

use crate::world::{UNKNOWN, World, proof, salts, secret};

/// Every operation passes all its slots to the driver: there is one load, whatever the outcome.
#[tokio::test]
async fn every_act_loads_once() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::over(store.clone()).await;
    let (challenges, account) = (world.challenges(), &world.account);
    store.note_loads();
    let once = |act: &str| {
        let loads = store.noted_loads();
        assert_eq!(loads.len(), 1, "{act}: {loads:?}");
        store.note_loads();
    };
    assert!(challenges.get(account).await.unwrap().is_none());
    once("no challenge");
    assert!(matches!(challenges.set(account, &secret(1), &salts(1), UNKNOWN).await.unwrap(), SetOutcome::Set(_)));
    once("the first challenge");
    assert!(matches!(challenges.set(account, &secret(2), &salts(2), UNKNOWN).await.unwrap(), SetOutcome::Exists));
    once("a second one");
    assert!(challenges.get(account).await.unwrap().is_some());
    once("its salts");
    assert!(matches!(world.verify(1, UNKNOWN).await, Verification::Granted(_)));
    once("a right proof");
    for _ in 0..5 {
        assert!(matches!(world.verify(2, UNKNOWN).await, Verification::Denied(_)));
        once("a wrong proof");
    }
    assert!(matches!(world.verify(1, UNKNOWN).await, Verification::Refused(_)));
    once("a refusal");
    let tag = ClientTag::from_bytes([1; 16]);
    let admitted = challenges.admit_client(account, &proof(1), UNKNOWN, tag).await.unwrap();
    assert!(matches!(admitted, Verification::Refused(_)));
    once("an admission that is refused");
    challenges.admit_by_mail(account, [1; 16], tag).await.unwrap();
    once("a click");
    challenges.unlock(account).await.unwrap();
    once("an unlock");
    let admitted = challenges.admit_client(account, &proof(1), UNKNOWN, tag).await.unwrap();
    assert!(matches!(admitted, Verification::Granted(_)));
    once("an admission");
    let replaced =
        challenges.replace(account, &proof(1), &secret(3), &salts(3), Client::credential(tag)).await.unwrap();
    assert!(matches!(replaced, Verification::Granted(_)));
    once("another challenge");
    challenges.unlock(account).await.unwrap();
    once("the operator's unlock");
}
