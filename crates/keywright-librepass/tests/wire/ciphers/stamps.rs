//! What a client receives since its last sync.

use keywright_core::UnixSeconds;
use serde_json::{Value, json};

use super::{SYNC, cipher, data, id, numbers, settled, sync};
use crate::support::{Client, START, World, alice, on_both};

fn at(world: &World, seconds: u64) {
    world.clock.set(UnixSeconds::new(START + seconds).unwrap());
}

#[tokio::test]
async fn a_stamp_gives_what_came_since() {
    on_both(async |world: World| {
        let (user, client) = settled(&world).await;
        let start = i64::try_from(START).unwrap();
        for n in 1..=3 {
            at(&world, 100 * n as u64);
            sync(&client, 0, &[cipher(&user, n, &data(n))], &[]).await.ok();
        }
        at(&world, 400);
        let since = async |stamp: i64| {
            let posted = numbers(&sync(&client, stamp, &[], &[]).await);
            let asked = numbers(&client.get(&format!("{SYNC}?lastSync={stamp}")).send().await);
            assert_eq!(posted, asked);
            assert_eq!(posted.0, [1, 2, 3]);
            posted.1
        };
        assert_eq!(since(0).await, [1, 2, 3]);
        assert_eq!(since(start).await, [1, 2, 3]);
        assert_eq!(since(start + 100).await, [1, 2, 3]);
        assert_eq!(since(start + 101).await, [2, 3]);
        assert_eq!(since(start + 300).await, [3]);
        assert_eq!(since(start + 301).await, [] as [usize; 0]);
        assert_eq!(since(start + 400).await, [] as [usize; 0]);
        // Before all time, and after now: a stamp without meaning gets everything.
        for stamp in [-1, i64::MIN, start + 401, start * 1_000, i64::MAX] {
            assert_eq!(since(stamp).await, [1, 2, 3], "{stamp}");
        }
        // What is sent now is part of the answer.
        let answer = sync(&client, start + 301, &[cipher(&user, 2, &data(22))], &[id(1)]).await;
        assert_eq!(numbers(&answer), (vec![2, 3], vec![2]));
    })
    .await;
}

/// An edit that was made long before it was sent is new to the others, whatever its own time
/// states.
#[tokio::test]
async fn the_servers_clock_says_what_is_new() {
    let world = World::new().await;
    let (user, client) = settled(&world).await;
    let now = world.now();
    let mut late = cipher(&user, 1, &data(1));
    late["created"] = json!(now - 5_000);
    late["lastModified"] = json!(now - 4_000);
    sync(&client, 0, &[late], &[]).await.ok();
    at(&world, 10);
    let body = sync(&client, i64::try_from(now - 100).unwrap(), &[], &[]).await.ok();
    assert_eq!(body["ciphers"][0]["lastModified"], now - 4_000);
    assert_eq!(body["ciphers"][0]["created"], now - 5_000);
    // A clock that is fast, or counts milliseconds: now.
    for ahead in [json!(now + 11), json!(now * 1_000), json!(i64::MAX)] {
        let mut fast = cipher(&user, 2, &data(2));
        fast["created"] = ahead.clone();
        fast["lastModified"] = ahead;
        sync(&client, 0, &[fast], &[]).await.ok();
        let one = client.get(&format!("/api/cipher/{}", id(2))).send().await.ok();
        assert_eq!((&one["created"], &one["lastModified"]), (&json!(now + 10), &json!(now + 10)));
    }
    // A time before 1970 is kept.
    let mut old = cipher(&user, 3, &data(3));
    old["created"] = json!(-5);
    sync(&client, 0, &[old], &[]).await.ok();
    assert_eq!(client.get(&format!("/api/cipher/{}", id(3))).send().await.ok()["created"], -5);
}

/// The body of a password change to the key that the person has already: the vault is what matters here.
async fn change(world: &World, client: &Client, ciphers: Value) -> crate::support::Answer {
    let person = alice();
    let shared = person.shared(&world.server_key().await);
    let body = json!({
        "oldSharedKey": shared, "newSharedKey": shared, "newPublicKey": person.key.public_key().to_hex().expose(),
        "parallelism": 3, "memory": 65536, "iterations": 4, "ciphers": ciphers,
    });
    client.request("PATCH", "/api/user/password").json(&body).send().await
}

/// Protocol § 11, 13: the description of a cipher does not change with its key, and yet all is new.
#[tokio::test]
async fn a_vault_that_was_encrypted_anew_is_new() {
    on_both(async |world: World| {
        let (user, client) = settled(&world).await;
        let mut sent = cipher(&user, 1, &data(1));
        sent["favorite"] = json!(true);
        sync(&client, 0, &[sent, cipher(&user, 2, &data(2))], &[]).await.ok();
        at(&world, 1_000);
        let stamp = i64::try_from(world.now()).unwrap();
        let ciphers = json!([{"id": id(1), "data": data(11)}, {"id": id(2), "data": data(12)}]);
        change(&world, &client, ciphers).await.is_empty();
        sync(&client, 0, &[], &[]).await.fails(401, "LP-Invalid-Token");
        let client = world.client_of(&alice()).await;
        let answer = sync(&client, stamp, &[], &[]).await;
        assert_eq!(numbers(&answer).1, [1, 2]);
        let body = answer.ok();
        assert_eq!(body["ciphers"][0]["protectedData"], data(11));
        assert_eq!(body["ciphers"][0]["favorite"], true);
        assert_eq!(numbers(&sync(&client, stamp + 1, &[], &[]).await).1, [1, 2], "a stamp ahead of the clock");
        at(&world, 2_000);
        assert_eq!(numbers(&sync(&client, stamp + 1, &[], &[]).await).1, [] as [usize; 0]);
    })
    .await;
}

