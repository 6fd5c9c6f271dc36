//! A store, a host or a record that fails: the request is denied, the failure is reported, and
//! nothing is released.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_nextcloud::NextcloudPolicy;
use keywright_store::MemoryStore;
use keywright_store_conformance::{FaultStore, Odds};
use serde_json::json;

use crate::support::{Client, PASSWORD, World, secret};

async fn flaky() -> (World, Arc<FaultStore<MemoryStore>>, Client) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), NextcloudPolicy::default()).await;
    let phone = world.with_challenge().await;
    (world, store, phone)
}

#[tokio::test]
async fn a_lost_reply_grants_nothing_and_a_change_is_answered_as_unknown() {
    let (world, store, mut phone) = flaky().await;
    let code = phone.reset_code().await;
    let before = world.scan().await;
    let session = phone.session.clone();
    store.randomise(0, Odds::SILENT);
    // Perhaps it happened: the client must try both passphrases.
    phone.set(&secret(2), Some(&secret(1))).await.fails(500, "114cbe8d");
    phone.put_keychain("text").await.fails(500, "0");
    phone.reset_with(&code).await.fails(500, "0");
    let mut laptop = world.token("laptop");
    laptop.open(&secret(1)).await.fails(500, "0");
    laptop.open(&secret(9)).await.fails(500, "0");
    store.calm();
    assert_eq!((world.scan().await, world.host.erasures()), (before, 0));
    assert!(!laptop.is_authorized().await);
    assert_eq!(phone.session, session, "a fault drops no session");
    phone.reset_with(&code).await.is(200, json!({"status": "ok"}));
}

#[tokio::test]
async fn a_refused_commit_or_load_grants_nothing_and_charges_nothing() {
    let (world, store, mut phone) = flaky().await;
    let code = phone.reset_code().await;
    let before = world.scan().await;
    for fault in [Odds::FULL, Odds::UNREADABLE] {
        store.randomise(0, fault);
        for _ in 0..6 {
            phone.set(&secret(2), Some(&secret(9))).await.fails(500, "0");
        }
        phone.set(&secret(2), Some(&secret(1))).await.fails(500, "0");
        phone.reset_with("wrong").await.fails(500, "0");
        phone.reset_with(&code).await.fails(500, "0");
        world.token("laptop").open(&secret(1)).await.fails(500, "0");
        // Before the login is known there is no session to answer with.
        let answer = world.password().get("session/request").await;
        assert_eq!((answer.error(), answer.id()), ((500, "0".into()), None));
        store.calm();
    }
    assert_eq!((world.scan().await, world.host.erasures()), (before, 0));
    assert_eq!(world.host.passwords_compared(), 0, "what is not charged is not compared");
    phone.reset_with(&code).await.is(200, json!({"status": "ok"}));
}

#[tokio::test]
async fn a_password_that_the_host_could_not_check_stays_charged() {
    let world = World::new().await;
    world.host.broken_hash.store(true, Ordering::SeqCst);
    // Four may be open at a time; nobody here will give a verdict on them.
    for _ in 0..4 {
        assert_eq!(world.client("alice", PASSWORD).get("session/request").await.status, 500);
    }
    world.host.broken_hash.store(false, Ordering::SeqCst);
    let answer = world.client("alice", PASSWORD).get("session/request").await;
    assert_eq!((answer.status, answer.retry_after().is_some()), (429, true));
    assert_eq!(world.charged("login-password").await, 0);
    // After two minutes they are charged as if they had been wrong: the next wrong one begins a wait.
    world.clock.advance(120);
    assert_eq!(world.client("alice", "wrong").get("session/request").await.status, 401);
    assert_eq!(world.client("alice", PASSWORD).get("session/request").await.status, 429);
    world.clock.advance(30);
    assert_eq!(world.client("alice", PASSWORD).get("session/request").await.status, 200);
}

#[tokio::test]
async fn a_damaged_record_denies_with_the_endpoints_own_error_and_is_left_as_it_is() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("text").await;
    world.damage("challenge");
    let before = world.scan().await;
    phone.get("session/request").await.fails(500, "1d21b905");
    phone.get("account/challenge/get").await.fails(500, "1d21b905");
    world.token("laptop").open(&secret(1)).await.fails(500, "033d1943");
    phone.set(&secret(2), Some(&secret(1))).await.fails(500, "033d1943");
    phone.get("keychain/get").await.fails(500, "3476b978");
    phone.reset_with("code").await.fails(500, "0");
    assert_eq!(world.scan().await, before, "nothing is written over it");
}

#[tokio::test]
async fn a_failing_store_or_host_gives_a_500_that_drops_no_session() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    world.damage("root");
    let id = phone.session.clone();
    assert_eq!(phone.get("session/keepalive").await.fails(500, "0").id(), id);
    // Without an id there is nothing to keep; the answer carries one all the same.
    world.token("laptop").get("session/keepalive").await.fails(500, "0");
    world.token("laptop").get("nonsense").await.fails(404, "135d4069");
    world.host.down.store(true, Ordering::SeqCst);
    let answer = phone.get("session/keepalive").await;
    assert_eq!((answer.error(), answer.id()), ((500, "0".into()), None), "not logged in yet");
}
