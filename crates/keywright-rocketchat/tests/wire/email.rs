//! Mailed codes: bound to one act in one login, never sent to a user who did not request one with a
//! login.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_rocketchat::RocketChatPolicy;
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;
use serde_json::{Value, json};

use crate::support::{ADMIN, Call, TARGET, USER, World};

const LIFE: u64 = 3_600;

#[tokio::test]
async fn a_code_is_mailed_as_two_groups_and_taken_in_any_form() {
    for form in ["123-456", "123456", " 123 456 ", "code: 123456."] {
        let world = World::email_only().await;
        let client = world.client(ADMIN);
        let asked = client.reset().send().await;
        assert_eq!(asked.fails("totp-required").json()["details"]["codeGenerated"], json!(true));
        let code = world.host.last_code();
        let (first, last) = code.split_once('-').unwrap();
        assert_eq!((first.len(), last.len()), (3, 3));
        let sent = form.replace("123", first).replace("456", last);
        client.reset().code(&sent).method("email").send().await.succeeds();
        assert_eq!((world.host.codes(), world.host.removals()), (1, 1));
    }
}

#[tokio::test]
async fn it_goes_to_every_verified_address_and_the_first_is_named() {
    let world = World::email_only().await;
    world.host.change(ADMIN.id, |user| user.verified_emails.push("second@example.com".into()));
    let answer = world.client(ADMIN).reset().send().await;
    assert_eq!(answer.json()["details"]["emailOrUsername"], json!(ADMIN.email));
    let to = vec![String::from(ADMIN.email), "second@example.com".into()];
    assert!(matches!(&world.host.calls()[0], Call::Code { to: sent, .. } if *sent == to));
}

#[tokio::test]
async fn a_code_lives_an_hour_and_no_second_one_is_sent_while_it_does() {
    let world = World::email_only().await;
    let client = world.client(ADMIN);
    client.reset().send().await.fails("totp-required");
    let first = world.host.last_code();
    for _ in 0..59 {
        world.clock.advance(60);
        let answer = client.reset().send().await;
        let details = &answer.fails("totp-required").json()["details"];
        assert_eq!(
            (&details["codeGenerated"], &details["codeExpires"]),
            (&json!(false), &json!("2027-01-15T09:00:00.000Z"))
        );
    }
    assert_eq!(world.host.codes(), 1);
    world.clock.advance(60);
    // Expired: the answer to the old code is that a new one was mailed.
    let answer = client.reset().code(&first).send().await;
    let details = &answer.fails("totp-invalid").json()["details"];
    assert_eq!((&details["codeGenerated"], details.get("codeExpires")), (&json!(true), None));
    client.reset().code(&world.host.last_code()).send().await.succeeds();
}

#[tokio::test]
async fn five_wrong_codes_end_it_and_asking_again_gives_no_tries_back() {
    let world = World::email_only().await;
    let client = world.client(ADMIN);
    client.reset().send().await.fails("totp-required");
    let code = world.host.last_code();
    for _ in 0..4 {
        let answer = client.reset().code("000000").send().await;
        assert_eq!(answer.fails("totp-invalid").json()["details"]["codeGenerated"], json!(false));
    }
    client.reset().code("000000").send().await.fails("totp-max-attempts");
    // The wait of the guess ledger, then that of the mails.
    client.reset().code(&code).send().await.waits(30);
    world.clock.advance(30);
    client.reset().code(&code).send().await.fails("totp-invalid");
    client.reset().send().await.waits(LIFE - 30);
    world.clock.advance(60);
    client.post("users.2fa.sendEmailCode").json(&json!({"emailOrUsername": ADMIN.email})).send().await.succeeds();
    assert_eq!((world.host.codes(), world.host.removals()), (1, 0));
    world.clock.advance(LIFE);
    assert_eq!(client.reset().send().await.fails("totp-required").json()["details"]["codeGenerated"], json!(true));
    client.reset().code(&world.host.last_code()).send().await.succeeds();
}

