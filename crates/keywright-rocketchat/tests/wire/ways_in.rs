//! An owner whom others have locked out of a secret, and each way in. Any other login of the
//! account is an unknown client. Anybody's right guess shortens the wait of unknown clients, so the
//! secret is locked again before each way.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use keywright_core::{ActionName, Client as Guesser, ClientAdmission, SessionId};
use keywright_rocketchat::{GuessedSecret, MailAdmits};
use keywright_twofactor::{
    ADMIT_CLIENT, Attested, CHANGE_FACTORS, CodeKind, Method, Rule, StepUp, StepUpPolicy, TwoFactor, TwoFactorPolicy,
    VerifyOutcome,
};
use serde_json::json;

use crate::enrolment::{enrolled, with_code};
use crate::support::{ADMIN, Answer, Client, Person, TARGET, USER, World, code_of};

/// Where the thief is, and where the owner has never been.
const HOSTILE: &str = "203.0.113.9";
const AWAY: &str = "2001:db8:1:2::3";

/// An act that changes nothing for an account without mailed codes, and is proven all the same.
const ACT: &str = "users.2fa.disableEmail";

/// Guesses until nothing is checked for a day or more. Returns how many were checked.
async fn shut_out(world: &World, guess: impl AsyncFn() -> Answer) -> usize {
    let mut looked_at = 0;
    loop {
        let answer = guess().await;
        match answer.status {
            400 => looked_at += 1,
            429 if answer.seconds("retry-after") >= 86_400 => return looked_at,
            429 => world.clock.advance(answer.seconds("retry-after")),
            _ => panic!("{answer:?}"),
        }
    }
}

fn is_admitted(admission: ClientAdmission) -> bool {
    matches!(admission, ClientAdmission::Admitted { .. })
}

/// A proof that a host's page has checked: the login password, or a mailed code.
async fn attested(world: &World, action: &ActionName, by: Attested) -> StepUp {
    let rule = Rule::strongest_of(&[Method::Totp, Method::Recovery, Method::Mailed, Method::Password]);
    let policy = TwoFactorPolicy::builder()
        .step_up(StepUpPolicy::builder().default_rule(rule).build().unwrap())
        .build()
        .unwrap();
    let factors = TwoFactor::new(world.driver.clone(), policy).unwrap();
    factors.step_up_attested(&ADMIN.account(), action, SessionId::new(b"page"), by).await.unwrap().unwrap()
}

async fn is_refused(client: &Client, code: &str) -> bool {
    let answer = client.post(ACT).code(code).send().await;
    assert!(answer.status == 200 || answer.status == 429, "{answer:?}");
    answer.status == 429
}

async fn shut_out_of_the_password(world: &World) -> usize {
    let thief = world.other_client(ADMIN, 1).at(HOSTILE);
    shut_out(world, async || thief.post(ACT).code(&TARGET.password()).send().await).await
}

