//! A host in memory that does what a real one does: users, login tokens, permissions, a mailbox,
//! keys. It records its calls, and fails or hangs when a test requires it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use keywright_core::{AccountId, Clock, EventKind, ManualClock, SecretString, Severity};
use keywright_rocketchat::queue::{Requester, WorkQueue};
use keywright_rocketchat::{
    Admittance, EndLogins, EndToEndKeys, Endpoint, Host, HostError, IssuedLogin, KeysStored, Login, LoginTokenId, Mail,
    MailError, Named, Peer, Permission, Profile, Quota, SentPassword, User,
};
use keywright_store::{Draft, Driver};
use tokio::sync::Notify;

/// A call of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// A code was mailed to all these.
    Code { to: Vec<String>, code: String },
    /// A notice was mailed.
    Notice { to: Vec<String>, keys: bool },
    /// A mail to an owner who is locked out.
    ShutOut(ShutOut),
    /// Keys were removed and all logins ended.
    RemoveKeys(String),
    /// Logins were ended, but for one.
    EndLogins(String, Option<String>),
    /// One login was ended.
    EndOne(String),
    /// A password was compared.
    Password(String),
    /// A password was compared for a name without an account.
    NobodysPassword,
    /// A user was looked up.
    Find,
}

/// The contents of a mail to an owner who is locked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShutOut {
    pub(crate) to: Vec<String>,
    pub(crate) token: String,
    pub(crate) wrong_guesses: u16,
    pub(crate) refused: Option<String>,
    pub(crate) network: Option<String>,
}

/// What a host writes that uses the driver for itself.
static TOUCHED: EventKind = EventKind::change("touched", Severity::Info, "the host changed the account");