/// `docs/decisions.md` 28: a batch is taken from a token that has seen the vault as it is, by a full read or by being
/// the only one that writes.
#[tokio::test]
async fn a_token_knows_the_vault_that_it_read() {
    on_both(async |world: World| {
        let (user, one) = settled(&world).await;
        let two = world.client_of(&alice()).await;
        let batch =
            |salt: usize| json!([{"id": id(1), "data": data(100 + salt)}, {"id": id(2), "data": data(200 + salt)}]);
        sync(&one, 0, &[cipher(&user, 1, &data(1))], &[]).await.ok();
        // The token follows its own writes, whichever call they come by.
        one.request("PUT", "/api/cipher").json(&cipher(&user, 2, &data(2))).send().await;
        sync(&one, i64::try_from(world.now()).unwrap(), &[cipher(&user, 1, &data(11))], &[]).await.ok();
        // It does not follow another client's write. Neither a write of its own on top of that nor
        // a partial read changes this.
        two.request("PUT", "/api/cipher").json(&cipher(&user, 2, &data(22))).send().await;
        at(&world, 1);
        let stamp = i64::try_from(world.now()).unwrap();
        sync(&one, stamp, &[], &[]).await.ok();
        change(&world, &one, batch(0)).await.fails(400, "LP-Missing-Cipher");
        one.request("PUT", "/api/cipher").json(&cipher(&user, 1, &data(12))).send().await;
        one.get(&format!("/api/cipher/{}", id(2))).send().await.ok();
        change(&world, &one, batch(0)).await.fails(400, "LP-Missing-Cipher");
        // A full read does.
        let read = one.get("/api/cipher").send().await.ok();
        assert_eq!(read[1]["protectedData"], data(22));
        change(&world, &one, batch(0)).await.is_empty();
        // A token that never read is held to exact cover only; one that wrote without having read never read.
        let three = world.client_of(&alice()).await;
        three.request("PUT", "/api/cipher").json(&cipher(&user, 1, &data(13))).send().await;
        change(&world, &three, batch(1)).await.is_empty();
        // A sync that writes and reads all in one.
        let four = world.client_of(&alice()).await;
        sync(&four, 0, &[cipher(&user, 1, &data(14))], &[]).await.ok();
        change(&world, &four, batch(2)).await.is_empty();
    })
    .await;
}

/// `docs/decisions.md` 28, as iOS does it: one full read, and from then on only what changed.
#[tokio::test]
async fn a_read_of_what_changed_is_a_read_of_the_vault() {
    on_both(async |world: World| {
        let (user, one) = settled(&world).await;
        let two = world.client_of(&alice()).await;
        let batch = json!([{"id": id(1), "data": data(101)}, {"id": id(2), "data": data(102)}]);
        sync(&one, 0, &[cipher(&user, 1, &data(1)), cipher(&user, 2, &data(2))], &[]).await.ok();
        at(&world, 100);
        let moment = i64::try_from(world.now()).unwrap();
        sync(&one, 0, &[], &[]).await.ok();
        at(&world, 110);
        two.request("PUT", "/api/cipher").json(&cipher(&user, 2, &data(22))).send().await;
        at(&world, 120);
        // The answer to this stamp lacks the other device's edit, so the token does not know it.
        assert_eq!(numbers(&sync(&one, moment + 15, &[], &[]).await).1, [] as [usize; 0]);
        change(&world, &one, batch.clone()).await.fails(400, "LP-Missing-Cipher");
        // This one has it, and nothing else.
        assert_eq!(numbers(&sync(&one, moment, &[], &[]).await).1, [2]);
        change(&world, &one, batch).await.is_empty();
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_goes_back_makes_no_read_of_a_part_a_read_of_the_vault() {
    let world = World::new().await;
    let (user, one) = settled(&world).await;
    let two = world.client_of(&alice()).await;
    let batch = json!([{"id": id(1), "data": data(101)}, {"id": id(2), "data": data(102)}]);
    at(&world, 1_000);
    sync(&one, 0, &[cipher(&user, 1, &data(1)), cipher(&user, 2, &data(2))], &[]).await.ok();
    let moment = i64::try_from(world.now()).unwrap();
    // The other device's edit gets a time before the read, and so never is in an answer to its stamp.
    at(&world, 500);
    two.request("PUT", "/api/cipher").json(&cipher(&user, 2, &data(22))).send().await;
    at(&world, 1_100);
    assert_eq!(numbers(&sync(&one, moment, &[], &[]).await).1, [1]);
    change(&world, &one, batch.clone()).await.fails(400, "LP-Missing-Cipher");
    // A token that wrote on top of what it does not know still does not know it.
    sync(&one, moment, &[cipher(&user, 1, &data(11))], &[]).await.ok();
    change(&world, &one, batch.clone()).await.fails(400, "LP-Missing-Cipher");
    sync(&one, i64::try_from(world.now()).unwrap() + 1, &[], &[]).await.ok();
    change(&world, &one, batch).await.is_empty();
}
