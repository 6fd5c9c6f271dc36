//! Two-factor challenges and login codes: log-ins that begin with the host.

use keywright_rocketchat::{CHALLENGE_SECONDS, LOGIN_CODE_SECONDS, MAX_CHALLENGES, RocketChatPolicy};
use keywright_testing::Epoch;
use keywright_twofactor::Method;
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Person, Sending, TARGET, USER, World};

async fn challenge(world: &World, person: Person) -> String {
    let made = world.app.create_challenge(&person.account()).await.unwrap().unwrap();
    assert_eq!(made.expires.get(), world.now() + CHALLENGE_SECONDS);
    made.id.expose().to_owned()
}

fn verify(world: &World, id: &str, code: &str) -> Sending {
    world.call("twoFactorChallenges.verifyChallenge", &json!({"challengeId": id, "code": code}))
}

fn send(world: &World, id: &str) -> Sending {
    world.call("twoFactorChallenges.sendEmailCode", &json!({"challengeId": id}))
}

fn redeem(world: &World, code: &str) -> Sending {
    world.call("loginCode.redeem", &json!({"code": code}))
}

fn bare(code: &str) -> Value {
    json!({"success": false, "error": code, "errorType": code})
}

fn is_let_in(answer: &Answer, person: Person, n: usize) {
    let body = json!({"success": true, "loginToken": format!("issued-token-planted-{n}"), "userId": person.id});
    answer.is(200, body);
}

#[tokio::test]
async fn a_challenge_lets_in_once_by_a_code_of_the_device() {
    let world = World::new().await;
    let made = world.app.create_challenge(&ADMIN.account()).await.unwrap().unwrap();
    assert_eq!(made.methods, [Method::Totp]);
    let id = made.id.expose();
    verify(&world, id, &world.wrong_totp(ADMIN)).send().await.is(400, bare("invalid-code"));
    is_let_in(&verify(&world, id, &world.totp(ADMIN)).send().await, ADMIN, 1);
    verify(&world, id, &ADMIN.recovery_code(0)).send().await.is(400, bare("challenge-not-found"));
    assert_eq!((world.codes_left(ADMIN).await, world.host.issued()), (Some(12), 1));
    assert_eq!(world.count_events(ADMIN, "logged_in").await, 1);
    // The token is a login.
    let login = world.call("login", &json!({"resume": "issued-token-planted-1"})).send().await;
    assert!(world.client_of(&login).is_in().await);
}

#[tokio::test]
async fn a_code_is_mailed_for_a_challenge_and_for_nothing_else() {
    let world = World::new().await.with_email(ADMIN).await;
    let (id, other) = (challenge(&world, ADMIN).await, challenge(&world, ADMIN).await);
    send(&world, &id).send().await.succeeds();
    let code = world.host.last_code();
    verify(&world, &other, &code).send().await.is(400, bare("invalid-code"));
    assert_eq!(world.log_in(ADMIN).code(&code).method("email").send().await.status, 401);
    send(&world, &id).send().await.waits(60);
    is_let_in(&verify(&world, &id, &code).send().await, ADMIN, 1);
    verify(&world, &id, &code).send().await.is(400, bare("challenge-not-found"));
}

#[tokio::test]
async fn a_method_that_is_not_enrolled_is_not_mailed() {
    let world = World::new().await;
    let id = challenge(&world, ADMIN).await;
    send(&world, &id).send().await.is(400, bare("invalid-challenge-method"));
    assert_eq!(world.host.codes(), 0);
}

#[tokio::test]
async fn five_wrong_codes_end_a_challenge() {
    let world = World::new().await.with_email(ADMIN).await;
    let id = challenge(&world, ADMIN).await;
    for n in 0..5 {
        // Malformed ones count as well.
        let code = if n == 0 { "?".to_owned() } else { world.wrong_totp(ADMIN) };
        verify(&world, &id, &code).send().await.is(400, bare("invalid-code"));
    }
    verify(&world, &id, &world.totp(ADMIN)).send().await.is(400, bare("challenge-not-found"));
    assert_eq!((world.charged(ADMIN, "totp").await, world.host.issued()), (4, 0));
    // The ledger goes on counting: another challenge is no fresh start.
    let id = challenge(&world, ADMIN).await;
    verify(&world, &id, &world.wrong_totp(ADMIN)).send().await.is(400, bare("invalid-code"));
    let answer = verify(&world, &id, &world.totp(ADMIN)).send().await;
    assert_eq!(answer.status, 429, "{answer:?}");
}

