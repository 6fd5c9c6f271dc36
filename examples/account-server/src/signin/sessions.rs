//! The sessions of the pages. They are kept in memory, so a restart ends them.
//!
//! A session belongs to the credential epoch in which it was opened: a change of password or of
//! factors ends every session except for the one that made the change.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keywright::core::random_bytes;
use keywright::store::Draft;
use keywright::{AccountId, Clock, Driver, SecretString, SessionId, TransactError, UnixSeconds};
use sha2::{Digest, Sha256};

/// How long a session lasts, in seconds: half a day. NIST SP 800-63B-4 § 2.2.3 allows 24 hours.
pub(crate) const SESSION_SECONDS: u64 = 12 * 60 * 60;
/// How long a log-in may wait for its code, in seconds.
pub(crate) const WAITING_SECONDS: u64 = 10 * 60;
/// The most sessions of an account. One more ends the oldest.
const PER_ACCOUNT: usize = 20;
/// The most log-ins that wait for a code, on the whole server. One more drops the oldest.
const WAITING: usize = 10_000;

/// A session, or a log-in that waits for its code.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    epoch: u64,
    expires: UnixSeconds,
}

impl Session {
    /// Returns a session that begins in a credential epoch.
    pub(crate) const fn new(account: AccountId, name: String, epoch: u64, expires: UnixSeconds) -> Self {
        Self { account, name, epoch, expires }
    }

    /// Returns the session that a log-in becomes when its code was right.
    pub(crate) fn opened(self, now: UnixSeconds) -> Self {
        Self { expires: now.plus(SESSION_SECONDS), ..self }
    }
}

type Key = [u8; 32];

/// The sessions of all accounts.
pub(crate) struct Sessions {
    driver: Driver,
    open: Mutex<HashMap<Key, Session>>,
    waiting: Mutex<HashMap<Key, Session>>,
}

impl Sessions {
    pub(crate) fn new(driver: Driver) -> Self {
        Self { driver, open: Mutex::default(), waiting: Mutex::default() }
    }

    /// Returns a token for a session to come.
    ///
    /// # Errors
    /// A [`TransactError`] if the random generator fails.
    pub(crate) fn token(&self) -> Result<SecretString, TransactError> {
        let bytes = random_bytes::<32>(&**self.driver.entropy()).map_err(keywright::store::StepError::from)?;
        Ok(SecretString::new(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &**self.driver.clock()
    }

    /// Opens a session under a token.
    pub(crate) fn open(&self, token: &SecretString, session: Session) {
        let mut open = lock(&self.open);
        loop {
            let own = open.iter().filter(|(_, other)| other.account == session.account);
            let (count, oldest) = (own.clone().count(), own.min_by_key(|(_, other)| other.expires));
            match oldest.map(|(key, _)| *key) {
                Some(key) if count >= PER_ACCOUNT => drop(open.remove(&key)),
                _ => break,
            }
        }
        open.insert(key(token), session);
    }

    /// Keeps a log-in until its code comes.
    pub(crate) fn wait(&self, token: &SecretString, login: Session, now: UnixSeconds) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= WAITING {
            waiting.retain(|_, other| now < other.expires);
        }
        if waiting.len() >= WAITING
            && let Some(oldest) = waiting.iter().min_by_key(|(_, other)| other.expires).map(|(key, _)| *key)
        {
            waiting.remove(&oldest);
        }
        waiting.insert(key(token), login);
    }

    /// Returns the log-in that waits under a token.
    ///
    /// # Errors
    /// A [`TransactError`] if the account cannot be read.
    pub(crate) async fn waiting(&self, token: &SecretString) -> Result<Option<Session>, TransactError> {
        let found = lock(&self.waiting).get(&key(token)).cloned();
        self.current(found).await
    }

    /// Drops the log-in that waits under a token. Returns whether there was one: of two requests
    /// with the same token, one gets it.
    pub(crate) fn waited(&self, token: &SecretString) -> bool {
        lock(&self.waiting).remove(&key(token)).is_some()
    }

    /// Returns the session under a token.
    ///
    /// # Errors
    /// A [`TransactError`] if the account cannot be read.
    pub(crate) async fn find(&self, token: &SecretString) -> Result<Option<Session>, TransactError> {
        let found = lock(&self.open).get(&key(token)).cloned();
        self.current(found).await
    }

    /// Ends the session that has this id.
    pub(crate) fn end(&self, account: &AccountId, id: SessionId) {
        lock(&self.open).retain(|key, session| session.account != *account || session_id(key) != id);
    }

    /// Ends all other sessions of an account. This one stays, in the epoch that its own change has
    /// begun. If the account is in a later one, somebody else has ended this session too.
    pub(crate) fn end_others(&self, account: &AccountId, id: SessionId, epoch: u64) {
        lock(&self.waiting).retain(|_, login| login.account != *account);
        lock(&self.open).retain(|key, session| {
            if session.account != *account {
                return true;
            }
            session.epoch = epoch;
            session_id(key) == id
        });
    }

    /// Returns the session if it has neither expired nor been ended by a move of the epoch.
    async fn current(&self, found: Option<Session>) -> Result<Option<Session>, TransactError> {
        let Some(found) = found else { return Ok(None) };
        let look = |draft: &mut Draft<'_>| Ok((draft.now(), draft.root()?.epochs().credential));
        let (now, epoch) = self.driver.observe(&(&found.account).into(), &[], look).await?;
        Ok((now < found.expires && epoch == found.epoch).then_some(found))
    }
}

/// Returns the id of the session under a token, as the library names it.
pub(crate) fn id_of(token: &SecretString) -> SessionId {
    session_id(&key(token))
}

/// Returns the bytes by which the guess ledger knows the client that presents a token.
pub(crate) fn credential(token: &SecretString) -> Vec<u8> {
    [b"selfservice/".as_slice(), &key(token)].concat()
}

fn session_id(key: &Key) -> SessionId {
    SessionId::new([b"selfservice/".as_slice(), key].concat())
}

/// Tokens are looked up by their digest, so the time of a look-up reveals nothing about them.
fn key(token: &SecretString) -> Key {
    Sha256::digest(token.expose()).into()
}

fn lock(sessions: &Mutex<HashMap<Key, Session>>) -> MutexGuard<'_, HashMap<Key, Session>> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}
