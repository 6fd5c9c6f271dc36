//! The driver loads, runs the step, commits by one compare-and-set, and only then returns the
//! outcome.
//!
//! All guarantees about races and lost replies are implemented here and by the one guard, so that
//! every feature has them on every backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywright_core::{
    AccountId, ClientTag, Clock, ClockError, Entropy, EntropyError, Keyring, LedgerPolicy, SecurityEvent, UnixSeconds,
};

use crate::draft::{Draft, Env};
use crate::due::list::DUE;
use crate::loaded::Loaded;
use crate::locks::PartitionLocks;
use crate::partition::{Partition, client_tag};
use crate::port::{BoxError, BoxFuture, LoadError, RecordStore, Shortage};
use crate::release::{Release, WrongReceipt};
use crate::slot::{SlotKinds, SlotName};
use crate::step_error::StepError;
use crate::verifier::CodeVerifier;

mod attempt;
mod builder;
mod comparison;
mod log;
mod measure;
mod operation;
mod strays;

pub use builder::DriverBuilder;
pub use log::{EventCursor, EventPage};

/// How often a step is run again after a conflict before the driver returns
/// [`TransactError::Busy`]. Within one process conflicts are rare, because it makes only one commit
/// per partition at a time; this number matters for races between servers.
pub const MAX_RERUNS: u32 = 16;

/// The name of operations without one.
pub(crate) const OTHER: &str = "other";

/// How many commits of the owner and of known clients may wait for one partition in one process.
/// One more gets [`TransactError::Busy`].
pub const MAX_WAITING: usize = 2_048;

/// How many guesses of unknown clients may wait for one partition in one process, behind all
/// others.
pub const MAX_WAITING_UNKNOWN: usize = 64;

/// How long events are kept, in seconds, by default: 400 days.
pub const EVENTS_KEPT: u64 = 400 * 86_400;

/// Receives every security event after the commit that wrote it, and reports of damaged data. Use
/// it for a log, a metric, or a mail to the owner.
///
/// It is called on the request's path, so it must return quickly. It must not use the driver: what
/// it does there itself fails with [`StepError::Misuse`]. A task that it spawns may.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Called after an event was written.
    fn event(&self, account: &AccountId, event: &SecurityEvent);

    /// Called when a partition's data is damaged, lost or altered, and the request was denied. An
    /// operator must investigate.
    fn damage(&self, partition: &Partition, error: &StepError) {
        let _ = (partition, error);
    }
}

/// A good limit for the wait for the answer to a commit, in seconds. After that time, the driver
/// finds out by further reads whether the commit happened.
pub const COMMIT_SECONDS: u64 = 2;

/// A good limit for the wait for a load, in seconds: the same as for a commit.
pub const LOAD_SECONDS: u64 = COMMIT_SECONDS;

