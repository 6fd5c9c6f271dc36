//! Edits, insertions, deletions, a change of password and an opened link, any of them concurrently
//! and on two servers: after each round every cipher opens under exactly one key, the account's,
//! and no write is lost that was accepted.

use std::collections::HashSet;
use std::sync::Arc;

use keywright_librepass::UserId;
use keywright_rekey::{id_text, parse_id};
use keywright_sqlite::SqliteStore;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{Answer, Client, Person, World, policy};
use super::vaults::{id, number, opened, sealed, with_address, with_password};

/// Rounds of one account.
const ROUNDS: usize = 20;

#[derive(Clone)]
enum Act {
    /// A cipher's number and its new text.
    Write(usize, String),
    Delete(usize),
    Password(Arc<Value>),
    Open(String),
}

/// What became of a round's acts.
#[derive(Default, Debug)]
struct Tally {
    writes: usize,
    changes: usize,
}

async fn act(client: Client, user: UserId, act: Act, pause: u8) -> Answer {
    for _ in 0..pause {
        tokio::task::yield_now().await;
    }
    match act {
        Act::Write(n, text) => {
            let cipher = json!({"id": id_text(id(n)), "owner": user.to_string(), "type": 2, "protectedData": text});
            client.request("PUT", "/api/cipher").json(&cipher).send().await
        }
        Act::Delete(n) => client.request("DELETE", &format!("/api/cipher/{}", id_text(id(n)))).send().await,
        Act::Password(body) => client.change_password(&body).await,
        Act::Open(path) => client.get(&path).send().await,
    }
}

/// The vault's texts, whatever their notes.
async fn texts(client: &Client) -> Vec<(String, String)> {
    let body = client.sync().await.ok();
    let of = |cipher: &Value, name: &str| cipher[name].as_str().unwrap().to_owned();
    body["ciphers"].as_array().unwrap().iter().map(|cipher| (of(cipher, "id"), of(cipher, "protectedData"))).collect()
}

/// The bodies' list: all ciphers under another key.
fn again(vault: &[(String, String)], old: &Person, new: &Person) -> Vec<Value> {
    vault.iter().map(|(id, text)| json!({"id": id, "data": sealed(new, &opened(old, text).unwrap())})).collect()
}

async fn body(world: &World, vault: &[(String, String)], old: &Person, new: &Person) -> Value {
    let server = world.server_key().await;
    json!({
        "newEmail": new.email, "oldSharedKey": old.shared(&server),
        "newPublicKey": new.key.public_key().to_hex().expose(), "newSharedKey": new.shared(&server),
        "parallelism": 3, "memory": 65536, "iterations": 4, "ciphers": again(vault, old, new),
    })
}

