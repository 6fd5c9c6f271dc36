//! `auth/resendVerificationEmail`, `auth/passwordHint`, and mails that a failing mail server leaves.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_core::UnixSeconds;
use keywright_store::due::{self, MAX_DUE, NewTask};
use keywright_store::{Draft, MemoryStore};
use keywright_store_conformance::FaultStore;
use keywright_twofactor::TotpSecret;
use serde_json::json;

use crate::support::{PUBLIC, START, World, alice, bob, code_of, on_both, policy};
use crate::vaults::with_password;

async fn resend(world: &World, email: &str) -> crate::support::Answer {
    world.client().get(&format!("/api/auth/resendVerificationEmail?email={email}")).send().await
}

async fn ask_hint(world: &World, email: &str) -> crate::support::Answer {
    world.client().get(&format!("/api/auth/passwordHint?email={email}")).send().await
}

#[tokio::test]
async fn a_fresh_link_voids_the_one_before() {
    let world = World::new().await;
    world.register(&alice()).await.is(201, json!({}));
    let old = world.host.link_to(&alice().email).unwrap();
    world.clock.advance(3_600);
    resend(&world, "ALICE@example.com").await.is_empty();
    assert_eq!(world.host.mails_to(&alice().email).len(), 2);
    let new = world.host.link_to(&alice().email).unwrap();
    assert_ne!(old, new);
    world.client().get(old.strip_prefix(PUBLIC).unwrap()).send().await.fails(400, "LP-Email-Invalid-Code");
    // It has a day of its own.
    world.clock.advance(86_399);
    world.client().get(new.strip_prefix(PUBLIC).unwrap()).send().await.redirects();
    resend(&world, &alice().email).await.fails(400, "LP-Invalid-Body").says("email is already verified");
    resend(&world, &bob().email).await.fails(404, "LP-User-404");
    resend(&world, "").await.fails(400, "LP-Invalid-Body");
    resend(&world, "x").await.fails(400, "LP-Invalid-Body");
    assert_eq!(world.host.mails().len(), 2);
}

#[tokio::test]
async fn a_hint_is_mailed_to_a_verified_address_alone() {
    let world = World::new().await;
    let mut body = world.registration(&alice()).await;
    body["passwordHint"] = json!("the usual <b>");
    world.client().post("/api/auth/register").json(&body).send().await.is(201, json!({}));
    ask_hint(&world, &alice().email).await.is_empty();
    assert_eq!(world.host.mails().len(), 1, "what a stranger may have written is not mailed");
    world.open_link(&alice().email).await.redirects();
    ask_hint(&world, "Alice@example.com").await.is_empty();
    let letter = world.host.mails().pop().unwrap();
    assert_eq!((&*letter.to, letter.subject), ("alice@example.com", "Your password hint"));
    assert!(letter.text.lines().any(|line| line == "the usual <b>"));
    world.settle(&bob()).await;
    ask_hint(&world, &bob().email).await.is_empty();
    assert_eq!(world.host.mails().pop().unwrap().text, "You have kept no hint.\n");
    ask_hint(&world, "nobody@example.com").await.fails(404, "LP-User-404");
    let answer = world.client().get("/api/auth/passwordHint").send().await;
    answer.fails(400, "LP-Invalid-Body").says("missing parameter");
}

#[tokio::test]
async fn strangers_can_have_ten_mails_a_day_sent() {
    let world = World::new().await;
    world.settle(&alice()).await;
    for _ in 0..10 {
        ask_hint(&world, &alice().email).await.is_empty();
    }
    let before = world.scan().await;
    ask_hint(&world, &alice().email).await.waits(86_400);
    assert_eq!((world.host.mails().len(), world.scan().await == before), (11, true));
    world.clock.advance(86_400);
    ask_hint(&world, &alice().email).await.is_empty();
}

