//! The login password as the second factor of a user who has enrolled nothing.

use std::sync::atomic::Ordering;

use keywright_core::ledger::policy::VERDICT_SECONDS;
use keywright_rocketchat::RocketChatPolicy;
use keywright_store::due::CLAIM_LASTS;
use serde_json::json;

use crate::support::{ADMIN, Call, TARGET, USER, World};

fn compared(world: &World) -> usize {
    world.host.count(|call| matches!(call, Call::Password(_)))
}

#[tokio::test]
async fn a_right_digest_passes_and_is_not_counted() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    for _ in 0..20 {
        client.reset_of(TARGET.id).code(&ADMIN.password()).method("password").send().await.succeeds();
    }
    assert_eq!((world.host.removals(), world.charged(ADMIN, "login-password").await), (20, 0));
}

#[tokio::test]
async fn the_fifth_wrong_digest_begins_a_wait_and_then_none_is_compared() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    for _ in 0..5 {
        client.reset().code(&TARGET.password()).method("password").send().await.fails("totp-invalid");
    }
    client.reset().code(&ADMIN.password()).method("password").send().await.waits(30);
    client.reset().send().await.waits(30);
    assert_eq!((compared(&world), world.charged(ADMIN, "login-password").await), (5, 5));
    world.clock.advance(30);
    client.reset().code(&ADMIN.password()).method("password").send().await.succeeds();
}

#[tokio::test]
async fn what_is_no_digest_is_no_guess() {
    let world = World::password_only().await;
    let (client, before) = (world.client(ADMIN), world.scan().await);
    let digest = ADMIN.password();
    for code in
        ["password-planted-admin", &digest[1..], &format!("{digest}0"), &digest.replace(|_| true, "g"), "123456"]
    {
        for _ in 0..6 {
            client.reset().code(code).method("password").send().await.fails("totp-invalid");
        }
    }
    assert_eq!((world.scan().await, compared(&world)), (before, 0));
}

#[tokio::test]
async fn a_digest_that_the_host_could_not_check_is_charged_in_time() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    world.host.broken_hash.store(true, Ordering::SeqCst);
    for _ in 0..4 {
        assert_eq!(client.reset().code(&ADMIN.password()).send().await.status, 500);
    }
    // Four are open: no further one begins, and a client without a code is still asked for one.
    let answer = client.reset().code(&ADMIN.password()).send().await;
    assert_eq!((answer.status, answer.seconds("retry-after")), (503, 1));
    client.reset().send().await.fails("totp-required");
    world.host.broken_hash.store(false, Ordering::SeqCst);
    assert_eq!(client.reset().code(&ADMIN.password()).send().await.status, 503);
    // None of them ever has a verdict: they count as wrong.
    world.clock.advance(VERDICT_SECONDS);
    client.reset().code(&TARGET.password()).send().await.fails("totp-invalid");
    client.reset().code(&ADMIN.password()).send().await.waits(30);
}

#[tokio::test]
async fn it_never_replaces_what_is_enrolled() {
    let world = World::email_only().await;
    let client = world.client(ADMIN);
    let answer = client.reset().code(&ADMIN.password()).method("password").send().await;
    assert_eq!(answer.fails("totp-invalid").json()["details"]["method"], json!("email"));
    assert_eq!(compared(&world), 0);
}

#[tokio::test]
async fn with_the_fallback_off_nobody_passes_by_it() {
    let policy = RocketChatPolicy::builder().password_fallback(false).build().unwrap();
    let world = World::with(policy).await.without_totp(ADMIN).await;
    let client = world.client(ADMIN);
    client.reset().send().await.fails("totp-required");
    client.reset().code(&ADMIN.password()).method("password").send().await.fails("totp-invalid");
    assert_eq!((compared(&world), world.host.removals()), (0, 0));
}

#[tokio::test]
async fn a_factor_that_is_switched_off_is_not_asked_for() {
    let policy = RocketChatPolicy::builder().by_totp(false).by_email(false).build().unwrap();
    let world = World::with(policy).await.with_email(ADMIN).await;
    let answer = world.client(ADMIN).reset().send().await;
    assert_eq!(answer.fails("totp-required").json()["details"]["method"], json!("password"));
}

/// Another server ends the login while the host compares: the right password no longer acts, and costs nothing.
#[tokio::test]
async fn a_login_that_ends_meanwhile_does_not_act() {
    let world = World::password_only().await;
    world.host.slow_hash.store(true, Ordering::SeqCst);
    let request = world.client(ADMIN).reset().code(&ADMIN.password()).method("password");
    let late = tokio::spawn(async move { request.send().await });
    world.host.hanging.notified().await;
    world.host.slow_hash.store(false, Ordering::SeqCst);
    world.restarted(2).client(ADMIN).reset().code(&ADMIN.password()).send().await.succeeds();
    world.host.go.notify_one();
    assert_eq!((late.await.unwrap().status, world.host.removals()), (401, 1));
    assert_eq!(world.charged(ADMIN, "login-password").await, 0);
}

