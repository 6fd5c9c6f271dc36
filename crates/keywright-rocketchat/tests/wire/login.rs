//! `POST login`: every form, the second factor, and what guesses meet.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_rocketchat::{RocketChatPolicy, queue};
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Call, Person, TARGET, USER, World};

fn body_of(person: Person, token: &str, totp: bool, email: bool) -> Value {
    json!({
        "status": "success",
        "data": {
            "userId": person.id,
            "authToken": token,
            "me": {
                "_id": person.id,
                "name": person.name,
                "username": person.name,
                "emails": [{"address": person.email, "verified": true}],
                "active": true,
                "roles": ["user"],
                "services": {"totp": {"enabled": totp}, "email2fa": {"enabled": email}},
            },
        },
    })
}

fn needs_second(answer: &Answer, error: &str, message: &str, details: Value) {
    let body = json!({
        "success": false, "status": "error", "error": error, "message": message, "details": details,
    });
    answer.is(401, body);
}

#[tokio::test]
async fn every_form_of_a_login_is_let_in() {
    let world = World::password_only().await;
    let (typed, digest) = (ADMIN.typed_password(), ADMIN.password());
    for (n, body) in [
        json!({"user": ADMIN.name, "password": typed}),
        json!({"user": ADMIN.email, "password": typed}),
        json!({"username": "ADMIN", "password": typed}),
        json!({"email": ADMIN.email, "password": typed}),
        json!({"user": {"username": ADMIN.name}, "password": {"digest": digest, "algorithm": "sha-256"}}),
        json!({"user": {"email": ADMIN.email}, "password": {"hashed": digest.to_uppercase()}}),
        json!({"totp": {"login": {"user": {"username": ADMIN.name}, "password": typed}, "code": "123456"}}),
    ]
    .iter()
    .enumerate()
    {
        let answer = world.call("login", body).send().await;
        answer.is(200, body_of(ADMIN, &format!("issued-token-planted-{}", n + 1), false, false));
        assert!(world.client_of(&answer).is_in().await, "{body}");
    }
    assert_eq!(world.count_events(ADMIN, "logged_in").await, 7);
}

#[tokio::test]
async fn a_login_is_continued_by_its_token_without_a_factor() {
    let world = World::new().await;
    let answer = world.call("login", &json!({"resume": ADMIN.token()})).send().await;
    answer.is(200, body_of(ADMIN, &ADMIN.token(), true, false));
    for token in ["", "nobody's", &ADMIN.password()] {
        world.call("login", &json!({"resume": token})).send().await.is_unauthorized();
    }
    assert_eq!(world.host.issued(), 0);
    world.host.change(ADMIN.id, |user| user.username = None);
    world.call("login", &json!({"resume": ADMIN.token()})).send().await.fails("error-unauthorized");
}

#[tokio::test]
async fn a_device_is_required_and_its_code_works_once() {
    let world = World::new().await;
    let details = json!({"method": "totp", "codeGenerated": false, "availableMethods": ["totp"]});
    let answer = world.log_in(ADMIN).send().await;
    needs_second(&answer, "totp-required", "TOTP Required [totp-required]", details.clone());
    let answer = world.log_in_with(ADMIN, &world.wrong_totp(ADMIN)).send().await;
    needs_second(&answer, "totp-invalid", "TOTP Invalid [totp-invalid]", details.clone());
    assert_eq!((world.charged(ADMIN, "totp").await, world.host.issued()), (1, 0));

    let code = world.totp(ADMIN);
    let answer = world.log_in_with(ADMIN, &code).send().await;
    answer.is(200, body_of(ADMIN, "issued-token-planted-1", true, false));
    let answer = world.log_in_with(ADMIN, &code).send().await;
    needs_second(&answer, "totp-invalid", "TOTP Invalid [totp-invalid]", details);
    assert_eq!((world.charged(ADMIN, "totp").await, world.replayed(ADMIN, "totp").await), (1, 1));
    // In the header, as the web client sends it; and a recovery code.
    world.clock.advance(30);
    assert_eq!(world.log_in(ADMIN).code(&world.totp(ADMIN)).send().await.status, 200);
    assert_eq!(world.log_in_with(ADMIN, &ADMIN.recovery_code(0)).send().await.status, 200);
    assert_eq!((world.host.issued(), world.codes_left(ADMIN).await), (3, Some(11)));
    assert_eq!(world.charged(ADMIN, "login-password").await, 0);
}

