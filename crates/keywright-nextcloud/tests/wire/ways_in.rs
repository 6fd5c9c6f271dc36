//! An owner whom others have locked out of the login password or of the challenge, and each way in.
//! Those at time-based codes are in `two_factor.rs`.

use std::net::IpAddr;

use keywright_challenge::{Proof, Verification};
use keywright_core::{Client as Guesser, ClientAdmission};
use keywright_nextcloud::{AppTokenId, GuessedSecret, MailAdmits};
use keywright_store::due::CLAIM_LASTS;
use keywright_twofactor::ADMIT_CLIENT;
use serde_json::json;

use crate::support::{Answer, Call, Client, PASSWORD, World, alice, secret};
use crate::ways_in_proofs::by_password;

/// Where the owner is, where the attackers are, and where the owner has never been.
const HOME: &str = "192.0.2.1";
const HOSTILE: &str = "203.0.113.9";
const AWAY: &str = "2001:db8:1:2::3";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Guesses from `HOSTILE` until nothing is checked for a day or more. Returns how many were
/// checked.
pub(crate) async fn shut_out(world: &World, guess: impl AsyncFn() -> Answer) -> usize {
    let mut looked_at = 0_usize;
    loop {
        let answer = guess().await;
        match answer.status {
            401 => looked_at = looked_at.saturating_add(1),
            429 if answer.retry_after().unwrap() >= 86_400 => return looked_at,
            429 => world.clock.advance(answer.retry_after().unwrap()),
            _ => panic!("{answer:?}"),
        }
    }
}

async fn shut_out_of_the_password(world: &World, name: &str) -> usize {
    shut_out(world, async || world.client(name, "wrong").at(HOSTILE).get("session/request").await).await
}

/// Attackers who know the login password guess at the passphrase.
async fn shut_out_of_the_challenge(world: &World) -> usize {
    shut_out(world, async || world.password().at(HOSTILE).open(&secret(9)).await).await
}

pub(crate) fn is_admitted(admission: Option<ClientAdmission>) -> bool {
    matches!(admission, Some(ClientAdmission::Admitted { .. }))
}

/// The status of a login by the right password.
async fn log_in(client: &Client) -> u16 {
    client.clone().get("session/request").await.status
}

#[tokio::test]
async fn the_login_password_known_networks_and_every_way_in() {
    let world = World::new().await;
    let (home, away) = (world.password().at(HOME), world.password().at(AWAY));
    assert_eq!(log_in(&home).await, 200);
    assert_eq!(shut_out_of_the_password(&world, "alice").await, 50);
    // Another network is refused; a known one is not held up, an app token neither.
    assert_eq!(log_in(&away).await, 429);
    assert_eq!(log_in(&home).await, 200);
    assert_eq!(world.token("phone").at(HOSTILE).get("session/request").await.status, 200);
    // After a change of the password by a client at home: the count starts again, and home is
    // known.
    let at_home = world.app.network_tag(&alice(), address(HOME));
    world.app.password_changed(&alice(), &[at_home]).await.unwrap();
    assert_eq!(shut_out_of_the_password(&world, "alice").await, 50);
    assert_eq!((log_in(&home).await, log_in(&away).await), (200, 429));
    // By a session of the account with a fresh proof.
    let tag = world.app.network_tag(&alice(), address(AWAY));
    let proof = by_password(&world, &ADMIT_CLIENT).await;
    assert!(is_admitted(world.app.admit_client(proof, GuessedSecret::LoginPassword, tag).await.unwrap()));
    assert_eq!(log_in(&away).await, 200);
    // By the operator, for everybody.
    let third = world.password().at("198.51.100.7");
    assert_eq!(log_in(&third).await, 429);
    assert!(world.app.unlock(&alice(), GuessedSecret::LoginPassword).await.unwrap());
    assert!(!world.app.unlock(&alice(), GuessedSecret::LoginPassword).await.unwrap());
    assert_eq!(log_in(&third).await, 200);
}

