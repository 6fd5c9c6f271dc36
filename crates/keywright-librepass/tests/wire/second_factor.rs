//! `grantType=2fa`, and what a token may do before it (protocol § 11, 1 and 6).

use keywright_librepass::Endpoint;
use serde_json::json;

use crate::support::{Answer, World, alice, at_once, code_of, on_both, policy};

const SECRET: [u8; 20] = [7; 20];

/// A token that waits for its second factor.
async fn waiting(world: &World) -> String {
    let body = world.log_in(&alice()).await.ok();
    assert_eq!(body["verified"], false);
    body["apiKey"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_waiting_token_may_do_nothing_but_prove_itself() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        world.enrol(&user, &SECRET).await;
        let token = waiting(&world).await;
        let client = world.client().with_token(&token);
        let id = "00000000-0000-0000-0000-000000000000";
        let cipher = format!("/api/cipher/{id}");
        let guarded = [
            ("POST", "/api/cipher/sync"),
            ("GET", "/api/cipher/sync?lastSync=0"),
            ("GET", "/api/cipher"),
            ("PUT", "/api/cipher"),
            ("GET", &cipher),
            ("PATCH", &cipher),
            ("DELETE", &cipher),
            ("PATCH", "/api/user/email"),
            ("PATCH", "/api/user/password"),
            ("POST", "/api/user/setup/2fa"),
            ("DELETE", "/api/user/delete"),
        ];
        let before = world.scan().await;
        for (method, path) in guarded {
            // Bad token and bad JSON: 401.
            client.request(method, path).raw("{").send().await.fails(401, "LP-Invalid-Token");
            world.client().request(method, path).raw("{").send().await.fails(401, "LP-Invalid-Token");
        }
        assert_eq!(world.scan().await, before);
        client.prove(&token, &code_of(&SECRET, world.now())).await.is_empty();
        assert!(client.is_in().await);
        assert_eq!(world.count_events(&user, "token_confirmed").await, 1);
        // Again: 200 without looking at the code.
        let before = world.scan().await;
        client.prove(&token, "no code").await.is_empty();
        assert_eq!(world.scan().await, before);
    })
    .await;
}

#[tokio::test]
async fn a_code_opens_one_token_once() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &SECRET).await;
    let code = code_of(&SECRET, world.now());
    let (one, two) = (waiting(&world).await, waiting(&world).await);
    world.client().prove(&one, &code).await.is_empty();
    world.client().prove(&two, &code).await.fails(400, "LP-Invalid-Two-Factor");
    assert!(!world.client().with_token(&two).is_in().await);
    world.clock.advance(30);
    world.client().prove(&two, &code_of(&SECRET, world.now())).await.is_empty();
    // The replay cost nothing.
    let denied = world.events(&user).await;
    assert!(denied.iter().all(|event| event["kind"] != "guess_denied" || event["reason"] == "replayed"));
}

#[tokio::test]
async fn the_recovery_code_opens_once_and_leaves_2fa_on() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let recovery = world.enrol(&user, &SECRET).await;
    assert_eq!(recovery.len(), 36);
    let (one, two) = (waiting(&world).await, waiting(&world).await);
    // Neither its case nor its hyphens carry anything; a malformed code is not checked.
    world.client().prove(&one, &recovery[1..]).await.fails(400, "LP-Invalid-Two-Factor");
    world.client().prove(&one, &recovery.to_uppercase().replace('-', " ")).await.is_empty();
    world.client().prove(&two, &recovery).await.fails(400, "LP-Invalid-Two-Factor");
    assert_eq!(world.log_in(&alice()).await.ok()["verified"], false);
}