#[derive(Default)]
struct State {
    /// Id to user.
    users: BTreeMap<String, User>,
    /// Token to (id of its user, its own id).
    tokens: BTreeMap<String, (String, String)>,
    permissions: BTreeSet<(AccountId, &'static str)>,
    /// Digests by account.
    passwords: BTreeMap<AccountId, String>,
    calls: Vec<Call>,
    /// End-to-end key pairs by account.
    keys: BTreeMap<AccountId, (String, String)>,
    /// How many tokens were issued.
    issued: usize,
    /// Where a hash waits for its turn, if it does.
    queue: Option<WorkQueue>,
    /// Calls by (address, endpoint) in the present window.
    window: BTreeMap<(String, &'static str), u32>,
}

pub(crate) struct TestHost {
    state: Mutex<State>,
    clock: Arc<ManualClock>,
    /// How many of the next removals and endings fail.
    pub(crate) failures: AtomicUsize,
    /// Whether sending mail fails.
    pub(crate) mail_down: AtomicBool,
    /// Whether mails to owners who are locked out are left to a sweep.
    pub(crate) mail_later: AtomicBool,
    /// The accounts whose mails were announced as due.
    pub(crate) told: Mutex<Vec<AccountId>>,
    /// Whether every look-up fails.
    pub(crate) down: AtomicBool,
    /// Whether passwords cannot be checked.
    pub(crate) broken_hash: AtomicBool,
    /// Whether all users are deactivated.
    pub(crate) inactive: AtomicBool,
    /// Whether requests are counted.
    pub(crate) limited: AtomicBool,
    /// Whether a notice never returns, and what is notified of it.
    pub(crate) mail_hangs: AtomicBool,
    /// Whether a removal never comes back.
    pub(crate) removal_hangs: AtomicBool,
    /// Whether the next question about permissions hangs: the login has been looked up by then.
    pub(crate) permission_hangs: AtomicBool,
    /// Whether the next token hangs before it is issued.
    pub(crate) issuing_hangs: AtomicBool,
    pub(crate) hanging: Notify,
    /// Whether passwords are compared only after a notification.
    pub(crate) slow_hash: AtomicBool,
    pub(crate) go: Notify,
    /// How many logins were found.
    found: AtomicUsize,
    /// The driver that the host's own methods use, on the very account that they are called for.
    driver: Mutex<Option<Driver>>,
    /// What happens when a notice was sent.
    on_notice: Mutex<Option<Box<dyn Fn() + Send>>>,
}

/// Upstream's default.
pub(crate) const LIMIT: u32 = 10;

fn name(permission: Permission) -> &'static str {
    match permission {
        Permission::EditOtherUserE2ee => "edit-other-user-e2ee",
        Permission::EditOtherUserTotp => "edit-other-user-totp",
        Permission::BypassRateLimit => "api-bypass-rate-limit",
        Permission::LogoutOtherUser => "logout-other-user",
        _ => panic!("a new permission"),
    }
}

impl TestHost {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            state: Mutex::default(),
            clock,
            failures: AtomicUsize::new(0),
            mail_down: AtomicBool::new(false),
            mail_later: AtomicBool::new(false),
            told: Mutex::default(),
            down: AtomicBool::new(false),
            broken_hash: AtomicBool::new(false),
            inactive: AtomicBool::new(false),
            limited: AtomicBool::new(false),
            mail_hangs: AtomicBool::new(false),
            removal_hangs: AtomicBool::new(false),
            permission_hangs: AtomicBool::new(false),
            issuing_hangs: AtomicBool::new(false),
            hanging: Notify::new(),
            slow_hash: AtomicBool::new(false),
            go: Notify::new(),
            found: AtomicUsize::new(0),
            driver: Mutex::default(),
            on_notice: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn add_user(&self, id: &str, user: User, digest: &str) {
        let mut state = self.state();
        state.passwords.insert(user.account.clone(), digest.into());
        state.users.insert(id.into(), user);
    }

    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut User)) {
        change(self.state().users.get_mut(id).unwrap());
    }

    pub(crate) fn add_token(&self, id: &str, token: &str) {
        self.state().tokens.insert(token.into(), (id.into(), format!("{token}-id")));
    }

    pub(crate) fn permit(&self, account: &AccountId, permission: Permission) {
        self.state().permissions.insert((account.clone(), name(permission)));
    }

    pub(crate) fn forbid(&self, account: &AccountId, permission: Permission) {
        self.state().permissions.remove(&(account.clone(), name(permission)));
    }

    pub(crate) fn use_driver(&self, driver: Driver) {
        *self.driver.lock().unwrap() = Some(driver);
    }

    /// Changes the account by a driver of the host's own.
    async fn touch(&self, account: &AccountId) {
        let driver = self.driver.lock().unwrap().clone();
        if let Some(driver) = driver {
            let step = |draft: &mut Draft<'_>| {
                draft.event(&TOUCHED);
                Ok(())
            };
            driver.transact(&account.into(), &[], step).await.unwrap();
        }
    }

    pub(crate) fn after_notice(&self, act: impl Fn() + Send + 'static) {
        *self.on_notice.lock().unwrap() = Some(Box::new(act));
    }

    /// From now on a hash waits for its turn.
    pub(crate) fn use_queue(&self, queue: WorkQueue) {
        self.state().queue = Some(queue);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Call) -> bool) -> usize {
        self.state().calls.iter().filter(|call| wanted(call)).count()
    }

    /// How many codes were mailed.
    pub(crate) fn codes(&self) -> usize {
        self.count(|call| matches!(call, Call::Code { .. }))
    }

    /// The code mailed last.
    pub(crate) fn last_code(&self) -> String {
        let calls = self.calls();
        let code = calls.iter().rev().find_map(|call| match call {
            Call::Code { code, .. } => Some(code.clone()),
            _ => None,
        });
        code.unwrap()
    }

    /// The mails to owners who are locked out.
    pub(crate) fn shut_out(&self) -> Vec<ShutOut> {
        let calls = self.calls();
        calls.into_iter().filter_map(|call| if let Call::ShutOut(mail) = call { Some(mail) } else { None }).collect()
    }

    pub(crate) fn notices(&self) -> usize {
        self.count(|call| matches!(call, Call::Notice { .. }))
    }

    /// How often keys were removed.
    pub(crate) fn removals(&self) -> usize {
        self.count(|call| matches!(call, Call::RemoveKeys(_)))
    }

    /// How many logins were found.
    pub(crate) fn logins(&self) -> usize {
        self.found.load(Ordering::SeqCst)
    }

    /// How many tokens were issued.
    pub(crate) fn issued(&self) -> usize {
        self.state().issued
    }

    /// How many tokens a person has.
    pub(crate) fn tokens_of(&self, id: &str) -> usize {
        self.state().tokens.values().filter(|(owner, _)| owner == id).count()
    }

    fn fails(&self) -> Result<(), HostError> {
        let failed = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if failed { Err(HostError::new("told to fail")) } else { Ok(()) }
    }

    fn is_up(&self) -> Result<(), HostError> {
        if self.down.load(Ordering::SeqCst) { Err(HostError::new("told to be down")) } else { Ok(()) }
    }

    fn end_tokens(&self, account: &AccountId, kept: Option<&str>) {
        let mut state = self.state();
        let ids: Vec<String> =
            state.users.iter().filter(|(_, user)| user.account == *account).map(|(id, _)| id.clone()).collect();
        state.tokens.retain(|_, (id, token)| !ids.contains(id) || Some(token.as_str()) == kept);
    }
}

