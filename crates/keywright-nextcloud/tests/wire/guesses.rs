//! The guess ledger on the wire: what is charged, what is refused, who still gets in, and when.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::support::{Answer, Auth, BOB_PASSWORD, Call, PASSWORD, World, alice, secret};

/// How an answer looks to a guesser.
fn look(answer: &Answer) -> (u16, String, Option<u64>) {
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned(), answer.retry_after())
}

#[tokio::test]
async fn the_fifth_wrong_proof_is_403_and_ends_the_app_token_for_good() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut laptop = world.token("laptop");
    for _ in 0..4 {
        let answer = laptop.open(&secret(9)).await;
        assert_eq!(answer.fails(401, "ab6e13ba").retry_after(), None);
    }
    laptop.open(&secret(9)).await.waits(403, "b927b225", 30);
    assert_eq!(world.host.calls(), [Call::EndToken("user-1".into(), "laptop".into())]);
    assert_eq!(world.count_events("app_token_ended").await, 1);
    assert_eq!(laptop.open(&secret(1)).await.status, 401);
    let again = world.restarted(2);
    laptop.app = again.app.clone();
    assert_eq!(laptop.get("session/request").await.status, 401);
}

#[tokio::test]
async fn a_wrong_old_secret_counts_at_the_same_door_and_ends_the_token_too() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    let mut laptop = world.token("laptop");
    for _ in 0..2 {
        laptop.open(&secret(9)).await.fails(401, "ab6e13ba");
        phone.set(&secret(2), Some(&secret(9))).await.fails(401, "ab6e13ba");
    }
    phone.set(&secret(2), Some(&secret(9))).await.waits(403, "b927b225", 30);
    assert_eq!(world.host.ended(), ["phone"]);
}

#[tokio::test]
async fn what_the_host_could_not_end_is_ended_by_a_later_request() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut laptop = world.token("laptop");
    for _ in 0..4 {
        laptop.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    world.host.failures.store(1, Ordering::SeqCst);
    laptop.open(&secret(9)).await.fails(500, "0");
    assert!(world.host.ended().is_empty());
    // The charge stands all the same.
    // By any server, at any request of the account, at once.
    let other = world.restarted(2);
    other.token("t1").get("session/request").await;
    assert_eq!(world.host.ended(), ["laptop"]);
    assert_eq!(laptop.open(&secret(1)).await.status, 401);
    // However often it comes back: it is known as ended, not taken for a wrong login password.
    for _ in 0..8 {
        assert_eq!(laptop.open(&secret(1)).await.status, 401);
    }
    // Let in, and told to wait at the challenge's door: the login password's own door was never touched.
    world.password().get("session/request").await.waits(403, "64a6cf1f", 30);
}

#[tokio::test]
async fn a_login_by_password_waits_and_then_gets_in() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut authorized = world.password();
    assert_eq!(authorized.open(&secret(1)).await.status, 200);
    let mut guesser = world.password();
    for _ in 0..4 {
        guesser.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    guesser.open(&secret(9)).await.waits(403, "b927b225", 30);
    assert!(world.host.ended().is_empty(), "a login by password has no token to lose");
    for left in [30, 1] {
        let before = world.count_events("guess_denied").await;
        // Whatever is sent, right, wrong, absent or malformed, authorized or not.
        for proof in [json!(secret(1)), json!(secret(9)), json!(null), json!("short")] {
            guesser.post("session/open", json!({"challenge": proof})).await.waits(403, "64a6cf1f", left);
            let sent = json!({"secret": secret(2), "data": crate::support::salts(2), "oldSecret": proof});
            authorized.post("account/challenge/set", sent).await.waits(403, "64a6cf1f", left);
        }
        guesser.get("session/request").await.waits(403, "64a6cf1f", left);
        authorized.get("session/request").await.waits(403, "64a6cf1f", left);
        authorized.open(&secret(1)).await.waits(403, "64a6cf1f", left);
        authorized.get("session/keepalive").await.is(200, json!({"success": true}));
        assert_eq!(world.count_events("guess_denied").await, before, "a refusal writes nothing");
        world.clock.advance(if left == 30 { 29 } else { 1 });
    }
    assert_eq!(guesser.get("session/request").await.status, 200);
    assert_eq!(guesser.open(&secret(1)).await.status, 200);
    // A wrong one after the wait starts anew, as the right one has cleared the lane.
    world.password().open(&secret(9)).await.fails(401, "ab6e13ba");
}

