//! A vault whose rows do not match the digest in its head: denied, reported, and never shown with
//! rows missing.

use keywright_rekey::{Acceptance, Unreadable, id_text};
use keywright_store::{Partition, Which};
use keywright_testing::{Heard, HookedStore, Reply};
use serde_json::json;

use super::support::{World, alice, policy};
use super::vaults::{id, with_address, with_password};

#[tokio::test]
async fn a_row_that_was_deleted_denies_every_access_until_an_operator_accepts_it() {
    let (store, heard) = (HookedStore::memory(), Heard::new());
    let world = World::observed(store.clone(), policy(), heard.clone()).await;
    let user = world.settle(&alice()).await;
    world.fill(&user, &alice(), 3).await;
    let client = world.client_of(&alice()).await;
    client.sync().await.ok();
    let password = world.password_body(&user, &alice(), &with_password(&alice(), "new")).await;
    let address = world.address_body(&user, &alice(), &with_address(&alice(), "a.new@example.com")).await;
    let cipher = format!("/api/cipher/{}", id_text(id(2)));
    // The first row of every vault is gone, as if it had been deleted in the database.
    store.after(|reply| match reply {
        Reply::Manifest(Ok(manifest)) if !manifest.rows.is_empty() => drop(manifest.rows.remove(0)),
        Reply::Read(which, Ok(read)) => {
            if matches!(which, Which::All) && !read.rows.is_empty() {
                read.rows.remove(0);
            }
            if let Some(marks) = read.marks.as_mut().filter(|marks| !marks.is_empty()) {
                marks.remove(0);
            }
        }
        _ => {}
    });
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
    assert!(heard.damage().iter().any(|(partition, _)| *partition == Partition::account(user.account())));
    // Nothing else of the account is denied.
    assert!(client.is_in().await);
    world.log_in(&alice()).await.ok();
    store.clear();
    assert_eq!(client.sync().await.ok()["ids"].as_array().unwrap().len(), 3);
    assert!(matches!(
        world.vaults().accept_damaged(user.account(), Unreadable::Report).await.unwrap(),
        Acceptance::Undamaged
    ));
}