#[tokio::test]
async fn a_mailed_code_is_required_mailed_and_bound_to_its_log_in() {
    let world = World::email_only().await;
    let answer = world.log_in(ADMIN).send().await;
    let details = json!({
        "method": "email", "codeGenerated": true, "emailOrUsername": ADMIN.email, "availableMethods": ["email"],
    });
    needs_second(&answer, "totp-required", "TOTP Required [totp-required]", details);
    let code = world.host.last_code();
    // Not for an act of a login, and not on another network.
    world.client(ADMIN).reset().code(&code).send().await.fails("totp-invalid");
    assert_eq!(world.log_in_with(ADMIN, &code).from("203.0.113.9").send().await.status, 401);
    assert_eq!(world.host.issued(), 0);
    assert_eq!(world.log_in_with(ADMIN, &code).send().await.status, 200);
    assert_eq!(world.log_in_with(ADMIN, &code).send().await.status, 401, "once");
    assert_eq!(world.host.issued(), 1);
}

/// A code of a log-in is sent again by the call without a login, which the web client makes there.
#[tokio::test]
async fn the_code_of_a_log_in_is_sent_again() {
    let world = World::email_only().await;
    assert_eq!(world.log_in(ADMIN).send().await.status, 401);
    let first = world.host.last_code();
    world.clock.advance(60);
    world.call("users.2fa.sendEmailCode", &json!({"emailOrUsername": ADMIN.email})).send().await.succeeds();
    assert_eq!(world.host.codes(), 2);
    assert_ne!(world.host.last_code(), first);
    assert_eq!(world.log_in_with(ADMIN, &world.host.last_code()).send().await.status, 200);
}

#[tokio::test]
async fn the_method_of_the_client_counts_where_it_is_enrolled() {
    let world = World::new().await.with_email(ADMIN).await;
    let answer = world.log_in(ADMIN).method("email").send().await;
    assert_eq!(answer.json()["details"]["method"], json!("email"));
    assert_eq!(answer.json()["details"]["availableMethods"], json!(["totp", "email"]));
    // The password is no second factor of a log-in.
    let answer = world.log_in(ADMIN).method("password").code(&ADMIN.password()).send().await;
    assert_eq!((answer.status, &answer.json()["details"]["method"]), (401, &json!("totp")));
    assert_eq!(world.host.issued(), 0);
}

#[tokio::test]
async fn with_two_factor_off_the_password_is_enough() {
    let world = World::with(RocketChatPolicy::builder().enabled(false).build().unwrap()).await;
    assert_eq!(world.log_in(ADMIN).send().await.status, 200);
}

/// Who does not exist gets the answers of who does: the same texts, the same waits, and a hash.
#[tokio::test]
async fn an_unknown_name_looks_as_a_wrong_password_does() {
    let world = World::new().await;
    let wrong = |name: &str| world.call("login", &json!({"user": name, "password": "wrong"})).from("203.0.113.9");
    let mut answers = Vec::new();
    for name in [ADMIN.name, "nobody"] {
        let mut of_name = Vec::new();
        for _ in 0..7 {
            let answer = wrong(name).send().await;
            of_name.push((answer.status, answer.body.clone(), answer.header("retry-after").map(str::to_owned)));
        }
        answers.push(of_name);
    }
    assert_eq!(answers[0], answers[1]);
    let statuses: Vec<u16> = answers[0].iter().map(|(status, ..)| *status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);
    let hashed = |wanted: Call| world.host.count(|call| *call == wanted);
    assert_eq!((hashed(Call::Password("account-admin".into())), hashed(Call::NobodysPassword)), (5, 5));
    // The host's verdict about nobody does not count, and a right password waits like a wrong one.
    assert_eq!(world.log_in(ADMIN).from("203.0.113.9").send().await.status, 429);
    // Letters of other case share the ledger, as they share an account.
    assert_eq!(wrong("NOBODY").send().await.status, 429);
    assert_eq!(world.host.issued(), 0);
}

