//! `challenge/set`: the decision table (protocol § 4.3), the ledger, and the keychain across changes.

use std::sync::atomic::Ordering;

use keywright_nextcloud::NextcloudPolicy;
use keywright_store::{Record, Slot};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Client, World, alice, salts, secret};

fn body(secret: Value, data: Value, old: Value) -> Value {
    json!({"secret": secret, "data": data, "oldSecret": old})
}

/// A new secret and salts that are refused, and the error. Each must be refused with and without a challenge.
fn bad_new() -> Vec<(Value, Value, &'static str)> {
    let good = || Value::from(secret(2));
    let with = |index: usize, salt: Value| {
        let mut all = salts(2);
        all[index] = salt;
        all
    };
    let (hex, upper) = ("0a".repeat(256), "0A".repeat(256));
    vec![
        (Value::Null, salts(2), "92312b66"),
        (json!(7), salts(2), "92312b66"),
        (json!([secret(2)]), salts(2), "92312b66"),
        (json!(""), salts(2), "92312b66"),
        (json!("a".repeat(63)), salts(2), "92312b66"),
        (json!("a".repeat(65)), salts(2), "92312b66"),
        (json!("A".repeat(64)), salts(2), "92312b66"),
        (json!("g".repeat(64)), salts(2), "92312b66"),
        (json!("é".repeat(32)), salts(2), "92312b66"),
        (json!(format!("{}\u{0}", "a".repeat(63))), salts(2), "92312b66"),
        (good(), Value::Null, "ee858005"),
        (good(), json!("salts"), "ee858005"),
        (good(), json!({"salts": salts(2)}), "ee858005"),
        (good(), json!({"0": hex, "1": "0a".repeat(64), "2": "0a".repeat(16)}), "ee858005"),
        (good(), json!([]), "ee858005"),
        (good(), json!([hex, "0a".repeat(64)]), "ee858005"),
        (good(), json!([hex, "0a".repeat(64), "0a".repeat(16), ""]), "ee858005"),
        (good(), json!([hex, "0a".repeat(64), "0a".repeat(16), "0a"]), "ee858005"),
        (good(), with(0, json!(upper)), "ee858005"),
        (good(), with(0, json!("0a".repeat(255))), "ee858005"),
        (good(), with(0, json!(format!("{hex}0"))), "ee858005"),
        (good(), with(0, json!("0a".repeat(1025))), "ee858005"),
        (good(), with(1, json!("0a".repeat(63))), "ee858005"),
        (good(), with(1, json!("zz".repeat(64))), "ee858005"),
        (good(), with(2, json!("0a".repeat(17))), "ee858005"),
        (good(), with(2, json!(7)), "ee858005"),
        (good(), with(2, Value::Null), "ee858005"),
    ]
}

#[tokio::test]
async fn the_first_challenge_needs_no_authorized_session_and_no_old_secret() {
    for old in [Value::Null, json!("ignored"), json!(secret(9))] {
        let world = World::new().await;
        let mut client = world.token("phone");
        client
            .post("account/challenge/set", body(json!(secret(1)), salts(1), old))
            .await
            .is(200, json!({"success": true}));
        assert!(client.is_authorized().await);
        assert_eq!(world.charged("challenge").await, 0);
    }
    // The real client sends the key with `null`; without it all is the same.
    let world = World::new().await;
    let long = json!(["ab".repeat(1024), "0a".repeat(64), "0a".repeat(16)]);
    let mut client = world.token("phone");
    let sent = json!({"secret": secret(1), "data": long});
    client.post("account/challenge/set", sent).await.is(200, json!({"success": true}));
    client.get("account/challenge/get").await.is(200, json!({"salts": long, "type": "PWDv1r1"}));
}