/// A timer, which the host implements, because this crate depends on no async runtime. With tokio,
/// it is one line around `tokio::time::sleep`.
pub trait Timer: std::fmt::Debug + Send + Sync {
    /// Completes after `duration`.
    fn wait(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// Runs steps on a store, and commits their results. It is cheap to clone; a server needs one.
#[derive(Clone)]
pub struct Driver {
    parts: Arc<Parts>,
    /// What its spans and metrics call its operations.
    operation: &'static str,
    /// Compares codes of which only slow hashes are kept.
    code_verifier: Option<Arc<dyn CodeVerifier>>,
}

struct Parts {
    store: Arc<dyn RecordStore>,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy + Send + Sync>,
    clock: Arc<dyn Clock>,
    ledger_policy: LedgerPolicy,
    kinds: Option<SlotKinds>,
    observer: Option<Arc<dyn Observer>>,
    events_kept: u64,
    deadline: Option<(Arc<dyn Timer>, Duration)>,
    load_deadline: Option<(Arc<dyn Timer>, Duration)>,
    locks: Arc<PartitionLocks>,
    /// The store's horizon, as it was last read.
    horizon: AtomicU64,
    /// The furthest horizon that this process has read.
    furthest: AtomicU64,
}

impl Driver {
    /// Creates a driver over a store, with the default policy and any kind of slot. It is for tests
    /// and small tools.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it does not panic")]
    pub fn new(
        store: Arc<dyn RecordStore>,
        keyring: Arc<Keyring>,
        entropy: Arc<dyn Entropy + Send + Sync>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let builder = Self::builder(store, keyring).entropy(entropy).clock(clock);
        #[expect(clippy::expect_used, reason = "only declared kinds can disagree, and none are declared")]
        builder.build().expect("a driver without declared kinds")
    }

    /// Returns this driver with a name for its operations: `two_factor.verify_totp`, for example.
    /// The name appears in spans and metrics, so it must come from a small set. Without one, an
    /// operation is called `other`.
    #[must_use]
    pub fn named(&self, operation: &'static str) -> Self {
        Self { operation, ..self.clone() }
    }

    /// Returns this driver with a verifier of codes of which only slow hashes are kept. Every step
    /// that the returned driver and its clones run has it; see [`hashed`](crate::hashed).
    #[must_use]
    pub fn with_code_verifier(&self, verifier: Arc<dyn CodeVerifier>) -> Self {
        Self { code_verifier: Some(verifier), ..self.clone() }
    }

    /// Whether the driver has a verifier of codes of which only slow hashes are kept.
    #[must_use]
    pub const fn has_code_verifier(&self) -> bool {
        self.code_verifier.is_some()
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RecordStore> {
        &self.parts.store
    }

    /// Returns the keyring.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.parts.keyring
    }

    /// Returns the source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy + Send + Sync> {
        &self.parts.entropy
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// Returns the ledger policy.
    #[must_use]
    pub fn ledger_policy(&self) -> &LedgerPolicy {
        &self.parts.ledger_policy
    }

    /// Returns how long events are kept, in seconds.
    #[must_use]
    pub fn events_kept(&self) -> u64 {
        self.parts.events_kept
    }

    /// Returns the tag by which the guess ledger identifies a client of an account. `credential` is
    /// an app token, a login token, or, for a log-in without one, the network. A client becomes
    /// known for a secret by its first right guess.
    #[must_use]
    pub fn client_tag(&self, account: &AccountId, credential: &[u8]) -> ClientTag {
        client_tag(&self.parts.keyring, &account.into(), credential)
    }

    /// Sets the store's horizon as the driver should use it. Housekeeping calls this each time it
    /// has moved the horizon. Until the first call, no expired entry is removed from a root.
    ///
    /// Expired entries are removed according to the most recent horizon, even if an earlier one was
    /// later. A partition that is to be swept is kept until a day after the latest horizon so far.
    pub fn set_horizon(&self, horizon: UnixSeconds) {
        self.parts.horizon.store(horizon.get(), Ordering::Relaxed);
        self.parts.furthest.fetch_max(horizon.get(), Ordering::Relaxed);
    }

    /// Creates an account's root. Call it at sign-up, and at the first request of an account that
    /// existed before the server used Keywright. Calling it again is harmless.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the account could not be created.
    pub async fn ensure_account(&self, account: &AccountId) -> Result<AccountCreation, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            if draft.exists() {
                if draft.root()?.erased || draft.is_empty_but_for_due() {
                    // The account was erased, and is wanted again.
                    draft.make_permanent()?;
                }
                return Ok(AccountCreation::AlreadyExists);
            }
            draft.create_account().map(|_| AccountCreation::Created)
        };
        self.transact(&account.into(), &[], step).await
    }

    /// Erases everything about an account except its security log and its due work (a notice, for
    /// example), and makes its sessions and tokens void. If the account does not exist, nothing
    /// happens.
    ///
    /// The log is removed when it is old enough; then nothing is left of the account. If the
    /// account is used again before that, by [`ensure_account`](Self::ensure_account) or by storing
    /// a record, it is kept permanently.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the account was not erased. After [`TransactError::Unknown`] it
    /// may be erased; call this again.
    pub async fn erase_account(&self, account: &AccountId) -> Result<Erasure, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            match draft.root() {
                Err(StepError::NoAccount) => return Ok(Erasure::NoAccount),
                root => root?,
            };
            draft.erase(&[DUE.name()])?;
            draft.expire_erased(draft.now().plus(self.parts.events_kept))?;
            Ok(Erasure::Erased)
        };
        self.transact(&account.into(), &[DUE.name()], step).await
    }

    /// Runs a step on one partition, commits the result, and only then returns the step's outcome,
    /// with every [`Tentative`](crate::Tentative) in it released. `slots` are the slots that the
    /// step is known to need. If all of them are named, one load is enough.
    ///
    /// The step may run several times; it must be pure. A step that changes and grants nothing
    /// commits nothing. It must not use a driver, which would wait for this very operation.
    ///
    /// # Errors
    /// Returns [`TransactError`]. The caller must deny on any error. No error claims that a change
    /// was refused when it may have happened. Returns [`StepError::Misuse`] if it is called by a
    /// step or an [`Observer`].
    pub async fn run<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        step: F,
    ) -> Result<T::Released, TransactError>
    where
        T: Release + Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let (outcome, receipt) = self.attempt(partition, slots, step).await?;
        Ok(outcome.release(&receipt)?)
    }

    /// Runs a step as [`run`](Self::run) does, for an outcome that contains no tentative value. Its
    /// type need not implement [`Release`](crate::Release).
    ///
    /// # Errors
    /// Returns the errors of [`run`](Self::run).
    pub async fn transact<T, F>(&self, partition: &Partition, slots: &[SlotName], step: F) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        self.attempt(partition, slots, step).await.map(|(outcome, _)| outcome)
    }

    /// Reads one partition without waiting for others and without a commit. The result may be
    /// outdated when it is returned: base no decision on it that a commit does not check again.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the partition cannot be read, with [`StepError::Misuse`] if the
    /// step changes or grants something.
    pub async fn observe<T, F>(&self, partition: &Partition, slots: &[SlotName], look: F) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        self.look(partition, slots, look).await
    }

    /// Returns the names of all slots that a partition's root lists. This is for upkeep.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the partition cannot be read.
    pub async fn slots_of(&self, partition: &Partition) -> Result<Vec<SlotName>, TransactError> {
        let loaded = self.load(partition, &[]).await?;
        Ok(loaded.root.contents.keys().copied().collect())
    }

    /// Seals everything again that is not under the newest key, in one commit. Returns whether
    /// there was anything to do.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the commit failed.
    pub async fn reseal(&self, partition: &Partition) -> Result<bool, TransactError> {
        let slots = self.slots_of(partition).await?;
        let step = |draft: &mut Draft<'_>| match draft.root() {
            Err(StepError::NoAccount) => Ok(false),
            Err(error) => Err(error),
            Ok(_) if draft.exists() => draft.reseal(),
            Ok(_) => Ok(false),
        };
        self.transact(partition, &slots, step).await
    }

    /// Whether everything in a partition, including its root, is sealed under the newest key.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the partition cannot be read.
    pub async fn is_sealed_newest(&self, partition: &Partition) -> Result<bool, TransactError> {
        let slots = self.slots_of(partition).await?;
        let loaded = self.load(partition, &slots).await?;
        let keyring = &self.parts.keyring;
        Ok(loaded.is_current && loaded.records.values().flatten().all(|body| keyring.is_current(body)))
    }

    pub(crate) fn kinds(&self) -> Option<&SlotKinds> {
        self.parts.kinds.as_ref()
    }

    pub(crate) fn env(&self) -> Result<Env<'_>, ClockError> {
        let parts = &*self.parts;
        let heard = |moment: &AtomicU64| UnixSeconds::new(moment.load(Ordering::Relaxed)).unwrap_or(UnixSeconds::EPOCH);
        Ok(Env {
            keyring: &parts.keyring,
            entropy: &*parts.entropy,
            ledger_policy: &parts.ledger_policy,
            now: parts.clock.now()?,
            horizon: heard(&parts.horizon),
            furthest: heard(&parts.furthest),
            kinds: parts.kinds.as_ref(),
            compares: self.has_code_verifier(),
        })
    }

    async fn load(&self, partition: &Partition, slots: &[SlotName]) -> Result<Loaded, TransactError> {
        let parts = &*self.parts;
        let snapshot =
            self.in_time(partition, parts.store.load(partition, slots)).await.map_err(TransactError::Load)?;
        Ok(Loaded::open(&parts.keyring, parts.kinds.as_ref(), partition, slots, snapshot)?)
    }
}

