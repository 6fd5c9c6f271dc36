//! The draft: what a step sees of one partition, and where it leaves its next states.
//!
//! A step is a pure, synchronous function over a draft. It reads no clock, draws no hidden randomness, does no I/O.
//! Whatever it has read is guarded by the batch that follows, written or not; so steps of different crates compose.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;
use keywright_core::{
    Entropy, EntropyError, EventKind, Keyring, OpenError, SealContext, SealError, SecurityEvent, UnixSeconds,
};
use zeroize::Zeroizing;

use crate::record::{Record, RecordError, encode};
use crate::{Batch, BatchError, Effect, Expect, Partition, Revision, Root, Slot, Stored, VaultWrite, Write};

/// What was loaded for a draft: every slot that was asked for, present or absent, from one snapshot.
pub type Loaded = BTreeMap<Slot, Option<Stored>>;

/// A body in clear, until the batch is sealed.
#[derive(Clone)]
struct Plain {
    schema: u16,
    body: Arc<Zeroizing<Vec<u8>>>,
    purge_after: Option<UnixSeconds>,
}

/// What steps have left so far. Cloned by [`Draft::judge`] to hold a step's writes back; bodies are shared.
#[derive(Clone, Default)]
struct Staged {
    writes: BTreeMap<Slot, Option<Plain>>,
    events: Vec<SecurityEvent>,
    vault: Option<VaultWrite>,
    erase: bool,
    /// The change that led here, so that a held verdict knows whether it was reached on the present state.
    version: u64,
}

/// One partition, as one attempt of a step sees it.
pub struct Draft<'a> {
    partition: &'a Partition,
    loaded: &'a Loaded,
    keyring: &'a Keyring,
    entropy: &'a dyn Entropy,
    now: UnixSeconds,
    attempt: Revision,
    staged: Staged,
    /// How many changes were staged, those held back included.
    versions: u64,
    /// Bodies of this partition that were opened already.
    opened: BTreeMap<Slot, Plain>,
    /// A grant is on its way: the batch must be committed even if it changes nothing.
    grants: bool,
    /// Inside a host's own transaction: no guess may be checked here.
    spending: bool,
}

impl<'a> Draft<'a> {
    /// A draft over what was loaded. For drivers; `attempt` is the revision that the batch will carry.
    #[must_use]
    pub fn new(
        partition: &'a Partition,
        loaded: &'a Loaded,
        keyring: &'a Keyring,
        entropy: &'a dyn Entropy,
        now: UnixSeconds,
        attempt: Revision,
    ) -> Self {
        Self {
            partition,
            loaded,
            keyring,
            entropy,
            now,
            attempt,
            staged: Staged::default(),
            versions: 0,
            opened: BTreeMap::new(),
            grants: false,
            spending: false,
        }
    }

    /// The same, for a step inside a host's own transaction: it may spend what was granted, but the guess ledger cannot
    /// be read, because the host's rollback would erase the charge.
    #[must_use]
    pub const fn spending(mut self) -> Self {
        self.spending = true;
        self
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        self.partition
    }

    /// The revision under which this attempt's batch puts its records: for a record that must name what is put beside
    /// it. It proves nothing before the commit.
    #[must_use]
    pub const fn attempt(&self) -> Revision {
        self.attempt
    }

    /// The one moment at which this attempt is decided.
    #[must_use]
    pub const fn now(&self) -> UnixSeconds {
        self.now
    }

