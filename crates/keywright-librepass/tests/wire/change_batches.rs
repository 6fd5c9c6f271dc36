//! What a batch is told that does not fit, and limits that a vault must be able to leave again.

use std::sync::atomic::Ordering;

use keywright_rekey::id_text;
use keywright_store::CipherId;
use serde_json::json;

use super::support::{World, alice, on_both, policy};
use super::vaults::{id, sealed, with_password};

fn text(n: usize) -> String {
    id_text(id(n))
}

/// An id that is in no vault.
fn unknown(n: usize) -> String {
    id_text(CipherId([n as u8 + 1; 16]))
}

#[tokio::test]
async fn a_refused_batch_names_up_to_ten_ids_for_each_fault() {
    // `docs/decisions.md` 63.
    on_both(|world| async move {
        let (old, new) = (alice(), with_password(&alice(), "new"));
        let user = world.settle(&old).await;
        world.fill(&user, &old, 14).await;
        let client = world.client_of(&old).await;
        let good = world.password_body(&user, &old, &new).await;
        let list = good["ciphers"].as_array().unwrap().clone();
        let of = |ciphers: Vec<serde_json::Value>| {
            let mut body = good.clone();
            body["ciphers"] = json!(ciphers);
            body
        };
        let names = |from: usize, to: usize| (from..to).map(text).collect::<Vec<_>>().join(", ");
        let missing = |message: &str| json!({"error": "LP-Missing-Cipher", "status": 400, "message": message});
        let invalid = |message: &str| json!({"error": "LP-Invalid-Cipher", "status": 400, "message": message});

        let answer = client.change_password(&of(list[2..].to_vec())).await;
        answer.is(400, missing(&format!("missing {}", names(0, 2))));
        let answer = client.change_password(&of(Vec::new())).await;
        answer.is(400, missing(&format!("missing {} and 4 more", names(0, 10))));
        let mut more = list.clone();
        more.push(json!({"id": unknown(0), "data": sealed(&new, "x")}));
        client.change_password(&of(more)).await.is(400, missing(&format!("unknown {}", unknown(0))));
        let mut bad = list.clone();
        bad[3]["data"] = json!("zz");
        bad[5]["id"] = json!("no id");
        bad[7]["id"] = json!(text(6));
        let message = format!(
            "validation failed: missing {}, {}; duplicate {}; malformed id at 5; malformed text {}",
            text(5),
            text(7),
            text(6),
            text(3)
        );
        client.change_password(&of(bad)).await.is(400, invalid(&message));
        let mut null = list.clone();
        null[1]["data"] = json!(null);
        let message = format!("not readable: malformed text {0}; wrong type {0}", text(1));
        let unreadable = json!({"error": "LP-Invalid-Body", "status": 400, "message": message});
        client.change_password(&of(null)).await.is(400, unreadable);
        // Another device's edit.
        client.sync().await.ok();
        world.belongs_to(&user, &old, 14).await;
        let _ = world.edit(&user, &[(id(0), sealed(&old, "newer"))], &[]).await;
        client.change_password(&good).await.is(400, missing("stale"));
        assert_eq!(world.secrets(&user, &old).await[0], "newer");
    })
    .await;
}

#[tokio::test]
async fn a_text_may_be_as_long_as_the_one_that_it_replaces() {
    // `docs/decisions.md` 62: the vault came in under a higher ceiling.
    on_both(|world| async move {
        let (old, new) = (alice(), with_password(&alice(), "new"));
        let user = world.settle(&old).await;
        world.fill(&user, &old, 3).await;
        let long = "x".repeat(100);
        let _ = world.edit(&user, &[(id(1), sealed(&old, &long))], &[]).await;
        let world = world.ruled_by(policy().data_ceiling(100), 7).await;
        let client = world.client_of(&old).await;
        let good = world.password_body(&user, &old, &new).await;
        let mut longer = good.clone();
        longer["ciphers"][1]["data"] = json!(sealed(&new, &format!("{long}x")));
        let answer = client.change_password(&longer).await;
        let message = format!("validation failed: malformed text {}", text(1));
        answer.is(400, json!({"error": "LP-Invalid-Cipher", "status": 400, "message": message}));
        // What would be a fault of any text is one of this text too.
        for (data, code) in [(json!("zz".repeat(60)), "LP-Invalid-Cipher"), (json!(null), "LP-Invalid-Body")] {
            longer["ciphers"][1]["data"] = data;
            client.change_password(&longer).await.fails(400, code);
        }
        let mut moved = good.clone();
        moved["ciphers"][0]["data"] = json!(sealed(&new, &long));
        client.change_password(&moved).await.fails(400, "LP-Invalid-Cipher");
        let unchanged = world.ciphers(&user).await[&text(1)].clone();
        let mut same = good.clone();
        same["ciphers"][1]["data"] = json!(unchanged);
        let message = format!("validation failed: unchanged {}", text(1));
        client.change_password(&same).await.says(&message);
        assert_eq!(world.secrets(&user, &old).await[1], long);
        client.change_password(&good).await.is_empty();
        assert_eq!(world.secrets(&user, &new).await[1], long);
    })
    .await;
}

