//! What others lock ends with its secret, and what they repeat costs nothing.

use keywright_rocketchat::RocketChatPolicy;
use keywright_store::Partition;
use serde_json::json;

use crate::enrolment::{enrolled, with_code};
use crate::support::{ADMIN, Row, TARGET, USER, World, code_of};

/// A stolen login guesses until both kinds of code are shut.
async fn shut(world: &World) {
    let thief = world.other_client(USER, 1);
    for _ in 0..50 {
        thief.reset().code(&world.wrong_totp(USER)).send().await.fails("totp-invalid");
        thief.reset().code("AAAAAAAA").send().await.fails("totp-invalid");
        world.clock.advance(3_600);
    }
    assert_eq!(world.count_events(USER, "guesses_shut").await, 2);
    world.clock.advance(10 * 365 * 86_400);
    let client = world.client(USER);
    for code in [world.totp(USER), USER.recovery_code(0)] {
        client.reset().code(&code).send().await.waits(86_400);
    }
}

#[tokio::test]
async fn an_administrators_reset_ends_the_locks_of_what_it_removes() {
    let world = World::new().await;
    shut(&world).await;
    let reset = world.client(ADMIN).post("users.resetTOTP").json(&json!({"userId": USER.id}));
    reset.code(&world.totp(ADMIN)).send().await.succeeds();
    let fresh = world.other_client(USER, 2);
    let (secret, codes) = enrolled(&world, &fresh, USER).await;
    world.clock.advance(30);
    assert_eq!(with_code(&fresh, "users.regenerateTotpCodes", &codes[0]).await.status, 200);
    fresh.post("users.resetE2EKey").code(&code_of(&secret, world.now())).send().await.succeeds();
    let fresh = world.other_client(USER, 3);
    world.clock.advance(30);
    let off = with_code(&fresh, "users.disableTotp", &code_of(&secret, world.now())).await;
    assert_eq!(off.json()["disabled"], json!(true));
}

/// Others have locked the codes, and the owner has a login that passed before: it makes codes that
/// nobody has guessed at.
#[tokio::test]
async fn new_recovery_codes_are_not_locked() {
    let world = World::new().await;
    let owner = world.client(USER);
    owner.reset_of("nobody").code(&world.totp(USER)).send().await.fails("error-not-allowed");
    let thief = world.other_client(USER, 1);
    for _ in 0..50 {
        thief.reset().code("AAAAAAAA").send().await.fails("totp-invalid");
        world.clock.advance(3_600);
    }
    thief.reset().code(&USER.recovery_code(0)).send().await.waits(86_400);
    let made = with_code(&owner, "users.regenerateTotpCodes", &world.totp(USER)).await;
    let codes = made.json()["codes"].as_array().unwrap().clone();
    owner.reset().code(codes[0].as_str().unwrap()).send().await.succeeds();
}

/// Neither the reset of one's own that a mailed code opens, nor that of the keys, lifts a factor's lock.
#[tokio::test]
async fn an_administrators_reset_is_a_way_in_where_mailed_codes_are_all() {
    let world = World::new().await.without_totp(USER).await.with_email(USER).await;
    let mut thief = world.other_client(USER, 1);
    for n in 2..1_000 {
        thief.reset().send().await;
        thief.reset().code("000000").send().await;
        world.clock.advance(3_700);
        if n % 8 == 0 && world.count_events(USER, "guesses_shut").await > 0 {
            break;
        }
        thief = world.other_client(USER, n);
    }
    assert_eq!(world.count_events(USER, "guesses_shut").await, 1);
    world.clock.advance(365 * 86_400);
    let paths = ["users.resetE2EKey", "users.2fa.disableEmail", "users.enableTotp", "users.resetTOTP"];
    for path in paths {
        world.client(USER).post(path).send().await.waits(86_400);
    }
    // The keys' reset is none of the factors.
    let admin = world.client(ADMIN);
    admin.reset_of(USER.id).code(&world.totp(ADMIN)).send().await.succeeds();
    assert_eq!(world.count_events(USER, "guesses_unlocked").await, 0);
    world.clock.advance(30);
    let reset = admin.post("users.resetTOTP").json(&json!({"userId": USER.id}));
    reset.code(&world.totp(ADMIN)).send().await.succeeds();
    assert_eq!(world.count_events(USER, "guesses_unlocked").await, 1);
    let owner = world.other_client(USER, 5_000);
    for path in paths {
        owner.post(path).send().await.fails("totp-required");
        owner.post(path).code(&world.host.last_code()).send().await;
        world.clock.advance(60);
        if !owner.is_in().await {
            break;
        }
    }
    assert!(!owner.is_in().await, "its own keys were reset");
}

/// `docs/security.md` § 6: a recovery code lets its login in at time-based codes, and leaves the device.
#[tokio::test]
async fn a_recovery_code_lets_its_login_in_at_time_based_codes() {
    let world = World::new().await;
    world.guess_wrong(&world.other_client(USER, 1), USER, 5).await;
    let client = world.client(USER);
    client.reset().code(&world.totp(USER)).send().await.waits(30);
    client.reset_of("nobody").code("AAAAAAAA").send().await.fails("totp-invalid");
    client.reset().code(&world.totp(USER)).send().await.waits(30);
    client.reset_of("nobody").code(&USER.recovery_code(0)).send().await.fails("error-not-allowed");
    assert_eq!(world.count_events(USER, "client_admitted").await, 1);
    world.other_client(USER, 2).reset().code(&world.totp(USER)).send().await.waits(30);
    client.reset().code(&world.totp(USER)).send().await.succeeds();
}

