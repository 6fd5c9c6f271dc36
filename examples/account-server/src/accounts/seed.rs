//! Creates accounts, from the accounts file or for a demo.

use keywright::nextcloud::queue::Requester;
use keywright::store::{Draft, Partition, StepError};
use keywright::twofactor::recovery::ImportError;
use keywright::twofactor::{DeviceImport, ImportedDevice, SLOTS as FACTORS, TwoFactorSteps};
use keywright::{AccountId, SecretString};
use sha2::{Digest, Sha256};

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::accounts::new_account::{NewAccount, NewRocketChatUser};
use crate::accounts::password::composed;
use crate::accounts::slots::{
    APP_PASSWORD, AUTH_TOKEN, AppPassword, AuthToken, HOLDER, Holder, PROFILE, Profile, ROCKETCHAT_PROFILE,
    RocketChatProfile,
};

/// App passwords are looked up, not throttled, so they must be too long to guess: 128 bits, which
/// 22 characters of base64 hold. One from the accounts file may be shorter, and then a warning is
/// logged.
const UNGUESSABLE_CHARACTERS: usize = 22;

/// The name of the seeded device.
const DEVICE: &str = "accounts file";

/// The outcome of seeding an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seeding {
    /// The account was created now.
    Made,
    /// The account had been created earlier, and was left as it is.
    Kept,
}

