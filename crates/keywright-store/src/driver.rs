//! The driver: load, step, one compare-and-set, and only then the outcome.
//!
//! Every promise about races and lost replies lives here and in the one guard, for every feature and every backend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keywright_core::{
    AccountId, ClientTag, Clock, ClockError, Entropy, EntropyError, Keyring, LedgerPolicy, SecurityEvent, SystemClock,
    SystemEntropy, UnixSeconds,
};

use crate::draft::{Draft, Env};
use crate::due::list::DUE;
use crate::loaded::Loaded;
use crate::locks::PartitionLocks;
use crate::partition::{Partition, client_tag};
use crate::port::{BoxError, BoxFuture, LoadError, RecordStore};
use crate::release::{Release, WrongReceipt};
use crate::slot::{SlotKind, SlotKinds, SlotKindsError, SlotName};
use crate::slots::SLOT_KINDS;
use crate::step_error::StepError;

mod attempt;
mod log;
mod strays;

pub use log::{EventCursor, EventPage};

/// How often a step is run again after a conflict before the answer is "busy". In one process conflicts are rare (one
/// commit per partition at a time), so this bounds a race between servers.
pub const MAX_RERUNS: u32 = 16;

/// How many commits of the owner and of known clients may wait for one partition in one process before the next is told
/// "busy".
pub const MAX_WAITING: usize = 2_048;

/// How many guesses of unknown clients may wait for one partition in one process, behind all others.
pub const MAX_WAITING_UNKNOWN: usize = 64;

/// How long events are kept, in seconds, by default: 400 days.
pub const EVENTS_KEPT: u64 = 400 * 86_400;

/// Hears of every event after the commit that wrote it, and of damaged data: for a log, a metric, a mail to the owner.
///
/// Called on the request's path, so it must return quickly and must not use the driver.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// An event was written.
    fn event(&self, account: &AccountId, event: &SecurityEvent);

    /// A partition's data is damaged, lost or altered; the request was denied. An operator must see to it.
    fn damage(&self, partition: &Partition, error: &StepError) {
        let _ = (partition, error);
    }
}

/// How long a commit may take before its answer is no longer waited for, in seconds. What became of it is settled then.
pub const COMMIT_SECONDS: u64 = 2;

/// How long a load may take before its answer is no longer waited for, in seconds: as long as a commit.
pub const LOAD_SECONDS: u64 = COMMIT_SECONDS;

/// Waits, by the runtime's own timer: this crate knows no runtime. With tokio it is one line around `tokio::time::sleep`.
pub trait Timer: std::fmt::Debug + Send + Sync {
    /// Ends after `duration`.
    fn wait(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// Runs steps on a store. Cheap to clone; one per server.
#[derive(Clone)]
pub struct Driver {
    parts: Arc<Parts>,
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
    /// The store's horizon as it was last heard.
    horizon: AtomicU64,
    /// The furthest horizon that this process has heard of.
    furthest: AtomicU64,
}

/// Puts a [`Driver`] together.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct DriverBuilder {
    store: Arc<dyn RecordStore>,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy + Send + Sync>,
    clock: Arc<dyn Clock>,
    ledger_policy: LedgerPolicy,
    kinds: Option<Vec<SlotKind>>,
    observer: Option<Arc<dyn Observer>>,
    events_kept: u64,
    deadline: Option<(Arc<dyn Timer>, Duration)>,
    load_deadline: Option<(Arc<dyn Timer>, Duration)>,
    max_waiting: (usize, usize),
}

impl DriverBuilder {
    /// The generator that steps draw from. Default: the operating system's.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy + Send + Sync>) -> Self {
        self.entropy = entropy;
        self
    }

    /// The clock. Default: the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The one ledger policy of the server, for every secret. Default: [`LedgerPolicy::default`].
    pub fn ledger_policy(mut self, policy: LedgerPolicy) -> Self {
        self.ledger_policy = policy;
        self
    }

    /// The kinds of slots that a crate declares; call it for each. From the first call on, a root that names another kind
    /// denies. Without any call all kinds are taken as they come.
    pub fn slots(mut self, kinds: &[SlotKind]) -> Self {
        self.kinds.get_or_insert_with(|| SLOT_KINDS.to_vec()).extend_from_slice(kinds);
        self
    }

    /// Who hears of events and damage. Default: nobody.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// How long events are kept, in seconds: what is older may be missing at the old end of a log. Default [`EVENTS_KEPT`].
    pub const fn events_kept(mut self, seconds: u64) -> Self {
        self.events_kept = seconds;
        self
    }

