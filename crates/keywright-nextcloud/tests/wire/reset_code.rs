//! The reset with a shown code, and the host's due work after any reset.

use std::future::Future;
use std::sync::atomic::Ordering;

use keywright_store::Partition;
use keywright_store::due::{self, CLAIM_LASTS, NewTask};
use serde_json::{Value, json};

use crate::support::{Client, Row, World, alice, bob, secret};

fn ok() -> Value {
    json!({"status": "ok"})
}

/// A code that is well formed and wrong.
const WRONG: &str = "AAAA-BBBB-CCCC-DDDD";

/// What is wrong with a code, tried on fresh ones.
fn another_case(code: &str) -> String {
    code.chars().map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
}

async fn of_bob(world: &World) -> Vec<Row> {
    let partition = Partition::account(&bob());
    world.scan().await.into_iter().filter(|row| row.partition == partition).collect()
}

#[tokio::test]
async fn a_code_is_four_groups_of_four_by_get_and_by_post() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let by_get = client.get("account/reset").await;
    let by_null = client.post("account/reset", json!({"code": null})).await;
    let by_post = client.post("account/reset", json!({})).await;
    let mut codes = Vec::new();
    for answer in [by_get, by_null, by_post] {
        let code = answer.json()["code"].as_str().unwrap().to_owned();
        answer.is(202, json!({"status": "accepted", "code": code}));
        let groups: Vec<&str> = code.split('-').collect();
        assert!(groups.len() == 4 && groups.iter().all(|group| group.len() == 4), "{code}");
        assert!(code.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-".contains(&byte)), "{code}");
        codes.push(code);
    }
    codes.dedup();
    assert_eq!(codes.len(), 3);
    // Asking again has voided the earlier ones.
    client.reset_with(&codes[0]).await.fails(403, "7e130744");
    client.reset_with(&codes[1]).await.fails(403, "7e130744");
    client.reset_with(&codes[2]).await.is(200, ok());
    client.reset_with(&codes[2]).await.fails(403, "7e130744");
    assert_eq!(world.host.erasures(), 1);
}

#[tokio::test]
async fn a_code_in_a_get_is_never_looked_at_and_the_pending_one_stays() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let code = phone.reset_code().await;
    let before = world.scan().await;
    for query in [format!("code={code}"), format!("a=b&code={code}"), "code=".into(), "code".into(), "c%6Fde=x".into()]
    {
        for _ in 0..3 {
            phone.get(&format!("account/reset?{query}")).await.fails(403, "7e130744");
        }
    }
    assert_eq!(world.scan().await, before);
    assert_eq!(world.host.erasures(), 0);
    phone.reset_with(&code).await.is(200, ok());
}

#[tokio::test]
async fn a_query_is_read_on_get_only() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let code = client.reset_code().await;
    let answer = client.post(&format!("account/reset?code={code}"), json!({})).await;
    assert_eq!(answer.status, 202, "a POST without a code asks");
    client.reset_with(&code).await.fails(403, "7e130744");
    assert_eq!(world.host.erasures(), 0);
}

#[tokio::test]
async fn head_does_nothing() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let code = client.reset_code().await;
    let before = world.scan().await;
    for path in ["account/reset", &format!("account/reset?code={code}")] {
        let request = client.request("HEAD", path).body("").unwrap();
        assert_eq!(client.send(request).await.status, 405);
    }
    assert_eq!(world.scan().await, before);
    client.reset_with(&code).await.is(200, ok());
}

#[tokio::test]
async fn the_fifth_wrong_try_kills_the_code_and_the_fourth_does_not() {
    for (wrong, status) in [(4, 200), (5, 403)] {
        let world = World::new().await;
        let mut client = world.token("phone");
        let code = client.reset_code().await;
        let tries = [WRONG.to_owned(), another_case(&code), format!("{code}A"), String::new(), "x".repeat(5_000)];
        for attempt in &tries[..wrong] {
            client.reset_with(attempt).await.fails(403, "7e130744");
        }
        assert_eq!(client.reset_with(&code).await.status, status, "{wrong}");
        assert_eq!(world.host.erasures(), usize::from(status == 200));
    }
}

/// `docs/decisions.md` 67: what pasting and phones do to a code costs no try.
#[tokio::test]
async fn blanks_and_hyphens_carry_nothing() {
    for change in [
        |code: &str| format!(" {code}\n"),
        |code: &str| code.replace('-', ""),
        |code: &str| code.replace('-', "\u{2011}"),
        |code: &str| code.replace('-', "\u{2013}\u{a0}"),
    ] {
        let world = World::new().await;
        let mut client = world.token("phone");
        let code = client.reset_code().await;
        client.reset_with(&change(&code)).await.is(200, ok());
        assert_eq!(world.host.erasures(), 1);
    }
}

