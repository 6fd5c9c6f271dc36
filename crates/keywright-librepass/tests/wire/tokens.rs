//! How long tokens live, how many there are, and in what forms they come.

use std::sync::Arc;

use keywright_store::guess::GUESSES_UNLOCKED;
use keywright_store::{Draft, MemoryStore, Partition};
use keywright_store_conformance::FaultStore;
use serde_json::{Value, json};

use crate::support::{Client, START, World, alice, bob, code_of, on_both, policy};

#[tokio::test]
async fn a_token_lives_as_long_as_it_is_used_within_thirty_days() {
    on_both(async |world: World| {
        world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        let idle = world.client_of(&alice()).await;
        for _ in 0..3 {
            world.clock.advance(20 * 86_400);
            assert!(client.is_in().await);
        }
        assert!(!idle.is_in().await);
        world.clock.advance(30 * 86_400 - 1);
        assert!(client.is_in().await);
        world.clock.advance(30 * 86_400);
        assert!(!client.is_in().await);
    })
    .await;
}

#[tokio::test]
async fn the_last_use_is_written_every_five_minutes() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let before = world.scan().await;
    world.clock.advance(299);
    assert!(client.is_in().await);
    assert_eq!(world.scan().await, before);
    world.clock.advance(1);
    assert!(client.is_in().await);
    let after = world.scan().await;
    let changed: Vec<String> = before
        .iter()
        .zip(&after)
        .filter(|(before, after)| before != after)
        .map(|(_, after)| after.slot.to_string())
        .collect();
    assert_eq!((changed.len(), &*changed[0]), (2, "root"), "{changed:?}");
    assert!(changed[1].starts_with("lp-token/"));
}

#[tokio::test]
async fn sixty_four_tokens_and_the_oldest_goes() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let mut clients: Vec<Client> = Vec::new();
    // `settle` has logged in once itself.
    for _ in 0..64 {
        clients.push(world.client_of(&alice()).await);
    }
    for (n, client) in clients.iter().enumerate() {
        assert!(client.is_in().await, "{n}");
    }
    world.client_of(&alice()).await;
    assert!(!clients[0].is_in().await);
    assert!(clients[1].is_in().await);
    let stored = world.scan().await.iter().filter(|row| row.slot.starts_with("lp-token/")).count();
    assert_eq!(stored, 64);
}

/// Finding E13: however many tokens there are, a log-in that evicts one makes a few loads and one commit.
#[tokio::test]
async fn a_log_in_with_all_places_taken_is_one_commit() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    world.settle(&alice()).await;
    for _ in 0..64 {
        world.client_of(&alice()).await;
    }
    let shared = alice().shared(&world.server_key().await);
    let before = store.tally();
    world.log_in_with(&alice().email, &shared).await.ok();
    let after = store.tally();
    // The name, its account, the read, the server's key, the commit's load. The record that is
    // removed is not read.
    assert_eq!((after.commits - before.commits, after.loads - before.loads), (1, 5));
}

#[tokio::test]
async fn who_has_only_the_password_ends_nobodys_login() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..64 {
        clients.push(world.client_of(&alice()).await);
    }
    world.enrol(&user, &[7; 20]).await;
    let mut waiting: Vec<Value> = Vec::new();
    for _ in 0..20 {
        waiting.push(world.log_in(&alice()).await.ok());
    }
    for client in &clients {
        assert!(client.is_in().await);
    }
    let prove = async |n: usize| {
        let code = crate::support::code_of(&[7; 20], world.now());
        world.client().prove(waiting[n]["apiKey"].as_str().unwrap(), &code).await
    };
    prove(11).await.fails(401, "LP-Invalid-Token");
    prove(12).await.is_empty();
    assert!(!clients[0].is_in().await, "the proven one takes a place among the others");
    assert!(clients[1].is_in().await);
}