#[tokio::test]
async fn a_challenge_ends_with_its_time_and_with_the_epochs() {
    let world = World::new().await;
    let id = challenge(&world, ADMIN).await;
    world.clock.advance(CHALLENGE_SECONDS - 1);
    verify(&world, &id, "000000").send().await.is(400, bare("invalid-code"));
    world.clock.advance(1);
    verify(&world, &id, &world.totp(ADMIN)).send().await.is(400, bare("challenge-expired"));
    for epoch in [Epoch::Credential, Epoch::Factor] {
        let id = challenge(&world, ADMIN).await;
        world.of(ADMIN.account()).move_epoch(epoch).await;
        verify(&world, &id, &world.totp(ADMIN)).send().await.is(400, bare("challenge-expired"));
    }
    let id = challenge(&world, ADMIN).await;
    world.clock.set(keywright_testing::at(world.now() - 60));
    verify(&world, &id, &world.totp(ADMIN)).send().await.is(400, bare("challenge-expired"));
    assert_eq!(world.host.issued(), 0);
}

#[tokio::test]
async fn what_is_no_challenge_is_not_found() {
    let world = World::new().await;
    let id = challenge(&world, ADMIN).await;
    let before = world.scan().await;
    let nobodys = format!("{}{}", "00".repeat(16), hex::encode("never-made"));
    let others = format!("{}{}", &id[..32], hex::encode(USER.account().as_str()));
    for id in ["x", &id[1..], &id.to_uppercase(), &nobodys, &others, &"00".repeat(300)] {
        verify(&world, id, &world.totp(ADMIN)).send().await.is(400, bare("challenge-not-found"));
        send(&world, id).send().await.is(400, bare("challenge-not-found"));
    }
    for body in [json!({"challengeId": id}), json!({"code": "1"}), json!({}), json!({"challengeId": "", "code": "1"})] {
        let answer = world.call("twoFactorChallenges.verifyChallenge", &body).send().await;
        answer.is(400, bare("parameter-required"));
    }
    world.call("twoFactorChallenges.sendEmailCode", &json!({})).send().await.is(400, bare("parameter-required"));
    assert_eq!(world.scan().await, before);
    world.host.change(ADMIN.id, |user| user.account = USER.account());
    verify(&world, &id, "1").send().await.is(400, bare("user-not-found"));
}

#[tokio::test]
async fn no_challenge_is_made_where_nothing_is_required() {
    let world = World::password_only().await;
    assert!(world.app.create_challenge(&ADMIN.account()).await.unwrap().is_none());
    let world = World::with(RocketChatPolicy::builder().enabled(false).build().unwrap()).await;
    assert!(world.app.create_challenge(&ADMIN.account()).await.unwrap().is_none());
    let nobody = keywright_core::AccountId::new("never-made").unwrap();
    assert!(world.app.create_challenge(&nobody).await.is_err());
}

#[tokio::test]
async fn many_challenges_take_the_places_of_the_oldest() {
    let world = World::new().await;
    let first = challenge(&world, ADMIN).await;
    for _ in 0..MAX_CHALLENGES {
        world.clock.advance(1);
        challenge(&world, ADMIN).await;
    }
    verify(&world, &first, &world.totp(ADMIN)).send().await.is(400, bare("challenge-not-found"));
}

#[tokio::test]
async fn a_login_code_lets_in_once_within_its_minute() {
    let world = World::new().await;
    let make = async || world.app.create_login_code(&ADMIN.account()).await.unwrap().expose().to_owned();
    let code = make().await;
    assert_eq!(code.len(), 64);
    is_let_in(&redeem(&world, &code).send().await, ADMIN, 1);
    redeem(&world, &code).send().await.is(400, bare("invalid-code"));
    let code = make().await;
    world.clock.advance(LOGIN_CODE_SECONDS - 1);
    is_let_in(&redeem(&world, &code).send().await, ADMIN, 2);
    let code = make().await;
    world.clock.advance(LOGIN_CODE_SECONDS);
    redeem(&world, &code).send().await.is(400, bare("invalid-code"));
    for epoch in [Epoch::Credential, Epoch::Factor] {
        let code = make().await;
        world.of(ADMIN.account()).move_epoch(epoch).await;
        redeem(&world, &code).send().await.is(400, bare("invalid-code"));
    }
    for code in ["", "x", &"0".repeat(64), &"ä".repeat(32), &make().await.to_uppercase()] {
        redeem(&world, code).send().await.is(400, bare("invalid-code"));
    }
    assert_eq!((world.host.issued(), world.count_events(ADMIN, "logged_in").await), (2, 2));
}

/// Neither an id nor a code can be read from the store.
#[tokio::test]
async fn the_store_shows_neither_ids_nor_codes() {
    let world = World::new().await;
    let made = world.app.create_challenge(&TARGET.account()).await.unwrap().unwrap();
    let code = world.app.create_login_code(&TARGET.account()).await.unwrap();
    let (id, code) = (made.id.expose(), code.expose());
    assert!(!format!("{made:?}").contains(id));
    for row in world.scan().await {
        assert!(!row.slot.contains(&id[..32]) && !row.slot.contains(code), "{}", row.slot);
        for secret in [hex::decode(&id[..32]).unwrap(), hex::decode(code).unwrap(), code.as_bytes().to_vec()] {
            assert!(!row.body.windows(secret.len()).any(|window| window == secret), "{}", row.slot);
        }
    }
}
