//! No secret in any log, in any `Debug`, or in clear in the store.

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use keywright_store::MemoryStore;
use keywright_store_conformance::{Fault, FaultStore};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{World, alice, policy};

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
async fn a_life_with_every_failure_logs_and_stores_no_secret_in_clear() {
    let sink = Sink::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::TRACE);
    let guard = tracing::subscriber::set_default(subscriber.with_writer(sink.clone()).with_ansi(false).finish());
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let mut body = world.registration(&alice()).await;
    body["passwordHint"] = json!("hint-planted");
    world.host.mail_down.store(true, Ordering::SeqCst);
    world.client().post("/api/auth/register").json(&body).send().await.is(201, json!({}));
    world.host.mail_down.store(false, Ordering::SeqCst);
    let resend = format!("/api/auth/resendVerificationEmail?email={}", alice().email);
    world.client().get(&resend).send().await.is_empty();
    let link = world.host.link_to(&alice().email).unwrap();
    let code = link.split_once("code=").unwrap().1.to_owned();
    world.open_link(&alice().email).await.redirects();
    let shared = alice().shared(&world.server_key().await);
    let user = world.user_of(&alice()).await;
    let recovery = world.enrol(&user, &[7; 20]).await;
    let token = world.log_in(&alice()).await.ok()["apiKey"].as_str().unwrap().to_owned();
    world.client().prove(&token, "code-planted").await.fails(400, "LP-Invalid-Two-Factor");
    world.client().prove(&token, &recovery).await.is_empty();
    for raw in ["{\"email\":\"json-planted", "[\"json-planted\"]", "{\"json-planted\":1}", "{\"email\":json-planted}"] {
        let path = "/api/auth/oauth?grantType=login&query=query-planted";
        world.client().post(path).raw(raw).send().await.fails(400, "LP-Invalid-Body");
    }
    world.client().get("/api/path-planted?query-planted").send().await.fails(404, "LP-404");
    store.next_commit(Fault::Rejected);
    world.log_in(&alice()).await.fails(500, "LP-Database-Error");
    drop(guard);

    let log = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    for line in ["request failed", "/api/auth/oauth", "a mail was not sent and stays due"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let public = alice().key.public_key().to_hex().expose().to_owned();
    let planted = [
        &alice().email,
        &code,
        &shared,
        &recovery,
        &token,
        &token[35..],
        &public,
        "hint-planted",
        "code-planted",
        "json-planted",
        "query-planted",
        "path-planted",
    ]
    .map(str::to_owned);
    for secret in &planted {
        assert!(!log.contains(&**secret), "{secret} in the log:\n{log}");
    }
    let hidden: Vec<Vec<u8>> = planted
        .iter()
        .map(|secret| secret.clone().into_bytes())
        .chain([alice().key.public_key().expose().to_vec(), hex::decode(&token[35..]).unwrap(), vec![7; 20]])
        .collect();
    for row in world.scan().await {
        let place = format!("{:?} {:?}", row.partition, row.slot);
        for secret in &hidden {
            assert!(!row.body.windows(secret.len()).any(|window| window == secret), "{place}");
            assert!(!place.contains(&*String::from_utf8_lossy(secret)), "{place}");
        }
    }
    let events = serde_json::to_string(&world.events(&user).await).unwrap();
    assert!(events.contains("address_verified") && events.contains("token_issued"));
    assert!(!events.contains('@') && !events.contains("planted"));
}

#[tokio::test]
async fn debug_shows_no_secret() {
    let world = World::new().await;
    let shown = format!("{:?} {:?}", world.app, world.policy);
    assert!(shown.starts_with("LibrePass {"), "{shown}");
    let subject = keywright_librepass::Subject::Address("planted@example.com");
    assert!(!format!("{subject:?}").contains("planted"));
}
