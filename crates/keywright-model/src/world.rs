//! The state of the world: one partition in a store, the commits in flight, and the drivers.
//!
//! Besides what really exists, the state holds what only an observer knows: the *ledger*, which is
//! the result of the applied commits in order, and the promises that were broken. The properties
//! compare the two.

use crate::attempt::{Act, Driver};
pub use crate::store::{
    Batch, CODE, COUNTER, Effect, Entry, Expiry, PROMOTED, Rev, Root, Row, SESSION, SLOTS, Stage, Store, VAULT,
    VaultWrite, Write,
};

/// The result of the applied commits, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ledger {
    /// Whether the code is spent, or `None` if there is none.
    pub code: Option<bool>,
    /// The counter.
    pub counter: Option<u8>,
    /// The session and its expiry.
    pub session: Option<Expiry>,
    /// When the whole account expires.
    pub expires: Expiry,
    /// The number of events in the log.
    pub events: u8,
    /// The vault's state, if there is one.
    pub vault: Option<u8>,
}

impl Ledger {
    /// A new account.
    pub(crate) const fn new(expires: Expiry) -> Self {
        Self { code: Some(false), counter: Some(0), session: None, expires, events: 1, vault: None }
    }

    /// Records an applied commit.
    pub(crate) fn book(&mut self, effect: Effect) {
        self.events += u8::from(effect.is_event());
        match effect {
            Effect::Spend => self.code = Some(true),
            Effect::Change => self.counter = self.counter.map(|counter| counter + 1),
            Effect::Touch(expiry) => self.session = Some(Some(expiry)),
            Effect::Keep => self.session = Some(None),
            Effect::End => self.session = None,
            Effect::Erase => {
                self.counter = self.counter.map(|counter| counter + 1);
                (self.code, self.session, self.vault) = (None, None, None);
            }
            Effect::Create => *self = Self { events: self.events, ..Self::new(None) },
            Effect::Register(expiry) => *self = Self { events: self.events, ..Self::new(Some(expiry)) },
            Effect::Edit => self.vault = self.vault.map(|state| state + 1),
            Effect::Promote(over) => self.vault = Some(over + PROMOTED),
            Effect::Verify => self.expires = None,
            Effect::Fence | Effect::Live(_) | Effect::Denied => {}
        }
    }
}

/// A commit whose reply is lost and that the store may still apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Held {
    /// The driver that still waits for it.
    pub owner: Option<u8>,
    /// The batch of the commit.
    pub batch: Batch,
    /// Whether its driver has settled that it can never be applied.
    pub dead: bool,
    /// Whether its caller was answered that nothing happened.
    pub refused: bool,
    /// Whether its caller was answered that it happened, by another attempt.
    pub done: bool,
}

/// The whole state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    /// The primary store.
    pub store: Store,
    /// The state of a lagging replica, kept only where it is read.
    pub replica: Option<Store>,
    /// Commits that may still be applied.
    pub held: Vec<Held>,
    /// The drivers.
    pub drivers: Vec<Driver>,
    /// How often each act may still be started.
    pub acts: [u8; Act::COUNT],
    /// How many replies may still be lost.
    pub losses: u8,
    /// How many commits the store may still refuse although the root is current.
    pub conflicts: u8,
    /// How many drivers may still be restarted.
    pub restarts: u8,
    /// The true time, in days.
    pub now: u8,
    /// The sweep's horizon.
    pub horizon: u8,
    /// What a sweep in two statements has chosen: records, and the partition.
    pub chosen: ([bool; SLOTS], bool),
    /// How often the horizon has moved forward since a root was put where there was none.
    /// Everything that expected its absence was sent before that. Counted up to two.
    pub moves_since_absence: u8,
    /// How many times the code was granted.
    pub grants: u8,
    /// The result of the applied commits.
    pub ledger: Ledger,
    /// Which promises were broken.
    pub broken: u16,
}
