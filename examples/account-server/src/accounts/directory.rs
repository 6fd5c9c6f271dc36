//! Looking up accounts, and operations on all of them.

use keywright::core::random_bytes;
use keywright::nextcloud::queue::Requester;
use keywright::nextcloud::{AppToken, AppTokenId};
use keywright::rocketchat::{self, EndLogins};
use keywright::store::{Draft, Partition, StepError};
use keywright::twofactor::policy::MIN_SECRET_BITS;
use keywright::twofactor::recovery::Preset;
use keywright::twofactor::{TwoFactorPolicy, TwoFactorSteps};
use keywright::{AccountId, Driver, SecretString, TransactError};

use crate::accounts::error::AccountsError;
use crate::accounts::keys::{IndexKeys, account_id, decode, profile_partition};
use crate::accounts::password::Passwords;
use crate::accounts::slots::{
    APP_PASSWORD, AppPassword, ISSUED_TOKENS, PROFILE, Profile, ROCKETCHAT_KEYS, ROCKETCHAT_PROFILE,
};
use crate::limits::slow_work::SlowWork;

/// The accounts.
pub(crate) struct Accounts {
    pub(super) driver: Driver,
    pub(super) keys: IndexKeys,
    /// Imports second factors from the accounts file.
    pub(super) factors: TwoFactorSteps,
    pub(super) passwords: Passwords,
}

impl Accounts {
    /// # Errors
    /// An [`AccountsError`] if the random generator fails or the policy is invalid.
    pub(crate) fn new(driver: Driver) -> Result<Self, AccountsError> {
        let keys = IndexKeys::new(driver.keyring());
        // `docs/decisions.md` 27c: 80 bits are enough there.
        let policy =
            TwoFactorPolicy::builder().min_secret_bits(MIN_SECRET_BITS).recovery(Preset::RocketChat).build()?;
        let passwords = Passwords::new(&**driver.entropy())?;
        // The file's factors are those of its Rocket.Chat users.
        let factors = TwoFactorSteps::new(policy, driver.ledger_policy())?.through(rocketchat::ORIGIN);
        Ok(Self { driver, keys, factors, passwords })
    }

    /// Limits slow hashes for unknown clients.
    pub(crate) fn limiting(mut self, work: SlowWork) -> Self {
        self.passwords.limit(work);
        self
    }

    /// The driver that runs steps on the accounts' records.
    pub(crate) const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Returns the account with a login name. Letters are compared without regard to case.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn find(&self, login_name: &str) -> Result<Option<AccountId>, AccountsError> {
        let account = self.id(login_name)?;
        Ok(self.profile(&account).await?.map(|_| account))
    }

