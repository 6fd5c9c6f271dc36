//! `auth/oauth?grantType=login`: order of checks, the server's key, and what a token is.

use http::Request;
use keywright_core::UnixSeconds;
use keywright_librepass::PrivateKey;
use serde_json::{Value, json};

use crate::support::{Answer, START, World, alice, bob, on_both, policy};

#[tokio::test]
async fn user_then_verification_then_key() {
    let world = World::new().await;
    world.register(&alice()).await.is(201, json!({}));
    let right = alice().shared(&world.server_key().await);
    // Nobody of that name: whatever the key.
    world.log_in_with("nobody@example.com", "no key").await.fails(404, "LP-User-404");
    // Not verified: whatever the key.
    for key in ["no key", &"0".repeat(64), &right] {
        world.log_in_with(&alice().email, key).await.fails(401, "LP-Email-Not-Verified");
    }
    world.open_link(&alice().email).await.redirects();
    world.log_in_with(&alice().email, "no key").await.fails(400, "LP-Invalid-Shared-Secret");
    world.log_in_with(&alice().email, &"0".repeat(64)).await.fails(400, "LP-Invalid-Shared-Secret");
    world.log_in_with(&alice().email, &right).await.ok();
    world.log_in_with(&alice().email, &right.to_uppercase()).await.ok();
}

#[tokio::test]
async fn the_grant_type_comes_first_and_the_media_type_never() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let post = |path: &str, body: &str| world.client().post(path).raw(body.to_owned());
    let path = "/api/auth/oauth";
    post(path, "{").send().await.fails(400, "LP-Invalid-Body").says("missing parameter");
    for kind in ["", "password", "Login", "login&grantType=login"] {
        let answer = post(&format!("{path}?grantType={kind}"), "{").send().await;
        let message = if kind.contains('&') { "validation error" } else { "invalid grant_type" };
        answer.fails(400, "LP-Invalid-Body").says(message);
    }
    let path = "/api/auth/oauth?grantType=login";
    post(path, "").send().await.fails(400, "LP-Invalid-Body").says("json syntax error");
    post(path, "{").send().await.fails(400, "LP-Invalid-Body").says("json syntax error");
    post(path, "[]").send().await.fails(400, "LP-Invalid-Body").says("not readable");
    let shared = alice().shared(&world.server_key().await);
    let body = json!({"email": alice().email, "sharedKey": shared}).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json"] {
        post(path, &body).header("content-type", kind).send().await.ok();
    }
    post(path, &body).send().await.ok();
}

#[tokio::test]
async fn the_servers_key_lives_for_a_day_and_an_hour() {
    on_both(async |world: World| {
        world.settle(&alice()).await;
        let first = world.server_key().await;
        let old = alice().shared(&first);
        world.clock.advance(86_399);
        assert!(world.server_key().await.ct_eq(&first));
        world.clock.advance(1);
        assert!(!world.server_key().await.ct_eq(&first));
        world.log_in_with(&alice().email, &old).await.ok();
        world.clock.advance(3_599);
        world.log_in_with(&alice().email, &old).await.ok();
        world.clock.advance(1);
        world.log_in_with(&alice().email, &old).await.fails(400, "LP-Invalid-Shared-Secret");
        world.log_in(&alice()).await.ok();
    })
    .await;
}

#[tokio::test]
async fn all_instances_share_the_key_and_a_renewal_charges_nobody() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let other = world.restarted(2).await;
        assert!(other.server_key().await.ct_eq(&world.server_key().await));
        // The other instance renews; this one has cached the old pair and receives a product of the
        // new one.
        world.clock.advance(86_400);
        let new = alice().shared(&other.server_key().await);
        world.clock.set(UnixSeconds::new(START + 86_399).unwrap());
        world.log_in_with(&alice().email, &new).await.ok();
        assert_eq!(world.count_events(&user, "guess_denied").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_shared_key_for_another_server_is_wrong() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let other = PrivateKey::random(&*keywright_testing::seeded(9)).unwrap().public_key();
    world.log_in_with(&alice().email, &alice().shared(&other)).await.fails(400, "LP-Invalid-Shared-Secret");
    let bobs = bob().shared(&world.server_key().await);
    world.log_in_with(&alice().email, &bobs).await.fails(400, "LP-Invalid-Shared-Secret");
    assert_eq!(world.count_events(&user, "guess_denied").await, 1);
    // Both are charged: three more, and the fifth begins a wait.
    for _ in 0..3 {
        world.log_in_with(&alice().email, &bobs).await.fails(400, "LP-Invalid-Shared-Secret");
    }
    world.log_in(&alice()).await.waits(30);
}

#[tokio::test]
async fn the_body_is_read_before_anything_is_looked_up() {
    let world = World::new().await;
    let before = world.scan().await;
    let bodies: [Value; 8] = [
        json!({}),
        json!({"email": alice().email}),
        json!({"sharedKey": "0".repeat(64)}),
        json!({"email": null, "sharedKey": "0".repeat(64)}),
        json!({"email": alice().email, "sharedKey": null}),
        json!({"email": alice().email, "sharedKey": 1}),
        json!({"email": {"a": 1}, "sharedKey": "0".repeat(64)}),
        json!({"email": "no address", "sharedKey": "0".repeat(64)}),
    ];
    for body in bodies {
        let answer = world.client().post("/api/auth/oauth?grantType=login").json(&body).send().await;
        answer.fails(400, "LP-Invalid-Body");
    }
    let twice = r#"{"email":"a@b.co","email":"a@b.co","sharedKey":"00"}"#;
    let answer = world.client().post("/api/auth/oauth?grantType=login").raw(twice).send().await;
    answer.fails(400, "LP-Invalid-Body");
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn a_large_body_is_413_and_a_body_of_bytes_is_any() {
    let world = World::with(policy().max_vault_body(2_000_000)).await;
    let send = async |method: &str, path: &str, size: usize| {
        let request = Request::builder().method(method).uri(path).body(vec![b' '; size]).unwrap();
        Answer::check(world.app.handle(request).await)
    };
    for path in ["/api/auth/register", "/api/auth/oauth?grantType=login", "/api/user/setup/2fa"] {
        send("POST", path, 1024 * 1024 + 1).await.fails(413, "LP-Invalid-Body");
        assert_ne!(send("POST", path, 1024 * 1024).await.status, 413);
    }
    for (method, path) in [("PATCH", "/api/user/email"), ("PATCH", "/api/user/password"), ("POST", "/api/cipher/sync")]
    {
        send(method, path, 2_000_001).await.fails(413, "LP-Invalid-Body");
        send(method, path, 2_000_000).await.fails(401, "LP-Invalid-Token");
        assert_eq!(world.app.max_body(path), 2_000_000);
    }
    assert_eq!(world.app.max_body("/api/auth/register"), 1024 * 1024);
}
