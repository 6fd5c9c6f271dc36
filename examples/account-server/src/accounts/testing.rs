//! Accounts for tests.

use keywright::twofactor::TotpSecret;
use keywright::{Keyring, Keywright, MemoryStore, SecretString, SystemEntropy};

use crate::accounts::new_account::{NewAccount, NewRocketChatUser};
use crate::accounts::slots::SLOT_KINDS;

/// Opens a fresh store in memory.
pub(super) async fn open() -> Keywright {
    let keyring = Keyring::generate(&SystemEntropy).unwrap();
    Keywright::builder(MemoryStore::new()).keyring(keyring).slots(SLOT_KINDS).open().await.unwrap()
}

pub(super) fn secret(text: &str) -> SecretString {
    SecretString::new(text.to_owned())
}

/// An account with app passwords, and without Rocket.Chat.
pub(super) fn new_account(name: &str, app_passwords: &[&str]) -> NewAccount {
    NewAccount {
        name: name.to_owned(),
        email: Some(format!("{name}@example.org")),
        login_password: Some(secret("login")),
        app_passwords: app_passwords.iter().map(|text| secret(text)).collect(),
        rocketchat: None,
    }
}

/// An account with everything that the Rocket.Chat protocol knows.
pub(super) fn alice() -> NewAccount {
    NewAccount {
        name: "Alice".to_owned(),
        email: None,
        login_password: Some(secret("login")),
        app_passwords: Vec::new(),
        rocketchat: Some(NewRocketChatUser {
            user_id: "aliceId".to_owned(),
            auth_tokens: vec![secret("one"), secret("two")],
            permissions: vec!["edit-other-user-totp".to_owned()],
            verified_emails: vec!["Alice@example.org".to_owned()],
            email_2fa: true,
            totp_secret: Some(TotpSecret::from_slice(b"1234567890").unwrap()),
            recovery_codes: vec![secret("AbCdEf23")],
        }),
    }
}