impl Host for TestHost {
    async fn login(&self, user_id: &str, token: &SecretString) -> Result<Option<Login>, HostError> {
        self.is_up()?;
        let state = self.state();
        let Some((id, token_id)) = state.tokens.get(token.expose()).filter(|(id, _)| id == user_id) else {
            return Ok(None);
        };
        self.found.fetch_add(1, Ordering::SeqCst);
        Ok(state.users.get(id).map(|user| Login::new(user.clone(), LoginTokenId(token_id.clone()))))
    }

    async fn resume(&self, token: &SecretString) -> Result<Option<Login>, HostError> {
        self.is_up()?;
        let state = self.state();
        let Some((id, token_id)) = state.tokens.get(token.expose()) else { return Ok(None) };
        Ok(state.users.get(id).map(|user| Login::new(user.clone(), LoginTokenId(token_id.clone()))))
    }

    async fn issue_login(&self, account: &AccountId) -> Result<IssuedLogin, HostError> {
        self.is_up()?;
        if self.issuing_hangs.swap(false, Ordering::SeqCst) {
            self.hanging.notify_one();
            self.go.notified().await;
        }
        let mut state = self.state();
        let id = state.users.iter().find(|(_, user)| user.account == *account).map(|(id, _)| id.clone());
        let id = id.ok_or_else(|| HostError::new("nobody"))?;
        state.issued += 1;
        let token = format!("issued-token-planted-{}", state.issued);
        let token_id = format!("{token}-id");
        state.tokens.insert(token.clone(), (id, token_id.clone()));
        Ok(IssuedLogin::new(LoginTokenId(token_id), SecretString::new(token)))
    }

    async fn profile(&self, account: &AccountId) -> Result<Option<Profile>, HostError> {
        self.is_up()?;
        let state = self.state();
        let found = state.users.iter().find(|(_, user)| user.account == *account);
        Ok(found.map(|(id, user)| {
            let name = user.username.clone().unwrap_or_default();
            let mut profile = Profile::new(id.clone(), name).with_verified_emails(user.verified_emails.clone());
            profile.active = !self.inactive.load(Ordering::SeqCst);
            profile
        }))
    }

    async fn store_keys(
        &self,
        account: &AccountId,
        by: &LoginTokenId,
        keys: &EndToEndKeys,
        replace: bool,
    ) -> Result<KeysStored, HostError> {
        self.is_up()?;
        let mut state = self.state();
        if !state.tokens.values().any(|(_, id)| *id == by.0) {
            return Ok(KeysStored::LoginEnded);
        }
        if state.keys.contains_key(account) && !replace {
            return Ok(KeysStored::Exists);
        }
        state.keys.insert(account.clone(), (keys.public_key.clone(), keys.private_key.expose().into()));
        Ok(KeysStored::Stored)
    }

    async fn fetch_keys(&self, account: &AccountId) -> Result<Option<EndToEndKeys>, HostError> {
        self.is_up()?;
        let keys = self.state().keys.get(account).cloned();
        Ok(keys.map(|(public, private)| EndToEndKeys::new(public, SecretString::new(private))))
    }

    async fn permitted(&self, account: &AccountId, permission: Permission) -> Result<bool, HostError> {
        self.is_up()?;
        if self.permission_hangs.swap(false, Ordering::SeqCst) {
            self.hanging.notify_one();
            self.go.notified().await;
        }
        Ok(self.state().permissions.contains(&(account.clone(), name(permission))))
    }

    async fn find_user(&self, named: Named<'_>) -> Result<Option<User>, HostError> {
        self.is_up()?;
        let mut state = self.state();
        state.calls.push(Call::Find);
        let by_name = |user: &&User, name: &str| {
            user.username.as_deref().is_some_and(|own| own.to_lowercase() == name.to_lowercase())
        };
        Ok(match named {
            Named::Id(id) => state.users.get(id).cloned(),
            Named::Username(name) => state.users.values().find(|user| by_name(user, name)).cloned(),
            Named::EmailOrUsername(name) => state
                .users
                .values()
                .find(|user| by_name(user, name) || user.verified_emails.iter().any(|email| email == name))
                .cloned(),
            Named::Email(email) => {
                state.users.values().find(|user| user.verified_emails.iter().any(|own| own == email)).cloned()
            }
            Named::Account(account) => state.users.values().find(|user| user.account == *account).cloned(),
            _ => panic!("a new way to name a user"),
        })
    }

