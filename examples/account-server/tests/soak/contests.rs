//! Races for one code, one account, one challenge.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use keywright::{Clock, SystemClock};
use sha2::{Digest, Sha256};

use crate::history::{Contest, Outcome};
use crate::site::{Answer, SERVERS, SHIFTED, Site, basic, outcome};

/// What is looked at once nothing is down any more.
pub(crate) type Later<'s> = Box<dyn FnOnce() -> Vec<Contest> + Send + 's>;

const TOTP_SECRET: &[u8] = b"12345678901234567890";
const RECOVERY: [&str; 3] = ["AbCdEf23", "AbCdEf24", "AbCdEf25"];
const NEXTCLOUD: &str = "/index.php/apps/passwords/api/1.0";
const SINK: &str = "{\"userId\":\"sinkId\"}";
const PASSWORD: &str = "correct horse";
/// The clients of each race.
const CLIENTS: usize = 6;
/// The clients of the race for a login code.
const REDEEMERS: usize = 16;
/// A login code lives for a minute. One that was made longer ago than this may be over.
const FRESH: Duration = Duration::from_secs(45);
/// The wrong guesses of each client.
const GUESSES: usize = 3;

/// The accounts of a run with so many rounds.
pub(crate) fn accounts(rounds: usize) -> String {
    let mut text = "[[account]]\nname = \"calm\"\napp_passwords = [\"calm-app-password-0000000\"]\n\
         [[account]]\nname = \"sink\"\n[account.rocketchat]\nuser_id = \"sinkId\"\n"
        .to_owned();
    let totp = "totp_secret = \"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"\n";
    let recovery = "totp_secret = \"GEZDGNBVGY3TQOJQ\"\nrecovery_codes = [\"AbCdEf23\", \"AbCdEf24\", \"AbCdEf25\"]\n";
    for round in 0..rounds {
        for (kind, factors) in [("totp", totp), ("guess", totp), ("recovery", recovery), ("mail", "email_2fa = true\n")]
        {
            text += &format!(
                "[[account]]\nname = \"{kind}{round}\"\n[account.rocketchat]\nuser_id = \"{kind}{round}Id\"\n\
                 auth_tokens = [\"{kind}{round}-token-0123456789abc\"]\npermissions = [\"edit-other-user-e2ee\"]\n\
                 verified_emails = [\"{kind}{round}@example.org\"]\n{factors}"
            );
        }
        text += &format!(
            "[[account]]\nname = \"login{round}\"\nlogin_password = \"{PASSWORD}\"\n[account.rocketchat]\n\
             user_id = \"login{round}Id\"\n{totp}\
             [[account]]\nname = \"wrong{round}\"\nlogin_password = \"{PASSWORD}\"\n[account.rocketchat]\n\
             user_id = \"wrong{round}Id\"\n\
             [[account]]\nname = \"handed{round}\"\n[account.rocketchat]\nuser_id = \"handed{round}Id\"\n\
             [[account]]\nname = \"nc{round}\"\napp_passwords = [\"nc{round}-app-password-0000000\"]\n\
             [[account]]\nname = \"reset{round}\"\napp_passwords = [\"reset{round}-app-password-0000\"]\n"
        );
    }
    text
}

/// Runs clients at once, each with its number.
pub(crate) fn race<T: Send>(clients: usize, act: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (start, act) = (Barrier::new(clients), &act);
    thread::scope(|scope| {
        let client = |number| {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                act(number)
            })
        };
        let running: Vec<_> = (0..clients).map(client).collect();
        running.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

/// The code of now.
fn totp() -> String {
    let now = SystemClock.now().unwrap().get();
    totp_rs::Builder::new().with_secret(TOTP_SECRET).build_noncompliant().generate(now).to_string()
}

/// Resets another user's keys, which needs a code and ends no login of the caller's.
fn reset(site: &Site, client: usize, name: &str, code: Option<(&str, &str)>) -> Option<Answer> {
    let mut headers = format!("x-user-id: {name}Id\r\nx-auth-token: {name}-token-0123456789abc\r\n");
    if let Some((method, code)) = code {
        headers += &format!("x-2fa-method: {method}\r\nx-2fa-code: {code}\r\n");
    }
    site.send(client.rem_euclid(SERVERS), "POST /api/v1/users.resetE2EKey", &headers, SINK)
}

fn race_with(site: &Site, name: &str, method: &str, code: &str) -> Vec<Outcome> {
    race(CLIENTS, |client| outcome(reset(site, client, name, Some((method, code))).as_ref(), 400))
}

fn is_shifted(client: usize) -> bool {
    client.rem_euclid(SERVERS) == SHIFTED
}

/// The outcomes of a code of now, which were in the order of the clients. To a server whose clock is off, it is a code of
/// another time, so what that refuses says nothing.
fn of_now(outcomes: Vec<Outcome>) -> Vec<Outcome> {
    let says = |(client, outcome): &(usize, Outcome)| *outcome != Outcome::Refused || !is_shifted(*client);
    outcomes.into_iter().enumerate().filter(says).map(|(_, outcome)| outcome).collect()
}

/// One time-based code, and once more when all is over.
pub(crate) fn time_code<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let (name, code) = (format!("totp{round}"), totp());
    let mut outcomes = of_now(race_with(site, &name, "totp", &code));
    Box::new(move || {
        let again = outcome(reset(site, round, &name, Some(("totp", &code))).as_ref(), 400);
        if again == Outcome::Done {
            outcomes.push(again);
        }
        vec![Contest::Code { name, outcomes, left: None, expires: false }]
    })
}

