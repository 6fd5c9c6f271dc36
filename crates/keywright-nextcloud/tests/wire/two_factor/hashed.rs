//! Recovery codes that were imported as slow hashes, as tokens of a session.

use keywright_testing::PlainHashes;
use keywright_twofactor::import::{ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::ImportedCodes;
use keywright_twofactor::{ImportedDevice, TotpSecret};
use serde_json::json;

use super::{SEED, charged, code, factors, opened, wrong};
use crate::support::{World, alice, secret};

const CODES: [&str; 3] = ["1a2b3c4d5e6f7a8b", "ffeeddccbbaa9988", "0123456789abcdef"];

async fn world() -> World {
    let world = World::new().await;
    world.with_challenge().await;
    let device = ImportedDevice::new("phone", TotpSecret::from_slice(&SEED).unwrap());
    let codes = ImportedCodes::hashes(CODES.map(PlainHashes::hash_of));
    let user = ImportedUser::new().device(device).recovery(codes);
    let imported = factors(&world).import_user(&alice(), &user).await.unwrap();
    assert!(matches!(imported, ImportOutcome::Imported(_)), "{imported:?}");
    world
}

async fn remaining(world: &World) -> Option<u8> {
    factors(world).enrolled(&alice()).await.unwrap().recovery
}

#[tokio::test]
async fn a_hashed_code_opens_a_session_once() {
    let world = world().await;
    let mut laptop = world.token("laptop");
    laptop.open_with(&secret(1), json!({"backup_codes": "1a2b3c4d5e6f7a8c"})).await.fails(401, "8b4f02b4");
    assert_eq!((world.hashes.compared(), charged(&world, "recovery").await), (3, 1));
    laptop.open_with(&secret(1), json!({"backup_codes": "1a2b-3c4d-5e6f-7a8b"})).await.is(200, opened());
    assert!(laptop.is_authorized().await);
    world.hashes.compared();
    world.token("t1").open_with(&secret(1), json!({"backup_codes": CODES[0]})).await.fails(401, "8b4f02b4");
    assert_eq!((world.hashes.compared(), remaining(&world).await), (0, Some(2)));
}

/// In a request with a wrong token, the right one is neither spent nor charged.
#[tokio::test]
async fn beside_a_wrong_token_a_hashed_code_is_not_spent() {
    let world = world().await;
    let mut laptop = world.token("laptop");
    let both = |totp: &str, backup: &str| json!({"totp": totp, "backup_codes": backup});
    laptop.open_with(&secret(1), both(&wrong(), CODES[0])).await.fails(401, "8b4f02b4");
    assert_eq!((charged(&world, "totp").await, charged(&world, "recovery").await), (1, 0));
    laptop.open_with(&secret(1), both(&code(0), "a-wrong-code")).await.fails(401, "8b4f02b4");
    assert_eq!((charged(&world, "totp").await, charged(&world, "recovery").await), (1, 1));
    assert_eq!(remaining(&world).await, Some(3));
    laptop.open_with(&secret(1), both(&code(0), CODES[0])).await.is(200, opened());
    assert_eq!(remaining(&world).await, Some(2));
}

/// While a guess is compared it counts as pending. That must not refuse this very guess.
#[tokio::test]
async fn the_last_guess_before_a_wait_is_still_checked() {
    let world = world().await;
    for nth in 0..4 {
        let token = json!({"backup_codes": format!("wrong-code-{nth}")});
        world.token("laptop").open_with(&secret(1), token).await.fails(401, "8b4f02b4");
    }
    world.token("laptop").open_with(&secret(1), json!({"backup_codes": CODES[0]})).await.is(200, opened());
    assert_eq!(remaining(&world).await, Some(2));
}

/// The first run of the request finds the token wrong, and its second run answers it.
#[tokio::test]
async fn the_fifth_wrong_token_beside_a_hashed_code_ends_the_app_token() {
    let world = world().await;
    let mut laptop = world.token("laptop");
    for _ in 0..4 {
        let both = json!({"totp": wrong(), "backup_codes": "a-wrong-code"});
        laptop.open_with(&secret(1), both).await.fails(401, "8b4f02b4");
    }
    assert_eq!(world.count_events("app_token_ended").await, 0);
    laptop.open_with(&secret(1), json!({"totp": wrong(), "backup_codes": CODES[0]})).await.waits(403, "b927b225", 30);
    assert_eq!(world.count_events("app_token_ended").await, 1);
    assert_eq!(remaining(&world).await, Some(3));
}