#[tokio::test]
async fn a_token_is_one_accounts_and_comes_in_one_header() {
    let world = World::new().await;
    world.settle(&alice()).await;
    world.settle(&bob()).await;
    let (alices, bobs) = (world.client_of(&alice()).await.token.unwrap(), world.client_of(&bob()).await.token.unwrap());
    // One's user id with the other's secret.
    let mixed = format!("{}{}", &alices[..35], &bobs[35..]);
    assert!(!world.client().with_token(&mixed).is_in().await);
    let send = async |value: &str| {
        let request = world.client().request("PATCH", "/api/user/password").header("Authorization", value);
        request.send().await.status != 401
    };
    assert!(send(&alices).await, "without `Bearer`");
    assert!(send(&format!("bearer {alices}")).await);
    assert!(!send(&format!("Basic {alices}")).await);
    assert!(!send("").await);
    assert!(!send(&alices.to_uppercase()).await);
    let twice =
        world.client().with_token(&alices).request("PATCH", "/api/user/password").header("Authorization", &alices);
    twice.send().await.fails(401, "LP-Invalid-Token");
}

#[tokio::test]
async fn a_fence_ends_every_token_from_before_it() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    world.clock.advance(10);
    let restored = world.fenced(world.now(), 2).await;
    let there = Client { app: restored.app.clone(), token: client.token.clone() };
    assert!(!there.is_in().await);
    assert!(restored.client_of(&alice()).await.is_in().await);
}

fn set_clock(world: &World, seconds: u64) {
    world.clock.set(keywright_core::UnixSeconds::new(START + seconds).unwrap());
}

/// A token that a clock which ran ahead has made or used grows old from its next use on.
#[tokio::test]
async fn a_token_from_the_future_idles_out() {
    on_both(async |world: World| {
        world.settle(&alice()).await;
        let used = world.client_of(&alice()).await;
        set_clock(&world, 20 * 86_400);
        assert!(used.is_in().await);
        set_clock(&world, 40 * 86_400);
        assert!(used.is_in().await);
        set_clock(&world, 3 * 365 * 86_400);
        let made = world.client_of(&alice()).await;
        for (at, is_in) in [(60, true), (60 + 30 * 86_400 - 1, true), (60 + 61 * 86_400, false)] {
            set_clock(&world, at);
            assert_eq!((used.is_in().await, made.is_in().await), (is_in, is_in), "{at}");
        }
    })
    .await;
}

/// The same while it waits for its second factor, whatever is sent with it.
#[tokio::test]
async fn a_waiting_token_from_the_future_idles_out() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &[7; 20]).await;
    set_clock(&world, 3 * 365 * 86_400);
    let body = world.log_in(&alice()).await.ok();
    assert_eq!(body["verified"], false);
    let token = body["apiKey"].as_str().unwrap();
    set_clock(&world, 60);
    let code = code_of(&[8; 20], world.now());
    world.client().prove(token, &code).await.fails(400, "LP-Invalid-Two-Factor");
    set_clock(&world, 60 + 30 * 86_400);
    world.client().prove(token, &code).await.fails(401, "LP-Invalid-Token");
}

/// A request that has found its token valid reveals nothing of the vault once that token is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_that_ends_while_its_request_runs_reads_nothing() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let owner = world.client_of(&alice()).await;
    let id = "00000000-0000-4000-8000-000000000001";
    let cipher = json!({"id": id, "owner": user.to_string(), "protectedData": "ab".repeat(40)});
    let body = json!({"lastSyncTimestamp": 0, "updated": [cipher], "deleted": []});
    owner.post("/api/cipher/sync").json(&body).send().await.ok();
    let (whole, since) = ("/api/cipher".to_owned(), format!("/api/cipher/sync?lastSync={}", world.now()));
    for path in [whole, since, format!("/api/cipher/{id}")] {
        // The token knows the vault as it is: nothing is to be written for it.
        let thief = world.client_of(&alice()).await;
        thief.get("/api/cipher").send().await.ok();
        let (looked_at, seen) = tokio::sync::oneshot::channel();
        let (go, wait) = std::sync::mpsc::channel();
        *world.host.once_known.lock().unwrap() = Some(Box::new(move || {
            looked_at.send(()).unwrap();
            wait.recv().unwrap();
        }));
        let request = thief.get(&path);
        let late = tokio::spawn(async move { request.send().await });
        seen.await.unwrap();
        let end = |draft: &mut Draft<'_>| {
            draft.event(&GUESSES_UNLOCKED);
            draft.move_credential_epoch()
        };
        world.driver.transact(&Partition::account(user.account()), &[], end).await.unwrap();
        go.send(()).unwrap();
        late.await.unwrap().fails(401, "LP-Invalid-Token");
    }
}
