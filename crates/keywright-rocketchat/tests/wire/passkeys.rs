//! A user whose only second factor is a passkey, which no client of this protocol can show.

use keywright_core::SessionId;
use keywright_rocketchat::RocketChatPolicy;
use keywright_twofactor::{
    AttestedEnrolment, AttestedMethod, DeviceImport, EnrolmentStart, FactorChange, ImportedDevice, StepUpPolicy,
    Strength, TotpSecret, TwoFactor, TwoFactorPolicy,
};
use serde_json::json;

use crate::support::{ADMIN, Answer, World};

const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);

/// Enrols a passkey through the host's own pages. Returns the admin's recovery codes.
async fn passkey(world: &World) -> Vec<String> {
    let step_up = StepUpPolicy::builder().attested(PASSKEY).build().unwrap();
    let policy = TwoFactorPolicy::builder().step_up(step_up).end_other_logins(false).build().unwrap();
    let factors = TwoFactor::new(world.driver.clone(), policy).unwrap();
    let (account, session) = (ADMIN.account(), SessionId::new("the host's page"));
    let change = FactorChange::first_factor(account.clone(), session);
    let EnrolmentStart::Begun(challenge) = factors.begin_attested(change, PASSKEY, "key", None).await.unwrap() else {
        panic!("not begun")
    };
    let client = keywright_core::Client::unknown();
    let confirmed = factors.confirm_attested(&account, session, challenge.as_bytes(), b"key", client).await.unwrap();
    let AttestedEnrolment::Active { recovery_codes: Some(codes), .. } = confirmed else { panic!("{confirmed:?}") };
    codes.iter().map(String::from).collect()
}

fn is_refused(answer: &Answer, error: &str) {
    assert_eq!((answer.status, &answer.json()["error"]), (401, &json!(error)), "{answer:?}");
}

#[tokio::test]
async fn the_password_alone_logs_nobody_in_and_a_recovery_code_does() {
    let world = World::password_only().await;
    let codes = passkey(&world).await;
    is_refused(&world.log_in(ADMIN).send().await, "totp-required");
    is_refused(&world.log_in_with(ADMIN, "123456").send().await, "totp-invalid");
    let answer = world.log_in_with(ADMIN, &codes[0]).send().await;
    assert_eq!(answer.status, 200);
    assert!(world.client_of(&answer).is_in().await);
    is_refused(&world.log_in_with(ADMIN, &codes[0]).send().await, "totp-invalid");
    // Without a code that is left, nobody gets in here.
    for code in &codes[1..] {
        world.clock.advance(60);
        assert_eq!(world.log_in_with(ADMIN, code).send().await.status, 200);
    }
    is_refused(&world.log_in(ADMIN).send().await, "totp-required");
}

/// A login that is there already changes no factors with the password alone.
#[tokio::test]
async fn the_password_does_not_stand_in_for_the_passkey() {
    let world = World::password_only().await;
    let codes = passkey(&world).await;
    let client = world.client(ADMIN);
    client.reset().send().await.fails("totp-required");
    client.reset().method("password").code(&ADMIN.password()).send().await.fails("totp-invalid");
    assert_eq!(client.reset().code(&codes[0]).send().await.status, 200);
}

/// A host that switches second factors off for this protocol has decided so itself.
#[tokio::test]
async fn a_protocol_without_second_factors_requires_none() {
    let world = World::with(RocketChatPolicy::builder().enabled(false).build().unwrap()).await;
    let world = world.without_totp(ADMIN).await;
    passkey(&world).await;
    assert_eq!(world.log_in(ADMIN).send().await.status, 200);
}

/// The code of an app gets in beside a passkey, but takes it and the recovery codes from nobody.
#[tokio::test]
async fn a_code_of_an_app_changes_no_factors_beside_a_passkey() {
    let world = World::password_only().await;
    let codes = passkey(&world).await;
    world
        .step(ADMIN, |draft| {
            let device = ImportedDevice::new("app", TotpSecret::from_slice(&ADMIN.secret()).unwrap());
            assert!(matches!(world.factors().import_device_in(draft, &device)?, DeviceImport::Imported(_)));
            Ok(())
        })
        .await;
    let answer = world.log_in_with(ADMIN, &world.totp(ADMIN)).send().await;
    assert_eq!(answer.status, 200);
    world.clock.advance(30);
    let client = world.client(ADMIN);
    let with_code = async |path: &str, code: &str| client.post(path).json(&json!({"code": code})).send().await;
    with_code("users.disableTotp", &world.totp(ADMIN)).await.is(200, json!({"success": true, "disabled": false}));
    with_code("users.regenerateTotpCodes", &world.totp(ADMIN)).await.fails("invalid-totp");
    client.post("users.resetTOTP").code(&world.totp(ADMIN)).send().await.fails("totp-invalid");
    // None of them spent the code.
    assert_eq!(world.log_in_with(ADMIN, &world.totp(ADMIN)).send().await.status, 200);
    with_code("users.disableTotp", &codes[0]).await.is(200, json!({"success": true, "disabled": true}));
}
