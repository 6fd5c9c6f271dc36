//! No secret in any log or any `Debug`, whatever happens.

use std::sync::atomic::Ordering;

use keywright_testing::{CapturedLog, Secrets};
use serde_json::json;

use crate::support::{ADMIN, TARGET, USER, World};

#[tokio::test]
async fn a_full_life_with_every_failure_logs_no_secret() {
    let log = CapturedLog::begin();
    let world = World::new().await.with_email(ADMIN).await;
    let client = world.client(ADMIN);
    let mut planted: Vec<String> = [ADMIN, USER, TARGET].map(|person| person.token()).to_vec();
    planted.extend([ADMIN.password(), ADMIN.email.into(), TARGET.email.into(), "planted-code".into()]);
    planted.extend(ADMIN.recovery_codes());
    client.reset().code("planted-code").send().await.fails("totp-invalid");
    client.reset().method("email").send().await.fails("totp-required");
    planted.push(world.host.last_code());
    client.reset().code(&ADMIN.password()).send().await.fails("totp-invalid");
    for body in ["{\"userId\":\"json-planted", "json-planted", "[\"json-planted\"]", "{\"json-planted\":1}"] {
        client.post("users.resetE2EKey").raw("application/json", body).send().await.fails("invalid-params");
    }
    planted.push("json-planted".into());
    client.post("query-planted?query-planted").send().await;
    planted.push("query-planted".into());
    world.host.mail_down.store(true, Ordering::SeqCst);
    client.reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.fails("error-email-send-failed");
    world.host.mail_down.store(false, Ordering::SeqCst);
    world.host.failures.store(1, Ordering::SeqCst);
    let code = world.totp(ADMIN);
    assert_eq!(client.reset_of(TARGET.id).code(&code).send().await.status, 500);
    planted.push(code);
    client.post("users.disableTotp").json(&json!({"code": ADMIN.recovery_code(1)})).send().await;
    let begun = client.post("users.enableTotp").method("email").send().await;
    planted.extend(begun.json()["secret"].as_str().map(String::from));
    world.host.down.store(true, Ordering::SeqCst);
    assert_eq!(client.reset().send().await.status, 500);
    client.post("users.2fa.sendEmailCode").json(&json!({"emailOrUsername": ADMIN.email})).send().await.succeeds();
    let log = log.end();
    // Not empty: the failures are there, with the endpoint that was matched.
    for line in ["request failed", "users.resetE2EKey", "a notice was not mailed", "a code was not sent again"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    Secrets::from_iter(planted).are_absent_from("the log", &log);
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let world = World::new().await;
    let user = keywright_rocketchat::User::new(USER.account(), "name-planted")
        .with_verified_emails(vec!["planted@example.com".into()]);
    let named = keywright_rocketchat::Named::EmailOrUsername("planted@example.com");
    let login = keywright_rocketchat::Login::new(user.clone(), keywright_rocketchat::LoginTokenId("id".into()));
    let shown = format!("{:?} {:?} {user:?} {named:?} {login:?}", world.app, world.policy);
    assert!(shown.starts_with("RocketChat {"), "{shown}");
    assert!(!shown.contains("planted"), "{shown}");
}

#[tokio::test]
async fn weaknesses_4_and_5_nothing_of_a_secret_lies_in_the_store_in_clear() {
    let world = World::new().await.with_email(ADMIN).await;
    world.client(ADMIN).reset().method("email").send().await.fails("totp-required");
    let code = world.host.last_code().replace('-', "");
    let secrets = Secrets::from_iter([ADMIN.secret()]);
    secrets.plant_all(ADMIN.recovery_codes().iter().chain([&code, &ADMIN.token()]));
    for row in world.scan().await {
        secrets.are_absent_from(&row.slot, &row.body);
    }
    let events = serde_json::to_string(&world.events(ADMIN).await).unwrap();
    assert!(events.contains("confirmation_asked") && !events.contains("@") && !events.contains(&code), "{events}");
}
