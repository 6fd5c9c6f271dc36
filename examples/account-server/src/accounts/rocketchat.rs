//! What an account has in the Rocket.Chat protocol: id, addresses, permissions, password.
//!
//! The profile is stored beside the account's other one, under the index value of its name. User
//! ids and addresses lead to it through records under index values of their own.

use keywright::nextcloud::queue::Requester;
use keywright::rocketchat::{Login, LoginTokenId, Named, Permission, Profile, User};
use keywright::store::{Draft, Partition};
use keywright::{AccountId, SecretString};

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::accounts::keys::{decode, profile_partition};
use crate::accounts::permissions::permission_name;
use crate::accounts::slots::{HOLDER, PROFILE, ROCKETCHAT_PROFILE, RocketChatProfile};

impl Accounts {
    /// Returns the login for a user id and a token, if both are right and the token is still valid.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn rocketchat_login(
        &self,
        user_id: &str,
        token: &SecretString,
    ) -> Result<Option<Login>, AccountsError> {
        Ok(self.found_login(token).await?.filter(|(own, _)| own == user_id).map(|(_, login)| login))
    }

    /// Returns the login for a token, if it is still valid.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn rocketchat_resumed(&self, token: &SecretString) -> Result<Option<Login>, AccountsError> {
        Ok(self.found_login(token).await?.map(|(_, login)| login))
    }

    /// Returns the login for a token, with its user's id.
    async fn found_login(&self, token: &SecretString) -> Result<Option<(String, Login)>, AccountsError> {
        let index = self.keys.auth_token(token);
        let Some((account, expires)) = self.token_holder(&index).await? else { return Ok(None) };
        let Some((name, profile)) = self.rocketchat_profile(&account).await? else { return Ok(None) };
        let login = Login::new(profile.user(account, name), LoginTokenId(hex::encode(index)));
        let login = expires.map_or(login.clone(), |expires| login.with_expiry(expires));
        Ok(Some((profile.user_id, login)))
    }

    /// Returns what a log-in shows of a user.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn rocketchat_shown(&self, account: &AccountId) -> Result<Option<Profile>, AccountsError> {
        let found = self.rocketchat_profile(account).await?;
        Ok(found
            .map(|(name, profile)| Profile::new(profile.user_id, name).with_verified_emails(profile.verified_emails)))
    }

    /// Returns the user that a request names.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn rocketchat_user(&self, named: Named<'_>) -> Result<Option<User>, AccountsError> {
        let account = match named {
            Named::Id(id) => self.holder(&self.keys.user_id(id)).await?,
            Named::Email(address) => self.holder(&self.keys.email(address)).await?,
            Named::Username(name) => Some(self.id(name)?),
            Named::Account(account) => Some(account.clone()),
            Named::EmailOrUsername(text) => match self.holder(&self.keys.email(text)).await? {
                Some(account) => Some(account),
                None => Some(self.id(text)?),
            },
            _ => None,
        };
        let Some(account) = account else { return Ok(None) };
        Ok(self.rocketchat_profile(&account).await?.map(|(name, profile)| profile.user(account, name)))
    }

    /// Returns which of the account's logins this is, counted from 1 in the order of the accounts
    /// file.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn rocketchat_login_number(
        &self,
        account: &AccountId,
        token: &LoginTokenId,
    ) -> Result<Option<usize>, AccountsError> {
        let (Some(index), Some((_, profile))) = (decode(&token.0), self.rocketchat_profile(account).await?) else {
            return Ok(None);
        };
        Ok(profile.auth_tokens.iter().position(|own| *own == index).map(|at| at.saturating_add(1)))
    }

    /// Whether a user has a permission.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn is_permitted(
        &self,
        account: &AccountId,
        permission: Permission,
    ) -> Result<bool, AccountsError> {
        let Some(wanted) = permission_name(permission) else { return Ok(false) };
        let profile = self.rocketchat_profile(account).await?;
        Ok(profile.is_some_and(|(_, profile)| profile.permissions.iter().any(|own| own == wanted)))
    }

    /// Whether this is the SHA-256 of the account's login password, in lower-case hex digits. Where
    /// there is no account, the same work is done.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn check_password_digest(
        &self,
        account: Option<&AccountId>,
        digest: &SecretString,
        requester: &Requester,
    ) -> Result<bool, AccountsError> {
        let profile = match account {
            Some(account) => self.rocketchat_profile(account).await?,
            None => None,
        };
        let stored = profile.as_ref().and_then(|(_, profile)| profile.password_digest.as_ref());
        Ok(self.passwords.check(requester, digest, stored).await?)
    }

    pub(super) async fn rocketchat_profile(
        &self,
        account: &AccountId,
    ) -> Result<Option<(String, RocketChatProfile)>, AccountsError> {
        let Some(partition) = profile_partition(account) else { return Ok(None) };
        let look = |draft: &mut Draft<'_>| Ok((draft.read(PROFILE)?, draft.read(ROCKETCHAT_PROFILE)?));
        let (account, rocketchat) =
            self.driver.observe(&partition, &[PROFILE.name(), ROCKETCHAT_PROFILE.name()], look).await?;
        Ok(account.map(|account| account.name).zip(rocketchat))
    }

    async fn holder(&self, partition: &Partition) -> Result<Option<AccountId>, AccountsError> {
        let found = self.driver.observe(partition, &[HOLDER.name()], |draft| draft.read(HOLDER)).await?;
        Ok(found.map(|holder| holder.account))
    }
}