    /// The keyring, for index values.
    #[must_use]
    pub const fn keyring(&self) -> &'a Keyring {
        self.keyring
    }

    /// Where this attempt draws its randomness.
    #[must_use]
    pub const fn entropy(&self) -> &'a dyn Entropy {
        self.entropy
    }

    /// Draws `N` bytes that are no secret.
    ///
    /// # Errors
    /// [`StepError::Entropy`].
    pub fn random<const N: usize>(&self) -> Result<[u8; N], StepError> {
        Ok(keywright_core::random_bytes(self.entropy)?)
    }

    /// The root record. In an account's partition it must exist; elsewhere a missing one is the first.
    ///
    /// # Errors
    /// [`StepError::NoAccount`] if the account's records were never made; else as [`read`](Self::read).
    pub fn root(&mut self) -> Result<Root, StepError> {
        match self.read_raw::<Root>(Slot::Root)? {
            Some(root) => Ok(root),
            None if self.partition.is_account() => Err(StepError::NoAccount),
            None => Ok(Root::new(self.now)),
        }
    }

    /// Puts a changed root record. Which records exist is the draft's own to note: a root that was read before a put does
    /// not undo the note.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn put_root(&mut self, root: &Root) -> Result<(), StepError> {
        let next = root.present_as(&self.root()?);
        self.put_raw(Slot::Root, &next, None)
    }

    /// Makes the account's records, in a partition that has none. The only way to a first root: a missing root is never
    /// taken for a new account.
    ///
    /// # Errors
    /// [`StepError::AccountExists`]; [`StepError::Integrity`] if the root is gone but other records are left.
    pub fn create_account(&mut self) -> Result<Root, StepError> {
        if self.read_raw::<Root>(Slot::Root)?.is_some() {
            return Err(StepError::AccountExists);
        }
        for slot in [
            Slot::Ledger,
            Slot::Due,
            Slot::Challenge,
            Slot::Confirmations,
            Slot::Factors,
            Slot::Recovery,
            Slot::Keychain,
            Slot::Sessions,
            Slot::VaultHead,
            Slot::Held,
            Slot::Credential,
            Slot::Tokens,
            Slot::PendingAddress,
            Slot::Names,
        ] {
            if self.load_slot(slot)?.is_some() {
                return Err(StepError::Integrity(slot));
            }
        }
        let root = Root::new(self.now);
        self.put_raw(Slot::Root, &root, None)?;
        self.event(EventKind::AccountCreated);
        Ok(root)
    }

    /// The record in a slot, as steps before this one have left it.
    ///
    /// # Errors
    /// [`StepError::NotLoaded`] makes the driver load the slot and run the step again: pass it on. Otherwise the record
    /// does not open, or the root says that it must (not) exist: deny.
    pub fn read<R: Record>(&mut self, slot: Slot) -> Result<Option<R>, StepError> {
        self.forbid_guess(slot)?;
        self.root()?;
        let found = self.read_raw::<R>(slot)?;
        self.vouched(slot, found.is_some())?;
        Ok(found)
    }

    /// Stages a record. `purge_after` is a hint for the sweep, never earlier than the record's own expiry, and not
    /// allowed where the root vouches for the record.
    ///
    /// # Errors
    /// [`StepError::Misuse`] for a swept record that the root vouches for; else as [`read`](Self::read).
    pub fn put<R: Record>(
        &mut self,
        slot: Slot,
        record: &R,
        purge_after: Option<UnixSeconds>,
    ) -> Result<(), StepError> {
        if slot == Slot::Root {
            return Err(StepError::Misuse("the root record is put by `put_root`"));
        }
        if purge_after.is_some() && slot.presence().is_some() {
            return Err(StepError::Misuse("a record that the root vouches for is never swept"));
        }
        self.intact(slot)?;
        self.put_raw(slot, record, purge_after)?;
        self.note(slot, true)
    }

    /// Puts a record's same body again if it is not sealed under the newest key, with the sweep hint that it had (a load
    /// does not tell it, a scan does). Gives whether there was anything to do. For upkeep: every other put seals anew.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn reseal(&mut self, slot: Slot, purge_after: Option<UnixSeconds>) -> Result<bool, StepError> {
        let old = self.load_slot(slot)?.is_some_and(|stored| !self.keyring.is_current(&stored.body));
        if !old || self.staged.erase || self.staged.writes.contains_key(&slot) {
            return Ok(false);
        }
        let Some(plain) = self.plain(slot)? else { return Ok(false) };
        self.staged.writes.insert(slot, Some(Plain { purge_after, ..plain }));
        self.touch();
        Ok(true)
    }

    /// Stages the removal of a record. What consumes puts a spent state instead; this is for tidying up.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn delete(&mut self, slot: Slot) -> Result<(), StepError> {
        if slot == Slot::Root {
            return Err(StepError::Misuse("the root record is never deleted"));
        }
        self.intact(slot)?;
        self.staged.writes.insert(slot, None);
        self.touch();
        self.note(slot, false)
    }

    /// Drops every record and vault row of the partition but those in `keep`, moves all epochs, and keeps the events.
    /// Records put after this call stay.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn erase(&mut self, keep: &[Slot]) -> Result<Root, StepError> {
        let root = self.root()?;
        let mut kept = Vec::new();
        for &slot in keep {
            if let Some(plain) = self.plain(slot)? {
                kept.push((slot, plain));
            }
        }
        self.staged.writes.clear();
        self.staged.vault = None;
        self.staged.erase = true;
        self.touch();
        let mut next = root.erased(self.now);
        for (slot, plain) in kept {
            next.note(slot, true);
            self.staged.writes.insert(slot, Some(plain));
        }
        self.put_raw(Slot::Root, &next, None)?;
        self.event(EventKind::AccountErased);
        Ok(next)
    }

    /// Stages a vault write. The batch must also put [`Slot::VaultHead`].
    ///
    /// # Errors
    /// [`StepError::Misuse`] if one is staged already.
    pub fn write_vault(&mut self, write: VaultWrite) -> Result<(), StepError> {
        if self.staged.vault.is_some() {
            return Err(StepError::Misuse("one batch carries one vault write"));
        }
        self.staged.vault = Some(write);
        self.touch();
        Ok(())
    }

    /// Stages an event, at the draft's moment.
    pub fn event(&mut self, kind: EventKind) {
        self.staged.events.push(SecurityEvent::new(self.now, kind));
        self.touch();
    }

    /// The revision of a loaded record: what a plan made outside the draft is compared with.
    ///
    /// # Errors
    /// [`StepError::NotLoaded`].
    pub fn revision(&mut self, slot: Slot) -> Result<Option<Revision>, StepError> {
        Ok(self.load_slot(slot)?.map(|stored| stored.revision))
    }

    /// A value that only the commit's [`Receipt`] releases: a proof, a key, a token.
    pub const fn tentative<T>(&mut self, value: T) -> Tentative<T> {
        self.grants = true;
        Tentative { value, attempt: self.attempt }
    }

    /// Runs a step and holds back what it would write, until [`stage`](Self::stage) books it or it is dropped. Of two
    /// proofs, the right one is never spent, nor forgiven, because the other was wrong.
    ///
    /// # Errors
    /// The step's own.
    pub fn judge<T, F>(&mut self, step: F) -> Result<Judged<T, F>, StepError>
    where
        F: Fn(&mut Draft<'a>) -> Result<T, StepError>,
    {
        let before = self.staged.clone();
        let result = step(self);
        let after = core::mem::replace(&mut self.staged, before);
        Ok(Judged { outcome: result?, based_on: self.staged.version, after, step })
    }

    /// Books a held verdict. If other steps were booked since, it is reached again on the state they left, so that no
    /// charge is lost: the outcome returned is the one that counts.
    ///
    /// # Errors
    /// The step's own.
    pub fn stage<T, F>(&mut self, judged: Judged<T, F>) -> Result<T, StepError>
    where
        F: Fn(&mut Draft<'a>) -> Result<T, StepError>,
    {
        if judged.based_on != self.staged.version {
            return (judged.step)(self);
        }
        self.staged = judged.after;
        Ok(judged.outcome)
    }

    fn forbid_guess(&self, slot: Slot) -> Result<(), StepError> {
        if self.spending && slot == Slot::Ledger { Err(StepError::GuessInHostTransaction) } else { Ok(()) }
    }

    fn touch(&mut self) {
        // Counted in the draft, not in what is staged: a version that was held back is never given to another state.
        self.versions = self.versions.wrapping_add(1);
        self.staged.version = self.versions;
    }

    fn note(&mut self, slot: Slot, exists: bool) -> Result<(), StepError> {
        if slot.presence().is_none() || !self.partition.is_account() {
            return Ok(());
        }
        let mut root = self.root()?;
        if root.note(slot, exists) { self.put_raw(Slot::Root, &root, None) } else { Ok(()) }
    }

    /// Whether the root and a record's presence agree.
    fn vouched(&mut self, slot: Slot, found: bool) -> Result<(), StepError> {
        match self.root()?.says_present(slot) {
            Some(said) if self.partition.is_account() && said != found => Err(StepError::Integrity(slot)),
            _ => Ok(()),
        }
    }

    /// Whether a record may be overwritten. One that does not open may not: an operator could still mend it. One that the
    /// root vouches for and that is gone may not: the loss would be hidden.
    fn intact(&mut self, slot: Slot) -> Result<(), StepError> {
        self.forbid_guess(slot)?;
        self.root()?;
        let found = self.plain(slot)?.is_some();
        self.vouched(slot, found)
    }

    fn put_raw<R: Record>(
        &mut self,
        slot: Slot,
        record: &R,
        purge_after: Option<UnixSeconds>,
    ) -> Result<(), StepError> {
        if R::SCHEMA == 0 || R::SCHEMA > NEWEST_SCHEMA {
            return Err(StepError::Misuse("a record's schema is beyond what re-sealing tries"));
        }
        let body = Arc::new(encode(record).map_err(|RecordError| StepError::Encode(slot))?);
        self.staged.writes.insert(slot, Some(Plain { schema: R::SCHEMA, body, purge_after }));
        self.touch();
        Ok(())
    }

    fn read_raw<R: Record>(&mut self, slot: Slot) -> Result<Option<R>, StepError> {
        let Some(plain) = self.plain_within(slot, R::SCHEMA)? else { return Ok(None) };
        R::decode(plain.schema, &plain.body).map(Some).map_err(|RecordError| StepError::Decode(slot))
    }

    fn load_slot(&self, slot: Slot) -> Result<Option<&'a Stored>, StepError> {
        Ok(self.loaded.get(&slot).ok_or(StepError::NotLoaded(slot))?.as_ref())
    }

    fn plain(&mut self, slot: Slot) -> Result<Option<Plain>, StepError> {
        self.plain_within(slot, NEWEST_SCHEMA)
    }

    /// The slot's body in clear: staged, or loaded and opened under one of the schemas up to `newest`.
    fn plain_within(&mut self, slot: Slot, newest: u16) -> Result<Option<Plain>, StepError> {
        // The guard comes first: also what is overwritten blindly must have been loaded.
        let stored = self.load_slot(slot)?;
        if let Some(staged) = self.staged.writes.get(&slot) {
            return Ok(staged.clone());
        }
        if self.staged.erase {
            return Ok(None);
        }
        let Some(stored) = stored else { return Ok(None) };
        if let Some(plain) = self.opened.get(&slot) {
            return Ok(Some(plain.clone()));
        }
        let (schema, body) = open(self.keyring, self.partition, slot, &stored.body, newest)?;
        let plain = Plain { schema, body: Arc::new(body), purge_after: None };
        self.opened.insert(slot, plain.clone());
        Ok(Some(plain))
    }

    /// Turns the draft into what must be committed; `None` if nothing changes and nothing is granted.
    ///
    /// # Errors
    /// [`StepError`] if sealing fails.
    pub fn into_batch(mut self) -> Result<Option<Batch>, StepError> {
        let changes = !self.staged.writes.is_empty() || !self.staged.events.is_empty() || self.staged.vault.is_some();
        if !changes && !self.grants {
            return Ok(None);
        }
        // Names and the server get their root with their first write: a fence needs one.
        let first = !self.partition.is_account() && self.load_slot(Slot::Root)?.is_none();
        // A batch that only deletes, or only tells, puts the root: after a lost reply, absence proves nothing.
        let puts = self.staged.writes.values().any(Option::is_some);
        let settled_by_root = !puts && self.load_slot(Slot::Root)?.is_some();
        if changes && !self.staged.writes.contains_key(&Slot::Root) && (first || settled_by_root) {
            let root = self.root()?;
            self.put_raw(Slot::Root, &root, None)?;
        }
        let label = self.partition.seal_label();
        let mut writes = Vec::with_capacity(self.loaded.len());
        for (&slot, stored) in self.loaded {
            let expect = stored.as_ref().map_or(Expect::Absent, |stored| Expect::Revision(stored.revision));
            let effect = match self.staged.writes.get(&slot) {
                Some(Some(plain)) => {
                    let text = slot.to_text();
                    let place = SealContext::new(&label, &text, plain.schema);
                    let body = self.keyring.seal(self.entropy, &place, &plain.body)?;
                    Effect::Put { body: Bytes::from(body), purge_after: plain.purge_after }
                }
                Some(None) if expect != Expect::Absent => Effect::Delete,
                // An erase drops what it does not write, so a guard that must survive it would be a row kept.
                None if self.staged.erase && expect != Expect::Absent => Effect::Delete,
                Some(None) | None => Effect::Check,
            };
            writes.push(Write { slot, expect, effect });
        }
        let mut batch = Batch::new(self.partition.clone(), self.attempt, writes)?.with_events(self.staged.events);
        if self.staged.erase {
            batch = batch.with_erase()?;
        }
        if let Some(vault) = self.staged.vault {
            batch = batch.with_vault(vault)?;
        }
        Ok(Some(batch))
    }
}

