//! Sessions: which ids live, for how long, for whom, and what they cost.

use std::sync::Arc;

use keywright_nextcloud::{MAX_SESSIONS, NextcloudPolicy, SESSION_ABSOLUTE, SESSION_LIFETIME};
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;
use serde_json::json;

use crate::support::{Client, World, alice, secret};

/// The id of a session in which `client` may do everything.
fn id(client: &Client) -> String {
    client.session.clone().unwrap()
}

/// `id` with the last character of its secret changed.
fn altered(id: &str) -> String {
    let at = 60;
    let other = if id.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &id[..at], &id[at + 1..])
}

#[tokio::test]
async fn an_id_that_is_none_of_ours_gets_a_fresh_one_and_no_error() {
    let world = World::new().await;
    let mut bob = world.bob();
    bob.get("session/request").await;
    let mut old = world.token("phone");
    old.get("session/request").await;
    let before_the_challenge = id(&old);
    let phone = world.with_challenge().await;
    let junk = ["null", "", "undefined", "a:b", "…", &"A".repeat(86), &"-".repeat(86), &"x".repeat(5000)];
    let foreign = [id(&bob), before_the_challenge, altered(&id(&phone))];
    let rows = world.session_rows().await;
    for sent in junk.into_iter().map(String::from).chain(foreign) {
        let mut client = world.token("phone");
        let request = client.request("GET", "session/request").header("x-api-session", &sent).body("").unwrap();
        let answer = client.send(request).await;
        assert_eq!(answer.status, 200);
        assert!(answer.json()["challenge"].is_object(), "{sent} is not authorized");
        assert_ne!(answer.id().unwrap(), sent);
        let fresh = id(&client);
        client.get("session/keepalive").await;
        assert_eq!(id(&client), fresh, "a fresh one is ours and is echoed");
    }
    assert_eq!(world.session_rows().await, rows);
}

#[tokio::test]
async fn a_request_that_needs_nothing_kept_writes_nothing() {
    let world = World::new().await;
    let mut client = world.token("laptop");
    let before = world.scan().await;
    for path in ["session/request", "session/keepalive", "session/close", "account/challenge/get", "keychain/get"] {
        client.session = None;
        client.get(path).await;
        client.get(path).await;
    }
    assert_eq!(world.scan().await, before);
    let mut phone = world.with_challenge().await;
    let before = world.scan().await;
    for path in ["session/request", "session/keepalive", "session/close", "account/challenge/get", "account/reset"] {
        client.get(path).await;
    }
    client.post("session/open", json!({})).await.fails(401, "ab6e13ba");
    client.set(&secret(2), Some(&secret(1))).await.fails(412, "4ad27488");
    phone.get("account/challenge/get").await;
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn the_id_changes_with_authorization_and_only_then() {
    let world = World::new().await;
    let mut phone = world.token("phone");
    phone.get("session/request").await;
    let asked = id(&phone);
    phone.get("session/keepalive").await;
    assert_eq!(id(&phone), asked);
    phone.set(&secret(1), None).await;
    let set = id(&phone);
    assert_ne!(set, asked);
    for path in ["session/keepalive", "session/request", "account/challenge/get", "nonsense"] {
        phone.get(path).await;
        assert_eq!(id(&phone), set);
    }
    phone.open("").await;
    assert_eq!(id(&phone), set, "authorized already");
    let mut laptop = world.token("laptop");
    laptop.get("session/request").await;
    let asked = id(&laptop);
    laptop.open(&secret(2)).await.fails(401, "ab6e13ba");
    assert_eq!(id(&laptop), asked);
    laptop.open(&secret(1)).await;
    let opened = id(&laptop);
    assert_ne!(opened, asked);
    laptop.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    assert_ne!(id(&laptop), opened);
    assert!(laptop.is_authorized().await);
}

#[tokio::test]
async fn an_id_that_an_attacker_planted_is_never_authorized() {
    let world = World::new().await;
    // One without a record, and one with: a pending reset has saved it.
    let mut planted = [world.token("phone"), world.token("phone")];
    planted[0].get("session/request").await;
    planted[1].reset_code().await;
    for attacker in &mut planted {
        let mut victim = attacker.clone();
        victim.open("").await;
        assert_ne!(victim.session, attacker.session);
    }
    let mut victim = planted[0].clone();
    victim.set(&secret(1), None).await.is(200, json!({"success": true}));
    for attacker in &mut planted {
        assert!(!attacker.is_authorized().await);
        let mut victim = attacker.clone();
        assert_eq!(victim.open(&secret(1)).await.status, 200);
        assert!(victim.is_authorized().await && !attacker.is_authorized().await);
    }
}

#[tokio::test]
async fn a_session_lives_600_seconds_after_its_last_use() {
    for (idle, lives) in [(SESSION_LIFETIME, true), (SESSION_LIFETIME + 1, false)] {
        let world = World::new().await;
        let mut phone = world.with_challenge().await;
        let before = id(&phone);
        world.clock.advance(idle);
        // A dead id is no error: 200 with a new one.
        phone.get("session/keepalive").await.is(200, json!({"success": true}));
        assert_eq!(id(&phone) == before, lives, "{idle}");
        assert_eq!(phone.is_authorized().await, lives, "{idle}");
        phone.session = Some(before);
        assert_eq!(phone.is_authorized().await, lives, "a dead one does not come back");
    }
}

#[tokio::test]
async fn last_use_is_written_only_when_a_tenth_of_the_lifetime_old() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let before = world.scan().await;
    world.clock.advance(60);
    phone.get("session/keepalive").await;
    assert_eq!(world.scan().await, before);
    world.clock.advance(1);
    phone.get("session/keepalive").await;
    let after = world.scan().await;
    let changed: Vec<&str> = after.iter().zip(&before).filter(|(a, b)| a != b).map(|(a, _)| a.slot.as_str()).collect();
    assert_eq!(changed, ["root", "sessions"]);
    world.clock.advance(SESSION_LIFETIME);
    assert!(phone.is_authorized().await);
}

