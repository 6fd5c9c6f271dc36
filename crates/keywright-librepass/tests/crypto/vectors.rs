//! Every vector of `librepass.json` that is about keys and envelopes.

use std::collections::HashMap;

use keywright_core::SystemEntropy;
use keywright_librepass::{
    ArgonParameters, ChangeEmail, ChangePassword, ENVELOPE_OVERHEAD, EnvelopeError, PrivateKey, PublicKey, Reencrypted,
    SharedKey, UserKeys, VaultKey, verify_shared,
};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct File {
    policy: Policy,
    servers: Vec<Server>,
    credentials: Vec<Credential>,
    shared_key_checks: Vec<SharedCheck>,
    aes_gcm: Vec<Envelope>,
    aes_gcm_failures: Vec<Failure>,
    scenarios: Vec<Scenario>,
    published_by_original: Published,
}

#[derive(Deserialize)]
struct Policy {
    min_data_hex: usize,
}

#[derive(Deserialize)]
struct Server {
    label: String,
    private_key: String,
    public_key: String,
}

#[derive(Deserialize)]
struct Credential {
    id: String,
    email: String,
    password: String,
    salt_hex: String,
    password_hex: String,
    parallelism: u32,
    memory: u32,
    iterations: u32,
    private_key: String,
    public_key: String,
    aes_key: String,
    server: String,
    shared_key: String,
}