/// The newest schema any record has; what re-sealing tries downwards from.
pub(crate) const NEWEST_SCHEMA: u16 = 8;

/// Opens a body under the newest schema it was written with. The schema is authenticated, so it is found by trying the
/// few there are; the key is not tried, it is named by the body.
fn open(
    keyring: &Keyring,
    partition: &Partition,
    slot: Slot,
    sealed: &[u8],
    newest: u16,
) -> Result<(u16, Zeroizing<Vec<u8>>), StepError> {
    let (label, text) = (partition.seal_label(), slot.to_text());
    let mut failure = None;
    for schema in (1..=newest).rev() {
        match keyring.open(&SealContext::new(&label, &text, schema), sealed) {
            Ok(body) => return Ok((schema, body)),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.map_or(StepError::Decode(slot), StepError::Open))
}

impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("partition", &self.partition).field("now", &self.now).finish_non_exhaustive()
    }
}

/// A step's verdict, its writes held back.
#[must_use = "a verdict that is not staged counts nothing"]
pub struct Judged<T, F> {
    outcome: T,
    based_on: u64,
    after: Staged,
    step: F,
}

impl<T, F> Judged<T, F> {
    /// The verdict, to decide whether to book it.
    pub const fn outcome(&self) -> &T {
        &self.outcome
    }
}

