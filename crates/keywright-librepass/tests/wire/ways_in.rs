//! An owner whom others have locked out by guessing, and each way in: the table of the crate's
//! documentation.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use keywright_core::Client as LedgerClient;
use keywright_core::SessionId;
use keywright_librepass::{NetworkAdmission, Privacy, SharedKey, Token, UserId};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, MemoryStore, Partition};
use keywright_store_conformance::FaultStore;
use keywright_twofactor::{ADMIT_CLIENT, CodeKind, VerifyOutcome};
use serde_json::json;

use crate::support::{Answer, Client, PUBLIC, World, alice, code_of, on_both, policy};
use crate::vaults::with_password;

pub(crate) const HOME: &str = "192.0.2.1";
pub(crate) const AWAY: &str = "203.0.113.9";
pub(crate) const HOSTILE: &str = "198.51.100.7";
const SECRET: [u8; 20] = [7; 20];
const MAIL: &str = "Log-ins to your account are refused";

async fn log_in_from(world: &World, address: &str, key: &str) -> Answer {
    world.client().log_in(&alice().email, key).header("x-test-address", address).send().await
}

pub(crate) async fn right(world: &World) -> String {
    alice().shared(&world.server_key().await)
}

/// Guesses until only someone's action ends the refusal, moving the clock through the waits.
/// Returns how many were checked.
pub(crate) async fn until_shut(world: &World, guess: impl AsyncFn(usize) -> Answer) -> usize {
    let mut looked_at = 0;
    loop {
        let answer = guess(looked_at).await;
        match answer.header("retry-after").map(|seconds| seconds.parse().unwrap()) {
            None => {
                assert_eq!(answer.status, 400, "{answer:?}");
                looked_at += 1;
            }
            // A level takes days to leak: that is as good as shut.
            Some(seconds) if seconds > 3_600 => return looked_at,
            Some(seconds) => world.clock.advance(seconds),
        }
    }
}

async fn shut_out(world: &World) -> usize {
    until_shut(world, async |n| log_in_from(world, HOSTILE, &format!("{n:064x}")).await).await
}

/// A login from a network, without a second factor.
pub(crate) async fn client_from(world: &World, address: &str) -> Client {
    let answer = log_in_from(world, address, &right(world).await).await;
    world.client().with_token(answer.ok()["apiKey"].as_str().unwrap())
}

#[tokio::test]
async fn a_known_client_is_not_held_up_before_and_after_the_change_that_it_made() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let home = client_from(&world, HOME).await;
        assert_eq!(shut_out(&world).await, 50);
        assert_eq!(world.count_events(&user, "guesses_shut").await, 1);
        log_in_from(&world, AWAY, &right(&world).await).await.fails(429, "LP-RateLimit");
        log_in_from(&world, HOME, &right(&world).await).await.ok();
        // By its token, wherever it is now.
        let away = home.log_in(&alice().email, &right(&world).await).header("x-test-address", AWAY).send().await;
        away.ok();

        // The token's login changes the password: all tokens end, and its network is known at the new key.
        let new = with_password(&alice(), "new");
        let body = world.password_body(&user, &alice(), &new).await;
        let change = home.request("PATCH", "/api/user/password").header("x-test-address", HOME).json(&body);
        change.send().await.is_empty();
        log_in_from(&world, AWAY, &new.shared(&world.server_key().await)).await.ok();
        assert_eq!(shut_out(&world).await, 50, "a new key, and fifty guesses at it");
        let key = new.shared(&world.server_key().await);
        log_in_from(&world, HOME, &key).await.ok();
        log_in_from(&world, AWAY, &key).await.ok();
        log_in_from(&world, "203.0.113.77", &key).await.fails(429, "LP-RateLimit");
    })
    .await;
}

