//! The draft: what a step sees of one partition, and where it leaves its next states.
//!
//! A step is a pure, synchronous function over a draft. It reads no clock, draws no hidden randomness, does no I/O.
//! Whatever it reads cannot change before its batch commits, because the batch's one guard is the root; so steps of
//! different crates compose.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use keywright_core::{ClientTag, Entropy, Event, EventKind, Keyring, LedgerPolicy, SealContext, Severity, UnixSeconds};

use crate::loaded::{Loaded, PlainBody};
use crate::locks::{Standing, Turn};
use crate::nonces::Nonces;
use crate::partition::Partition;
use crate::record::{Record, RecordError, encode};
use crate::release::Tentative;
use crate::revision::Revision;
use crate::root::Root;
use crate::slot::{Expiring, Lasting, Slot, SlotKinds, SlotName};
use crate::step_error::{Damage, StepError};
use crate::vault::VaultWrite;

pub(crate) mod finish;
mod room;

/// The account's records were made.
pub static ACCOUNT_CREATED: EventKind =
    EventKind::change("account_created", Severity::Info, "the account's security records were made");
/// All records of the account were dropped.
pub static ACCOUNT_ERASED: EventKind =
    EventKind::change("account_erased", Severity::Notice, "the account's security records were dropped");

/// The account was seeded from a file of the host's.
pub static ACCOUNT_SEEDED: EventKind =
    EventKind::change("account_seeded", Severity::Info, "the account was seeded from a file");

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
        crate::driver::client_tag(self.env.keyring, self.partition, credential)
    }

    /// Whether the partition has a root with records: for an account, whether it was created.
    #[must_use]
    pub const fn exists(&self) -> bool {
        self.staged.state.is_some()
    }

    /// Whether no slot of the partition holds a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// The same, but for what the host still owes, which outlives an erase.
    pub(crate) fn is_empty_but_for_due(&self) -> bool {
        self.names().iter().all(|name| *name == crate::due::DUE.name())
    }

    /// The root. In an account's partition it must exist; elsewhere a missing one reads as one of epoch 0.
    ///
    /// # Errors
    /// [`StepError::NoAccount`] if the account's records were never made.
    pub fn root(&self) -> Result<Root, StepError> {
        match self.staged.state {
            Some(root) => Ok(root),
            None if self.loaded.orphans => Err(StepError::Damaged(Damage::Orphans)),
            None if self.partition.is_account() => Err(StepError::NoAccount),
            None => Ok(Root {
                credential_epoch: 0,
                factor_epoch: 0,
                key_epoch: 0,
                created: self.env.now,
                seeded: false,
                erased: false,
            }),
        }
    }

    /// Voids what was made in the present credential epoch: sessions, tokens, pending confirmations, step-ups. The same
    /// step must tell an event.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn move_credential_epoch(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.credential_epoch = root.credential_epoch.wrapping_add(1))
    }

    /// Voids what was made in the present factor epoch. The same step must tell an event.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn move_factor_epoch(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.factor_epoch = root.factor_epoch.wrapping_add(1))
    }

    /// Voids what was made in the present key epoch. The same step must tell an event.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn move_key_epoch(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.key_epoch = root.key_epoch.wrapping_add(1))
    }

    /// Notes that a host has seeded the account from a file, once and for ever.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn mark_seeded(&mut self) -> Result<(), StepError> {
        self.change_root(|root| root.seeded = true)?;
        self.event(&ACCOUNT_SEEDED);
        Ok(())
    }

    /// Lets the whole partition be swept from `expiry` on: an account that was never verified, say. Each commit may say
    /// another moment, and [`make_permanent`](Self::make_permanent) takes it back.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn expire_partition(&mut self, expiry: UnixSeconds) -> Result<(), StepError> {
        self.root()?;
        if self.staged.expires != Some(expiry) {
            self.staged.expires = Some(expiry);
            self.touch_root();
        }
        Ok(())
    }

    /// Lets what is left after an [`erase`](Self::erase), the log and what the host still owes, be swept from `expiry` on,
    /// and marks the account as erased. Whoever uses the account again keeps it: the first record that is put afterwards,
    /// in this batch or a later one, takes mark and expiry back as [`make_permanent`](Self::make_permanent) does. Only the
    /// list of [due work](crate::due) does not; it puts the end off for as long as there is something to try.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn expire_erased(&mut self, expiry: UnixSeconds) -> Result<(), StepError> {
        self.change_root(|root| root.erased = true)?;
        self.expire_partition(expiry)
    }

    /// Keeps the partition for good.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn make_permanent(&mut self) -> Result<(), StepError> {
        if self.root()?.erased {
            self.change_root(|root| root.erased = false)?;
        }
        if self.staged.expires.is_some() {
            self.staged.expires = None;
            self.touch_root();
        }
        Ok(())
    }

    /// When the whole partition may be swept, if it may.
    #[must_use]
    pub const fn partition_expiry(&self) -> Option<UnixSeconds> {
        self.staged.expires
    }

    /// Makes the account's records, in a partition that has none. The only way to a first root: a missing root is never
    /// taken for a new account.
    ///
    /// # Errors
    /// [`StepError::AccountExists`]; [`StepError::Damaged`] if the root is gone but other rows are left.
    pub fn create_account(&mut self) -> Result<Root, StepError> {
        if self.exists() {
            return Err(StepError::AccountExists);
        }
        if self.loaded.orphans {
            return Err(StepError::Damaged(Damage::Orphans));
        }
        let root = Root::new(self.env.entropy, self.env.now)?;
        self.staged.state = Some(root);
        self.staged.expires = None;
        self.touch_root();
        self.event(&ACCOUNT_CREATED);
        Ok(root)
    }

    /// Asks for all of these slots to be loaded, in one round. A step that cannot name its slots beforehand (an id comes
    /// out of another record) calls this before it reads them one by one.
    ///
    /// # Errors
    /// [`StepError::NotLoaded`] if any is missing from the snapshot: pass it on.
    pub fn require(&self, slots: &[SlotName]) -> Result<(), StepError> {
        let missing: Vec<SlotName> =
            slots.iter().filter(|slot| !self.loaded.records.contains_key(slot)).copied().collect();
        if missing.is_empty() { Ok(()) } else { Err(StepError::NotLoaded(missing)) }
    }

    /// The record in a slot, as steps before this one have left it.
    ///
    /// # Errors
    /// [`StepError::NotLoaded`] makes the driver load the slot and run the step again: pass it on. Otherwise the record
    /// does not open, or the root says that it must (not) exist: deny.
    pub fn read<R: Record, L>(&mut self, slot: Slot<R, L>) -> Result<Option<R>, StepError> {
        let name = slot.name();
        self.forbid_guess(name)?;
        self.root()?;
        let Some(plain) = self.plain(name)? else { return Ok(None) };
        R::decode(plain.schema, &plain.body).map(Some).map_err(|RecordError| StepError::Decode(name))
    }

    /// Stages a record that lasts.
    ///
    /// # Errors
    /// As [`read`](Self::read): what does not open is never overwritten.
    pub fn put<R: Record>(&mut self, slot: Slot<R, Lasting>, record: &R) -> Result<(), StepError> {
        self.stage_record(slot, record, None)
    }

    /// Stages a record that expires: from `expiry` on it may be missing.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_until<R: Record>(
        &mut self,
        slot: Slot<R, Expiring>,
        record: &R,
        expiry: UnixSeconds,
    ) -> Result<(), StepError> {
        self.stage_record(slot, record, Some(expiry))
    }

    /// Stages the removal of a record, which must be loaded. What consumes puts a spent state instead; this is for tidying
    /// up. [`discard`](Self::discard) removes one that expires without a look at it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn delete<R, L>(&mut self, slot: Slot<R, L>) -> Result<(), StepError> {
        self.delete_named(slot.name())
    }

    /// Stages the removal of a record that expires, without looking at it, so it need not be loaded. The loss of such a
    /// record denies by itself, so nothing is hidden by not having seen whether it was still there.
    ///
    /// # Errors
    /// As [`root`](Self::root).
    pub fn discard<R>(&mut self, slot: Slot<R, Expiring>) -> Result<(), StepError> {
        self.root()?;
        self.staged.writes.insert(slot.name(), None);
        self.touch();
        Ok(())
    }

    /// Seals the root and every loaded record of the partition anew, if any is not under the newest key. Returns whether
    /// there was anything to do. For upkeep: every other put seals anew.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn reseal(&mut self) -> Result<bool, StepError> {
        self.root()?;
        let names: Vec<SlotName> = self.loaded.root.contents.keys().copied().collect();
        self.require(&names)?;
        let mut changed = !self.loaded.is_current;
        for name in names {
            let stored = self.loaded.records.get(&name).and_then(Option::as_ref);
            let old = stored.is_some_and(|body| !self.env.keyring.is_current(body));
            if old && let Some(plain) = self.plain(name)? {
                self.staged.writes.insert(name, Some(plain));
                changed = true;
            }
        }
        if changed {
            self.touch_root();
        }
        Ok(changed)
    }

    /// Opens every record that the root names. Returns how many there are. What the records say is their owners' to judge;
    /// what the root does not name is [`Driver::check_slots`](crate::Driver::check_slots)'s to find.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn open_all(&mut self) -> Result<usize, StepError> {
        match self.root() {
            Err(StepError::NoAccount) => return Ok(0),
            root => root?,
        };
        let slots: Vec<SlotName> = self.loaded.root.contents.keys().copied().collect();
        self.require(&slots)?;
        let mut opened = 0_usize;
        for slot in slots {
            opened = opened.saturating_add(usize::from(self.plain(slot)?.is_some()));
        }
        Ok(opened)
    }

    /// Drops every record and vault row of the partition but those in `keep`, moves all epochs, and keeps the events.
    /// Records put after this call stay.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn erase(&mut self, keep: &[SlotName]) -> Result<Root, StepError> {
        let root = self.root()?;
        let mut kept = BTreeMap::new();
        for &name in keep {
            if let Some(plain) = self.plain(name)? {
                kept.insert(name, Some(plain));
            }
        }
        let next = Root {
            credential_epoch: root.credential_epoch.wrapping_add(1),
            factor_epoch: root.factor_epoch.wrapping_add(1),
            key_epoch: root.key_epoch.wrapping_add(1),
            created: self.env.now,
            seeded: root.seeded,
            erased: root.erased,
        };
        self.staged.writes = kept;
        self.staged.vault = None;
        self.staged.erase = true;
        self.staged.state = Some(next);
        self.touch_root();
        self.event(&ACCOUNT_ERASED);
        Ok(next)
    }

    /// Stages a vault write.
    ///
    /// # Errors
    /// [`StepError::Misuse`] if one is staged already.
    pub fn write_vault(&mut self, write: VaultWrite) -> Result<(), StepError> {
        if self.staged.vault.is_some() {
            return Err(StepError::Misuse("one batch carries one vault write"));
        }
        self.revive()?;
        self.staged.vault = Some(write);
        self.touch();
        Ok(())
    }

    /// Stages an event, at the draft's moment. Only accounts have events; elsewhere it is dropped.
    pub fn event(&mut self, event: impl Into<Event>) {
        if self.partition.is_account() {
            self.staged.events.push(event.into());
            self.touch();
        }
    }

    /// The revision under which a record was last put, as it was loaded: what a plan made outside the draft is compared
    /// with. `None` if the root names no such record.
    #[must_use]
    pub fn revision<R, L>(&self, slot: Slot<R, L>) -> Option<Revision> {
        self.loaded.root.contents.get(&slot.name()).map(|entry| entry.revision)
    }

    /// A value that comes out only after the commit: a proof, a key, a token.
    pub const fn tentative<T>(&mut self, value: T) -> Tentative<T> {
        self.grants = true;
        Tentative::new(value, self.attempt)
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
        let after = std::mem::replace(&mut self.staged, before);
        Ok(Judged { outcome: result?, attempt: self.attempt, based_on: self.staged.version, after, step })
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
        if judged.attempt != self.attempt {
            return Err(StepError::Misuse("a verdict of another attempt"));
        }
        if judged.based_on != self.staged.version {
            return (judged.step)(self);
        }
        self.staged = judged.after;
        Ok(judged.outcome)
    }

    /// Whether a guess may be compared now. Without the partition in hand parallel guesses would all be judged by one
    /// ledger, and those that find the queue full would never be charged. Where nobody has it, it is taken here: what was
    /// loaded still serves, and the step goes on.
    pub(crate) fn admit_guess(&mut self, standing: Standing) -> Result<(), StepError> {
        self.standing = standing;
        match self.turn {
            Some(turn) if turn.take(self.partition) => Ok(()),
            _ => Err(StepError::NeedsPartition(standing)),
        }
    }

    /// Notes that something is granted: the batch is committed even if it changes nothing.
    pub(crate) const fn grant(&mut self) {
        self.grants = true;
    }

    /// Notes when the partition has due work next.
    pub(crate) fn set_due_at(&mut self, due_at: Option<UnixSeconds>) {
        self.staged.due_at = due_at;
        self.touch_root();
    }

    /// When the partition has due work next, as its sealed root says.
    pub(crate) const fn due_at(&self) -> Option<UnixSeconds> {
        self.staged.due_at
    }

    fn change_root(&mut self, change: impl FnOnce(&mut Root)) -> Result<(), StepError> {
        let mut root = self.root()?;
        change(&mut root);
        self.staged.state = Some(root);
        self.touch_root();
        Ok(())
    }

    /// Keeps an erased account that is used again: what is stored now must not go with what was dropped.
    fn revive(&mut self) -> Result<(), StepError> {
        if self.staged.state.is_some_and(|root| root.erased) { self.make_permanent() } else { Ok(()) }
    }

    fn forbid_guess(&self, name: SlotName) -> Result<(), StepError> {
        if self.spending && name == crate::guess::LEDGER.name() {
            Err(StepError::GuessInHostTransaction)
        } else {
            Ok(())
        }
    }

    fn touch_root(&mut self) {
        self.staged.touched = true;
        self.touch();
    }

    fn touch(&mut self) {
        // Counted in the draft, not in what is staged: a version that was held back is never given to another state.
        self.versions = self.versions.wrapping_add(1);
        self.staged.version = self.versions;
    }

    fn stage_record<R: Record, L>(
        &mut self,
        slot: Slot<R, L>,
        record: &R,
        expiry: Option<UnixSeconds>,
    ) -> Result<(), StepError> {
        let name = slot.name();
        self.intact(name)?;
        let body = Arc::new(encode(record).map_err(|RecordError| StepError::Encode(name))?);
        let plain = PlainBody { schema: R::SCHEMA, body, expiry, kind: Some(slot.kind()) };
        if name != crate::due::DUE.name() {
            self.revive()?;
        }
        self.make_room(slot.kind(), name);
        self.staged.writes.insert(name, Some(plain));
        self.touch();
        Ok(())
    }

    fn delete_named(&mut self, name: SlotName) -> Result<(), StepError> {
        self.intact(name)?;
        self.staged.writes.insert(name, None);
        self.touch();
        Ok(())
    }

    /// Whether a record may be overwritten. One that does not open may not: an operator could still mend it. One that the
    /// root vouches for and that is gone may not: the loss would be hidden.
    fn intact(&mut self, name: SlotName) -> Result<(), StepError> {
        self.forbid_guess(name)?;
        self.root()?;
        if !self.loaded.records.contains_key(&name) && !self.loaded.root.contents.contains_key(&name) {
            // Nothing is there that could be lost: an id that the step has just drawn.
            return Ok(());
        }
        self.plain(name).map(|_| ())
    }

    /// The slots that hold a record, as steps so far have left them.
    fn names(&self) -> Vec<SlotName> {
        let kept = self.loaded.root.contents.keys().filter(|_| !self.staged.erase);
        let mut names: Vec<SlotName> = kept.filter(|name| !self.staged.writes.contains_key(name)).copied().collect();
        names.extend(self.staged.writes.iter().filter(|(_, plain)| plain.is_some()).map(|(name, _)| *name));
        names
    }

    /// The slot's body in clear: staged, or loaded and opened under exactly the revision that the root names.
    fn plain(&mut self, name: SlotName) -> Result<Option<PlainBody>, StepError> {
        // What is overwritten must have been loaded too: the loss of a record would be hidden.
        let stored = self.loaded.records.get(&name).ok_or_else(|| StepError::NotLoaded(vec![name]))?;
        if let Some(staged) = self.staged.writes.get(&name) {
            return Ok(staged.clone());
        }
        if self.staged.erase {
            return Ok(None);
        }
        let (entry, body) = match (self.loaded.root.contents.get(&name), stored) {
            (None, None) => return Ok(None),
            // The loss of a record that expires denies by itself.
            (Some(entry), None) if entry.expiry.is_some() => return Ok(None),
            (None, Some(_)) | (Some(_), None) => return Err(StepError::Damaged(Damage::Record(name))),
            (Some(entry), Some(body)) => (entry, body),
        };
        if let Some(plain) = self.loaded.opened.get(name) {
            return Ok(Some(plain));
        }
        let (label, text) = (self.partition.seal_label(), name.to_text());
        let context = SealContext::new(&label, &text, entry.revision.to_bytes());
        let (schema, body) = self.env.keyring.open(&context, body).map_err(StepError::Open)?;
        let plain = PlainBody { schema, body: Arc::new(body), expiry: entry.expiry, kind: None };
        self.loaded.opened.insert(name, plain.clone());
        Ok(Some(plain))
    }
}

impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("partition", &self.partition).field("now", &self.env.now).finish_non_exhaustive()
    }
}

/// A step's verdict, its writes held back.
#[must_use = "a verdict that is not staged counts nothing"]
pub struct Judged<T, F> {
    outcome: T,
    attempt: Revision,
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
