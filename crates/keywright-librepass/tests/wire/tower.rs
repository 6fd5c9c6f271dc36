//! The protocol as a `tower::Service`.

use std::sync::Arc;

use http::Request;
use http_body_util::Full;
use keywright_core::SystemEntropy;
use keywright_librepass::{LibrePass, MAX_BODY, Token};
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;
use keywright_testing::tower::OddBody;
use keywright_wire::RequestBody;

use crate::support::{Answer, TestHost, World, alice, policy};

async fn call(app: &mut LibrePass<TestHost>, request: Request<impl RequestBody>) -> Answer {
    Answer::check(keywright_testing::tower::call(app, request).await)
}

#[tokio::test]
async fn it_answers_as_handle_does() {
    let world = World::new().await;
    let mut app = world.app.clone();
    world.settle(&alice()).await;
    let shared = alice().shared(&world.server_key().await);
    let request = world.client().log_in(&alice().email, &shared).build().map(Full::new);
    call(&mut app, request).await.ok();
}

/// The host's limits come before the body, and before a token is looked up; each request is counted once.
#[tokio::test]
async fn beyond_the_limits_nothing_is_read_or_looked_up() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let user = world.settle(&alice()).await;
    let mut app = world.app.clone();
    let token = Token::random(user, &SystemEntropy).unwrap().to_text();
    let client = world.client().with_token(token.expose());
    let asks = [
        ("PATCH", "/api/user/password"),
        ("POST", "/api/cipher/sync"),
        ("DELETE", "/api/user/delete"),
        ("POST", "/api/auth/register"),
    ];
    *world.host.full.lock().unwrap() = Some("peer".into());
    store.note_loads();
    for (method, path) in asks {
        let request = client.request(method, path).build().map(|_| OddBody::unreadable());
        call(&mut app, request).await.waits(17);
    }
    assert!(store.noted_loads().is_empty());
    *world.host.full.lock().unwrap() = None;
    for (method, path) in asks {
        world.host.asked.lock().unwrap().clear();
        call(&mut app, client.request(method, path).build().map(Full::new)).await;
        let peers = world.host.asked.lock().unwrap().iter().filter(|asked| asked.ends_with(" peer")).count();
        assert_eq!(peers, 1, "{path}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_nobody_without_a_token_sends_a_vault() {
    let world = World::new().await;
    let mut app = world.app.clone();
    for body in [OddBody::endless(2_000), OddBody::announcing(u64::MAX)] {
        let request = world.client().post("/api/auth/register").build().map(|_| body);
        call(&mut app, request).await.fails(413, "LP-Invalid-Body");
    }
    for (method, path) in [("PATCH", "/api/user/password"), ("PATCH", "/api/user/email"), ("POST", "/api/cipher/sync")]
    {
        let request = world.client().request(method, path).build().map(|_| OddBody::unreadable());
        call(&mut app, request).await.fails(401, "LP-Invalid-Token");
    }
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let request = client.request("PATCH", "/api/user/password").build().map(|_| OddBody::endless(2_000));
    call(&mut app, request).await.fails(413, "LP-Invalid-Body");
    let request = world.client().post("/api/auth/register").raw(vec![b' '; MAX_BODY]).build().map(Full::new);
    call(&mut app, request).await.fails(400, "LP-Invalid-Body");
    let request = world.client().get("/nowhere").build().map(|_| OddBody::unreadable());
    call(&mut app, request).await.fails(404, "LP-404");
}