/// A clock that ran ahead and was corrected: the wait of a day that is then reported ends when it
/// was announced to end.
#[tokio::test]
async fn a_day_of_mails_ends_when_it_was_told_after_the_clock_went_back() {
    on_both(async |world: World| {
        world.settle(&alice()).await;
        world.clock.advance(10 * 365 * 86_400);
        for _ in 0..10 {
            ask_hint(&world, &alice().email).await.is_empty();
        }
        world.clock.set(UnixSeconds::new(START).unwrap());
        ask_hint(&world, &alice().email).await.waits(86_400);
        world.clock.advance(86_399);
        ask_hint(&world, &alice().email).await.waits(1);
        world.clock.advance(1);
        ask_hint(&world, &alice().email).await.is_empty();
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_failed_stays_due_and_goes_out_later() {
    on_both(async |world: World| {
        world.host.outbox.set_down(true);
        world.register(&alice()).await.is(201, json!({}));
        assert!(world.host.mails().is_empty());
        let account =
            world.scan().await.into_iter().find_map(|row| row.partition.as_account()).expect("the account is there");
        assert_eq!(world.app.finish_due(&account).await.unwrap(), 0, "not again at once");
        world.clock.advance(2);
        world.app.finish_due(&account).await.unwrap_err();
        world.host.outbox.set_down(false);
        world.clock.advance(3);
        assert_eq!(world.app.finish_due(&account).await.unwrap(), 0, "the pause has grown");
        world.clock.advance(1);
        assert_eq!(world.app.finish_due(&account).await.unwrap(), 1);
        assert_eq!(world.app.finish_due(&account).await.unwrap(), 0);
        world.open_link(&alice().email).await.redirects();
        // Or the next request with a token takes it along.
        let client = world.client_of(&alice()).await;
        world.host.outbox.set_down(true);
        ask_hint(&world, &alice().email).await.is_empty();
        world.host.outbox.set_down(false);
        world.clock.advance(2);
        assert!(client.is_in().await);
        assert_eq!(world.host.mails().pop().unwrap().subject, "Your password hint");
    })
    .await;
}

/// A mail server that is down costs a request now and then, not each: neither its time nor a commit.
#[tokio::test]
async fn a_mail_that_failed_is_not_tried_by_every_request() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    world.host.outbox.set_down(true);
    ask_hint(&world, &alice().email).await.is_empty();
    let (tried, commits) = (world.host.outbox.tried(), store.tally().commits);
    for _ in 0..20 {
        assert!(client.is_in().await);
    }
    assert_eq!(world.host.outbox.tried(), tried);
    assert_eq!(store.tally().commits, commits);
    world.clock.advance(2);
    assert!(client.is_in().await && client.is_in().await);
    assert_eq!(world.host.outbox.tried(), tried + 1);
}

/// At the start of a server that is alone at its store nothing waits for a dead process, nor for a pause.
#[tokio::test]
async fn a_start_sends_at_once_what_is_due() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.host.outbox.set_down(true);
    ask_hint(&world, &alice().email).await.is_empty();
    world.host.outbox.set_down(false);
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 0);
    assert_eq!(world.app.finish_due_at_start(user.account()).await.unwrap(), 1);
}

/// What anybody can request is worth nothing after a day.
#[tokio::test]
async fn a_hint_of_yesterday_is_dropped() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    world.host.outbox.set_down(true);
    for _ in 0..2 {
        ask_hint(&world, &alice().email).await.is_empty();
        world.clock.advance(43_200);
    }
    world.host.outbox.set_down(false);
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 1, "that of half a day ago");
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 0);
}

async fn set_up_two_factor(world: &World, client: &crate::support::Client) {
    let secret = [7; 20];
    let body = json!({
        "sharedKey": alice().shared(&world.server_key().await),
        "secret": TotpSecret::from_slice(&secret).unwrap().to_base32().expose(),
        "code": code_of(&secret, world.now()),
    });
    client.post("/api/user/setup/2fa").json(&body).send().await.ok();
}

