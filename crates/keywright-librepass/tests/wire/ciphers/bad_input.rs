//! What is refused, with the store compared before and after.

use serde_json::{Value, json};

use super::{SYNC, cipher, data, id, settled, stored, sync};
use crate::support::{World, on_both, policy};

#[tokio::test]
async fn every_text_of_the_vectors_is_judged_alike_on_sync_put_and_patch() {
    let file: Value = serde_json::from_str(include_str!("../../data/librepass.json")).unwrap();
    let cases = file["data_format"].as_array().unwrap();
    assert_eq!(cases.len(), 24);
    let world = World::with(policy().data_ceiling(65_536)).await;
    let (user, client) = settled(&world).await;
    let one = format!("/api/cipher/{}", id(1));
    for case in cases {
        let mut sent = cipher(&user, 1, "");
        sent["protectedData"] = case["data"].clone();
        let before = stored(&world, &user).await;
        let answers = [
            sync(&client, 0, &[sent.clone()], &[]).await,
            client.request("PUT", "/api/cipher").json(&sent).send().await,
            client.request("PATCH", &one).json(&sent).send().await,
        ];
        for (answer, status) in answers.iter().zip([200, 201, 201]) {
            if case["expect"] == "accept" {
                assert_eq!(answer.status, status, "{case}");
            } else if case["data"].is_string() {
                answer.fails(400, "LP-Invalid-Cipher").says("validation failed");
            } else {
                answer.fails(400, "LP-Invalid-Body");
            }
        }
        if case["expect"] == "accept" {
            assert_eq!(client.get(&one).send().await.ok()["protectedData"], case["data"], "{case}");
        } else {
            assert_eq!(stored(&world, &user).await, before, "{case}");
        }
    }
}