#[tokio::test]
async fn the_login_password_known_logins_and_every_way_in_but_a_mail() {
    let world = World::password_only().await;
    let password = ADMIN.password();
    let known = world.client(ADMIN);
    assert!(!is_refused(&known, &password).await);
    assert_eq!(shut_out_of_the_password(&world).await, 50);
    // Another login is refused, without a code too; the known one is not held up.
    let fresh = world.other_client(ADMIN, 2);
    assert_eq!(fresh.post(ACT).send().await.status, 429);
    assert!(is_refused(&fresh, &password).await);
    assert!(!is_refused(&known, &password).await);
    // After a change of the password by a login: the count starts again, and that login is known.
    let changer = world.other_client(ADMIN, 3);
    world.app.password_changed(&ADMIN.account(), &[world.tag(ADMIN, &changer)]).await.unwrap();
    assert_eq!(shut_out_of_the_password(&world).await, 50);
    assert!(is_refused(&fresh, &password).await);
    assert!(!is_refused(&changer, &password).await && !is_refused(&known, &password).await);
    // By a session of the account with a fresh proof.
    shut_out_of_the_password(&world).await;
    assert!(is_refused(&fresh, &password).await);
    let (secret, tag) = (GuessedSecret::LoginPassword, world.tag(ADMIN, &fresh));
    let other_action = attested(&world, &CHANGE_FACTORS, Attested::Password).await;
    assert_eq!(world.app.admit_client(other_action, secret, tag).await.unwrap(), None);
    let weaker = attested(&world, &ADMIT_CLIENT, Attested::Password).await;
    assert_eq!(world.app.admit_client(weaker, GuessedSecret::MailedCode, tag).await.unwrap(), None);
    let proof = attested(&world, &ADMIT_CLIENT, Attested::Password).await;
    assert!(is_admitted(world.app.admit_client(proof, secret, tag).await.unwrap().unwrap()));
    assert!(!is_refused(&fresh, &password).await);
    // By the operator, for everybody.
    shut_out_of_the_password(&world).await;
    let third = world.other_client(ADMIN, 4);
    assert!(is_refused(&third, &password).await);
    assert!(world.app.unlock(&ADMIN.account(), secret).await.unwrap());
    assert!(!world.app.unlock(&ADMIN.account(), secret).await.unwrap());
    assert!(!is_refused(&third, &password).await);
}

#[tokio::test]
async fn a_mail_lets_in_the_network_that_its_link_was_opened_from() {
    let world = World::password_only().await;
    let password = ADMIN.password();
    shut_out_of_the_password(&world).await;
    let mails = world.host.shut_out();
    let first = mails.first().unwrap();
    assert_eq!((first.to.as_slice(), first.network.as_deref()), ([ADMIN.email.to_owned()].as_slice(), Some(HOSTILE)));
    assert_eq!(first.refused, Some(format!("{}-id", world.other_client(ADMIN, 1).token)), "the thief's");
    assert!(first.wrong_guesses >= 10 && mails.len() <= 2, "{mails:?}");
    let token = mails.last().unwrap().token.clone();
    let owner = world.other_client(ADMIN, 2).at(AWAY);
    assert!(is_refused(&owner, &password).await);
    let here = MailAdmits::Address(AWAY.parse::<IpAddr>().unwrap());
    for junk in ["", "00", &token[1..], &token.to_uppercase(), &format!("{token}f"), &"é".repeat(40)] {
        assert!(world.app.admit_by_mail(junk, here).await.unwrap().is_none(), "{junk}");
    }
    assert!(is_refused(&owner, &password).await);
    assert!(is_admitted(world.app.admit_by_mail(&token, here).await.unwrap().unwrap()));
    assert!(is_refused(&world.other_client(ADMIN, 3).at("192.0.2.1"), &password).await, "elsewhere");
    assert!(!is_refused(&owner, &password).await);
    // Known from then on, wherever it is.
    shut_out_of_the_password(&world).await;
    assert!(!is_refused(&owner.at("192.0.2.1"), &password).await);
}