    /// Gives up waiting for a commit after `limit` ([`COMMIT_SECONDS`] is a good one), so that a store that hangs does not
    /// hold an account for ever; what became of the commit is settled then. Default: no limit, for want of a timer.
    pub fn commit_limit(mut self, timer: Arc<dyn Timer>, limit: Duration) -> Self {
        self.deadline = Some((timer, limit));
        self
    }

    /// Gives up waiting for a load after `limit` ([`LOAD_SECONDS`] is a good one): the answer is then
    /// [`LoadError::TimedOut`], nothing is counted or written, and a partition that was held for it is free. It holds for each
    /// load of records and of events; an act that needs several, because others commit beside it, may take as many times as
    /// long. What a service reads of a vault by itself has no limit: it may be large. Default: none, for want of a timer.
    pub fn load_limit(mut self, timer: Arc<dyn Timer>, limit: Duration) -> Self {
        self.load_deadline = Some((timer, limit));
        self
    }

    /// How many commits may wait for one partition: of known clients, and of unknown ones. Defaults [`MAX_WAITING`] and
    /// [`MAX_WAITING_UNKNOWN`].
    pub const fn max_waiting(mut self, known: usize, unknown: usize) -> Self {
        self.max_waiting = (known, unknown);
        self
    }

    /// The driver.
    ///
    /// # Errors
    /// [`SlotKindsError`] if the declared kinds do not go together.
    pub fn build(self) -> Result<Driver, SlotKindsError> {
        let kinds = self
            .kinds
            .map(|list| {
                let mut kinds = SlotKinds::new();
                kinds.add(&list).map(|()| kinds)
            })
            .transpose()?;
        let (known, unknown) = self.max_waiting;
        Ok(Driver {
            parts: Arc::new(Parts {
                store: self.store,
                keyring: self.keyring,
                entropy: self.entropy,
                clock: self.clock,
                ledger_policy: self.ledger_policy,
                kinds,
                observer: self.observer,
                events_kept: self.events_kept,
                deadline: self.deadline,
                load_deadline: self.load_deadline,
                locks: PartitionLocks::new(known, unknown),
                horizon: AtomicU64::new(0),
                furthest: AtomicU64::new(0),
            }),
        })
    }
}

keywright_core::redacted_debug!(DriverBuilder { store, .. });

impl Driver {
    /// Begins to put a driver together.
    pub fn builder(store: Arc<dyn RecordStore>, keyring: Arc<Keyring>) -> DriverBuilder {
        DriverBuilder {
            store,
            keyring,
            entropy: Arc::new(SystemEntropy),
            clock: Arc::new(SystemClock),
            ledger_policy: LedgerPolicy::default(),
            kinds: None,
            observer: None,
            events_kept: EVENTS_KEPT,
            deadline: None,
            load_deadline: None,
            max_waiting: (MAX_WAITING, MAX_WAITING_UNKNOWN),
        }
    }

    /// A driver over a store, with the default policy and any kind of slot: for tests and small tools.
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

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn RecordStore> {
        &self.parts.store
    }

    /// The keyring.
    #[must_use]
    pub fn keyring(&self) -> &Arc<Keyring> {
        &self.parts.keyring
    }

    /// The source of randomness.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy + Send + Sync> {
        &self.parts.entropy
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The one ledger policy.
    #[must_use]
    pub fn ledger_policy(&self) -> &LedgerPolicy {
        &self.parts.ledger_policy
    }

    /// How long events are kept, in seconds.
    #[must_use]
    pub fn events_kept(&self) -> u64 {
        self.parts.events_kept
    }

    /// The tag by which the guess ledger knows a client of an account: whoever comes with `credential` (an app token, a
    /// login token; for a log-in without one, its network) is known at a secret once it has passed it.
    #[must_use]
    pub fn client_tag(&self, account: &AccountId, credential: &[u8]) -> ClientTag {
        client_tag(&self.parts.keyring, &account.into(), credential)
    }

    /// Tells the driver where the store's horizon stands. Housekeeping calls it after each round; until then no expired
    /// entry is dropped from a root. Entries are dropped by the last horizon alone, which may lie before an earlier one; a
    /// partition that is to be swept is kept for a day by the furthest.
    pub fn set_horizon(&self, horizon: UnixSeconds) {
        self.parts.horizon.store(horizon.get(), Ordering::Relaxed);
        self.parts.furthest.fetch_max(horizon.get(), Ordering::Relaxed);
    }

