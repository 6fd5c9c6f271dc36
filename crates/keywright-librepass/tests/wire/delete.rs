//! `DELETE delete`: two proofs, one commit, nothing left.

use std::sync::Arc;

use keywright_librepass::UserId;
use keywright_store::due::CLAIM_LASTS;
use keywright_store::{MemoryStore, Partition, Which};
use keywright_store_conformance::{Fault, FaultStore, LoadFault};
use keywright_twofactor::Once;
use serde_json::{Value, json};

use crate::support::{Answer, Client, START, World, alice, at_once, bob, code_of, on_both, policy};

const DELETE: &str = "/api/user/delete";
const SECRET: [u8; 20] = [7; 20];

async fn shared(world: &World) -> String {
    alice().shared(&world.server_key().await)
}

async fn delete(world: &World, client: &Client, code: Value) -> Answer {
    let body = json!({"sharedKey": shared(world).await, "code": code});
    client.request("DELETE", DELETE).json(&body).send().await
}

async fn insert(client: &Client, user: &UserId, n: usize) -> Answer {
    let cipher = json!({
        "id": format!("00000000-0000-4000-8000-{n:012x}"), "owner": user.to_string(), "protectedData": "ab".repeat(40),
    });
    let body = json!({"lastSyncTimestamp": 0, "updated": [cipher], "deleted": []});
    client.post("/api/cipher/sync").json(&body).send().await
}

/// Nothing of a user is left but the root that remembers the epochs.
async fn is_gone(world: &World, user: &UserId) {
    let partition = Partition::account(user.account());
    let left: Vec<String> =
        world.scan().await.into_iter().filter(|row| row.partition == partition).map(|row| row.slot).collect();
    assert!(left.iter().all(|slot| slot == "root" || slot == "due"), "{left:?}");
    assert!(world.store.read(&partition, Which::All).await.unwrap().rows.is_empty());
    assert_eq!(world.count_events(user, "account_erased").await, 1);
}

#[tokio::test]
async fn all_of_it_is_gone_and_the_address_is_free() {
    for code in [None, Some(Value::Null), Some(json!(""))] {
        on_both(async |world: World| {
            let user = world.settle(&alice()).await;
            let other = world.settle(&bob()).await;
            let (client, second, neighbour) =
                (world.client_of(&alice()).await, world.client_of(&alice()).await, world.client_of(&bob()).await);
            insert(&client, &user, 1).await.ok();
            let kept = insert(&neighbour, &other, 1).await.ok();
            let mut body = json!({"sharedKey": shared(&world).await});
            if let Some(code) = code.clone() {
                body["code"] = code;
            }
            client.request("DELETE", DELETE).json(&body).send().await.is_empty();
            for token in [&client, &second] {
                insert(token, &user, 2).await.fails(401, "LP-Invalid-Token");
                token.request("DELETE", DELETE).json(&body).send().await.fails(401, "LP-Invalid-Token");
            }
            world.log_in(&alice()).await.fails(404, "LP-User-404");
            is_gone(&world, &user).await;
            let letter = world.host.mails_to(&alice().email).pop().unwrap();
            assert_eq!(letter.subject, "Your account was deleted");
            // The events tell what happened, and to no name.
            assert!(world.count_events(&user, "token_issued").await > 0);
            let told = serde_json::to_string(&world.events(&user).await).unwrap();
            assert!(!told.contains("alice"));
            // The next account at this address is another one.
            let next = world.settle(&alice()).await;
            assert!(next != user);
            let client = world.client_of(&alice()).await;
            assert_eq!(client.get("/api/cipher").send().await.ok(), json!([]));
            assert_eq!(neighbour.get("/api/cipher").send().await.ok(), kept["ciphers"]);
        })
        .await;
    }
}

#[tokio::test]
async fn with_a_second_factor_its_code_and_nothing_else() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        insert(&client, &user, 1).await.ok();
        let recovery = world.enrol(&user, &SECRET).await;
        let before = world.scan().await;
        // Absent, blank or malformed: reported, not charged, nothing written.
        for code in
            [json!(null), json!(""), json!(" "), json!("12345"), json!("1234567"), json!("abcdef"), json!(recovery)]
        {
            delete(&world, &client, code).await.fails(400, "LP-Invalid-Two-Factor");
        }
        let body = json!({"sharedKey": shared(&world).await});
        client.request("DELETE", DELETE).json(&body).send().await.fails(400, "LP-Invalid-Two-Factor");
        assert_eq!(world.scan().await, before);
        let right = code_of(&SECRET, world.now());
        let wrong = if right == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            delete(&world, &client, json!(wrong)).await.fails(400, "LP-Invalid-Two-Factor");
        }
        delete(&world, &client, json!(right)).await.waits(30);
        world.clock.advance(30);
        delete(&world, &client, json!(code_of(&SECRET, world.now()))).await.is_empty();
        is_gone(&world, &user).await;
    })
    .await;
}