    /// Returns the profile of an account.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn profile(&self, account: &AccountId) -> Result<Option<Profile>, AccountsError> {
        let Some(partition) = profile_partition(account) else { return Ok(None) };
        Ok(self.driver.observe(&partition, &[PROFILE.name()], |draft| draft.read(PROFILE)).await?)
    }

    /// Whether this is the account's login password. Where there is no account, the same work is
    /// done.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn check_password(
        &self,
        account: Option<&AccountId>,
        password: &SecretString,
        requester: &Requester,
    ) -> Result<bool, AccountsError> {
        let profile = match account {
            Some(account) => self.profile(account).await?,
            None => None,
        };
        let stored = profile.as_ref().and_then(|profile| profile.password.as_ref());
        Ok(self.passwords.check(requester, password, stored).await?)
    }

    /// Whether a guess at a login password may be checked now.
    ///
    /// # Errors
    /// An [`AccountsError`] if it may not.
    pub(crate) fn admit_guess(&self, requester: &Requester) -> Result<(), AccountsError> {
        Ok(self.passwords.admit(requester)?)
    }

    /// Returns the account of an app password and the password's id, which is its index value in
    /// hex digits.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn app_password(&self, secret: &SecretString) -> Result<Option<AppToken>, AccountsError> {
        let index = self.keys.app_password(secret);
        let look = |draft: &mut Draft<'_>| draft.read(APP_PASSWORD);
        let found = self.driver.observe(&Partition::name(&index), &[APP_PASSWORD.name()], look).await?;
        let token = |found: AppPassword| {
            let made = if found.ended { AppToken::ended } else { AppToken::new };
            made(found.account, AppTokenId(hex::encode(index)))
        };
        Ok(found.map(token))
    }

    /// Whether an app password belongs to this account and has not ended.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn is_live_app_password(
        &self,
        account: &AccountId,
        id: &AppTokenId,
    ) -> Result<bool, AccountsError> {
        let Some(index) = decode(&id.0) else { return Ok(false) };
        let look = |draft: &mut Draft<'_>| draft.read(APP_PASSWORD);
        let found = self.driver.observe(&Partition::name(&index), &[APP_PASSWORD.name()], look).await?;
        Ok(found.is_some_and(|found| found.account == *account && !found.ended))
    }

    /// Ends an app password permanently. Returns whether it was still valid.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn end_app_password(&self, account: &AccountId, id: &AppTokenId) -> Result<bool, AccountsError> {
        let Some(index) = decode(&id.0) else { return Ok(false) };
        let step = |draft: &mut Draft<'_>| match draft.read(APP_PASSWORD)? {
            Some(found) if found.account == *account && !found.ended => {
                draft.put(APP_PASSWORD, &AppPassword { ended: true, ..found }).map(|()| true)
            }
            Some(_) | None => Ok(false),
        };
        Ok(self.driver.transact(&Partition::name(&index), &[APP_PASSWORD.name()], step).await?)
    }

    /// Ends all app passwords and Rocket.Chat logins of an account permanently. Called again, it ends
    /// those that remain.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn end_logins(&self, account: &AccountId) -> Result<(), AccountsError> {
        if let Some(profile) = self.profile(account).await? {
            for index in profile.app_passwords {
                let _was_live = self.end_app_password(account, &AppTokenId(hex::encode(index))).await?;
            }
        }
        self.end_rocketchat_logins(account, &EndLogins::All).await
    }

    /// Drops the profile of an account that is erased. The records of its logins stay, ended, and
    /// so do the claims on its addresses, so that nobody inherits them.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn forget(&self, account: &AccountId) -> Result<(), AccountsError> {
        let Some(partition) = profile_partition(account) else { return Ok(()) };
        let step = |draft: &mut Draft<'_>| {
            draft.delete(PROFILE)?;
            draft.delete(ROCKETCHAT_PROFILE)?;
            draft.delete(ROCKETCHAT_KEYS)?;
            draft.delete(ISSUED_TOKENS)
        };
        let slots = [PROFILE.name(), ROCKETCHAT_PROFILE.name(), ROCKETCHAT_KEYS.name(), ISSUED_TOKENS.name()];
        Ok(self.driver.transact(&partition, &slots, step).await?)
    }

    /// Whether an account with this name was seeded earlier.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) async fn is_known(&self, login_name: &str) -> Result<bool, AccountsError> {
        self.is_seeded(&self.id(login_name)?).await
    }

    /// Returns a fresh secret of 160 bits, for an app password or a login password.
    ///
    /// # Errors
    /// An [`AccountsError`] if the accounts cannot be read or changed.
    pub(crate) fn fresh_secret(&self) -> Result<SecretString, AccountsError> {
        Ok(SecretString::new(hex::encode(random_bytes::<20>(&**self.driver.entropy())?)))
    }

    pub(super) async fn is_seeded(&self, account: &AccountId) -> Result<bool, AccountsError> {
        match self.driver.observe(&Partition::account(account), &[], |draft| Ok(draft.root()?.seeded)).await {
            Err(TransactError::Step(StepError::NoAccount)) => Ok(false),
            seeded => Ok(seeded?),
        }
    }

    pub(super) fn id(&self, login_name: &str) -> Result<AccountId, AccountsError> {
        account_id(&self.keys.login_name(login_name)).ok_or(AccountsError::Id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::seed::Seeding;
    use crate::accounts::testing::{new_account, open, secret};

    #[tokio::test]
    async fn seeded_once_and_found_by_any_case() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        assert!(!accounts.is_known("alice").await.unwrap());
        assert_eq!(accounts.seed(&new_account("Alice", &["one"])).await.unwrap(), Seeding::Made);
        let alice = accounts.find("aLICE").await.unwrap().unwrap();
        let requester = Requester::known(&alice);
        assert_eq!(accounts.find("alicia").await.unwrap(), None);
        accounts.seed(&new_account("Äöü", &[])).await.unwrap();
        assert!(accounts.find("äÖÜ").await.unwrap().is_some());
        assert_eq!(accounts.profile(&alice).await.unwrap().unwrap().name, "Alice");
        assert!(accounts.check_password(Some(&alice), &secret("login"), &requester).await.unwrap());
        assert!(!accounts.check_password(Some(&alice), &secret("one"), &requester).await.unwrap());
        assert!(!accounts.check_password(None, &secret("login"), &requester).await.unwrap());

        let mut changed = new_account("alice", &["one", "two"]);
        changed.login_password = Some(secret("other"));
        assert_eq!(accounts.seed(&changed).await.unwrap(), Seeding::Kept);
        assert!(accounts.app_password(&secret("two")).await.unwrap().is_none());
        assert!(accounts.check_password(Some(&alice), &secret("login"), &requester).await.unwrap());
    }

    #[tokio::test]
    async fn an_ended_app_password_stays_ended() {
        let accounts = Accounts::new(open().await.driver().clone()).unwrap();
        accounts.seed(&new_account("alice", &["one", "two"])).await.unwrap();
        let AppToken { account: alice, id, live: true, .. } =
            accounts.app_password(&secret("one")).await.unwrap().unwrap()
        else {
            panic!("a fresh app password has ended")
        };
        let stranger = AccountId::new("acc-00").unwrap();
        assert!(!accounts.end_app_password(&stranger, &id).await.unwrap());
        assert!(accounts.end_app_password(&alice, &id).await.unwrap());
        assert!(!accounts.end_app_password(&alice, &id).await.unwrap(), "idempotent");
        assert!(!accounts.end_app_password(&alice, &AppTokenId("no id".to_owned())).await.unwrap());
        accounts.seed(&new_account("alice", &["one", "two"])).await.unwrap();
        assert!(!accounts.app_password(&secret("one")).await.unwrap().unwrap().live);
        let two = AppTokenId(hex::encode(accounts.keys.app_password(&secret("two"))));
        assert_eq!(accounts.app_password(&secret("two")).await.unwrap(), Some(AppToken::new(alice, two)));
    }
}