#[tokio::test]
async fn a_bad_first_challenge_is_400_and_nothing_is_written() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let before = world.scan().await;
    for (secret, data, id) in bad_new() {
        client.post("account/challenge/set", body(secret, data, Value::Null)).await.fails(400, id);
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn a_change_needs_an_authorized_session_before_anything_is_looked_at() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut client = world.token("phone");
    let before = world.scan().await;
    for sent in [body(json!(secret(2)), salts(2), json!(secret(1))), json!({}), body(json!(1), json!(2), json!(3))] {
        client.post("account/challenge/set", sent).await.fails(412, "4ad27488");
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn the_old_secret_is_judged_by_its_table() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    for (old, status, id, charged) in [
        (Value::Null, 401, "ab6e13ba", 0),
        (json!(""), 400, "92312b66", 0),
        (json!("a".repeat(63)), 400, "92312b66", 0),
        (json!("a".repeat(65)), 400, "92312b66", 0),
        (json!([secret(1)]), 400, "92312b66", 0),
        (json!(secret(9)), 401, "ab6e13ba", 1),
        (json!(secret(1).to_uppercase()), 401, "ab6e13ba", 2),
        (json!("é".repeat(32)), 401, "ab6e13ba", 3),
    ] {
        let sent = body(json!(secret(2)), salts(2), old.clone());
        phone.post("account/challenge/set", sent).await.fails(status, id);
        assert_eq!(world.charged("challenge").await, charged, "{old}");
    }
    let absent = json!({"secret": secret(2), "data": salts(2)});
    phone.post("account/challenge/set", absent).await.fails(401, "ab6e13ba");
    assert_eq!(world.charged("challenge").await, 3);
    phone.get("account/challenge/get").await.is(200, json!({"salts": salts(1), "type": "PWDv1r1"}));
    phone.post("account/challenge/set", body(json!(secret(2)), salts(2), json!(secret(1)))).await;
    phone.get("account/challenge/get").await.is(200, json!({"salts": salts(2), "type": "PWDv1r1"}));
}

#[tokio::test]
async fn a_bad_new_challenge_is_400_and_the_old_one_stays() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let before = id(&phone);
    for (secret_sent, data, error) in bad_new() {
        let sent = body(secret_sent, data, json!(secret(1)));
        phone.post("account/challenge/set", sent).await.fails(400, error);
    }
    assert_eq!(id(&phone), before);
    phone.get("account/challenge/get").await.is(200, json!({"salts": salts(1), "type": "PWDv1r1"}));
    assert_eq!(world.token("laptop").open(&secret(1)).await.status, 200);
}

#[tokio::test]
async fn the_old_secret_is_judged_before_the_new_one_and_its_verdict_is_committed() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let bad = |old: Value| body(json!("A".repeat(64)), salts(2), old);
    // Wrong old, bad new: 401, charged. Malformed or absent old: its own error.
    phone.post("account/challenge/set", bad(json!(secret(9)))).await.fails(401, "ab6e13ba");
    phone.post("account/challenge/set", bad(Value::Null)).await.fails(401, "ab6e13ba");
    phone.post("account/challenge/set", bad(json!("short"))).await.fails(400, "92312b66");
    assert_eq!(world.charged("challenge").await, 1);
    for _ in 0..3 {
        phone.post("account/challenge/set", bad(json!(secret(9)))).await.fails(401, "ab6e13ba");
    }
    // Right old, bad new: the failures are forgiven although nothing is set, so four more wrong ones are no fifth.
    phone.post("account/challenge/set", bad(json!(secret(1)))).await.fails(400, "92312b66");
    for _ in 0..4 {
        phone.set(&secret(2), Some(&secret(9))).await.fails(401, "ab6e13ba");
    }
    phone.set(&secret(2), Some(&secret(9))).await.fails(403, "b927b225");
}

