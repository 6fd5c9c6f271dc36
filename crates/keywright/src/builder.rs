//! Opening: a store, its keyring, and the note that keeps the two together.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keywright_core::{
    Clock, Entropy, KeyId, Keyring, KeyringFileError, LedgerPolicy, SystemClock, SystemEntropy, UnixSeconds,
};
use keywright_store::{
    Driver, LoadError, Observer, SlotKind, SlotKindsError, Timer, TransactError, Upkeep, VaultStore,
};

use crate::housekeeping::stored_horizon;
use crate::{Keywright, key_note};

/// A backend that keeps everything: records, vaults, and its own upkeep. Any type that implements the three ports is one;
/// a backend without a vault becomes one inside [`NoVault`](crate::NoVault).
pub trait Store: VaultStore + Upkeep {}

impl<T: VaultStore + Upkeep> Store for T {}

/// How far ahead of this server's clock a fence may lie, in seconds: it may have been set on a machine whose clock is a
/// little ahead.
const FENCE_SKEW: u64 = 60;

enum Source {
    None,
    File(PathBuf),
    Given(Keyring),
}

/// Opens a [`Keywright`].
#[must_use = "a builder does nothing until `open`"]
pub struct Builder {
    store: Arc<dyn Store>,
    source: Source,
    entropy: Arc<dyn Entropy + Send + Sync>,
    clock: Arc<dyn Clock>,
    ledger_policy: LedgerPolicy,
    observer: Option<Arc<dyn Observer>>,
    commit_limit: Option<(Arc<dyn Timer>, Duration)>,
    load_limit: Option<(Arc<dyn Timer>, Duration)>,
    slots: Vec<SlotKind>,
}

