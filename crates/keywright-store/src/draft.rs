//! The draft: what a step sees of one partition, and where it leaves its next states.
//!
//! A step is a pure, synchronous function over a draft. It reads no clock, draws no hidden randomness, does no I/O.
//! Whatever it reads cannot change before its batch commits, because the batch's one guard is the root; so steps of
//! different crates compose.

use std::collections::BTreeMap;

use keywright_core::{ClientTag, Entropy, Event, Keyring, LedgerPolicy, UnixSeconds};

use crate::loaded::{Loaded, PlainBody};
use crate::locks::{Standing, Turn};
use crate::nonces::Nonces;
use crate::partition::{Partition, client_tag};
use crate::revision::Revision;
use crate::root::Root;
use crate::slot::{SlotKinds, SlotName};
use crate::step_error::StepError;
use crate::vault::VaultWrite;

pub(crate) mod finish;
mod read;
mod room;
mod root;
mod stage;
mod tentative;

pub use root::{ACCOUNT_CREATED, ACCOUNT_ERASED, ACCOUNT_SEEDED};
pub use tentative::Judged;

/// What steps have left so far. Cloned by [`Draft::judge`] to hold a step's writes back; bodies are shared.
#[derive(Clone)]
struct Staged {
    state: Option<Root>,
    expires: Option<UnixSeconds>,
    due_at: Option<UnixSeconds>,
    writes: BTreeMap<SlotName, Option<PlainBody>>,
    events: Vec<Event>,
    vault: Option<VaultWrite>,
    erase: bool,
    /// Whether the root must be put even if nothing else is: its state has changed.
    touched: bool,
    /// The change that led here, so that a held verdict knows whether it was reached on the present state.
    version: u64,
}

/// What a draft is given beside the snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) ledger_policy: &'a LedgerPolicy,
    pub(crate) now: UnixSeconds,
    /// Up to here expired entries may be dropped: the horizon of the store, as this process has last heard of it.
    pub(crate) horizon: UnixSeconds,
    /// The furthest horizon that this process has heard of: nothing that is written now is swept a day from there.
    pub(crate) furthest: UnixSeconds,
    /// The declared kinds of slots; `None` takes any.
    pub(crate) kinds: Option<&'a SlotKinds>,
}

/// One partition, as one attempt of a step sees it.
pub struct Draft<'a> {
    partition: &'a Partition,
    loaded: &'a Loaded,
    env: Env<'a>,
    attempt: Revision,
    staged: Staged,
    /// How many changes were staged, those held back included.
    versions: u64,
    /// A grant is on its way: the batch must be committed even if it changes nothing.
    grants: bool,
    /// Inside a host's own transaction: no guess may be checked here.
    spending: bool,
    /// How this attempt gets the partition to itself in this process: only then is a guess compared. `None`: it cannot.
    turn: Option<&'a Turn>,
    /// For what this attempt seals.
    nonces: Nonces,
    standing: Standing,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(partition: &'a Partition, loaded: &'a Loaded, env: Env<'a>, attempt: Revision) -> Self {
        let root = &loaded.root;
        let staged = Staged {
            state: root.state,
            expires: root.expires,
            due_at: root.due_at,
            writes: BTreeMap::new(),
            events: Vec::new(),
            vault: None,
            erase: false,
            touched: false,
            version: 0,
        };
        Self {
            partition,
            loaded,
            env,
            attempt,
            staged,
            versions: 0,
            grants: false,
            spending: false,
            turn: None,
            nonces: Nonces::default(),
            standing: Standing::Known,
        }
    }

    /// The same, for an attempt that may take the partition, or has it, and with nonces that were drawn already.
    pub(crate) fn with(mut self, turn: &'a Turn, nonces: Nonces) -> Self {
        (self.turn, self.nonces) = (Some(turn), nonces);
        self
    }

    /// The same, for a step inside a host's own transaction: it may spend what was granted, but the guess ledger cannot
    /// be read, because the host's rollback would erase the charge.
    pub(crate) const fn spending(mut self) -> Self {
        self.spending = true;
        self
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        self.partition
    }

    /// The revision under which this attempt's batch puts the root: for a record that must name what is put beside it. It
    /// proves nothing before the commit.
    #[must_use]
    pub const fn attempt(&self) -> Revision {
        self.attempt
    }

    /// The root's revision that this attempt is based on: what a plan made outside the draft is compared with. `None`
    /// where there is no root yet.
    #[must_use]
    pub const fn based_on(&self) -> Option<Revision> {
        self.loaded.revision
    }

    /// The one moment at which this attempt is decided.
    #[must_use]
    pub const fn now(&self) -> UnixSeconds {
        self.env.now
    }

    /// The keyring, for index values.
    #[must_use]
    pub const fn keyring(&self) -> &'a Keyring {
        self.env.keyring
    }

    /// Where this attempt draws its randomness.
    #[must_use]
    pub const fn entropy(&self) -> &'a dyn Entropy {
        self.env.entropy
    }

    /// The driver's ledger policy, the same for every secret of the server.
    #[must_use]
    pub const fn ledger_policy(&self) -> &'a LedgerPolicy {
        self.env.ledger_policy
    }

    /// Draws `N` bytes that are no secret.
    ///
    /// # Errors
    /// [`StepError::Entropy`].
    pub fn random<const N: usize>(&self) -> Result<[u8; N], StepError> {
        Ok(keywright_core::random_bytes(self.env.entropy)?)
    }

    /// The tag by which the guess ledger knows a client of this account that came with `credential`: an app token, a login
    /// token, a network (`docs/security.md` § 6).
    #[must_use]
    pub fn client_tag(&self, credential: &[u8]) -> ClientTag {
        client_tag(self.env.keyring, self.partition, credential)
    }
}

keywright_core::redacted_debug!(Draft<'_> { partition, now: env.now, .. });