#[tokio::test]
async fn a_switched_off_encryption_is_500_and_changes_nothing() {
    let off = NextcloudPolicy::builder().client_side_encryption(false).build().unwrap();
    let world = World::with(off.clone()).await;
    let before = world.scan().await;
    let mut client = world.token("phone");
    client.set(&secret(1), None).await.fails(500, "adca63f1");
    client.set("junk", None).await.fails(500, "adca63f1");
    assert_eq!(world.scan().await, before);
    // Where there is a challenge from before, nor can it be changed or guessed at.
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.app = keywright_nextcloud::Nextcloud::new(world.driver.clone(), world.host.clone(), off).unwrap();
    let before = world.scan().await;
    phone.set(&secret(2), Some(&secret(1))).await.fails(500, "adca63f1");
    phone.set(&secret(2), Some(&secret(9))).await.fails(500, "adca63f1");
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn the_host_may_forbid_what_is_unproven() {
    let world = World::new().await;
    world.host.forbids.store(true, Ordering::SeqCst);
    let before = world.scan().await;
    let mut client = world.token("phone");
    client.set(&secret(1), None).await.fails(403, "64a6cf1f");
    client.post("account/reset", json!({})).await.fails(403, "64a6cf1f");
    client.reset_with("code").await.fails(403, "64a6cf1f");
    assert_eq!(world.scan().await, before);
    // With a challenge there is a proof, and the host is not called.
    world.host.forbids.store(false, Ordering::SeqCst);
    let mut phone = world.with_challenge().await;
    world.host.forbids.store(true, Ordering::SeqCst);
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    phone.reset_code().await;
}

#[tokio::test]
async fn after_a_change_the_old_secret_is_wrong_everywhere() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    let mut laptop = world.token("laptop");
    laptop.open(&secret(1)).await.fails(401, "ab6e13ba");
    phone.set(&secret(3), Some(&secret(1))).await.fails(401, "ab6e13ba");
    assert_eq!(world.charged("challenge").await, 2);
    assert_eq!(laptop.open(&secret(2)).await.status, 200);
    // A database dump contains nothing of the old one: there is one record, and it was rewritten.
    assert_eq!(world.slots(&alice()).await.iter().filter(|slot| *slot == "challenge").count(), 1);
}

#[tokio::test]
async fn the_keychain_stays_readable_across_changes_until_the_new_one_arrives() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("first").await.is(200, json!({"id": "CSEv1r1"}));
    for n in 1..4 {
        phone.set(&secret(n + 1), Some(&secret(n))).await.is(200, json!({"success": true}));
        phone.get("keychain/get").await.is(200, json!({"CSEv1r1": "first"}));
        let answer = world.token("laptop").open(&secret(n + 1)).await;
        answer.is(200, json!({"success": true, "keys": {"CSEv1r1": "first"}}));
    }
    phone.put_keychain("second").await.is(200, json!({"id": "CSEv1r1"}));
    phone.get("keychain/get").await.is(200, json!({"CSEv1r1": "second"}));
    phone.set(&secret(5), Some(&secret(4))).await.is(200, json!({"success": true}));
    phone.get("keychain/get").await.is(200, json!({"CSEv1r1": "second"}));
}

/// A keychain's record, as it lies there: the test writes one whose text does not open.
#[derive(Serialize, Deserialize)]
struct Keychain {
    text: Vec<u8>,
    key: Option<Vec<u8>>,
}

impl Record for Keychain {
    const SCHEMA: u16 = 1;
}

const KEYCHAIN: Slot<Keychain> = Slot::lasting("keychain");

async fn unreadable(world: &World, sealed: bool) -> Client {
    let mut phone = world.with_challenge().await;
    phone.put_keychain("text").await.is(200, json!({"id": "CSEv1r1"}));
    if sealed {
        world.damage("keychain");
    } else {
        let junk = Keychain { text: vec![1; 80], key: None };
        world.step(&alice(), |draft| draft.put(KEYCHAIN, &junk)).await;
    }
    phone
}

#[tokio::test]
async fn a_keychain_that_does_not_open_is_an_error_of_its_own() {
    for sealed in [false, true] {
        let world = World::new().await;
        let mut phone = unreadable(&world, sealed).await;
        phone.get("keychain/get").await.fails(500, "3476b978");
        let mut laptop = world.token("laptop");
        laptop.open(&secret(1)).await.fails(500, "3476b978");
        assert!(!laptop.is_authorized().await);
        assert!(world.slots(&alice()).await.contains(&"keychain".into()), "it could still be mended");
    }
}

#[tokio::test]
async fn a_session_that_cannot_read_its_keychain_ends_when_it_is_opened() {
    let world = World::new().await;
    let mut phone = unreadable(&world, false).await;
    let before = id(&phone);
    phone.open("").await.fails(500, "3476b978");
    assert_ne!(id(&phone), before);
    assert!(!phone.is_authorized().await);
}

#[tokio::test]
async fn a_wrong_old_secret_says_nothing_more_than_a_wrong_proof() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let by_set = phone.set(&secret(2), Some(&secret(9))).await;
    let by_open = world.token("laptop").open(&secret(9)).await;
    assert_eq!((by_set.status, &by_set.body), (by_open.status, &by_open.body));
    let names = |answer: &crate::support::Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&by_set), names(&by_open));
}

fn id(client: &Client) -> String {
    client.session.clone().unwrap()
}
