//! No secret in any log or any `Debug`, whatever happens.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{ADMIN, TARGET, USER, World};

/// Where the log goes.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_full_life_with_every_failure_logs_no_secret() {
    let sink = Sink::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    let guard = tracing::subscriber::set_default(subscriber.with_writer(sink.clone()).with_ansi(false).finish());
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
    client.post("users.totp.disable").json(&json!({"code": ADMIN.recovery_code(1)})).send().await;
    let begun = client.post("users.totp.enable").method("email").send().await;
    planted.extend(begun.json()["secret"].as_str().map(String::from));
    world.host.down.store(true, Ordering::SeqCst);
    assert_eq!(client.reset().send().await.status, 500);
    client.post("users.2fa.sendEmailCode").json(&json!({"emailOrUsername": ADMIN.email})).send().await.succeeds();
    drop(guard);
    let log = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    // Not empty: the failures are there, with the endpoint that was matched.
    for line in ["request failed", "users.resetE2EKey", "a notice was not mailed", "a code was not sent again"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    for secret in planted {
        assert!(!log.contains(&secret), "{secret} in the log:\n{log}");
    }
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
    let secret = ADMIN.secret();
    for row in world.scan().await {
        let body = &row.body;
        assert!(!body.windows(secret.len()).any(|window| window == secret), "{:?}", row.slot);
        let text = String::from_utf8_lossy(body).into_owned();
        for secret in ADMIN.recovery_codes().iter().chain([&code, &ADMIN.token()]) {
            assert!(!text.contains(secret), "{secret} in {:?}", row.slot);
        }
    }
    let events = serde_json::to_string(&world.events(ADMIN).await).unwrap();
    assert!(events.contains("confirmation_asked") && !events.contains("@") && !events.contains(&code), "{events}");
}
