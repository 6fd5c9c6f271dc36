//! What an account has on the wire of Rocket.Chat: id, addresses, permissions, login tokens.
//!
//! The profile lies beside the account's other one, under the index value of its name. User ids and addresses lead there
//! through records under index values of their own, and so does a login token, which is kept like an app password.

use keywright::core::{IndexKey, Keyring};
use keywright::nextcloud::queue::Asker;
use keywright::rocketchat::{EndLogins, Login, LoginTokenId, Named, Permission, User};
use keywright::store::{Draft, Partition, Record, Slot, StepError};
use keywright::twofactor::recovery::ImportError;
use keywright::twofactor::{DeviceImport, ImportedDevice, TwoFactorSteps};
use keywright::{AccountId, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::password::PasswordHash;
use super::{Accounts, AccountsError, NewChat, PROFILE, decode, profile_partition, warn_if_short};

pub(super) const CHAT: Slot<ChatProfile> = Slot::lasting("server-chat-profile");
pub(super) const HOLDER: Slot<Holder> = Slot::lasting("server-chat-holder");
pub(super) const AUTH_TOKEN: Slot<AuthToken> = Slot::lasting("server-chat-token");
/// How the seeded device is called.
const DEVICE: &str = "accounts file";

/// The profile.
#[derive(Serialize, Deserialize)]
pub(super) struct ChatProfile {
    user_id: String,
    /// By upstream's names.
    permissions: Vec<String>,
    verified_emails: Vec<String>,
    /// Of the password's SHA-256 in lower-case hex, which is all that this wire sends. The login password's own hash
    /// cannot be compared with that, and the digest as it is would be as good as the password here: so a second slow
    /// hash, with a salt of its own.
    password_digest: Option<PasswordHash>,
    /// The index values of its login tokens, ended ones too.
    auth_tokens: Vec<[u8; 32]>,
}

impl Record for ChatProfile {
    const SCHEMA: u16 = 1;
}

/// Whose a user id or an address is.
#[derive(Serialize, Deserialize)]
pub(super) struct Holder {
    account: AccountId,
}

impl Record for Holder {
    const SCHEMA: u16 = 1;
}

/// A login token's record: found by its index value, so it need not be compared.
#[derive(Serialize, Deserialize)]
pub(super) struct AuthToken {
    account: AccountId,
    /// Kept when it has ended, so that nothing brings it back.
    ended: bool,
}

impl Record for AuthToken {
    const SCHEMA: u16 = 1;
}

/// The index keys of this wire.
pub(super) struct ChatKeys {
    user_ids: IndexKey,
    emails: IndexKey,
    auth_tokens: IndexKey,
}

impl ChatKeys {
    pub(super) fn new(keyring: &Keyring) -> Self {
        Self {
            user_ids: keyring.index("rocketchat-user-id"),
            emails: keyring.index("rocketchat-email"),
            auth_tokens: keyring.index("rocketchat-auth-token"),
        }
    }

    fn user_id(&self, id: &str) -> Partition {
        Partition::name(&self.user_ids.mac(&[id.as_bytes()]))
    }

    fn email(&self, address: &str) -> Partition {
        Partition::name(&self.emails.mac(&[address.to_ascii_lowercase().as_bytes()]))
    }

    fn auth_token(&self, token: &SecretString) -> [u8; 32] {
        self.auth_tokens.mac(&[token.expose().as_bytes()])
    }
}

/// Upstream's name, which is the accounts file's too. `None` for one that this server does not know.
pub(super) const fn permission_name(permission: Permission) -> Option<&'static str> {
    match permission {
        Permission::EditOtherUserE2ee => Some("edit-other-user-e2ee"),
        Permission::EditOtherUserTotp => Some("edit-other-user-totp"),
        Permission::BypassRateLimit => Some("api-bypass-rate-limit"),
        _ => None,
    }
}