pub(crate) fn recovery_code<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let (name, code) = (format!("recovery{round}"), RECOVERY[0]);
    let mut outcomes = race_with(site, &name, "totp", code);
    Box::new(move || {
        let again = outcome(reset(site, round, &name, Some(("totp", code))).as_ref(), 400);
        if again == Outcome::Done {
            outcomes.push(again);
        }
        let headers = format!("x-user-id: {name}Id\r\nx-auth-token: {name}-token-0123456789abc\r\n");
        let answer =
            site.send(round.rem_euclid(SERVERS), "GET /api/v1/users.totpCodesRemaining", &headers, "").unwrap();
        let used = (0..=3).find(|used| answer.text.contains(&format!("\"remaining\":{}", 3 - used)));
        // One code was tried. What is more than that, or cannot be read because the account is damaged, contradicts
        // every history.
        let used = used.unwrap_or(4);
        vec![Contest::Code { name, outcomes, left: Some(used), expires: false }]
    })
}

pub(crate) fn mailed_code<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let name = format!("mail{round}");
    let code = site.insist(round, |server| {
        let asked = reset(site, server, &name, None)?;
        let mail = site.outbox(server);
        let (_, mail) = mail.rsplit_once(&format!("To: {name}@example.org"))?;
        let is_code = |line: &&str| line.len() == 7 && line.chars().all(|c| c.is_ascii_digit() || c == '-');
        (asked.status == 400).then(|| mail.lines().find(is_code).map(str::to_owned)).flatten()
    });
    let outcomes = code.map(|code| race_with(site, &name, "email", &code)).unwrap_or_default();
    Box::new(move || recorded(!outcomes.is_empty(), || Contest::Code { name, outcomes, left: None, expires: true }))
}

fn recorded(is_there: bool, contest: impl FnOnce() -> Contest) -> Vec<Contest> {
    is_there.then(contest).into_iter().collect()
}

/// A log-in with a code.
pub(crate) fn login<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let name = format!("login{round}");
    let digest = hex::encode(Sha256::digest(PASSWORD));
    let password = format!("{{\"digest\":\"{digest}\",\"algorithm\":\"sha-256\"}}");
    let body = format!("{{\"user\":\"{name}\",\"password\":{password},\"code\":\"{}\"}}", totp());
    let outcomes = race(CLIENTS, |client| {
        outcome(site.send(client.rem_euclid(SERVERS), "POST /api/v1/login", "", &body).as_ref(), 401)
    });
    let outcomes = of_now(outcomes);
    Box::new(move || vec![Contest::Code { name, outcomes, left: None, expires: false }])
}

/// One login code of an operator's, redeemed at every server, and once more when all is over.
pub(crate) fn login_code<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let name = format!("handed{round}");
    let begun = Instant::now();
    let code = site.insist(round, |_| {
        let printed = site.operate(&["accounts", "login-code", &name])?;
        printed.lines().nth(1).map(str::to_owned)
    });
    let Some(code) = code else { return Box::new(Vec::new) };
    let body = format!("{{\"code\":\"{code}\"}}");
    let redeem = move |client: usize| {
        outcome(site.send(client.rem_euclid(SERVERS), "POST /api/v1/loginCode.redeem", "", &body).as_ref(), 400)
    };
    let mut outcomes = of_now(race(REDEEMERS, &redeem));
    let expires = begun.elapsed() > FRESH;
    Box::new(move || {
        let again = redeem(round);
        if again == Outcome::Done {
            outcomes.push(again);
        }
        vec![Contest::Code { name, outcomes, left: None, expires }]
    })
}

/// Wrong guesses of every client at one secret.
fn guess<'s>(name: String, guess: impl Fn(usize, usize) -> Option<Outcome> + Sync) -> Later<'s> {
    let begun = Instant::now();
    let outcomes = race(CLIENTS, |client| {
        (0..GUESSES).filter_map(|number| guess(client + number, GUESSES * client + number)).collect::<Vec<_>>()
    });
    let took = begun.elapsed();
    let sent = (0..CLIENTS).flat_map(|client| (0..GUESSES).map(move |number| client + number));
    let shifted = sent.filter(|client| is_shifted(*client)).count();
    Box::new(move || vec![Contest::Guesses { name, outcomes: outcomes.concat(), shifted, took }])
}

