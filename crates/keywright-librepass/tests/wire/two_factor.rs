//! `setup/2fa`: the first second factor, another in its place, and what it takes.

mod vectors;

use std::sync::Arc;

use keywright_librepass::UserId;
use keywright_store::MemoryStore;
use keywright_store_conformance::{Fault, FaultStore};
use keywright_twofactor::{Once, TotpSecret};
use serde_json::{Value, json};

use crate::support::{Answer, Client, World, alice, at_once, code_of, on_both, policy};

const SETUP: &str = "/api/user/setup/2fa";
const ONE: [u8; 20] = [7; 20];
const TWO: [u8; 20] = [8; 20];

fn base32(secret: &[u8]) -> String {
    TotpSecret::from_slice(secret).unwrap().to_base32().expose().to_owned()
}

/// A code that the secret does not show around now.
fn wrong(secret: &[u8], now: u64) -> String {
    let right: Vec<String> = (0..5).map(|n| code_of(secret, now - 60 + n * 30)).collect();
    (0..).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap()
}

async fn body(world: &World, secret: &[u8], code: &str) -> Value {
    let shared = alice().shared(&world.server_key().await);
    json!({"sharedKey": shared, "secret": base32(secret), "code": code})
}

/// Sets up a secret with the code that it shows now.
async fn set_up(world: &World, client: &Client, secret: &[u8]) -> Answer {
    client.post(SETUP).json(&body(world, secret, &code_of(secret, world.now())).await).send().await
}

fn recovery_of(answer: &Answer) -> String {
    let body = answer.ok();
    assert_eq!(body.as_object().unwrap().len(), 1);
    body["recoveryCode"].as_str().unwrap().to_owned()
}

/// A login that waits for its second factor.
async fn waiting(world: &World) -> Client {
    let body = world.log_in(&alice()).await.ok();
    assert_eq!(body["verified"], false);
    world.client().with_token(body["apiKey"].as_str().unwrap())
}

async fn prove(client: &Client, code: &str) -> Answer {
    client.prove(client.token.as_deref().unwrap(), code).await
}

async fn charges(world: &World, user: &UserId, secret: &str) -> usize {
    let events = world.events(user).await;
    let denied = events.iter().filter(|event| event["kind"] == "guess_denied" && event["secret"] == secret);
    denied.map(|event| 1 + event["earlier"].as_u64().unwrap_or_default() as usize).sum()
}

#[tokio::test]
async fn it_is_on_from_the_answer_on() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        let recovery = recovery_of(&set_up(&world, &client, &ONE).await);
        assert_eq!((recovery.len(), recovery.to_lowercase()), (36, recovery.clone()));
        assert_eq!(world.host.mails_to(&alice().email).last().unwrap().subject, "Two-factor authentication was set up");
        // The login that set it up remains valid; the next one needs it. The code that enrolled is
        // spent, and not charged.
        assert!(client.is_in().await);
        let next = waiting(&world).await;
        assert!(!next.is_in().await);
        prove(&next, &code_of(&ONE, world.now())).await.fails(400, "LP-Invalid-Two-Factor");
        world.clock.advance(30);
        prove(&next, &code_of(&ONE, world.now())).await.is_empty();
        let other = waiting(&world).await;
        prove(&other, &recovery).await.is_empty();
        prove(&waiting(&world).await, &recovery).await.fails(400, "LP-Invalid-Two-Factor");
        for kind in ["factor_added", "recovery_codes_made", "recovery_codes_live"] {
            assert_eq!(world.count_events(&user, kind).await, 1, "{kind}");
        }
        // Neither secret nor code lies anywhere in clear.
        for record in world.scan().await {
            let holds = |part: &[u8]| record.body.windows(part.len()).any(|window| window == part);
            assert!(
                !holds(&ONE) && !holds(recovery.as_bytes()) && !holds(base32(&ONE).as_bytes()),
                "{:?}",
                record.slot
            );
        }
    })
    .await;
}