/// Whether [`Driver::ensure_account`] had anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it was there, or it was not")]
pub enum AccountCreation {
    /// The account's records were created.
    Created,
    /// The records existed already, and are left as they are.
    AlreadyExists,
}

/// Whether [`Driver::erase_account`] had anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it was there, or it was not")]
pub enum Erasure {
    /// Everything except the security log and the due work was dropped.
    Erased,
    /// The account has no records.
    NoAccount,
}

keywright_core::redacted_debug!(Driver { store: parts.store, .. });

/// Why there is no outcome. The caller must deny on each of these.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactError {
    /// Too many commits wait for this partition, other servers were faster too often, or the
    /// [verifier](crate::hashed::CodeVerifier) of slow hashes is busy. Nothing was granted or
    /// written, and nothing counted but, in the last case, other wrong guesses of the same request;
    /// try again.
    #[error("the account is busy")]
    Busy,
    /// The change **may** have happened. Nothing is granted. The client must learn that the result
    /// is unknown, never that the change was refused.
    #[error("it is unknown whether the change happened")]
    Unknown(#[source] BoxError),
    /// The store could not be read. Nothing was counted or written.
    #[error("the account's records cannot be read")]
    Load(#[source] LoadError),
    /// The store refused the commit. Nothing was counted or written.
    #[error("the store refused the commit")]
    Rejected(#[source] BoxError),
    /// The step failed. Nothing was counted or written.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The clock cannot be used.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The random number generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The step kept a tentative value from an earlier run, which is a programming error.
    #[error(transparent)]
    WrongReceipt(#[from] WrongReceipt),
}

impl TransactError {
    /// Whether nothing was written because something took too long, so that the same request may well
    /// succeed in a moment. Nothing was counted either, except for wrong guesses beside one that
    /// [a verifier](crate::hashed) should have compared: [`Busy`](Self::Busy), a load that was given up, or a
    /// store that is [in use by others](Shortage::Busy). Answer it with 503 and `Retry-After`.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy | Self::Load(LoadError::TimedOut)) || self.shortage() == Some(Shortage::Busy)
    }

    /// Returns what the store lacks, if nothing was counted or written because it lacks something.
    /// Answer [`Shortage::Room`] with 507.
    #[must_use]
    pub fn shortage(&self) -> Option<Shortage> {
        match self {
            Self::Rejected(source) | Self::Load(LoadError::Failed(source)) => Shortage::of(&**source),
            _ => None,
        }
    }

    /// Whether the error means that stored data is damaged, lost or altered, so that an operator
    /// must investigate.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Step(error) => error.is_damage(),
            Self::Load(LoadError::Corrupt(_)) => true,
            _ => false,
        }
    }
}