#[tokio::test]
async fn a_code_of_another_type_is_403_and_costs_nothing() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let code = client.reset_code().await;
    for sent in [json!([code]), json!({"code": code}), json!(1), json!(true), json!(1e300)] {
        for _ in 0..2 {
            client.post("account/reset", json!({"code": sent})).await.fails(403, "7e130744");
        }
    }
    client.reset_with(&code).await.is(200, ok());
}

#[tokio::test]
async fn a_code_is_bound_to_the_session_that_asked_and_costs_nothing_elsewhere() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let mut other = world.opened("laptop").await;
    let code = phone.reset_code().await;
    for _ in 0..10 {
        other.reset_with(&code).await.fails(403, "7e130744");
    }
    // Another session with a code of its own: that code is checked.
    other.reset_code().await;
    other.reset_with(&code).await.fails(403, "7e130744");
    // A client that does not carry its session has none.
    let mut fresh = World::new().await.token("phone");
    fresh.reset_code().await;
    fresh.session = None;
    fresh.reset_with(&code).await.fails(403, "7e130744");
    phone.reset_with(&code).await.is(200, ok());
}

#[tokio::test]
async fn a_code_lives_ten_minutes_however_long_the_session() {
    for (after, status) in [(599, 200), (600, 403)] {
        let world = World::new().await;
        let mut client = world.token("phone");
        let code = client.reset_code().await;
        world.clock.advance(300);
        client.get("session/keepalive").await;
        world.clock.advance(after - 300);
        assert_eq!(client.reset_with(&code).await.status, status, "{after}");
    }
}

#[tokio::test]
async fn with_a_challenge_a_reset_needs_an_authorized_session() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut client = world.token("phone");
    let before = world.scan().await;
    client.get("account/reset").await.fails(412, "4ad27488");
    client.get("account/reset?code=x").await.fails(412, "4ad27488");
    client.post("account/reset", json!({})).await.fails(412, "4ad27488");
    client.reset_with("x").await.fails(412, "4ad27488");
    client.post("account/reset", json!({"code": 1})).await.fails(412, "4ad27488");
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn a_change_of_challenge_voids_a_pending_code() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let code = phone.reset_code().await;
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    phone.reset_with(&code).await.fails(403, "7e130744");
}

#[tokio::test]
async fn a_reset_leaves_a_blank_account_and_everybody_else_alone() {
    let world = World::new().await;
    let mut bobs = world.bob();
    bobs.set(&secret(7), None).await.is(200, json!({"success": true}));
    let untouched = of_bob(&world).await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("text").await;
    let mut other = world.opened("laptop").await;
    let code = phone.reset_code().await;
    let before = phone.session.clone();
    phone.reset_with(&code).await.is(200, ok());
    assert_ne!(phone.session, before);
    assert_eq!(world.host.erasures(), 1);
    assert_eq!(world.host.too_early.load(Ordering::SeqCst), 0, "the commit comes before the host's work");
    let left = world.slots(&alice()).await;
    // What counts guesses and mails outlives what it protects.
    assert!(left.iter().all(|slot| ["confirm-counts", "due", "ledger", "root"].contains(&slot.as_str())), "{left:?}");
    assert_eq!(of_bob(&world).await, untouched);
    // The events stay, and the erasure is one.
    assert_eq!(world.count_events("challenge_set").await, 1);
    assert_eq!(world.count_events("account_erased").await, 1);
    // Old ids are dead, tokens are not: the next request works, in a blank account.
    let fresh = phone.session.clone();
    phone.get("session/request").await.is(200, json!({}));
    assert_eq!(phone.session, fresh);
    phone.get("account/challenge/get").await.fails(404, "135d4069");
    phone.get("keychain/get").await.is(200, json!([]));
    let dead = other.session.clone();
    other.get("session/keepalive").await;
    assert_ne!(other.session, dead);
    phone.set(&secret(2), None).await.is(200, json!({"success": true}));
    assert!(!other.is_authorized().await);
    other.open(&secret(1)).await.fails(401, "ab6e13ba");
    assert_eq!(other.open(&secret(2)).await.status, 200);
}

