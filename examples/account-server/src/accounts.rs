//! Who there is: profiles and app passwords, sealed records in the same store.
//!
//! An account's own partition belongs to Keywright, and a reset empties it. So what must outlive a reset lies in the
//! partitions of names: the profile under the login name's index value, an app password under its own. The account's id
//! is `acc-` and the login name's index value: stored nowhere twice, and telling nobody the name.

pub(crate) mod file;
mod password;
mod rocketchat;

use keywright::core::{EntropyError, IndexKey, random_bytes};
use keywright::nextcloud::queue::Asker;
use keywright::nextcloud::{AppToken, AppTokenId, HostError};
use keywright::store::{Draft, LoadError, Partition, Record, Slot, StepError};
use keywright::twofactor::policy::MIN_SECRET_BITS;
use keywright::twofactor::recovery::Preset;
use keywright::twofactor::{SLOTS as FACTORS, TwoFactorPolicy, TwoFactorPolicyError, TwoFactorSteps};
use keywright::{AccountId, Driver, SecretString, SlotKind, TransactError};
use serde::{Deserialize, Serialize};

pub(crate) use file::{NewAccount, NewChat, read};
use password::{PasswordError, PasswordHash, Passwords};
use rocketchat::{CHAT, ChatKeys};

const PROFILE: Slot<Profile> = Slot::lasting("server-profile");
const APP_PASSWORD: Slot<AppPassword> = Slot::lasting("server-app-password");
const ID_PREFIX: &str = "acc-";

/// The kinds of slots that this server declares.
pub(crate) const SLOT_KINDS: &[SlotKind] =
    &[PROFILE.kind(), APP_PASSWORD.kind(), CHAT.kind(), rocketchat::HOLDER.kind(), rocketchat::AUTH_TOKEN.kind()];

/// App passwords are looked up, not throttled, so they must be too long to guess: 128 bits, as 22 characters have in
/// base64. One from the accounts file may be shorter; then the log says so.
const UNGUESSABLE_CHARACTERS: usize = 22;

/// What the server knows of an account.
#[derive(Serialize, Deserialize)]
pub(crate) struct Profile {
    /// As it stands in the accounts file.
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    password: Option<PasswordHash>,
}

impl Record for Profile {
    const SCHEMA: u16 = 1;
}

/// An app password's record: found by its index value, so it need not be compared.
#[derive(Serialize, Deserialize)]
struct AppPassword {
    account: AccountId,
    /// Kept when it has ended, so that nothing brings it back.
    ended: bool,
}

impl Record for AppPassword {
    const SCHEMA: u16 = 1;
}

/// The accounts.
pub(crate) struct Accounts {
    driver: Driver,
    names: IndexKey,
    app_passwords: IndexKey,
    chat: ChatKeys,
    /// Takes second factors over from the accounts file.
    factors: TwoFactorSteps,
    passwords: Passwords,
}

/// What became of an account that was to be seeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seeding {
    /// It was made now.
    Made,
    /// It was made before, and stays as it is.
    Kept,
}

impl Accounts {
    /// # Errors
    /// [`AccountsError`].
    pub(crate) fn new(driver: Driver) -> Result<Self, AccountsError> {
        let keyring = driver.keyring();
        let (names, app_passwords) = (keyring.index("login-name"), keyring.index("app-token"));
        let chat = ChatKeys::new(keyring);
        // `docs/decisions.md` 27c: 80 bits are enough there.
        let policy =
            TwoFactorPolicy::builder().min_secret_bits(MIN_SECRET_BITS).recovery(Preset::RocketChat).build()?;
        let passwords = Passwords::new(&**driver.entropy())?;
        let factors = TwoFactorSteps::new(policy, driver.ledger_policy())?;
        Ok(Self { driver, names, app_passwords, chat, factors, passwords })
    }

