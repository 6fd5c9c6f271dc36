//! What the stock client's own suite does, request by request (`docs/protocols/librepass.md` § 13): each of its twenty
//! tests is one step here, with the headers that the client sends, on a server without verification and limits.
#![expect(clippy::indexing_slicing, reason = "a panic in a test is a failed test")]

use keywright::librepass::{ArgonParameters, PublicKey, UserKeys};
use keywright::twofactor::TotpSecret;
use keywright::{Clock, SystemClock, SystemEntropy};
use serde_json::{Value, json};

use super::scene::{Scene, quick};
use crate::client::Answer;
use crate::program::Server;

const OLD: &str = "stock@example.org";
const NEW: &str = "stock.new@example.org";
const PASSWORD: &str = "stock password";
const SECOND: &str = "stock password 2";
const ID: &str = "5f0c8b1e-7d3a-4c55-9b39-2f6a1c1f0d01";
const OTHER: &str = "5f0c8b1e-7d3a-4c55-9b39-2f6a1c1f0d02";

/// One user of the suite.
struct Stock<'s> {
    scene: &'s Scene,
    server: &'s Server,
    email: &'static str,
    password: &'static str,
    token: Option<String>,
    user: String,
}

impl Stock<'_> {
    fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut headers = "x-client: Java/1.5.0\r\nx-api: 1\r\naccept-encoding: gzip\r\n".to_owned();
        if let Some(token) = &self.token {
            headers.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        if !body.is_empty() {
            headers.push_str("content-type: application/json; charset=utf-8\r\n");
        }
        self.scene.send(self.server, method, path, &headers, body)
    }

    /// The body of an answer with this status.
    #[track_caller]
    fn call(&self, status: u16, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.send(method, path, &body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    fn get(&self, path: &str) -> Value {
        self.call(200, "GET", path, &Value::Null)
    }

    fn pre_login(&self, email: &str) -> (ArgonParameters, PublicKey) {
        let offer = self.get(&format!("/api/auth/preLogin?email={email}"));
        let number = |name: &str| u32::try_from(offer[name].as_u64().unwrap()).unwrap();
        let parameters = ArgonParameters::new(number("parallelism"), number("memory"), number("iterations")).unwrap();
        (parameters, PublicKey::from_hex(offer["serverPublicKey"].as_str().unwrap()).unwrap())
    }

    /// The keys of an address and a password, and the proof of the password.
    fn keys(&self, email: &str, password: &str) -> (UserKeys, String) {
        let keys = UserKeys::derive(email, password, quick()).unwrap();
        let shared = keys.shared_key(&self.pre_login(self.email).1).unwrap().to_hex().expose().to_owned();
        (keys, shared)
    }

    fn own(&self) -> (UserKeys, String) {
        self.keys(self.email, self.password)
    }

    fn log_in(&mut self, verified: bool) {
        self.token = None;
        let shared = self.own().1;
        let body = json!({"email": self.email, "sharedKey": shared});
        let login = self.call(200, "POST", "/api/auth/oauth?grantType=login", &body);
        assert_eq!(login["verified"], verified);
        self.user = login["userId"].as_str().unwrap().to_owned();
        self.token = Some(login["apiKey"].as_str().unwrap().to_owned());
    }

    fn cipher(&self, id: &str, text: &str) -> Value {
        let data = self.own().0.vault_key().encrypt(text.as_bytes(), &SystemEntropy).unwrap();
        json!({"id": id, "owner": self.user, "type": 0, "protectedData": data, "favorite": false, "rePrompt": false})
    }

    /// Every cipher of the vault, encrypted under other keys.
    fn again(&self, new: &UserKeys) -> Vec<Value> {
        let sync = json!({"lastSyncTimestamp": 0, "updated": [], "deleted": []});
        let vault = self.call(200, "POST", "/api/cipher/sync", &sync);
        let old = self.own().0;
        let encrypt = |cipher: &Value| {
            let plain = old.vault_key().decrypt(cipher["protectedData"].as_str().unwrap()).unwrap();
            json!({"id": cipher["id"], "data": new.vault_key().encrypt(plain.expose(), &SystemEntropy).unwrap()})
        };
        vault["ciphers"].as_array().unwrap().iter().map(encrypt).collect()
    }
}

#[test]
fn the_stock_clients_own_suite_passes() {
    let scene = Scene::new();
    let running = scene.start(&["--librepass-verify-email", "off"]);
    let (scene, server) = (&scene, &running);
    let mut stock = Stock { scene, server, email: OLD, password: PASSWORD, token: None, user: String::new() };
    auth(&mut stock);
    ciphers(&stock);
    collections(&stock);
    user(&mut stock);
    running.stop();
}

/// The six tests of log-in and mails.
fn auth(stock: &mut Stock<'_>) {
    // 1. preLogin of an unknown address has the defaults.
    assert_eq!(stock.pre_login(OLD).0, ArgonParameters::default());
    // 2. register.
    let (keys, shared) = stock.own();
    let register = json!({
        "email": OLD, "passwordHint": "a hint", "sharedKey": shared, "parallelism": 1, "memory": 20480, "iterations": 1,
        "publicKey": keys.public_key().to_hex().expose(),
    });
    assert_eq!(stock.call(201, "POST", "/api/auth/register", &register), json!({}));
    // 3. preLogin of the user.
    assert_eq!(stock.pre_login(OLD).0, quick());
    // 4. A fresh link is promised, though nothing is to be verified.
    assert_eq!(stock.get(&format!("/api/auth/resendVerificationEmail?email={OLD}")), json!({}));
    // 5. The hint.
    assert_eq!(stock.get(&format!("/api/auth/passwordHint?email={OLD}")), json!({}));
    assert!(stock.scene.mails().iter().any(|(to, _, text)| to == OLD && text.contains("a hint")));
    // 6. log-in.
    stock.log_in(true);
}

/// The five tests of ciphers.
fn ciphers(stock: &Stock<'_>) {
    // 7. insert.
    let sent = stock.cipher(ID, "one");
    assert_eq!(stock.call(201, "PUT", "/api/cipher", &sent), json!({"id": ID}));
    // 8. get one.
    let one = stock.get(&format!("/api/cipher/{ID}"));
    assert_eq!((&one["protectedData"], &one["owner"]), (&sent["protectedData"], &json!(stock.user)));
    // 9. get all.
    assert_eq!(stock.get("/api/cipher").as_array().unwrap().len(), 1);
    // 10. sync, with an insertion.
    let body = json!({"lastSyncTimestamp": 0, "updated": [stock.cipher(OTHER, "two")], "deleted": []});
    assert_eq!(stock.call(200, "POST", "/api/cipher/sync", &body)["ids"], json!([ID, OTHER]));
    // 11. update, and delete.
    let update = stock.cipher(ID, "one, edited");
    assert_eq!(stock.call(201, "PATCH", &format!("/api/cipher/{ID}"), &update), json!({"id": ID}));
    assert_eq!(stock.call(200, "DELETE", &format!("/api/cipher/{OTHER}"), &Value::Null), json!({}));
}

/// The five tests of collections.
fn collections(stock: &Stock<'_>) {
    let (path, one) = ("/api/collection", format!("/api/collection/{ID}"));
    // 12. insert.
    assert_eq!(stock.call(200, "PUT", path, &json!({"id": ID, "name": "a collection"})), json!({"id": ID}));
    // 13. get all.
    let shown = |name: &str| json!({"id": ID, "owner": stock.user, "name": name});
    assert_eq!(stock.get(path), json!([shown("a collection")]));
    // 14. get one.
    assert_eq!(stock.get(&one), shown("a collection"));
    // 15. update.
    assert_eq!(stock.call(200, "PUT", path, &json!({"id": ID, "name": "another name"})), json!({"id": ID}));
    assert_eq!(stock.get(&one), shown("another name"));
    // 16. delete.
    assert_eq!(stock.call(200, "DELETE", &one, &Value::Null), json!({}));
    assert_eq!(stock.call(404, "GET", &one, &Value::Null)["error"], "LP-Collection-404");
}

/// The four tests of the user, and the teardown.
fn user(stock: &mut Stock<'_>) {
    // 17. Another address. The client asks for the parameters of the new one, and gets the user's.
    assert_eq!(stock.pre_login(NEW).0, quick());
    let (new, new_shared) = stock.keys(NEW, PASSWORD);
    let change = json!({
        "newEmail": NEW, "oldSharedKey": stock.own().1, "newPublicKey": new.public_key().to_hex().expose(),
        "newSharedKey": new_shared, "ciphers": stock.again(&new),
    });
    assert_eq!(stock.call(200, "PATCH", "/api/user/email", &change), json!({}));
    stock.email = NEW;
    stock.log_in(true);
    // 18. Another password.
    let (new, new_shared) = stock.keys(NEW, SECOND);
    let change = json!({
        "oldSharedKey": stock.own().1, "newPasswordHint": "another hint", "newSharedKey": new_shared,
        "newPublicKey": new.public_key().to_hex().expose(), "parallelism": 1, "memory": 20480, "iterations": 1,
        "ciphers": stock.again(&new),
    });
    assert_eq!(stock.call(200, "PATCH", "/api/user/password", &change), json!({}));
    stock.password = SECOND;
    stock.log_in(true);
    let left = stock.get("/api/cipher");
    let opened = stock.own().0.vault_key().decrypt(left[0]["protectedData"].as_str().unwrap()).unwrap();
    assert_eq!(opened.expose(), b"one, edited");
    // 19. The second factor.
    let secret = TotpSecret::random(&SystemEntropy).unwrap();
    let code = |ahead: u64| {
        let now = SystemClock.now().unwrap().get().saturating_add(ahead);
        totp_rs::Builder::new().with_secret(secret.expose()).build_noncompliant().generate(now).to_string()
    };
    let base32 = secret.to_base32();
    let set_up = json!({"sharedKey": stock.own().1, "secret": base32.expose(), "code": code(0)});
    let recovery = stock.call(200, "POST", "/api/user/setup/2fa", &set_up)["recoveryCode"].clone();
    stock.log_in(false);
    let proof = json!({"apiKey": stock.token, "code": recovery});
    assert_eq!(stock.call(200, "POST", "/api/auth/oauth?grantType=2fa", &proof), json!({}));
    // 20. The end. The suite takes one code for log-in and deletion, which the policy `Once::Purpose` lets it; here a
    // code of the next step, which no policy refuses.
    let end = json!({"sharedKey": stock.own().1, "code": code(30)});
    assert_eq!(stock.call(200, "DELETE", "/api/user/delete", &end), json!({}));
    assert_eq!(stock.call(401, "GET", "/api/cipher", &Value::Null)["error"], "LP-Invalid-Token");
}