/// A notice is kept until it is delivered, however long the mail server is down.
#[tokio::test]
async fn a_notice_of_last_month_is_delivered() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    world.host.outbox.set_down(true);
    set_up_two_factor(&world, &client).await;
    for _ in 0..31 {
        world.clock.advance(86_400);
        world.app.finish_due(user.account()).await.unwrap_err();
    }
    world.host.outbox.set_down(false);
    world.clock.advance(3_600);
    assert_eq!(world.app.finish_due(user.account()).await.unwrap(), 1);
    assert_eq!(world.host.mails().pop().unwrap().subject, "Two-factor authentication was set up");
}

/// A hundred letters that could not be sent do not keep a user from setting up a second factor:
/// what anybody can request is dropped first.
#[tokio::test]
async fn letters_that_wait_refuse_nothing() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    // Hints fill the list, which is impossible over HTTP in one day.
    let add = |draft: &mut Draft<'_>| {
        let until = draft.now().plus(86_400);
        for _ in 0..MAX_DUE {
            due::add(draft, NewTask::new("librepass/mail", b"junk".to_vec()).until(until).evictable())?;
        }
        Ok(())
    };
    world.driver.transact(&user.account().into(), &[due::DUE.name()], add).await.unwrap();
    ask_hint(&world, &alice().email).await.is_empty();
    set_up_two_factor(&world, &client).await;
    assert_eq!(world.host.mails().pop().unwrap().subject, "Two-factor authentication was set up");
}

#[tokio::test]
async fn without_verification_a_hint_goes_to_the_address_as_it_is() {
    let world = World::with(policy().verify_email(false)).await;
    world.register(&alice()).await.is(201, json!({}));
    ask_hint(&world, &alice().email).await.is_empty();
    assert_eq!(world.host.mails().len(), 1);
    // There is nothing to verify, and so no mail (protocol § 13).
    for email in [&alice().email, "nobody@example.com"] {
        resend(&world, email).await.is_empty();
    }
    assert_eq!(world.host.mails().len(), 1);
}

/// No answer waits for a mail server: not the one whose commit made a mail due, nor one that comes later.
#[tokio::test]
async fn a_host_that_wakes_its_sweep_sends_no_mail_while_a_client_waits() {
    let world = World::new().await;
    world.host.mail_later.store(true, Ordering::SeqCst);
    world.register(&alice()).await.is(201, json!({}));
    let account = world.host.told.lock().unwrap().pop().unwrap();
    assert_eq!(world.host.outbox.tried(), 0);
    assert_eq!(world.app.finish_due(&account).await.unwrap(), 1, "it is free at once");
    world.open_link(&alice().email).await.redirects();
    let client = world.client_of(&alice()).await;
    set_up_two_factor(&world, &client).await;
    ask_hint(&world, &alice().email).await.is_empty();
    world.host.told.lock().unwrap().clear();
    assert!(client.is_in().await);
    let told = std::mem::take(&mut *world.host.told.lock().unwrap());
    assert_eq!(told, std::slice::from_ref(&account), "a request tells of what is still due");
    assert_eq!(world.host.outbox.tried(), 1);
    assert_eq!(world.app.finish_due(&account).await.unwrap(), 2);
    world.host.told.lock().unwrap().clear();
    assert!(client.is_in().await);
    assert_eq!(*world.host.told.lock().unwrap(), [], "nothing is due");
}

/// With the mail server away for long, an owner can still change the password, and the last few notices are kept.
#[tokio::test]
async fn undeliverable_notices_refuse_nothing() {
    let world = World::new().await;
    let (mut now, mut then) = (alice(), with_password(&alice(), "other"));
    let user = world.settle(&now).await;
    world.host.outbox.set_down(true);
    for _ in 0..=MAX_DUE {
        let body = world.password_body(&user, &now, &then).await;
        world.client_of(&now).await.change_password(&body).await.is_empty();
        std::mem::swap(&mut now, &mut then);
    }
    world.host.outbox.set_down(false);
    world.clock.advance(3_600);
    world.app.finish_due(user.account()).await.unwrap();
    assert_eq!(world.host.mails_to(&alice().email).len(), 1 + 4, "its link, and the last notices");
}
