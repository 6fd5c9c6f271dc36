#![no_main]
use std::sync::{Arc, LazyLock};

use futures_lite::future::block_on;
use http::{Request, Response};
use keywright_core::{Keyring, SystemEntropy};
use keywright_librepass::{
    ArgonParameters, Endpoint, Host, HostError, LibrePass, LibrePassPolicy, LogIn, Mail, PreLogin, Register, UserKeys,
};
use keywright_store::{Driver, MemoryStore};

/// Every mail goes out.
struct Outbox;

impl Host for Outbox {
    async fn mail(&self, _: Mail<'_>) -> Result<(), HostError> {
        Ok(())
    }
}

/// The service, and a login of its one user: what lies behind the token is to be reached.
static SERVICE: LazyLock<(LibrePass<Outbox>, String)> = LazyLock::new(|| block_on(open()));

const EMAIL: &str = "alice@example.com";

async fn open() -> (LibrePass<Outbox>, String) {
    let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
    let store = Arc::new(MemoryStore::new());
    let driver = Driver::builder(store.clone(), keyring).build().unwrap();
    let policy = LibrePassPolicy::builder("https://pass.example").verify_email(false).build().unwrap();
    let service = LibrePass::open(driver, store, Arc::new(Outbox), policy).await.unwrap();

    let ask = |request: http::request::Builder, body: String| service.handle(request.body(body).unwrap());
    let offer = ask(Request::get("/api/auth/preLogin?email="), String::new()).await;
    let offer: PreLogin = serde_json::from_slice(offer.body()).unwrap();
    let parameters = ArgonParameters::new(1, 20_480, 1).unwrap();
    let keys = UserKeys::derive(EMAIL, "correct horse", parameters).unwrap();
    let shared = keys.shared_key(&offer.server).unwrap();
    let register =
        Register { email: EMAIL, password_hint: None, shared_key: &shared, public_key: keys.public_key(), parameters };
    let made = ask(Request::post("/api/auth/register"), serde_json::to_string(&register).unwrap()).await;
    assert_eq!(made.status(), 201);
    let log_in = serde_json::to_string(&LogIn { email: EMAIL, shared_key: &shared }).unwrap();
    let answer: Response<_> = ask(Request::post("/api/auth/oauth?grantType=login"), log_in).await;
    let answer: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    (service, answer["apiKey"].as_str().unwrap().to_owned())
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];

libfuzzer_sys::fuzz_target!(|input: (u8, u8, bool, &str, &str, &[u8])| {
    let (which, method, with_token, id, query, body) = input;
    let (service, token) = &*SERVICE;
    let path = Endpoint::ALL[usize::from(which) % Endpoint::ALL.len()].path().replace("{id}", id);
    let mut request = Request::builder()
        .method(METHODS[usize::from(method) % METHODS.len()])
        .uri(if query.is_empty() { path } else { format!("{path}?{query}") })
        .header("content-type", "application/json");
    if with_token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let Ok(request) = request.body(body) else { return };
    let response = block_on(service.handle(request));
    assert!(response.status().as_u16() < 500, "{}", response.status());
});