    async fn check_password(
        &self,
        account: Option<&AccountId>,
        password: SentPassword<'_>,
        requester: &Requester,
    ) -> Result<bool, HostError> {
        let queue = self.state().queue.clone();
        let _turn = match queue {
            Some(queue) => Some(queue.acquire(requester).await?),
            None => None,
        };
        // A real hash takes a while: others run meanwhile.
        tokio::task::yield_now().await;
        if let Some(account) = account {
            self.touch(account).await;
        }
        if self.slow_hash.load(Ordering::SeqCst) {
            self.hanging.notify_one();
            self.go.notified().await;
        }
        if self.broken_hash.load(Ordering::SeqCst) {
            return Err(HostError::new("told to fail"));
        }
        let mut state = self.state();
        let Some(account) = account else {
            state.calls.push(Call::NobodysPassword);
            // Any verdict: it must not count.
            return Ok(true);
        };
        state.calls.push(Call::Password(account.as_str().into()));
        Ok(state.passwords.get(account).is_some_and(|own| own == password.digest().expose()))
    }

    async fn mail(&self, to: &User, mail: Mail<'_>) -> Result<(), MailError> {
        self.touch(&to.account).await;
        if self.mail_hangs.load(Ordering::SeqCst) {
            self.hanging.notify_one();
            std::future::pending::<()>().await;
        }
        if self.mail_down.load(Ordering::SeqCst) {
            return Err(MailError::new("MAIL_ERROR").with_source("told to fail"));
        }
        let to = to.verified_emails.clone();
        let call = match mail {
            Mail::Code { code, expires } => {
                assert!(expires > self.clock.now().unwrap());
                Call::Code { to, code: code.expose().into() }
            }
            Mail::KeysReset => Call::Notice { to, keys: true },
            Mail::TotpReset => Call::Notice { to, keys: false },
            Mail::ShutOut(mail) => {
                assert!(mail.until > self.clock.now().unwrap());
                Call::ShutOut(ShutOut {
                    to,
                    token: mail.token.expose().into(),
                    wrong_guesses: mail.wrong_guesses,
                    refused: mail.refused.as_ref().map(|login| login.0.clone()),
                    network: mail.refused_network.clone(),
                })
            }
            _ => panic!("a new mail"),
        };
        if matches!(call, Call::Notice { .. })
            && let Some(act) = &*self.on_notice.lock().unwrap()
        {
            act();
        }
        self.state().calls.push(call);
        Ok(())
    }

    fn mails_due(&self, account: &AccountId) -> bool {
        self.told.lock().unwrap().push(account.clone());
        self.mail_later.load(Ordering::SeqCst)
    }

    async fn remove_keys(&self, account: &AccountId) -> Result<(), HostError> {
        self.touch(account).await;
        if self.removal_hangs.load(Ordering::SeqCst) {
            self.hanging.notify_one();
            std::future::pending::<()>().await;
        }
        self.fails()?;
        self.end_tokens(account, None);
        self.state().keys.remove(account);
        self.state().calls.push(Call::RemoveKeys(account.as_str().into()));
        Ok(())
    }

    async fn end_logins(&self, account: &AccountId, which: &EndLogins) -> Result<(), HostError> {
        self.touch(account).await;
        self.fails()?;
        let kept = match which {
            EndLogins::OthersThan(token) => Some(token.0.as_str()),
            EndLogins::Only(token) => {
                self.state().tokens.retain(|_, (_, own)| *own != token.0);
                self.state().calls.push(Call::EndOne(token.0.clone()));
                return Ok(());
            }
            _ => None,
        };
        self.end_tokens(account, kept);
        self.state().calls.push(Call::EndLogins(account.as_str().into(), kept.map(String::from)));
        Ok(())
    }

    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        peer.headers.get("x-forwarded-for")?.to_str().ok()?.parse().ok()
    }

    /// Ten in a fixed window of 60 s for an address and an endpoint, counted, then compared.
    fn admit(&self, peer: Peer<'_>, endpoint: Endpoint) -> Admittance {
        if !self.limited.load(Ordering::SeqCst) {
            return Admittance::Uncounted;
        }
        let now = self.clock.now().unwrap().get();
        let left = 60 - now % 60;
        let address = peer.headers.get("x-forwarded-for").map_or("", |value| value.to_str().unwrap()).to_owned();
        let mut state = self.state();
        let calls = state.window.entry((format!("{address}/{}", now / 60), endpoint.path())).or_default();
        *calls += 1;
        let quota = Quota { limit: LIMIT, remaining: LIMIT.saturating_sub(*calls), reset: (now + left) * 1_000 };
        if *calls > LIMIT { Admittance::Full { quota, retry_after: left } } else { Admittance::Counted(quota) }
    }
}
