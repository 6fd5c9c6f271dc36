//! One partition in a store, and the batches that change it.

use keywright_store::Revision;

use crate::bugs::Bug;
use crate::recent::Recent;

/// A revision. Zero is the one of an absent root; all others are only ever compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rev(pub u8);

impl Rev {
    /// The revision of an absent root.
    pub const ZERO: Self = Self(0);
    /// A revision that is not looked up any more. Only its place in `recent` matters.
    pub(crate) const FORGOTTEN: Self = Self(1);
    /// A revision that was just drawn. The normal form assigns it a number.
    pub(crate) const FRESH: Self = Self(u8::MAX);

    /// The revision in the store's form.
    pub(crate) const fn revision(self) -> Revision {
        Revision::from_bytes([self.0; 16])
    }
}

/// When a record expires, or `None` if it does not.
pub type Expiry = Option<u8>;

/// The slots of the partition: a permanent one with a one-time code, a permanent one with a counter
/// of acknowledged changes, one whose record may expire (a session) or be kept permanently, and a
/// permanent one with the head of the vault.
pub const SLOTS: usize = 4;
/// The slot of the one-time code: 0 is unspent, 1 is spent.
pub const CODE: usize = 0;
/// The slot of the counter.
pub const COUNTER: usize = 1;
/// The slot of the session.
pub const SESSION: usize = 2;
/// The slot of the vault's head, which names the vault's state. An edit moves the state by one and
/// a promotion by sixteen, so that no two histories lead to the same state.
pub const VAULT: usize = 3;
/// The state of a vault to which a stage was promoted.
pub const PROMOTED: u8 = 16;

/// A record's entry in the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The revision under which the record was last put.
    pub rev: Rev,
    /// When it expires.
    pub expiry: Expiry,
}

/// A record's row. It opens only under the revision that the root names for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// The revision it was sealed under.
    pub rev: Rev,
    /// The record's value.
    pub value: u8,
    /// The hint for the sweep.
    pub purge_after: Expiry,
}

/// The root: the partition's sealed table of contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Root {
    /// Its own revision.
    pub rev: Rev,
    /// The revisions before its own.
    pub recent: Recent<Rev>,
    /// The entries of the records.
    pub contents: [Option<Entry>; SLOTS],
    /// From when the whole partition may be swept.
    pub expires: Expiry,
    /// The newest number of the chain of events.
    pub events: u8,
}

impl Root {
    /// Whether the root names no record, as the fence of a creation does.
    pub(crate) fn is_blank(&self) -> bool {
        self.contents.iter().all(Option::is_none)
    }
}

/// All rows of the partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Store {
    /// The root's row.
    pub root: Option<Root>,
    /// The root's hint for the sweep of the whole partition, stored in the clear beside it.
    pub purge_after: Expiry,
    /// The records' rows.
    pub rows: [Option<Row>; SLOTS],
    /// The newest number among the rows of events. They start at one, without gaps.
    pub log: u8,
    /// The state of the vault's rows, or 0 if there are none.
    pub vault: u8,
    /// What is staged beside the vault.
    pub stage: Option<Stage>,
}

/// Staged rows, which are unguarded until they are promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage {
    /// The revision of the vault's head that they are meant to replace.
    pub base: Rev,
    /// The state that the vault had then.
    pub over: u8,
}

impl Store {
    /// Whether a batch can be applied: the root is current, and what it promotes is what is staged.
    pub(crate) fn takes(&self, batch: &Batch) -> bool {
        let staged = |over| self.stage.is_some_and(|stage| stage.over == over);
        let vault = batch.write.as_ref().and_then(|write| write.vault);
        let may_promote = !matches!(vault, Some(VaultWrite::Promote(over)) if !staged(over));
        self.rev() == batch.expect && may_promote
    }

    pub(crate) fn rev(&self) -> Rev {
        self.root.map_or(Rev::ZERO, |root| root.rev)
    }

    /// Applies what a batch writes. The caller has compared the root.
    ///
    /// Deletes come last, so that a batch that names a slot twice shows its effect. A partition
    /// that would be swept within a day of the horizon is kept until then, because commits that
    /// were sent to it earlier may still be in flight.
    pub(crate) fn apply(&mut self, write: &Write, horizon: u8, bug: Option<Bug>) {
        for (slot, row) in self.rows.iter_mut().enumerate() {
            if let Some(put) = write.puts[slot] {
                *row = Some(put);
            }
            let erased = write.erase && (write.puts[slot].is_none() || bug == Some(Bug::EraseTakesPuts));
            if erased || write.deletes[slot] {
                *row = None;
            }
        }
        if write.erase {
            (self.vault, self.stage) = (0, None);
        }
        match write.vault {
            None => {}
            Some(VaultWrite::Edit(state)) => self.vault = state,
            Some(VaultWrite::Promote(over)) => (self.vault, self.stage) = (over + PROMOTED, None),
        }
        // Only a faulty store replaces a number that is taken.
        self.log = self.log.max(write.tells.unwrap_or(0));
        let as_given = matches!(bug, Some(Bug::ExpiryAsGiven | Bug::BlankRootByOwnClock));
        let earliest = if as_given { 0 } else { horizon + 1 };
        self.purge_after = write.root.expires.map(|expires| expires.max(earliest));
        self.root = Some(write.root);
    }
}

/// What a batch writes if its root matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Write {
    /// The new root.
    pub root: Root,
    /// The rows that it puts.
    pub puts: [Option<Row>; SLOTS],
    /// The rows that it deletes.
    pub deletes: [bool; SLOTS],
    /// Whether all other rows are removed.
    pub erase: bool,
    /// The number of its event.
    pub tells: Option<u8>,
    /// Its change of the vault's rows.
    pub vault: Option<VaultWrite>,
}

/// A change of the vault's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VaultWrite {
    /// The rows are set to this state.
    Edit(u8),
    /// The rows that were staged over this state replace those of the vault.
    Promote(u8),
}

/// One compare-and-set of the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch {
    /// The revision that the root must still have.
    pub expect: Rev,
    /// What the batch writes. `None` only checks whether the root is still current.
    pub write: Option<Write>,
    /// The batch's meaning, for the ledger.
    pub effect: Effect,
}

/// The meaning of a batch for the account's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// The code is spent, and something is granted for it.
    Spend,
    /// The counter moves by one.
    Change,
    /// A session starts, or starts again, with this expiry.
    Touch(u8),
    /// The record in the session's slot is kept permanently.
    Keep,
    /// The session ends.
    End,
    /// Everything is removed except the counter, which moves by one.
    Erase,
    /// The account is created, with an unspent code.
    Create,
    /// The same, but the whole account expires unless it is verified.
    Register(u8),
    /// The account is kept permanently.
    Verify,
    /// The vault is edited.
    Edit,
    /// What was staged over this state replaces the vault.
    Promote(u8),
    /// No change: the root is put again, or a blank one where there was none.
    Fence,
    /// No change: something is granted because the session is valid, with this expiry.
    Live(Expiry),
    /// No change: refused. It is never committed.
    Denied,
}

impl Effect {
    /// Whether the log has an event for it.
    pub(crate) const fn is_event(self) -> bool {
        matches!(
            self,
            Self::Spend
                | Self::Change
                | Self::Erase
                | Self::Create
                | Self::Register(_)
                | Self::Verify
                | Self::Promote(_)
        )
    }
}
