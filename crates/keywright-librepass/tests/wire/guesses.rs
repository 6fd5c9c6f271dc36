//! Guesses at the shared key: what wrong ones cost, whom they lock out, and whom not.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use keywright_core::UnixSeconds;
use keywright_librepass::LibrePass;
use keywright_store::{BoxFuture, Driver, LOAD_SECONDS, MemoryStore, RecordStore, Timer};
use keywright_store_conformance::{FaultStore, LoadFault, Odds};
use serde_json::json;

use crate::support::{Answer, START, World, alice, at_once, bob, on_both, policy};

/// A key that is wrong, the n-th.
fn wrong(n: usize) -> String {
    format!("{n:064x}")
}

async fn guess_wrong(world: &World, times: usize) {
    for n in 0..times {
        world.log_in_with(&alice().email, &wrong(n)).await.fails(400, "LP-Invalid-Shared-Secret");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_parallel_right_logins_all_succeed() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let shared = alice().shared(&world.server_key().await);
        let answers = at_once(64, |_| world.client().log_in(&alice().email, &shared).send()).await;
        for answer in &answers {
            answer.ok();
        }
        let mut tokens: Vec<String> = answers.iter().map(|answer| answer.json()["apiKey"].to_string()).collect();
        tokens.sort();
        tokens.dedup();
        assert_eq!(tokens.len(), 64);
        assert_eq!(world.count_events(&user, "guess_denied").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_thousand_parallel_wrong_keys_the_budget_is_looked_at_and_then_the_right_one_is_refused() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let right = alice().shared(&world.server_key().await);
        let answers = at_once(1_000, |n| world.client().log_in(&alice().email, &wrong(n)).send()).await;
        let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
        // The queue of one account is bounded: beyond it nothing is looked at.
        assert_eq!((count(400), count(429) + count(503)), (5, 995));
        // Reported once, and counted from then on.
        assert_eq!(world.count_events(&user, "guess_denied").await, 1);
        assert_eq!(world.count_events(&user, "guesses_paused").await, 1);
        world.log_in_with(&alice().email, &right).await.waits(30);
        world.clock.advance(30);
        world.log_in_with(&alice().email, &right).await.ok();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_right_key_in_the_crowd_passes_only_if_it_is_within_the_budget() {
    let mut passed = 0;
    for _ in 0..8 {
        let world = World::new().await;
        world.settle(&alice()).await;
        let right = alice().shared(&world.server_key().await);
        let answers = at_once(100, |n| {
            let key = if n == 50 { right.clone() } else { wrong(n) };
            world.client().log_in(&alice().email, &key).send()
        })
        .await;
        let granted = answers.iter().filter(|answer| answer.status == 200).count();
        // A right one clears the streak: then there are five more.
        assert!(answers.iter().filter(|answer| answer.status == 400).count() <= 5 + 5 * granted);
        passed += granted;
    }
    assert!(passed < 8, "a right key somewhere among a hundred is not always looked at");
}

#[tokio::test]
async fn waits_double_and_a_refusal_writes_nothing() {
    on_both(async |world: World| {
        let right = {
            world.settle(&alice()).await;
            alice().shared(&world.server_key().await)
        };
        guess_wrong(&world, 5).await;
        let mut wait = 30;
        for n in 0..4 {
            let before = world.scan().await;
            world.log_in_with(&alice().email, &right).await.waits(wait);
            assert_eq!(world.scan().await, before);
            world.clock.advance(wait - 1);
            world.log_in_with(&alice().email, &right).await.waits(1);
            world.clock.advance(1);
            world.log_in_with(&alice().email, &wrong(n)).await.fails(400, "LP-Invalid-Shared-Secret");
            wait *= 2;
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_key_is_no_guess() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let before = world.scan().await;
    for key in ["", "0", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &format!(" {}", "0".repeat(63))] {
        world.log_in_with(&alice().email, key).await.fails(400, "LP-Invalid-Shared-Secret");
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn a_device_that_has_logged_in_gets_in_while_strangers_wait() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let device = world.client_of(&alice()).await;
    world.settle(&bob()).await;
    let bobs = world.client_of(&bob()).await;
    let right = alice().shared(&world.server_key().await);
    guess_wrong(&world, 5).await;
    world.log_in_with(&alice().email, &right).await.waits(30);
    // Another's token helps nobody, and is not the account's.
    bobs.log_in(&alice().email, &right).send().await.waits(30);
    let body = device.log_in(&alice().email, &right).send().await.ok();
    let next = world.client().with_token(body["apiKey"].as_str().unwrap());
    world.log_in_with(&alice().email, &right).await.waits(30);
    next.log_in(&alice().email, &right).send().await.ok();
}

#[tokio::test]
async fn the_owners_network_is_a_known_client() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let right = alice().shared(&world.server_key().await);
    let from = async |address: &str, key: &str| -> Answer {
        world.client().log_in(&alice().email, key).header("x-test-address", address).send().await
    };
    from("192.0.2.1", &right).await.ok();
    for n in 0..5 {
        from("198.51.100.7", &wrong(n)).await.fails(400, "LP-Invalid-Shared-Secret");
    }
    from("198.51.100.7", &right).await.waits(30);
    from("203.0.113.9", &right).await.waits(30);
    from("192.0.2.1", &right).await.ok();
    // An address of IPv6 is known with its whole network.
    world.clock.advance(30);
    from("2001:db8:1:2::3", &right).await.ok();
    for n in 0..5 {
        from("198.51.100.7", &wrong(n)).await.fails(400, "LP-Invalid-Shared-Secret");
    }
    from("2001:db8:1:3::3", &right).await.fails(429, "LP-RateLimit");
    from("2001:db8:1:2:ffff::9", &right).await.ok();
}

#[tokio::test]
async fn fifty_wrong_keys_lock_strangers_out_for_good() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    for n in 0..50 {
        world.log_in_with(&alice().email, &wrong(n)).await.fails(400, "LP-Invalid-Shared-Secret");
        world.clock.advance(3_600);
    }
    assert_eq!(world.count_events(&user, "guesses_shut").await, 1);
    world.clock.advance(29 * 86_400);
    let right = alice().shared(&world.server_key().await);
    world.log_in_with(&alice().email, &right).await.fails(429, "LP-RateLimit");
}

#[tokio::test]
async fn a_clock_that_went_back_begins_the_wait_anew_once() {
    let world = World::new().await;
    world.settle(&alice()).await;
    guess_wrong(&world, 5).await;
    world.clock.set(UnixSeconds::new(START - 600).unwrap());
    // The server's key is from the future now, and is made again; that is independent of the wait.
    let right = alice().shared(&world.server_key().await);
    world.log_in_with(&alice().email, &right).await.waits(30);
    world.clock.advance(10);
    world.log_in_with(&alice().email, &right).await.waits(20);
    world.clock.advance(20);
    world.log_in_with(&alice().email, &right).await.ok();
}

/// How a guess is sent.
type Guessing = fn(&World, &str, &str) -> Request<Bytes>;

/// All requests that judge a shared key.
const GUESSINGS: [Guessing; 4] = [
    |world, _, key| world.client().log_in(&alice().email, key).build(),
    |world, token, key| {
        let body = json!({"sharedKey": key, "secret": "no secret", "code": "000000"});
        world.client().with_token(token).post("/api/user/setup/2fa").json(&body).build()
    },
    |world, token, key| {
        world.client().with_token(token).request("DELETE", "/api/user/delete").json(&json!({"sharedKey": key})).build()
    },
    |world, token, key| {
        let public = alice().key.public_key().to_hex();
        let body = json!({
            "oldSharedKey": key, "newPublicKey": public.expose(), "newSharedKey": key,
            "parallelism": 3, "memory": 65536, "iterations": 4, "ciphers": [],
        });
        world.client().with_token(token).request("PATCH", "/api/user/password").json(&body).build()
    },
];

/// Sends a guess over a store that lets go of the processor at every call, and hangs up after so many of these, unless
/// the answer is there. Gives whether it is, and how many wrong guesses were charged.
async fn hang_up_after(pauses: usize, guessing: Guessing, is_right: bool) -> (bool, usize) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let user = world.settle(&alice()).await;
    let token = world.client_of(&alice()).await.token.unwrap();
    let (right, guess) = (alice().shared(&world.server_key().await), wrong(1));
    let request = guessing(&world, &token, if is_right { &right } else { &guess });
    store.randomise(1, Odds { pause: 1_000, ..Odds::default() });
    let mut context = Context::from_waker(Waker::noop());
    let answered = {
        let mut answering = pin!(world.app.handle(request));
        (0..=pauses).any(|_| matches!(answering.as_mut().poll(&mut context), Poll::Ready(_)))
    };
    store.calm();
    (answered, world.count_events(&user, "guess_denied").await)
}

/// A client that disconnects before a wrong key is charged must not know by then that it was wrong,
/// for instance by the absence of the answer that a right one would have had.
#[tokio::test]
async fn to_hang_up_early_is_to_learn_nothing() {
    for guessing in GUESSINGS {
        let mut judged = 0;
        for pauses in 0.. {
            let (is_known, _) = hang_up_after(pauses, guessing, true).await;
            let (is_answered, charged) = hang_up_after(pauses, guessing, false).await;
            assert!(charged == 1 || !(is_known || is_answered), "after {pauses} pauses");
            judged += charged;
            if is_known && is_answered {
                break;
            }
        }
        assert!(judged > 0);
    }
}

/// The server's key cannot be loaded: nothing is checked, right or wrong.
#[tokio::test]
async fn without_the_servers_key_no_guess_is_looked_at() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let user = world.settle(&alice()).await;
    let right = alice().shared(&world.server_key().await);
    // A log-in loads the name, the account that it leads to, the account again, and then the server's key.
    let loads_before = 3;
    for key in [right.clone(), wrong(1)] {
        (0..loads_before).for_each(|_| store.next_load(LoadFault::None));
        store.next_load(LoadFault::Fails);
        world.log_in_with(&alice().email, &key).await.fails(500, "LP-Database-Error");
        store.calm();
    }
    assert_eq!(world.count_events(&user, "guess_denied").await, 0);
    world.log_in_with(&alice().email, &right).await.ok();
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
async fn a_store_that_hangs_is_503_and_no_guess_is_looked_at() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let mut world = World::on(store.clone(), policy()).await;
    let user = world.settle(&alice()).await;
    let right = alice().shared(&world.server_key().await);
    let records: Arc<dyn RecordStore> = store.clone();
    let builder = Driver::builder(records, Arc::clone(&world.keyring)).clock(world.clock.clone());
    let driver = builder.load_limit(Arc::new(NoPatience), Duration::from_secs(LOAD_SECONDS)).build().unwrap();
    let parts = (driver, world.store.clone(), Arc::clone(&world.host), world.policy.clone());
    world.app = LibrePass::open(parts.0, parts.1, parts.2, parts.3).await.unwrap();
    for loads in 0..4 {
        for key in [right.clone(), wrong(1)] {
            (0..loads).for_each(|_| store.next_load(LoadFault::None));
            store.next_load(LoadFault::Hangs);
            let answer = world.log_in_with(&alice().email, &key).await;
            answer.is(503, json!({"error": "LP-Database-Error", "status": 503}));
            assert_eq!(answer.header("retry-after"), Some("1"), "after {loads} loads");
            store.calm();
        }
    }
    assert_eq!(world.count_events(&user, "guess_denied").await, 0);
    world.log_in_with(&alice().email, &right).await.ok();
}