impl<T, F> fmt::Debug for Judged<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judged(..)")
    }
}

/// A value that exists only if a commit happens.
#[must_use = "a tentative value is released by the receipt of its commit"]
pub struct Tentative<T> {
    value: T,
    attempt: Revision,
}

impl<T> Tentative<T> {
    /// Releases the value with the receipt of the very commit it was staged for.
    ///
    /// # Errors
    /// [`WrongReceipt`] for any other receipt.
    pub fn release(self, receipt: &Receipt) -> Result<T, WrongReceipt> {
        if receipt.attempt == self.attempt { Ok(self.value) } else { Err(WrongReceipt) }
    }

    /// Turns the value into another that is just as tentative.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Tentative<U> {
        Tentative { value: f(self.value), attempt: self.attempt }
    }

    /// A look at the value for a step of the **same** draft: it may use a key that is not yet released to seal what
    /// belongs to it. Nothing of it may leave the step.
    ///
    /// # Errors
    /// [`StepError::Misuse`] in any other attempt.
    pub fn peek(&self, draft: &Draft<'_>) -> Result<&T, StepError> {
        if self.attempt == draft.attempt {
            Ok(&self.value)
        } else {
            Err(StepError::Misuse("a value of another attempt"))
        }
    }
}

impl<T> fmt::Debug for Tentative<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tentative(..)")
    }
}

