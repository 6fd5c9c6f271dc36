//! Recovery codes that were imported as slow hashes: the server's verifier compares them, in between
//! two commits.

use keywright_core::Client as Guesser;
use keywright_librepass::{NetworkAdmission, Token, UserId};
use keywright_store::{Draft, StepError};
use keywright_testing::PlainHashes;
use keywright_twofactor::import::{ImportOutcome, ImportedUser};
use keywright_twofactor::recovery::ImportedCodes;
use keywright_twofactor::{CodeKind, ImportedDevice, SLOTS, TotpSecret};

use crate::support::{World, alice, at_once, on_both};

const CODES: [&str; 3] = ["1a2b3c4d5e6f7a8b", "ffeeddccbbaa9988", "0123456789abcdef"];

async fn run<T: Send>(
    world: &World,
    user: &UserId,
    step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
) -> T {
    world.driver.transact(&user.account().into(), SLOTS, step).await.unwrap()
}

/// Alice with a device and hashed recovery codes.
async fn imported(world: &World) -> UserId {
    let user = world.settle(&alice()).await;
    let device = ImportedDevice::new("app", TotpSecret::from_slice(&[7; 20]).unwrap());
    let codes = ImportedCodes::hashes(CODES.map(PlainHashes::hash_of));
    let factors = ImportedUser::new().device(device).recovery(codes);
    let imported = run(world, &user, |draft| world.factors().import_user_in(draft, &factors)).await;
    assert!(matches!(imported, ImportOutcome::Imported(_)), "{imported:?}");
    user
}

/// A token that waits for its second factor.
async fn waiting(world: &World) -> String {
    world.log_in(&alice()).await.ok()["apiKey"].as_str().unwrap().to_owned()
}

async fn remaining(world: &World, user: &UserId) -> Option<u8> {
    run(world, user, |draft| world.factors().enrolled_in(draft)).await.recovery
}

#[tokio::test]
async fn a_hashed_code_opens_one_token_once() {
    let world = World::new().await;
    let user = imported(&world).await;
    let (one, two) = (waiting(&world).await, waiting(&world).await);
    world.client().prove(&one, "1a2b3c4d5e6f7a8c").await.fails(400, "LP-Invalid-Two-Factor");
    assert_eq!((world.hashes.compared(), world.count_events(&user, "guess_denied").await), (3, 1));
    world.client().prove(&one, "1a2b-3c4d-5e6f-7a8b").await.is_empty();
    assert!(world.client().with_token(&one).is_in().await);
    world.hashes.compared();
    world.client().prove(&two, CODES[0]).await.fails(400, "LP-Invalid-Two-Factor");
    assert!(!world.client().with_token(&two).is_in().await);
    // Whoever has proven it, or has no token, makes nobody compute.
    world.client().prove(&one, CODES[1]).await.is_empty();
    world.client().prove("nobody's", CODES[1]).await.fails(401, "LP-Invalid-Token");
    assert_eq!((world.hashes.compared(), remaining(&world, &user).await), (0, Some(2)));
}

#[tokio::test]
async fn a_hashed_code_admits_a_network() {
    let world = World::new().await;
    let user = imported(&world).await;
    let token = waiting(&world).await;
    world.client().prove(&token, CODES[0]).await.is_empty();
    let (token, address) = (Token::parse(&token).unwrap(), "203.0.113.9".parse().unwrap());
    let admit = async |code| world.app.admit_network_at_codes(&token, code, CodeKind::Totp, address).await.unwrap();
    assert_eq!(admit(CODES[0]).await, NetworkAdmission::Denied, "it is spent");
    assert_eq!(admit(CODES[1]).await, NetworkAdmission::Admitted);
    assert_eq!(remaining(&world, &user).await, Some(1));
}

#[tokio::test]
async fn a_busy_verifier_is_a_busy_server_and_charges_nothing() {
    let world = World::new().await;
    let user = imported(&world).await;
    let token = waiting(&world).await;
    world.hashes.set_busy(true);
    for _ in 0..20 {
        assert_eq!(world.client().prove(&token, CODES[0]).await.status, 503);
    }
    world.hashes.set_busy(false);
    world.client().prove(&token, CODES[0]).await.is_empty();
    assert_eq!(world.count_events(&user, "guess_denied").await, 0);
    let refusal = run(&world, &user, |draft| world.factors().recovery_refusal_in(draft, Guesser::unknown()));
    assert!(refusal.await.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_tokens_with_one_hashed_code_one_is_opened() {
    on_both(async |world: World| {
        let user = imported(&world).await;
        let mut tokens = Vec::new();
        for _ in 0..16 {
            tokens.push(waiting(&world).await);
        }
        let answers = at_once(16, |n| {
            let (client, token) = (world.client(), tokens[n].clone());
            async move { client.prove(&token, CODES[0]).await }
        });
        let passed = answers.await.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((passed, remaining(&world, &user).await), (1, Some(2)));
    })
    .await;
}
