#![no_main]
use std::sync::{Arc, LazyLock};

use keywright_core::{AccountId, Keyring, SecretString, SystemEntropy};
use keywright_rocketchat::{
    EndLogins, EndToEndKeys, Endpoint, Host, HostError, IssuedLogin, KeysStored, Login, LoginTokenId, Mail, MailError,
    Named, Permission, Profile, RocketChat, RocketChatPolicy, SentPassword, User,
};
use keywright_store::{Driver, MemoryStore};

/// Lets every login in, and everybody may do everything: what lies behind the login is to be reached.
struct Open(AccountId);

impl Host for Open {
    async fn login(&self, _: &str, _: &SecretString) -> Result<Option<Login>, HostError> {
        Ok(Some(Login::new(User::new(self.0.clone(), "alice"), LoginTokenId("t".into()))))
    }
    async fn permitted(&self, _: &AccountId, permission: Permission) -> Result<bool, HostError> {
        Ok(permission != Permission::BypassRateLimit)
    }
    async fn find_user(&self, _: Named<'_>) -> Result<Option<User>, HostError> {
        Ok(Some(User::new(self.0.clone(), "alice")))
    }
    async fn check_password(
        &self,
        _: Option<&AccountId>,
        _: SentPassword<'_>,
        _: &keywright_rocketchat::queue::Requester,
    ) -> Result<bool, HostError> {
        Ok(false)
    }
    async fn resume(&self, token: &SecretString) -> Result<Option<Login>, HostError> {
        self.login("u", token).await
    }
    async fn issue_login(&self, _: &AccountId) -> Result<IssuedLogin, HostError> {
        Ok(IssuedLogin::new(LoginTokenId("t".into()), SecretString::new("t".into())))
    }
    async fn profile(&self, _: &AccountId) -> Result<Option<Profile>, HostError> {
        Ok(Some(Profile::new("u", "alice")))
    }
    async fn store_keys(&self, _: &AccountId, _: &LoginTokenId, _: &EndToEndKeys, _: bool) -> Result<KeysStored, HostError> {
        Ok(KeysStored::Stored)
    }
    async fn fetch_keys(&self, _: &AccountId) -> Result<Option<EndToEndKeys>, HostError> {
        Ok(None)
    }
    async fn mail(&self, _: &User, _: Mail<'_>) -> Result<(), MailError> {
        Ok(())
    }
    async fn remove_keys(&self, _: &AccountId) -> Result<(), HostError> {
        Ok(())
    }
    async fn end_logins(&self, _: &AccountId, _: &EndLogins) -> Result<(), HostError> {
        Ok(())
    }
}

static SERVICE: LazyLock<RocketChat<Open>> = LazyLock::new(|| {
    let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
    let kinds = [keywright_confirm::SLOT_KINDS, keywright_twofactor::SLOT_KINDS, keywright_rocketchat::SLOT_KINDS];
    let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(&kinds.concat()).build().unwrap();
    let alice = AccountId::new("user-1").unwrap();
    futures_lite::future::block_on(driver.ensure_account(&alice)).unwrap();
    RocketChat::new(driver, Arc::new(Open(alice)), RocketChatPolicy::default()).unwrap()
});

libfuzzer_sys::fuzz_target!(|input: (u8, bool, &str, &str, &[u8])| {
    let (which, post, method, code, body) = input;
    let path = Endpoint::ALL[usize::from(which) % Endpoint::ALL.len()].path();
    let request = http::Request::builder()
        .method(if post { "POST" } else { "GET" })
        .uri(format!("{}{path}", keywright_rocketchat::BASE_PATH))
        .header("content-type", "application/json")
        .header("x-user-id", "u")
        .header("x-auth-token", "t")
        .header("x-2fa-method", method)
        .header("x-2fa-code", code)
        .body(body);
    let Ok(request) = request else { return };
    let response = futures_lite::future::block_on(SERVICE.handle(request));
    assert!(response.status().as_u16() < 500, "{}", response.status());
});
