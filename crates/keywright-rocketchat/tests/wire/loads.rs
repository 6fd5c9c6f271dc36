//! The loads that requests make: every act names all its slots in one load.

use std::sync::Arc;

use keywright_rocketchat::{GuessedSecret, MailAdmits, RocketChatPolicy};
use keywright_store::MemoryStore;
use keywright_store::due::DUE;
use keywright_store_conformance::FaultStore;
use serde_json::json;

use crate::enrolment::{enrolled, with_code};
use crate::support::{ADMIN, TARGET, USER, World, code_of};

/// An act that finds that it needs a slot which it has not named is loaded again, and that is to be seen.
#[tokio::test]
async fn every_act_names_its_slots_at_once() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), RocketChatPolicy::default()).await.without_totp(ADMIN).await;
    let once = |act: &str| {
        // The read with which a request finds out who calls is an act of its own.
        let mut extra = store.extra_rounds();
        extra.retain(|[first, _]| *first != [DUE.name()]);
        assert!(extra.is_empty(), "{act}: {extra:?}");
        assert!(!store.noted_loads().is_empty(), "{act}");
        store.note_loads();
    };
    store.note_loads();
    let (admin, user) = (world.client(ADMIN), world.client(USER));
    // By the login password, wrong ones until a mail is due.
    admin.reset().send().await.fails("totp-required");
    once("a call without a code");
    admin.reset().code(&ADMIN.password()).method("password").send().await.succeeds();
    once("a reset by the password");
    let thief = world.other_client(ADMIN, 1).at("203.0.113.9");
    for _ in 0..20 {
        let answer = thief.post("users.2fa.disableEmail").code(&TARGET.password()).send().await;
        once("a wrong password");
        if answer.status == 429 {
            world.clock.advance(answer.seconds("retry-after"));
        }
    }
    let mail = world.host.shut_out().pop().unwrap();
    world.app.admit_by_mail(&mail.token, MailAdmits::Refused).await.unwrap();
    once("a click in a mail");
    world.app.unlock(&ADMIN.account(), GuessedSecret::LoginPassword).await.unwrap();
    once("the operator's unlock");
    world.app.password_changed(&ADMIN.account(), &[]).await.unwrap();
    once("a changed password");

    // By codes of a device.
    for code in [world.wrong_totp(USER), world.totp(USER), world.totp(USER), USER.recovery_code(0)] {
        user.post("users.2fa.disableEmail").code(&code).send().await;
        once("a code");
    }
    user.request("GET", "users.totpCodesRemaining").send().await;
    once("codes that are left");
    world.clock.advance(30);
    assert_eq!(with_code(&user, "users.regenerateTotpCodes", &world.totp(USER)).await.status, 200);
    once("new recovery codes");
    world.clock.advance(30);
    assert_eq!(with_code(&user, "users.disableTotp", &world.totp(USER)).await.json()["disabled"], json!(true));
    once("a device less");
    let (secret, _) = enrolled(&world, &user, USER).await;
    once("an enrolment");
    world.clock.advance(30);
    let code = code_of(&secret, world.now());
    assert_eq!(user.post("users.2fa.enableEmail").code(&code).send().await.status, 200);
    once("mailed codes switched on");

    // By mailed codes.
    let world = World::on(store.clone(), RocketChatPolicy::default()).await.without_totp(ADMIN).await;
    let world = world.with_email(ADMIN).await;
    let admin = world.client(ADMIN);
    store.note_loads();
    admin.reset_of(TARGET.id).send().await.fails("totp-required");
    once("a mailed code asked for");
    world.clock.advance(60);
    let again = world.client(USER).post("users.2fa.sendEmailCode").json(&json!({"emailOrUsername": ADMIN.name}));
    again.send().await.succeeds();
    once("sent again");
    admin.reset_of(TARGET.id).code("000000").send().await.fails("totp-invalid");
    once("a wrong one");
    admin.reset_of(TARGET.id).code(&world.host.last_code()).send().await.succeeds();
    once("a reset of another's keys");
    assert_eq!(
        admin.post("users.2fa.sendEmailCode").json(&json!({"emailOrUsername": "nobody"})).send().await.status,
        200
    );
    once("nobody's code");
}