    /// Makes an account's records: call it at sign-up, and for accounts from before Keywright at their first request.
    /// Calling it again is harmless.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn ensure_account(&self, account: &AccountId) -> Result<AccountCreation, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            if draft.exists() {
                if draft.root()?.erased || draft.is_empty_but_for_due() {
                    // It was erased, and is wanted again.
                    draft.make_permanent()?;
                }
                return Ok(AccountCreation::AlreadyExists);
            }
            draft.create_account().map(|_| AccountCreation::Created)
        };
        self.transact(&account.into(), &[], step).await
    }

    /// Drops everything that is kept about an account but its security log and what the host still owes (a notice, say), and
    /// voids whatever was made for it. The log goes when it is old enough, and with it the account's last trace, unless the
    /// account is used again: [`ensure_account`](Self::ensure_account) and the first record that anything stores for it keep
    /// it for good. An account that does not exist is left as it is.
    ///
    /// # Errors
    /// [`TransactError`]; after [`TransactError::Unknown`] it may be erased. Call it again.
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

    /// Runs a step on one partition, commits what it leaves, and only then gives its outcome out, with everything
    /// [`Tentative`](crate::Tentative) in it released. `slots` are what the step is known to need: name them all, and one
    /// load does.
    ///
    /// The step may run several times; it must be pure. A step that changes and grants nothing commits nothing.
    ///
    /// # Errors
    /// [`TransactError`]. Each of them denies; none says that a change was refused when it may have happened.
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

    /// As [`run`](Self::run), for an outcome of any type in which nothing is tentative.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn transact<T, F>(&self, partition: &Partition, slots: &[SlotName], step: F) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        self.attempt(partition, slots, step).await.map(|(outcome, _)| outcome)
    }

    /// Looks at one partition without waiting for anybody and without a commit. What comes back may be old when it
    /// arrives: decide nothing by it that a commit does not decide again.
    ///
    /// # Errors
    /// [`TransactError`]; [`StepError::Misuse`] if the step changes or grants something.
    pub async fn observe<T, F>(&self, partition: &Partition, slots: &[SlotName], look: F) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        self.look(partition, slots, look).await
    }

    /// The names of all slots that a partition's root lists: for upkeep.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn slots_of(&self, partition: &Partition) -> Result<Vec<SlotName>, TransactError> {
        let loaded = self.load(partition, &[]).await?;
        Ok(loaded.root.contents.keys().copied().collect())
    }

    /// Seals anew what is not under the newest key, in one commit. Returns whether there was anything to do.
    ///
    /// # Errors
    /// [`TransactError`].
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

    /// Whether everything in a partition, its root included, is sealed under the newest key.
    ///
    /// # Errors
    /// [`TransactError`].
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
    /// The account's records were made.
    Created,
    /// They were there already, and are left as they are.
    AlreadyExists,
}

/// Whether [`Driver::erase_account`] had anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it was there, or it was not")]
pub enum Erasure {
    /// Everything but the security log is dropped.
    Erased,
    /// The account has no records.
    NoAccount,
}

keywright_core::redacted_debug!(Driver { store: parts.store, .. });

/// Why there is no outcome. Every one of them denies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactError {
    /// Too many wait for this partition, or other servers were faster too often. Nothing was counted or written; try
    /// again.
    #[error("the account is busy")]
    Busy,
    /// **Perhaps** it happened. Nothing is granted; a change must be answered as unknown, never as refused.
    #[error("it is unknown whether the change happened")]
    Unknown(#[source] BoxError),
    /// The store could not be read. Nothing was counted or written.
    #[error("the account's records cannot be read")]
    Load(#[source] LoadError),
    /// The store refused the commit. Nothing was counted or written.
    #[error("the store refused the commit")]
    Rejected(#[source] BoxError),
    /// The step could not decide. Nothing was counted or written.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The clock cannot be used.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The step kept a tentative value from an earlier run: a mistake of its author.
    #[error(transparent)]
    WrongReceipt(#[from] WrongReceipt),
}

impl TransactError {
    /// Whether nothing was counted or written because somebody or something else took too long, so that the same may well
    /// succeed in a moment: [`Busy`](Self::Busy), or a load that was given up. To be answered with 503 and `Retry-After`.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Busy | Self::Load(LoadError::TimedOut))
    }

    /// Whether it says that stored data is damaged, lost or altered, so that an operator must see to it.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Step(error) => error.is_damage(),
            Self::Load(LoadError::Corrupt(_)) => true,
            _ => false,
        }
    }
}
