//! The rest of the account area: who one is, logging out, the keys, the version, and the names of
//! before.

use http::Request;
use keywright_rocketchat::{Endpoint, Permission};
use serde_json::json;

use crate::support::{ADMIN, Answer, Call, TARGET, USER, World};

#[tokio::test]
async fn me_shows_the_caller_and_no_secret() {
    let world = World::new().await.with_email(ADMIN).await;
    let answer = world.client(ADMIN).request("GET", "me").send().await;
    answer.is(
        200,
        json!({
            "_id": ADMIN.id,
            "name": "admin",
            "username": "admin",
            "emails": [{"address": ADMIN.email, "verified": true}],
            "active": true,
            "roles": ["user"],
            "services": {"totp": {"enabled": true}, "email2fa": {"enabled": true}},
            "success": true,
        }),
    );
}

#[tokio::test]
async fn a_log_out_ends_this_login_alone() {
    let world = World::new().await;
    for method in ["GET", "POST"] {
        let (client, other) = (world.other_client(ADMIN, 1), world.client(ADMIN));
        let answer = client.request(method, "logout").send().await;
        answer.is(200, json!({"status": "success", "data": {"message": "You've been logged out!"}}));
        assert_eq!((client.is_in().await, other.is_in().await), (false, true));
    }
}

#[tokio::test]
async fn logging_out_other_clients_needs_a_second_factor_and_keeps_this_one() {
    let world = World::new().await;
    let (client, other) = (world.client(ADMIN), world.other_client(ADMIN, 1));
    client.post("users.logoutOtherClients").send().await.fails("totp-required");
    assert!(other.is_in().await);
    let answer = client.post("users.logoutOtherClients").code(&world.totp(ADMIN)).send().await;
    answer.is(200, json!({"success": true, "token": ADMIN.token(), "tokenExpires": "9999-12-31T23:59:59.000Z"}));
    assert_eq!((client.is_in().await, other.is_in().await), (true, false));
    assert_eq!(world.count_events(ADMIN, "other_logins_ended").await, 1);
}

#[tokio::test]
async fn other_tokens_are_removed_and_nobody_elses() {
    let world = World::new().await;
    for (n, body) in [json!({}), json!({"userId": ADMIN.id})].iter().enumerate() {
        let (client, other) = (world.client(ADMIN), world.other_client(ADMIN, n));
        client
            .post("users.removeOtherTokens")
            .json(&json!({"userId": USER.id}))
            .send()
            .await
            .fails("error-not-allowed");
        assert!(other.is_in().await);
        client.post("users.removeOtherTokens").json(body).send().await.succeeds();
        assert_eq!((client.is_in().await, other.is_in().await), (true, false));
        assert!(world.client(USER).is_in().await);
    }
}

/// A login that was looked up before it was ended must not act.
#[tokio::test]
async fn a_removed_login_that_is_under_way_does_not_act() {
    let world = World::new().await;
    let (client, other) = (world.client(USER), world.other_client(USER, 1));
    world.host.permission_hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let late = tokio::spawn(other.reset().code(&USER.recovery_code(0)).send());
    world.host.hanging.notified().await;
    client.post("users.removeOtherTokens").send().await.succeeds();
    world.host.go.notify_one();
    assert_eq!(late.await.unwrap().status, 401);
    assert_eq!((world.host.removals(), world.codes_left(USER).await), (0, Some(12)));
}

/// The act changes another account, whose commit knows nothing of the caller's login.
#[tokio::test]
async fn a_removed_login_that_is_under_way_ends_no_logins_of_another() {
    let world = World::new().await;
    world.host.permit(&ADMIN.account(), Permission::LogoutOtherUser);
    let (client, other) = (world.client(ADMIN), world.other_client(ADMIN, 1));
    world.host.permission_hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let late = tokio::spawn(other.post("users.logout").json(&json!({"userId": TARGET.id})).send());
    world.host.hanging.notified().await;
    client.post("users.removeOtherTokens").send().await.succeeds();
    world.host.go.notify_one();
    assert_eq!(late.await.unwrap().status, 401);
    assert!(world.client(TARGET).is_in().await);
}