/// Nobody guesses on: the mail comes with the owner's own request, which carries no code yet, and names the owner's login.
#[tokio::test]
async fn a_mail_lets_in_the_login_that_was_refused() {
    let world = World::password_only().await;
    let thief = world.other_client(ADMIN, 1);
    for _ in 0..50 {
        thief.post(ACT).code(&TARGET.password()).send().await.fails("totp-invalid");
        world.clock.advance(3_600);
    }
    assert!(world.host.shut_out().is_empty(), "nothing was refused");
    let owner = world.other_client(ADMIN, 2);
    // A mail server that is down holds up nobody, and the mail is not lost.
    world.host.mail_down.store(true, Ordering::SeqCst);
    owner.post(ACT).send().await.waits(86_400);
    world.host.mail_down.store(false, Ordering::SeqCst);
    world.clock.advance(2);
    for _ in 0..3 {
        owner.post(ACT).send().await.waits(86_400);
    }
    assert_eq!(world.app.finish_due(&ADMIN.account(), false).await.unwrap(), 1);
    let [mail] = &world.host.shut_out()[..] else { panic!("{:?}", world.host.shut_out()) };
    assert_eq!((&mail.refused, &mail.network), (&Some(format!("{}-id", owner.token)), &None));
    assert_eq!(mail.wrong_guesses, 50);
    assert!(is_admitted(world.app.admit_by_mail(&mail.token, MailAdmits::Refused).await.unwrap().unwrap()));
    assert!(is_refused(&world.other_client(ADMIN, 3), &ADMIN.password()).await, "only that one");
    assert!(!is_refused(&owner, &ADMIN.password()).await);
    assert_eq!(world.count_events(ADMIN, "client_admitted").await, 1);
}

/// The pauses between mails grow, and a mail that fails is tried for as long as its link works: else an owner whose mail
/// server failed for a day would hear nothing for a month.
#[tokio::test]
async fn a_mail_that_is_late_is_sent_while_its_link_works() {
    let world = World::password_only().await;
    shut_out_of_the_password(&world).await;
    let before = world.host.shut_out().len();
    world.host.mail_down.store(true, Ordering::SeqCst);
    // Unclicked, the next mail is sent after two days, and the one after that after four.
    world.clock.advance(2 * 86_400);
    let owner = world.other_client(ADMIN, 2).at(AWAY);
    assert_eq!(owner.post(ACT).send().await.status, 429);
    world.clock.advance(86_400 + 3_600);
    world.host.mail_down.store(false, Ordering::SeqCst);
    world.app.finish_due(&ADMIN.account(), false).await.unwrap();
    let mails = world.host.shut_out();
    assert_eq!(mails.len(), before + 1);
    let token = mails.last().unwrap().token.clone();
    let here = MailAdmits::Address(AWAY.parse::<IpAddr>().unwrap());
    assert!(is_admitted(world.app.admit_by_mail(&token, here).await.unwrap().unwrap()));
    assert!(!is_refused(&owner, &ADMIN.password()).await);
}

/// The owner on the hostile network itself needs a click, and shares its tries with it.
#[tokio::test]
async fn on_the_hostile_network_a_click_gives_ten_tries_that_all_share() {
    let world = World::password_only().await;
    shut_out_of_the_password(&world).await;
    let owner = world.other_client(ADMIN, 2).at(HOSTILE);
    assert!(is_refused(&owner, &ADMIN.password()).await);
    let token = world.host.shut_out().pop().unwrap().token;
    let here = MailAdmits::Address(HOSTILE.parse().unwrap());
    assert!(is_admitted(world.app.admit_by_mail(&token, here).await.unwrap().unwrap()));
    let thief = world.other_client(ADMIN, 1).at(HOSTILE);
    for _ in 0..9 {
        thief.post(ACT).code(&TARGET.password()).send().await.fails("totp-invalid");
    }
    assert!(!is_refused(&owner, &ADMIN.password()).await);
}

#[tokio::test]
async fn a_mail_goes_once_a_day_at_most_and_only_to_verified_addresses() {
    let world = World::password_only().await;
    shut_out_of_the_password(&world).await;
    let owner = world.other_client(ADMIN, 2);
    let before = world.host.shut_out().len();
    for _ in 0..60 {
        assert_eq!(owner.post(ACT).send().await.status, 429);
        world.clock.advance(3_600);
    }
    let mails = world.host.shut_out().len() - before;
    assert!((1..=2).contains(&mails), "{mails} in two and a half days");
    let world = World::password_only().await;
    world.host.change(ADMIN.id, |user| user.verified_emails.clear());
    shut_out_of_the_password(&world).await;
    assert!(world.host.shut_out().is_empty());
    assert_eq!(world.app.finish_due(&ADMIN.account(), true).await.unwrap(), 0, "nothing is left");
}

