//! Attacks that once worked, or nearly did. Each must fail for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_core::{Clock, ManualClock};
use keywright_nextcloud::Nextcloud;
use keywright_store::due::{self, CLAIM_LASTS, NewTask};
use keywright_store::{Draft, Driver};
use serde_json::json;

use crate::support::{Client, PASSWORD, World, alice, secret};

/// A wrong guess is charged, whatever work is due: with a full list the app token is not ended, but
/// it waits.
#[tokio::test]
async fn a_full_list_of_due_work_makes_no_guess_free() {
    let world = World::new().await;
    world.with_challenge().await;
    world
        .step(&alice(), |draft| {
            for _ in 0..due::MAX_DUE {
                due::add(draft, NewTask::new("host/mail", vec![1]))?;
            }
            Ok(())
        })
        .await;
    let mut laptop = world.token("laptop");
    for _ in 0..4 {
        laptop.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    laptop.open(&secret(9)).await.waits(403, "b927b225", 30);
    for _ in 0..20 {
        laptop.open(&secret(9)).await.is_refused(30);
    }
    laptop.open(&secret(1)).await.is_refused(30);
}

/// Notices that nobody can deliver must not keep an owner from resetting the account.
#[tokio::test]
async fn an_erasure_finds_room_in_a_full_list_of_due_work() {
    let world = World::new().await;
    let fill = |draft: &mut Draft<'_>| {
        for _ in 0..due::MAX_DUE {
            due::add(draft, NewTask::new("host/mail", vec![1]))?;
        }
        Ok(())
    };
    world.step(&alice(), fill).await;
    let mut client = world.token("phone");
    let code = client.reset_code().await;
    client.reset_with(&code).await.is(200, json!({"status": "ok"}));
    assert_eq!(world.host.erasures(), 1);
}

/// Another part's work is neither struck nor kept from it when ours is done.
#[tokio::test]
async fn work_of_another_part_outlives_an_erasure() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let code = client.reset_code().await;
    world.host.failures.store(1, Ordering::SeqCst);
    client.reset_with(&code).await.fails(500, "0");
    world.step(&alice(), |draft| due::add(draft, NewTask::new("host/mail", vec![1]))).await;
    world.clock.advance(CLAIM_LASTS);
    client.get("session/request").await.is(200, json!({}));
    assert_eq!(world.host.erasures(), 1);
    let left = world.step(&alice(), due::pending).await;
    let now = world.clock.now().unwrap();
    assert!(left.len() == 1 && left[0].name == "host/mail" && left[0].is_free(now), "{left:?}");
}

/// A part that looks for its own work does not keep an erasure from being done.
#[tokio::test]
async fn a_part_claims_its_own_work_only() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let code = client.reset_code().await;
    world.host.failures.store(1, Ordering::SeqCst);
    client.reset_with(&code).await.fails(500, "0");
    world.clock.advance(2);
    assert!(world.step(&alice(), |draft| due::claim(draft, |name| name == "host/mail")).await.is_empty());
    client.get("session/request").await.is(200, json!({}));
    assert_eq!(world.host.erasures(), 1);
}

/// A server whose clock differs does not take a fresh claim: two simultaneous erasures would delete
/// what is stored in between.
#[tokio::test]
async fn clocks_that_differ_do_not_erase_twice() {
    // What is told is the moment from which the other server takes over, unless the claim looks fresh.
    for (ahead, seconds, told) in [(false, 1, 1), (false, 59, 149), (true, 1, 1), (true, 59, 31)] {
        let world = World::new().await;
        let phone = world.with_challenge().await;
        let mut resetting = phone.clone();
        let code = resetting.reset_code().await;
        let now = world.clock.now().unwrap();
        let skewed = if ahead { now.plus(seconds) } else { now.minus(seconds) };
        let entropy = keywright_testing::seeded(99);
        let clock = Arc::new(ManualClock::new(skewed));
        let driver = Driver::new(world.store.clone(), world.keyring.clone(), entropy, clock);
        let other = Nextcloud::new(driver, world.host.clone(), world.policy.clone()).unwrap();
        world.host.hangs.store(true, Ordering::SeqCst);
        let reset = tokio::spawn(async move { resetting.reset_with(&code).await });
        world.host.hanging.notified().await;
        world.host.hangs.store(false, Ordering::SeqCst);
        let mut there = Client { app: other, ..phone };
        there.get("session/request").await.waits(503, "0", told);
        assert_eq!(world.host.erasures(), 0);
        reset.abort();
    }
}

/// A server that fails late releases its own claim, not the one that another server has made since.
#[tokio::test]
async fn a_late_failure_gives_back_no_other_claim() {
    let world = World::new().await;
    let first = world.step(&alice(), |draft| due::add(draft, NewTask::new("x", Vec::new()))).await;
    world.clock.advance(CLAIM_LASTS);
    let second = world.step(&alice(), |draft| due::claim(draft, |_| true)).await;
    assert_eq!(second.len(), 1);
    world.step(&alice(), |draft| due::release(draft, std::slice::from_ref(&first))).await;
    assert!(!world.step(&alice(), |draft| due::complete(draft, &first)).await);
    assert!(world.step(&alice(), |draft| due::claim(draft, |_| true)).await.is_empty());
    assert!(world.step(&alice(), |draft| due::complete(draft, &second[0])).await);
}