/// A token is known by itself from its log-in on, wherever it is used: neither unknown clients on
/// the network that it was opened from, nor all unknown clients together, keep its owner from
/// changing anything.
#[tokio::test]
async fn a_token_is_not_held_up_by_strangers_on_the_network_of_its_log_in() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        let home = client_from(&world, HOME).await;
        let guess = async |n| log_in_from(&world, HOME, &format!("{n:064x}")).await;
        assert_eq!(until_shut(&world, guess).await, 10);
        assert_eq!(shut_out(&world).await, 50);
        log_in_from(&world, HOME, &right(&world).await).await.fails(429, "LP-RateLimit");

        let token = Token::parse(home.token.as_deref().unwrap()).unwrap();
        let key = SharedKey::from_hex(&right(&world).await).unwrap();
        let admission = world.app.admit_network(&token, &key, AWAY.parse().unwrap()).await.unwrap();
        assert_eq!(admission, NetworkAdmission::Admitted);
        for address in [AWAY, HOME] {
            // A right key, and a malformed code: the check after the key is reached.
            let body = json!({"sharedKey": right(&world).await, "secret": "", "code": ""});
            let set_up = home.post("/api/user/setup/2fa").header("x-test-address", address).json(&body);
            set_up.send().await.fails(400, "LP-Invalid-Two-Factor");
        }
        let new = with_password(&alice(), "new");
        let body = world.password_body(&user, &alice(), &new).await;
        let change = home.request("PATCH", "/api/user/password").header("x-test-address", AWAY).json(&body);
        change.send().await.is_empty();

        // The same for a token that came of another token.
        let key = async || new.shared(&world.server_key().await);
        let opener = world.client().log_in(&new.email, &key().await).header("x-test-address", AWAY).send().await.ok();
        let opener = world.client().with_token(opener["apiKey"].as_str().unwrap());
        let opened = opener.log_in(&new.email, &key().await).header("x-test-address", AWAY).send().await.ok();
        let opened = world.client().with_token(opened["apiKey"].as_str().unwrap());
        let guess = async |n| opener.log_in(&new.email, &format!("{n:064x}")).send().await;
        assert_eq!(until_shut(&world, guess).await, 10);
        let body = json!({"sharedKey": key().await, "code": ""});
        opener.request("DELETE", "/api/user/delete").json(&body).send().await.fails(429, "LP-RateLimit");
        opened.request("DELETE", "/api/user/delete").json(&body).send().await.is_empty();
    })
    .await;
}

/// A token whose place was taken by log-ins from elsewhere counts as its network, where that is known: it must not be worth
/// less than no token.
#[tokio::test]
async fn a_token_that_lost_its_place_counts_as_its_known_network() {
    let world = World::new().await;
    world.settle(&alice()).await;
    // Two places for each log-in, of five: the last one pushes out the first one's token.
    let first = client_from(&world, HOME).await;
    client_from(&world, AWAY).await;
    client_from(&world, "203.0.113.77").await;
    assert_eq!(shut_out(&world).await, 50);
    let key = right(&world).await;
    first.log_in(&alice().email, &key).header("x-test-address", HOME).send().await.ok();
    // Elsewhere it is an unknown client.
    let elsewhere = first.log_in(&alice().email, &key).header("x-test-address", "203.0.113.99");
    elsewhere.send().await.fails(429, "LP-RateLimit");
}

/// Log-ins that come again and again from one place push out no other place, neither at the key nor at the second factor.
#[tokio::test]
async fn a_browser_that_logs_in_every_day_takes_no_other_place() {
    for knows_the_password in [false, true] {
        let world = World::new().await;
        let user = world.settle(&alice()).await;
        world.enrol(&user, &SECRET).await;
        let prove = async |address: &str| {
            world.clock.advance(30);
            let token = waiting_from(&world, address).await;
            prove_from(&world, address, &token, &code_of(&SECRET, world.now())).await.is_empty();
            world.client().with_token(&token)
        };
        let away = prove(AWAY).await;
        for _ in 0..10 {
            prove(HOME).await;
        }
        if knows_the_password {
            let token = waiting_from(&world, HOSTILE).await;
            until_shut(&world, async |_| prove_from(&world, HOSTILE, &token, &wrong_code(&world)).await).await;
        } else {
            assert_eq!(shut_out(&world).await, 50);
            // The token from elsewhere is known too, until there is another from there: its key is
            // checked.
            let body = json!({"sharedKey": right(&world).await, "code": ""});
            let delete = away.request("DELETE", "/api/user/delete").json(&body);
            delete.send().await.fails(400, "LP-Invalid-Two-Factor");
        }
        for address in [AWAY, HOME] {
            prove(address).await;
        }
    }
}