/// Every answer that makes a session carries a new id; a login by password is known all the same, wherever its owner went
/// before the attack, and whether the host knows networks or not.
#[tokio::test]
async fn a_login_that_is_known_stays_so_when_its_id_changes() {
    let at = |client: Client, place: Option<&str>| match place {
        Some(place) => client.at(place),
        None => client,
    };
    for (home, away, hostile) in [(Some(HOME), Some(AWAY), Some(HOSTILE)), (None, None, None)] {
        let world = World::new().await;
        world.with_challenge().await;
        let mut owner = at(world.password(), home);
        assert_eq!(owner.get("session/request").await.status, 200);
        let mut owner = at(owner, away);
        assert_eq!(owner.open(&secret(1)).await.status, 200);
        let mut other = owner.clone();
        let guess = async || at(world.client("alice", "wrong"), hostile).get("session/request").await;
        assert_eq!(shut_out(&world, guess).await, 50);
        // The session has idled out meanwhile, and its record is gone.
        world.clock.advance(3 * 86_400);
        assert_eq!(owner.get("session/request").await.status, 200, "{home:?}");
        assert_eq!(owner.open(&secret(1)).await.status, 200);
        assert_eq!(owner.put_keychain("text").await.status, 200);
        // Keychain and challenge change together, and nothing keeps them apart.
        assert_eq!(owner.set(&secret(2), Some(&secret(1))).await.status, 200);
        assert_eq!(owner.put_keychain("new text").await.status, 200);
        assert_eq!(owner.get("session/close").await.status, 200);
        assert_eq!(owner.get("session/request").await.status, 200);
        // Without networks the name is the id, and an id that was replaced is nobody's.
        shut_out(&world, guess).await;
        let old = other.get("session/keepalive").await.status;
        assert_eq!(old, if home.is_some() { 200 } else { 429 });
        assert_eq!(owner.get("session/request").await.status, 200);
    }
}

/// Two steps of one request leave one name: the reset by a wait begins a guess in the first, and answers in the second.
#[tokio::test]
async fn a_login_that_is_known_stays_so_through_a_request_of_two_commits() {
    let world = World::waiting().await;
    let mut owner = world.password();
    assert_eq!(owner.get("session/request").await.status, 200);
    assert_eq!(owner.post("session/open", json!({})).await.status, 200);
    assert_eq!(owner.get("session/request").await.status, 200);
    let guess = async || world.client("alice", "wrong").get("session/request").await;
    assert_eq!(shut_out(&world, guess).await, 50);
    world.clock.advance(3 * 86_400);
    let reset = owner.reset_by_password(PASSWORD).await;
    assert_eq!(reset.status, 202, "{reset:?}");
    assert_eq!(owner.get("session/request").await.status, 200);
}

#[tokio::test]
async fn a_mail_lets_in_the_network_that_its_link_was_opened_from() {
    let world = World::new().await;
    let away = world.password().at(AWAY);
    shut_out_of_the_password(&world, "alice").await;
    // One mail for all of the flood, sent by the next request of the account or a sweep.
    world.app.finish_due(&alice()).await.unwrap();
    let mails = world.host.mails();
    let [mail] = &mails[..] else { panic!("{} mails", mails.len()) };
    assert_eq!(mail.secret, GuessedSecret::LoginPassword);
    assert_eq!(mail.refused_network.as_deref(), Some(HOSTILE));
    assert!(mail.wrong_guesses >= 10, "{}", mail.wrong_guesses);
    // The flood went on for longer than the link's day; the next refusal sends another.
    assert_eq!(log_in(&away).await, 429);
    world.app.finish_due(&alice()).await.unwrap();
    let mails = world.host.mails();
    let token = mails.last().map_or(mail.token.expose(), |mail| mail.token.expose());
    let here = MailAdmits::Address(address(AWAY));
    for junk in ["", "AAAA", &token[1..], &token.to_uppercase(), &format!("{token}A")] {
        assert!(!is_admitted(world.app.admit_by_mail(junk, here).await.unwrap()), "{junk}");
    }
    assert_eq!(log_in(&away).await, 429);
    assert!(is_admitted(world.app.admit_by_mail(token, here).await.unwrap()));
    assert_eq!(log_in(&away).await, 200);
    // Known from then on.
    shut_out_of_the_password(&world, "alice").await;
    assert_eq!(log_in(&away).await, 200);
}

/// The pauses between mails grow, and a mail that is late is worth sending for as long as its link works: else an owner
/// whose mail server failed for a day would hear nothing for a month.
#[tokio::test]
async fn a_mail_that_is_late_is_sent_while_its_link_works() {
    let world = World::new().await;
    let away = world.password().at(AWAY);
    // The second mail of the flood is a day old at most by then, and none was sent.
    shut_out_of_the_password(&world, "alice").await;
    world.clock.advance(43_200);
    world.app.finish_due(&alice()).await.unwrap();
    let mails = world.host.mails();
    let [mail] = &mails[..] else { panic!("{} mails", mails.len()) };
    assert_eq!(log_in(&away).await, 429);
    let here = MailAdmits::Address(address(AWAY));
    assert!(is_admitted(world.app.admit_by_mail(mail.token.expose(), here).await.unwrap()));
    assert_eq!(log_in(&away).await, 200);
}