#[tokio::test]
async fn a_reset_forgets_the_guesses_at_the_challenge_and_no_others() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let mut guesser = world.token("laptop");
    for _ in 0..4 {
        guesser.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    for _ in 0..5 {
        world.client("alice", "wrong").get("session/request").await;
    }
    let code = phone.reset_code().await;
    phone.reset_with(&code).await.is(200, ok());
    assert_eq!(world.password().get("session/request").await.status, 429);
    phone.set(&secret(1), None).await.is(200, json!({"success": true}));
    for _ in 0..4 {
        guesser.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    guesser.open(&secret(9)).await.waits(403, "b927b225", 30);
}

#[tokio::test]
async fn a_failed_erasure_is_500_and_finished_later_without_asking_again() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    phone.put_keychain("text").await;
    let code = phone.reset_code().await;
    world.host.failures.store(2, Ordering::SeqCst);
    phone.reset_with(&code).await.fails(500, "0");
    // It pauses for 2 s, then 4: until it is tried again, the account is busy.
    phone.get("session/request").await.waits(503, "0", 2);
    world.clock.advance(2);
    phone.get("session/request").await.fails(500, "0");
    phone.get("session/request").await.waits(503, "0", 4);
    assert_eq!(world.host.erasures(), 0);
    world.clock.advance(4);
    phone.get("session/request").await.is(200, json!({}));
    assert_eq!(world.host.erasures(), 1);
    phone.get("session/request").await.is(200, json!({}));
    assert_eq!(world.host.erasures(), 1);
}

/// While an erasure is due, every endpoint answers "busy" to every client, and nothing is stored
/// that it would erase.
async fn nothing_is_served(world: &World, phone: &mut Client) {
    let before = world.scan().await;
    let mut fresh = world.token("t1");
    for client in [phone, &mut fresh] {
        for path in [
            "session/request",
            "session/keepalive",
            "session/close",
            "account/challenge/get",
            "keychain/get",
            "account/reset",
        ] {
            client.get(path).await.waits(503, "0", 1);
        }
        client.set(&secret(3), None).await.waits(503, "0", 1);
        client.open("").await.waits(503, "0", 1);
        client.put_keychain("new").await.waits(503, "0", 1);
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn a_crash_between_the_commit_and_the_erasure_is_made_good_by_another_server() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let code = phone.reset_code().await;
    world.host.hangs.store(true, Ordering::SeqCst);
    {
        let mut resetting = phone.clone();
        let reset: std::pin::Pin<Box<dyn Future<Output = _>>> = Box::pin(resetting.reset_with(&code));
        tokio::select! {
            answer = reset => panic!("{answer:?}"),
            () = world.host.hanging.notified() => {}
        }
        // The future is dropped here, as when a server dies.
    }
    world.host.hangs.store(false, Ordering::SeqCst);
    let other = world.restarted(2);
    nothing_is_served(&other, &mut phone).await;
    world.clock.advance(CLAIM_LASTS);
    other.token("t1").get("session/request").await.is(200, json!({}));
    assert_eq!(world.host.erasures(), 1);
}

#[tokio::test]
async fn finish_due_does_the_same_for_a_sweep() {
    let world = World::new().await;
    let mut client = world.token("phone");
    let code = client.reset_code().await;
    world.host.failures.store(1, Ordering::SeqCst);
    client.reset_with(&code).await.fails(500, "0");
    assert_eq!(world.app.finish_due(&alice()).await.unwrap(), 0, "it pauses");
    world.clock.advance(2);
    world.host.failures.store(1, Ordering::SeqCst);
    world.app.finish_due(&alice()).await.unwrap_err();
    // At the start of a server everything is tried immediately.
    assert_eq!(world.app.finish_due_at_start(&alice()).await.unwrap(), 1);
    assert_eq!(world.app.finish_due(&alice()).await.unwrap(), 0);
    assert_eq!(world.host.erasures(), 1);
}

#[tokio::test]
async fn work_of_another_part_is_left_to_it() {
    let world = World::new().await;
    world.step(&alice(), |draft| due::add(draft, NewTask::new("host/mail", vec![1]))).await;
    world.clock.advance(CLAIM_LASTS);
    assert_eq!(world.token("phone").get("session/request").await.status, 200);
    assert_eq!(world.app.finish_due(&alice()).await.unwrap(), 0);
    let pending = world.step(&alice(), due::pending).await;
    let now = keywright_core::Clock::now(&*world.clock).unwrap();
    assert!(pending.len() == 1 && pending[0].is_free(now), "whose work it is can have it at once");
}
