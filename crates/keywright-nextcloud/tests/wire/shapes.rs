//! Exact statuses, bodies and headers of every endpoint.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::Request;
use keywright_nextcloud::{BASE_PATH, Endpoint, NextcloudPolicy};
use serde_json::{Value, json};

use crate::support::{Answer, Auth, World, salts, secret, token_secret};

fn success() -> Value {
    json!({"success": true})
}

#[tokio::test]
async fn session_request_names_the_challenge_until_the_session_is_authorized() {
    let world = World::new().await;
    let mut client = world.token("phone");
    client.get("session/request").await.is(200, json!({}));
    client.set(&secret(1), None).await.is(200, success());
    client.get("session/request").await.is(200, json!({}));
    let mut other = world.token("laptop");
    // The kind of challenge is named by `type` (`docs/decisions.md` 22a).
    let expected = json!({"challenge": {"salts": salts(1), "type": "PWDv1r1"}});
    other.get("session/request").await.is(200, expected);
    other.open(&secret(1)).await.is(200, json!({"success": true, "keys": []}));
    other.get("session/request").await.is(200, json!({}));
}

#[tokio::test]
async fn session_open_follows_its_table_and_charges_only_what_is_a_guess() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut client = world.token("laptop");
    for (body, status, id, charged) in [
        (json!({}), 401, "ab6e13ba", 0),
        (json!({"challenge": null}), 401, "ab6e13ba", 0),
        (json!({"challenge": ""}), 400, "92312b66", 0),
        (json!({"challenge": "a".repeat(63)}), 400, "92312b66", 0),
        (json!({"challenge": "a".repeat(65)}), 400, "92312b66", 0),
        (json!({"challenge": "é".repeat(64)}), 400, "92312b66", 0),
        (json!({"challenge": [secret(1)]}), 400, "92312b66", 0),
        (json!({"challenge": 7}), 400, "92312b66", 0),
        (json!({"challenge": secret(1), "token": "totp"}), 400, "0", 0),
        (json!({"challenge": secret(1), "token": []}), 400, "0", 0),
        (json!({"challenge": secret(2)}), 401, "ab6e13ba", 1),
        // 64 bytes that cannot be a secret are a wrong one; upper case is another secret.
        (json!({"challenge": "é".repeat(32)}), 401, "ab6e13ba", 2),
        (json!({"challenge": secret(1).to_uppercase()}), 401, "ab6e13ba", 3),
    ] {
        client.post("session/open", body.clone()).await.fails(status, id);
        assert_eq!(world.charged("challenge").await, charged, "{body}");
    }
    // A right one, with a token that was not required, and unknown members.
    let body = json!({"challenge": secret(1), "token": {"totp": "123456"}, "more": [{}]});
    client.post("session/open", body).await.is(200, json!({"success": true, "keys": []}));
    // Authorized already: success, whatever is sent.
    client.open("junk").await.is(200, json!({"success": true, "keys": []}));
}

#[tokio::test]
async fn without_a_challenge_a_proof_is_ignored_and_the_session_opens() {
    let world = World::new().await;
    for body in [json!({}), json!({"challenge": "junk"}), json!({"challenge": [1]}), json!({"challenge": secret(3)})] {
        world.token("phone").post("session/open", body).await.is(200, json!({"success": true, "keys": []}));
    }
    assert_eq!(world.charged("challenge").await, 0);
}

#[tokio::test]
async fn keepalive_needs_no_authorization_and_close_does() {
    let world = World::new().await;
    let mut free = world.token("laptop");
    free.get("session/keepalive").await.is(200, success());
    free.get("session/close").await.is(200, success());
    let mut phone = world.with_challenge().await;
    free.get("session/keepalive").await.is(200, success());
    free.get("session/close").await.fails(412, "4ad27488");
    phone.get("session/close").await.is(200, success());
    phone.get("session/close").await.fails(412, "4ad27488");
}