#[tokio::test]
async fn all_logins_of_a_user_end_by_oneself_or_with_a_permission() {
    let world = World::new().await;
    let ended = |name: &str| json!({"success": true, "message": format!("User {name} has been logged out!")});
    for body in [json!({}), json!({"userId": USER.id})] {
        world.host.add_token(USER.id, &USER.token());
        let (client, other) = (world.client(USER), world.other_client(USER, 1));
        client.post("users.logout").json(&body).send().await.is(200, ended("user"));
        assert_eq!((client.is_in().await, other.is_in().await), (false, false));
    }
    let admin = world.client(ADMIN);
    let other = |id: &str| admin.post("users.logout").json(&json!({"userId": id}));
    other(TARGET.id).send().await.fails("error-not-allowed");
    other("nobody").send().await.fails("error-not-allowed");
    assert!(world.client(TARGET).is_in().await);
    world.host.permit(&ADMIN.account(), Permission::LogoutOtherUser);
    other("nobody").send().await.fails("error-invalid-user");
    other(TARGET.id).send().await.is(200, ended("Target"));
    assert_eq!((world.client(TARGET).is_in().await, admin.is_in().await), (false, true));
    assert_eq!(world.count_events(TARGET, "logins_ended").await, 1);
}

#[tokio::test]
async fn keys_are_stored_fetched_and_removed_by_a_reset() {
    let world = World::new().await;
    let client = world.client(USER);
    let fetch = || client.request("GET", "e2e.fetchMyKeys");
    fetch().send().await.succeeds();
    let set = |public: &str, force: Option<bool>| {
        let mut body = json!({"public_key": public, "private_key": "wrapped"});
        if let Some(force) = force {
            body["force"] = json!(force);
        }
        client.post("e2e.setUserPublicAndPrivateKeys").json(&body)
    };
    let stored = |public: &str| json!({"success": true, "public_key": public, "private_key": "wrapped"});
    set("one", None).send().await.succeeds();
    fetch().send().await.is(200, stored("one"));
    let exists = json!({
        "success": false,
        "error": "Keys already exist [error-keys-already-set]",
        "errorType": "error-keys-already-set",
    });
    set("two", None).send().await.is(400, exists.clone());
    set("two", Some(false)).send().await.is(400, exists);
    fetch().send().await.is(200, stored("one"));
    set("two", Some(true)).send().await.succeeds();
    fetch().send().await.is(200, stored("two"));
    client.reset().code(&world.totp(USER)).send().await.succeeds();
    world.host.add_token(USER.id, &USER.token());
    fetch().send().await.succeeds();
}

