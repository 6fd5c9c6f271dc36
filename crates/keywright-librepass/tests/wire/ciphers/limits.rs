//! Protocol § 11, 15: what is new counts, what is the user's own does not, and what is deleted makes room.

use keywright_rekey::Vaults;
use serde_json::Value;

use super::{Client, cipher, data, id, numbers, settled, stored, sync};
use crate::support::{World, on_both, policy};

const FULL: &str = "current ciphers limit per user is 500";

#[tokio::test]
async fn the_matrix() {
    let ciphers = |user: &_, range: std::ops::Range<usize>, salt: usize| -> Vec<Value> {
        range.map(|n| cipher(user, n, &data(n + salt))).collect()
    };
    let ids = |range: std::ops::Range<usize>| -> Vec<String> { range.map(id).collect() };
    // Owned, updated, deleted, and how many there are then; none: refused.
    let cases = [
        (0, 0..500, 0..0, Some(500)),
        (0, 0..501, 0..0, None),
        (300, 0..250, 0..0, Some(300)),
        (300, 300..500, 0..0, Some(500)),
        (300, 300..501, 0..0, None),
        (300, 250..500, 0..0, Some(500)),
        (300, 250..501, 0..0, None),
        (300, 250..501, 0..1, Some(500)),
        (500, 0..500, 0..0, Some(500)),
        (500, 499..501, 0..0, None),
        (500, 500..501, 0..1, Some(500)),
        // Deleted and updated: it stays, so it makes no room.
        (500, 499..501, 499..500, None),
        // Deleting what is not there makes no room either.
        (500, 500..501, 600..700, None),
        (500, 500..1_000, 0..500, Some(500)),
        (500, 0..0, 0..500, Some(0)),
    ];
    for (owned, updated, deleted, left) in cases {
        let world = World::new().await;
        let (user, client) = settled(&world).await;
        sync(&client, 0, &ciphers(&user, 0..owned, 0), &[]).await.ok();
        let before = stored(&world, &user).await;
        let answer = sync(&client, 0, &ciphers(&user, updated.clone(), 5_000), &ids(deleted.clone())).await;
        match left {
            Some(left) => {
                assert_eq!(numbers(&answer).0.len(), left, "{owned} {updated:?} {deleted:?}");
                assert_eq!(count(&world, &client).await, left as u64);
            }
            None => {
                answer.fails(400, "LP-Invalid-Cipher").says(FULL);
                assert_eq!(stored(&world, &user).await, before, "{owned} {updated:?} {deleted:?}");
            }
        }
    }
}

/// The count in the vault's own record.
async fn count(world: &World, client: &Client) -> u64 {
    let token = keywright_librepass::Token::parse(client.token.as_deref().unwrap()).unwrap();
    let vaults = Vaults::new(world.driver.clone(), world.store.clone(), Default::default());
    vaults.head(token.user().account()).await.unwrap().unwrap().count
}

#[tokio::test]
async fn one_at_a_time_takes_as_many() {
    on_both(async |world: World| {
        let world = world.ruled_by(policy().vault_limit(3), 5).await;
        let (user, client) = settled(&world).await;
        let put = async |n: usize, salt: usize| {
            client.request("PUT", "/api/cipher").json(&cipher(&user, n, &data(n + salt))).send().await
        };
        for n in 0..3 {
            assert_eq!(put(n, 0).await.status, 201);
        }
        put(3, 0).await.fails(400, "LP-Invalid-Cipher").says("current ciphers limit per user is 3");
        assert_eq!(put(2, 10).await.status, 201);
        client.request("DELETE", &format!("/api/cipher/{}", id(0))).send().await.is_empty();
        assert_eq!(put(3, 0).await.status, 201);
        assert_eq!(put(0, 0).await.status, 400);
        assert_eq!(count(&world, &client).await, 3);
        // A limit that was lowered takes nothing away, and nothing more.
        let lower = world.ruled_by(policy().vault_limit(1), 6).await;
        let client = Client { app: lower.app.clone(), token: client.token.clone() };
        let edits = [cipher(&user, 1, &data(21)), cipher(&user, 2, &data(22)), cipher(&user, 3, &data(23))];
        assert_eq!(numbers(&sync(&client, 0, &edits, &[]).await).0, [1, 2, 3]);
        let answer = sync(&client, 0, &[cipher(&user, 4, &data(4)), cipher(&user, 5, &data(5))], &[id(1)]).await;
        answer.fails(400, "LP-Invalid-Cipher").says("current ciphers limit per user is 1");
        assert_eq!(numbers(&sync(&client, 0, &[cipher(&user, 4, &data(4))], &[id(1), id(2)]).await).0, [3, 4]);
    })
    .await;
}

/// What one cipher may be is policy, and holds on every call; a restart forgets nothing of it.
#[tokio::test]
async fn the_ceiling_of_one_cipher() {
    on_both(async |world: World| {
        let world = world.ruled_by(policy().data_ceiling(100), 7).await;
        let (user, client) = settled(&world).await;
        let sized = |digits: usize| cipher(&user, 1, &"0".repeat(digits));
        for digits in [102, 1_000] {
            sync(&client, 0, &[sized(digits)], &[]).await.fails(400, "LP-Invalid-Cipher");
            client.request("PUT", "/api/cipher").json(&sized(digits)).send().await.fails(400, "LP-Invalid-Cipher");
        }
        let sent = sync(&client, 0, &[sized(100)], &[]).await.ok();
        let client = client_of(&world.restarted(8).await, &client);
        assert_eq!(sync(&client, 0, &[], &[]).await.ok(), sent);
    })
    .await;
}

fn client_of(world: &World, client: &Client) -> Client {
    Client { app: world.app.clone(), token: client.token.clone() }
}