/// One account through [`ROUNDS`] rounds. Gives what was accepted in all.
async fn live(servers: &[World; 2], name: usize) -> Tally {
    let world = &servers[0];
    let mut person = Person::new(&format!("u{name}@example.com"));
    let user = world.settle(&person).await;
    let (mut total, mut kept, mut clicked) = (Tally::default(), Vec::new(), HashSet::new());
    for round in 0..ROUNDS {
        let draw = Sha256::digest(format!("{name}/{round}"));
        // Two devices: a login that writes knows its own writes, and may overwrite them (`docs/decisions.md` 28).
        let (owner, writer) = (world.client_of(&person).await, world.client_of(&person).await);
        let vault = texts(&owner).await;
        assert!(vault.iter().all(|(_, text)| opened(&person, text).is_some()), "one key opens all");
        for (n, text) in std::mem::take(&mut kept) {
            assert!(vault.contains(&(id_text(id(n)), text)), "what was accepted is there");
        }
        let pass = with_password(&person, &format!("{name}/{round}"));
        let moved = with_address(&person, &format!("u{name}.{round}@example.com"));
        let mut acts = Vec::new();
        for n in 0..3 {
            let which = usize::from(draw[n]) % 5;
            let text = |word: &str| sealed(&person, &format!("{word} {name}/{round}/{n}"));
            acts.push(match which {
                0 => Act::Write(1_000 + round * 10 + n, text("inserted")),
                1 => Act::Write(1_000 + usize::from(draw[8 + n]) % 10, text("edited")),
                2 => {
                    let known = vault.get(n).and_then(|(at, _)| parse_id(at)).map(number);
                    known.map_or_else(|| Act::Write(1_500, text("first")), Act::Delete)
                }
                3 => Act::Password(Arc::new(body(world, &vault, &person, &pass).await)),
                _ => {
                    // Requested again for each: only the last one's link is valid.
                    owner.change_address(&body(world, &vault, &person, &moved).await).await;
                    Act::Open(world.host.link_to(&moved.email).map_or_else(
                        || "/api/user/verifyNewEmail?user=x&code=x".into(),
                        |link| link.replace(super::support::PUBLIC, ""),
                    ))
                }
            });
        }
        let mut running = tokio::task::JoinSet::new();
        for (n, next) in acts.into_iter().enumerate() {
            let changes = matches!(next, Act::Password(_) | Act::Open(_));
            let app = servers[usize::from(draw[16 + n]) % 2].app.clone();
            let device = if changes { &owner } else { &writer };
            let client = Client { app, token: device.token.clone() };
            let (user, pause) = (user.clone(), draw[24 + n] % 24);
            running.spawn(async move { (changes, next.clone(), act(client, user, next, pause).await) });
        }
        let answers = running.join_all().await;
        // Another click on a link that has worked is told the same, and changes nothing.
        let mut first = |act: &Act| !matches!(act, Act::Open(path) if !clicked.insert(path.clone()));
        let done: Vec<_> = answers.iter().filter(|(_, act, answer)| answer.status < 400 && first(act)).collect();
        let accepted = |of_change: bool| done.iter().filter(|(changes, ..)| *changes == of_change).count();
        let (writes, changes) = (accepted(false), accepted(true));
        assert!(answers.iter().all(|(.., answer)| answer.status < 500), "{answers:?}", answers = statuses(&answers));
        // A change ends the others' logins, and a write voids the others' batches.
        assert!(changes == 0 || (changes == 1 && writes == 0), "{:?}", statuses(&answers));
        assert!(answers.iter().all(|(.., answer)| answer.header("retry-after").is_none()));
        for (_, next, _) in done {
            match next {
                Act::Password(_) => person = with_password(&person, &format!("{name}/{round}")),
                Act::Open(_) => person = with_address(&person, &moved.email),
                // One that nothing else in the round was about.
                Act::Write(n, text) if answers.iter().filter(|(_, other, _)| touches(other, *n)).count() == 1 => {
                    kept.push((*n, text.clone()));
                }
                Act::Write(..) | Act::Delete(_) => {}
            }
        }
        if changes == 1 {
            assert!(!owner.is_in().await, "every login ends");
        }
        total.writes += writes;
        total.changes += changes;
    }
    total
}

fn touches(act: &Act, cipher: usize) -> bool {
    matches!(act, Act::Write(n, _) | Act::Delete(n) if *n == cipher)
}

fn statuses(answers: &[(bool, Act, Answer)]) -> Vec<(bool, String)> {
    answers.iter().map(|(changes, _, answer)| (*changes, format!("{answer:?}"))).collect()
}

async fn many(world: World, accounts: usize) {
    let other = world.restarted(2).await;
    let servers = [world, other];
    let mut total = Tally::default();
    for name in 0..accounts {
        let tally = live(&servers, name).await;
        total.writes += tally.writes;
        total.changes += tally.changes;
    }
    let rounds = accounts * ROUNDS;
    // Both kinds win often enough for the rounds to mean something.
    assert!(total.changes > rounds / 25 && total.writes > rounds / 4, "{total:?} in {rounds}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_in_memory() {
    many(World::with(policy().vault_limit(10_000)).await, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
    many(World::on(store, policy().vault_limit(10_000)).await, 50).await;
}