    /// Runs steps on the accounts' records.
    pub(crate) const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// The account behind a login name. Upper and lower case of ASCII letters are one name.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn find(&self, login_name: &str) -> Result<Option<AccountId>, AccountsError> {
        let account = self.id(login_name)?;
        Ok(self.profile(&account).await?.map(|_| account))
    }

    /// What is known of an account.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn profile(&self, account: &AccountId) -> Result<Option<Profile>, AccountsError> {
        let Some(partition) = profile_partition(account) else { return Ok(None) };
        Ok(self.driver.observe(&partition, &[PROFILE.name()], |draft| draft.read(PROFILE)).await?)
    }

    /// Whether this is the account's login password. The same work is done where there is none.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn check_password(
        &self,
        account: Option<&AccountId>,
        password: &SecretString,
        asker: &Asker,
    ) -> Result<bool, AccountsError> {
        let profile = match account {
            Some(account) => self.profile(account).await?,
            None => None,
        };
        let stored = profile.as_ref().and_then(|profile| profile.password.as_ref());
        Ok(self.passwords.check(asker, password, stored).await?)
    }

    /// Whose app password this is, and its id, which is its index value in hex digits.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn app_password(&self, secret: &SecretString) -> Result<Option<AppToken>, AccountsError> {
        let index = self.app_password_index(secret);
        let look = |draft: &mut Draft<'_>| draft.read(APP_PASSWORD);
        let found = self.driver.observe(&Partition::name(&index), &[APP_PASSWORD.name()], look).await?;
        let token = |found: AppPassword| {
            let made = if found.ended { AppToken::ended } else { AppToken::new };
            made(found.account, AppTokenId(hex::encode(index)))
        };
        Ok(found.map(token))
    }

    /// Whether an app password is one of this account's and has not ended.
    ///
    /// # Errors
    /// [`AccountsError`].
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

    /// Ends an app password, for good. Returns whether it was alive.
    ///
    /// # Errors
    /// [`AccountsError`].
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

    /// Makes an account, once and never again. The account's own records come last and say that it was seeded, so what
    /// was cut short is done again, and what was done stays: a restart brings nothing back that was spent or ended.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn seed(&self, new: &NewAccount) -> Result<Seeding, AccountsError> {
        let account = self.id(&new.name)?;
        if self.is_seeded(&account).await? {
            return Ok(Seeding::Kept);
        }
        for secret in &new.app_passwords {
            self.add_app_password(&account, &new.name, secret).await?;
        }
        let entropy = &**self.driver.entropy();
        let password = match &new.login_password {
            Some(password) => Some(self.passwords.hash(&Asker::known(&account), password, entropy).await?),
            None => None,
        };
        let chat = match &new.rocketchat {
            Some(chat) => Some(self.prepare_chat(&account, &new.name, chat, new.login_password.as_ref()).await?),
            None => None,
        };
        let profile = Profile { name: new.name.clone(), email: new.email.clone(), password };
        let partition = Partition::name(&self.name_index(&new.name));
        let put = |draft: &mut Draft<'_>| {
            draft.put(PROFILE, &profile)?;
            chat.as_ref().map_or(Ok(()), |chat| draft.put(CHAT, chat))
        };
        self.driver.transact(&partition, &[PROFILE.name(), CHAT.name()], put).await?;
        let make = |draft: &mut Draft<'_>| make_seeded(draft, &self.factors, new.rocketchat.as_ref());
        self.driver.transact(&Partition::account(&account), FACTORS, make).await?;
        tracing::info!(account = %account, "an account was made");
        Ok(Seeding::Made)
    }

    /// Whether an account of this name was seeded before.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) async fn is_known(&self, login_name: &str) -> Result<bool, AccountsError> {
        self.is_seeded(&self.id(login_name)?).await
    }

    /// A fresh secret of 160 bits, for an app password or a login password.
    ///
    /// # Errors
    /// [`AccountsError`].
    pub(crate) fn fresh_secret(&self) -> Result<SecretString, AccountsError> {
        Ok(SecretString::new(hex::encode(random_bytes::<20>(&**self.driver.entropy())?)))
    }

    async fn is_seeded(&self, account: &AccountId) -> Result<bool, AccountsError> {
        match self.driver.observe(&Partition::account(account), &[], |draft| Ok(draft.root()?.seeded)).await {
            Err(TransactError::Step(StepError::NoAccount)) => Ok(false),
            seeded => Ok(seeded?),
        }
    }

    async fn add_app_password(
        &self,
        account: &AccountId,
        name: &str,
        secret: &SecretString,
    ) -> Result<(), AccountsError> {
        warn_if_short(account, secret, "an app password");
        let step = |draft: &mut Draft<'_>| match draft.read(APP_PASSWORD)? {
            Some(found) => Ok(found.account == *account),
            None => {
                let new = AppPassword { account: account.clone(), ended: false };
                draft.put(APP_PASSWORD, &new).map(|()| true)
            }
        };
        let partition = Partition::name(&self.app_password_index(secret));
        let ours = self.driver.transact(&partition, &[APP_PASSWORD.name()], step).await?;
        if ours { Ok(()) } else { Err(AccountsError::Taken { what: "an app password", name: name.to_owned() }) }
    }

    fn name_index(&self, login_name: &str) -> [u8; 32] {
        self.names.mac(&[login_name.to_ascii_lowercase().as_bytes()])
    }

    fn app_password_index(&self, secret: &SecretString) -> [u8; 32] {
        self.app_passwords.mac(&[secret.expose().as_bytes()])
    }

    fn id(&self, login_name: &str) -> Result<AccountId, AccountsError> {
        let id = format!("{ID_PREFIX}{}", hex::encode(self.name_index(login_name)));
        AccountId::new(id).map_err(|_| AccountsError::Id)
    }
}

/// The first root and the second factors, in one commit with the mark that seeding came to its end.
fn make_seeded(draft: &mut Draft<'_>, factors: &TwoFactorSteps, chat: Option<&NewChat>) -> Result<(), StepError> {
    draft.create_account()?;
    if let Some(chat) = chat {
        rocketchat::enrol(draft, factors, chat)?;
    }
    draft.mark_seeded()
}

