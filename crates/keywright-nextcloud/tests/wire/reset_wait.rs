//! The older reset: the login password and a random wait (`docs/decisions.md` 22b).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, Client, PASSWORD, World, alice, secret};

/// The wait that an answer names.
#[track_caller]
fn wait(answer: &Answer) -> u64 {
    let seconds = answer.json()["wait"].as_u64().unwrap_or_else(|| panic!("{answer:?}"));
    answer.is(202, json!({"status": "accepted", "wait": seconds}));
    assert!((5..=10).contains(&seconds), "{seconds}");
    seconds
}

async fn asked(world: &World) -> (Client, u64) {
    let mut client = world.token("phone");
    let seconds = wait(&client.reset_by_password(PASSWORD).await);
    (client, seconds)
}

#[tokio::test]
async fn it_succeeds_from_the_end_of_the_wait_to_sixty_seconds_later_and_at_no_other_second() {
    for (after_the_end, status) in [(-1_i64, 202), (0, 200), (1, 200), (58, 200), (59, 200), (60, 202), (61, 202)] {
        let world = World::waiting().await;
        let (mut client, seconds) = asked(&world).await;
        world.clock.advance(seconds.checked_add_signed(after_the_end).unwrap());
        let answer = client.reset_by_password(PASSWORD).await;
        assert_eq!(answer.status, status, "{after_the_end}");
        assert_eq!(world.host.erasures(), usize::from(status == 200));
        if status == 200 {
            answer.is(200, json!({"status": "ok"}));
            continue;
        }
        // A new wait, counted from now: the old end is worth nothing.
        let again = wait(&answer);
        world.clock.advance(again - 1);
        let again = wait(&client.reset_by_password(PASSWORD).await);
        world.clock.advance(again);
        client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
    }
}

#[tokio::test]
async fn at_once_is_too_early() {
    let world = World::waiting().await;
    let (mut client, _) = asked(&world).await;
    for _ in 0..5 {
        wait(&client.reset_by_password(PASSWORD).await);
    }
    assert_eq!(world.host.erasures(), 0);
}

#[tokio::test]
async fn every_wait_from_five_to_ten_is_drawn() {
    let world = World::waiting().await;
    let (mut client, _) = asked(&world).await;
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        seen.insert(wait(&client.reset_by_password(PASSWORD).await));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
}

#[tokio::test]
async fn a_wrong_password_is_403_and_the_wait_goes_on() {
    let world = World::waiting().await;
    let (mut client, seconds) = asked(&world).await;
    client.reset_by_password("wrong").await.fails(403, "a361c427");
    world.clock.advance(seconds);
    client.reset_by_password("wrong").await.fails(403, "a361c427");
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
}

#[tokio::test]
async fn an_absent_or_mistyped_password_is_400_uncharged_and_the_wait_goes_on() {
    let world = World::waiting().await;
    let (mut client, seconds) = asked(&world).await;
    world.clock.advance(seconds);
    let before = (world.scan().await, world.host.passwords_compared());
    for password in [Value::Null, json!(1), json!([PASSWORD]), json!({"password": PASSWORD}), json!(true)] {
        client.post("account/reset", json!({"password": password})).await.fails(400, "0");
    }
    client.post("account/reset", json!({})).await.fails(400, "0");
    client.post("account/reset", json!({"code": null})).await.fails(400, "0");
    assert_eq!((world.scan().await, world.host.passwords_compared()), before);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
}

#[tokio::test]
async fn wrong_passwords_are_charged_as_wrong_logins_are() {
    let world = World::waiting().await;
    let (mut client, seconds) = asked(&world).await;
    for _ in 0..5 {
        client.reset_by_password("wrong").await.fails(403, "a361c427");
    }
    assert!(world.events().await.iter().any(|event| event["secret"] == "login-password"));
    world.clock.advance(seconds);
    let compared = world.host.passwords_compared();
    client.reset_by_password(PASSWORD).await.is_refused(30 - seconds);
    let answer = world.password().get("session/request").await;
    assert_eq!((answer.status, answer.retry_after()), (429, Some(30 - seconds)), "one entry for both ways in");
    assert_eq!(world.host.passwords_compared(), compared);
    world.clock.advance(30 - seconds);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
}

#[tokio::test]
async fn a_wait_is_bound_to_the_session_that_asked() {
    let world = World::waiting().await;
    let (mut client, seconds) = asked(&world).await;
    world.clock.advance(seconds);
    wait(&world.token("laptop").reset_by_password(PASSWORD).await);
    wait(&world.token("phone").reset_by_password(PASSWORD).await);
    assert_eq!(world.host.erasures(), 0);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
}

#[tokio::test]
async fn only_post_speaks_it() {
    let world = World::waiting().await;
    let (mut client, seconds) = asked(&world).await;
    world.clock.advance(seconds);
    let before = world.scan().await;
    for method in ["GET", "HEAD", "PUT"] {
        for query in ["", "?password=x", "?code=x"] {
            let request = client.request(method, &format!("account/reset{query}")).body("").unwrap();
            let answer = client.send(request).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
            assert!(answer.id().is_some());
        }
    }
    assert_eq!(world.scan().await, before);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
}

#[tokio::test]
async fn with_a_challenge_it_needs_an_authorized_session_before_the_password_is_looked_at() {
    let world = World::waiting().await;
    let mut phone = world.with_challenge().await;
    let mut other = world.token("laptop");
    let before = world.scan().await;
    for password in [json!(PASSWORD), json!("wrong"), json!(null)] {
        other.post("account/reset", json!({"password": password})).await.fails(412, "4ad27488");
    }
    assert_eq!((world.scan().await, world.host.passwords_compared()), (before, 0));
    let seconds = wait(&phone.reset_by_password(PASSWORD).await);
    world.clock.advance(seconds);
    phone.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
    assert_eq!(world.host.erasures(), 1);
    assert!(!world.slots(&alice()).await.contains(&"challenge".into()));
    phone.get("account/challenge/get").await.fails(404, "135d4069");
}

#[tokio::test]
async fn a_change_of_challenge_voids_a_pending_wait() {
    let world = World::waiting().await;
    let mut phone = world.with_challenge().await;
    let seconds = wait(&phone.reset_by_password(PASSWORD).await);
    phone.set(&secret(2), Some(&secret(1))).await.is(200, json!({"success": true}));
    world.clock.advance(seconds);
    wait(&phone.reset_by_password(PASSWORD).await);
    assert_eq!(world.host.erasures(), 0);
}

#[tokio::test]
async fn a_clock_that_jumps_gives_no_reset() {
    for (jump, back) in
        [(10 * 365 * 86_400, false), (3_600, false), (3_600, true), (10 * 365 * 86_400, true), (1, true)]
    {
        let world = World::waiting().await;
        let (mut client, _) = asked(&world).await;
        let now = keywright_core::Clock::now(&*world.clock).unwrap();
        world.clock.set(if back { now.minus(jump) } else { now.plus(jump) });
        wait(&client.reset_by_password(PASSWORD).await);
        assert_eq!(world.host.erasures(), 0);
    }
}

#[tokio::test]
async fn a_login_by_password_resets_too() {
    let world = World::waiting().await;
    let mut client = world.password();
    let seconds = wait(&client.reset_by_password(PASSWORD).await);
    world.clock.advance(seconds);
    client.reset_by_password(PASSWORD).await.is(200, json!({"status": "ok"}));
}
