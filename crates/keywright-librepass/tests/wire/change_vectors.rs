//! `librepass.json` over HTTP: the two scenarios, and every batch (`docs/decisions.md` 35, 35a).

use std::collections::BTreeMap;
use std::sync::Arc;

use keywright_core::{Entropy, EntropyError, SystemEntropy};
use keywright_librepass::{HandshakeKeys, PrivateKey, UserId, VaultKey};
use keywright_rekey::{EditOutcome, parse_id};
use keywright_store::{CipherId, Driver, MemoryStore};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{Answer, Client, Person, World, bob, policy};
use super::vaults::{with_address, with_password};

#[derive(Deserialize)]
struct File {
    batches: Vec<Batch>,
    large_batches: Vec<Large>,
    scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    owned: Vec<String>,
    foreign: Vec<String>,
    submitted: Value,
    max_data_hex: usize,
    expect: String,
    reasons: Vec<String>,
}

#[derive(Deserialize)]
struct Large {
    id: String,
    expect: String,
    reasons: Vec<String>,
    recipe: Recipe,
}

#[derive(Deserialize)]
struct Recipe {
    n: usize,
    ops: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct Scenario {
    id: String,
    server: Server,
    before: Credential,
    after: Credential,
    vault_before: Vec<Cipher>,
    request: Request,
    expect: Expect,
}

#[derive(Deserialize)]
struct Server {
    private_key: String,
    public_key: String,
}

#[derive(Deserialize)]
struct Credential {
    email: String,
    parallelism: u32,
    memory: u32,
    iterations: u32,
    private_key: String,
    public_key: String,
    aes_key: String,
    shared_key: String,
}

#[derive(Deserialize)]
struct Cipher {
    id: String,
    plaintext: String,
    #[serde(rename = "protectedData")]
    protected_data: String,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    body: Value,
}

#[derive(Deserialize)]
struct Expect {
    status: u16,
    body: Value,
}

fn file() -> File {
    serde_json::from_str(include_str!("../data/librepass.json")).unwrap()
}

/// Draws the key that a vector names, wherever 32 bytes are requested.
struct Fixed([u8; 32]);

impl Entropy for Fixed {
    fn fill(&self, to: &mut [u8]) -> Result<(), EntropyError> {
        if to.len() == self.0.len() {
            to.copy_from_slice(&self.0);
            return Ok(());
        }
        SystemEntropy.fill(to)
    }
}

impl Credential {
    fn person(&self) -> Person {
        Person { email: self.email.clone(), key: PrivateKey::from_hex(&self.private_key).unwrap() }
    }
}

/// A world whose server has the vector's key pair.
async fn world_of(server: &Server) -> World {
    let store = Arc::new(MemoryStore::new());
    let private = Fixed(*PrivateKey::from_hex(&server.private_key).unwrap().expose());
    let other = World::new().await;
    let driver = Driver::new(store.clone(), other.keyring.clone(), Arc::new(private), other.clock.clone());
    HandshakeKeys::load(driver).await.unwrap();
    let world = World::on(store, policy()).await;
    assert_eq!(world.server_key().await.to_hex().expose(), server.public_key);
    world
}

/// Registers with the vector's own numbers, and logs in with its shared key.
async fn registered(world: &World, who: &Credential) -> (UserId, Client) {
    let body = json!({
        "email": who.email, "sharedKey": who.shared_key, "publicKey": who.public_key,
        "parallelism": who.parallelism, "memory": who.memory, "iterations": who.iterations,
    });
    world.client().post("/api/auth/register").json(&body).send().await.is(201, json!({}));
    world.open_link(&who.email).await.redirects();
    let user = world.user_of(&who.person()).await;
    (user, world.client_of(&who.person()).await)
}

#[tokio::test]
async fn the_scenarios() {
    let scenarios = file().scenarios;
    assert_eq!(scenarios.len(), 2);
    for scenario in scenarios {
        let world = world_of(&scenario.server).await;
        let (user, client) = registered(&world, &scenario.before).await;
        let put: Vec<_> = scenario
            .vault_before
            .iter()
            .map(|cipher| (parse_id(&cipher.id).unwrap(), cipher.protected_data.clone()))
            .collect();
        assert!(matches!(world.edit(&user, &put, &[]).await, EditOutcome::Done { .. }));
        let request = &scenario.request;
        let answer = client.request(&request.method, &request.path).json(&request.body).send().await;
        answer.is(scenario.expect.status, scenario.expect.body.clone());
        if request.path.ends_with("email") {
            world.open_link(&scenario.after.email).await.redirects();
        }

        let key = VaultKey::from_hex(&scenario.after.aes_key).unwrap();
        let texts = world.ciphers(&user).await;
        for (before, sent) in scenario.vault_before.iter().zip(request.body["ciphers"].as_array().unwrap()) {
            assert_eq!(texts[&before.id], sent["data"], "{}", scenario.id);
            assert_eq!(key.decrypt(&texts[&before.id]).unwrap().expose(), before.plaintext.as_bytes());
        }
        let after = &scenario.after;
        world.log_in_with(&after.email, &after.shared_key).await.ok();
        let offered = world.client().get(&format!("/api/auth/preLogin?email={}", after.email)).send().await.ok();
        assert_eq!(offered["memory"], after.memory);
        assert!(!client.is_in().await);
    }
}

/// The codes that one of the reasons may have.
fn codes(reasons: &[String], submitted: &Value) -> Vec<&'static str> {
    let texts = |entry: &Value| entry["id"].is_string() && entry["data"].is_string();
    let wrong_type = submitted.as_array().is_some_and(|list| !list.iter().all(texts));
    let of = |reason: &String| match reason.as_str() {
        "missing" | "not-owned" => "LP-Missing-Cipher",
        "duplicate" | "malformed-data" | "malformed-id" => "LP-Invalid-Cipher",
        other => panic!("a new reason: {other}"),
    };
    reasons.iter().map(of).chain(wrong_type.then_some("LP-Invalid-Body")).collect()
}