/// Sends the code of the present step, which is another one than last time.
async fn by_totp(world: &World, client: &Client, person: Person) -> u16 {
    world.clock.advance(30);
    client.post(ACT).code(&world.totp(person)).send().await.status
}

async fn shut_out_of_totp(world: &World) -> usize {
    let thief = world.other_client(USER, 1);
    shut_out(world, async || thief.post(ACT).code(&world.wrong_totp(USER)).send().await).await
}

#[tokio::test]
async fn time_based_codes_known_logins_and_every_way_in() {
    let world = World::new().await;
    let (known, fresh) = (world.client(USER), world.other_client(USER, 2));
    assert_eq!(by_totp(&world, &known, USER).await, 200);
    assert_eq!(shut_out_of_totp(&world).await, 50);
    assert_eq!((by_totp(&world, &fresh, USER).await, by_totp(&world, &known, USER).await), (429, 200));
    // By a recovery code: one entry never locks another.
    shut_out_of_totp(&world).await;
    assert_eq!(by_totp(&world, &fresh, USER).await, 429);
    assert_eq!(fresh.post(ACT).code(&USER.recovery_code(0)).send().await.status, 200);
    assert_eq!(by_totp(&world, &fresh, USER).await, 200);
    // By a session with a fresh proof of a factor.
    shut_out_of_totp(&world).await;
    let (factors, account) = (world.two_factor(), USER.account());
    let (third, prover) = (world.other_client(USER, 3), Guesser::credential(world.tag(USER, &known)));
    assert_eq!(by_totp(&world, &third, USER).await, 429);
    let step_up = factors
        .step_up_recovery(&account, &ADMIT_CLIENT, SessionId::new(b"page"), &USER.recovery_code(1), prover)
        .await;
    let VerifyOutcome::Granted(proof) = step_up.unwrap() else { panic!("not granted") };
    let tag = world.tag(USER, &third);
    assert!(is_admitted(factors.admit_client(proof, CodeKind::Totp, tag).await.unwrap()));
    assert_eq!(by_totp(&world, &third, USER).await, 200);
    // By the operator.
    shut_out_of_totp(&world).await;
    let fourth = world.other_client(USER, 4);
    assert_eq!(by_totp(&world, &fourth, USER).await, 429);
    assert!(factors.unlock(&account, CodeKind::Totp).await.unwrap());
    assert_eq!(by_totp(&world, &fourth, USER).await, 200);
    // After a change by a login: the count starts again, and that login is known.
    world.clock.advance(30);
    let off = with_code(&known, "users.disableTotp", &world.totp(USER)).await;
    assert_eq!(off.json()["disabled"], json!(true));
    let (secret, _) = enrolled(&world, &known, USER).await;
    let thief = world.other_client(USER, 5);
    let wrong = async || thief.post(ACT).code("000000").send().await;
    assert_eq!(shut_out(&world, wrong).await, 50);
    world.clock.advance(30);
    assert!(is_refused(&thief, &code_of(&secret, world.now())).await);
    assert!(!is_refused(&known, &code_of(&secret, world.now())).await);
    assert!(world.host.shut_out().is_empty(), "no mail lets anybody in at a second factor");
}

async fn shut_out_of_recovery(world: &World) -> usize {
    let thief = world.other_client(USER, 1);
    shut_out(world, async || thief.post(ACT).code("AAAAAAAA").send().await).await
}