#[derive(Deserialize)]
struct SharedCheck {
    id: String,
    server_private_key: String,
    user_public_key: String,
    shared_key: String,
    expect: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    id: String,
    key: String,
    plaintext: String,
    protected_data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failure {
    id: String,
    key: String,
    protected_data: String,
    expect: String,
}

#[derive(Deserialize)]
struct Scenario {
    id: String,
    server: Server,
    before: Credential,
    after: Credential,
    vault_before: Vec<Cipher>,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cipher {
    id: String,
    plaintext: String,
    protected_data: String,
}

#[derive(Deserialize)]
struct Request {
    body: Value,
}

#[derive(Deserialize)]
struct Published {
    x25519: X25519,
}

#[derive(Deserialize)]
struct X25519 {
    private: String,
    public: String,
    dh_with_own_public: String,
}

fn file() -> File {
    serde_json::from_str(include_str!("../data/librepass.json")).unwrap()
}

/// A vault key is not exposed; it is the expected one if it opens what the expected one sealed.
fn opens(keys: &UserKeys, aes_key: &str) {
    let sealed = VaultKey::from_hex(aes_key).unwrap().encrypt(b"probe", &SystemEntropy).unwrap();
    assert_eq!(keys.vault_key().decrypt(&sealed).unwrap().expose(), b"probe");
}

fn derived(credential: &Credential, server: &Server) -> (UserKeys, SharedKey) {
    let Credential { id, email, password, .. } = credential;
    assert_eq!(hex::encode(email), credential.salt_hex, "{id}");
    assert_eq!(hex::encode(password), credential.password_hex, "{id}");
    let parameters = ArgonParameters::new(credential.parallelism, credential.memory, credential.iterations).unwrap();
    let keys = UserKeys::derive(email, password, parameters).unwrap();
    assert_eq!(keys.private_key().to_hex().expose(), credential.private_key, "{id}");
    assert_eq!(keys.public_key().to_hex().expose(), credential.public_key, "{id}");
    opens(&keys, &credential.aes_key);

    assert_eq!(server.label, credential.server, "{id}");
    let shared = keys.shared_key(&PublicKey::from_hex(&server.public_key).unwrap()).unwrap();
    assert_eq!(shared.to_hex().expose(), credential.shared_key, "{id}");
    assert!(verify_shared(&PrivateKey::from_hex(&server.private_key).unwrap(), keys.public_key(), &shared), "{id}");
    (keys, shared)
}

#[test]
fn policy_and_servers() {
    let file = file();
    assert_eq!(file.policy.min_data_hex, 2 * ENVELOPE_OVERHEAD);
    assert_eq!(file.servers.len(), 2);
    for server in file.servers {
        let private = PrivateKey::from_hex(&server.private_key).unwrap();
        assert_eq!(private.public_key().to_hex().expose(), server.public_key, "{}", server.label);
    }
}

#[test]
fn credentials() {
    let file = file();
    let servers: HashMap<_, _> = file.servers.iter().map(|server| (server.label.as_str(), server)).collect();
    assert_eq!(file.credentials.len(), 17);
    for credential in &file.credentials {
        derived(credential, servers[credential.server.as_str()]);
    }
}

#[test]
fn shared_key_checks() {
    let checks = file().shared_key_checks;
    assert_eq!(checks.len(), 22);
    for check in checks {
        let server = PrivateKey::from_hex(&check.server_private_key).unwrap();
        let verdict = match (PublicKey::from_hex(&check.user_public_key), SharedKey::from_hex(&check.shared_key)) {
            (Ok(user), Ok(sent)) => verify_shared(&server, &user, &sent),
            _ => false,
        };
        assert_eq!(if verdict { "accept" } else { "reject" }, check.expect, "{}", check.id);
    }
}

#[test]
fn envelopes() {
    let envelopes = file().aes_gcm;
    assert_eq!(envelopes.len(), 9);
    for Envelope { id, key, plaintext, protected_data } in envelopes {
        let key = VaultKey::from_hex(&key).unwrap();
        for text in [&protected_data, &protected_data.to_uppercase()] {
            assert_eq!(key.decrypt(text).unwrap().expose(), plaintext.as_bytes(), "{id}");
        }
        let ours = key.encrypt(plaintext.as_bytes(), &SystemEntropy).unwrap();
        assert_eq!(ours.len(), protected_data.len(), "{id}");
        assert_ne!(ours[..24], protected_data[..24], "{id}: a fresh nonce each time");
        assert_eq!(ours, ours.to_lowercase(), "{id}");
        assert_eq!(key.decrypt(&ours).unwrap().expose(), plaintext.as_bytes(), "{id}");
    }
}

#[test]
fn envelope_failures() {
    let failures = file().aes_gcm_failures;
    assert_eq!(failures.len(), 5);
    for Failure { id, key, protected_data, expect } in failures {
        assert_eq!(expect, "decrypt-fails", "{id}");
        let key = VaultKey::from_hex(&key).unwrap();
        assert_eq!(key.decrypt(&protected_data).err(), Some(EnvelopeError::Denied), "{id}");
    }
}

#[test]
fn published_key_agreement() {
    let it = file().published_by_original.x25519;
    let keys = UserKeys::from_private_key(PrivateKey::from_hex(&it.private).unwrap()).unwrap();
    assert_eq!(keys.public_key().to_hex().expose(), it.public);
    opens(&keys, &it.dh_with_own_public);
}

/// The key parts of both changes, and the bodies as our own builders write them.
#[test]
fn scenarios() {
    let scenarios = file().scenarios;
    assert_eq!(scenarios.len(), 2);
    for scenario in scenarios {
        let (old, old_shared_key) = derived(&scenario.before, &scenario.server);
        let (new, new_shared_key) = derived(&scenario.after, &scenario.server);
        let body = &scenario.request.body;
        let sent = body["ciphers"].as_array().unwrap();
        assert_eq!(sent.len(), scenario.vault_before.len());
        for (cipher, sent) in scenario.vault_before.iter().zip(sent) {
            assert_eq!(sent["id"], cipher.id.as_str());
            let before = old.vault_key().decrypt(&cipher.protected_data).unwrap();
            let after = new.vault_key().decrypt(sent["data"].as_str().unwrap()).unwrap();
            assert_eq!(before.expose(), cipher.plaintext.as_bytes());
            assert_eq!(before.expose(), after.expose());
            assert!(old.vault_key().decrypt(sent["data"].as_str().unwrap()).is_err());
        }

        let text = |member: &Value| member.as_str().unwrap().to_owned();
        let ciphers: Vec<_> = sent.iter().map(|cipher| (text(&cipher["id"]), text(&cipher["data"]))).collect();
        let ciphers: Vec<_> = ciphers.iter().map(|(id, data)| Reencrypted { id, data }).collect();
        let ours = match scenario.id.as_str() {
            "change-password" => serde_json::to_value(ChangePassword {
                old_shared_key: &old_shared_key,
                new_password_hint: Some("hint"),
                new_public_key: new.public_key(),
                new_shared_key: &new_shared_key,
                parameters: ArgonParameters::new(3, 65_535, 4).unwrap(),
                ciphers: &ciphers,
            }),
            "change-email" => serde_json::to_value(ChangeEmail {
                new_email: &scenario.after.email,
                old_shared_key: &old_shared_key,
                new_public_key: new.public_key(),
                new_shared_key: &new_shared_key,
                ciphers: &ciphers,
            }),
            other => panic!("{other}"),
        };
        assert_eq!(&ours.unwrap(), body, "{}", scenario.id);
    }
}