impl Accounts {
    /// The login of a user id and a token, both right and the token alive.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn chat_login(&self, user_id: &str, token: &SecretString) -> Result<Option<Login>, AccountsError> {
        let index = self.chat.auth_token(token);
        let look = |draft: &mut Draft<'_>| draft.read(AUTH_TOKEN);
        let found = self.driver.observe(&Partition::name(&index), &[AUTH_TOKEN.name()], look).await?;
        let Some(AuthToken { account, ended: false }) = found else { return Ok(None) };
        let Some((name, chat)) = self.chat_profile(&account).await? else { return Ok(None) };
        let login = || Login::new(chat.user(account, name), LoginTokenId(hex::encode(index)));
        Ok((chat.user_id == user_id).then(login))
    }

    /// The user that a request names.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn chat_user(&self, named: Named<'_>) -> Result<Option<User>, AccountsError> {
        let account = match named {
            Named::Id(id) => self.holder(&self.chat.user_id(id)).await?,
            Named::Username(name) => Some(self.id(name)?),
            Named::Account(account) => Some(account.clone()),
            Named::EmailOrUsername(text) => match self.holder(&self.chat.email(text)).await? {
                Some(account) => Some(account),
                None => Some(self.id(text)?),
            },
            _ => None,
        };
        let Some(account) = account else { return Ok(None) };
        Ok(self.chat_profile(&account).await?.map(|(name, chat)| chat.user(account, name)))
    }

    /// Which of the account's logins this is, counted from 1 in the order of the accounts file.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn chat_login_number(
        &self,
        account: &AccountId,
        token: &LoginTokenId,
    ) -> Result<Option<usize>, AccountsError> {
        let (Some(index), Some((_, chat))) = (decode(&token.0), self.chat_profile(account).await?) else {
            return Ok(None);
        };
        Ok(chat.auth_tokens.iter().position(|own| *own == index).map(|at| at.saturating_add(1)))
    }

    /// Whether a user has a permission.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn is_permitted(
        &self,
        account: &AccountId,
        permission: Permission,
    ) -> Result<bool, AccountsError> {
        let Some(wanted) = permission_name(permission) else { return Ok(false) };
        let chat = self.chat_profile(account).await?;
        Ok(chat.is_some_and(|(_, chat)| chat.permissions.iter().any(|own| own == wanted)))
    }

    /// Whether this is the SHA-256 of the account's login password, in lower-case hex digits.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn check_password_digest(
        &self,
        account: &AccountId,
        digest: &SecretString,
        asker: &Asker,
    ) -> Result<bool, AccountsError> {
        let chat = self.chat_profile(account).await?;
        let stored = chat.as_ref().and_then(|(_, chat)| chat.password_digest.as_ref());
        Ok(self.passwords.check(asker, digest, stored).await?)
    }

    /// Ends login tokens, for good. Again, it does what is left.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn end_chat_logins(&self, account: &AccountId, which: &EndLogins) -> Result<(), AccountsError> {
        let Some((_, chat)) = self.chat_profile(account).await? else { return Ok(()) };
        let kept = match which {
            EndLogins::OthersThan(token) => decode(&token.0),
            _ => None,
        };
        for index in chat.auth_tokens.iter().filter(|index| Some(**index) != kept) {
            let step = |draft: &mut Draft<'_>| match draft.read(AUTH_TOKEN)? {
                Some(found) if found.account == *account && !found.ended => {
                    draft.put(AUTH_TOKEN, &AuthToken { ended: true, ..found })
                }
                Some(_) | None => Ok(()),
            };
            self.driver.transact(&Partition::name(index), &[AUTH_TOKEN.name()], step).await?;
        }
        Ok(())
    }

    /// Takes ids, addresses and tokens for an account that is being made, and gives its profile. Nothing that is there
    /// is changed.
    pub(super) async fn prepare_chat(
        &self,
        account: &AccountId,
        name: &str,
        new: &NewChat,
        password: Option<&SecretString>,
    ) -> Result<ChatProfile, AccountsError> {
        self.hold(&self.chat.user_id(&new.user_id), account, name, "the Rocket.Chat user id").await?;
        for address in &new.verified_emails {
            self.hold(&self.chat.email(address), account, name, "a verified address").await?;
        }
        let mut auth_tokens = Vec::with_capacity(new.auth_tokens.len());
        for token in &new.auth_tokens {
            warn_if_short(account, token, "an auth token");
            auth_tokens.push(self.add_auth_token(account, name, token).await?);
        }
        let password_digest = match password {
            Some(password) => {
                let digest = SecretString::new(hex::encode(Sha256::digest(password.expose())));
                Some(self.passwords.hash(&Asker::known(account), &digest, &**self.driver.entropy()).await?)
            }
            None => None,
        };
        Ok(ChatProfile {
            user_id: new.user_id.clone(),
            permissions: new.permissions.clone(),
            verified_emails: new.verified_emails.clone(),
            password_digest,
            auth_tokens,
        })
    }

    async fn chat_profile(&self, account: &AccountId) -> Result<Option<(String, ChatProfile)>, AccountsError> {
        let Some(partition) = profile_partition(account) else { return Ok(None) };
        let look = |draft: &mut Draft<'_>| Ok((draft.read(PROFILE)?, draft.read(CHAT)?));
        let (profile, chat) = self.driver.observe(&partition, &[PROFILE.name(), CHAT.name()], look).await?;
        Ok(profile.map(|profile| profile.name).zip(chat))
    }

    async fn holder(&self, partition: &Partition) -> Result<Option<AccountId>, AccountsError> {
        let found = self.driver.observe(partition, &[HOLDER.name()], |draft| draft.read(HOLDER)).await?;
        Ok(found.map(|holder| holder.account))
    }

    async fn hold(
        &self,
        partition: &Partition,
        account: &AccountId,
        name: &str,
        what: &'static str,
    ) -> Result<(), AccountsError> {
        let step = |draft: &mut Draft<'_>| match draft.read(HOLDER)? {
            Some(holder) => Ok(holder.account == *account),
            None => draft.put(HOLDER, &Holder { account: account.clone() }).map(|()| true),
        };
        let ours = self.driver.transact(partition, &[HOLDER.name()], step).await?;
        if ours { Ok(()) } else { Err(AccountsError::Taken { what, name: name.to_owned() }) }
    }

    async fn add_auth_token(
        &self,
        account: &AccountId,
        name: &str,
        token: &SecretString,
    ) -> Result<[u8; 32], AccountsError> {
        let index = self.chat.auth_token(token);
        let step = |draft: &mut Draft<'_>| match draft.read(AUTH_TOKEN)? {
            Some(found) => Ok(found.account == *account),
            None => {
                let new = AuthToken { account: account.clone(), ended: false };
                draft.put(AUTH_TOKEN, &new).map(|()| true)
            }
        };
        let ours = self.driver.transact(&Partition::name(&index), &[AUTH_TOKEN.name()], step).await?;
        if ours { Ok(index) } else { Err(AccountsError::Taken { what: "an auth token", name: name.to_owned() }) }
    }
}