/// The owner on the hostile network itself needs a click, and shares its tries with it.
#[tokio::test]
async fn on_the_hostile_network_a_click_gives_ten_tries_that_all_share() {
    let world = World::new().await;
    let here = world.password().at(HOSTILE);
    shut_out_of_the_password(&world, "alice").await;
    world.app.finish_due(&alice()).await.unwrap();
    let token = world.host.mails().pop().unwrap().token;
    assert_eq!(log_in(&here).await, 429);
    world.app.finish_due(&alice()).await.unwrap();
    let token = world.host.mails().pop().map_or(token, |mail| mail.token);
    // "The one that was refused" is the network of the refusal: here, that of all.
    assert!(is_admitted(world.app.admit_by_mail(token.expose(), MailAdmits::Refused).await.unwrap()));
    for _ in 0..9 {
        assert_eq!(world.client("alice", "wrong").at(HOSTILE).get("session/request").await.status, 401);
    }
    assert_eq!(log_in(&here).await, 200);
}

#[tokio::test]
async fn a_mail_goes_once_a_day_and_ever_more_seldom_and_its_link_works_three_times() {
    let world = World::new().await;
    shut_out_of_the_password(&world, "alice").await;
    let mut mails = 0;
    for _ in 0..60 {
        assert_eq!(world.client("alice", "wrong").at(AWAY).get("session/request").await.status, 429);
        world.app.finish_due(&alice()).await.unwrap();
        mails += world.host.mails().len();
        world.clock.advance(3_600);
        let unlocked = world.app.unlock(&alice(), GuessedSecret::Challenge).await.unwrap();
        assert!(!unlocked, "the account has no challenge");
    }
    assert!((1..=3).contains(&mails), "{mails} in two and a half days");
    assert!(world.host.calls().iter().filter(|call| matches!(call, Call::Mail(_))).count() >= mails);
}

/// A mail that cannot be sent is tried again, and holds up nobody.
#[tokio::test]
async fn a_mail_that_fails_holds_up_no_request() {
    let world = World::new().await;
    shut_out_of_the_password(&world, "alice").await;
    world.host.failures.store(1, std::sync::atomic::Ordering::SeqCst);
    // No request tries it: a sweep does.
    world.token("phone").get("session/keepalive").await.is(200, json!({"success": true}));
    assert!(world.app.finish_due(&alice()).await.is_err());
    assert!(world.host.mails().is_empty());
    world.clock.advance(CLAIM_LASTS);
    world.token("phone").get("session/keepalive").await.is(200, json!({"success": true}));
    assert!(world.host.mails().is_empty());
    assert_eq!(world.app.finish_due(&alice()).await.unwrap(), 1);
    assert_eq!(world.host.mails().len(), 1);
}

/// Unknown names wait and are locked as accounts are, with the same commits (finding C1).
#[tokio::test]
async fn an_unknown_name_is_shut_as_a_known_one_is() {
    let mut seen = Vec::new();
    for name in ["alice", "nobody"] {
        let world = World::new().await;
        let mut looks = Vec::new();
        loop {
            let (rows, commits) = (world.scan().await, world.host.passwords_compared());
            let answer = world.client(name, "wrong").at(HOSTILE).get("session/request").await;
            let after = world.scan().await;
            let changed = after.iter().filter(|row| !rows.contains(row)).count();
            let headers: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
            let wait = answer.retry_after();
            looks.push((
                answer.status,
                answer.body.clone(),
                headers,
                wait,
                changed,
                world.host.passwords_compared() - commits,
            ));
            match wait {
                Some(86_400..) if looks.len() > 110 => break,
                Some(86_400..) => {}
                Some(wait) => world.clock.advance(wait),
                None => {}
            }
        }
        seen.push(looks);
    }
    for (at, (known, unknown)) in seen[0].iter().zip(&seen[1]).enumerate() {
        assert_eq!(known, unknown, "request {at}");
    }
    assert_eq!(seen[0].len(), seen[1].len());
}

