//! Opening a store with its keyring, after checking that the keyring is the one with which the
//! store was written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keywright_core::{
    Clock, Entropy, EventKind, KeySource, Keyring, KeyringFileError, LedgerPolicy, SecretString, StoreId, SystemClock,
    SystemEntropy,
};
use keywright_store::{Driver, Observer, SlotKind, Store, Timer};

use crate::error::StartError;
use crate::housekeeping::stored_horizon;
use crate::key_note;
use crate::key_sources::{KeyDescriptor, KeyFile, KeyVariable};
use crate::keywright::{Keywright, Opened};
use crate::kinds::event_kinds;
use crate::slots::slot_kinds;

/// How far ahead of this server's clock a fence may be, in seconds. It may have been set on a
/// machine whose clock is a little ahead.
const FENCE_SKEW: u64 = 60;

enum Source {
    None,
    File(PathBuf),
    Descriptor(u32),
    Text(SecretString),
    From(Arc<dyn KeySource>),
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
    event_kinds: Vec<&'static EventKind>,
    #[cfg(feature = "twofactor")]
    two_factor_policy: keywright_twofactor::TwoFactorPolicy,
    #[cfg(feature = "twofactor")]
    code_verifier: Option<Arc<dyn keywright_twofactor::recovery::CodeVerifier>>,
}

impl Keywright {
    /// Returns a builder that opens a store.
    pub fn builder(store: impl Store + 'static) -> Builder {
        Builder::new(Arc::new(store))
    }

