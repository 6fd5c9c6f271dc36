//! The builder of a driver.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use keywright_core::{Clock, Entropy, Keyring, LedgerPolicy, SystemClock, SystemEntropy};

use super::{Driver, EVENTS_KEPT, MAX_WAITING, MAX_WAITING_UNKNOWN, OTHER, Observer, Parts, Timer};
use crate::locks::PartitionLocks;
use crate::port::RecordStore;
use crate::slot::{SlotKind, SlotKinds, SlotKindsError};
use crate::slots::SLOT_KINDS;
use crate::verifier::CodeVerifier;

/// Builds a [`Driver`].
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
    code_verifier: Option<Arc<dyn CodeVerifier>>,
}

impl DriverBuilder {
    /// Sets the generator that steps draw from. The default is the operating system's.
    pub fn entropy(mut self, entropy: Arc<dyn Entropy + Send + Sync>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Sets the clock. The default is the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the server's one ledger policy, for every secret. The default is
    /// [`LedgerPolicy::default`].
    pub fn ledger_policy(mut self, policy: LedgerPolicy) -> Self {
        self.ledger_policy = policy;
        self
    }

    /// Adds the kinds of slots that a crate declares; call it once for each crate. Once it was
    /// called, an account whose root lists an undeclared kind is denied with
    /// [`StepError::UndeclaredSlot`](crate::StepError::UndeclaredSlot). If it is never called, all kinds are accepted.
    pub fn slots(mut self, kinds: &[SlotKind]) -> Self {
        self.kinds.get_or_insert_with(|| SLOT_KINDS.to_vec()).extend_from_slice(kinds);
        self
    }

    /// Sets the observer of events and damage. There is none by default.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Sets how long events are kept, in seconds. Older ones may be missing at the old end of a
    /// log. The default is [`EVENTS_KEPT`].
    pub const fn events_kept(mut self, seconds: u64) -> Self {
        self.events_kept = seconds;
        self
    }

    /// Sets how long to wait for a commit; [`COMMIT_SECONDS`](crate::COMMIT_SECONDS) is a good limit. With a limit, a
    /// store that hangs does not block an account forever. After the limit, the driver finds out by
    /// further reads whether the commit happened. By default there is no limit, because there is no
    /// timer.
    pub fn commit_limit(mut self, timer: Arc<dyn Timer>, limit: Duration) -> Self {
        self.deadline = Some((timer, limit));
        self
    }

    /// Sets how long to wait for a load; [`LOAD_SECONDS`](crate::LOAD_SECONDS) is a good limit. After the limit the
    /// result is [`LoadError::TimedOut`](crate::LoadError::TimedOut), nothing is counted or written, and a partition that was
    /// held for the load is released.
    ///
    /// The limit applies to each single load of records or events. An operation that has to load
    /// several times, because others commit at the same time, may take a multiple of it. The limit
    /// does not apply when a service reads a vault, because a vault may be large. By default there
    /// is no limit, because there is no timer.
    pub fn load_limit(mut self, timer: Arc<dyn Timer>, limit: Duration) -> Self {
        self.load_deadline = Some((timer, limit));
        self
    }

    /// Sets what compares codes of which only slow hashes are kept. There is none by default. See
    /// [`hashed`](crate::hashed).
    pub fn code_verifier(mut self, verifier: Arc<dyn CodeVerifier>) -> Self {
        self.code_verifier = Some(verifier);
        self
    }

    /// Sets how many commits may wait for one partition: those of known clients, and those of
    /// unknown ones. The defaults are [`MAX_WAITING`] and [`MAX_WAITING_UNKNOWN`].
    pub const fn max_waiting(mut self, known: usize, unknown: usize) -> Self {
        self.max_waiting = (known, unknown);
        self
    }

    /// Builds the driver.
    ///
    /// # Errors
    /// Returns [`SlotKindsError`] if the declared kinds do not fit together.
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
            operation: OTHER,
            code_verifier: self.code_verifier,
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
    /// Returns a builder of a driver over a store and a keyring.
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
            code_verifier: None,
        }
    }
}