#[tokio::test]
async fn recovery_codes_known_logins_and_every_way_in() {
    let world = World::new().await;
    let (known, fresh) = (world.client(USER), world.other_client(USER, 2));
    assert!(!is_refused(&known, &USER.recovery_code(0)).await);
    assert_eq!(shut_out_of_recovery(&world).await, 50);
    assert!(is_refused(&fresh, &USER.recovery_code(1)).await);
    assert!(!is_refused(&known, &USER.recovery_code(1)).await);
    // One entry never locks another.
    shut_out_of_recovery(&world).await;
    assert_eq!(by_totp(&world, &fresh, USER).await, 200);
    assert!(is_refused(&fresh, &USER.recovery_code(2)).await);
    // By a session with a fresh proof of a factor.
    let (factors, account) = (world.two_factor(), USER.account());
    world.clock.advance(30);
    let prover = Guesser::credential(world.tag(USER, &fresh));
    let step_up =
        factors.step_up_totp(&account, &ADMIT_CLIENT, SessionId::new(b"page"), &world.totp(USER), prover).await;
    let VerifyOutcome::Granted(proof) = step_up.unwrap() else { panic!("not granted") };
    assert!(is_admitted(factors.admit_client(proof, CodeKind::Recovery, world.tag(USER, &fresh)).await.unwrap()));
    assert!(!is_refused(&fresh, &USER.recovery_code(2)).await);
    // By the operator.
    shut_out_of_recovery(&world).await;
    let third = world.other_client(USER, 3);
    assert!(is_refused(&third, &USER.recovery_code(3)).await);
    assert!(factors.unlock(&account, CodeKind::Recovery).await.unwrap());
    assert!(!is_refused(&third, &USER.recovery_code(3)).await);
    // After a change by a login: the count starts again, and that login is known.
    world.clock.advance(30);
    let changer = world.other_client(USER, 4);
    let made = with_code(&changer, "users.regenerateTotpCodes", &world.totp(USER)).await;
    let codes: Vec<String> = serde_json::from_value(made.json()["codes"].clone()).unwrap();
    assert_eq!(shut_out_of_recovery(&world).await, 50);
    assert!(is_refused(&world.other_client(USER, 5), &codes[0]).await);
    assert!(!is_refused(&changer, &codes[0]).await);
    assert!(world.host.shut_out().is_empty(), "no mail lets anybody in at a second factor");
}

/// Guesses at mailed codes, a few in each of many logins, until they are shut `times` times in all.
async fn shut_out_of_mailed(world: &World, times: usize) {
    for n in 100.. {
        let thief = world.other_client(ADMIN, n);
        for code in ["", "000000", "000000", "000000", "000000", "000000"] {
            let answer = thief.reset().code(code).send().await;
            match answer.status {
                400 => {}
                // Shut, or the day's mails are used up.
                429 if answer.seconds("retry-after") >= 86_400
                    && world.count_events(ADMIN, "guesses_shut").await == times =>
                {
                    return;
                }
                429 => world.clock.advance(answer.seconds("retry-after")),
                _ => panic!("{answer:?}"),
            }
        }
    }
}

/// Requests a code and sends it. Returns whether it was refused.
async fn is_refused_by_mail(world: &World, client: &Client) -> bool {
    // Whatever the thief has used up of the day's mails.
    world.clock.advance(86_400);
    let asked = client.reset_of(TARGET.id).send().await;
    if asked.status == 429 {
        return true;
    }
    assert_eq!(asked.fails("totp-required").json()["details"]["codeGenerated"], json!(true));
    client.reset_of(TARGET.id).code(&world.host.last_code()).send().await.succeeds();
    false
}