    /// Returns a builder that opens a store which the caller continues to use.
    pub fn builder_shared(store: Arc<dyn Store>) -> Builder {
        Builder::new(store)
    }
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
            slots: slot_kinds(),
            event_kinds: event_kinds(),
            #[cfg(feature = "twofactor")]
            two_factor_policy: keywright_twofactor::TwoFactorPolicy::default(),
            #[cfg(feature = "twofactor")]
            code_verifier: None,
        }
    }

    /// Sets the path of the keyring file. The file is created, with mode 0600, if it is absent
    /// **and** the store is empty, and the id of the store is added to it at the first use. A key id
    /// that the keyring lacks makes the server read the file once more. Do not store it in the database's backups: without it, nothing
    /// in a dump of the database can be used to verify a guess.
    pub fn keyring_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.source = Source::File(path.into());
        self
    }

    /// Takes the keyring from a variable of the environment, whose value is the text of a keyring
    /// file. Like any [source](Self::key_source) it is never written to.
    ///
    /// ```no_run
    /// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
    /// use keywright::{Keywright, MemoryStore};
    ///
    /// let keywright = Keywright::builder(MemoryStore::new()).keyring_env("MY_SERVER_KEYRING").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keyring_env(self, name: impl Into<String>) -> Self {
        self.key_source(Arc::new(KeyVariable(name.into())))
    }

    /// Takes the keyring from a file descriptor that was open when the process started, as in
    /// `server 3< keyring.toml`. A file is read again when a key id turns up that the keyring lacks.
    /// A pipe can be read only once, so a key that is added later is not noticed there.
    pub fn keyring_fd(mut self, descriptor: u32) -> Self {
        self.source = Source::Descriptor(descriptor);
        self
    }

    /// Takes the keyring from its text, as [`Keyring::to_text`] returns it and a secret manager
    /// keeps it. It is never read again.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use keywright::{Keyring, Keywright, MemoryStore, SystemEntropy};
    ///
    /// let text = Keyring::generate(&SystemEntropy)?.to_text(); // once: put it into the secret manager
    /// let keywright = Keywright::builder(MemoryStore::new()).keyring_text(text).open().await?;
    /// # let _ = keywright;
    /// # Ok(())
    /// # }
    /// ```
    pub fn keyring_text(mut self, text: SecretString) -> Self {
        self.source = Source::Text(text);
        self
    }

    /// Sets a source of the keyring, such as a secret manager. It is read by [`open`](Self::open),
    /// and once more when a key id turns up that the keyring lacks. Nothing is written to it: once
    /// the store was opened, add its [id](Keywright::store_id) to the keyring there, so that an
    /// empty store beside a used keyring is refused.
    pub fn key_source(mut self, source: Arc<dyn KeySource>) -> Self {
        self.source = Source::From(source);
        self
    }

    /// Sets a keyring that is never read again, from a test for example.
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.source = Source::Given(keyring);
        self
    }

    /// Sets the source of randomness. The default is the operating system's.
    pub fn entropy(mut self, entropy: impl Entropy + Send + Sync + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Sets the clock. The default is the system's. It is shared, so that a test can set it.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how many wrong guesses are checked against a secret, in one policy for the whole
    /// server. The default is [`LedgerPolicy::default`].
    pub fn ledger_policy(mut self, policy: LedgerPolicy) -> Self {
        self.ledger_policy = policy;
        self
    }

    /// Sets the observer, which is notified of every security event after the commit that wrote it,
    /// and of damaged data.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets how long to wait for a commit, by the runtime's timer. After `limit`, the driver finds
    /// out what became of the commit. Without a limit, a store that hangs holds the request's
    /// account for as long as it hangs, and blocks all other requests for that account.
    /// [`COMMIT_SECONDS`](keywright_store::COMMIT_SECONDS) is a good limit.
    ///
    /// There is no limit by default, because this crate depends on no runtime. With tokio, the
    /// timer is one line:
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

    /// Sets how long to wait for a load, by the runtime's timer. After `limit`, the request is
    /// answered as busy, to be tried again, and nothing is counted or written. Without a limit, a
    /// store that hangs holds each request that reads it, and may hold an account with it.
    /// [`LOAD_SECONDS`](keywright_store::LOAD_SECONDS) is a good limit.
    ///
    /// There is no limit by default, as for [`commit_limit`](Self::commit_limit), which takes the
    /// same timer. Set both.
    pub fn load_limit(mut self, timer: Arc<dyn Timer>, limit: Duration) -> Self {
        self.load_limit = Some((timer, limit));
        self
    }

    /// Adds kinds of slots that the application itself declares. Those of Keywright's own crates
    /// need not be added.
    pub fn slots(mut self, kinds: &[SlotKind]) -> Self {
        self.slots.extend_from_slice(kinds);
        self
    }

    /// Adds kinds of events that the application itself declares, so that
    /// [`Keywright::activity`] has their sentences. Those of Keywright's own crates need not be
    /// added.
    pub fn event_kinds(mut self, kinds: &[&'static EventKind]) -> Self {
        self.event_kinds.extend_from_slice(kinds);
        self
    }

    /// Sets the policy of [`Keywright::two_factor`]. The default is
    /// [`TwoFactorPolicy::default`](keywright_twofactor::TwoFactorPolicy).
    #[cfg(feature = "twofactor")]
    pub fn two_factor_policy(mut self, policy: keywright_twofactor::TwoFactorPolicy) -> Self {
        self.two_factor_policy = policy;
        self
    }

    /// Sets what compares recovery codes that were imported as slow hashes, for every service and
    /// protocol of this server. There is none by default, and such codes are refused then.
    ///
    /// The guess ledger admits a guess before the verifier gets it, and nothing of the account is
    /// held up meanwhile.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use keywright::{Keyring, Keywright, MemoryStore, SystemEntropy};
    /// # mod bcrypt { pub fn verify(_: &[u8], _: &str) -> Result<bool, ()> { Ok(false) } }
    /// use std::sync::Arc;
    /// use keywright::store::BoxFuture;
    /// use keywright::twofactor::recovery::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};
    /// use tokio::sync::Semaphore;
    ///
    /// /// How many codes are compared at the same time.
    /// #[derive(Debug)]
    /// struct Bcrypt(Arc<Semaphore>);
    ///
    /// impl CodeVerifier for Bcrypt {
    ///     fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
    ///         Box::pin(async move {
    ///             let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| VerifierUnavailable)?; // 503
    ///             let compare = move || {
    ///                 let _held = permit;
    ///                 job.run(|hash, code| bcrypt::verify(code, hash).unwrap_or(false))
    ///             };
    ///             // A job that panicked was begun: its code counts as wrong.
    ///             Ok(tokio::task::spawn_blocking(compare).await.unwrap_or_else(|_| HashMatch::none()))
    ///         })
    ///     }
    /// }
    ///
    /// # let (store, keyring) = (MemoryStore::new(), Keyring::generate(&SystemEntropy)?);
    /// let verifier = Arc::new(Bcrypt(Arc::new(Semaphore::new(2))));
    /// let keywright = Keywright::builder(store).keyring(keyring).code_verifier(verifier).open().await?;
    /// # let _ = keywright;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "twofactor")]
    pub fn code_verifier(mut self, verifier: Arc<dyn keywright_twofactor::recovery::CodeVerifier>) -> Self {
        self.code_verifier = Some(verifier);
        self
    }

    /// Opens the keyring, checks that it is the one with which this store was written, and records
    /// its newest key. This reads one small file without yielding to other tasks, so it is meant
    /// for a server's start.
    ///
    /// # Errors
    /// Returns [`StartError`] if the store cannot be used with this keyring. Nothing is
    /// overwritten; an operator must act.
    pub async fn open(self) -> Result<Keywright, StartError> {
        let empty = is_empty(&*self.store).await?;
        let (keyring, file) = match self.source {
            Source::None => return Err(StartError::NoKeyring),
            Source::File(path) => {
                let (keyring, _) = Keyring::open_or_create(&path, &*self.entropy, empty)?;
                (keyring.with_source(Arc::new(KeyFile(path.clone()))), Some(path))
            }
            Source::Descriptor(number) => {
                let descriptor = Arc::new(KeyDescriptor::new(number));
                let keyring = descriptor.read()?;
                (if descriptor.is_file() { keyring.with_source(descriptor) } else { keyring }, None)
            }
            Source::Text(text) => (Keyring::from_text(text.expose())?, None),
            Source::From(source) => (source.read()?.with_source(source), None),
            Source::Given(keyring) => (keyring, None),
        };
        let named = keyring.store();
        // Checked again, because another process may have begun the store since.
        if let Some(store) = named
            && empty
            && is_empty(&*self.store).await?
        {
            return Err(StartError::EmptyStore(store));
        }
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
        #[cfg(feature = "twofactor")]
        if let Some(verifier) = self.code_verifier {
            builder = builder.code_verifier(verifier);
        }
        let driver = builder.build()?;
        #[cfg(feature = "twofactor")]
        let two_factor = keywright_twofactor::TwoFactor::new(driver.clone(), self.two_factor_policy)?;
        let store_id = key_note::note(&driver, empty).await?;
        if let Some(path) = file.as_deref().filter(|_| named.is_none()) {
            name_store(path, store_id, &**driver.entropy())?;
        }
        let horizon = stored_horizon(&*self.store).await.map_err(StartError::Store)?;
        if let Some(horizon) = horizon {
            // The horizon is in clear in the store, so it is trusted only up to the present.
            driver.set_horizon(horizon.min(driver.clock().now().map_err(|error| StartError::Note(error.into()))?));
        }
        Ok(Keywright::new(Opened {
            driver,
            store: self.store,
            store_id,
            horizon,
            keyring_file: file,
            #[cfg(feature = "twofactor")]
            two_factor,
            event_kinds: self.event_kinds.into(),
        }))
    }
}

async fn is_empty(store: &dyn Store) -> Result<bool, StartError> {
    Ok(store.partitions(None, 1).await.map_err(StartError::Store)?.is_empty())
}

/// Adds the store's id to the keyring file. A file that this process may only read stays as it is,
/// with a warning.
fn name_store(path: &Path, store: StoreId, entropy: &dyn Entropy) -> Result<(), StartError> {
    let named = Keyring::update(path, entropy, |keyring| match keyring.store() {
        // Another process has done the same at this moment.
        Some(_) => Ok(keyring),
        None => Ok(keyring.with_store(store)),
    });
    match named {
        Ok(_) => Ok(()),
        Err(KeyringFileError::Io(error)) if is_write_protected(&error) => {
            tracing::warn!(
                keyring = %path.display(),
                "the keyring cannot be written, so an empty store beside it would not be noticed: add `store = \"{store}\"`"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn is_write_protected(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

keywright_core::redacted_debug!(Builder { store, .. });
