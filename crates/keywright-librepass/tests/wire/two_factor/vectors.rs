//! `librepass.json`: codes, windows, sequences and secrets, over HTTP.

use keywright_core::UnixSeconds;
use serde_json::{Value, json};

use super::{SETUP, prove, waiting};
use crate::support::{World, alice, code_of};

fn cases(name: &str, count: usize) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../data/librepass.json")).unwrap();
    let cases = file[name].as_array().unwrap().clone();
    assert_eq!(cases.len(), count, "{name}");
    cases
}

/// A world at a moment of its own, with a user.
async fn world_at(time: &Value) -> World {
    let world = World::new().await;
    at(&world, time);
    world.settle(&alice()).await;
    world
}

fn at(world: &World, time: &Value) {
    world.clock.set(UnixSeconds::new(time.as_u64().unwrap()).unwrap());
}

/// Sets up a secret as text, and returns whether it was accepted.
async fn takes(world: &World, secret: &Value, code: &Value) -> bool {
    let client = world.client_of(&alice()).await;
    let shared = alice().shared(&world.server_key().await);
    let body = json!({"sharedKey": shared, "secret": secret, "code": code});
    let answer = client.post(SETUP).json(&body).send().await;
    if answer.status != 200 {
        answer.fails(400, "LP-Invalid-Two-Factor");
    }
    answer.status == 200
}

async fn enrol(world: &World, secret: &Value) {
    let user = world.user_of(&alice()).await;
    let secret = keywright_twofactor::TotpSecret::from_base32(secret.as_str().unwrap()).unwrap();
    world.enrol(&user, secret.expose()).await;
}

fn accepts(case: &Value) -> bool {
    // Blanks carry nothing (`docs/decisions.md` 67).
    if case["id"] == "space" {
        return true;
    }
    match case["expect"].as_str().or_else(|| case["strict"].as_str()).unwrap() {
        "accept" => true,
        "reject" => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn published_codes_enrol() {
    for case in cases("totp", 9) {
        let world = world_at(&case["time"]).await;
        assert!(takes(&world, &case["secret"], &case["code"]).await, "{case}");
    }
}

#[tokio::test]
async fn the_window_is_one_step_either_side_at_set_up_login_and_deletion() {
    for case in cases("totp_windows", 16) {
        let world = world_at(&case["now"]).await;
        assert_eq!(takes(&world, &case["secret"], &case["code"]).await, accepts(&case), "{case}");
        let world = world_at(&case["now"]).await;
        enrol(&world, &case["secret"]).await;
        let answer = prove(&waiting(&world).await, case["code"].as_str().unwrap()).await;
        assert_eq!(answer.status == 200, accepts(&case), "{case}");
        let world = world_at(&case["now"]).await;
        let client = world.client_of(&alice()).await;
        enrol(&world, &case["secret"]).await;
        let shared = alice().shared(&world.server_key().await);
        let body = json!({"sharedKey": shared, "code": case["code"]});
        let answer = client.request("DELETE", "/api/user/delete").json(&body).send().await;
        assert_eq!(answer.status == 200, accepts(&case), "{case}");
    }
}

#[tokio::test]
async fn sequences_of_codes_each_once() {
    for case in cases("totp_sequences", 6) {
        let world = world_at(&case["attempts"][0]["now"]).await;
        enrol(&world, &case["secret"]).await;
        for attempt in case["attempts"].as_array().unwrap() {
            at(&world, &attempt["now"]);
            let answer = prove(&waiting(&world).await, attempt["code"].as_str().unwrap()).await;
            assert_eq!(answer.status == 200, accepts(attempt), "{case} {attempt}");
        }
    }
}

#[tokio::test]
async fn secrets_are_base32_of_eighty_bits_or_more() {
    for case in cases("base32", 9) {
        let world = World::new().await;
        world.settle(&alice()).await;
        let bytes = case["bytes"].as_str().map(|bytes| hex::decode(bytes).unwrap()).unwrap_or_default();
        let code = code_of(&bytes, world.now());
        assert_eq!(takes(&world, &case["text"], &json!(code)).await, accepts(&case), "{case}");
        if accepts(&case) {
            // What was decoded is the key: the next code of it opens.
            world.clock.advance(30);
            prove(&waiting(&world).await, &code_of(&bytes, world.now())).await.is_empty();
        }
    }
}
