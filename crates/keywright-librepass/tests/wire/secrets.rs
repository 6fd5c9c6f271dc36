//! No secret in any log, in any `Debug`, or in clear in the store.

use std::sync::Arc;

use keywright_store::MemoryStore;
use keywright_store_conformance::{Fault, FaultStore};
use keywright_testing::{CapturedLog, Secrets};
use serde_json::json;

use crate::support::{World, alice, policy};

#[tokio::test]
async fn a_life_with_every_failure_logs_and_stores_no_secret_in_clear() {
    let log = CapturedLog::begin();
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let mut body = world.registration(&alice()).await;
    body["passwordHint"] = json!("hint-planted");
    world.host.outbox.set_down(true);
    world.client().post("/api/auth/register").json(&body).send().await.is(201, json!({}));
    world.host.outbox.set_down(false);
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
    let log = log.end();
    for line in ["request failed", "/api/auth/oauth", "work for the host stays due"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let public = alice().key.public_key().to_hex().expose().to_owned();
    let secrets = Secrets::from_iter([
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
    ]);
    secrets.are_absent_from("the log", &log);
    secrets.plant(alice().key.public_key().expose());
    secrets.plant(hex::decode(&token[35..]).unwrap());
    secrets.plant([7; 20]);
    for row in world.scan().await {
        let place = format!("{:?} {:?}", row.partition, row.slot);
        secrets.are_absent_from(&place, &row.body);
        secrets.are_absent_from("a name", &place);
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