/// The link shows a page; its buttons admit the network of the click, or the one that was refused.
#[tokio::test]
async fn by_the_link_of_a_mail() {
    on_both(async |world: World| {
        let user = world.settle(&alice()).await;
        shut_out(&world).await;
        let mails: Vec<_> =
            world.host.mails_to(&alice().email).into_iter().filter(|mail| mail.subject == MAIL).collect();
        // In 39 hours: one when the waits had grown beyond a quarter of an hour, one a day later.
        assert_eq!(mails.len(), 2);
        assert!(mails[0].text.contains(&format!("one from {HOSTILE} among them")), "{:?}", mails[0]);
        let link = mails[1].link().unwrap().strip_prefix(PUBLIC).unwrap().to_owned();
        assert!(link.starts_with(&format!("/api/auth/admitClient?user={user}&code=")), "{link}");
        log_in_from(&world, AWAY, &right(&world).await).await.fails(429, "LP-RateLimit");

        let before = world.scan().await;
        let page = world.client().get(&link).send().await;
        let html = String::from_utf8(page.body.to_vec()).unwrap();
        assert!(page.status == 200 && html.contains("From here") && html.contains(HOSTILE), "{html}");
        assert!(!html.contains("code"), "{html}");
        assert_eq!(world.client().request("HEAD", &link).send().await.status, 200);
        let click = async |link: &str, form: &str| {
            let click = world.client().post(link).header("x-test-address", AWAY);
            click.header("content-type", "application/x-www-form-urlencoded").raw(form).send().await
        };
        // The one before it is void, and no other text is a ticket.
        let old = mails[0].link().unwrap().strip_prefix(PUBLIC).unwrap();
        let nobody = link.replace(&user.to_string(), "00000000-0000-4000-8000-000000000000");
        for wrong in [old, &nobody, &link.replace("code=", "code=00")[..link.len()]] {
            let answer = click(wrong, "admit=here").await;
            assert!(answer.status == 400, "{wrong}: {answer:?}");
        }
        for bad in [link.replace("from=198", "from=x"), link.replace("&code=", "&x="), link.replace("user=", "user=1")]
        {
            click(&bad, "admit=here").await.fails(400, "LP-Invalid-Body");
        }
        assert_eq!(world.scan().await, before);

        assert_eq!(click(&link, "admit=here").await.status, 200);
        assert_eq!(world.count_events(&user, "client_admitted").await, 1);
        log_in_from(&world, AWAY, &right(&world).await).await.ok();
        log_in_from(&world, "203.0.113.77", &right(&world).await).await.fails(429, "LP-RateLimit");
        // The network that was refused, for owners who read mail elsewhere.
        assert_eq!(click(&link, "admit=refused").await.status, 200);
        log_in_from(&world, HOSTILE, &right(&world).await).await.ok();
        // Three admissions, and the link is used up.
        assert_eq!(click(&link, "admit=here").await.status, 200);
        click(&link, "admit=here").await.fails(400, "LP-Email-Invalid-Code");
    })
    .await;
}

/// The pauses between mails grow, and a mail that fails is tried for as long as its link works: else an owner whose mail
/// server failed for a day would hear nothing for a month.
#[tokio::test]
async fn a_mail_that_is_late_is_sent_while_its_link_works() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    shut_out(&world).await;
    let mails =
        || -> Vec<_> { world.host.mails_to(&alice().email).into_iter().filter(|mail| mail.subject == MAIL).collect() };
    assert_eq!(mails().len(), 2);
    world.host.outbox.set_down(true);
    // Unclicked, the next mail is sent after two days, and the one after that after four.
    world.clock.advance(2 * 86_400);
    log_in_from(&world, HOSTILE, &"1".repeat(64)).await.fails(429, "LP-RateLimit");
    world.clock.advance(86_400 + 3_600);
    world.host.outbox.set_down(false);
    world.app.finish_due(user.account()).await.unwrap();
    assert_eq!(mails().len(), 3);
    let link = mails()[2].link().unwrap().strip_prefix(PUBLIC).unwrap().to_owned();
    let click = world.client().post(&link).header("x-test-address", AWAY);
    let click = click.header("content-type", "application/x-www-form-urlencoded").raw("admit=here");
    assert_eq!(click.send().await.status, 200);
    log_in_from(&world, AWAY, &right(&world).await).await.ok();
}

#[tokio::test]
async fn a_flood_that_never_ends_is_a_few_mails() {
    let world = World::new().await;
    world.settle(&alice()).await;
    shut_out(&world).await;
    for hour in 0..60 * 24 {
        world.clock.advance(3_600);
        if hour % 6 == 0 {
            log_in_from(&world, HOSTILE, &"1".repeat(64)).await;
        }
    }
    // After 0, 1, 3, 7, 15, 31 and 61 days.
    let mails = world.host.mails_to(&alice().email).iter().filter(|mail| mail.subject == MAIL).count();
    assert!((6..=7).contains(&mails), "{mails}");
}