#[tokio::test]
async fn each_further_wrong_one_waits_twice_as_long() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut guesser = world.password();
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    for wait in [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
        guesser.open(&secret(1)).await.waits(403, "64a6cf1f", wait);
        world.clock.advance(wait);
        guesser.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
}

#[tokio::test]
async fn a_stranger_has_fifty_guesses_and_the_known_token_still_gets_in() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut owner = world.opened("phone").await;
    let mut guesser = world.password();
    let mut looked_at = 0;
    while looked_at < 50 {
        let answer = guesser.open(&secret(9)).await;
        match answer.error() {
            (401, _) => looked_at += 1,
            (403, id) if id == "b927b225" => looked_at += 1,
            (403, id) => {
                assert_eq!(id, "64a6cf1f");
                world.clock.advance(answer.retry_after().unwrap());
            }
            other => panic!("{other:?}"),
        }
        // The owner's right proofs clear nothing of the strangers' lane.
        owner.session = None;
        assert_eq!(owner.open(&secret(1)).await.status, 200);
    }
    // Locked: no time opens it.
    for _ in 0..30 {
        let answer = guesser.open(&secret(1)).await;
        assert_eq!(answer.error(), (403, "64a6cf1f".into()), "the right one too");
        world.clock.advance(answer.retry_after().unwrap());
    }
    assert_eq!(world.count_events("door_locked").await, 1);
    owner.session = None;
    assert_eq!(owner.open(&secret(1)).await.status, 200);
}

#[tokio::test]
async fn a_known_token_has_a_lane_of_its_own_and_a_change_keeps_it() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut phone = world.opened("phone").await;
    let mut guesser = world.password();
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    guesser.open(&secret(1)).await.waits(403, "64a6cf1f", 30);
    world.token("laptop").open(&secret(1)).await.waits(403, "64a6cf1f", 30);
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    let mut again = world.token("phone");
    assert_eq!(again.open(&secret(2)).await.status, 200, "known in the new epoch");
    // Its own wrong ones do not end anybody else's, and end its own token at the fifth.
    let mut again = world.token("phone");
    for _ in 0..4 {
        again.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    again.open(&secret(9)).await.waits(403, "b927b225", 30);
    assert_eq!(world.host.ended(), ["phone"]);
}

#[tokio::test]
async fn a_token_that_opened_only_before_a_change_is_a_stranger_after_it() {
    let world = World::new().await;
    world.with_challenge().await;
    let (mut phone, mut laptop) = (world.opened("phone").await, world.opened("laptop").await);
    laptop.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    let mut guesser = world.password();
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    phone.open(&secret(2)).await.waits(403, "64a6cf1f", 30);
    laptop.session = None;
    assert_eq!(laptop.open(&secret(2)).await.status, 200);
    world.clock.advance(30);
    assert_eq!(phone.open(&secret(2)).await.status, 200);
}

#[tokio::test]
async fn a_clock_that_went_back_begins_the_wait_once_more_and_it_ends() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut guesser = world.password();
    world.clock.advance(10 * 365 * 86_400);
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    world.clock.set(keywright_core::UnixSeconds::new(crate::support::START).unwrap());
    guesser.get("session/request").await.waits(403, "64a6cf1f", 30);
    world.clock.advance(29);
    guesser.get("session/request").await.waits(403, "64a6cf1f", 1);
    world.clock.advance(1);
    assert_eq!(guesser.get("session/request").await.status, 200);
}