/// Another server enrols a device while the host compares: the password no longer counts.
#[tokio::test]
async fn what_is_enrolled_meanwhile_is_asked_for() {
    let world = World::password_only().await;
    world.host.slow_hash.store(true, Ordering::SeqCst);
    let request = world.client(ADMIN).reset().code(&ADMIN.password()).method("password");
    let answer = tokio::spawn(async move { request.send().await });
    world.host.hanging.notified().await;
    world.restarted(2).enrol(ADMIN).await;
    world.host.go.notify_one();
    let answer = answer.await.unwrap();
    assert_eq!(answer.fails("totp-required").json()["details"]["method"], json!("totp"));
    assert_eq!((world.host.removals(), world.charged(ADMIN, "login-password").await), (0, 0));
    world.client(ADMIN).reset().code(&world.totp(ADMIN)).send().await.succeeds();
}

/// A request of the account commits while the host compares: nothing of the account is held (finding B3).
#[tokio::test]
async fn a_slow_hash_holds_up_nobody() {
    let world = World::password_only().await;
    world.host.slow_hash.store(true, Ordering::SeqCst);
    let slow = tokio::spawn(world.client(ADMIN).reset_of(TARGET.id).code(&ADMIN.password()).send());
    world.host.hanging.notified().await;
    world.host.slow_hash.store(false, Ordering::SeqCst);
    let other = world.other_client(ADMIN, 1);
    other.reset_of(TARGET.id).code(&ADMIN.password()).send().await.succeeds();
    other.reset_of(TARGET.id).code(&USER.password()).send().await.fails("totp-invalid");
    world.host.go.notify_one();
    slow.await.unwrap().succeeds();
    assert_eq!((world.host.removals(), world.charged(ADMIN, "login-password").await), (2, 1));
}

/// The verdict comes when the guess was charged already: it grants nothing, right as it is.
#[tokio::test]
async fn a_verdict_that_comes_too_late_grants_nothing() {
    for (late, granted) in [(VERDICT_SECONDS - 1, true), (VERDICT_SECONDS, false), (10 * VERDICT_SECONDS, false)] {
        let world = World::password_only().await;
        world.host.slow_hash.store(true, Ordering::SeqCst);
        let request = tokio::spawn(world.client(ADMIN).reset().code(&ADMIN.password()).send());
        world.host.hanging.notified().await;
        world.host.slow_hash.store(false, Ordering::SeqCst);
        world.clock.advance(late);
        world.host.go.notify_one();
        let answer = request.await.unwrap();
        if granted {
            answer.succeeds();
        } else {
            answer.fails("totp-invalid");
        }
        assert_eq!(world.host.removals(), usize::from(granted), "{late}");
    }
}

/// The wrong verdict of one that is too late is not charged twice.
#[tokio::test]
async fn a_wrong_verdict_that_comes_too_late_is_charged_once() {
    let world = World::password_only().await;
    world.host.slow_hash.store(true, Ordering::SeqCst);
    let request = tokio::spawn(world.client(ADMIN).reset().code(&USER.password()).send());
    world.host.hanging.notified().await;
    world.host.slow_hash.store(false, Ordering::SeqCst);
    world.clock.advance(VERDICT_SECONDS);
    for _ in 0..3 {
        world.client(ADMIN).reset().code(&USER.password()).send().await.fails("totp-invalid");
    }
    world.host.go.notify_one();
    request.await.unwrap().fails("totp-invalid");
    // One late and three others: a fifth is checked, a sixth is not.
    world.client(ADMIN).reset().code(&USER.password()).send().await.fails("totp-invalid");
    world.client(ADMIN).reset().code(&ADMIN.password()).send().await.waits(30);
}

/// Nothing of the account is held while a method of the host runs: each of them changes the account by the same driver.
#[tokio::test]
async fn a_host_may_use_the_driver_on_the_same_account() {
    let world = World::password_only().await;
    world.host.use_driver(world.driver.clone());
    let client = world.client(ADMIN);
    let touched = async || world.count_events(ADMIN, "touched").await;
    // Compares, and ends the other logins.
    client.post("users.2fa.enableEmail").code(&ADMIN.password()).send().await.succeeds();
    assert_eq!(touched().await, 2);
    // Mails, and removes the keys.
    client.reset().send().await.fails("totp-required");
    client.reset().code(&world.host.last_code()).send().await.succeeds();
    assert_eq!((touched().await, world.host.removals()), (4, 1));
    world.clock.advance(CLAIM_LASTS);
    assert_eq!(world.app.finish_due(&ADMIN.account(), false).await.unwrap(), 0, "nothing is left");
}