fn warn_if_short(account: &AccountId, secret: &SecretString, what: &'static str) {
    if secret.expose().chars().count() < UNGUESSABLE_CHARACTERS {
        tracing::warn!(account = %account, "{what} is short enough to be guessed; take 22 random characters");
    }
}

/// `None` for an id that is not of this server's making.
fn profile_partition(account: &AccountId) -> Option<Partition> {
    account.as_str().strip_prefix(ID_PREFIX).and_then(decode).map(|index| Partition::name(&index))
}

fn decode(digits: &str) -> Option<[u8; 32]> {
    let mut index = [0; 32];
    hex::decode_to_slice(digits, &mut index).ok().map(|()| index)
}

/// The accounts cannot be looked up or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsError {
    #[error(transparent)]
    Transact(#[from] TransactError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("{what} of `{name}` is in use by another account")]
    Taken { what: &'static str, name: String },
    #[error(transparent)]
    TwoFactorPolicy(#[from] TwoFactorPolicyError),
    #[error("an account id could not be made")]
    Id,
}

impl AccountsError {
    /// The same, as a protocol's host tells it.
    pub(crate) fn into_host_error(self) -> HostError {
        match self {
            Self::Password(PasswordError::Busy(busy)) => busy.into(),
            error => HostError::new(error),
        }
    }

    /// Whether what is stored of an account is damaged, lost or altered, so that trying again does not help.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Transact(TransactError::Step(error)) => error.is_damage(),
            Self::Transact(TransactError::Load(LoadError::Corrupt(_))) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright::{Keyring, Keywright, MemoryStore, SystemEntropy};

    async fn accounts() -> Accounts {
        let keyring = Keyring::generate(&SystemEntropy).unwrap();
        let keywright = Keywright::builder(MemoryStore::new()).keyring(keyring).slots(SLOT_KINDS).open().await.unwrap();
        Accounts::new(keywright.driver().clone()).unwrap()
    }

    fn secret(text: &str) -> SecretString {
        SecretString::new(text.to_owned())
    }

    fn new(name: &str, app_passwords: &[&str]) -> NewAccount {
        NewAccount {
            name: name.to_owned(),
            email: Some(format!("{name}@example.org")),
            login_password: Some(secret("login")),
            app_passwords: app_passwords.iter().map(|text| secret(text)).collect(),
            rocketchat: None,
        }
    }

    #[tokio::test]
    async fn seeded_once_and_found_by_any_case() {
        let accounts = accounts().await;
        assert!(!accounts.is_known("alice").await.unwrap());
        assert_eq!(accounts.seed(&new("Alice", &["one"])).await.unwrap(), Seeding::Made);
        let alice = accounts.find("aLICE").await.unwrap().unwrap();
        let asker = Asker::known(&alice);
        assert_eq!(accounts.find("alicia").await.unwrap(), None);
        assert_eq!(accounts.profile(&alice).await.unwrap().unwrap().name, "Alice");
        assert!(accounts.check_password(Some(&alice), &secret("login"), &asker).await.unwrap());
        assert!(!accounts.check_password(Some(&alice), &secret("one"), &asker).await.unwrap());
        assert!(!accounts.check_password(None, &secret("login"), &asker).await.unwrap());

        let mut changed = new("alice", &["one", "two"]);
        changed.login_password = Some(secret("other"));
        assert_eq!(accounts.seed(&changed).await.unwrap(), Seeding::Kept);
        assert!(accounts.app_password(&secret("two")).await.unwrap().is_none());
        assert!(accounts.check_password(Some(&alice), &secret("login"), &asker).await.unwrap());
    }

    #[tokio::test]
    async fn an_ended_app_password_stays_ended() {
        let accounts = accounts().await;
        accounts.seed(&new("alice", &["one", "two"])).await.unwrap();
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
        accounts.seed(&new("alice", &["one", "two"])).await.unwrap();
        assert!(!accounts.app_password(&secret("one")).await.unwrap().unwrap().live);
        let two = AppTokenId(hex::encode(accounts.app_password_index(&secret("two"))));
        assert_eq!(accounts.app_password(&secret("two")).await.unwrap(), Some(AppToken::new(alice, two)));
    }

    #[tokio::test]
    async fn seeding_that_was_cut_short_is_done_again() {
        let accounts = accounts().await;
        let alice = accounts.id("alice").unwrap();
        accounts.add_app_password(&alice, "alice", &secret("one")).await.unwrap();
        assert_eq!(accounts.seed(&new("alice", &["one"])).await.unwrap(), Seeding::Made);
        let taken = accounts.seed(&new("bob", &["one"])).await.unwrap_err();
        assert_eq!(taken.to_string(), "an app password of `bob` is in use by another account");
        assert!(accounts.find("bob").await.unwrap().is_none());
    }
}