impl Accounts {
    /// Creates an account exactly once. The account's own records are written last, and mark it as
    /// seeded. So seeding that was interrupted is repeated, and completed seeding is not: a restart
    /// brings back nothing that was spent or ended.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn seed(&self, new: &NewAccount) -> Result<Seeding, AccountsError> {
        let account = self.id(&new.name)?;
        if self.is_seeded(&account).await? {
            return Ok(Seeding::Kept);
        }
        let mut app_passwords = Vec::with_capacity(new.app_passwords.len());
        for secret in &new.app_passwords {
            app_passwords.push(self.add_app_password(&account, &new.name, secret).await?);
        }
        let entropy = &**self.driver.entropy();
        let password = match &new.login_password {
            Some(password) => Some(self.passwords.hash(&Requester::known(&account), password, entropy).await?),
            None => None,
        };
        let rocketchat = match &new.rocketchat {
            Some(user) => Some(self.prepare_rocketchat(&account, &new.name, user, new.login_password.as_ref()).await?),
            None => None,
        };
        let profile = Profile { name: new.name.clone(), email: new.email.clone(), password, app_passwords };
        let partition = Partition::name(&self.keys.login_name(&new.name));
        let put = |draft: &mut Draft<'_>| {
            draft.put(PROFILE, &profile)?;
            rocketchat.as_ref().map_or(Ok(()), |profile| draft.put(ROCKETCHAT_PROFILE, profile))
        };
        self.driver.transact(&partition, &[PROFILE.name(), ROCKETCHAT_PROFILE.name()], put).await?;
        let make = |draft: &mut Draft<'_>| make_seeded(draft, &self.factors, new.rocketchat.as_ref());
        self.driver.transact(&Partition::account(&account), FACTORS, make).await?;
        tracing::info!(account = %account, "an account was made");
        Ok(Seeding::Made)
    }

    async fn add_app_password(
        &self,
        account: &AccountId,
        name: &str,
        secret: &SecretString,
    ) -> Result<[u8; 32], AccountsError> {
        warn_if_short(account, secret, "an app password");
        let index = self.keys.app_password(secret);
        let step = |draft: &mut Draft<'_>| match draft.read(APP_PASSWORD)? {
            Some(found) => Ok(found.account == *account),
            None => {
                let new = AppPassword { account: account.clone(), ended: false };
                draft.put(APP_PASSWORD, &new).map(|()| true)
            }
        };
        let ours = self.driver.transact(&Partition::name(&index), &[APP_PASSWORD.name()], step).await?;
        if ours { Ok(index) } else { Err(AccountsError::Taken { what: "an app password", name: name.to_owned() }) }
    }

    /// Claims ids, addresses and tokens for an account that is being created, and returns its
    /// profile. Nothing that exists is changed.
    async fn prepare_rocketchat(
        &self,
        account: &AccountId,
        name: &str,
        new: &NewRocketChatUser,
        password: Option<&SecretString>,
    ) -> Result<RocketChatProfile, AccountsError> {
        self.hold(&self.keys.user_id(&new.user_id), account, name, "the Rocket.Chat user id").await?;
        for address in &new.verified_emails {
            self.hold(&self.keys.email(address), account, name, "a verified address").await?;
        }
        let mut auth_tokens = Vec::with_capacity(new.auth_tokens.len());
        for token in &new.auth_tokens {
            warn_if_short(account, token, "an auth token");
            auth_tokens.push(self.add_auth_token(account, name, token).await?);
        }
        let password_digest = match password {
            Some(password) => {
                let digest = SecretString::new(hex::encode(Sha256::digest(composed(password).expose())));
                Some(self.passwords.hash(&Requester::known(account), &digest, &**self.driver.entropy()).await?)
            }
            None => None,
        };
        Ok(RocketChatProfile {
            user_id: new.user_id.clone(),
            permissions: new.permissions.clone(),
            verified_emails: new.verified_emails.clone(),
            password_digest,
            auth_tokens,
        })
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
        let index = self.keys.auth_token(token);
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

/// Writes the first root and the second factors, in one commit with the mark that seeding is
/// complete.
fn make_seeded(
    draft: &mut Draft<'_>,
    factors: &TwoFactorSteps,
    user: Option<&NewRocketChatUser>,
) -> Result<(), StepError> {
    draft.create_account()?;
    if let Some(user) = user {
        enrol(draft, factors, user)?;
    }
    draft.mark_seeded()
}

fn warn_if_short(account: &AccountId, secret: &SecretString, what: &'static str) {
    if secret.expose().chars().count() < UNGUESSABLE_CHARACTERS {
        tracing::warn!(account = %account, "{what} is short enough to be guessed; take 22 random characters");
    }
}

/// Enrols the factors of the accounts file, in the commit that creates the account. So no restart
/// repeats it, and nothing that was spent comes back.
fn enrol(draft: &mut Draft<'_>, factors: &TwoFactorSteps, new: &NewRocketChatUser) -> Result<(), StepError> {
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

    use super::*;
    use crate::accounts::slots::SLOT_KINDS;
    use crate::accounts::testing::{alice, new_account, open, secret};
    use keywright::{Keyring, Keywright, MemoryStore, SystemEntropy};
    use keywright_store_conformance::FaultStore;

    #[tokio::test]
    async fn seeding_that_was_cut_short_is_done_again() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        let alice = accounts.id("alice").unwrap();
        accounts.add_app_password(&alice, "alice", &secret("one")).await.unwrap();
        assert_eq!(accounts.seed(&new_account("alice", &["one"])).await.unwrap(), Seeding::Made);
        let taken = accounts.seed(&new_account("bob", &["one"])).await.unwrap_err();
        assert_eq!(taken.to_string(), "an app password of `bob` is in use by another account");
        assert!(accounts.find("bob").await.unwrap().is_none());
    }

    /// Every act names all its slots at once, including those of the second factors.
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
    async fn seeding_for_rocketchat_that_was_cut_short_is_done_again() {
        let keywright = open().await;
        let accounts = Accounts::new(keywright.driver().clone()).unwrap();
        let (new, account) = (alice(), accounts.id("alice").unwrap());
        accounts.prepare_rocketchat(&account, "Alice", new.rocketchat.as_ref().unwrap(), None).await.unwrap();
        assert!(
            accounts.rocketchat_login("aliceId", &secret("one")).await.unwrap().is_none(),
            "there is no profile yet"
        );
        accounts.seed(&new).await.unwrap();
        accounts.seed(&new).await.unwrap();
        let enrolled = keywright.two_factor().enrolled(&account).await.unwrap();
        assert_eq!((enrolled.devices.len(), enrolled.recovery, enrolled.email), (1, Some(1), true));
    }
}
