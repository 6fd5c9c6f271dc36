//! Vaults with real ciphers, and the bodies of the two changes, for the tests of both.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use keywright_core::SystemEntropy;
use keywright_librepass::{PrivateKey, UserId, UserKeys};
use keywright_rekey::{Edit, EditOutcome, Hex, Limits, Put, VaultPolicy, Vaults, id_text, parse_id};
use keywright_store::{CipherId, Partition, Row, Which};
use serde_json::{Value, json};

use super::support::{Answer, Client, Person, Scanned, World};

/// The same person with another password.
pub(crate) fn with_password(person: &Person, password: &str) -> Person {
    Person { email: person.email.clone(), key: Person::new(&format!("{password} {}", person.email)).key }
}

/// The same person with another address: the address is the salt, so the key is another one.
pub(crate) fn with_address(person: &Person, email: &str) -> Person {
    let password: String = person.key.public_key().to_hex().expose().chars().take(8).collect();
    Person { email: email.into(), key: Person::new(&format!("{password} {email}")).key }
}

/// A person's keys. The two multiplications are most of what these tests would spend their time on, so they are done once.
pub(crate) fn keys(key: &PrivateKey) -> Arc<UserKeys> {
    static KEYS: Mutex<BTreeMap<[u8; 32], Arc<UserKeys>>> = Mutex::new(BTreeMap::new());
    let derive = || Arc::new(UserKeys::from_private_key(key.duplicate()).unwrap());
    Arc::clone(KEYS.lock().unwrap().entry(*key.expose()).or_insert_with(derive))
}

pub(crate) fn id(n: usize) -> CipherId {
    let mut id = [0x5a; 16];
    id[..8].copy_from_slice(&(n as u64).to_be_bytes());
    CipherId(id)
}

pub(crate) fn number(id: CipherId) -> usize {
    u64::from_be_bytes(id.0[..8].try_into().unwrap()) as usize
}

/// A note as the cipher endpoints write it: form 1, no flags, type 2, three times, and the first
/// edit.
pub(crate) fn note() -> Vec<u8> {
    let times = [super::support::START; 3].map(u64::to_le_bytes).concat();
    [vec![1, 0, 2, 0, 0, 0], times, 1_u64.to_le_bytes().to_vec()].concat()
}

pub(crate) fn plain(n: usize) -> String {
    format!("secret {n}")
}

pub(crate) fn sealed(person: &Person, text: &str) -> String {
    keys(&person.key).vault_key().encrypt(text.as_bytes(), &SystemEntropy).unwrap()
}

/// A cipher's plaintext under a person's key, if it is encrypted under it.
pub(crate) fn opened(person: &Person, envelope: &str) -> Option<String> {
    let plain = keys(&person.key).vault_key().decrypt(envelope).ok()?;
    Some(String::from_utf8(plain.expose().to_vec()).unwrap())
}

/// All that is stored of one account, but for its events: every record, and every cipher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State(Vec<Scanned>, Vec<Row>);

impl World {
    pub(crate) fn vaults(&self) -> Vaults {
        Vaults::new(self.driver.clone(), self.store.clone(), VaultPolicy::default())
    }

    /// Writes or deletes a cipher as another device would, in the present epoch.
    pub(crate) async fn edit(&self, user: &UserId, put: &[(CipherId, String)], delete: &[CipherId]) -> EditOutcome {
        let limits = Limits::builder().max_text(16 * 1024 * 1024).build().unwrap();
        let note = note();
        let puts = put.iter().map(|(id, text)| Put::new(*id, limits.check(&Hex, text).unwrap(), text, &note));
        let edit = Edit::new(puts.collect(), delete.to_vec());
        let head = self.vaults().head(user.account()).await.unwrap().unwrap();
        self.vaults().edit(user.account(), &edit, head.key_epoch).await.unwrap()
    }

    /// Makes a vault of `count` ciphers for a person.
    pub(crate) async fn fill(&self, user: &UserId, person: &Person, count: usize) {
        let put: Vec<_> = (0..count).map(|n| (id(n), sealed(person, &plain(n)))).collect();
        assert!(matches!(self.edit(user, &put, &[]).await, EditOutcome::Done { .. }));
    }

