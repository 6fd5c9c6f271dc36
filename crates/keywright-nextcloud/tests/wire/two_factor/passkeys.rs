//! An account whose only second factor is a passkey, which no client of this protocol can show.

use keywright_core::SessionId;
use keywright_twofactor::{
    AttestedEnrolment, AttestedMethod, EnrolmentStart, FactorChange, StepUpPolicy, Strength, TwoFactor, TwoFactorPolicy,
};
use serde_json::json;

use super::{code, code_at, enrol, opened};
use crate::support::{START, World, alice, secret};

const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);

/// Enrols a passkey through the host's own pages. Returns Alice's recovery codes.
async fn passkey(world: &World) -> Vec<String> {
    let step_up = StepUpPolicy::builder().attested(PASSKEY).build().unwrap();
    let policy = TwoFactorPolicy::builder().step_up(step_up).end_other_logins(false).build().unwrap();
    let factors = TwoFactor::new(world.driver.clone(), policy).unwrap();
    let session = SessionId::new("the host's page");
    let change = FactorChange::first_factor(alice(), session);
    let EnrolmentStart::Begun(challenge) = factors.begin_attested(change, PASSKEY, "key", None).await.unwrap() else {
        panic!("not begun")
    };
    let client = keywright_core::Client::unknown();
    let confirmed = factors.confirm_attested(&alice(), session, challenge.as_bytes(), b"key", client).await.unwrap();
    let AttestedEnrolment::Active { recovery_codes: Some(codes), .. } = confirmed else { panic!("{confirmed:?}") };
    codes.iter().map(String::from).collect()
}

#[tokio::test]
async fn the_passphrase_alone_opens_nothing_and_a_recovery_code_does() {
    let world = World::new().await;
    world.with_challenge().await;
    let codes = passkey(&world).await;
    let mut laptop = world.token("laptop");
    let offered = laptop.get("session/request").await.json()["token"].clone();
    assert_eq!(
        offered.as_array().map(|entries| entries.iter().map(|one| one["id"].clone()).collect()),
        Some(vec![json!("backup_codes")])
    );
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(1), &code_at(START)).await.fails(401, "8b4f02b4");
    let by_code = |code: &str| json!({"challenge": secret(1), "token": {"backup_codes": code}});
    laptop.post("session/open", by_code(&codes[0])).await.is(200, opened());
    world.token("t1").post("session/open", by_code(&codes[0])).await.fails(401, "8b4f02b4");
    // Without a code that is left, nobody gets in here.
    for code in &codes[1..] {
        world.clock.advance(60);
        world.token("t1").post("session/open", by_code(code)).await.is(200, opened());
    }
    let mut tablet = world.token("t1");
    assert_eq!(tablet.get("session/request").await.json()["token"][0]["id"], "backup_codes");
    tablet.open(&secret(1)).await.fails(401, "c0980e3c");
    tablet.post("session/open", by_code(&codes[0])).await.fails(401, "8b4f02b4");
}

/// Beside a device, its code stands in for the passkey.
#[tokio::test]
async fn beside_a_device_its_code_is_enough() {
    let world = World::new().await;
    world.with_challenge().await;
    passkey(&world).await;
    enrol(&world).await;
    let mut laptop = world.token("laptop");
    let offered = laptop.get("session/request").await.json()["token"].clone();
    assert_eq!((&offered[0]["id"], &offered[1]["id"]), (&json!("totp"), &json!("backup_codes")));
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(1), &code(0)).await.is(200, opened());
}
