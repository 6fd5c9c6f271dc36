//! What outsiders learn about whether an address has an account (protocol § 11, 17;
//! `docs/security.md` § 11).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_librepass::Privacy;
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;
use serde_json::{Value, json};

use crate::support::{World, alice, bob, policy};

const NOBODY: &str = "nobody@example.com";

fn uniform() -> keywright_librepass::LibrePassPolicyBuilder {
    policy().privacy(Privacy::Uniform)
}

#[tokio::test]
async fn by_default_it_is_as_on_the_wire() {
    let world = World::new().await;
    world.register(&alice()).await.is(201, json!({}));
    world.log_in_with(NOBODY, &"0".repeat(64)).await.is(404, json!({"error": "LP-User-404", "status": 404}));
    let waiting = world.log_in_with(&alice().email, &"0".repeat(64)).await;
    waiting.is(401, json!({"error": "LP-Email-Not-Verified", "status": 401}));
    for path in ["passwordHint", "resendVerificationEmail"] {
        let answer = world.client().get(&format!("/api/auth/{path}?email={NOBODY}")).send().await;
        answer.is(404, json!({"error": "LP-User-404", "status": 404}));
    }
    // Several may wait; once it is verified it is taken.
    world.register(&alice()).await.is(201, json!({}));
    world.open_link(&alice().email).await.redirects();
    world.register(&alice()).await.fails(400, "LP-Duplicated");
}

#[tokio::test]
async fn under_uniform_every_refusal_at_log_in_is_the_same() {
    let world = World::with(uniform()).await;
    world.settle(&alice()).await;
    world.register(&bob()).await.is(201, json!({}));
    let refused = json!({"error": "LP-Invalid-Shared-Secret", "status": 400});
    let (alices, bobs) = (alice().shared(&world.server_key().await), bob().shared(&world.server_key().await));
    let wrong = "1".repeat(64);
    // Wrong, unknown, waiting with a wrong and with the right key, malformed at each.
    for (email, key) in [
        (alice().email, &wrong),
        (NOBODY.into(), &wrong),
        (bob().email, &wrong),
        (bob().email, &bobs),
        (alice().email, &"x".to_owned()),
        (NOBODY.into(), &"x".to_owned()),
        (bob().email, &"x".to_owned()),
    ] {
        world.log_in_with(&email, key).await.is(400, refused.clone());
    }
    world.log_in_with(&alice().email, &alices).await.ok();
    for _ in 0..10 {
        world.log_in_with(&alice().email, &wrong).await.is(400, refused.clone());
        world.log_in_with(NOBODY, &wrong).await.is(400, refused.clone());
    }
    // The owner waits too, and does not learn why.
    world.log_in_with(&alice().email, &alices).await.is(400, refused);
    world.clock.advance(30);
    world.log_in_with(&alice().email, &alices).await.ok();
}

#[tokio::test]
async fn under_uniform_unknown_addresses_are_charged_too() {
    let world = World::with(uniform()).await;
    world.settle(&alice()).await;
    let wrong = "1".repeat(64);
    let mut rows = world.scan().await.len();
    let written = async |email: &str| {
        let before = world.scan().await;
        world.log_in_with(email, &wrong).await.fails(400, "LP-Invalid-Shared-Secret");
        world.scan().await != before
    };
    for n in 0..5 {
        assert!(written(&alice().email).await && written(NOBODY).await, "{n}");
    }
    // Both are locked now: neither writes.
    assert!(!written(&alice().email).await && !written(NOBODY).await);
    world.clock.advance(30);
    assert!(written(&alice().email).await && written(NOBODY).await);
    // A ledger and a root for the decoy; the account has its ledger since the first log-in.
    rows += 2;
    assert_eq!(world.scan().await.len(), rows);
    // `NOBODY` in another case is the same decoy.
    world.log_in_with("NOBODY@Example.com", &wrong).await.fails(400, "LP-Invalid-Shared-Secret");
    assert_eq!(world.scan().await.len(), rows);
}