#[tokio::test]
async fn the_version_is_told_to_anybody_at_both_paths() {
    let world = World::new().await;
    for (method, path) in [("GET", "/api/info"), ("GET", "/api/v1/info"), ("HEAD", "/api/info")] {
        let request = Request::builder().method(method).uri(path).body(Vec::new()).unwrap();
        let response = world.app.handle(request).await;
        assert_eq!(response.status(), 200, "{path}");
        let body: &[u8] = if method == "HEAD" { b"" } else { br#"{"success":true,"version":"8.8.1"}"# };
        assert_eq!(response.body(), body, "{path}");
    }
}

/// What a phone keeps sending with later calls is a code that its session has used: refused where
/// one is required, not charged, and of no effect where none is (`docs/decisions.md` 55).
#[tokio::test]
async fn a_code_that_a_session_sends_again_is_not_charged_within_its_window() {
    let world = World::new().await.with_email(ADMIN).await;
    let (client, code, recovery) = (world.client(ADMIN), world.totp(ADMIN), ADMIN.recovery_code(0));
    client.reset_of(TARGET.id).code(&code).send().await.succeeds();
    client.reset_of(TARGET.id).code(&recovery).send().await.succeeds();
    let guarded = ["users.logoutOtherClients", "users.2fa.disableEmail", "users.2fa.enableEmail", "users.resetE2EKey"];
    for seconds in [0, 30] {
        world.clock.advance(seconds);
        for path in guarded {
            for code in [&code, &recovery] {
                client.post(path).code(code).method("totp").send().await.fails("totp-invalid");
            }
        }
        for path in ["me", "users.totpCodesRemaining", "e2e.fetchMyKeys"] {
            assert_eq!(client.request("GET", path).code(&code).send().await.status, 200, "{path}");
        }
    }
    assert_eq!((world.charged(ADMIN, "totp").await, world.charged(ADMIN, "recovery").await), (0, 0));
    assert_eq!(world.replayed(ADMIN, "totp").await, 8);
    // Outside its window it is a guess like any other.
    world.clock.advance(60);
    client.post("users.resetE2EKey").code(&code).send().await.fails("totp-invalid");
    assert_eq!(world.charged(ADMIN, "totp").await, 1);
}

/// The names of before 8.8, for one release.
#[tokio::test]
async fn the_names_of_before_still_act() {
    let world = World::new().await;
    let client = world.client(USER);
    let remaining = json!({"success": true, "remaining": 12});
    client.request("GET", "users.totp.codesRemaining").send().await.is(200, remaining);
    client.post("users.totp.enable").send().await.fails("error-2fa-already-enabled");
    client.post("users.totp.validate").json(&json!({"code": "000000"})).send().await.fails("invalid-totp");
    client.post("users.totp.regenerateCodes").json(&json!({"code": "?"})).send().await.fails("invalid-totp");
    let body = json!({"code": world.totp(USER)});
    let disabled = json!({"success": true, "disabled": true});
    client.post("users.totp.disable").json(&body).send().await.is(200, disabled);
    let aliases = Endpoint::ALL.into_iter().flat_map(Endpoint::aliases).count();
    assert_eq!(aliases, 5);
}

/// Every endpoint with a login: without one, and with a member that it does not know.
#[tokio::test]
async fn every_endpoint_checks_login_and_shape() {
    let world = World::new().await;
    let before = world.scan().await;
    let open = ["users.2fa.sendEmailCode", "login", "loginCode.redeem", "info"];
    for endpoint in Endpoint::ALL {
        for method in endpoint.methods() {
            let is_open = open.contains(&endpoint.path()) || endpoint.path().starts_with("twoFactorChallenges.");
            let request = Request::builder().method(method).uri(format!("/api/v1/{endpoint}"));
            let answer = Answer::check(world.app.handle(request.body(Vec::new()).unwrap()).await);
            assert_eq!(answer.status == 401, !is_open, "{endpoint}: {answer:?}");
            let client = world.client(ADMIN);
            let request = client.request(method.as_str(), endpoint.path()).json(&json!({"unknown": "x"}));
            request.send().await.fails("invalid-params");
            let body = format!(r#"{{"{0}":"x","{0}":"x"}}"#, endpoint.members().first().unwrap_or(&"a"));
            let answer = client.request(method.as_str(), endpoint.path()).raw("application/json", body).send().await;
            answer.is(
                400,
                json!({
                    "success": false, "errorType": "invalid-params", "error": "must be valid JSON",
                }),
            );
        }
    }
    assert_eq!((world.scan().await, world.host.count(|call| *call != Call::Find)), (before, 0));
}

/// Defined answers to what is no call: a mark of byte order, another media type, slashes, HEAD.
#[tokio::test]
async fn odd_requests_have_defined_answers() {
    let world = World::new().await;
    let client = world.client(USER);
    let invalid = |error: &str| json!({"success": false, "errorType": "invalid-params", "error": error});
    let marked = client.post("users.validateTotp").raw("application/json", "\u{feff}{\"code\":\"1\"}");
    marked.send().await.is(400, invalid("must be valid JSON"));
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let request = client.post("users.validateTotp").raw(kind, "{\"code\":\"1\"}");
        request.send().await.is(400, invalid("must NOT have additional properties"));
    }
    client.post("users.validateTotp").send().await.is(400, invalid("must have required property 'code'"));
    for path in ["//api/v1/me", "/api//v1/me", "/api/v1//me", "/api/v1/me/"] {
        let request = Request::builder().method("GET").uri(format!("http://host{path}"));
        let request = request.header("x-user-id", USER.id).header("x-auth-token", USER.token());
        let answer = Answer::check(world.app.handle(request.body(Vec::new()).unwrap()).await);
        answer.is(404, json!({"success": false, "error": "API endpoint not found"}));
    }
    // HEAD is GET without its body where nothing but reading happens, and nothing elsewhere.
    for (path, status) in [("me", 200), ("users.totpCodesRemaining", 200), ("e2e.fetchMyKeys", 200), ("logout", 405)] {
        let response = world.app.handle(client.request("HEAD", path).build()).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.body().is_empty(), status == 200, "{path}");
    }
    assert!(client.is_in().await);
}