#[tokio::test]
async fn another_takes_its_place_only_behind_a_fresh_proof() {
    on_both(async |world: World| {
        let world = world.ruled_by(policy().end_other_logins(false), 5).await;
        let user = world.settle(&alice()).await;
        let (client, old) = (world.client_of(&alice()).await, world.client_of(&alice()).await);
        let first = recovery_of(&set_up(&world, &client, &ONE).await);
        // A login from before it was on remains valid, but has proven nothing.
        assert!(old.is_in().await);
        let before = world.scan().await;
        set_up(&world, &old, &TWO).await.fails(401, "LP-Invalid-Token");
        assert_eq!(world.scan().await, before);
        // Nor has one that waits.
        set_up(&world, &waiting(&world).await, &TWO).await.fails(401, "LP-Invalid-Token");
        // A login that enrolled has proven it just now, but a quarter of an hour later it no longer
        // counts.
        world.clock.advance(15 * 60);
        set_up(&world, &client, &TWO).await.fails(401, "LP-Invalid-Token");
        assert!(client.is_in().await);
        let (fresh, stale) = (waiting(&world).await, waiting(&world).await);
        prove(&stale, &code_of(&ONE, world.now())).await.is_empty();
        world.clock.advance(30);
        prove(&fresh, &code_of(&ONE, world.now())).await.is_empty();
        world.clock.advance(15 * 60 - 1);
        set_up(&world, &stale, &TWO).await.fails(401, "LP-Invalid-Token");
        let second = recovery_of(&set_up(&world, &fresh, &TWO).await);
        // The old codes are nothing any more.
        world.clock.advance(30);
        let next = waiting(&world).await;
        prove(&next, &code_of(&ONE, world.now())).await.fails(400, "LP-Invalid-Two-Factor");
        prove(&next, &first).await.fails(400, "LP-Invalid-Two-Factor");
        prove(&next, &code_of(&TWO, world.now())).await.is_empty();
        prove(&waiting(&world).await, &second).await.is_empty();
        assert_eq!(world.count_events(&user, "factor_replaced").await, 1, "one step, one event");
        assert_eq!(world.count_events(&user, "factor_removed").await, 0);
        assert_eq!(
            world.host.mails_to(&alice().email).iter().filter(|letter| letter.subject.starts_with("Two")).count(),
            2
        );
    })
    .await;
}

/// Decision 34: by default the login that sets up a second factor is the only one left.
#[tokio::test]
async fn a_set_up_ends_all_other_logins() {
    on_both(async |world: World| {
        world.settle(&alice()).await;
        let (client, other) = (world.client_of(&alice()).await, world.client_of(&alice()).await);
        set_up(&world, &client, &ONE).await.ok();
        assert!(client.is_in().await && !other.is_in().await);
        world.clock.advance(30);
        let next = waiting(&world).await;
        prove(&next, &code_of(&ONE, world.now())).await.is_empty();
        set_up(&world, &next, &TWO).await.ok();
        assert!(next.is_in().await && !client.is_in().await);
    })
    .await;
}

/// A client that enrols knows the secret, so it may learn why its device would be refused later.
#[tokio::test]
async fn a_clock_that_is_off_is_said_at_the_set_up() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let body = body(&world, &ONE, &code_of(&ONE, world.now() - 90)).await;
    let answer = client.post(SETUP).json(&body).send().await;
    answer.fails(400, "LP-Invalid-Two-Factor").says("the clock of this device is 90 seconds behind");
    set_up(&world, &client, &ONE).await.ok();
}

/// A proof of the earlier device opens nothing, however fresh: an owner who has just locked out a
/// thief must not be locked out in turn.
#[tokio::test]
async fn a_proof_of_the_device_before_is_no_proof() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.enrol(&user, &ONE).await;
    let (thief, owner) = (waiting(&world).await, waiting(&world).await);
    prove(&thief, &code_of(&ONE, world.now())).await.is_empty();
    world.clock.advance(30);
    prove(&owner, &code_of(&ONE, world.now())).await.is_empty();
    world.clock.advance(30);
    set_up(&world, &owner, &TWO).await.ok();
    set_up(&world, &thief, &ONE).await.fails(401, "LP-Invalid-Token");
    world.clock.advance(30);
    set_up(&world, &thief, &ONE).await.fails(401, "LP-Invalid-Token");
    // The owner's own still is one, also after the clock went back.
    world.clock.advance(30);
    set_up(&world, &owner, &ONE).await.ok();
    world.clock.set(keywright_core::UnixSeconds::new(world.now() - 300).unwrap());
    set_up(&world, &owner, &TWO).await.fails(401, "LP-Invalid-Token");
}

