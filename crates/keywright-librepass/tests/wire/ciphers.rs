//! `cipher/sync` and the deprecated calls: what is kept, what is answered, what is refused.

mod bad_input;
mod limits;
mod races;
mod stamps;

use keywright_librepass::UserId;
use keywright_store::{Partition, Row, Which};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Scanned, World, alice, bob, on_both};

const SYNC: &str = "/api/cipher/sync";

/// The id of the n-th cipher.
fn id(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012x}")
}

/// Well-formed data that no other number has.
fn data(n: usize) -> String {
    format!("{n:024x}{}", "ab".repeat(16))
}

/// A cipher with nothing but what it must have.
fn cipher(user: &UserId, n: usize, data: &str) -> Value {
    json!({"id": id(n), "owner": user.to_string(), "protectedData": data})
}

async fn sync(client: &Client, stamp: i64, updated: &[Value], deleted: &[String]) -> Answer {
    client.post(SYNC).json(&json!({"lastSyncTimestamp": stamp, "updated": updated, "deleted": deleted})).send().await
}

/// The numbers of the ids in an answer, and of its ciphers.
fn numbers(answer: &Answer) -> (Vec<usize>, Vec<usize>) {
    let body = answer.ok();
    let number = |id: &Value| usize::from_str_radix(&id.as_str().unwrap()[24..], 16).unwrap();
    let ids = body["ids"].as_array().unwrap().iter().map(number).collect();
    (ids, body["ciphers"].as_array().unwrap().iter().map(|cipher| number(&cipher["id"])).collect())
}

/// All that is stored of a user, records and ciphers.
async fn stored(world: &World, user: &UserId) -> (Vec<Scanned>, Vec<Row>) {
    let rows = world.store.read(&Partition::account(user.account()), Which::All).await.unwrap();
    (world.scan().await, rows.rows)
}

async fn settled(world: &World) -> (UserId, Client) {
    let user = world.settle(&alice()).await;
    (user, world.client_of(&alice()).await)
}

#[tokio::test]
async fn a_cipher_comes_back_as_it_was_sent() {
    on_both(async |world: World| {
        let (user, client) = settled(&world).await;
        let now = world.now();
        // Either case, and it stays.
        let text = format!("{}{}", "aB".repeat(28), "Cd".repeat(100));
        let full = json!({
            "id": id(1), "owner": user.to_string(), "type": 2, "protectedData": text,
            "collection": id(77), "favorite": true, "rePrompt": true,
            "created": now - 1_000, "lastModified": now - 10, "unknown": {"a": [1]},
        });
        let answer = sync(&client, 0, &[full.clone(), cipher(&user, 2, &data(2))], &[]).await;
        let mut first = full;
        first.as_object_mut().unwrap().remove("unknown");
        let second = json!({
            "id": id(2), "owner": user.to_string(), "type": 0, "protectedData": data(2), "favorite": false,
            "rePrompt": false, "created": now, "lastModified": now,
        });
        let whole = json!({"ids": [id(1), id(2)], "ciphers": [first, second]});
        answer.is(200, whole.clone());
        sync(&client, 0, &[], &[]).await.is(200, whole.clone());
        client.get("/api/cipher/sync?lastSync=0").send().await.is(200, whole.clone());
        client.get("/api/cipher").send().await.is(200, whole["ciphers"].clone());
        for n in [0, 1] {
            let one = &whole["ciphers"][n];
            client.get(&format!("/api/cipher/{}", one["id"].as_str().unwrap())).send().await.is(200, one.clone());
        }
        // Not in the store as it came, nor its description.
        let (_, rows) = stored(&world, &user).await;
        assert!(rows.iter().all(|row| !row.text.windows(20).any(|part| part == &text.as_bytes()[..20])));
        assert!(rows.iter().all(|row| row.note.len() > 30));
    })
    .await;
}

#[tokio::test]
async fn nulls_are_as_good_as_absent_where_absent_is_good() {
    let world = World::new().await;
    let (user, client) = settled(&world).await;
    let mut with_nulls = cipher(&user, 1, &data(1));
    for member in ["type", "collection", "favorite", "rePrompt", "created", "lastModified"] {
        with_nulls[member] = Value::Null;
    }
    let answer = sync(&client, 0, &[with_nulls], &[]).await.ok();
    assert_eq!(answer["ciphers"][0]["type"], 0);
    assert_eq!(answer["ciphers"][0].get("collection"), None);
}

