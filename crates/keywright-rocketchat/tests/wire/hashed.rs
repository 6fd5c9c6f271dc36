//! Recovery codes that were imported as slow hashes: the server's verifier compares them, in between
//! two commits.

use std::sync::Arc;

use keywright_testing::PlainHashes;
use keywright_twofactor::import::{ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::ImportedCodes;
use keywright_twofactor::{ImportedDevice, TotpSecret};
use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{ADMIN, TARGET, World};

const CODES: [&str; 4] = ["1a2b3c4d5e6f7a8b", "ffeeddccbbaa9988", "0123456789abcdef", "314159"];

/// The admin with a device and hashed recovery codes, one of which looks like a time-based code.
async fn world() -> World {
    let world = World::password_only().await;
    let device = ImportedDevice::new("app", TotpSecret::from_slice(&ADMIN.secret()).unwrap());
    let codes = ImportedCodes::hashes(CODES.map(PlainHashes::hash_of));
    let user = ImportedUser::new().device(device).recovery(codes);
    let imported = world.two_factor().import_user(&ADMIN.account(), &user).await.unwrap();
    assert!(matches!(imported, ImportOutcome::Imported(_)), "{imported:?}");
    world
}

#[tokio::test]
async fn a_hashed_code_logs_in_once() {
    let world = world().await;
    assert_eq!(world.log_in_with(ADMIN, "1a2b-3c4d-5e6f-7a8c").send().await.status, 401);
    assert_eq!((world.hashes.compared(), world.charged(ADMIN, "recovery").await), (4, 1));
    let answer = world.log_in_with(ADMIN, "1a2b-3c4d-5e6f-7a8b").send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(world.client_of(&answer).is_in().await);
    assert_eq!((world.hashes.compared(), world.codes_left(ADMIN).await), (4, Some(3)));
    // A replay is known without a comparison, and costs nothing.
    assert_eq!(world.log_in_with(ADMIN, CODES[0]).send().await.status, 401);
    assert_eq!(world.hashes.compared(), 0);
    assert_eq!((world.charged(ADMIN, "recovery").await, world.charged(ADMIN, "login-password").await), (1, 0));
    // Without the password nothing is compared.
    let body = json!({"user": ADMIN.name, "password": "wrong", "code": CODES[1]});
    assert_eq!(world.call("login", &body).send().await.status, 401);
    assert_eq!((world.hashes.compared(), world.codes_left(ADMIN).await), (0, Some(3)));
}

#[tokio::test]
async fn acts_and_challenges_take_them_too() {
    let world = world().await;
    let client = world.client(ADMIN);
    client.reset().code("wrong-but-well-formed").send().await.fails("totp-invalid");
    client.reset().code(CODES[1]).send().await.succeeds();
    let made = world.app.create_challenge(&ADMIN.account()).await.unwrap().unwrap();
    for (code, status) in [("another-wrong-code", 400), (CODES[2], 200)] {
        let body = json!({"challengeId": made.id.expose(), "code": code});
        assert_eq!(world.call("twoFactorChallenges.verifyChallenge", &body).send().await.status, status);
    }
    assert_eq!((world.charged(ADMIN, "recovery").await, world.codes_left(ADMIN).await), (2, Some(2)));
}

/// Six digits are checked as a time-based code first. They are charged once, and not at all if they
/// are a recovery code.
#[tokio::test]
async fn a_hashed_code_of_six_digits_is_checked_as_both() {
    let world = world().await;
    let wrong = world.wrong_totp(ADMIN);
    assert_eq!(world.log_in_with(ADMIN, &wrong).send().await.status, 401);
    assert_eq!((world.charged(ADMIN, "totp").await, world.charged(ADMIN, "recovery").await), (1, 0));
    assert_eq!(world.log_in_with(ADMIN, CODES[3]).send().await.status, 200);
    assert_eq!((world.charged(ADMIN, "totp").await, world.charged(ADMIN, "recovery").await), (1, 0));
    // Nothing is left pending, which would be charged later.
    world.clock.advance(3_600);
    assert_eq!(world.log_in_with(ADMIN, CODES[2]).send().await.status, 200);
    assert_eq!(world.charged(ADMIN, "recovery").await, 0);
}

/// While a guess is compared it counts as pending. That must not refuse this very guess: the fifth
/// one is the last before a wait.
#[tokio::test]
async fn the_last_guess_before_a_wait_is_still_checked() {
    let world = world().await;
    for nth in 0..4 {
        assert_eq!(world.log_in_with(ADMIN, &format!("wrong-code-{nth}")).send().await.status, 401);
    }
    assert_eq!(world.log_in_with(ADMIN, CODES[0]).send().await.status, 200);
    for nth in 0..5 {
        assert_eq!(world.log_in_with(ADMIN, &format!("wrong-code-{nth}")).send().await.status, 401);
    }
    world.hashes.compared();
    assert_eq!(world.log_in_with(ADMIN, CODES[1]).send().await.status, 429);
    assert_eq!(world.hashes.compared(), 0, "a refused guess costs no hash");
    world.clock.advance(30);
    assert_eq!(world.log_in_with(ADMIN, CODES[1]).send().await.status, 200);
}

#[tokio::test]
async fn a_busy_verifier_charges_neither_code_nor_password() {
    let world = world().await;
    world.hashes.set_busy(true);
    for _ in 0..20 {
        assert_eq!(world.log_in_with(ADMIN, CODES[0]).send().await.status, 503);
        assert_eq!(world.client(ADMIN).reset().code(CODES[0]).send().await.status, 503);
    }
    world.hashes.set_busy(false);
    // Whatever was left pending would be charged by now.
    world.clock.advance(600);
    assert_eq!(world.log_in_with(ADMIN, CODES[0]).send().await.status, 200);
    assert_eq!((world.charged(ADMIN, "recovery").await, world.charged(ADMIN, "login-password").await), (0, 0));
    let ledger = world.of(ADMIN.account()).ledger().await;
    assert!(!format!("{ledger:?}").contains("streak: 1"), "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_with_one_hashed_code_one_is_granted() {
    let world = world().await;
    let start = Arc::new(Barrier::new(16));
    let mut set = JoinSet::new();
    for _ in 0..16 {
        // An act on another's account, which ends none of the logins that race.
        let (start, sending) = (Arc::clone(&start), world.client(ADMIN).reset_of(TARGET.id).code(CODES[0]));
        set.spawn(async move {
            start.wait().await;
            sending.send().await.status
        });
    }
    let statuses = set.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    // The others were wrong by then, or too many at a time: nobody is told to wait for minutes.
    assert!(statuses.iter().all(|status| [200, 400, 503].contains(status)), "{statuses:?}");
    assert_eq!((world.host.removals(), world.host.notices(), world.codes_left(ADMIN).await), (1, 1, Some(3)));
}