/// Protocol § 7: token, shared key, then the code. Nothing but a wrong shared key is a guess.
#[tokio::test]
async fn the_order_of_checks_and_what_is_charged() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        let (now, right) = (world.now(), body(&world, &ONE, "").await);
        let with = |member: &str, value: Value| {
            let mut body = right.clone();
            body[member] = value;
            body
        };
        let before = world.scan().await;
        // Right but for secret or code, a hundred times: no charge, nothing written.
        for n in 0..20 {
            for code in
                ["", "12345", "1234567", "abcdef", &wrong(&ONE, now), &code_of(&ONE, now - 90), &code_of(&TWO, now)]
            {
                let body = with("code", json!(code));
                client.post(SETUP).json(&body).send().await.fails(400, "LP-Invalid-Two-Factor");
            }
            for secret in ["", "1", "JBSWY3DPEHPK3P1P", "MZXW6YTBOI", &"A".repeat(600 + n), "ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ"]
            {
                let mut body = with("secret", json!(secret));
                body["code"] = json!(code_of(&ONE, now));
                client.post(SETUP).json(&body).send().await.fails(400, "LP-Invalid-Two-Factor");
            }
        }
        for key in ["", "00", &"0".repeat(63), &"g".repeat(64), &"0".repeat(66)] {
            let body = with("sharedKey", json!(key));
            client.post(SETUP).json(&body).send().await.fails(400, "LP-Invalid-Shared-Secret");
        }
        for bad in [
            with("sharedKey", Value::Null),
            with("secret", json!(1)),
            with("code", json!(123_456)),
            json!({"sharedKey": right["sharedKey"], "secret": right["secret"]}),
            json!({"secret": right["secret"], "code": "123456"}),
            json!([]),
        ] {
            client.post(SETUP).json(&bad).send().await.fails(400, "LP-Invalid-Body");
            world.client().post(SETUP).json(&bad).send().await.fails(401, "LP-Invalid-Token");
        }
        client.post(SETUP).raw("{").send().await.fails(400, "LP-Invalid-Body");
        assert_eq!(world.scan().await, before);
        // A wrong shared key is reported before a wrong code, and charged. After five of them
        // nothing is checked.
        for _ in 0..5 {
            let wrong_key = with("sharedKey", json!("1".repeat(64)));
            client.post(SETUP).json(&wrong_key).send().await.fails(400, "LP-Invalid-Shared-Secret");
        }
        assert_eq!((charges(&world, &user, "shared-key").await, charges(&world, &user, "totp").await), (1, 0));
        set_up(&world, &client, &ONE).await.waits(30);
        world.clock.advance(30);
        set_up(&world, &client, &ONE).await.ok();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_sets_it_up() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let mut clients = Vec::new();
        for _ in 0..16 {
            clients.push(world.client_of(&alice()).await);
        }
        let shared = alice().shared(&world.server_key().await);
        let now = world.now();
        let answers = at_once(16, |n| {
            let secret = [n as u8 + 1; 20];
            let code = code_of(&secret, now);
            let put = json!({"sharedKey": shared, "secret": base32(&secret), "code": code});
            let sending = clients[n].post(SETUP).json(&put);
            async move { sending.send().await }
        })
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        assert!(answers.iter().all(|answer| [200, 401, 503].contains(&answer.status)), "{answers:?}");
        let recovery = recovery_of(answers.iter().find(|answer| answer.status == 200).unwrap());
        prove(&waiting(&world).await, &recovery).await.is_empty();
        assert_eq!(world.count_events(&user, "factor_added").await, 1);
    })
    .await;
}

/// One code, one recovery code, 64 logins at a time: one gets in by each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_code_that_was_set_up_over_the_wire_opens_one_of_many() {
    on_both(async |world: World| {
        world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        let recovery = recovery_of(&set_up(&world, &client, &ONE).await);
        world.clock.advance(30);
        for code in [code_of(&ONE, world.now()), recovery] {
            let mut clients = Vec::new();
            for _ in 0..8 {
                clients.push(waiting(&world).await);
            }
            let inside = at_once(64, |n| {
                let (client, code) = (clients[n % 8].clone(), code.clone());
                async move { prove(&client, &code).await }
            })
            .await;
            assert!(inside.iter().all(|answer| [200, 400, 429, 503].contains(&answer.status)), "{inside:?}");
            let mut open = 0;
            for client in &clients {
                open += usize::from(client.is_in().await);
            }
            assert_eq!(open, 1);
        }
    })
    .await;
}