/// Of two proofs, the right one is neither spent nor forgiven because the other was wrong.
#[tokio::test]
async fn one_wrong_proof_uses_nothing_of_the_other_up() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        world.enrol(&user, &SECRET).await;
        let right = code_of(&SECRET, world.now());
        let guess = async |key: &str, code: &str| {
            client.request("DELETE", DELETE).json(&json!({"sharedKey": key, "code": code})).send().await
        };
        // A wrong password: the code is not checked, right or wrong.
        let key = shared(&world).await;
        for code in [&*right, "000000"] {
            guess(&"1".repeat(64), code).await.fails(400, "LP-Invalid-Shared-Secret");
        }
        for _ in 0..2 {
            guess(&"1".repeat(64), "").await.fails(400, "LP-Invalid-Shared-Secret");
        }
        // The right password with a wrong code does not clear the streak of four: the next wrong one waits.
        let wrong = if right == "000000" { "000001" } else { "000000" };
        guess(&key, wrong).await.fails(400, "LP-Invalid-Two-Factor");
        guess(&"1".repeat(64), &right).await.fails(400, "LP-Invalid-Shared-Secret");
        guess(&key, &right).await.waits(30);
        // The code was never spent: it is still one step back in the window.
        world.clock.advance(30);
        guess(&key, &right).await.is_empty();
        is_gone(&world, &user).await;
    })
    .await;
}

