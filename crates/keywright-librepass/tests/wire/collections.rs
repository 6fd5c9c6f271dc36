//! `/api/collection`: ids and names (protocol § 13; `docs/decisions.md` 58).

use serde_json::{Value, json};

use crate::support::{Answer, Client, World, alice, bob, on_both};

const PATH: &str = "/api/collection";
const ONE: &str = "00000000-0000-4000-8000-000000000001";
const TWO: &str = "00000000-0000-4000-8000-000000000002";

async fn put(client: &Client, id: &str, name: &str) -> Answer {
    client.request("PUT", PATH).json(&json!({"id": id, "name": name})).send().await
}

async fn list(client: &Client) -> Value {
    client.get(PATH).send().await.ok()
}

#[tokio::test]
async fn a_collection_is_put_read_renamed_and_deleted() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        assert_eq!(list(&client).await, json!([]));
        put(&client, TWO, "two").await.is(200, json!({"id": TWO}));
        put(&client, &ONE.to_uppercase(), "One \u{e4} \"quoted\"").await.is(200, json!({"id": ONE}));
        let answer = client.get(PATH).send().await;
        let exact = format!(
            r#"[{{"id":"{ONE}","owner":"{user}","name":"One ä \"quoted\""}},{{"id":"{TWO}","owner":"{user}","name":"two"}}]"#
        );
        assert_eq!(String::from_utf8_lossy(&answer.body), exact);
        let one = format!("{PATH}/{ONE}");
        put(&client, ONE, "renamed").await.is(200, json!({"id": ONE}));
        client.get(&one).send().await.is(200, json!({"id": ONE, "owner": user.to_string(), "name": "renamed"}));
        client.request("DELETE", &one).send().await.is_empty();
        for method in ["GET", "DELETE"] {
            let gone = json!({"error": "LP-Collection-404", "status": 404});
            client.request(method, &one).send().await.is(404, gone);
            client.request(method, &format!("{PATH}/x")).send().await.fails(400, "LP-Invalid-Body");
        }
        assert_eq!(list(&client).await.as_array().unwrap().len(), 1);
        // They are the account's own, and go with it. They outlive a change of everything else.
        world.settle(&bob()).await;
        let other = world.client_of(&bob()).await;
        assert_eq!(list(&other).await, json!([]));
        let shared = alice().shared(&world.server_key().await);
        let delete = client.request("DELETE", "/api/user/delete").json(&json!({"sharedKey": shared})).send().await;
        delete.is_empty();
        client.get(PATH).send().await.fails(401, "LP-Invalid-Token");
        world.settle(&alice()).await;
        assert_eq!(list(&world.client_of(&alice()).await).await, json!([]));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_collection_is_refused_and_names_are_sealed() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    put(&client, ONE, "planted-name").await.ok();
    let before = world.scan().await;
    assert!(before.iter().all(|row| !format!("{row:?}").contains("planted-name")));
    let invalid = json!({"error": "LP-Invalid-Collection", "status": 400, "message": "validation failed"});
    put(&client, "1-1-1-1-1", "name").await.is(400, invalid.clone());
    put(&client, TWO, &"a".repeat(201)).await.is(400, invalid.clone());
    for body in [json!({}), json!({"id": ONE}), json!({"id": ONE, "name": null}), json!({"id": 1, "name": "a"})] {
        client.request("PUT", PATH).json(&body).send().await.fails(400, "LP-Invalid-Body");
    }
    let twice = format!(r#"{{"id":"{ONE}","name":"a","name":"b"}}"#);
    client.request("PUT", PATH).raw(twice).send().await.fails(400, "LP-Invalid-Body");
    for (method, path) in [("GET", PATH), ("PUT", PATH), ("DELETE", &format!("{PATH}/{ONE}"))] {
        world.client().request(method, path).raw("{").send().await.fails(401, "LP-Invalid-Token");
    }
    assert_eq!(world.scan().await, before);
    for n in 2..=100 {
        put(&client, &format!("00000000-0000-4000-8000-{n:012}"), &"\u{e4}".repeat(200)).await.ok();
    }
    put(&client, "00000000-0000-4000-8000-000000000101", "one too many").await.is(400, invalid);
    put(&client, ONE, "still renamed").await.ok();
}