/// Another spelling of a name reveals nothing: known and unknown names wait alike in all spellings.
#[tokio::test]
async fn case_does_not_tell_a_known_name() {
    let world = World::new().await;
    for name in ["alice", "nobody"] {
        for _ in 0..5 {
            assert_eq!(world.client(name, "wrong").get("session/request").await.status, 401, "{name}");
        }
        for spelled in [name.to_uppercase(), name.to_owned()] {
            assert_eq!(world.client(&spelled, "wrong").get("session/request").await.status, 429, "{spelled}");
        }
    }
}

/// A change that was admitted while a challenge existed is not a first challenge of the account
/// that a reset has blanked.
#[tokio::test]
async fn a_reset_meanwhile_does_not_let_a_change_set_the_first_challenge() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let mut thief = world.opened("laptop").await;
    let code = phone.reset_code().await;
    // The change is admitted by one read, and held before the load that it is decided on.
    let held = world.hooked.hold_load(1);
    let set = tokio::spawn(async move { thief.set(&secret(66), None).await.status });
    held.reached().await;
    phone.reset_with(&code).await.is(200, json!({"status": "ok"}));
    held.release();
    assert_eq!(set.await.unwrap(), 412);
    assert!(!world.slots(&alice()).await.contains(&"challenge".into()));
}

/// While guesses at the login password are refused, they take no place in the account's queue.
#[tokio::test]
async fn a_crowd_that_is_refused_does_not_fill_the_owners_queue() {
    let world = World::new().await;
    for _ in 0..5 {
        assert_eq!(world.client("alice", "wrong").get("session/request").await.status, 401);
    }
    let held = world.hooked.hold_commit();
    let mut phone = world.token("phone");
    let owner = tokio::spawn(async move { phone.reset_code().await });
    held.reached().await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let mut other = world.client("alice", "wrong");
        crowd.spawn(async move { other.get("session/request").await.status });
    }
    // All are answered while the owner's commit is on its way.
    while let Some(status) = crowd.join_next().await {
        assert_eq!(status.unwrap(), 429);
    }
    held.release();
    owner.await.unwrap();
}

/// While the host is at slow passwords, nobody else of the account waits (finding B3); a host method may use the driver.
#[tokio::test]
async fn a_slow_password_check_holds_up_nobody() {
    let world = World::new().await;
    world.with_challenge().await;
    world.host.slow_hash.store(true, Ordering::SeqCst);
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut other = world.client("alice", "wrong");
        crowd.spawn(async move { other.get("session/request").await.status });
    }
    while world.host.hashing.load(Ordering::SeqCst) < 4 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.token("phone").open(&secret(1)).await.status, 200);
    assert_eq!(world.token("laptop").open(&secret(9)).await.status, 401);
    assert_eq!(world.host.hashing.load(Ordering::SeqCst), 4, "no more are open at a time");
    world.host.slow_hash.store(false, Ordering::SeqCst);
    world.host.hashed.notify_waiters();
    let answers = crowd.join_all().await;
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 5);
    assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
}

/// A host method that uses the driver on the same account waits for nobody (finding F11).
#[tokio::test]
async fn the_host_may_use_the_driver_on_the_same_account() {
    let world = World::waiting().await;
    *world.host.driver.lock().unwrap() = Some(world.driver.clone());
    let mut client = world.password();
    let seconds = client.reset_by_password(PASSWORD).await.json()["wait"].as_u64().unwrap();
    world.clock.advance(seconds);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
    assert_eq!(world.host.erasures(), 1);
}

/// A verdict that comes after two minutes counts for nothing: the guess was charged meanwhile.
#[tokio::test]
async fn a_verdict_that_comes_too_late_lets_nobody_in() {
    let world = World::new().await;
    world.host.slow_hash.store(true, Ordering::SeqCst);
    let mut late = world.password();
    let late = tokio::spawn(async move { late.get("session/request").await.status });
    while world.host.hashing.load(Ordering::SeqCst) < 1 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(121);
    world.host.slow_hash.store(false, Ordering::SeqCst);
    world.host.hashed.notify_waiters();
    assert_eq!(late.await.unwrap(), 401);
    assert_eq!(world.password().get("session/request").await.status, 200);
}

/// A right proof beside a damaged keychain is answered with a commit, as every other verdict is.
#[tokio::test]
async fn a_right_proof_is_not_told_without_a_commit() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("x").await;
    world.damage("keychain");
    let mut laptop = world.token("laptop");
    laptop.open(&secret(9)).await.fails(401, "ab6e13ba");
    let before = world.scan().await;
    laptop.open(&secret(1)).await.fails(500, "3476b978");
    assert_ne!(world.scan().await, before);
}

/// A host that cannot end one app token serves the account all the same.
#[tokio::test]
async fn a_token_that_cannot_be_ended_does_not_shut_the_account() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut laptop = world.token("laptop");
    for _ in 0..4 {
        laptop.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    world.host.failures.store(2, Ordering::SeqCst);
    laptop.open(&secret(9)).await.fails(500, "0");
    for _ in 0..5 {
        assert_eq!(world.token("t1").get("session/keepalive").await.status, 200);
    }
    world.clock.advance(CLAIM_LASTS);
    assert_eq!(world.token("t1").get("session/keepalive").await.status, 200);
    world.clock.advance(CLAIM_LASTS);
    assert_eq!(world.token("t1").get("session/keepalive").await.status, 200);
    assert_eq!(world.host.ended(), ["laptop"]);
}
