//! A host whose queue of slow hashes is full answers 503, the same for any name, before a password
//! is checked. Also: a store that does not answer in time.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use keywright_nextcloud::queue::{Limits, Permit, Requester, WorkQueue};
use keywright_nextcloud::{Nextcloud, NextcloudPolicy};
use keywright_store::{BoxFuture, Driver, LOAD_SECONDS, MemoryStore, Timer};
use keywright_store_conformance::{FaultStore, LoadFault};
use serde_json::json;

use crate::support::{Answer, PASSWORD, World, bob, secret};

const BODY: &str = r#"{"status":"error","id":0,"message":"Unable to complete request"}"#;

/// A host that hashes one password at a time and lets so many known and unknown clients wait, with its one turn taken.
async fn at_work(world: &World, known: usize, unknown: usize) -> (WorkQueue, Permit) {
    let queue = WorkQueue::new(Limits::default().at_once(1).waiting(known, unknown));
    world.host.use_queue(queue.clone());
    let turn = queue.acquire(&Requester::known(&bob())).await.unwrap();
    (queue, turn)
}

#[track_caller]
fn is_busy(answer: &Answer) {
    let told = (answer.status, std::str::from_utf8(&answer.body).unwrap(), answer.retry_after());
    assert_eq!(told, (503, BODY, Some(2)));
}

#[tokio::test]
async fn it_is_told_alike_for_every_name_and_charges_nobody() {
    let world = World::new().await;
    let (_, turn) = at_work(&world, 0, 0).await;
    let mut headers = Vec::new();
    // More often than it would take for a wait, if one of them were charged.
    for _ in 0..8 {
        for (name, password) in [("alice", PASSWORD), ("alice", "wrong"), ("nobody", PASSWORD), ("nobody", "wrong")] {
            let answer = world.client(name, password).get("session/request").await;
            is_busy(&answer);
            headers.push(answer.headers);
        }
    }
    headers.dedup();
    assert_eq!(headers.len(), 1, "the headers tell");
    assert_eq!(world.host.passwords_compared(), 0, "one was hashed");
    // App tokens are not hashed slowly: a client that has one is admitted.
    world.token("phone").get("session/request").await.is(200, json!({}));
    drop(turn);
    // Nothing is open that would be charged in time.
    world.clock.advance(120);
    world.password().get("session/request").await.is(200, json!({}));
    assert_eq!(world.charged("login-password").await, 0);
    assert_eq!(world.client("nobody", "wrong").get("session/request").await.status, 401);
}

/// A queue that unknown clients have filled has places for clients that were here before, and
/// serves them first.
#[tokio::test]
async fn known_clients_come_first() {
    let world = World::new().await;
    let mut home = world.password().at("192.0.2.1");
    home.get("session/request").await.is(200, json!({}));
    // By its network alone: it comes without the session.
    let home = world.password().at("192.0.2.1");
    let (queue, turn) = at_work(&world, 1, 1).await;
    let mut context = Context::from_waker(Waker::noop());
    let (mut stranger, mut owner) = (world.client("nobody", "wrong").at("198.51.100.7"), home.clone());
    let mut waiting = pin!(stranger.get("session/request"));
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    is_busy(&world.password().at("198.51.100.8").get("session/request").await);
    let mut owners = pin!(owner.get("session/request"));
    while queue.waiting() != (1, 1) {
        assert!(owners.as_mut().poll(&mut context).is_pending());
    }
    drop(turn);
    assert_eq!(queue.waiting(), (0, 1), "the owner's turn comes first");
    owners.await.is(200, json!({}));
    assert_eq!(waiting.await.status, 401);
}

#[tokio::test]
async fn a_reset_by_password_is_not_charged_and_keeps_its_session() {
    let world = World::waiting().await;
    let mut client = world.token("phone");
    let begun = client.reset_by_password(PASSWORD).await;
    assert_eq!(begun.status, 202);
    let seconds = begun.json()["wait"].as_u64().unwrap();
    let (_, turn) = at_work(&world, 0, 0).await;
    let session = client.session.clone();
    for _ in 0..8 {
        is_busy(&client.reset_by_password(PASSWORD).await);
    }
    assert_eq!(client.session, session, "the pending wait hangs on it");
    drop(turn);
    world.clock.advance(seconds);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
    assert_eq!((world.host.erasures(), world.charged("login-password").await), (1, 0));
}

/// Ends immediately: a request raced with it has no patience.
#[derive(Debug)]
struct NoPatience;

impl Timer for NoPatience {
    fn wait(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_store_that_hangs_is_503_and_nothing_is_charged() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), NextcloudPolicy::default()).await;
    world.with_challenge().await;
    let builder = Driver::builder(world.driver.store().clone(), Arc::clone(&world.keyring)).clock(world.clock.clone());
    let driver = builder.load_limit(Arc::new(NoPatience), Duration::from_secs(LOAD_SECONDS)).build().unwrap();
    let app = Nextcloud::new(driver, Arc::clone(&world.host), world.policy.clone()).unwrap();
    let (before, mut laptop, mut stranger) = (world.scan().await, world.token("laptop"), world.password());
    (laptop.app, stranger.app) = (app.clone(), app);
    for proof in [1, 9].into_iter().cycle().take(12) {
        store.next_load(LoadFault::Hangs);
        let answer = laptop.open(&secret(proof)).await;
        assert_eq!((answer.status, &*answer.body, answer.retry_after()), (503, BODY.as_bytes(), Some(1)));
        store.next_load(LoadFault::Hangs);
        let answer = stranger.get("session/request").await;
        assert_eq!((answer.status, &*answer.body, answer.retry_after()), (503, BODY.as_bytes(), Some(1)));
    }
    assert_eq!((world.scan().await, world.host.passwords_compared()), (before, 0));
    laptop.open(&secret(1)).await.is(200, json!({"success": true, "keys": []}));
}