impl ChatProfile {
    fn user(&self, account: AccountId, name: String) -> User {
        let mut user = User::new(account, name).with_verified_emails(self.verified_emails.clone());
        user.has_password = self.password_digest.is_some();
        user
    }
}

/// Enrols what the accounts file gives, in the commit that makes the account: so no restart does it again, and nothing
/// that was spent comes back.
pub(super) fn enrol(draft: &mut Draft<'_>, factors: &TwoFactorSteps, new: &NewChat) -> Result<(), StepError> {
    if let Some(secret) = &new.totp_secret {
        let device = ImportedDevice::new(DEVICE, secret.duplicate());
        if let DeviceImport::NotTaken(_) = factors.import_device_in(draft, &device)? {
            return Err(StepError::Misuse("a shared secret is checked when the file is read"));
        }
    }
    if !new.recovery_codes.is_empty() {
        let codes: Vec<&str> = new.recovery_codes.iter().map(SecretString::expose).collect();
        factors.import_recovery_in(draft, &codes).map_err(|error| match error {
            ImportError::Step(error) => error,
            _ => StepError::Misuse("recovery codes are checked when the file is read"),
        })?;
    }
    if new.email_2fa {
        let _changed = factors.set_email_in(draft, true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{NewAccount, SLOT_KINDS};
    use super::*;
    use keywright::twofactor::TotpSecret;
    use keywright::{Keyring, Keywright, MemoryStore, SystemEntropy};
    use keywright_store_conformance::FaultStore;

    async fn keywright() -> Keywright {
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        Keywright::builder(MemoryStore::new()).keyring(keyring).slots(SLOT_KINDS).open().await.unwrap()
    }

    fn secret(text: &str) -> SecretString {
        SecretString::new(text.to_owned())
    }

    fn alice() -> NewAccount {
        NewAccount {
            name: "Alice".to_owned(),
            email: None,
            login_password: Some(secret("login")),
            app_passwords: Vec::new(),
            rocketchat: Some(NewChat {
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

    /// Every act names all its slots at once, those of the second factors included.
    #[tokio::test]
    async fn seeding_makes_no_extra_loads() {
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        let builder = Keywright::builder_shared(store.clone()).keyring(keyring).slots(SLOT_KINDS);
        let accounts = Accounts::new(builder.open().await.unwrap().driver().clone()).unwrap();
        store.note_loads();
        accounts.seed(&alice()).await.unwrap();
        let extra = store.extra_rounds();
        assert!(extra.is_empty() && !store.noted_loads().is_empty(), "{extra:?}");
    }

    #[tokio::test]
    async fn seeding_that_was_cut_short_is_done_again() {
        let keywright = keywright().await;
        let accounts = Accounts::new(keywright.driver().clone()).unwrap();
        let (new, account) = (alice(), accounts.id("alice").unwrap());
        accounts.prepare_chat(&account, "Alice", new.rocketchat.as_ref().unwrap(), None).await.unwrap();
        assert!(accounts.chat_login("aliceId", &secret("one")).await.unwrap().is_none(), "there is no profile yet");
        accounts.seed(&new).await.unwrap();
        accounts.seed(&new).await.unwrap();
        let enrolled = keywright.two_factor().unwrap().enrolled(&account).await.unwrap();
        assert_eq!((enrolled.devices.len(), enrolled.recovery, enrolled.email), (1, Some(1), true));
    }

    #[tokio::test]
    async fn found_by_id_name_and_address() {
        let accounts = Accounts::new(keywright().await.driver().clone()).unwrap();
        accounts.seed(&alice()).await.unwrap();
        let account = accounts.id("alice").unwrap();
        for (named, found) in [
            (Named::Id("aliceId"), true),
            (Named::Id("aliceid"), false),
            (Named::Username("aLICE"), true),
            (Named::Username("alice@example.org"), false),
            (Named::EmailOrUsername("alice@example.org"), true),
            (Named::EmailOrUsername("alice"), true),
            (Named::EmailOrUsername("bob"), false),
        ] {
            let user = accounts.chat_user(named).await.unwrap();
            assert_eq!(user.map(|user| user.account), found.then(|| account.clone()), "{named:?}");
        }
        assert!(accounts.is_permitted(&account, Permission::EditOtherUserTotp).await.unwrap());
        assert!(!accounts.is_permitted(&account, Permission::EditOtherUserE2ee).await.unwrap());
        let digest = secret("428821350e9691491f616b754cd8315fb86d797ab35d843479e732ef90665324");
        assert!(accounts.check_password_digest(&account, &digest, &Asker::known(&account)).await.unwrap());
        assert!(!accounts.check_password_digest(&account, &secret("login"), &Asker::known(&account)).await.unwrap());
    }

    /// `vectors/two-factor.json`, `password_method`: what a client sends for a password. The wire crate lower-cases it.
    #[tokio::test]
    async fn digests_are_those_of_the_vectors() {
        let vectors = include_str!("../../../../crates/keywright-twofactor/tests/data/two-factor.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let cases = vectors["password_method"]["cases"].as_array().unwrap();
        let text = |case: &serde_json::Value, name: &str| secret(case[name].as_str().unwrap());
        for case in cases {
            let accounts = Accounts::new(keywright().await.driver().clone()).unwrap();
            accounts.seed(&NewAccount { login_password: Some(text(case, "password")), ..alice() }).await.unwrap();
            let account = accounts.id("alice").unwrap();
            for other in cases {
                let right = accounts
                    .check_password_digest(&account, &text(other, "x_2fa_code"), &Asker::known(&account))
                    .await
                    .unwrap();
                assert_eq!(right, case == other, "{case} {other}");
                let upper = text(other, "also_accepted_upper_case").expose().to_ascii_lowercase();
                assert_eq!(upper, text(other, "x_2fa_code").expose());
            }
        }
    }

    #[tokio::test]
    async fn logins_end_for_good_but_for_the_one_that_is_kept() {
        let accounts = Accounts::new(keywright().await.driver().clone()).unwrap();
        accounts.seed(&alice()).await.unwrap();
        let one = accounts.chat_login("aliceId", &secret("one")).await.unwrap().unwrap();
        let others = EndLogins::OthersThan(one.token);
        for _ in 0..2 {
            accounts.end_chat_logins(&one.user.account, &others).await.unwrap();
            assert!(accounts.chat_login("aliceId", &secret("one")).await.unwrap().is_some());
            assert!(accounts.chat_login("aliceId", &secret("two")).await.unwrap().is_none());
        }
        accounts.end_chat_logins(&one.user.account, &EndLogins::All).await.unwrap();
        accounts.seed(&alice()).await.unwrap();
        assert!(accounts.chat_login("aliceId", &secret("one")).await.unwrap().is_none());
    }
}
