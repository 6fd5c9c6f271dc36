//! A vault whose rows are not those that its head vouches for: denied, told, and never shown shorter.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use keywright_core::{AccountId, SecurityEvent};
use keywright_rekey::{Acceptance, Unreadable, id_text};
use keywright_store::{MemoryStore, Observer, Partition, StepError};
use serde_json::json;

use super::change_crash::DyingStore;
use super::support::{World, alice, policy};
use super::vaults::{id, with_address, with_password};

/// What the driver's observer was told.
#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Partition>>);

impl Observer for Heard {
    fn event(&self, _: &AccountId, _: &SecurityEvent) {}
    fn damage(&self, partition: &Partition, _: &StepError) {
        self.0.lock().unwrap().push(partition.clone());
    }
}

#[tokio::test]
async fn a_row_that_was_deleted_denies_every_access_until_an_operator_accepts_it() {
    let store = DyingStore::new(Arc::new(MemoryStore::new()), i64::MAX);
    let heard = Arc::new(Heard::default());
    let world = World::observed(store.clone(), policy(), Arc::clone(&heard) as _).await;
    let user = world.settle(&alice()).await;
    world.fill(&user, &alice(), 3).await;
    let client = world.client_of(&alice()).await;
    client.sync().await.ok();
    let password = world.password_body(&user, &alice(), &with_password(&alice(), "new")).await;
    let address = world.address_body(&user, &alice(), &with_address(&alice(), "a.new@example.com")).await;
    let cipher = format!("/api/cipher/{}", id_text(id(2)));
    store.loses_a_row.store(true, Ordering::SeqCst);
    let failed = json!({"error": "LP-Database-Error", "status": 500});
    for answer in [
        client.sync().await,
        client.get("/api/cipher/sync?lastSync=0").send().await,
        client.get("/api/cipher").send().await,
        client.get(&cipher).send().await,
        client.request("DELETE", &cipher).send().await,
        client.change_password(&password).await,
        client.change_address(&address).await,
    ] {
        answer.is(500, failed.clone());
    }
    assert_eq!(world.count_events(&user, "vault_damaged").await, 1, "told once an hour");
    assert!(heard.0.lock().unwrap().contains(&Partition::account(user.account())));
    // Nothing else of the account is denied.
    assert!(client.is_in().await);
    world.log_in(&alice()).await.ok();
    store.loses_a_row.store(false, Ordering::SeqCst);
    assert_eq!(client.sync().await.ok()["ids"].as_array().unwrap().len(), 3);
    assert!(matches!(
        world.vaults().accept_damaged(user.account(), Unreadable::Report).await.unwrap(),
        Acceptance::Undamaged
    ));
}