#[tokio::test]
async fn the_challenge_known_clients_and_every_way_in() {
    let world = World::new().await;
    let mut phone = world.with_challenge().await;
    assert_eq!(world.password().at(HOME).open(&secret(1)).await.status, 200);
    assert_eq!(shut_out_of_the_challenge(&world).await, 50);
    // Neither an unknown app token nor the password from elsewhere.
    let open = async |client: &Client| client.clone().open(&secret(1)).await.status;
    let (laptop, away) = (world.token("laptop").at(AWAY), world.password().at(AWAY));
    assert_eq!((open(&laptop).await, open(&away).await), (429, 429));
    // Known: the token that set it, and the network that opened it.
    assert_eq!(open(&world.token("phone").at(HOSTILE)).await, 200);
    let mut desk = world.password().at(HOME);
    assert_eq!(desk.open(&secret(1)).await.status, 200);
    assert_eq!((open(&laptop).await, open(&away).await), (429, 429));
    // The session that it opened is known from any network.
    let mut desk = desk.at(AWAY);
    desk.get("session/request").await.is(200, json!({}));
    desk.set(&secret(1), Some(&secret(1))).await.is(200, json!({"success": true}));
    // After a change: the client that made it, and those known before.
    assert_eq!(shut_out_of_the_challenge(&world).await, 50);
    assert_eq!((open(&world.token("phone")).await, open(&world.password().at(HOME)).await), (200, 200));
    assert_eq!(open(&away).await, 200, "the network of the change");
    assert_eq!(open(&laptop).await, 429);
    phone.open(&secret(1)).await.is(200, json!({"success": true, "keys": []}));
    phone.set(&secret(1), Some(&secret(1))).await.is(200, json!({"success": true}));
    // By a session with a fresh proof, for one app token.
    shut_out_of_the_challenge(&world).await;
    let tag = |id: &str| world.app.app_token_tag(&alice(), &AppTokenId(id.into()));
    assert_eq!(open(&world.token("t2")).await, 429);
    let (proof, by) = (Proof::from_client(&secret(1)).unwrap(), Guesser::credential(tag("phone")));
    let admitted = world.app.admit_client_by_challenge(&alice(), &proof, by, tag("t2")).await.unwrap();
    assert!(matches!(admitted, Verification::Granted(ClientAdmission::Admitted { .. })), "{admitted:?}");
    assert_eq!(open(&world.token("t2")).await, 200);
    // By the operator.
    assert_eq!(open(&world.token("t3")).await, 429);
    assert!(world.app.unlock(&alice(), GuessedSecret::Challenge).await.unwrap());
    assert_eq!(open(&world.token("t3")).await, 200);
}

#[tokio::test]
async fn a_mail_lets_in_the_client_that_was_refused_at_the_challenge() {
    let world = World::new().await;
    world.with_challenge().await;
    assert_eq!(shut_out_of_the_challenge(&world).await, 50);
    assert!(!world.host.mails().is_empty(), "sent with the refusals");
    // The next one may go, and names the laptop, which no time lets in.
    world.clock.advance(32 * 86_400);
    let mut laptop = world.token("laptop").at(AWAY);
    let answer = laptop.open(&secret(1)).await;
    assert_eq!((answer.status, answer.retry_after()), (429, Some(86_400)));
    assert_eq!(answer.json()["message"], "Login not allowed until it is unlocked");
    let mail = world.host.mails().pop().unwrap();
    assert_eq!(mail.secret, GuessedSecret::Challenge);
    assert_eq!(mail.refused_network.as_deref(), Some("2001:db8:1:2::/64"));
    assert!(is_admitted(world.app.admit_by_mail(mail.token.expose(), MailAdmits::Refused).await.unwrap()));
    assert_eq!(world.token("t1").at(AWAY).open(&secret(1)).await.status, 429, "only the laptop's token");
    assert_eq!(laptop.open(&secret(1)).await.status, 200);
}

/// A host that knows no addresses: the session is what is known.
#[tokio::test]
async fn without_addresses_a_session_is_known() {
    let world = World::new().await;
    let mut owner = world.client("alice", PASSWORD);
    owner.get("session/request").await;
    assert_eq!(log_in(&owner).await, 200);
    let shut = async || world.client("alice", "wrong").get("session/request").await;
    assert_eq!(shut_out(&world, shut).await, 50);
    assert_eq!(log_in(&owner).await, 200);
    assert_eq!(log_in(&world.client("alice", PASSWORD)).await, 429);
}
