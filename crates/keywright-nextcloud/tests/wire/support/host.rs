//! A host in memory that does what a real one does: names folded to ids, app tokens, a login password. It records what
//! it was asked to do, and fails or hangs when told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use keywright_core::{AccountId, SecretString};
use keywright_nextcloud::{Admittance, AppToken, AppTokenId, Endpoint, Erasure, Host, HostError, Login, Unproven};
use keywright_store::{Partition, Slot};
use tokio::sync::Notify;

use super::Store;

/// Something the host did, or was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// A login password was compared.
    Password(Option<String>),
    /// A token was ended.
    EndToken(String, String),
    /// An account's data was erased.
    Erase(String),
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
}

#[derive(Default)]
pub(crate) struct TestHost {
    state: Mutex<State>,
    /// How many of the next erasures and endings fail.
    pub(crate) failures: AtomicUsize,
    /// Whether an erasure never comes back.
    pub(crate) hangs: AtomicBool,
    /// Told when an erasure hangs.
    pub(crate) hanging: Notify,
    /// Whether `permit` says no.
    pub(crate) forbids: AtomicBool,
    /// Whether every look-up fails.
    pub(crate) down: AtomicBool,
    /// Whether passwords cannot be checked.
    pub(crate) broken_hash: AtomicBool,
    /// Whether a token is found without a look at whose it is.
    pub(crate) careless: AtomicBool,
    /// Seconds that `admit` refuses with; 0 lets everyone in.
    pub(crate) limit: AtomicU64,
    /// Where the host looks whether the commit came before its own work.
    watched: Mutex<Option<Arc<dyn Store>>>,
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

    async fn check_password(&self, account: Option<&AccountId>, password: &SecretString) -> Result<bool, HostError> {
        // A real hash takes a while: others run meanwhile.
        tokio::task::yield_now().await;
        if self.broken_hash.load(Ordering::SeqCst) {
            return Err(HostError::new("told to fail"));
        }
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
            let loaded = store.load(&Partition::account(account), &[Slot::Challenge]).await.map_err(HostError::new)?;
            if loaded.iter().any(Option::is_some) {
                self.too_early.fetch_add(1, Ordering::SeqCst);
            }
        }
        self.state().calls.push(Call::Erase(account.as_str().into()));
        Ok(())
    }

    fn admit(&self, _: &AccountId, _: Endpoint) -> Admittance {
        match self.limit.load(Ordering::SeqCst) {
            0 => Admittance::Open,
            retry_after => Admittance::Full { retry_after },
        }
    }

    async fn permit(&self, _: &AccountId, _: &Login, _: Unproven) -> Result<bool, HostError> {
        Ok(!self.forbids.load(Ordering::SeqCst))
    }
}