#[tokio::test]
async fn challenge_get_is_404_then_412_then_the_salts() {
    let world = World::new().await;
    let mut client = world.token("laptop");
    client.get("account/challenge/get").await.fails(404, "135d4069");
    let mut phone = world.with_challenge().await;
    client.get("account/challenge/get").await.fails(412, "4ad27488");
    phone.get("account/challenge/get").await.is(200, json!({"salts": salts(1), "type": "PWDv1r1"}));
}

#[tokio::test]
async fn keychain_endpoints_answer_by_type_and_only_where_there_is_a_challenge() {
    let world = World::new().await;
    let mut client = world.token("phone");
    client.get("keychain/get").await.is(200, json!([]));
    client.put_keychain("text").await.fails(500, "a6bb2388");
    client.post("keychain/set", json!({"id": "SSEv2r1", "data": "text"})).await.fails(404, "648ef153");
    let mut client = world.with_challenge().await;
    client.get("keychain/get").await.is(200, json!([]));
    client.put_keychain("opaque\u{0} \"text\" é").await.is(200, json!({"id": "CSEv1r1"}));
    client.get("keychain/get").await.is(200, json!({"CSEv1r1": "opaque\u{0} \"text\" é"}));
    client.put_keychain("").await.is(200, json!({"id": "CSEv1r1"}));
    client.get("keychain/get").await.is(200, json!({"CSEv1r1": ""}));
    client.post("keychain/set", json!({"id": "SSEv2r1", "data": "text"})).await.fails(404, "648ef153");
    for body in [json!({"id": "CSEv2r1", "data": "t"}), json!({"id": "CSEv1r1"}), json!({"id": 1, "data": "t"})] {
        client.post("keychain/set", body).await.fails(400, "0");
    }
    client.put_keychain("kept").await;
    // `session/open` hands it out too, to a session that proves and to one that has.
    let with_keys = json!({"success": true, "keys": {"CSEv1r1": "kept"}});
    world.token("laptop").open(&secret(1)).await.is(200, with_keys.clone());
    client.open("").await.is(200, with_keys);
    let mut other = world.token("t1");
    other.get("keychain/get").await.fails(412, "4ad27488");
    other.put_keychain("mine").await.fails(412, "4ad27488");
}

#[tokio::test]
async fn a_refused_login_is_401_in_the_frameworks_form_and_carries_no_session() {
    let world = World::new().await;
    let mut client = world.token("phone");
    for auth in [Auth::None, Auth::Bearer("nonsense".into()), Auth::Basic("alice".into(), "nonsense".into())] {
        client.auth = auth;
        for path in ["session/request", "session/nonsense"] {
            let answer = client.get(path).await;
            assert_eq!((answer.status, answer.id()), (401, None));
            assert_eq!(answer.json(), json!({"message": "Current user is not logged in"}));
            assert_eq!(answer.header("www-authenticate"), Some(r#"Basic realm="Passwords", charset="UTF-8""#));
        }
    }
}

#[tokio::test]
async fn every_way_to_log_in_works_and_names_fold_to_one_account() {
    let world = World::new().await;
    world.with_challenge().await;
    let logins = [
        Auth::Basic("ALICE".into(), token_secret("phone")),
        Auth::Basic("alice".into(), crate::support::PASSWORD.into()),
        Auth::Bearer(token_secret("phone")),
    ];
    for auth in logins {
        let mut client = world.token("phone");
        client.auth = auth;
        assert_eq!(client.get("session/request").await.json()["challenge"]["type"], "PWDv1r1");
    }
    // Another account's token is not a login, even if the host does not check whose it is.
    for careless in [false, true] {
        world.host.careless.store(careless, Ordering::SeqCst);
        let mut client = world.client("alice", &token_secret("bobs"));
        assert_eq!(client.get("session/request").await.status, 401);
    }
}

fn path(endpoint: Endpoint) -> String {
    endpoint.path().replace("{provider}", "totp")
}

fn allowed(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::SessionRequest | Endpoint::SessionKeepalive | Endpoint::ChallengeGet | Endpoint::KeychainGet => {
            "GET, HEAD, OPTIONS"
        }
        Endpoint::SessionClose | Endpoint::TokenRequest => "GET, OPTIONS",
        Endpoint::AccountReset => "GET, POST, OPTIONS",
        Endpoint::SettingsList => "GET, HEAD, POST, OPTIONS",
        _ => "POST, OPTIONS",
    }
}

#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405_with_a_session() {
    let world = World::new().await;
    let mut client = world.with_challenge().await;
    for path in [
        "",
        "session",
        "session/open/",
        "account/reset/x",
        "SESSION/open",
        "session%2Fopen",
        "token//request",
        "token/{provider}/request",
    ] {
        client.get(path).await.fails(404, "135d4069");
    }
    let elsewhere = Request::get("/session/open").header("authorization", "Bearer x").body("").unwrap();
    assert_eq!(Answer::check(client.app.handle(elsewhere).await, false).status, 401);
    for endpoint in Endpoint::ALL {
        for method in ["GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"] {
            let allowed = allowed(endpoint);
            if allowed.split(", ").any(|one| one == method) {
                continue;
            }
            let before = world.scan().await;
            let request = client.request(method, &path(endpoint)).body(Bytes::new()).unwrap();
            let answer = client.send(request).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allowed)), "{method} {endpoint}");
            assert!(answer.id().is_some());
            assert_eq!(world.scan().await, before);
        }
    }
}

