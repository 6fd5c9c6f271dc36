//! A host in memory that does what a real one does: names folded to ids, app tokens, a login
//! password. It records its calls, and fails or hangs when a test requires it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use keywright_core::{AccountId, SecretString};
use keywright_nextcloud::queue::{Requester, WorkQueue};
use keywright_nextcloud::{
    Admittance, AppToken, AppTokenId, Endpoint, Erasure, GuessedSecret, Host, HostError, Login, Peer, Settings,
    UnlockMail, Unproven,
};
use keywright_store::{Driver, Partition, SlotName};
use keywright_testing::{Outbox, Store};
use tokio::sync::Notify;

/// A call of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// A login password was compared.
    Password(Option<String>),
    /// A token was ended.
    EndToken(String, String),
    /// An account's data was erased.
    Erase(String),
    /// An account's owner was mailed a link.
    Mail(String),
}

struct User {
    account: AccountId,
    password: String,
}

#[derive(Default)]
struct State {
    users: BTreeMap<String, User>,
    /// Secret to (account, id).
    tokens: BTreeMap<String, (AccountId, String)>,
    ended: BTreeSet<String>,
    calls: Vec<Call>,
    /// Where a hash waits for its turn, if it does.
    queue: Option<WorkQueue>,
    /// The settings that the host has, and those that were set; none if it keeps none.
    settings: Option<(Settings, Settings)>,
}

/// A mail that was sent.
pub(crate) struct Mailed {
    pub(crate) secret: GuessedSecret,
    pub(crate) token: SecretString,
    pub(crate) wrong_guesses: u16,
    pub(crate) refused_network: Option<String>,
}

#[derive(Default)]
pub(crate) struct TestHost {
    state: Mutex<State>,
    mails: Outbox<Mailed>,
    /// How many of the next erasures and endings fail.
    pub(crate) failures: AtomicUsize,
    /// Whether an erasure never comes back.
    pub(crate) hangs: AtomicBool,
    /// Notified when an erasure hangs.
    pub(crate) hanging: Notify,
    /// Whether `permit` refuses.
    pub(crate) forbids: AtomicBool,
    /// Whether every look-up fails.
    pub(crate) down: AtomicBool,
    /// Whether a password check waits until `hashed` is notified.
    pub(crate) slow_hash: AtomicBool,
    pub(crate) hashed: Notify,
    /// How many passwords are being compared.
    pub(crate) hashing: AtomicUsize,
    /// Whether passwords cannot be checked.
    pub(crate) broken_hash: AtomicBool,
    /// Whether a token is found without a check of whose it is.
    pub(crate) careless: AtomicBool,
    /// Seconds that `admit` refuses with; 0 admits everyone.
    pub(crate) limit: AtomicU64,
    /// Where the host looks whether the commit came before its own work.
    watched: Mutex<Option<Arc<dyn Store>>>,
    /// A driver that the host uses on the very account of the call.
    pub(crate) driver: Mutex<Option<Driver>>,
    /// Erasures that found a challenge still stored: there must be none.
    pub(crate) too_early: AtomicUsize,
}

impl TestHost {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn watch(&self, store: Arc<dyn Store>) {
        *self.watched.lock().unwrap() = Some(store);
    }

    pub(crate) fn add_user(&self, name: &str, account: &AccountId, password: &str) {
        let user = User { account: account.clone(), password: password.into() };
        self.state().users.insert(name.to_lowercase(), user);
    }

    pub(crate) fn add_token(&self, account: &AccountId, id: &str, secret: &str) {
        self.state().tokens.insert(secret.into(), (account.clone(), id.into()));
    }

    /// From now on a hash waits for its turn.
    pub(crate) fn use_queue(&self, queue: WorkQueue) {
        self.state().queue = Some(queue);
    }

    /// From now on the host has settings of its own, and stores those that are set.
    pub(crate) fn use_settings(&self, settings: Settings) {
        self.state().settings = Some((settings, Settings::new()));
    }

    /// The names of the settings that were set.
    pub(crate) fn set_names(&self) -> Vec<String> {
        let state = self.state();
        let set = state.settings.as_ref().map(|(_, set)| set.iter().map(|(name, _)| name.to_owned()).collect());
        set.unwrap_or_default()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Call) -> bool) -> usize {
        self.state().calls.iter().filter(|call| wanted(call)).count()
    }

    pub(crate) fn erasures(&self) -> usize {
        self.count(|call| matches!(call, Call::Erase(_)))
    }

    pub(crate) fn passwords_compared(&self) -> usize {
        self.count(|call| matches!(call, Call::Password(_)))
    }

    pub(crate) fn ended(&self) -> Vec<String> {
        self.state().ended.iter().cloned().collect()
    }

    /// The mails sent so far; they are taken.
    pub(crate) fn mails(&self) -> Vec<Mailed> {
        self.mails.take()
    }

    /// Commits something to the account, as a host may in any of its methods.
    async fn use_driver(&self, account: Option<&AccountId>) -> Result<(), HostError> {
        let driver = self.driver.lock().unwrap().clone();
        let (Some(driver), Some(account)) = (driver, account) else { return Ok(()) };
        driver.transact(&account.into(), &[], |draft| draft.mark_seeded()).await.map_err(HostError::new)
    }

    fn fails(&self) -> Result<(), HostError> {
        let failed = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if failed { Err(HostError::new("told to fail")) } else { Ok(()) }
    }

    fn is_up(&self) -> Result<(), HostError> {
        if self.down.load(Ordering::SeqCst) { Err(HostError::new("told to be down")) } else { Ok(()) }
    }
}