#[tokio::test]
async fn a_flood_of_replays_is_counted_and_no_more() {
    let world = World::new().await;
    let client = world.client(ADMIN);
    let codes = [world.totp(ADMIN), ADMIN.recovery_code(0)];
    for code in &codes {
        client.reset_of(TARGET.id).code(code).send().await.succeeds();
        client.reset_of(TARGET.id).code(code).send().await.fails("totp-invalid");
    }
    let (before, events) = (world.scan().await, world.events(ADMIN).await.len());
    for _ in 0..100 {
        for code in &codes {
            client.reset_of(TARGET.id).code(code).send().await.fails("totp-invalid");
        }
    }
    for secret in ["totp", "recovery"] {
        assert_eq!((world.replayed(ADMIN, secret).await, world.charged(ADMIN, secret).await), (101, 0));
    }
    assert_eq!(world.events(ADMIN).await.len(), events, "told once an hour");
    let after = world.scan().await;
    let changed = after.iter().filter(|row| !before.contains(row)).map(|row| row.slot.as_str());
    assert_eq!((after.len(), changed.collect::<Vec<_>>()), (before.len(), vec!["root", "ledger"]));
    let size = |rows: &[Row]| rows.iter().map(|row| row.body.len()).sum::<usize>();
    assert!(size(&after) < size(&before) + 1_000, "a bounded count");
}

#[tokio::test]
async fn beginning_over_and_over_is_one_event() {
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    for _ in 0..20 {
        assert_eq!(client.post("users.enableTotp").code(&ADMIN.password()).send().await.status, 200);
    }
    assert_eq!(world.count_events(ADMIN, "factor_pending").await, 1);
}

/// No code is spent for a device that could not be shown.
#[tokio::test]
async fn a_name_that_makes_no_label_is_said_before_a_code_is_spent() {
    let world = World::email_only().await;
    world.host.change(ADMIN.id, |user| user.username = Some(String::new()));
    let (client, before) = (world.client(ADMIN), world.scan().await);
    client.post("users.enableTotp").send().await.fails("error-not-allowed");
    client.post("users.enableTotp").code("123456").send().await.fails("error-not-allowed");
    assert_eq!((world.scan().await, world.host.codes()), (before, 0));
    // A colon is encoded, in either.
    let policy = RocketChatPolicy::builder().issuer("Rocket:Chat").build().unwrap();
    let world = World::with(policy).await.without_totp(ADMIN).await;
    world.host.change(ADMIN.id, |user| user.username = Some("a:b".into()));
    let begun = world.client(ADMIN).post("users.enableTotp").code(&ADMIN.password()).send().await;
    let (url, label) = (begun.json()["url"].clone(), "otpauth://totp/Rocket%3AChat:a%3Ab?");
    assert!(url.as_str().unwrap().starts_with(label), "{url}");
}

/// `docs/decisions.md` 27a: a wait is reported before the code is checked, its form included, where
/// no code could pass.
#[tokio::test]
async fn a_wait_is_said_for_what_is_no_code_too() {
    let malformed = ["", "12345", "x", "\u{ff11}"];
    let world = World::new().await;
    let (client, thief) = (world.client(USER), world.other_client(USER, 1));
    world.guess_wrong(&thief, USER, 5).await;
    for code in malformed {
        // A recovery code could pass, so it is requested.
        let error = if code.is_empty() { "totp-required" } else { "totp-invalid" };
        client.reset().code(code).send().await.fails(error);
    }
    for _ in 0..5 {
        thief.reset().code("AAAAAAAA").send().await.fails("totp-invalid");
    }
    let before = world.scan().await;
    for code in malformed {
        client.reset().code(code).send().await.waits(30);
        for path in ["users.disableTotp", "users.regenerateTotpCodes"] {
            with_code(&client, path, code).await.waits(30);
        }
    }
    assert_eq!(world.scan().await, before);
    let world = World::password_only().await;
    let client = world.client(ADMIN);
    for _ in 0..5 {
        client.reset().code(&TARGET.password()).send().await.fails("totp-invalid");
    }
    for code in malformed {
        client.reset().code(code).send().await.waits(30);
    }
}

/// Without a login nobody takes a place in the account's queue for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn strangers_do_not_fill_the_owners_queue() {
    let send_again = async |world: &World, name: &str| {
        for _ in 0..100 {
            let request = world.client(TARGET).post("users.2fa.sendEmailCode").json(&json!({"emailOrUsername": name}));
            // It does not wait for the commit that is held up here.
            request.send().await.succeeds();
        }
    };
    let world = World::new().await;
    let gate = world.hooked.hold_commit_of(Partition::account(&USER.account()));
    let owner = tokio::spawn(world.client(USER).reset().code(&world.totp(USER)).send());
    gate.reached().await;
    send_again(&world, USER.name).await;
    gate.release();
    owner.await.unwrap().succeeds();
    // Nor while a code is pending that was sent a moment ago.
    let world = World::email_only().await;
    world.client(ADMIN).reset().send().await.fails("totp-required");
    let gate = world.hooked.hold_commit_of(Partition::account(&ADMIN.account()));
    let owner = tokio::spawn(world.client(ADMIN).reset().code(&world.host.last_code()).send());
    gate.reached().await;
    send_again(&world, ADMIN.name).await;
    gate.release();
    owner.await.unwrap().succeeds();
}
