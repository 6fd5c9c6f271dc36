//! A store or a host that fails, or a crash between the two commits: at worst a code is lost,
//! nothing is half reset, and what was committed is finished.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_rocketchat::RocketChatPolicy;
use keywright_store::MemoryStore;
use keywright_store::due::CLAIM_LASTS;
use keywright_store_conformance::{FaultStore, Odds};

use crate::support::{ADMIN, TARGET, USER, World};

async fn flaky() -> (World, Arc<FaultStore<MemoryStore>>) {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    (World::on(store.clone(), RocketChatPolicy::default()).await, store)
}

#[tokio::test]
async fn a_crash_before_the_notice_costs_a_code_and_resets_nothing() {
    let world = World::new().await;
    world.host.mail_hangs.store(true, Ordering::SeqCst);
    let request = world.client(ADMIN).reset_of(TARGET.id).code(&ADMIN.recovery_code(0));
    let crashed = tokio::spawn(async move { request.send().await });
    world.host.hanging.notified().await;
    crashed.abort();
    assert!(crashed.await.unwrap_err().is_cancelled());
    world.host.mail_hangs.store(false, Ordering::SeqCst);
    assert_eq!((world.codes_left(ADMIN).await, world.host.removals()), (Some(11), 0));
    let restarted = world.restarted(2);
    assert!(restarted.client(TARGET).is_in().await);
    assert_eq!(restarted.app.finish_due(&TARGET.account(), false).await.unwrap(), 0, "nothing was begun");
    restarted.client(ADMIN).reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.fails("totp-invalid");
    restarted.client(ADMIN).reset_of(TARGET.id).code(&ADMIN.recovery_code(1)).send().await.succeeds();
}

#[tokio::test]
async fn a_notice_that_fails_costs_a_code_and_resets_nothing() {
    let world = World::new().await;
    world.host.mail_down.store(true, Ordering::SeqCst);
    for path in ["users.resetE2EKey", "users.resetTOTP"] {
        let request = world.client(ADMIN).post(path).json(&serde_json::json!({"userId": TARGET.id}));
        let n = usize::from(path == "users.resetTOTP");
        request.code(&ADMIN.recovery_code(n)).send().await.fails("error-email-send-failed");
    }
    assert_eq!((world.codes_left(ADMIN).await, world.codes_left(TARGET).await), (Some(10), Some(12)));
    assert!(world.client(TARGET).is_in().await);
    assert_eq!(world.host.calls().len(), 2, "two look-ups");
}

#[tokio::test]
async fn a_store_that_fails_for_the_target_resets_nothing() {
    let (world, store) = flaky().await;
    let failing = Arc::clone(&store);
    world.host.after_notice(move || failing.randomise(0, Odds::FULL));
    let answer = world.client(ADMIN).reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await;
    assert_eq!(answer.status, 500, "{answer:?}");
    store.calm();
    assert_eq!((world.codes_left(ADMIN).await, world.host.removals()), (Some(11), 0));
    assert!(world.client(TARGET).is_in().await);
}

#[tokio::test]
async fn weakness_12_a_crash_after_the_commit_is_finished_before_the_account_is_served() {
    let world = World::new().await;
    world.host.removal_hangs.store(true, Ordering::SeqCst);
    let request = world.client(ADMIN).reset_of(TARGET.id).code(&world.totp(ADMIN));
    let crashed = tokio::spawn(async move { request.send().await });
    world.host.hanging.notified().await;
    crashed.abort();
    let _ = crashed.await;
    world.host.removal_hangs.store(false, Ordering::SeqCst);
    let restarted = world.restarted(2);
    // Another server may still be at it.
    let answer = restarted.client(TARGET).reset().code(&TARGET.recovery_code(0)).send().await;
    assert_eq!((answer.status, answer.seconds("retry-after")), (503, 1));
    world.clock.advance(CLAIM_LASTS);
    let answer = restarted.client(TARGET).reset().code(&TARGET.recovery_code(0)).send().await;
    assert_eq!(answer.status, 401, "finished first, and the login ended with it: {answer:?}");
    assert_eq!((world.host.removals(), world.codes_left(TARGET).await), (1, Some(12)), "no code is spent");
}

#[tokio::test]
async fn a_host_that_fails_after_the_commit_is_500_and_tried_again() {
    let world = World::new().await;
    world.host.failures.store(2, Ordering::SeqCst);
    let answer = world.client(USER).reset().code(&world.totp(USER)).send().await;
    assert_eq!(answer.status, 500);
    // Nothing of the account is served until it is done: not in the pause after a failure, and not after another one.
    for status in [503, 500] {
        assert_eq!(world.client(USER).request("GET", "users.totpCodesRemaining").send().await.status, status);
        world.clock.advance(2);
    }
    assert_eq!(world.app.finish_due(&USER.account(), false).await.unwrap(), 0, "its pause has grown");
    assert_eq!(world.app.finish_due(&USER.account(), true).await.unwrap(), 1, "a start passes over it");
    assert_eq!((world.host.removals(), world.client(USER).is_in().await), (1, false));
    assert_eq!(world.app.finish_due(&USER.account(), false).await.unwrap(), 0);
}

#[tokio::test]
async fn a_store_fault_denies_and_costs_no_attempt() {
    let (world, store) = flaky().await;
    let client = world.client(ADMIN);
    let before = world.scan().await;
    for fault in [Odds::FULL, Odds::UNREADABLE, Odds::SILENT] {
        store.randomise(0, fault);
        for _ in 0..6 {
            assert_eq!(client.reset().code(&world.wrong_totp(ADMIN)).send().await.status, 500);
            assert_eq!(client.reset().code("AAAAAAAA").send().await.status, 500);
            assert_eq!(client.reset().code(&world.totp(ADMIN)).send().await.status, 500);
            assert_eq!(client.reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.status, 500);
        }
        store.calm();
    }
    assert_eq!((world.scan().await, world.host.calls()), (before, vec![]));
    client.reset().code(&world.totp(ADMIN)).send().await.succeeds();
}

#[tokio::test]
async fn a_host_that_is_down_denies() {
    let world = World::new().await;
    world.host.down.store(true, Ordering::SeqCst);
    assert_eq!(world.client(ADMIN).reset().code(&world.totp(ADMIN)).send().await.status, 500);
    world.host.down.store(false, Ordering::SeqCst);
    world.client(ADMIN).reset().code(&world.totp(ADMIN)).send().await.succeeds();
}

#[tokio::test]
async fn an_account_without_records_is_an_error_and_not_a_fresh_start() {
    let world = World::new().await;
    let stranger = keywright_core::AccountId::new("never-made").unwrap();
    world.host.change(USER.id, |user| user.account = stranger);
    assert_eq!(world.client(USER).reset().send().await.status, 500);
}

#[tokio::test]
async fn what_an_earlier_reset_has_left_is_done_before_the_next() {
    let world = World::new().await;
    world.host.failures.store(1, Ordering::SeqCst);
    let client = world.client(ADMIN);
    assert_eq!(client.reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.status, 500);
    // In the pause after the failure it costs a code, as any failure between the two commits does.
    assert_eq!(client.reset_of(TARGET.id).code(&ADMIN.recovery_code(1)).send().await.status, 503);
    assert_eq!((world.host.removals(), world.count_events(TARGET, "logins_ended").await), (0, 1));
    world.clock.advance(2);
    client.reset_of(TARGET.id).code(&ADMIN.recovery_code(2)).send().await.succeeds();
    assert_eq!(world.host.removals(), 2);
}