#[tokio::test]
async fn mailed_codes_known_logins_and_every_way_in() {
    let world = World::email_only().await;
    let (known, fresh) = (world.client(ADMIN), world.other_client(ADMIN, 2));
    assert!(!is_refused_by_mail(&world, &known).await);
    shut_out_of_mailed(&world, 1).await;
    assert!(is_refused_by_mail(&world, &fresh).await);
    assert!(!is_refused_by_mail(&world, &known).await);
    // By a session of the account with a fresh proof.
    let (account, secret) = (ADMIN.account(), GuessedSecret::MailedCode);
    shut_out_of_mailed(&world, 2).await;
    assert!(is_refused_by_mail(&world, &fresh).await);
    // An admission is for an hour.
    world.clock.advance(86_400);
    let proof = attested(&world, &ADMIT_CLIENT, Attested::Mailed).await;
    let admitted = world.app.admit_client(proof, secret, world.tag(ADMIN, &fresh)).await.unwrap();
    assert!(is_admitted(admitted.unwrap()));
    fresh.reset_of(TARGET.id).send().await.fails("totp-required");
    fresh.reset_of(TARGET.id).code(&world.host.last_code()).send().await.succeeds();
    // By the operator.
    shut_out_of_mailed(&world, 3).await;
    let third = world.other_client(ADMIN, 3);
    assert!(is_refused_by_mail(&world, &third).await);
    assert!(world.app.unlock(&account, secret).await.unwrap());
    assert!(!is_refused_by_mail(&world, &third).await);
    assert!(world.host.shut_out().is_empty(), "whoever reads the mailbox has the code already");
}

/// Unknown clients can make a mail to the owner due. While it cannot be sent, the owner's requests
/// do what they need, and no more.
#[tokio::test]
async fn a_mail_that_fails_fails_no_request_of_the_owner() {
    let world = World::password_only().await;
    let known = world.client(ADMIN);
    assert!(!is_refused(&known, &ADMIN.password()).await);
    world.host.mail_down.store(true, Ordering::SeqCst);
    assert_eq!(shut_out_of_the_password(&world).await, 50);
    world.clock.advance(3_600);
    // A reset whose work for the host is still due ends the login before anything else is done.
    world.host.failures.store(1, Ordering::SeqCst);
    assert_eq!(known.reset().code(&ADMIN.password()).send().await.status, 500);
    world.clock.advance(3_600);
    assert_eq!(known.post(ACT).send().await.status, 401);
    assert_eq!(world.host.removals(), 1);
    let owner = world.other_client(ADMIN, 3);
    assert_eq!(owner.post(ACT).send().await.status, 429);
    assert!(world.app.finish_due(&ADMIN.account(), false).await.is_err(), "it is still due");
    world.host.mail_down.store(false, Ordering::SeqCst);
    world.clock.advance(3_600);
    assert!(world.app.finish_due(&ADMIN.account(), false).await.unwrap() > 0);
    assert!(!world.host.shut_out().is_empty());
}

/// Neither the refusal that makes a mail due waits for a mail server, nor any request after it.
#[tokio::test]
async fn a_host_that_wakes_its_sweep_sends_no_mail_while_a_client_waits() {
    let world = World::password_only().await;
    let known = world.client(ADMIN);
    assert!(!is_refused(&known, &ADMIN.password()).await);
    world.host.mail_later.store(true, Ordering::SeqCst);
    world.host.mail_hangs.store(true, Ordering::SeqCst);
    assert_eq!(shut_out_of_the_password(&world).await, 50);
    let told = world.host.told.lock().unwrap().clone();
    assert!(!told.is_empty() && told.iter().all(|account| *account == ADMIN.account()), "{told:?}");
    // The owner, whether known or not, waits for none of them either.
    assert!(!is_refused(&known, &ADMIN.password()).await);
    assert_eq!(world.other_client(ADMIN, 2).post(ACT).send().await.status, 429);
    world.host.mail_hangs.store(false, Ordering::SeqCst);
    assert!(world.host.shut_out().is_empty());
    assert!(world.app.finish_due(&ADMIN.account(), false).await.unwrap() > 0, "they are free at once");
    let token = world.host.shut_out().pop().unwrap().token;
    let here = MailAdmits::Address(AWAY.parse::<IpAddr>().unwrap());
    assert!(is_admitted(world.app.admit_by_mail(&token, here).await.unwrap().unwrap()));
    assert_eq!(world.app.finish_due(&ADMIN.account(), false).await.unwrap(), 0);
}
