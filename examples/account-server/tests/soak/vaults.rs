//! Races for a LibrePass account: registrations, edits, password changes, deletions.

use librepass_client::{ArgonParameters, ClientError, Kind, Server, Session};

use crate::contests::{Later, race};
use crate::history::{Contest, Outcome};
use crate::site::{SERVERS, Site};

/// Those of the registrations, one for each server, and then those of the changes.
const PASSWORDS: [&str; SERVERS + 2] =
    ["correct horse", "battery staple", "staple battery", "horse correct", "battery horse", "staple horse"];
const EDITS: usize = 4;

fn outcome<T>(result: &Result<T, ClientError>) -> Outcome {
    match result {
        Ok(_) => Outcome::Done,
        Err(ClientError::Refused { status: 429, .. }) => Outcome::NotLookedAt,
        Err(ClientError::Refused { status, .. }) if *status < 500 => Outcome::Refused,
        Err(_) => Outcome::Unknown,
    }
}

fn register(site: &Site, client: usize, email: &str, state: usize) -> Outcome {
    site.sent();
    // The cheapest derivation that the protocol knows.
    let parameters = ArgonParameters::new(1, 20_480, 1).unwrap();
    let server = Server::open(&site.url(client.rem_euclid(SERVERS)), None);
    outcome(&server.and_then(|server| server.register(email, PASSWORDS[state], None, parameters)))
}

/// Logs in, or finds out that this password does not.
fn log_in(site: &Site, first: usize, email: &str, state: usize) -> Option<Option<Session>> {
    site.insist(first, |server| {
        site.sent();
        let session = Server::open(&site.url(server), None).and_then(|server| server.log_in(email, PASSWORDS[state]));
        match (outcome(&session), session) {
            (_, Ok(session)) => Some(Some(session)),
            (Outcome::Refused, _) => Some(None),
            _ => None,
        }
    })
}

/// The passwords that log in, of those that were tried. `None`: some could not be tried.
fn holding(site: &Site, email: &str, states: &[usize]) -> Option<Vec<(usize, Session)>> {
    let tried = states.iter().map(|state| Some((*state, log_in(site, *state, email, *state)?)));
    let tried: Option<Vec<_>> = tried.collect();
    Some(tried?.into_iter().filter_map(|(state, session)| Some((state, session?))).collect())
}

fn put(site: &Site, session: &Session) -> (String, Outcome) {
    site.sent();
    let cipher = session.seal(Kind::NOTE, b"{}").unwrap();
    let done = session.put(std::slice::from_ref(&cipher));
    (cipher.id, outcome(&done))
}

/// Registrations of one address; then edits, and two changes of the password.
pub(crate) fn life<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let email = format!("user{round}@example.org");
    let tried = race(SERVERS, |client| (client, register(site, client, &email, client)));
    let Some(mut held) = holding(site, &email, &[0, 1, 2, 3]) else { return Box::new(Vec::new) };
    let last = held.iter().map(|(state, _)| *state).collect();
    let mut records = vec![Contest::Choice { name: format!("registration of {email}"), before: None, tried, last }];
    let Some((before, session)) = held.pop() else { return Box::new(move || records) };
    let mut devices = vec![session];
    devices.extend((0..SERVERS).filter_map(|server| log_in(site, server, &email, before).flatten()));
    let changers = devices.len().saturating_sub(3);
    let results = race(devices.len(), |client| {
        let device = &devices[client];
        if client < changers {
            site.sent();
            let state = SERVERS + client;
            (Some((state, outcome(&device.change_password(PASSWORDS[state], None, |_, _| {})))), Vec::new())
        } else {
            (None, (0..EDITS).map(|_| put(site, device)).collect())
        }
    });
    let (tried, written): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    let (tried, written): (Vec<_>, Vec<_>) = (tried.into_iter().flatten().collect(), written.concat());
    Box::new(move || {
        // With nothing down, a log-in that cannot be tried is lost.
        let held = holding(site, &email, &[before, SERVERS, SERVERS + 1]).unwrap_or_default();
        let last = held.iter().map(|(state, _)| *state).collect();
        if let Some((_, session)) = held.first() {
            let vault = site.insist(0, |_| session.read().ok());
            // A vault that cannot be read is lost as a whole.
            let unreadable = vault
                .as_ref()
                .map_or(usize::MAX, |vault| vault.iter().filter(|cipher| session.open(cipher).is_err()).count());
            let present = vault.into_iter().flatten().map(|cipher| cipher.id).collect();
            records.push(Contest::Vault { name: format!("vault of {email}"), written, present, unreadable });
        }
        records.push(Contest::Choice { name: format!("password of {email}"), before: Some(before), tried, last });
        records
    })
}

/// A deletion, twice and beside an edit.
pub(crate) fn deletion<'s>(site: &'s Site, round: usize) -> Later<'s> {
    let email = format!("gone{round}@example.org");
    let device = site.insist(round, |server| {
        let _either_way = register(site, server, &email, 0);
        log_in(site, server, &email, 0).flatten()
    });
    let devices: Vec<_> = device.into_iter().chain((0..2).filter_map(|_| log_in(site, 0, &email, 0)?)).collect();
    let outcomes = race(devices.len(), |client| {
        site.sent();
        if client == 1 { put(site, &devices[client]).1 } else { outcome(&devices[client].delete_account(None)) }
    });
    let deletions = outcomes.into_iter().enumerate().filter(|(client, _)| *client != 1);
    let outcomes: Vec<_> = deletions.map(|(_, outcome)| outcome).collect();
    Box::new(move || {
        let alive = log_in(site, round, &email, 0).flatten().is_some();
        vec![Contest::Deletion { name: email, outcomes, alive }]
    })
}