/// The old phone is lost, and an attacker who knows the password keeps the codes locked: the way
/// out stays open, and the code that enrolled is spent all the same.
#[tokio::test]
async fn a_shut_door_holds_up_nobody_who_has_proven_the_factor() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let recovery = world.enrol(&user, &ONE).await;
    let (thief, owner) = (waiting(&world).await, waiting(&world).await);
    prove(&owner, &recovery).await.is_empty();
    for _ in 0..5 {
        prove(&thief, &wrong(&ONE, world.now())).await.fails(400, "LP-Invalid-Two-Factor");
    }
    prove(&thief, &code_of(&ONE, world.now())).await.waits(30);
    set_up(&world, &owner, &TWO).await.ok();
    prove(&waiting(&world).await, &code_of(&TWO, world.now())).await.fails(400, "LP-Invalid-Two-Factor");
    assert!(world.events(&user).await.iter().any(|event| event["reason"] == "replayed"));
}

#[tokio::test]
async fn once_for_each_purpose_means_all_of_them_for_the_code_that_enrols() {
    let world = World::with(policy().once(Once::Purpose)).await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    set_up(&world, &client, &ONE).await.ok();
    let code = code_of(&ONE, world.now());
    prove(&waiting(&world).await, &code).await.fails(400, "LP-Invalid-Two-Factor");
    let shared = alice().shared(&world.server_key().await);
    let deletion = json!({"sharedKey": shared, "code": code});
    client.request("DELETE", "/api/user/delete").json(&deletion).send().await.fails(400, "LP-Invalid-Two-Factor");
}

#[tokio::test]
async fn whatever_reply_is_lost_the_code_that_is_answered_is_the_one_that_works() {
    for fault in [Fault::Conflict, Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed, Fault::Held] {
        let faulty = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let world = World::on(Arc::clone(&faulty) as _, policy()).await;
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        faulty.next_commit(fault.clone());
        let recovery = recovery_of(&set_up(&world, &client, &ONE).await);
        while let Some(late) = faulty.deliver().await {
            assert!(late.is_err(), "a commit that was fenced off landed");
        }
        prove(&waiting(&world).await, &recovery).await.is_empty();
        assert_eq!(world.count_events(&user, "factor_added").await, 1, "{fault:?}");
        // One that is refused changes nothing, and reveals neither yes nor no.
        let before = world.scan().await;
        faulty.next_commit(Fault::Rejected);
        set_up(&world, &client, &TWO).await.fails(500, "LP-Database-Error");
        assert_eq!(world.scan().await, before);
        set_up(&world, &client, &TWO).await.ok();
    }
}

/// The notice is owed until it is sent.
#[tokio::test]
async fn a_mail_that_fails_stays_due() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let sent = world.host.mails().len();
    world.host.outbox.set_down(true);
    set_up(&world, &client, &ONE).await.ok();
    assert_eq!(world.host.mails().len(), sent);
    world.host.outbox.set_down(false);
    world.clock.advance(keywright_store::due::CLAIM_LASTS);
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 1);
    assert_eq!(world.host.mails().len(), sent + 1);
}

/// The recovery code is shown once, in the answer: a store that fails afterwards, while the notice is struck, must not take
/// it away.
#[tokio::test]
async fn a_fault_behind_the_commit_does_not_cost_the_recovery_code() {
    for fault in [vec![Fault::Rejected], vec![Fault::Conflict; 50]] {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let world = World::on(store.clone(), policy()).await;
        let user = world.settle(&alice()).await;
        let client = world.client_of(&alice()).await;
        store.next_commit(Fault::None);
        fault.into_iter().for_each(|fault| store.next_commit(fault));
        let answer = set_up(&world, &client, &[7; 20]).await;
        store.calm();
        assert_eq!(world.count_events(&user, "factor_added").await, 1);
        world.clock.advance(30);
        prove(&waiting(&world).await, &recovery_of(&answer)).await.is_empty();
    }
}
