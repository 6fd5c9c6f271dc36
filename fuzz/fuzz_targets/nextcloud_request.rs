#![no_main]
use std::sync::{Arc, LazyLock};

use keywright_core::{AccountId, Keyring, SecretString, SystemEntropy};
use keywright_nextcloud::{AppToken, AppTokenId, BASE_PATH, Endpoint, Erasure, Host, HostError, Nextcloud, NextcloudPolicy, UnlockMail};
use keywright_store::{Driver, MemoryStore};

/// Lets every login in: what lies behind it is to be reached.
struct Open;

impl Host for Open {
    async fn account(&self, _: &str) -> Result<Option<AccountId>, HostError> {
        AccountId::new("user-1").map(Some).map_err(HostError::new)
    }
    async fn app_token(&self, account: Option<&AccountId>, _: &SecretString) -> Result<Option<AppToken>, HostError> {
        Ok(account.map(|account| AppToken::new(account.clone(), AppTokenId("t".into()))))
    }
    async fn check_password(&self, _: Option<&AccountId>, _: &SecretString, _: &keywright_nextcloud::queue::Requester) -> Result<bool, HostError> {
        Ok(false)
    }
    async fn end_app_token(&self, _: &AccountId, _: &AppTokenId) -> Result<(), HostError> {
        Ok(())
    }
    async fn erase_data(&self, _: &AccountId, _: &Erasure) -> Result<(), HostError> {
        Ok(())
    }
    async fn send_unlock_mail(&self, _: &AccountId, _: &UnlockMail) -> Result<(), HostError> {
        Ok(())
    }
}

static SERVICE: LazyLock<Nextcloud<Open>> = LazyLock::new(|| {
    let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
    let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).build().unwrap();
    let account = AccountId::new("user-1").unwrap();
    futures_lite::future::block_on(driver.ensure_account(&account)).unwrap();
    Nextcloud::new(driver, Arc::new(Open), NextcloudPolicy::default()).unwrap()
});

libfuzzer_sys::fuzz_target!(|input: (u8, bool, bool, &str, &str, &str, &[u8])| {
    let (which, post, form, session, provider, query, body) = input;
    let endpoint = Endpoint::ALL[usize::from(which) % Endpoint::ALL.len()];
    let path = endpoint.path().replace("{provider}", provider);
    let request = http::Request::builder()
        .method(if post { "POST" } else { "GET" })
        .uri(format!("{BASE_PATH}{path}?{query}"))
        .header("authorization", "Basic YTpi")
        .header("content-type", if form { "application/x-www-form-urlencoded" } else { "application/json" })
        .header("x-api-session", session)
        .body(body);
    let Ok(request) = request else { return };
    let response = futures_lite::future::block_on(SERVICE.handle(request));
    assert!(response.headers().contains_key("x-api-session"));
    assert!(!matches!(response.status().as_u16(), 501..=599), "{}", response.status());
});