/// Proof that one attempt was committed. Made by the driver alone.
#[derive(Debug)]
pub struct Receipt {
    attempt: Revision,
}

impl Receipt {
    #[cfg(feature = "std")]
    pub(crate) const fn new(attempt: Revision) -> Self {
        Self { attempt }
    }
}

/// A receipt of another commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a receipt belongs to another commit")]
pub struct WrongReceipt;

/// Why a step could not decide. The caller denies; nothing was counted and nothing written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The step needs a slot that was not named: the driver loads it and runs the step again.
    #[error("the record `{0}` was not loaded")]
    NotLoaded(Slot),
    /// A body does not open. It is never taken for absent.
    #[error(transparent)]
    Open(OpenError),
    /// A body opened but has an unknown form.
    #[error("the record `{0}` has an unknown form")]
    Decode(Slot),
    /// A record could not be encoded.
    #[error("the record `{0}` cannot be encoded")]
    Encode(Slot),
    /// The root vouches for a record that is missing, or disowns one that is there.
    #[error("the record `{0}` and the account's root disagree: lost or half-restored data")]
    Integrity(Slot),
    /// The account's records were never made.
    #[error("the account has no records")]
    NoAccount,
    /// The account's records exist already.
    #[error("the account has records already")]
    AccountExists,
    /// The host owes [`MAX_DUE`](crate::due::MAX_DUE) tasks.
    #[error("too much of the host's work is still due")]
    TooMuchDue,
    /// A guess must be checked in a commit of its own.
    #[error("a guess cannot be checked inside a host's transaction")]
    GuessInHostTransaction,
    /// The generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A step built no valid batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A step's author made a mistake.
    #[error("misuse: {0}")]
    Misuse(&'static str),
    /// A domain crate could not derive or wrap a key; with sound primitives and inputs this does not happen.
    #[error("a key could not be derived or wrapped")]
    Crypto,
}
