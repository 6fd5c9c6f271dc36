//! An account whose only second factor is a passkey, which no client of this protocol can show.

use keywright_core::SessionId;
use keywright_librepass::UserId;
use keywright_twofactor::{
    AttestedEnrolment, AttestedMethod, DeviceImport, EnrolmentStart, FactorChange, ImportedDevice, StepUpPolicy,
    Strength, TotpSecret, TwoFactor, TwoFactorPolicy,
};
use serde_json::{Value, json};

use crate::support::{Answer, Client, World, alice, code_of};

const PASSKEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);
const SECRET: [u8; 20] = [7; 20];

/// Enrols a passkey through the host's own pages. Returns the recovery codes, which have another
/// form than this protocol's.
async fn passkey(world: &World, user: &UserId) -> Vec<String> {
    let step_up = StepUpPolicy::builder().attested(PASSKEY).build().unwrap();
    let policy = TwoFactorPolicy::builder().step_up(step_up).end_other_logins(false).build().unwrap();
    let factors = TwoFactor::new(world.driver.clone(), policy).unwrap();
    let (account, session) = (user.account(), SessionId::new("the host's page"));
    let change = FactorChange::first_factor(account.clone(), session);
    let EnrolmentStart::Begun(challenge) = factors.begin_attested(change, PASSKEY, "key", None).await.unwrap() else {
        panic!("not begun")
    };
    let client = keywright_core::Client::unknown();
    let confirmed = factors.confirm_attested(account, session, challenge.as_bytes(), b"key", client).await.unwrap();
    let AttestedEnrolment::Active { recovery_codes: Some(codes), .. } = confirmed else { panic!("{confirmed:?}") };
    codes.iter().map(String::from).collect()
}

/// A token that waits for its second factor.
async fn waiting(world: &World) -> (String, Client) {
    let body = world.log_in(&alice()).await.ok();
    assert_eq!(body["verified"], false);
    let token = body["apiKey"].as_str().unwrap().to_owned();
    (token.clone(), world.client().with_token(&token))
}

async fn delete(world: &World, client: &Client, code: Value) -> Answer {
    let body = json!({"sharedKey": alice().shared(&world.server_key().await), "code": code});
    client.request("DELETE", "/api/user/delete").json(&body).send().await
}

#[tokio::test]
async fn the_shared_key_alone_lets_nobody_in_and_a_recovery_code_does() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let codes = passkey(&world, &user).await;
    let (token, client) = waiting(&world).await;
    assert!(!client.is_in().await);
    client.prove(&token, &code_of(&SECRET, world.now())).await.fails(400, "LP-Invalid-Two-Factor");
    client.prove(&token, &codes[0]).await.is_empty();
    assert!(client.is_in().await);
    let (token, client) = waiting(&world).await;
    client.prove(&token, &codes[0]).await.fails(400, "LP-Invalid-Two-Factor");
    assert!(!client.is_in().await);
}

#[tokio::test]
async fn the_shared_key_alone_deletes_nothing() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let codes = passkey(&world, &user).await;
    let (token, client) = waiting(&world).await;
    client.prove(&token, &codes[0]).await.is_empty();
    for code in [Value::Null, json!(""), json!("123456"), json!(codes[0])] {
        delete(&world, &client, code).await.fails(400, "LP-Invalid-Two-Factor");
    }
    delete(&world, &client, json!(codes[1])).await.is_empty();
}

/// A device is set up by a login that has proven itself since the passkey was enrolled.
#[tokio::test]
async fn a_login_from_before_the_passkey_sets_up_no_device() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let before = world.client_of(&alice()).await;
    let codes = passkey(&world, &user).await;
    world.clock.advance(60);
    let set_up = async |client: &Client| {
        let secret = TotpSecret::from_slice(&SECRET).unwrap().to_base32().expose().to_owned();
        let code = code_of(&SECRET, world.now());
        let body = json!({"sharedKey": alice().shared(&world.server_key().await), "secret": secret, "code": code});
        client.post("/api/user/setup/2fa").json(&body).send().await
    };
    set_up(&before).await.fails(401, "LP-Invalid-Token");
    let (token, client) = waiting(&world).await;
    client.prove(&token, &codes[0]).await.is_empty();
    set_up(&client).await.ok();
}

/// A login that the code of a device has proven sets up nothing beside a passkey: its recovery code
/// would stand in for the passkey.
#[tokio::test]
async fn a_code_of_a_device_changes_no_factors_beside_a_passkey() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let codes = passkey(&world, &user).await;
    world
        .step(user.account(), |draft| {
            let device = ImportedDevice::new("app", TotpSecret::from_slice(&SECRET).unwrap());
            assert!(matches!(world.factors().import_device_in(draft, &device)?, DeviceImport::Imported(_)));
            Ok(())
        })
        .await;
    let set_up = async |client: &Client| {
        let new = [8; 20];
        let secret = TotpSecret::from_slice(&new).unwrap().to_base32().expose().to_owned();
        let code = code_of(&new, world.now());
        let body = json!({"sharedKey": alice().shared(&world.server_key().await), "secret": secret, "code": code});
        client.post("/api/user/setup/2fa").json(&body).send().await
    };
    let (token, client) = waiting(&world).await;
    client.prove(&token, &code_of(&SECRET, world.now())).await.is_empty();
    assert!(client.is_in().await);
    set_up(&client).await.fails(401, "LP-Invalid-Token");
    let (token, client) = waiting(&world).await;
    client.prove(&token, &codes[0]).await.is_empty();
    set_up(&client).await.ok();
}