impl Host for TestHost {
    async fn account(&self, login_name: &str) -> Result<Option<AccountId>, HostError> {
        self.is_up()?;
        Ok(self.state().users.get(&login_name.to_lowercase()).map(|user| user.account.clone()))
    }

    async fn app_token(
        &self,
        account: Option<&AccountId>,
        secret: &SecretString,
    ) -> Result<Option<AppToken>, HostError> {
        let state = self.state();
        let found = state.tokens.get(secret.expose());
        Ok(found
            .filter(|(owner, _)| self.careless.load(Ordering::SeqCst) || account.is_none_or(|account| account == owner))
            .map(|(owner, id)| {
                let made = if state.ended.contains(id) { AppToken::ended } else { AppToken::new };
                made(owner.clone(), AppTokenId(id.clone()))
            }))
    }

    async fn check_password(
        &self,
        account: Option<&AccountId>,
        password: &SecretString,
        requester: &Requester,
    ) -> Result<bool, HostError> {
        let queue = self.state().queue.clone();
        let _turn = match queue {
            Some(queue) => Some(queue.acquire(requester).await?),
            None => None,
        };
        // A real hash takes a while: others run meanwhile.
        tokio::task::yield_now().await;
        if self.slow_hash.load(Ordering::SeqCst) {
            let hashed = self.hashed.notified();
            self.hashing.fetch_add(1, Ordering::SeqCst);
            hashed.await;
            self.hashing.fetch_sub(1, Ordering::SeqCst);
        }
        if self.broken_hash.load(Ordering::SeqCst) {
            return Err(HostError::new("told to fail"));
        }
        self.use_driver(account).await?;
        let mut state = self.state();
        state.calls.push(Call::Password(account.map(|account| account.as_str().into())));
        Ok(state.users.values().any(|user| Some(&user.account) == account && user.password == password.expose()))
    }

    async fn end_app_token(&self, account: &AccountId, token: &AppTokenId) -> Result<(), HostError> {
        self.fails()?;
        let mut state = self.state();
        state.calls.push(Call::EndToken(account.as_str().into(), token.0.clone()));
        state.ended.insert(token.0.clone());
        Ok(())
    }

    async fn erase_data(&self, account: &AccountId, _: &Erasure) -> Result<(), HostError> {
        if self.hangs.load(Ordering::SeqCst) {
            self.hanging.notify_one();
            std::future::pending::<()>().await;
        }
        self.fails()?;
        let watched = self.watched.lock().unwrap().clone();
        if let Some(store) = watched {
            let challenge = SlotName::parse("challenge").map_err(HostError::new)?;
            let loaded = store.load(&Partition::account(account), &[challenge]).await.map_err(HostError::new)?;
            if loaded.records.iter().any(Option::is_some) {
                self.too_early.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.use_driver(Some(account)).await?;
        self.state().calls.push(Call::Erase(account.as_str().into()));
        Ok(())
    }

    async fn send_unlock_mail(&self, account: &AccountId, mail: &UnlockMail) -> Result<(), HostError> {
        self.fails()?;
        let token = SecretString::new(mail.token.expose().into());
        self.state().calls.push(Call::Mail(account.as_str().into()));
        let mail = Mailed {
            secret: mail.secret,
            token,
            wrong_guesses: mail.wrong_guesses,
            refused_network: mail.refused_network.clone(),
        };
        self.mails.send(mail).map_err(HostError::new)
    }

    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        peer.extensions.get::<IpAddr>().copied()
    }

    fn admit(&self, _: &AccountId, _: Endpoint) -> Admittance {
        match self.limit.load(Ordering::SeqCst) {
            0 => Admittance::Open,
            retry_after => Admittance::Full { retry_after },
        }
    }

    async fn settings(&self, _: &AccountId) -> Result<Settings, HostError> {
        self.is_up()?;
        let state = self.state();
        let Some((own, set)) = &state.settings else { return Ok(Settings::new()) };
        Ok(own.iter().chain(set.iter()).map(|(name, value)| (name.to_owned(), value.clone())).collect())
    }

    async fn set_settings(&self, _: &AccountId, settings: &Settings) -> Result<Option<Settings>, HostError> {
        let mut state = self.state();
        let Some((_, set)) = &mut state.settings else { return Ok(None) };
        *set = set.iter().chain(settings.iter()).map(|(name, value)| (name.to_owned(), value.clone())).collect();
        Ok(Some(set.clone()))
    }

    async fn reset_settings(&self, _: &AccountId, names: &[&str]) -> Result<Option<Settings>, HostError> {
        let mut state = self.state();
        let Some((own, set)) = &mut state.settings else { return Ok(None) };
        let left = set.iter().filter(|(name, _)| !names.contains(name));
        *set = left.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        Ok(Some(own.clone()))
    }

    async fn permit(&self, _: &AccountId, _: &Login, _: Unproven) -> Result<bool, HostError> {
        Ok(!self.forbids.load(Ordering::SeqCst))
    }
}
