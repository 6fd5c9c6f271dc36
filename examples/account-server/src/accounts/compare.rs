//! What differs between the accounts file and the accounts that were created from it. An account is
//! seeded once, so a later change of its entry has no effect, and the operator must learn that.

use keywright::nextcloud::queue::Requester;
use keywright::store::Draft;

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::accounts::keys::profile_partition;
use crate::accounts::new_account::{NewAccount, NewRocketChatUser};
use crate::accounts::slots::{PROFILE, ROCKETCHAT_PROFILE, RocketChatProfile};

impl Accounts {
    /// Returns the keys of an entry that differ from the seeded account, without their values. The
    /// second factors are not compared, because their owner changes them. A login password costs
    /// one slow hash.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read.
    pub(crate) async fn differences(&self, entry: &NewAccount) -> Result<Vec<&'static str>, AccountsError> {
        let account = self.id(&entry.name)?;
        let Some(partition) = profile_partition(&account) else { return Ok(Vec::new()) };
        let look = |draft: &mut Draft<'_>| Ok((draft.read(PROFILE)?, draft.read(ROCKETCHAT_PROFILE)?));
        let slots = [PROFILE.name(), ROCKETCHAT_PROFILE.name()];
        // Without a profile, the account was erased.
        let (Some(profile), user) = self.driver.observe(&partition, &slots, look).await? else {
            return Ok(Vec::new());
        };
        let app_passwords = entry.app_passwords.iter().map(|secret| self.keys.app_password(secret));
        let mut differ = vec![
            ("name", entry.name != profile.name),
            ("email", entry.email != profile.email),
            ("app_passwords", !same(app_passwords, &profile.app_passwords)),
        ];
        differ.extend(self.compare_rocketchat(entry.rocketchat.as_ref(), user.as_ref()));
        let password = match (&entry.login_password, &profile.password) {
            (Some(password), Some(stored)) => {
                !self.passwords.check(&Requester::known(&account), password, Some(stored)).await?
            }
            (entry, stored) => entry.is_some() != stored.is_some(),
        };
        differ.push(("login_password", password));
        Ok(differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect())
    }

    fn compare_rocketchat(
        &self,
        entry: Option<&NewRocketChatUser>,
        stored: Option<&RocketChatProfile>,
    ) -> Vec<(&'static str, bool)> {
        let (Some(entry), Some(stored)) = (entry, stored) else {
            return vec![("rocketchat", entry.is_some() != stored.is_some())];
        };
        let tokens = entry.auth_tokens.iter().map(|secret| self.keys.auth_token(secret));
        vec![
            ("rocketchat.user_id", entry.user_id != stored.user_id),
            ("rocketchat.permissions", entry.permissions != stored.permissions),
            ("rocketchat.verified_emails", entry.verified_emails != stored.verified_emails),
            ("rocketchat.auth_tokens", !same(tokens, &stored.auth_tokens)),
        ]
    }
}

/// Whether both name the same logins, in any order.
fn same(entry: impl Iterator<Item = [u8; 32]>, stored: &[[u8; 32]]) -> bool {
    let (mut entry, mut stored): (Vec<_>, Vec<_>) = (entry.collect(), stored.to_vec());
    entry.sort_unstable();
    stored.sort_unstable();
    entry == stored
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::testing::{alice, new_account, open, secret};

    #[tokio::test]
    async fn what_differs_is_named() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        accounts.seed(&new_account("bob", &["one", "two"])).await.unwrap();
        accounts.seed(&alice()).await.unwrap();
        let same: [&str; 0] = [];
        assert_eq!(accounts.differences(&new_account("bob", &["two", "one"])).await.unwrap(), same);
        assert_eq!(accounts.differences(&alice()).await.unwrap(), same);

        let changed = NewAccount { email: None, login_password: Some(secret("new")), ..new_account("Bob", &["one"]) };
        let named = accounts.differences(&changed).await.unwrap();
        assert_eq!(named, ["name", "email", "app_passwords", "login_password"]);
        let gone = NewAccount { login_password: None, rocketchat: None, ..alice() };
        assert_eq!(accounts.differences(&gone).await.unwrap(), ["rocketchat", "login_password"]);
        let mut changed = alice();
        let user = changed.rocketchat.as_mut().unwrap();
        (user.user_id, user.permissions) = ("other".to_owned(), Vec::new());
        user.verified_emails.clear();
        user.auth_tokens.pop();
        let keys = ["user_id", "permissions", "verified_emails", "auth_tokens"].map(|key| format!("rocketchat.{key}"));
        assert_eq!(accounts.differences(&changed).await.unwrap(), keys);
    }
}