#[tokio::test]
async fn what_is_sent_again_replaces_and_what_is_deleted_is_gone() {
    on_both(async |world: World| {
        let (user, client) = settled(&world).await;
        let many: Vec<Value> = (0..5).map(|n| cipher(&user, n, &data(n))).collect();
        assert_eq!(numbers(&sync(&client, 0, &many, &[]).await).0, [0, 1, 2, 3, 4]);
        // Deletions first: what is deleted and updated is there. Deleting what is not there, or twice, is nothing.
        let updated = [cipher(&user, 1, &data(101)), cipher(&user, 9, &data(9))];
        let answer = sync(&client, 0, &updated, &[id(1), id(2), id(2), id(50)]).await;
        assert_eq!(numbers(&answer).0, [0, 1, 3, 4, 9]);
        assert_eq!(answer.ok()["ciphers"][1]["protectedData"], data(101));
        let again = sync(&client, 0, &[], &[]).await;
        assert_eq!(again.ok(), answer.ok());
        // Nothing that changes anything: the store is as it was.
        let before = stored(&world, &user).await;
        sync(&client, 0, &[], &[id(2), id(50)]).await.ok();
        assert_eq!(stored(&world, &user).await, before);
    })
    .await;
}

#[tokio::test]
async fn the_deprecated_calls() {
    on_both(async |world: World| {
        let (user, client) = settled(&world).await;
        let one = format!("/api/cipher/{}", id(1));
        client.get(&one).send().await.fails(404, "LP-Cipher-404");
        client.request("DELETE", &one).send().await.fails(404, "LP-Cipher-404");
        client.get("/api/cipher").send().await.is(200, json!([]));
        let put = async |method: &str, path: &str, n: usize, text: &str| {
            client.request(method, path).json(&cipher(&user, n, text)).send().await
        };
        put("PUT", "/api/cipher", 1, &data(1)).await.is(201, json!({"id": id(1)}));
        put("PUT", "/api/cipher", 1, &data(2)).await.is(201, json!({"id": id(1)}));
        assert_eq!(client.get(&one).send().await.ok()["protectedData"], data(2));
        put("PATCH", &one, 1, &data(3)).await.is(201, json!({"id": id(1)}));
        // An id in upper case is the same.
        let upper = format!("/api/cipher/{}", "00000000-0000-4000-8000-00000000000A");
        put("PATCH", &upper, 10, &data(10)).await.is(201, json!({"id": id(10)}));
        assert_eq!(client.get(&upper).send().await.ok()["id"], id(10));
        // The path and the cipher are of one mind, or nothing happens.
        let before = stored(&world, &user).await;
        put("PATCH", &one, 2, &data(4)).await.fails(400, "LP-Invalid-Cipher");
        for path in ["/api/cipher/1-1-1-1-1", "/api/cipher/x", "/api/cipher/00000000000040008000000000000001"] {
            for method in ["GET", "PATCH", "DELETE"] {
                put(method, path, 1, &data(4)).await.fails(400, "LP-Invalid-Body").says("argument type mismatch");
            }
        }
        assert_eq!(stored(&world, &user).await, before);
        client.request("DELETE", &one).send().await.is_empty();
        client.request("DELETE", &one).send().await.fails(404, "LP-Cipher-404");
        assert_eq!(client.get("/api/cipher").send().await.ok().as_array().unwrap().len(), 1);
    })
    .await;
}

/// Protocol § 11, 2: knowing an id is no way to the row.
#[tokio::test]
async fn a_foreign_id_is_as_good_as_unknown() {
    on_both(async |world: World| {
        let (user, client) = settled(&world).await;
        sync(&client, 0, &[cipher(&user, 1, &data(1))], &[]).await.ok();
        let before = stored(&world, &user).await.1;
        let other = world.settle(&bob()).await;
        let thief = world.client_of(&bob()).await;
        let one = format!("/api/cipher/{}", id(1));
        thief.get(&one).send().await.fails(404, "LP-Cipher-404");
        thief.request("DELETE", &one).send().await.fails(404, "LP-Cipher-404");
        assert_eq!(numbers(&sync(&thief, 0, &[], &[id(1)]).await).0, [] as [usize; 0]);
        // In the victim's name: refused. In the own: a cipher of the own that happens to have the same id.
        sync(&thief, 0, &[cipher(&user, 1, &data(2))], &[]).await.fails(400, "LP-Invalid-Cipher");
        let put = |whose: &UserId| thief.request("PUT", "/api/cipher").json(&cipher(whose, 1, &data(2)));
        put(&user).send().await.fails(400, "LP-Invalid-Cipher");
        put(&other).send().await.is(201, json!({"id": id(1)}));
        assert_eq!(numbers(&sync(&thief, 0, &[], &[]).await).0, [1]);
        thief.request("DELETE", &one).send().await.is_empty();
        assert_eq!(stored(&world, &user).await.1, before);
        assert_eq!(client.get(&one).send().await.ok()["protectedData"], data(1));
    })
    .await;
}