#[tokio::test]
async fn options_acts_on_nothing_and_needs_no_login() {
    let world = World::new().await;
    let before = world.scan().await;
    for endpoint in Endpoint::ALL {
        let request = Request::options(format!("{BASE_PATH}{}", path(endpoint))).body("").unwrap();
        let answer = Answer::check(world.app.handle(request).await, false);
        assert_eq!((answer.status, answer.id()), (204, None));
        assert_eq!(answer.header("allow"), Some(allowed(endpoint)));
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_and_another_media_type_415_with_a_session() {
    let policy = NextcloudPolicy::builder().max_body(1024).build().unwrap();
    let world = World::with(policy).await;
    for path in ["session/open", "account/challenge/set", "account/reset", "keychain/set"] {
        let mut client = world.token("phone");
        let padded = |length: usize| format!("{{{}}}", " ".repeat(length - 2)).into_bytes();
        let answer = client.post_bytes(path, padded(1025)).await;
        assert_eq!((answer.status, answer.id().is_some()), (413, true));
        assert_ne!(client.post_bytes(path, padded(1024)).await.status, 413);
        for kind in ["multipart/form-data", "text/plain", "application/jsonp", "application/x-www-form-urlencoded2", ""]
        {
            let request = client.request("POST", path).header("content-type", kind).body("{}").unwrap();
            let answer = client.send(request).await;
            assert_eq!((answer.status, answer.id().is_some()), (415, true), "{kind}");
        }
        for kind in ["application/json; charset=utf-8", "Application/JSON"] {
            for body in ["[]", "\u{feff}{}"] {
                let request = client.request("POST", path).header("content-type", kind).body(body).unwrap();
                client.send(request).await.fails(400, "0");
            }
        }
    }
}

#[tokio::test]
async fn plain_http_is_refused_before_the_login_when_the_policy_says_so() {
    let policy = NextcloudPolicy::builder().refuse_plain_http(true).build().unwrap();
    let world = World::with(policy).await;
    for path in ["session/request", "nonsense"] {
        let answer = world.token("phone").get(path).await;
        assert_eq!(answer.error(), (400, "6304571a".into()));
        assert_eq!((answer.id(), answer.json()["message"].as_str()), (None, Some("HTTPS required")));
    }
}

#[tokio::test]
async fn the_hosts_own_limit_is_429_with_an_empty_list() {
    let world = World::new().await;
    world.host.limit.store(17, Ordering::SeqCst);
    let answer = world.token("phone").get("session/request").await;
    assert_eq!((answer.status, answer.json(), answer.retry_after()), (429, json!([]), Some(17)));
    assert_eq!(answer.id(), None);
}