#[tokio::test]
async fn a_code_that_logged_in_is_spent_unless_the_policy_has_it_once_for_each_purpose() {
    for once in [Once::Account, Once::Purpose] {
        let world = World::with(policy().once(once)).await;
        let user = world.settle(&alice()).await;
        world.enrol(&user, &SECRET).await;
        let token = world.log_in(&alice()).await.ok()["apiKey"].as_str().unwrap().to_owned();
        let client = world.client().with_token(&token);
        let code = code_of(&SECRET, world.now());
        client.prove(&token, &code).await.is_empty();
        let answer = delete(&world, &client, json!(code)).await;
        match once {
            Once::Account => {
                answer.fails(400, "LP-Invalid-Two-Factor");
                // A replay is no wrong guess.
                for _ in 0..10 {
                    delete(&world, &client, json!(code)).await.fails(400, "LP-Invalid-Two-Factor");
                }
            }
            _ => {
                answer.is_empty();
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_request_changes_nothing() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let key = shared(&world).await;
    let before = world.scan().await;
    for key in ["", "0", &"0".repeat(63), &"x".repeat(64), &"0".repeat(65)] {
        let body = json!({"sharedKey": key, "code": ""});
        client.request("DELETE", DELETE).json(&body).send().await.fails(400, "LP-Invalid-Shared-Secret");
    }
    for body in [
        json!({}),
        json!([]),
        json!(null),
        json!({"sharedKey": null}),
        json!({"sharedKey": 1}),
        json!({"code": "123456"}),
        json!({"sharedKey": key, "code": 123_456}),
        json!({"sharedKey": key, "code": []}),
    ] {
        client.request("DELETE", DELETE).json(&body).send().await.fails(400, "LP-Invalid-Body");
        world.client().request("DELETE", DELETE).json(&body).send().await.fails(401, "LP-Invalid-Token");
    }
    for text in
        ["", "{", &format!(r#"{{"sharedKey":"{key}""#), &format!(r#"{{"sharedKey":"{key}","sharedKey":"{key}"}}"#)]
    {
        client.request("DELETE", DELETE).raw(text).send().await.fails(400, "LP-Invalid-Body");
    }
    client.request("GET", DELETE).send().await.fails(405, "LP-Invalid-Body");
    assert_eq!(world.scan().await, before);
    assert!(client.is_in().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_deletions_among_writers_one_is_done_and_nothing_is_left() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        world.enrol(&user, &SECRET).await;
        let body = json!({"sharedKey": shared(&world).await, "code": code_of(&SECRET, world.now())});
        let answers = at_once(32, |n| {
            let (client, user, body) = (client.clone(), user.clone(), body.clone());
            async move {
                if n % 2 == 0 {
                    client.request("DELETE", DELETE).json(&body).send().await
                } else {
                    insert(&client, &user, n).await
                }
            }
        })
        .await;
        let done = answers.iter().filter(|answer| answer.status == 200 && answer.json() == json!({})).count();
        assert_eq!(done, 1, "{answers:?}");
        assert!(answers.iter().all(|answer| [200, 401, 503].contains(&answer.status)), "{answers:?}");
        is_gone(&world, &user).await;
        assert_eq!(world.host.mails().iter().filter(|letter| letter.subject.ends_with("deleted")).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_lost_reply_deletes_once_or_not_at_all() {
    for fault in
        [Fault::Conflict, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held, Fault::Rejected]
    {
        let faulty = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let world = World::on(Arc::clone(&faulty) as _, policy()).await;
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        insert(&client, &user, 1).await.ok();
        let before = world.scan().await;
        faulty.next_commit(fault.clone());
        let answer = delete(&world, &client, json!("")).await;
        if matches!(fault, Fault::Rejected) {
            answer.fails(500, "LP-Database-Error");
            assert_eq!(world.scan().await, before);
            delete(&world, &client, json!("")).await.is_empty();
        } else {
            answer.is_empty();
        }
        while let Some(late) = faulty.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        is_gone(&world, &user).await;
        world.settle(&alice()).await;
    }
}

/// Both proofs are refused for earlier wrong ones: the longer wait is reported, and after it
/// neither is refused.
#[tokio::test]
async fn the_longer_of_two_waits_is_told() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    world.enrol(&user, &SECRET).await;
    let (key, wrong) = (shared(&world).await, "1".repeat(64));
    let guess = async |key: &str, code: &str| {
        client.request("DELETE", DELETE).json(&json!({"sharedKey": key, "code": code})).send().await
    };
    for _ in 0..4 {
        guess(&wrong, "").await.fails(400, "LP-Invalid-Shared-Secret");
    }
    let shown: Vec<String> = (0..6).map(|step| code_of(&SECRET, START - 30 + step * 30)).collect();
    let none = (0..).map(|number| format!("{number:06}")).find(|code| !shown.contains(code)).unwrap();
    for _ in 0..5 {
        guess(&key, &none).await.fails(400, "LP-Invalid-Two-Factor");
    }
    world.clock.advance(30);
    guess(&key, &none).await.fails(400, "LP-Invalid-Two-Factor");
    guess(&wrong, &none).await.fails(400, "LP-Invalid-Shared-Secret");
    // A malformed code is not checked, and no wait is reported for it.
    guess(&key, "none").await.waits(30);
    guess(&key, &code_of(&SECRET, world.now())).await.waits(60);
    world.clock.advance(60);
    guess(&key, &code_of(&SECRET, world.now())).await.is_empty();
    is_gone(&world, &user).await;
}

/// Deleted, but nobody can know: never reported as a refusal.
#[tokio::test]
async fn a_deletion_that_stays_unknown_is_told_so() {
    let faulty = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(Arc::clone(&faulty) as _, policy()).await;
    let user = world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let body = json!({"sharedKey": shared(&world).await});
    faulty.next_commit(Fault::LostAfter);
    // Who calls, the server's key, and what the commit depends on.
    for _ in 0..3 {
        faulty.next_load(LoadFault::None);
    }
    for _ in 0..8 {
        faulty.next_load(LoadFault::Fails);
    }
    client.request("DELETE", DELETE).json(&body).send().await.fails(500, "LP-Database-Error");
    faulty.calm();
    is_gone(&world, &user).await;
    // The address is free, though nobody has tidied up behind it.
    world.settle(&alice()).await;
    // The farewell is sent by the sweep, once the earlier claim has expired.
    world.clock.advance(CLAIM_LASTS);
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 1);
}

/// The farewell is owed by what is left of the account until it is sent.
#[tokio::test]
async fn a_mail_that_fails_stays_due() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    world.host.outbox.set_down(true);
    delete(&world, &client, json!("")).await.is_empty();
    is_gone(&world, &user).await;
    assert!(world.host.mails().iter().all(|letter| !letter.subject.ends_with("deleted")));
    world.host.outbox.set_down(false);
    world.clock.advance(CLAIM_LASTS);
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 1);
    assert_eq!(world.host.mails_to(&alice().email).last().unwrap().subject, "Your account was deleted");
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 0);
}

/// Anybody can register and delete, over and over: in time nothing is left, also where the notice of it cannot be given.
#[tokio::test]
async fn what_is_left_of_a_deleted_account_goes_in_time() {
    const DAY: u64 = 86_400;
    for mail_down in [false, true] {
        let world = World::new().await;
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        let upkeep = async || {
            let now = keywright_core::Clock::now(&*world.clock).unwrap();
            world.driver.set_horizon(world.store.move_horizon(now).await.unwrap());
            world.store.sweep(1_000).await.unwrap();
            let left = world.store.partitions(None, 1_000).await.unwrap();
            left.into_iter().filter(Partition::is_account).count()
        };
        upkeep().await;
        world.host.outbox.set_down(mail_down);
        delete(&world, &client, Value::Null).await.is_empty();
        let days = world.driver.events_kept() / DAY;
        for _ in 0..days {
            world.clock.advance(DAY);
            let _ = world.app.finish_due(user.account()).await;
            assert_eq!(upkeep().await, 1, "the log is kept as every log is");
        }
        for _ in 0..3 {
            world.clock.advance(DAY);
            let _ = world.app.finish_due(user.account()).await;
            upkeep().await;
        }
        assert_eq!(upkeep().await, 0);
        let told = world.host.mails_to(&alice().email).pop().is_some_and(|mail| mail.subject.ends_with("deleted"));
        assert_eq!(told, !mail_down);
    }
}