#[tokio::test]
async fn a_session_lives_24_hours_however_busy() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let before = id(&phone);
    for _ in 0..SESSION_ABSOLUTE / 400 {
        world.clock.advance(400);
        phone.get("session/keepalive").await;
    }
    assert!(phone.is_authorized().await && id(&phone) == before);
    world.clock.advance(1);
    assert!(!phone.is_authorized().await);
    assert_ne!(id(&phone), before);
}

#[tokio::test]
async fn an_account_has_sixteen_sessions_and_the_oldest_makes_room() {
    let world = World::new().await;
    world.with_challenge().await.get("session/close").await.is(200, json!({"success": true}));
    let mut clients = Vec::new();
    for n in 0..MAX_SESSIONS {
        clients.push(world.opened(&format!("t{n}")).await);
    }
    for client in &mut clients {
        assert!(client.is_authorized().await);
    }
    let mut last = world.opened("laptop").await;
    assert!(last.is_authorized().await);
    let mut alive = Vec::new();
    for client in &mut clients {
        alive.push(client.is_authorized().await);
    }
    assert_eq!(alive.iter().position(|alive| !alive), Some(0));
    assert_eq!(alive.iter().filter(|alive| !**alive).count(), 1);
}

#[tokio::test]
async fn opening_again_and_again_leaves_no_more_rows_than_sessions() {
    let world = World::new().await;
    for _ in 0..20 {
        world.token("phone").reset_code().await;
    }
    for _ in 0..20 {
        world.token("phone").open("").await.is(200, json!({"success": true, "keys": []}));
    }
    let mut phone = world.with_challenge().await;
    for _ in 0..20 {
        phone.set(&secret(1), Some(&secret(1))).await.is(200, json!({"success": true}));
    }
    // Those from before the challenge went with the commit that set it.
    assert_eq!(world.session_rows().await, 1);
}

/// Without a challenge no session has proven anything, so none crowds out a request (`docs/decisions.md` 68).
#[tokio::test]
async fn a_request_takes_the_place_of_the_oldest_session_that_has_proven_nothing() {
    let world = World::new().await;
    let mut clients = Vec::new();
    for n in 0..MAX_SESSIONS {
        let mut client = world.token(&format!("t{n}"));
        client.open("").await;
        clients.push(client);
    }
    let mut asking = world.token("phone");
    let code = asking.reset_code().await;
    assert_eq!(world.session_rows().await, MAX_SESSIONS);
    // A live one that is opened again keeps its id. The oldest is checked last, because it takes a
    // place again.
    for (n, client) in clients.iter_mut().enumerate().rev() {
        let before = id(client);
        client.open("").await;
        assert_eq!(id(client) == before, n > 0, "{n}");
    }
    // The place that it took was of the one session that may do less than it.
    asking.reset_with(&code).await.fails(403, "7e130744");
    let code = asking.reset_code().await;
    asking.reset_with(&code).await.is(200, json!({"status": "ok"}));
}

/// What nobody uses any more makes room first.
#[tokio::test]
async fn a_dead_session_is_the_first_to_make_room() {
    let world = World::new().await;
    let mut idle = world.token("t0");
    idle.open("").await;
    world.clock.advance(SESSION_LIFETIME);
    let mut clients = Vec::new();
    for n in 1..MAX_SESSIONS {
        let mut client = world.token(&format!("t{n}"));
        client.open("").await;
        clients.push(client);
    }
    world.clock.advance(1);
    let mut asking = world.token("phone");
    let code = asking.reset_code().await;
    for client in &mut clients {
        let before = id(client);
        client.open("").await;
        assert_eq!(id(client), before, "still authorized: opened without a new id");
    }
    asking.reset_with(&code).await.is(200, json!({"status": "ok"}));
}