#[tokio::test]
async fn under_uniform_parameters_do_not_tell() {
    let world = World::with(uniform()).await;
    let ask = async |email: &str| -> Value {
        world.client().get(&format!("/api/auth/preLogin?email={email}")).send().await.ok()
    };
    let mut seen = HashMap::new();
    for n in 0..400 {
        let email = format!("nobody{n}@example.com");
        let body = ask(&email).await;
        assert_eq!(body, ask(&email.to_uppercase()).await, "the same whenever it is asked");
        let key = format!("{}/{}/{}", body["parallelism"], body["memory"], body["iterations"]);
        *seen.entry(key).or_insert(0) += 1;
    }
    assert!(seen["3/65536/4"] > 340 && seen.len() > 2, "{seen:?}");
    // The table is keyed: another server has another one.
    assert_eq!(ask("").await["memory"], 65_536);
}

#[tokio::test]
async fn under_uniform_mails_are_promised_to_everybody() {
    let world = World::with(uniform()).await;
    world.settle(&alice()).await;
    world.register(&bob()).await.is(201, json!({}));
    let mails = world.host.mails().len();
    for email in [alice().email, bob().email, NOBODY.into()] {
        for path in ["passwordHint", "resendVerificationEmail"] {
            world.client().get(&format!("/api/auth/{path}?email={email}")).send().await.is_empty();
        }
    }
    // A hint for the one, a link for the other.
    assert_eq!(world.host.mails().len(), mails + 2);
    for _ in 0..20 {
        world.client().get(&format!("/api/auth/passwordHint?email={}", alice().email)).send().await.is_empty();
    }
    assert_eq!(world.host.mails().len(), mails + 2 + 9);
}

/// Time reveals nothing either: whether or not a mail is sent, the store makes as many commits.
#[tokio::test]
async fn under_uniform_a_promised_mail_takes_the_same_commits_for_everybody() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), uniform()).await;
    world.host.mail_later.store(true, Ordering::SeqCst);
    for somebody in [alice(), bob()] {
        world.register(&somebody).await.is(201, json!({}));
    }
    let told = std::mem::take(&mut *world.host.told.lock().unwrap());
    for account in told {
        world.app.finish_due(&account).await.unwrap();
    }
    world.open_link(&alice().email).await.redirects();
    for (path, commits) in [("passwordHint", 1), ("resendVerificationEmail", 2)] {
        for round in 0..15 {
            for email in [alice().email, bob().email, NOBODY.into()] {
                let before = store.tally().commits;
                world.client().get(&format!("/api/auth/{path}?email={email}")).send().await.is_empty();
                assert_eq!(store.tally().commits - before, commits, "{path} {email} {round}");
            }
        }
    }
}

/// A client that is about to change its address asks for the parameters of the new one, and derives its new key with
/// them; the change keeps the account's own (protocol § 13).
#[tokio::test]
async fn before_a_change_of_address_the_owners_parameters_are_those_of_the_new_address() {
    for (privacy, of_another) in [(policy(), 4), (uniform(), 7)] {
        let world = World::with(privacy).await;
        let mut own = world.registration(&alice()).await;
        own["iterations"] = json!(7);
        world.client().post("/api/auth/register").json(&own).send().await.is(201, json!({}));
        world.open_link(&alice().email).await.redirects();
        world.settle(&bob()).await;
        let client = world.client_of(&alice()).await;
        let ask = async |client: &crate::support::Client, email: &str| {
            client.get(&format!("/api/auth/preLogin?email={email}")).send().await.ok()["iterations"].clone()
        };
        assert_eq!(ask(&client, "a.new@example.com").await, 7);
        assert_eq!(ask(&client, &alice().email).await, 7);
        // An address that another account has: its own, unless nobody may learn that there is an account.
        assert_eq!(ask(&client, &bob().email).await, of_another);
        // What is no valid token changes nothing.
        let forged =
            world.client().with_token(&client.token.clone().unwrap().replace(|c: char| c.is_ascii_digit(), "0"));
        for nobody in [world.client(), forged] {
            assert_eq!(ask(&nobody, &bob().email).await, 4);
            assert_eq!(ask(&nobody, &alice().email).await, 7);
        }
        // Nor does one whose second factor is not proven.
        let user = world.user_of(&alice()).await;
        world.enrol(&user, &[7; 20]).await;
        let waiting = world.log_in(&alice()).await.ok()["apiKey"].as_str().unwrap().to_owned();
        assert_eq!(ask(&world.client().with_token(&waiting), &bob().email).await, 4);
    }
}