#[tokio::test]
async fn wrong_login_passwords_are_401_five_times_and_then_429() {
    let world = World::new().await;
    let mut client = world.client("alice", "wrong");
    for _ in 0..5 {
        assert_eq!(client.get("session/request").await.status, 401);
    }
    let compared = world.host.passwords_compared();
    for secret in ["wrong", PASSWORD] {
        client.auth = Auth::Basic("alice".into(), secret.into());
        let before = world.scan().await;
        let answer = client.get("session/request").await;
        assert_eq!(look(&answer), (429, "[]".into(), Some(30)));
        assert_eq!(answer.id(), None);
        assert_eq!(world.scan().await, before, "a refusal writes nothing");
    }
    assert_eq!(world.host.passwords_compared(), compared, "the right one was not looked at");
    // An app token is another way in; so is the password once the wait is over.
    assert_eq!(world.token("phone").get("session/request").await.status, 200);
    world.clock.advance(30);
    assert_eq!(world.password().get("session/request").await.status, 200);
    // Names fold to one account: one door, however it is spelt.
    for name in ["alice", "ALICE", "Alice", "aLICE"] {
        assert_eq!(world.client(name, "wrong").get("session/request").await.status, 401);
    }
    assert_eq!(world.client("alicE", "wrong").get("session/request").await.status, 401);
    assert_eq!(world.password().get("session/request").await.status, 429);
    // Bob is not concerned.
    assert_eq!(world.client("bob", BOB_PASSWORD).get("session/request").await.status, 200);
}

#[tokio::test]
async fn an_unknown_name_waits_as_a_known_one_does() {
    let world = World::new().await;
    let mut seen = Vec::new();
    for name in ["alice", "nobody"] {
        let mut client = world.client(name, "wrong");
        let mut looks = Vec::new();
        for step in 0..12 {
            if step == 7 || step == 9 {
                world.clock.advance(30);
            }
            let writes = world.scan().await;
            let compared = world.host.passwords_compared();
            let answer = client.get("session/request").await;
            let headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            let wrote = world.scan().await != writes;
            looks.push((look(&answer), headers, wrote, world.host.passwords_compared() - compared));
        }
        seen.push(looks);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].iter().filter(|((status, ..), ..)| *status == 429).count(), 6);
}

#[tokio::test]
async fn a_right_login_password_is_never_charged() {
    let world = World::new().await;
    for _ in 0..20 {
        assert_eq!(world.password().get("session/request").await.status, 200);
    }
    for _ in 0..4 {
        assert_eq!(world.client("alice", "wrong").get("session/request").await.status, 401);
    }
    assert_eq!(world.password().get("session/request").await.status, 200);
    assert_eq!(world.count_events("guess_denied").await, 4);
}

#[tokio::test]
async fn a_session_that_logged_in_by_password_is_not_held_up_by_strangers() {
    let world = World::new().await;
    let mut owner = world.password();
    owner.get("session/request").await;
    owner.get("session/request").await;
    for _ in 0..6 {
        world.client("alice", "wrong").get("session/request").await;
    }
    assert_eq!(world.password().get("session/request").await.status, 429);
    assert_eq!(owner.get("session/request").await.status, 200);
    // Bob's session id is no key to Alice's door.
    let mut bob = world.client("bob", BOB_PASSWORD);
    bob.get("session/request").await;
    bob.auth = Auth::Basic("alice".into(), PASSWORD.into());
    assert_eq!(bob.get("session/request").await.status, 429);
}

#[tokio::test]
async fn what_is_no_login_is_never_charged() {
    let world = World::new().await;
    let long = "x".repeat(1025);
    let basic = |text: &str| {
        use base64::Engine;
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
    };
    let before = world.scan().await;
    for value in [
        String::new(),
        "Basic".into(),
        "Basic !!!".into(),
        "Digest abc".into(),
        "Bearer ".into(),
        "Basic gICA".into(),
        basic("alice"),
        basic(":password"),
        basic(&format!("alice:{long}")),
        basic(&format!("{long}:wrong")),
    ] {
        let mut client = world.token("phone");
        client.auth = Auth::None;
        for _ in 0..6 {
            let request = client.request("GET", "session/request").header("authorization", &value).body("").unwrap();
            assert_eq!(client.send(request).await.status, 401, "{value:.20}");
        }
    }
    assert_eq!(world.scan().await, before);
    assert_eq!(world.host.passwords_compared(), 0);
    assert!(!world.slots(&alice()).await.contains(&"ledger".into()));
}