impl RocketChatProfile {
    fn user(&self, account: AccountId, name: String) -> User {
        let mut user = User::new(account, name).with_verified_emails(self.verified_emails.clone());
        user.has_password = self.password_digest.is_some();
        user
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::new_account::NewAccount;
    use crate::accounts::testing::{alice, open, secret};

    #[tokio::test]
    async fn found_by_id_name_and_address() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
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
            let user = accounts.rocketchat_user(named).await.unwrap();
            assert_eq!(user.map(|user| user.account), found.then(|| account.clone()), "{named:?}");
        }
        assert!(accounts.is_permitted(&account, Permission::EditOtherUserTotp).await.unwrap());
        assert!(!accounts.is_permitted(&account, Permission::EditOtherUserE2ee).await.unwrap());
        let digest = secret("428821350e9691491f616b754cd8315fb86d797ab35d843479e732ef90665324");
        assert!(accounts.check_password_digest(Some(&account), &digest, &Requester::known(&account)).await.unwrap());
        assert!(
            !accounts
                .check_password_digest(Some(&account), &secret("login"), &Requester::known(&account))
                .await
                .unwrap()
        );
    }

    /// `vectors/two-factor.json`, `password_method`: what a client sends for a password. The wire crate lower-cases it.
    #[tokio::test]
    async fn digests_are_those_of_the_vectors() {
        let vectors = include_str!("../../../../crates/keywright-twofactor/tests/data/two-factor.json");
        let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
        let cases = vectors["password_method"]["cases"].as_array().unwrap();
        let text = |case: &serde_json::Value, name: &str| secret(case[name].as_str().unwrap());
        for case in cases {
            let accounts = Accounts::new(open().await.driver().clone()).unwrap();
            accounts.seed(&NewAccount { login_password: Some(text(case, "password")), ..alice() }).await.unwrap();
            let account = accounts.id("alice").unwrap();
            for other in cases {
                let right = accounts
                    .check_password_digest(Some(&account), &text(other, "x_2fa_code"), &Requester::known(&account))
                    .await
                    .unwrap();
                assert_eq!(right, case == other, "{case} {other}");
                let upper = text(other, "also_accepted_upper_case").expose().to_ascii_lowercase();
                assert_eq!(upper, text(other, "x_2fa_code").expose());
            }
        }
    }
}