/// Wrong guesses at one spelling of a name show in another spelling only where they would if the
/// name had an account: an address is looked up as such, and a username as such.
#[tokio::test]
async fn the_spellings_of_a_name_show_nothing() {
    let world = World::new().await;
    let wrong = async |body: Value, from: &str| {
        let body = [body, json!({"password": "wrong"})].into_iter().flat_map(|part| part.as_object().unwrap().clone());
        world.call("login", &Value::Object(body.collect())).from(from).send().await.status
    };
    for address in [ADMIN.email, "nobody@example.org"] {
        for _ in 0..6 {
            wrong(json!({"email": address}), "203.0.113.9").await;
        }
        let statuses = [
            wrong(json!({"email": address}), "203.0.113.9").await,
            wrong(json!({"user": address}), "203.0.113.9").await,
            wrong(json!({"username": address}), "203.0.113.9").await,
        ];
        assert_eq!(statuses, [429, 429, 401], "{address}");
    }
    for name in [USER.name, "nobody"] {
        for _ in 0..6 {
            wrong(json!({"username": name}), "203.0.113.9").await;
        }
        let statuses = [
            wrong(json!({"username": name}), "203.0.113.9").await,
            wrong(json!({"user": name}), "203.0.113.9").await,
            wrong(json!({"email": name}), "203.0.113.9").await,
        ];
        assert_eq!(statuses, [429, 429, 401], "{name}");
    }
}

#[tokio::test]
async fn a_deactivated_user_is_let_in_by_nothing() {
    let world = World::password_only().await;
    let code = world.app.create_login_code(&ADMIN.account()).await.unwrap();
    world.host.inactive.store(true, Ordering::SeqCst);
    let wrong = world.call("login", &json!({"user": ADMIN.name, "password": "wrong"})).send().await;
    let right = world.log_in(ADMIN).send().await;
    assert_eq!((right.status, &right.body), (401, &wrong.body));
    world.call("login", &json!({"resume": ADMIN.token()})).send().await.is_unauthorized();
    let redeemed = world.call("loginCode.redeem", &json!({"code": code.expose()})).send().await;
    assert_eq!((redeemed.status == 200, world.host.issued()), (false, 0));
}

#[tokio::test]
async fn an_unknown_name_makes_the_loads_of_a_known_one() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), RocketChatPolicy::default()).await;
    let mut loads = Vec::new();
    for name in [ADMIN.name, "nobody"] {
        store.note_loads();
        for _ in 0..6 {
            world.call("login", &json!({"user": name, "password": "wrong"})).send().await;
        }
        assert!(store.extra_rounds().is_empty(), "{:?}", store.extra_rounds());
        loads.push(store.noted_loads().len());
    }
    assert_eq!(loads[0], loads[1]);
    store.note_loads();
    let answer = world.log_in_with(USER, &world.totp(USER)).send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(store.extra_rounds().is_empty(), "{:?}", store.extra_rounds());
}

/// Strangers lock the password; a network that has logged in is known, and so is a login from it.
#[tokio::test]
async fn a_known_network_gets_in_past_a_crowd() {
    let world = World::password_only().await;
    assert_eq!(world.log_in(ADMIN).from("192.0.2.1").send().await.status, 200);
    let wrong = json!({"user": ADMIN.name, "password": "wrong"});
    // Until only an act lets unknown clients in, which is told as a day.
    for _ in 0..200 {
        let answer = world.call("login", &wrong).from("203.0.113.9").send().await;
        if answer.status == 429 && answer.seconds("retry-after") == 86_400 {
            break;
        }
        if answer.status == 429 {
            world.clock.advance(answer.seconds("retry-after"));
        }
    }
    assert!(world.host.shut_out().is_empty(), "the mail is left to the sweep");
    world.app.finish_due(&ADMIN.account(), false).await.unwrap();
    let refused = world.log_in(ADMIN).from("198.51.100.7").send().await;
    assert_eq!(refused.status, 429, "{refused:?}");
    let mail = world.host.shut_out().pop().unwrap();
    assert_eq!((mail.refused, mail.network.as_deref()), (None, Some("203.0.113.9")), "a log-in has no token");
    let answer = world.log_in(ADMIN).from("192.0.2.1").send().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // The fresh token has passed nothing, but its network has.
    let client = world.client_of(&answer).at("192.0.2.1");
    assert_eq!(client.post("users.enableTotp").code(&ADMIN.password()).send().await.status, 200);
    let client = world.other_client(ADMIN, 1).at("198.51.100.7");
    assert_eq!(client.post("users.2fa.disableEmail").code(&USER.password()).send().await.status, 429);
}

