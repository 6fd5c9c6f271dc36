//! A host whose queue of slow hashes is full answers 503, before a password is checked. Also: a
//! store that does not answer in time.

use std::sync::Arc;
use std::time::Duration;

use keywright_rocketchat::queue::{Limits, Requester, WorkQueue};
use keywright_rocketchat::{RocketChat, RocketChatPolicy};
use keywright_store::{BoxFuture, Driver, LOAD_SECONDS, MemoryStore, Timer};
use keywright_store_conformance::{FaultStore, LoadFault};
use serde_json::json;

use crate::support::{ADMIN, Call, TARGET, World};

#[tokio::test]
async fn it_is_503_and_charges_nobody() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    let queue = WorkQueue::new(Limits::default().at_once(1).waiting(0, 0));
    world.host.use_queue(queue.clone());
    let turn = queue.acquire(&Requester::known(&TARGET.account())).await.unwrap();
    // More often than it would take for a wait, or for four that are open.
    for digest in [ADMIN.password(), TARGET.password()].iter().cycle().take(8) {
        let answer = client.reset().code(digest).method("password").send().await;
        answer.is(503, json!({"success": false, "error": "The server is busy, try again"}));
        assert_eq!(
            (answer.seconds("retry-after"), answer.seconds("x-ratelimit-reset")),
            (2, (world.now() + 2) * 1_000)
        );
    }
    assert_eq!(world.host.count(|call| matches!(call, Call::Password(_))), 0, "one was hashed");
    drop(turn);
    world.clock.advance(120);
    client.reset().code(&ADMIN.password()).method("password").send().await.succeeds();
    assert_eq!((world.host.removals(), world.charged(ADMIN, "login-password").await), (1, 0));
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
async fn a_store_that_hangs_is_503_and_nothing_is_spent() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), RocketChatPolicy::default()).await;
    let builder = Driver::builder(world.driver.store().clone(), Arc::clone(&world.keyring)).clock(world.clock.clone());
    let driver = builder.load_limit(Arc::new(NoPatience), Duration::from_secs(LOAD_SECONDS)).build().unwrap();
    let mut client = world.client(ADMIN);
    client.app = RocketChat::new(driver, Arc::clone(&world.host), world.policy.clone()).unwrap();
    let before = world.scan().await;
    // The read for the login, and then the step.
    for loads in [0, 1] {
        (0..loads).for_each(|_| store.next_load(LoadFault::None));
        store.next_load(LoadFault::Hangs);
        let answer = client.reset().code(&world.totp(ADMIN)).send().await;
        answer.is(503, json!({"success": false, "error": "The server is busy, try again"}));
        assert_eq!(
            (answer.seconds("retry-after"), answer.seconds("x-ratelimit-reset")),
            (1, (world.now() + 1) * 1_000)
        );
    }
    assert_eq!((world.scan().await, world.host.removals()), (before, 0));
    client.reset().code(&world.totp(ADMIN)).send().await.succeeds();
}