/// A text that no vector has, so that whatever comes is a change.
fn before(n: usize) -> String {
    format!("ff{n:022x}{}", "00".repeat(30))
}

/// Sends a batch in both changes and holds the answers to the vector's word.
async fn judge(
    world: &World,
    person: &Person,
    owned: &[CipherId],
    submitted: &Value,
    expect: &str,
    reasons: &[String],
) {
    let user = world.settle(person).await;
    let put: Vec<_> = owned.iter().enumerate().map(|(n, id)| (*id, before(n))).collect();
    assert!(matches!(world.edit(&user, &put, &[]).await, EditOutcome::Done { .. }));
    let server = world.server_key().await;
    let (pass, moved) = (with_password(person, "new"), with_address(person, &format!("new.{}", person.email)));
    let body = |new: &Person| {
        json!({
            "newEmail": new.email, "oldSharedKey": person.shared(&server),
            "newPublicKey": new.key.public_key().to_hex().expose(), "newSharedKey": new.shared(&server),
            "parallelism": 3, "memory": 65536, "iterations": 4, "ciphers": submitted,
        })
    };
    let client = world.client_of(person).await;
    let before = world.state(&user).await;
    let refused = |answer: &Answer| {
        let allowed = codes(reasons, submitted);
        assert_eq!(answer.status, 400, "{reasons:?} {answer:?}");
        assert!(allowed.contains(&answer.json()["error"].as_str().unwrap()), "{reasons:?} {answer:?}");
    };
    if expect == "reject" {
        refused(&client.change_address(&body(&moved)).await);
        refused(&client.change_password(&body(&pass)).await);
        assert_eq!(world.state(&user).await, before);
        return;
    }
    client.change_address(&body(&moved)).await.is_empty();
    client.change_password(&body(&pass)).await.is_empty();
    let sent: BTreeMap<_, _> = submitted
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["id"].as_str().unwrap().to_lowercase(), entry["data"].as_str().unwrap().to_owned()))
        .collect();
    assert_eq!(world.ciphers(&user).await, sent);
}

#[tokio::test]
async fn every_batch() {
    let batches = file().batches;
    assert_eq!(batches.len(), 34);
    for batch in &batches {
        let world = World::with(policy().data_ceiling(batch.max_data_hex)).await;
        let foreign: Vec<_> = batch.foreign.iter().map(|id| (parse_id(id).unwrap(), before(0))).collect();
        let other = world.settle(&bob()).await;
        assert!(matches!(world.edit(&other, &foreign, &[]).await, EditOutcome::Done { .. }));
        let owned: Vec<_> = batch.owned.iter().map(|id| parse_id(id).unwrap()).collect();
        let person = Person::new(&format!("{}@example.com", batch.id));
        judge(&world, &person, &owned, &batch.submitted, &batch.expect, &batch.reasons).await;
        assert_eq!(world.ciphers(&other).await.len(), foreign.len());
    }
}

/// `uuid5(NAMESPACE_URL, text)`: SHA-1, which no crate here has for anything else. The large batches need only distinct
/// ids, so SHA-256 stands in for it; the shape is the same.
fn id_of(n: usize) -> String {
    let digest = Sha256::digest(format!("librepass-vector/{n}"));
    keywright_rekey::id_text(CipherId(digest[..16].try_into().unwrap()))
}

#[tokio::test]
async fn every_large_batch() {
    let large = file().large_batches;
    assert_eq!(large.len(), 5);
    for batch in &large {
        let world = World::new().await;
        let owned: Vec<_> = (0..batch.recipe.n).map(|n| parse_id(&id_of(n)).unwrap()).collect();
        let entry = |n: usize| json!({"id": id_of(n), "data": hex::encode(Sha256::digest(n.to_string()))});
        let mut submitted: Vec<_> = (0..batch.recipe.n).map(entry).collect();
        for op in &batch.recipe.ops {
            let at = op[1].as_u64().unwrap() as usize;
            match op[0].as_str().unwrap() {
                "drop" => drop(submitted.remove(at)),
                "replace" => submitted[at] = submitted[op[2].as_u64().unwrap() as usize].clone(),
                "replace-id" => submitted[at]["id"] = op[2].clone(),
                other => panic!("a new operation: {other}"),
            }
        }
        let person = Person::new(&format!("{}@example.com", batch.id));
        judge(&world, &person, &owned, &json!(submitted), &batch.expect, &batch.reasons).await;
    }
}