#[tokio::test]
async fn a_busy_host_charges_nothing() {
    let world = World::password_only().await;
    let queue = queue::WorkQueue::new(queue::Limits::default().at_once(1).waiting(1, 0));
    world.host.use_queue(queue.clone());
    let turn = queue.acquire(&queue::Requester::known(&ADMIN.account())).await.unwrap();
    for name in [ADMIN.name, "nobody"] {
        let answer = world.call("login", &json!({"user": name, "password": "wrong"})).send().await;
        assert_eq!((answer.status, answer.seconds("retry-after")), (503, queue::BUSY_SECONDS), "{answer:?}");
    }
    drop(turn);
    assert_eq!(world.log_in(ADMIN).send().await.status, 200);
    assert_eq!(world.charged(ADMIN, "login-password").await, 0);
}

#[tokio::test]
async fn a_user_without_a_password_or_a_name_is_not_let_in() {
    let world = World::password_only().await;
    world.host.change(ADMIN.id, |user| user.has_password = false);
    world.log_in(ADMIN).send().await.is_unauthorized();
    world.host.change(ADMIN.id, |user| (user.has_password, user.username) = (true, None));
    let by_email = json!({"email": ADMIN.email, "password": ADMIN.typed_password()});
    world.call("login", &by_email).send().await.fails("error-unauthorized");
    assert_eq!(world.host.issued(), 0);
}

/// All logins end between the grant and the token: the token ends with them, unseen.
#[tokio::test]
async fn a_log_in_does_not_outlive_a_reset_that_it_raced() {
    for finished in [true, false] {
        let world = World::password_only().await;
        world.host.issuing_hangs.store(true, Ordering::SeqCst);
        let request = world.log_in(ADMIN);
        let late = tokio::spawn(async move { request.send().await });
        world.host.hanging.notified().await;
        if !finished {
            world.host.failures.store(1, Ordering::SeqCst);
        }
        let reset = world.client(ADMIN).reset().code(&ADMIN.password()).send().await;
        assert_eq!(reset.status, if finished { 200 } else { 500 });
        world.host.go.notify_one();
        let answer = late.await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(world.host.count(|call| *call == Call::EndOne("issued-token-planted-1-id".into())), 1);
        assert_eq!(world.host.tokens_of(ADMIN.id), usize::from(!finished), "the reset's own is still due");
    }
}

#[tokio::test]
async fn a_login_that_is_being_ended_is_not_continued() {
    let world = World::new().await;
    world.host.failures.store(1, Ordering::SeqCst);
    assert_eq!(world.client(USER).reset().code(&world.totp(USER)).send().await.status, 500);
    let resume = || world.call("login", &json!({"resume": USER.token()}));
    assert_eq!(resume().send().await.status, 503);
    assert_eq!(world.log_in_with(USER, &USER.recovery_code(0)).send().await.status, 503);
    assert_eq!((world.codes_left(USER).await, world.host.issued()), (Some(12), 0));
    world.clock.advance(2);
    assert_eq!(resume().send().await.status, 503, "it is done now, and looked up anew");
    resume().send().await.is_unauthorized();
    assert_eq!(world.log_in_with(USER, &USER.recovery_code(0)).send().await.status, 200);
}

#[tokio::test]
async fn bad_shapes_are_refused_before_anybody_is_looked_up() {
    let world = World::new().await;
    let before = world.scan().await;
    for body in [json!({}), json!({"user": "a"}), json!({"user": "a", "password": 1}), json!({"resume": 1})] {
        world.call("login", &body).send().await.fails("invalid-params");
    }
    let missing = json!({
        "success": false, "errorType": "invalid-params", "error": "must have required property 'password'",
    });
    world.call("login", &json!({"user": "a"})).send().await.is(400, missing);
    assert_eq!((world.scan().await, world.host.calls()), (before, vec![]));
}

#[tokio::test]
async fn requests_are_counted_before_anything_is_guessed() {
    let world = World::new().await.limited();
    for _ in 0..10 {
        assert_eq!(world.call("login", &json!({"resume": "x"})).from("192.0.2.1").send().await.status, 401);
    }
    let answer = world.log_in(TARGET).from("192.0.2.1").send().await;
    assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (429, Some("0")));
}
