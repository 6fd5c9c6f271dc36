//! What is left of a right token beside a wrong passphrase.

use keywright_nextcloud::{CREDIT_SECONDS, MAX_SESSIONS};
use serde_json::json;

use super::{charged, code, code_before, enrol, enrolled, opened, recovery, world, wrong};
use crate::support::{START, World, secret};

#[tokio::test]
async fn a_slip_costs_no_second_code_and_the_first_is_worth_nothing_elsewhere() {
    let world = world().await;
    let mut laptop = world.token("laptop");
    laptop.get("session/request").await;
    let before = laptop.session.clone();
    laptop.open_totp(&secret(9), &code(0)).await.fails(401, "ab6e13ba");
    assert_ne!(laptop.session, before, "a record is made under a new id");
    assert_eq!((charged(&world, "challenge").await, charged(&world, "totp").await), (1, 0));
    // Another session, another login with this session's id, and the code again.
    world.token("laptop").open(&secret(1)).await.fails(401, "c0980e3c");
    for other in ["t1", "laptop"] {
        world.token(other).open_totp(&secret(1), &code(0)).await.fails(401, "8b4f02b4");
    }
    let mut thief = world.token("t1");
    thief.session = laptop.session.clone();
    thief.open(&secret(1)).await.fails(401, "c0980e3c");
    // Other endpoints.
    let mut elsewhere = laptop.clone();
    for path in ["account/challenge/get", "keychain/get", "session/close", "account/reset"] {
        elsewhere.get(path).await.fails(412, "4ad27488");
    }
    elsewhere.set(&secret(2), Some(&secret(1))).await.fails(412, "4ad27488");
    assert!(elsewhere.get("session/request").await.json()["token"].is_array());
    let kept = laptop.session.clone();
    laptop.open(&secret(9)).await.fails(401, "ab6e13ba");
    assert_eq!(laptop.session, kept);
    laptop.open(&secret(1)).await.is(200, opened());
    assert!(laptop.is_authorized().await && laptop.session != kept);
    // It went with its session.
    laptop.session = kept;
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
}

#[tokio::test]
async fn with_a_credit_no_token_is_looked_at() {
    let world = world().await;
    let mut laptop = world.token("laptop");
    laptop.open_totp(&secret(9), &code(0)).await.fails(401, "ab6e13ba");
    // What a client that sends its form again sends.
    laptop.open_totp(&secret(9), &code(0)).await.fails(401, "ab6e13ba");
    laptop.open_totp(&secret(9), &wrong()).await.fails(401, "ab6e13ba");
    assert_eq!(charged(&world, "totp").await, 0);
    laptop.open_totp(&secret(1), &code(30)).await.is(200, opened());
    world.token("t1").open_totp(&secret(1), &code(30)).await.is(200, opened());
}

#[tokio::test]
async fn a_right_token_beside_no_passphrase_is_spent_too() {
    for (proof, status, id) in [(json!(null), 401, "ab6e13ba"), (json!("short"), 400, "92312b66")] {
        let world = world().await;
        let mut laptop = world.token("laptop");
        let body = json!({"challenge": proof, "token": {"totp": code(0)}});
        laptop.post("session/open", body.clone()).await.fails(status, id);
        world.token("t1").post("session/open", body.clone()).await.fails(401, "8b4f02b4");
        laptop.post("session/open", body).await.fails(status, id);
        assert_eq!(charged(&world, "challenge").await + charged(&world, "totp").await, 0);
        laptop.open(&secret(1)).await.is(200, opened());
    }
}

#[tokio::test]
async fn a_credit_has_five_tries() {
    for (slips, good) in [(4, true), (5, false)] {
        let world = world().await;
        let mut client = world.password();
        client.open_totp(&secret(9), &code(0)).await.fails(401, "ab6e13ba");
        for _ in 0..slips {
            // The fifth failure begins a wait.
            let answer = client.open(&secret(9)).await;
            assert!(matches!(answer.status, 401 | 403), "{answer:?}");
            world.clock.advance(answer.retry_after().unwrap_or(0));
        }
        assert_eq!(charged(&world, "challenge").await, slips + 1);
        world.clock.advance(60);
        match good {
            true => client.open(&secret(1)).await.is(200, opened()),
            false => client.open(&secret(1)).await.fails(401, "c0980e3c"),
        };
    }
}

#[tokio::test]
async fn a_credit_lasts_five_minutes_and_the_future_has_none() {
    for (now, good) in [(0, true), (CREDIT_SECONDS - 1, true), (CREDIT_SECONDS, false)] {
        let world = world().await;
        let mut laptop = world.token("laptop");
        laptop.open_totp(&secret(9), &code(0)).await.fails(401, "ab6e13ba");
        world.clock.advance(now);
        match good {
            true => laptop.open(&secret(1)).await.is(200, opened()),
            false => laptop.open(&secret(1)).await.fails(401, "c0980e3c"),
        };
    }
    let world = world().await;
    let mut laptop = world.token("laptop");
    world.clock.advance(30);
    laptop.open_totp(&secret(9), &code(30)).await.fails(401, "ab6e13ba");
    world.clock.set(keywright_core::UnixSeconds::new(START + 29).unwrap());
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
}

#[tokio::test]
async fn a_credit_ends_with_its_epochs() {
    let world = World::new().await;
    let mut phone = enrolled(&world).await;
    let mut laptop = world.token("laptop");
    laptop.open_totp(&secret(9), &code_before()).await.fails(401, "ab6e13ba");
    recovery(&world).await;
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(9), &code(0)).await.fails(401, "ab6e13ba");
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    laptop.open(&secret(2)).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(2), &code(30)).await.is(200, opened());
}

#[tokio::test]
async fn a_credit_drops_no_authorized_session() {
    let world = World::new().await;
    let mut sessions = vec![world.with_challenge().await];
    for n in 1..MAX_SESSIONS {
        sessions.push(world.opened(&format!("t{n}")).await);
    }
    enrol(&world).await;
    let mut laptop = world.token("laptop");
    laptop.open_totp(&secret(9), &code(0)).await.fails(401, "ab6e13ba");
    for session in &mut sessions {
        assert!(session.is_authorized().await);
    }
    laptop.open(&secret(1)).await.fails(401, "c0980e3c");
    laptop.open_totp(&secret(1), &code(0)).await.fails(401, "8b4f02b4");
    laptop.open_totp(&secret(1), &code(30)).await.is(200, opened());
}
