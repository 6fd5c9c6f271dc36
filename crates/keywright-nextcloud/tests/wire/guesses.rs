//! The guess ledger over HTTP: what is charged, what is refused, which clients are still admitted,
//! and when.

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
async fn a_wrong_old_secret_counts_as_a_wrong_proof_and_ends_the_token_too() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    for _ in 0..2 {
        world.token("phone").open(&secret(9)).await.fails(401, "ab6e13ba");
        phone.set(&secret(2), Some(&secret(9))).await.fails(401, "ab6e13ba");
    }
    phone.set(&secret(2), Some(&secret(9))).await.waits(403, "b927b225", 30);
    assert_eq!(world.host.ended(), ["phone"]);
}

/// Unknown clients wait together, but only a token's own fifth failure ends it (`docs/decisions.md` 22).
#[tokio::test]
async fn only_its_own_failures_end_a_token() {
    let world = World::new().await;
    world.with_challenge().await;
    for _ in 0..4 {
        world.token("t0").open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    world.token("t1").open(&secret(9)).await.waits(401, "ab6e13ba", 30);
    assert!(world.host.ended().is_empty());
    for token in ["t0", "t1", "t2"] {
        // Right or wrong: refused because of others, with an answer that makes no application forget its login.
        for proof in [secret(1), secret(9)] {
            world.token(token).open(&proof).await.is_refused(30);
        }
    }
    world.clock.advance(30);
    world.token("t0").open(&secret(9)).await.waits(403, "b927b225", 60);
    assert_eq!(world.host.ended(), ["t0"]);
    // A right proof forgets what was counted.
    world.clock.advance(60);
    world.token("t1").open(&secret(1)).await.is(200, json!({"success": true, "keys": []}));
    for _ in 0..4 {
        world.token("t1").open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    assert_eq!(world.host.ended(), ["t0"]);
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
    // The charge is still in force. After a pause, any server ends the token, at any request of the
    // account.
    world.clock.advance(2);
    let other = world.restarted(2);
    other.token("t1").get("session/request").await;
    assert_eq!(world.host.ended(), ["laptop"]);
    assert_eq!(laptop.open(&secret(1)).await.status, 401);
    // However often it comes back: it is known as ended, not taken for a wrong login password.
    for _ in 0..8 {
        assert_eq!(laptop.open(&secret(1)).await.status, 401);
    }
    // Admitted, and told to wait with the challenge: the login password was never guessed at.
    world.password().get("session/request").await.is_refused(28);
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
    guesser.open(&secret(9)).await.waits(401, "ab6e13ba", 30);
    assert!(world.host.ended().is_empty(), "a login by password has no token to lose");
    for left in [30, 1] {
        let before = (world.charged("challenge").await, world.events().await);
        // Whatever is sent, right, wrong, absent or malformed.
        for proof in [json!(secret(1)), json!(secret(9)), json!(null), json!("short")] {
            guesser.post("session/open", json!({"challenge": proof})).await.is_refused(left);
        }
        guesser.get("session/request").await.is_refused(left);
        assert_eq!((world.charged("challenge").await, world.events().await), before, "a refusal counts nothing");
        // A session that was opened by the right proof is known, and not held up by others.
        authorized.get("session/request").await.is(200, json!({}));
        authorized.open(&secret(1)).await.is(200, json!({"success": true, "keys": []}));
        authorized.get("session/keepalive").await.is(200, json!({"success": true}));
        world.clock.advance(if left == 30 { 29 } else { 1 });
    }
    authorized.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    assert_eq!(guesser.get("session/request").await.status, 200);
    assert_eq!(guesser.open(&secret(2)).await.status, 200);
    // A wrong one after the wait starts a new streak, because the right one has ended the old one.
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
        guesser.open(&secret(1)).await.is_refused(wait);
        world.clock.advance(wait);
        guesser.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
}

#[tokio::test]
async fn unknown_clients_have_fifty_guesses_and_the_known_token_still_gets_in() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut owner = world.opened("phone").await;
    let mut guesser = world.password();
    let mut looked_at = 0;
    while looked_at < 50 {
        let answer = guesser.open(&secret(9)).await;
        match answer.error() {
            (401, _) => looked_at += 1,
            (429, id) => {
                assert_eq!(id, "64a6cf1f");
                world.clock.advance(answer.retry_after().unwrap());
            }
            other => panic!("{other:?}"),
        }
        // The owner's right proofs lower no limit of the others.
        owner.session = None;
        assert_eq!(owner.open(&secret(1)).await.status, 200);
    }
    // At the limit: the level falls by one guess every two days.
    let answer = guesser.open(&secret(1)).await;
    assert_eq!(answer.status, 429, "the right one too");
    world.clock.advance(answer.retry_after().unwrap());
    guesser.open(&secret(9)).await.fails(401, "ab6e13ba");
    owner.session = None;
    assert_eq!(owner.open(&secret(1)).await.status, 200);
}

#[tokio::test]
async fn a_known_token_is_judged_by_itself_and_a_change_keeps_it() {
    let world = World::new().await;
    world.with_challenge().await;
    let mut phone = world.opened("phone").await;
    let mut guesser = world.password();
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    guesser.open(&secret(1)).await.is_refused(30);
    world.token("laptop").open(&secret(1)).await.is_refused(30);
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    let mut again = world.token("phone");
    assert_eq!(again.open(&secret(2)).await.status, 200, "known at the new secret");
    // Its own wrong ones do not end anybody else's, and end its own token at the fifth.
    let mut again = world.token("phone");
    for _ in 0..4 {
        again.open(&secret(9)).await.fails(401, "ab6e13ba");
    }
    again.open(&secret(9)).await.waits(403, "b927b225", 30);
    assert_eq!(world.host.ended(), ["phone"]);
}

/// Known in the present or the previous generation (`docs/decisions.md` 22).
#[tokio::test]
async fn a_token_that_opened_only_before_a_change_is_known_after_it() {
    let world = World::new().await;
    world.with_challenge().await;
    let (mut phone, mut laptop) = (world.opened("phone").await, world.opened("laptop").await);
    laptop.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    let mut guesser = world.password();
    for _ in 0..5 {
        guesser.open(&secret(9)).await;
    }
    guesser.open(&secret(2)).await.is_refused(30);
    assert_eq!(phone.open(&secret(2)).await.status, 200);
    laptop.session = None;
    assert_eq!(laptop.open(&secret(2)).await.status, 200);
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
    guesser.get("session/request").await.is_refused(30);
    world.clock.advance(29);
    guesser.get("session/request").await.is_refused(1);
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
    // After a quiet day they start again.
    world.clock.advance(86_400);
    assert_eq!(world.password().get("session/request").await.status, 200);
    // Names fold to one account: one ledger, however it is spelt.
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
    assert_eq!(world.charged("login-password").await, 4);
}

#[tokio::test]
async fn a_session_that_logged_in_by_password_is_not_held_up_by_others() {
    let world = World::new().await;
    let mut owner = world.password();
    owner.get("session/request").await;
    owner.get("session/request").await;
    for _ in 0..6 {
        world.client("alice", "wrong").get("session/request").await;
    }
    assert_eq!(world.password().get("session/request").await.status, 429);
    assert_eq!(owner.get("session/request").await.status, 200);
    // Bob's session id is worth nothing with Alice.
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