/// While all codes are refused for earlier wrong ones, and a mail for a second act must wait for a
/// minute: one wait is reported, the longer one, and then the mail is sent.
#[tokio::test]
async fn a_wait_of_the_guesses_is_told_with_that_of_the_mails() {
    let world = World::email_only().await;
    let (client, guesser) = (world.client(ADMIN), world.other_client(ADMIN, 1));
    guesser.reset().send().await.fails("totp-required");
    for _ in 0..4 {
        guesser.reset().code("000000").send().await.fails("totp-invalid");
    }
    client.reset().send().await.fails("totp-required");
    guesser.reset().code("000000").send().await.fails("totp-max-attempts");
    // What is pending needs no mail, and a call with a code requests none.
    client.reset().send().await.waits(30);
    client.reset_of(TARGET.id).code("000000").send().await.waits(30);
    client.reset_of(TARGET.id).send().await.waits(60);
    world.clock.advance(59);
    client.reset_of(TARGET.id).send().await.waits(1);
    world.clock.advance(1);
    let asked = client.reset_of(TARGET.id).send().await;
    assert_eq!(asked.fails("totp-required").json()["details"]["codeGenerated"], json!(true));
}

#[tokio::test]
async fn a_code_is_bound_to_its_act_its_target_and_its_login() {
    let world = World::email_only().await;
    let client = world.client(ADMIN);
    client.reset_of(TARGET.id).send().await.fails("totp-required");
    let code = world.host.last_code();
    let others = [
        client.reset(),
        client.reset_of(USER.id),
        client.post("users.resetE2EKey").json(&json!({"username": TARGET.name})),
        client.post("users.resetTOTP").json(&json!({"userId": TARGET.id})),
    ];
    for request in others {
        request.code(&code).send().await.fails("totp-invalid");
    }
    world.other_client(ADMIN, 1).reset_of(TARGET.id).code(&code).send().await.fails("totp-invalid");
    assert_eq!((world.host.removals(), world.host.notices()), (0, 0));
    client.reset_of(TARGET.id).code(&code).send().await.succeeds();
    client.reset_of(TARGET.id).code(&code).send().await.fails("totp-invalid");
    assert_eq!(world.host.removals(), 1);
}

/// The method is the server's choice.
#[tokio::test]
async fn weakness_15_naming_a_method_that_is_not_enrolled_is_naming_none() {
    let world = World::new().await;
    for method in ["email", "password", "sms", "TOTP", ""] {
        let answer = world.client(ADMIN).reset().method(method).send().await;
        assert_eq!(answer.fails("totp-required").json()["details"]["method"], json!("totp"), "{method}");
    }
    assert_eq!(world.host.calls(), [], "nothing is mailed to who never enrolled it");
    // Without a verified address it is not enrolled either.
    let world = World::new().await.with_email(ADMIN).await;
    world.host.change(ADMIN.id, |user| user.verified_emails.clear());
    let answer = world.client(ADMIN).reset().method("email").send().await;
    assert_eq!(answer.fails("totp-required").json()["details"]["availableMethods"], json!(["totp"]));
}

#[tokio::test]
async fn who_has_both_may_choose() {
    let world = World::new().await.with_email(ADMIN).await;
    let client = world.client(ADMIN);
    let answer = client.reset().method("email").send().await;
    let details = &answer.fails("totp-required").json()["details"];
    assert_eq!((&details["method"], &details["availableMethods"]), (&json!("email"), &json!(["totp", "email"])));
    // A code of the one method proves nothing for the other.
    client.reset().method("email").code(&world.totp(ADMIN)).send().await.fails("totp-invalid");
    client.reset().method("email").code(&world.host.last_code()).send().await.succeeds();
}

