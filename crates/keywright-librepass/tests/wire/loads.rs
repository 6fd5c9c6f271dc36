//! The loads that requests make: every act names all its slots in one load.

use std::sync::Arc;

use keywright_store::{MemoryStore, SlotName};
use keywright_store_conformance::{Fault, FaultStore};
use serde_json::json;

use crate::support::{World, alice, code_of, policy};
use crate::vaults::{with_address, with_password};
use crate::ways_in_changes::set_up_from_home;

const SECRET: [u8; 20] = [7; 20];
const NEW: &str = "a.new@example.com";

/// An act that finds that it needs a slot which it has not named is loaded again, and that is to be seen.
fn once(store: &FaultStore<MemoryStore>, act: &str) {
    let extra = store.extra_rounds();
    assert!(extra.is_empty(), "{act}: {extra:?}");
    assert!(!store.noted_loads().is_empty(), "{act}");
    store.note_loads();
}

#[tokio::test]
async fn every_act_names_its_slots_at_once() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let once = |act: &str| once(&store, act);
    store.note_loads();
    world.register(&alice()).await.is(201, json!({}));
    once("a registration");
    let resend = format!("/api/auth/resendVerificationEmail?email={}", alice().email);
    world.client().get(&resend).send().await;
    once("another link");
    world.open_link(&alice().email).await.redirects();
    once("a link");
    let user = world.user_of(&alice()).await;
    once("a log-in");
    world.client().get(&format!("/api/auth/passwordHint?email={}", alice().email)).send().await;
    once("a hint");
    world.fill(&user, &alice(), 3).await;
    store.note_loads();

    let client = world.client_of(&alice()).await;
    client.sync().await.ok();
    once("a sync");
    for _ in 0..70 {
        world.client_of(&alice()).await;
        once("a log-in beside all that there may be");
    }
    // All of those end.
    let client = world.client_of(&alice()).await;
    let changed = with_password(&alice(), "new");
    let body = world.password_body(&user, &alice(), &changed).await;
    store.note_loads();
    client.change_password(&body).await.is_empty();
    once("a change of the password");
    let client = world.client_of(&changed).await;
    let moved = with_address(&changed, NEW);
    let body = world.address_body(&user, &changed, &moved).await;
    store.note_loads();
    client.change_address(&body).await.is_empty();
    once("a change of address asked for");
    world.open_link(NEW).await.redirects();
    once("a change of address");
}

#[tokio::test]
async fn every_act_of_second_factors_and_the_end_name_their_slots_at_once() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let once = |act: &str| once(&store, act);
    let user = world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    store.note_loads();
    let recovery = set_up_from_home(&world, &client, &SECRET).await;
    once("a second factor");
    world.clock.advance(30);
    for code in ["000000", &code_of(&SECRET, world.now()), &recovery] {
        let waiting = world.log_in(&alice()).await.ok();
        once("a log-in that waits");
        world.client().prove(waiting["apiKey"].as_str().unwrap(), code).await;
        once("a code");
    }
    for n in 0..12 {
        let refused = world.log_in_with(&alice().email, &format!("{n:064x}")).await;
        once("a wrong key");
        if let Some(seconds) = refused.header("retry-after") {
            world.clock.advance(seconds.parse().unwrap());
        }
    }
    world.clock.advance(30);
    let shared = alice().shared(&world.server_key().await);
    store.note_loads();
    let body = json!({"sharedKey": shared, "code": code_of(&SECRET, world.now())});
    client.request("DELETE", "/api/user/delete").json(&body).send().await.is_empty();
    once("an end");
    assert_eq!(world.count_events(&user, "account_erased").await, 1);
}

/// Without verification an address is claimed immediately, and the next registration ends one that
/// crashed on its way.
#[tokio::test]
async fn a_claim_that_ends_a_crashed_registration_names_its_slots_at_once() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy().verify_email(false)).await;
    // The account, its intent and the name's claim are committed; what takes the name is not.
    world.server_key().await;
    for fault in [Fault::None, Fault::None, Fault::Rejected, Fault::Rejected] {
        store.next_commit(fault);
    }
    assert_eq!(world.register(&alice()).await.status, 500);
    store.calm();
    store.note_loads();
    world.register(&alice()).await.is(201, json!({}));
    let evicts = |slots: &Vec<SlotName>| slots.iter().map(SlotName::to_text).eq(["lp-credential", "names"]);
    assert!(store.noted_loads().iter().any(evicts), "the crashed one was ended");
    once(&store, "a registration in the place of a crashed one");
    world.log_in(&alice()).await.ok();
}