#[tokio::test]
async fn a_vault_never_outgrows_the_body_of_a_change() {
    // `docs/decisions.md` 62: the number of ciphers and the size of each would allow more.
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let length = sealed(&old, "secret 0").len();
    let most = 2_048 + 4 * (56 + length);
    let world = World::with(policy().max_vault_body(most)).await;
    let user = world.settle(&old).await;
    let client = world.client_of(&old).await;
    let put = async |n: usize, text: &str| {
        let body = json!({"id": self::text(n), "owner": user.to_string(), "protectedData": sealed(&old, text)});
        client.request("PUT", "/api/cipher").json(&body).send().await
    };
    for n in 0..4 {
        assert_eq!(put(n, &format!("secret {n}")).await.status, 201);
    }
    let limit = most - 2_048;
    let message = format!("the vault would be too large to be encrypted again in {limit} bytes");
    let refused = json!({"error": "LP-Invalid-Cipher", "status": 400, "message": message});
    put(4, "x").await.is(400, refused.clone());
    put(3, "secret 3, longer").await.is(400, refused);
    assert_eq!(put(3, "secret x").await.status, 201);
    // It comes out again with the longest hint there is, all of it written as escapes.
    let list = client.get("/api/cipher").send().await.ok();
    let shared = old.shared(&world.server_key().await);
    let ciphers: Vec<String> = (0..list.as_array().unwrap().len())
        .map(|n| format!(r#"{{"id":"{}","data":"{}"}}"#, text(n), sealed(&new, "secret n")))
        .collect();
    let body = format!(
        r#"{{"oldSharedKey":"{shared}","newPasswordHint":"{}","newPublicKey":"{}","newSharedKey":"{}","parallelism":10,"memory":153600,"iterations":10,"ciphers":[{}]}}"#,
        r"\ud834\udd1e".repeat(100),
        new.key.public_key().to_hex().expose(),
        new.shared(&world.server_key().await),
        ciphers.join(",")
    );
    assert!(body.len() <= most, "{} of {most}", body.len());
    client.request("PATCH", "/api/user/password").raw(body).send().await.is_empty();
    world.log_in(&new).await.ok();
}

#[tokio::test]
async fn work_on_a_large_body_is_run_by_the_host() {
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let world = World::new().await;
    let user = world.settle(&old).await;
    world.fill(&user, &old, 3).await;
    let client = world.client_of(&old).await;
    let sync = r#"{"lastSyncTimestamp":0,"updated":[],"deleted":[]}"#;
    let large = |body: &str| format!("{body}{}", " ".repeat(64 * 1024));
    let computed = || world.host.computed.load(Ordering::SeqCst);
    client.post("/api/cipher/sync").raw(sync).send().await.ok();
    assert_eq!(computed(), 0, "a small body is read at once");
    client.post("/api/cipher/sync").raw(large(sync)).send().await.ok();
    assert_eq!(computed(), 1);
    let body = large(&world.password_body(&user, &old, &new).await.to_string());
    let change = || client.request("PATCH", "/api/user/password").raw(body.clone());
    world.host.runs_no_work.store(true, Ordering::SeqCst);
    change().send().await.fails(500, "LP-Database-Error");
    world.belongs_to(&user, &old, 3).await;
    world.host.runs_no_work.store(false, Ordering::SeqCst);
    change().send().await.is_empty();
    assert_eq!(computed(), 4, "the batch is parsed, and then checked and sealed");
    world.belongs_to(&user, &new, 3).await;
}
