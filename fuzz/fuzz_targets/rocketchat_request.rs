#![no_main]
use std::sync::{Arc, LazyLock};

use keywright_core::{AccountId, Keyring, SecretString, SystemEntropy};
use keywright_rocketchat::{
    EndLogins, Host, HostError, Login, LoginTokenId, Mail, MailError, Named, Permission, RocketChat, RocketChatPolicy,
    User,
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
    async fn check_password(&self, _: &AccountId, _: &SecretString, _: &keywright_rocketchat::queue::Requester) -> Result<bool, HostError> {
        Ok(false)
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
    let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).build().unwrap();
    let alice = AccountId::new("user-1").unwrap();
    futures_lite::future::block_on(driver.ensure_account(&alice)).unwrap();
    RocketChat::new(driver, Arc::new(Open(alice)), RocketChatPolicy::default()).unwrap()
});

const PATHS: [&str; 10] = [
    "users.resetE2EKey",
    "users.resetTOTP",
    "users.totp.enable",
    "users.totp.validate",
    "users.totp.disable",
    "users.totp.regenerateCodes",
    "users.totp.codesRemaining",
    "users.2fa.enableEmail",
    "users.2fa.disableEmail",
    "users.2fa.sendEmailCode",
];

libfuzzer_sys::fuzz_target!(|input: (u8, bool, &str, &str, &[u8])| {
    let (which, post, method, code, body) = input;
    let path = PATHS[usize::from(which) % PATHS.len()];
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
