//! The draft: what a step sees of one partition, and the changes that it has staged.
//!
//! A step is a pure, synchronous function over a draft. It reads no clock, draws no hidden
//! randomness and does no I/O. If anything that it has read changes before its batch is committed,
//! the root changes too, and the batch is refused. Steps of different crates can therefore be
//! combined in one draft.

use std::collections::BTreeMap;

use keywright_core::{Client, ClientTag, Entropy, Event, EventValue, Keyring, LedgerPolicy, UnixSeconds};

use crate::draft::comparing::Comparing;
use crate::draft::notes::Notes;
use crate::loaded::{Loaded, PlainBody};
use crate::locks::{PartitionAccess, Standing};
use crate::nonces::Nonces;
use crate::partition::{Partition, client_tag};
use crate::revision::Revision;
use crate::root::Root;
use crate::slot::{SlotKinds, SlotName};
use crate::step_error::StepError;
use crate::vault::VaultWrite;

pub(crate) mod comparing;
mod comparison;
pub(crate) mod finish;
pub(crate) mod notes;
mod read;
mod room;
pub(crate) mod root;
mod stage;
mod tentative;

pub use root::{ACCOUNT_CREATED, ACCOUNT_ERASED, ACCOUNT_SEEDED};
pub use tentative::Judged;

/// What steps have staged so far. [`Draft::judge`] clones it to hold a step's writes back; bodies
/// are shared.
#[derive(Clone)]
pub(crate) struct Staged {
    state: Option<Root>,
    expires: Option<UnixSeconds>,
    due_at: Option<UnixSeconds>,
    writes: BTreeMap<SlotName, Option<PlainBody>>,
    events: Vec<Event>,
    vault: Option<VaultWrite>,
    erase: bool,
    /// Whether the root must be written even if nothing else is, because its state has changed.
    touched: bool,
    /// The change that led to this state, so that a held verdict can tell whether it was reached on
    /// the present state.
    version: u64,
}

/// What a draft is given besides the snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) entropy: &'a dyn Entropy,
    pub(crate) ledger_policy: &'a LedgerPolicy,
    pub(crate) now: UnixSeconds,
    /// Entries that expired before this moment may be dropped. It is the store's horizon, as this
    /// process last read it.
    pub(crate) horizon: UnixSeconds,
    /// The furthest horizon that this process has read. Nothing that is written now is swept within
    /// a day from it.
    pub(crate) furthest: UnixSeconds,
    /// The declared kinds of slots; `None` accepts any kind.
    pub(crate) kinds: Option<&'a SlotKinds>,
    /// Whether the driver has a verifier for slow hashes.
    pub(crate) compares: bool,
}

/// Who acts in a draft and for what, as far as its events report it.
#[derive(Default)]
pub(crate) struct EventOrigin {
    client: Option<Client>,
    /// The purpose of the guess that is checked.
    pub(crate) purpose: Option<EventValue>,
    /// The device to which the guess belongs, if it belongs to one.
    pub(crate) device: Option<String>,
}

/// The records of one partition, as one attempt at running a step sees them, and the changes that
/// it stages.
pub struct Draft<'a> {
    partition: &'a Partition,
    loaded: &'a Loaded,
    env: Env<'a>,
    attempt: Revision,
    staged: Staged,
    /// The number of changes that were staged, including those that were held back.
    versions: u64,
    /// Whether something is granted, so that the batch must be committed even if it changes
    /// nothing.
    grants: bool,
    /// Whether the draft is inside a host's own transaction, where no guess may be checked.
    spending: bool,
    /// How this attempt gets exclusive use of the partition in this process, without which no guess
    /// is compared. `None` if it cannot.
    access: Option<&'a PartitionAccess>,
    /// The nonces for what this attempt seals.
    nonces: Nonces,
    standing: Standing,
    notes: Notes,
    comparing: Comparing,
    /// Who acts and for what, as far as events report it.
    origin: EventOrigin,
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
            access: None,
            nonces: Nonces::default(),
            standing: Standing::Known,
            notes: Notes::default(),
            comparing: Comparing::default(),
            origin: EventOrigin::default(),
        }
    }

    /// Returns the draft for an attempt that holds the partition, or may take it, with nonces that
    /// were drawn already.
    pub(crate) fn with(mut self, access: &'a PartitionAccess, nonces: Nonces) -> Self {
        (self.access, self.nonces) = (Some(access), nonces);
        self
    }

    /// Returns the draft for a step inside a host's own transaction. It may spend what was granted,
    /// but the guess ledger cannot be read, because the host's rollback would erase the charge.
    pub(crate) const fn spending(mut self) -> Self {
        self.spending = true;
        self
    }

    /// Counts a refusal of the ledger, for the metrics.
    pub(crate) const fn note_refusal(&mut self) {
        self.notes.refused = true;
    }

    /// Counts due tasks that have failed, for the metrics.
    pub(crate) const fn note_due_failures(&mut self, tasks: u32) {
        self.notes.due_failed = self.notes.due_failed.saturating_add(tasks);
    }

    /// Returns who acts and for what, as far as events report it.
    pub(crate) const fn origin(&mut self) -> &mut EventOrigin {
        &mut self.origin
    }

    /// Sets the client that acts. From now on, the draft's [events](Self::event) name it by its
    /// [mark](Client::mark). The guess functions ([`crate::guess`]) set that of their attempt.
    pub const fn acts_for(&mut self, client: Client) {
        self.origin.client = Some(client);
    }

    /// Returns the partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        self.partition
    }

    /// Returns the revision that the root will have if this attempt is committed, for a record that
    /// has to refer to this commit. Before the commit it proves nothing.
    #[must_use]
    pub const fn attempt(&self) -> Revision {
        self.attempt
    }

    /// Returns the root's revision on which this attempt is based, to be compared with that of a
    /// plan made outside the draft. Returns `None` if there is no root yet.
    #[must_use]
    pub const fn based_on(&self) -> Option<Revision> {
        self.loaded.revision
    }

    /// Returns the time of this attempt. It is the same however often it is read.
    #[must_use]
    pub const fn now(&self) -> UnixSeconds {
        self.env.now
    }

    /// Returns the keyring, for index values.
    #[must_use]
    pub const fn keyring(&self) -> &'a Keyring {
        self.env.keyring
    }

    /// Returns the source of this attempt's randomness.
    #[must_use]
    pub const fn entropy(&self) -> &'a dyn Entropy {
        self.env.entropy
    }

    /// Returns the driver's ledger policy, which is the same for every secret of the server.
    #[must_use]
    pub const fn ledger_policy(&self) -> &'a LedgerPolicy {
        self.env.ledger_policy
    }

    /// Draws `N` random bytes that are not secret.
    ///
    /// # Errors
    /// Returns [`StepError::Entropy`] if the generator fails.
    pub fn random<const N: usize>(&self) -> Result<[u8; N], StepError> {
        Ok(keywright_core::random_bytes(self.env.entropy)?)
    }

    /// Returns the tag by which the guess ledger identifies a client of this account that presents
    /// `credential`: an app token, a login token, or a network (`docs/security.md` § 6).
    #[must_use]
    pub fn client_tag(&self, credential: &[u8]) -> ClientTag {
        client_tag(self.env.keyring, self.partition, credential)
    }
}

keywright_core::redacted_debug!(Draft<'_> { partition, now: env.now, .. });