#[tokio::test]
async fn weakness_7_without_a_login_only_what_was_started_is_sent_again() {
    let world = World::email_only().await;
    let client = world.client(ADMIN);
    let send = async |name: &str| {
        let request = http::Request::post("/api/v1/users.2fa.sendEmailCode")
            .header("content-type", "application/json")
            .body(json!({"emailOrUsername": name}).to_string())
            .unwrap();
        let answer = crate::support::Answer::check(world.app.handle(request).await);
        assert_eq!((answer.status, answer.json()), (200, json!({"success": true})));
    };
    let names = [ADMIN.email, ADMIN.name, USER.email, "nobody@example.com", "", " "];
    for name in names {
        send(name).await;
    }
    assert_eq!(world.host.codes(), 0, "nothing was started");
    client.reset().send().await.fails("totp-required");
    let first = world.host.last_code();
    send(ADMIN.email).await;
    assert_eq!(world.host.codes(), 1, "sixty seconds apart");
    for nth in 2..=4 {
        world.clock.advance(60);
        for name in names {
            send(name).await;
        }
        assert_eq!(world.host.codes(), nth, "once a minute");
    }
    world.clock.advance(60);
    send(ADMIN.email).await;
    assert_eq!(world.host.codes(), 4, "three a day, whoever asks");
    let answer = client.reset().send().await;
    let details = &answer.fails("totp-required").json()["details"];
    assert_eq!(details["codeExpires"], json!("2027-01-15T09:00:00.000Z"), "and none of them prolonged the hour");
    // Sent again is for the same act, and voids the earlier one.
    client.reset().code(&first).send().await.fails("totp-invalid");
    client.reset().code(&world.host.last_code()).send().await.succeeds();
    // A failing mail server or host is reported to nobody.
    world.host.mail_down.store(true, Ordering::SeqCst);
    send(ADMIN.email).await;
    world.host.down.store(true, Ordering::SeqCst);
    send(ADMIN.email).await;
}

/// The mails that unknown clients can cause are only a part of the day's, so they cannot keep the
/// owner from theirs.
#[tokio::test]
async fn weakness_7_strangers_do_not_use_up_the_owners_mails() {
    let world = World::email_only().await;
    let mut asked = 0;
    for n in 0..7 {
        let client = world.other_client(ADMIN, n);
        let answer = client.reset_of(TARGET.id).send().await;
        asked += usize::from(answer.fails("totp-required").json()["details"]["codeGenerated"] == json!(true));
        for _ in 0..3 {
            world.clock.advance(60);
            client
                .post("users.2fa.sendEmailCode")
                .json(&json!({"emailOrUsername": ADMIN.name}))
                .send()
                .await
                .succeeds();
        }
    }
    assert_eq!((asked, world.host.codes()), (7, 10));
    world.client(ADMIN).reset_of(TARGET.id).code(&world.host.last_code()).send().await.fails("totp-invalid");
    world.other_client(ADMIN, 6).reset_of(TARGET.id).code(&world.host.last_code()).send().await.succeeds();
}

/// Known or not, with something pending or not: the store gets the same requests, and nothing is
/// written.
#[tokio::test]
async fn weakness_7_the_store_does_the_same_for_who_does_not_exist() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), RocketChatPolicy::default()).await.with_email(USER).await;
    world.host.change(TARGET.id, |user| user.verified_emails.clear());
    let before = world.scan().await;
    let mut loads = Vec::new();
    for name in ["nobody", "nobody@example.com", USER.name, TARGET.name, ADMIN.email] {
        store.note_loads();
        let request = world.client(ADMIN).post("users.2fa.sendEmailCode").json(&json!({"emailOrUsername": name}));
        request.send().await.succeeds();
        loads.push(store.noted_loads());
    }
    assert!(!loads[0].is_empty() && loads.iter().all(|one| *one == loads[0]), "{loads:?}");
    assert_eq!((world.scan().await, world.host.codes()), (before, 0));
}

#[tokio::test]
async fn a_code_that_could_not_be_mailed_is_said() {
    let world = World::email_only().await;
    world.host.mail_down.store(true, Ordering::SeqCst);
    let answer = world.client(ADMIN).reset().send().await;
    let details: Value = json!({"function": "sendEmailCode", "message": "MAIL_ERROR"});
    assert_eq!(answer.fails("error-email-send-failed").json()["details"], details);
}

#[tokio::test]
async fn another_act_within_a_minute_waits_for_its_own_mail() {
    let world = World::email_only().await;
    let client = world.client(ADMIN);
    client.reset_of(TARGET.id).send().await.fails("totp-required");
    client.reset().send().await.waits(60);
    world.clock.advance(60);
    client.reset().send().await.fails("totp-required");
    client.reset().code(&world.host.last_code()).send().await.succeeds();
}