impl Builder {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            source: Source::None,
            entropy: Arc::new(SystemEntropy),
            clock: Arc::new(SystemClock),
            ledger_policy: LedgerPolicy::default(),
            observer: None,
            commit_limit: None,
            load_limit: None,
            slots: crate::slot_kinds(),
        }
    }

    /// Where the keyring file is. It is made, with mode 0600, if it is absent **and** the store is empty. Keep it out of
    /// the database's backups: with a dump alone, nothing that is stored verifies a guess.
    pub fn keyring_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = Source::File(path.into());
        self
    }

    /// A keyring from elsewhere: a secret manager, a test.
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.source = Source::Given(keyring);
        self
    }

    /// Another source of randomness; the operating system's by default.
    pub fn entropy(mut self, entropy: impl Entropy + Send + Sync + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Another clock; the system's by default. Shared, so that a test can set it.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many wrong guesses secrets survive: one policy for the whole server. Default: [`LedgerPolicy::default`].
    pub fn ledger_policy(mut self, policy: LedgerPolicy) -> Self {
        self.ledger_policy = policy;
        self
    }

    /// Who hears of every security event after the commit that wrote it, and of damaged data.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Gives up waiting for a commit after `limit`, by the runtime's timer; what became of it is settled then. Without a
    /// limit, a store that hangs holds the account of a request for as long as it hangs, and everybody who waits for that
    /// account with it. [`COMMIT_SECONDS`](keywright_store::COMMIT_SECONDS) is a good limit. Default: none, because this
    /// crate knows no runtime; with tokio the timer is one line:
    ///
    /// ```
    /// # use std::time::Duration;
    /// use keywright::store::{BoxFuture, COMMIT_SECONDS, Timer};
    ///
    /// #[derive(Debug)]
    /// struct TokioTimer;
    ///
    /// impl Timer for TokioTimer {
    ///     fn wait(&self, duration: Duration) -> BoxFuture<'_, ()> {
    ///         Box::pin(tokio::time::sleep(duration))
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::sync::Arc;
    /// # use keywright::{Keyring, Keywright, MemoryStore, SystemEntropy};
    /// # let (store, keyring) = (MemoryStore::new(), Keyring::generate(&SystemEntropy)?);
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
    /// let limit = Duration::from_secs(COMMIT_SECONDS);
    /// let builder = Keywright::builder(store).keyring(keyring).commit_limit(Arc::new(TokioTimer), limit);
    /// # builder.open().await?;
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn commit_limit(mut self, timer: Arc<dyn Timer>, limit: Duration) -> Self {
        self.commit_limit = Some((timer, limit));
        self
    }

    /// Gives up waiting for a load after `limit`, by the runtime's timer: the request is answered as busy, to be tried again,
    /// and nothing is counted or written. Without a limit, a store that hangs holds each request that reads it, and may hold
    /// an account with it. [`LOAD_SECONDS`](keywright_store::LOAD_SECONDS) is a good limit. Default: none, as for
    /// [`commit_limit`](Self::commit_limit), which takes the same timer; give both.
    pub fn load_limit(mut self, timer: Arc<dyn Timer>, limit: Duration) -> Self {
        self.load_limit = Some((timer, limit));
        self
    }

    /// Kinds of slots that the application itself declares. Those of Keywright's own crates are known.
    pub fn slots(mut self, kinds: &[SlotKind]) -> Self {
        self.slots.extend_from_slice(kinds);
        self
    }

    /// Opens the keyring, sees that it is the one this store was written with, and notes its newest key. Reads one small
    /// file without giving way to other tasks: meant for a server's start.
    ///
    /// # Errors
    /// [`StartError`]. Nothing is overwritten; an operator must act.
    pub async fn open(self) -> Result<Keywright, StartError> {
        let empty = self.store.partitions(None, 1).await.map_err(StartError::Store)?.is_empty();
        let keyring = match self.source {
            Source::None => return Err(StartError::NoKeyring),
            Source::File(path) => Keyring::open_or_create(&path, &*self.entropy, empty)?.0,
            Source::Given(keyring) => keyring,
        };
        let (fence, now) = (keyring.fence(), self.clock.now().map_err(|error| StartError::Note(error.into()))?);
        if fence > now.plus(FENCE_SKEW) {
            return Err(StartError::FutureFence { fence, now });
        }
        let mut builder = Driver::builder(self.store.clone(), Arc::new(keyring))
            .entropy(self.entropy)
            .clock(self.clock)
            .ledger_policy(self.ledger_policy)
            .slots(&self.slots);
        if let Some(observer) = self.observer {
            builder = builder.observer(observer);
        }
        if let Some((timer, limit)) = self.commit_limit {
            builder = builder.commit_limit(timer, limit);
        }
        if let Some((timer, limit)) = self.load_limit {
            builder = builder.load_limit(timer, limit);
        }
        let driver = builder.build()?;
        key_note::note(&driver, empty).await?;
        let horizon = stored_horizon(&*self.store).await.map_err(StartError::Store)?;
        if let Some(horizon) = horizon {
            // It lies in clear in the store: it is believed up to now.
            driver.set_horizon(horizon.min(driver.clock().now().map_err(|error| StartError::Note(error.into()))?));
        }
        Ok(Keywright::new(driver, self.store, horizon))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was told of no keyring.
    #[error("no keyring: name a keyring file, or give one")]
    NoKeyring,
    /// The keyring file cannot be used; absent beside a store that holds data, for one.
    #[error(transparent)]
    Keyring(#[from] KeyringFileError),
    /// The store was written with a key that the keyring lacks. Restore the keyring file that holds it.
    #[error("the keyring lacks the key {0}, which this store was written with: restore the right keyring file")]
    MissingKey(KeyId),
    /// The store was written with another index key: every address and every known client would look new.
    #[error("the keyring has another index key than this store was written with: restore the right keyring file")]
    OtherIndexKey,
    /// The keyring's fence lies in the future. Until then, whatever is made would be void at once: nobody could log in, and
    /// no code would be right. Either the clock is behind, or the fence was set by one that ran ahead.
    #[error(
        "the keyring's fence ({fence}) lies in the future of this server's clock ({now}): set the clock, or set the fence \
         to the moment of the last restore"
    )]
    #[non_exhaustive]
    FutureFence {
        /// The fence.
        fence: UnixSeconds,
        /// What this server's clock says.
        now: UnixSeconds,
    },
    /// The store holds data, but not the note of its keys.
    #[error("the store holds data, but no note of its keys: lost or half-restored data")]
    NoKeyNote,
    /// The kinds of slots do not go together.
    #[error(transparent)]
    Slots(#[from] SlotKindsError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] LoadError),
    /// The keys in use could not be noted.
    #[error("the note of the keys in use failed")]
    Note(#[source] TransactError),
}