/// Where the host knows no networks there is no client that a link could admit.
#[tokio::test]
async fn without_networks_there_are_no_mails_and_tokens_are_known() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let guess = async |n: usize| world.log_in_with(&alice().email, &format!("{n:064x}")).await;
    assert_eq!(until_shut(&world, guess).await, 50);
    world.log_in(&alice()).await.fails(429, "LP-RateLimit");
    client.log_in(&alice().email, &right(&world).await).send().await.ok();
    assert!(world.host.mails().iter().all(|mail| mail.subject != MAIL));
}

#[tokio::test]
async fn by_a_session_with_a_fresh_proof() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let home = client_from(&world, HOME).await;
    shut_out(&world).await;
    let token = Token::parse(home.token.as_deref().unwrap()).unwrap();
    let away = AWAY.parse().unwrap();
    let key = SharedKey::from_hex(&right(&world).await).unwrap();
    let wrong = SharedKey::from_hex(&"1".repeat(64)).unwrap();
    let strange = Token::random(user, &keywright_core::SystemEntropy).unwrap();
    assert_eq!(world.app.admit_network(&strange, &key, away).await.unwrap(), NetworkAdmission::Denied);
    assert_eq!(world.app.admit_network(&token, &wrong, away).await.unwrap(), NetworkAdmission::Denied);
    log_in_from(&world, AWAY, &right(&world).await).await.fails(429, "LP-RateLimit");
    assert_eq!(world.app.admit_network(&token, &key, away).await.unwrap(), NetworkAdmission::Admitted);
    log_in_from(&world, AWAY, &right(&world).await).await.ok();
    for _ in 0..2 {
        assert_eq!(world.app.admit_network(&token, &key, away).await.unwrap(), NetworkAdmission::Admitted);
    }
    let refused = world.app.admit_network(&token, &key, away).await.unwrap();
    assert!(matches!(refused, NetworkAdmission::TooMany { .. }), "{refused:?}");
}

async fn unlock_all(world: &World, user: &UserId) -> usize {
    let unlock = |draft: &mut Draft<'_>| guess::unlock_all(draft);
    world.driver.transact(&Partition::account(user.account()), &[LEDGER.name()], unlock).await.unwrap().len()
}

#[tokio::test]
async fn by_the_operator() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    shut_out(&world).await;
    log_in_from(&world, AWAY, &right(&world).await).await.fails(429, "LP-RateLimit");
    assert_eq!(unlock_all(&world, &user).await, 1);
    log_in_from(&world, AWAY, &right(&world).await).await.ok();
    assert_eq!(world.count_events(&user, "guesses_unlocked").await, 1);
}

pub(crate) async fn prove_from(world: &World, address: &str, token: &str, code: &str) -> Answer {
    let body = json!({"apiKey": token, "code": code});
    world.client().post("/api/auth/oauth?grantType=2fa").header("x-test-address", address).json(&body).send().await
}

pub(crate) async fn waiting_from(world: &World, address: &str) -> String {
    let body = log_in_from(world, address, &right(world).await).await.ok();
    assert_eq!(body["verified"], false);
    body["apiKey"].as_str().unwrap().to_owned()
}

fn wrong_code(world: &World) -> String {
    wrong_code_of(&SECRET, world.now())
}

/// A code that a secret does not show around a moment.
pub(crate) fn wrong_code_of(secret: &[u8], now: u64) -> String {
    let right: Vec<String> = (0..5).map(|n| code_of(secret, now - 60 + n * 30)).collect();
    (0..).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap()
}