/// One more session costs no more loads, whatever it has to evict (finding E13).
#[tokio::test]
async fn one_more_session_than_there_may_be_is_one_load() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), NextcloudPolicy::default()).await;
    world.with_challenge().await;
    for n in 1..MAX_SESSIONS {
        world.opened(&format!("t{n}")).await;
    }
    for loads in [1, 1, 1] {
        store.note_loads();
        let before = store.tally().commits;
        world.opened("laptop").await;
        assert_eq!((store.noted_loads().len(), store.tally().commits - before), (loads, 1));
    }
    let mut last = world.opened("laptop").await;
    store.note_loads();
    for path in ["session/request", "session/keepalive", "account/challenge/get", "keychain/get"] {
        last.get(path).await;
    }
    assert_eq!(store.noted_loads().len(), 4, "one load for a request");
}

#[tokio::test]
async fn an_unauthorized_session_is_the_first_to_make_room() {
    let world = World::new().await;
    let mut first = world.token("t0");
    first.open("").await;
    let mut asking = world.token("phone");
    let code = asking.reset_code().await;
    for n in 2..MAX_SESSIONS {
        world.token(&format!("t{n}")).open("").await;
    }
    world.token("laptop").open("").await;
    let before = id(&first);
    first.open("").await;
    assert_eq!(id(&first), before);
    asking.reset_with(&code).await.fails(403, "7e130744");
}

#[tokio::test]
async fn another_login_does_not_get_the_session() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let stolen = id(&phone);
    for mut thief in [world.token("laptop"), world.password()] {
        thief.session = Some(stolen.clone());
        assert!(!thief.is_authorized().await);
        assert_ne!(id(&thief), stolen);
    }
    assert!(phone.is_authorized().await);
    let mut password = world.password();
    password.open(&secret(1)).await;
    let mut token = world.token("phone");
    token.session = password.session.clone();
    assert!(!token.is_authorized().await && password.is_authorized().await);
}

#[tokio::test]
async fn close_ends_the_session_and_hands_out_another() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let before = id(&phone);
    let rows = world.session_rows().await;
    phone.get("session/close").await.is(200, json!({"success": true}));
    assert_ne!(id(&phone), before);
    assert_eq!(world.session_rows().await, rows - 1);
    assert!(!phone.is_authorized().await);
    phone.session = Some(before);
    assert!(!phone.is_authorized().await);
}

#[tokio::test]
async fn the_cookie_has_precedence_over_the_header() {
    let world = World::new().await;
    let phone = world.with_challenge().await;
    let good = id(&phone);
    let ask = async |header: &str, cookie: &str| {
        let mut client = world.token("phone");
        let request = client.request("GET", "account/challenge/get").header("x-api-session", header);
        client.send(request.header("cookie", cookie).body("").unwrap()).await.status
    };
    assert_eq!(ask("null", &format!("a=b; nc_passwords={good}; c=d")).await, 200);
    assert_eq!(ask(&good, "nc_passwords=null").await, 412);
    assert_eq!(ask(&good, "a=b; xnc_passwords=null; broken").await, 200);
}

#[tokio::test]
async fn sessions_from_before_the_first_challenge_are_void_after_it() {
    let world = World::new().await;
    let mut early = world.token("laptop");
    early.open("").await;
    let mut phone = world.with_challenge().await;
    assert!(!early.is_authorized().await && phone.is_authorized().await);
    early.get("keychain/get").await.fails(412, "4ad27488");
}

#[tokio::test]
async fn a_change_of_challenge_ends_every_other_session() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let mut others = [world.opened("laptop").await, world.opened("t1").await, world.opened("phone").await];
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    assert!(phone.is_authorized().await);
    for other in &mut others {
        assert!(!other.is_authorized().await);
        other.reset_with("code").await.fails(412, "4ad27488");
    }
}

#[tokio::test]
async fn sessions_from_before_the_fence_are_void() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let same = world.restarted(2);
    phone.app = same.app.clone();
    assert!(phone.is_authorized().await, "a restart forgets nothing");
    world.clock.advance(1);
    let restored = world.fenced(3);
    phone.app = restored.app.clone();
    assert!(!phone.is_authorized().await);
    assert_eq!(phone.open(&secret(1)).await.status, 200);
    assert!(phone.is_authorized().await);
}

#[tokio::test]
async fn a_session_made_in_the_future_is_void_beyond_the_skew_of_clocks() {
    let world = World::new().await;
    world.clock.advance(3_600);
    let mut phone = world.with_challenge().await;
    let now = keywright_core::Clock::now(&*world.clock).unwrap();
    world.clock.set(now.minus(60));
    assert!(phone.clone().is_authorized().await);
    world.clock.set(now.minus(61));
    assert!(!phone.is_authorized().await);
    assert!(world.slots(&alice()).await.contains(&"challenge".into()));
}

/// A last use left by a clock that ran ahead counts no more than one of now.
#[tokio::test]
async fn a_session_that_was_used_in_the_future_idles_out() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut client = world.opened("phone").await;
    let now = || keywright_core::Clock::now(&*world.clock).unwrap();
    let start = now();
    for _ in 0..20 {
        world.clock.advance(590);
        assert!(client.is_authorized().await);
    }
    world.clock.set(start.plus(10));
    assert!(client.is_authorized().await);
    world.clock.advance(600);
    assert!(client.is_authorized().await);
    world.clock.advance(601);
    assert!(!client.is_authorized().await);
}