    /// Every cipher, as its client sent it.
    pub(crate) async fn ciphers(&self, user: &UserId) -> BTreeMap<String, String> {
        let contents = self.vaults().read(user.account(), Which::All).await.unwrap().unwrap();
        assert!(contents.ciphers.iter().all(|cipher| cipher.note() == note()), "a change leaves the notes");
        contents.ciphers.iter().map(|cipher| (id_text(cipher.id()), cipher.text().to_owned())).collect()
    }

    /// The plaintext of every cipher under the person's key. Panics if one is not encrypted under
    /// it.
    pub(crate) async fn secrets(&self, user: &UserId, person: &Person) -> Vec<String> {
        self.ciphers(user).await.values().map(|text| opened(person, text).expect("one key opens all")).collect()
    }

    /// Asserts that the account is this person's, whole: log-in, address and every cipher.
    pub(crate) async fn belongs_to(&self, user: &UserId, person: &Person, count: usize) {
        let answer = self.log_in(person).await;
        assert_eq!(answer.ok()["userId"], user.to_string());
        let expected: Vec<_> = (0..count).map(plain).collect();
        assert_eq!(self.secrets(user, person).await, expected);
    }

    /// The vault under another key, as the client sends it.
    pub(crate) async fn batch(&self, user: &UserId, old: &Person, new: &Person) -> Vec<Value> {
        let again = |(id, text): (String, String)| {
            let plain = opened(old, &text).expect("the old key opens all");
            json!({"id": id, "data": sealed(new, &plain)})
        };
        self.ciphers(user).await.into_iter().map(again).collect()
    }

    /// `PATCH user/password` with every cipher of the vault.
    pub(crate) async fn password_body(&self, user: &UserId, old: &Person, new: &Person) -> Value {
        let server = self.server_key().await;
        json!({
            "oldSharedKey": old.shared(&server),
            "newPasswordHint": "a new hint",
            "newPublicKey": new.key.public_key().to_hex().expose(),
            "newSharedKey": new.shared(&server),
            "parallelism": 2,
            "memory": 65_535,
            "iterations": 5,
            "ciphers": self.batch(user, old, new).await,
        })
    }

    /// `PATCH user/email` with every cipher of the vault.
    pub(crate) async fn address_body(&self, user: &UserId, old: &Person, new: &Person) -> Value {
        let server = self.server_key().await;
        json!({
            "newEmail": new.email,
            "oldSharedKey": old.shared(&server),
            "newPublicKey": new.key.public_key().to_hex().expose(),
            "newSharedKey": new.shared(&server),
            "ciphers": self.batch(user, old, new).await,
        })
    }

    /// Requests a change of address with a fresh login.
    pub(crate) async fn ask_for(&self, user: &UserId, old: &Person, new: &Person) -> Answer {
        let body = self.address_body(user, old, new).await;
        self.client_of(old).await.change_address(&body).await
    }

    pub(crate) async fn state(&self, user: &UserId) -> State {
        let rows = self.store.read(&Partition::account(user.account()), Which::All).await.unwrap();
        State(self.scan().await, rows.rows)
    }

    /// The path of the newest link that was mailed to an address.
    pub(crate) fn path_to(&self, email: &str) -> String {
        let link = self.host.link_to(email).expect("a link was mailed");
        link.strip_prefix(super::support::PUBLIC).unwrap().to_owned()
    }
}

impl Client {
    /// Reads the whole vault: from now on the server knows which one this login knows.
    pub(crate) async fn sync(&self) -> Answer {
        let body = json!({"lastSyncTimestamp": 0, "updated": [], "deleted": []});
        self.post("/api/cipher/sync").json(&body).send().await
    }

    pub(crate) async fn change_password(&self, body: &Value) -> Answer {
        self.request("PATCH", "/api/user/password").json(body).send().await
    }

    pub(crate) async fn change_address(&self, body: &Value) -> Answer {
        self.request("PATCH", "/api/user/email").json(body).send().await
    }
}

#[test]
fn ids_are_in_order() {
    assert!((0..300).all(|n| id(n) < id(n + 1) && number(parse_id(&id_text(id(n))).unwrap()) == n));
}