#[tokio::test]
async fn a_cipher_that_is_none_refuses_all_of_a_sync() {
    on_both(async |world: World| {
        let (user, client) = settled(&world).await;
        sync(&client, 0, &[cipher(&user, 1, &data(1))], &[]).await.ok();
        let before = stored(&world, &user).await;
        let with = |member: &str, value: Value| {
            let mut cipher = cipher(&user, 2, &data(2));
            cipher[member] = value;
            cipher
        };
        let without = |member: &str| {
            let mut cipher = cipher(&user, 2, &data(2));
            cipher.as_object_mut().unwrap().remove(member);
            cipher
        };
        let invalid = "LP-Invalid-Cipher";
        let body = "LP-Invalid-Body";
        let cases = [
            (with("id", json!("1-1-1-1-1")), invalid),
            (with("id", json!("")), invalid),
            (with("id", json!(format!("{{{}}}", id(2)))), invalid),
            (with("id", json!(2)), body),
            (with("id", Value::Null), body),
            (without("id"), body),
            (with("owner", json!(id(9))), invalid),
            (with("owner", json!("me")), invalid),
            (with("owner", Value::Null), body),
            (without("owner"), body),
            (with("protectedData", json!("0g".repeat(28))), invalid),
            (with("protectedData", json!("0".repeat(57))), invalid),
            (with("protectedData", json!("0".repeat(54))), invalid),
            (with("protectedData", json!("")), invalid),
            (with("protectedData", json!("0".repeat(65_538))), invalid),
            (with("protectedData", json!(1)), body),
            (with("protectedData", Value::Null), body),
            (without("protectedData"), body),
            (with("collection", json!("x")), invalid),
            (with("collection", json!(1)), body),
            (with("type", json!("0")), body),
            (with("type", json!(1.5)), body),
            (with("type", json!(3_000_000_000_u64)), body),
            (with("favorite", json!(1)), body),
            (with("rePrompt", json!("true")), body),
            (with("created", json!("now")), body),
            (with("lastModified", json!(1e300)), body),
            (json!([]), body),
            (json!(null), body),
            (json!("cipher"), body),
        ];
        for (wrong, code) in cases {
            // The right one, and the deletion, go nowhere either.
            let updated = [cipher(&user, 3, &data(3)), wrong.clone()];
            sync(&client, 0, &updated, &[id(1)]).await.fails(400, code);
            client.request("PUT", "/api/cipher").json(&wrong).send().await.fails(400, code);
            assert_eq!(stored(&world, &user).await, before, "{wrong}");
        }
        // The same id twice, in whichever case.
        let mut twice = cipher(&user, 10, &data(3));
        twice["id"] = json!(id(10).to_uppercase());
        let updated = [cipher(&user, 10, &data(2)), twice];
        sync(&client, 0, &updated, &[id(1)]).await.fails(400, invalid).says("validation failed");
        assert_eq!(stored(&world, &user).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_body_that_is_none_changes_nothing() {
    let world = World::new().await;
    let (user, client) = settled(&world).await;
    sync(&client, 0, &[cipher(&user, 1, &data(1))], &[]).await.ok();
    let before = stored(&world, &user).await;
    let gone = format!(r#"["{}"]"#, id(1));
    let deep = format!(r#"{{"lastSyncTimestamp":0,"updated":{},"deleted":{gone}}}"#, "[".repeat(100_000));
    for (text, message) in [
        (String::new(), "json syntax error"),
        ("{".into(), "json syntax error"),
        ("[]".into(), "not readable"),
        ("null".into(), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"updated":[],"deleted":{gone}"#), "json syntax error"),
        (format!(r#"{{"updated":[],"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":null,"updated":[],"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":"0","updated":[],"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0.5,"updated":[],"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":1e30,"updated":[],"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":{},"updated":[],"deleted":{gone}}}"#, u64::MAX), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"updated":null,"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"updated":{{}},"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"deleted":{gone}}}"#), "not readable"),
        (r#"{"lastSyncTimestamp":0,"updated":[]}"#.into(), "not readable"),
        (r#"{"lastSyncTimestamp":0,"updated":[],"deleted":null}"#.into(), "not readable"),
        (r#"{"lastSyncTimestamp":0,"updated":[],"deleted":[1]}"#.into(), "not readable"),
        (r#"{"lastSyncTimestamp":0,"updated":[],"deleted":[null]}"#.into(), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"updated":[],"deleted":["{}","1-1-1-1-1"]}}"#, id(1)), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"updated":[],"deleted":[[["{}"]]]}}"#, id(1)), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"lastSyncTimestamp":0,"updated":[],"deleted":{gone}}}"#), "not readable"),
        (format!(r#"{{"lastSyncTimestamp":0,"updated":[],"deleted":{gone},"deleted":[]}}"#), "not readable"),
        (deep, "not readable"),
    ] {
        let answer = client.post(SYNC).raw(text.clone()).send().await;
        answer.fails(400, "LP-Invalid-Body").says(message);
        assert_eq!(stored(&world, &user).await, before, "{}", &text[..text.len().min(100)]);
    }
    let not_utf8 = [b"{\"lastSyncTimestamp\":0,\"updated\":[],\"deleted\":[\"".as_slice(), &[0xff], b"\"]}"].concat();
    client.post(SYNC).raw(not_utf8).send().await.fails(400, "LP-Invalid-Body");
    for query in ["", "?lastSync", "?lastSync=", "?lastSync=x", "?lastSync=1.5", "?lastSync=99999999999999999999"] {
        client.get(&format!("{SYNC}{query}")).send().await.fails(400, "LP-Invalid-Body");
    }
    client.get(&format!("{SYNC}?lastSync=0&lastSync=1")).send().await.fails(400, "LP-Invalid-Body");
    // A body over the limit, here and where the limit is that of all others.
    let world = world.ruled_by(policy().max_vault_body(1_024), 3).await;
    let client = crate::support::Client { app: world.app.clone(), token: client.token };
    client.post(SYNC).raw(vec![b' '; 1_025]).send().await.fails(413, "LP-Invalid-Body");
    client.request("PUT", "/api/cipher").raw(vec![b' '; 1024 * 1024 + 1]).send().await.fails(413, "LP-Invalid-Body");
    assert_eq!(stored(&world, &user).await, before);
}

/// A million ids for a vault of one: read, counted, dropped.
#[tokio::test]
async fn more_entries_than_any_vault_has_are_refused() {
    let world = World::new().await;
    let (user, client) = settled(&world).await;
    sync(&client, 0, &[cipher(&user, 1, &data(1))], &[]).await.ok();
    let before = stored(&world, &user).await;
    let ids = vec![format!(r#""{}""#, id(1)); 1_000_000].join(",");
    let text = format!(r#"{{"lastSyncTimestamp":0,"updated":[],"deleted":[{ids}]}}"#);
    client.post(SYNC).raw(text).send().await.fails(400, "LP-Invalid-Cipher");
    assert_eq!(stored(&world, &user).await, before);
}
