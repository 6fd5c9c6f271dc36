//! No secret in any log or any `Debug`, whatever happens.

use std::sync::atomic::Ordering;

use keywright_store::due::CLAIM_LASTS;
use keywright_testing::{CapturedLog, Secrets};

use crate::support::{PASSWORD, World, alice, secret, token_secret};

#[tokio::test]
async fn a_full_life_with_every_failure_logs_no_secret() {
    let log = CapturedLog::begin();
    let world = World::new().await;
    let mut planted = vec![PASSWORD.to_owned(), token_secret("phone"), token_secret("laptop"), "wrong-planted".into()];
    let mut phone = world.with_challenge().await;
    planted.extend(phone.session.clone());
    phone.put_keychain("keychain-planted").await;
    planted.push("keychain-planted".into());
    let mut laptop = world.token("laptop");
    for n in 9..16 {
        laptop.open(&secret(n)).await;
        planted.push(secret(n));
    }
    for body in ["{\"challenge\":\"json-planted", "json-planted", "[\"json-planted\"]", "{\"secret\":json-planted}"] {
        phone.post_bytes("account/challenge/set", body.as_bytes().to_vec()).await;
    }
    planted.push("json-planted".into());
    phone.get("account/reset?code=query-planted").await;
    phone.get("query-planted?query-planted").await;
    planted.push("query-planted".into());
    world.client("name-planted", "wrong-planted").get("session/request").await;
    planted.push("name-planted".into());
    phone.set(&secret(2), Some(&secret(1))).await;
    planted.extend([secret(1), secret(2)]);
    planted.extend(phone.session.clone());
    let code = phone.reset_code().await;
    phone.reset_with("code-planted").await;
    world.host.failures.store(1, Ordering::SeqCst);
    assert_eq!(phone.reset_with(&code).await.status, 500);
    planted.extend([code, "code-planted".into()]);
    world.clock.advance(CLAIM_LASTS);
    phone.get("session/request").await;
    phone.set(&secret(3), None).await;
    planted.push(secret(3));
    world.damage("challenge");
    phone.open(&secret(3)).await;
    phone.get("session/request").await.fails(500, "1d21b905");
    world.host.down.store(true, Ordering::SeqCst);
    assert_eq!(phone.get("session/request").await.status, 500);
    planted.extend(phone.session.clone());
    let log = log.end();
    // Not empty: the failures are there, with the endpoint that was matched.
    assert!(log.contains("request failed") && log.contains("login failed") && log.contains("account/reset"), "{log}");
    Secrets::from_iter(planted).are_absent_from("the log", &log);
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let answer = phone.get("session/keepalive").await;
    let shown = format!("{:?} {:?} {:?} {answer:?}", world.app, world.policy, alice());
    assert!(shown.starts_with("Nextcloud {"), "{shown}");
    let secrets = [secret(1), token_secret("phone"), PASSWORD.into(), phone.session.clone().unwrap()];
    Secrets::from_iter(secrets).are_absent_from("a Debug", &shown);
}

#[tokio::test]
async fn nothing_of_a_secret_lies_in_the_store_in_clear() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("keychain-planted").await;
    let code = phone.reset_code().await;
    let session = phone.session.clone().unwrap();
    let secrets = Secrets::from_iter([&secret(1), "keychain-planted", &code, &session]);
    for row in world.scan().await {
        secrets.are_absent_from(&row.slot, &row.body);
    }
    let events = serde_json::to_string(&world.events().await).unwrap();
    assert!(events.contains("challenge_set") && !events.contains(&code) && !events.contains("alice"), "{events}");
}