/// An attacker who knows the password locks the owner out at the second factor; and each way in.
#[tokio::test]
async fn at_the_second_factor_a_known_client_the_recovery_code_a_session_and_the_operator_get_in() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let recovery = world.enrol(&user, &SECRET).await;
    let known = waiting_from(&world, HOME).await;
    prove_from(&world, HOME, &known, &code_of(&SECRET, world.now())).await.is_empty();
    let shut = async || {
        let token = waiting_from(&world, HOSTILE).await;
        let guess = async |_| prove_from(&world, HOSTILE, &token, &wrong_code(&world)).await;
        until_shut(&world, guess).await
    };
    assert_eq!(shut().await, 50);
    let prove = async |address: &str| {
        world.clock.advance(30);
        let token = waiting_from(&world, address).await;
        prove_from(&world, address, &token, &code_of(&SECRET, world.now())).await
    };
    // A network that passed before, with a fresh login.
    prove(HOME).await.is_empty();
    prove(AWAY).await.fails(429, "LP-RateLimit");
    assert!(world.host.mails().iter().all(|mail| mail.subject != MAIL), "no mail lets anybody in at a second factor");
    // The recovery code, which also lets its client in.
    let token = waiting_from(&world, AWAY).await;
    prove_from(&world, AWAY, &token, &recovery).await.is_empty();
    prove(AWAY).await.is_empty();
    prove("203.0.113.77").await.fails(429, "LP-RateLimit");
    // A session with a fresh proof.
    world.clock.advance(30);
    let (tag, code) =
        (world.app.network_tag(user.account(), "203.0.113.77".parse().unwrap()), code_of(&SECRET, world.now()));
    let home = LedgerClient::network(world.app.network_tag(user.account(), HOME.parse().unwrap()));
    let step_up = |draft: &mut Draft<'_>| {
        world.factors().step_up_totp_in(draft, &ADMIT_CLIENT, SessionId::new(b"session"), &code, home)
    };
    let slots =
        [keywright_twofactor::SLOTS, &[keywright_twofactor::StepUps::slot(SessionId::new(b"session"))]].concat();
    let partition = Partition::account(user.account());
    let VerifyOutcome::Granted(proof) = world.driver.run(&partition, &slots, step_up).await.unwrap() else {
        panic!("shut")
    };
    let admit = |draft: &mut Draft<'_>| world.factors().admit_client_in(draft, &proof, CodeKind::Totp, tag);
    assert!(world.driver.transact(&partition, &slots, admit).await.unwrap().is_some());
    prove("203.0.113.77").await.is_empty();
    // The operator.
    prove("203.0.113.78").await.fails(429, "LP-RateLimit");
    assert!(unlock_all(&world, &user).await > 0);
    prove("203.0.113.78").await.is_empty();
}

/// A recovery code has 122 random bits: guesses at it wait, but never lock it.
#[tokio::test]
async fn a_recovery_code_is_never_shut() {
    let world = World::new().await;
    let user = world.settle(&alice()).await;
    let recovery = world.enrol(&user, &SECRET).await;
    let token = waiting_from(&world, HOSTILE).await;
    let mut looked_at = 0;
    while looked_at < 60 {
        let answer = prove_from(&world, HOSTILE, &token, "00000000-0000-4000-8000-000000000000").await;
        match answer.header("retry-after").map(|seconds| seconds.parse().unwrap()) {
            None => looked_at += 1,
            Some(seconds) => {
                assert!(seconds <= 3_600);
                world.clock.advance(seconds);
            }
        }
    }
    world.clock.advance(3_600);
    let token = waiting_from(&world, AWAY).await;
    prove_from(&world, AWAY, &token, &recovery).await.is_empty();
}

/// Finding C1: an address without an account is refused as one that has one, for as long, with the same commits.
#[tokio::test]
async fn a_decoy_waits_and_is_shut_as_an_account() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy().privacy(Privacy::Uniform)).await;
    let user = world.settle(&alice()).await;
    // A mail costs its own commits, in the sweep's time.
    world.host.mail_later.store(true, Ordering::SeqCst);
    let refused = json!({"error": "LP-Invalid-Shared-Secret", "status": 400});
    let mut seen = [Vec::new(), Vec::new()];
    for n in 0..90 {
        // Through all waits, and then beyond the limit.
        world.clock.advance(3_600);
        // The first request after a day has the server's key renewed, which is independent of this.
        world.server_key().await;
        for (email, seen) in [alice().email, "nobody@example.com".into()].iter().zip(&mut seen) {
            let before = store.tally();
            let sending = world.client().log_in(email, &format!("{n:064x}")).header("x-test-address", HOSTILE);
            sending.send().await.is(400, refused.clone());
            let after = store.tally();
            seen.push((after.commits - before.commits, after.loads - before.loads));
        }
        world.app.finish_due(user.account()).await.unwrap();
    }
    assert_eq!(seen[0], seen[1]);
    assert!(world.host.mails().len() > 2, "its own, and the owner's");
    assert!(seen[0].iter().filter(|(commits, _)| *commits > 0).count() < 60, "it is shut in the end: {seen:?}");
}