/// Wrong time-based codes.
pub(crate) fn guesses<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let (name, right) = (format!("guess{round}"), totp());
    guess(name.clone(), |client, number| {
        let code = format!("{:06}", 17 * number + 1);
        let answer = (code != right).then(|| reset(site, client, &name, Some(("totp", &code))))?;
        Some(outcome(answer.as_ref(), 400))
    })
}

/// Wrong login passwords.
pub(crate) fn login_guesses<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let name = format!("wrong{round}");
    guess(name.clone(), |client, number| {
        let digest = hex::encode(Sha256::digest(format!("guess {number}")));
        let body =
            format!("{{\"user\":\"{name}\",\"password\":{{\"digest\":\"{digest}\",\"algorithm\":\"sha-256\"}}}}");
        Some(outcome(site.send(client.rem_euclid(SERVERS), "POST /api/v1/login", "", &body).as_ref(), 401))
    })
}

fn secret(state: usize) -> String {
    format!("{state:x}").repeat(64)
}

fn set_challenge(site: &Site, server: usize, headers: &str, state: usize, old: Option<usize>) -> Option<Answer> {
    let salts = [256, 64, 16].map(|bytes| format!("\"{}\"", "5a".repeat(bytes))).join(",");
    let old = old.map(|old| format!(",\"oldSecret\":\"{}\"", secret(old))).unwrap_or_default();
    let body = format!("{{\"secret\":\"{}\",\"data\":[{salts}]{old}}}", secret(state));
    site.send(server, &format!("POST {NEXTCLOUD}/account/challenge/set"), headers, &body)
}

fn open(site: &Site, server: usize, headers: &str, state: usize) -> Option<Answer> {
    let body = format!("{{\"challenge\":\"{}\"}}", secret(state));
    site.send(server, &format!("POST {NEXTCLOUD}/session/open"), headers, &body)
}

/// The headers of a session that an answer has left.
fn in_session(headers: &str, answer: &Answer) -> Option<String> {
    let line = answer.text.lines().find(|line| line.to_ascii_lowercase().starts_with("x-api-session: "))?;
    Some(format!("{headers}{line}\r\n"))
}

/// First challenges at once, and then changes of the one that won.
pub(crate) fn challenge<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let name = format!("nc{round}");
    let headers = basic(&name, &format!("{name}-app-password-0000000"));
    let first = race(3, |client| {
        let answer = set_challenge(site, client, &headers, client + 1, None);
        (client + 1, outcome(answer.as_ref(), 401))
    });
    // Whether one opens, now.
    let opens = |state: usize| {
        site.insist(round, |server| {
            let answer = open(site, server, &headers, state)?;
            matches!(answer.status, 200 | 401).then_some(answer)
        })
    };
    let mut states: Vec<usize> = (1..=3).collect();
    states.sort_by_key(|state| !first.contains(&(*state, Outcome::Done)));
    let won = states.into_iter().find(|state| opens(*state).is_some_and(|answer| answer.status == 200));
    let mut records = vec![Contest::Choice {
        name: format!("first challenge of {name}"),
        before: None,
        tried: first,
        last: won.into_iter().collect(),
    }];
    let Some(won) = won else { return Box::new(Vec::new) };
    let sessions: Vec<_> = (0..3).map(|_| opens(won).and_then(|answer| in_session(&headers, &answer))).collect();
    let changes = race(3, |client| {
        let answer = set_challenge(site, client, sessions[client].as_ref()?, client + 4, Some(won));
        Some((client + 4, outcome(answer.as_ref(), 401)))
    });
    let tried: Vec<_> = changes.into_iter().flatten().collect();
    Box::new(move || {
        let mut states: Vec<usize> = (4..=6).chain([won]).collect();
        states.sort_by_key(|state| !tried.contains(&(*state, Outcome::Done)));
        let last = states.into_iter().find(|state| {
            let opened = site.insist(round, |server| open(site, server, &headers, *state));
            opened.is_some_and(|answer| answer.status == 200)
        });
        let name = format!("challenge of {name}");
        records.push(Contest::Choice { name, before: Some(won), tried, last: last.into_iter().collect() });
        records
    })
}

/// One code of a reset, in one session at every server.
pub(crate) fn reset_code<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let name = format!("reset{round}");
    let headers = basic(&name, &format!("{name}-app-password-0000"));
    let asked = site.insist(round, |server| {
        let answer = site.send(server, &format!("GET {NEXTCLOUD}/account/reset"), &headers, "")?;
        Some((answer.member("code")?, in_session(&headers, &answer)?))
    });
    let outcomes = asked.map(|(code, headers)| {
        let body = format!("{{\"code\":\"{code}\"}}");
        race(CLIENTS, |client| {
            let line = format!("POST {NEXTCLOUD}/account/reset");
            outcome(site.send(client.rem_euclid(SERVERS), &line, &headers, &body).as_ref(), 403)
        })
    });
    Box::new(move || {
        let outcomes = outcomes.unwrap_or_default();
        recorded(!outcomes.is_empty(), || Contest::Code { name, outcomes, left: None, expires: true })
    })
}