#[tokio::test]
async fn of_many_parallel_proofs_with_one_code_one_passes() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let recovery = world.enrol(&user, &SECRET).await;
        for code in [code_of(&SECRET, world.now()), recovery] {
            let mut tokens = Vec::new();
            for _ in 0..8 {
                tokens.push(waiting(&world).await);
            }
            let answers = at_once(32, |n| {
                let (client, token, code) = (world.client(), tokens[n % 8].clone(), code.clone());
                async move { client.prove(&token, &code).await }
            });
            let passed = answers.await.iter().filter(|answer| answer.status == 200).count();
            // The four requests with the token that passed: the later ones learn that it has.
            assert!((1..=4).contains(&passed), "{passed}");
            let mut inside = 0;
            for token in &tokens {
                inside += usize::from(world.client().with_token(token).is_in().await);
            }
            assert_eq!(inside, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_codes_wait_and_lock_and_malformed_ones_cost_nothing() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let recovery = world.enrol(&user, &SECRET).await;
    let token = waiting(&world).await;
    let client = world.client();
    for malformed in ["", "12345", "1234567", "+23456", "１２３４５６", "abcdef", "1-1-1-1-1"] {
        client.prove(&token, malformed).await.fails(400, "LP-Invalid-Two-Factor");
    }
    assert_eq!(world.count_events(&user, "guess_denied").await, 0);
    let right: Vec<String> = (0..5).map(|n| code_of(&SECRET, world.now() - 60 + n * 30)).collect();
    let wrong = (0..).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap();
    for _ in 0..5 {
        client.prove(&token, &wrong).await.fails(400, "LP-Invalid-Two-Factor");
    }
    client.prove(&token, &code_of(&SECRET, world.now())).await.waits(30);
    // The recovery code has a ledger entry of its own, and lets its client in at the other one.
    client.prove(&token, &recovery).await.is_empty();
    // Only that one: another login still waits.
    let other = waiting(&world).await;
    client.prove(&other, &code_of(&SECRET, world.now())).await.waits(30);
    let next = world.client().with_token(&token).log_in(&alice().email, &alice().shared(&world.server_key().await));
    let next = next.send().await.ok()["apiKey"].as_str().unwrap().to_owned();
    client.prove(&next, &code_of(&SECRET, world.now())).await.is_empty();
}

#[tokio::test]
async fn what_is_no_token_is_401_and_what_is_no_body_400() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &SECRET).await;
    let token = waiting(&world).await;
    let before = world.scan().await;
    let send = async |body: serde_json::Value| -> Answer {
        world.client().post("/api/auth/oauth?grantType=2fa").json(&body).send().await
    };
    let other = format!("{}{}", &token[..60], if token.ends_with("0000000") { "1111111" } else { "0000000" });
    for key in ["", "lp_", &token[1..], &other, &token.to_uppercase(), &format!("lp_{}", "0".repeat(64))] {
        send(json!({"apiKey": key, "code": "123456"})).await.fails(401, "LP-Invalid-Token");
    }
    for body in [
        json!({}),
        json!({"apiKey": token}),
        json!({"code": "123456"}),
        json!({"apiKey": token, "code": 123_456}),
        json!({"apiKey": token, "code": null}),
        json!({"apiKey": null, "code": "123456"}),
    ] {
        send(body).await.fails(400, "LP-Invalid-Body");
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn once_for_each_purpose_is_a_policy() {
    let world = World::with(policy().once(keywright_twofactor::Once::Purpose)).await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &SECRET).await;
    let code = code_of(&SECRET, world.now());
    let (one, two) = (waiting(&world).await, waiting(&world).await);
    world.client().prove(&one, &code).await.is_empty();
    world.client().prove(&two, &code).await.fails(400, "LP-Invalid-Two-Factor");
}

#[tokio::test]
async fn the_host_is_asked_about_addresses_and_accounts() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &SECRET).await;
    let token = waiting(&world).await;
    world.host.asked.lock().unwrap().clear();
    world.log_in_with("ALICE@example.com", "x").await.fails(400, "LP-Invalid-Shared-Secret");
    world.client().prove(&token, "x").await.fails(400, "LP-Invalid-Two-Factor");
    let (oauth, account) = (Endpoint::OAuth, user.account());
    let expected = [
        format!("{oauth} peer"),
        format!("{oauth} address alice@example.com"),
        format!("{oauth} peer"),
        format!("{oauth} account {account}"),
    ];
    assert_eq!(*world.host.asked.lock().unwrap(), expected);
    for full in ["peer", "address alice@example.com"] {
        *world.host.full.lock().unwrap() = Some(full.into());
        world.log_in_with("alice@example.com", "x").await.waits(17);
    }
    *world.host.full.lock().unwrap() = Some(format!("account {account}"));
    world.client().prove(&token, "x").await.waits(17);
}

/// A client that knows a user's id must not use up what its owner may request.
#[tokio::test]
async fn a_stranger_is_not_counted_as_the_account_that_it_names() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.host.asked.lock().unwrap().clear();
    let none = keywright_librepass::Token::random(user.clone(), &keywright_core::SystemEntropy).unwrap();
    world.client().prove(none.to_text().expose(), "000000").await.fails(401, "LP-Invalid-Token");
    let code = "00000000-0000-4000-8000-000000000000";
    for path in ["auth/verifyEmail", "user/verifyNewEmail"] {
        world.client().get(&format!("/api/{path}?user={user}&code={code}")).send().await;
    }
    let asked = world.host.asked.lock().unwrap().clone();
    assert!(asked.iter().all(|asked| !asked.ends_with(&format!(" account {user}"))), "{asked:?}");
    assert_eq!(asked.iter().filter(|asked| asked.ends_with(&format!(" named {user}"))).count(), 2, "{asked:?}");
}
