//! The state of the world: one partition in a store, the commits under way, and the drivers.
//!
//! Beside what really exists, the state holds what only an onlooker knows (the *ledger*): what the
//! landed commits amount to, taken one after the other, and which promise was broken. The
//! properties compare the two.

use crate::attempt::{Act, Driver};
pub use crate::store::{
    Batch, CODE, COUNTER, Effect, Entry, Expiry, PROMOTED, Rev, Root, Row, SESSION, SLOTS, Stage, Store, VAULT,
    VaultWrite, Write,
};

/// What the landed commits amount to, one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ledger {
    /// Whether the code is spent; `None` if there is none.
    pub code: Option<bool>,
    /// The counter.
    pub counter: Option<u8>,
    /// The session and its expiry.
    pub session: Option<Expiry>,
    /// When the whole account expires.
    pub expires: Expiry,
    /// How many events were told.
    pub told: u8,
    /// The vault's state, if there is one.
    pub vault: Option<u8>,
}

impl Ledger {
    /// An account as it begins.
    pub(crate) const fn new(expires: Expiry) -> Self {
        Self { code: Some(false), counter: Some(0), session: None, expires, told: 1, vault: None }
    }

    /// Books a landed commit.
    pub(crate) fn book(&mut self, effect: Effect) {
        self.told += u8::from(effect.is_told());
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
            Effect::Create => *self = Self { told: self.told, ..Self::new(None) },
            Effect::Register(expiry) => *self = Self { told: self.told, ..Self::new(Some(expiry)) },
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
    /// What it would do.
    pub batch: Batch,
    /// Its driver has settled that it can never land.
    pub dead: bool,
    /// Its caller was told that nothing happened.
    pub refused: bool,
    /// Its caller was told that it happened, by another attempt.
    pub done: bool,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct World {
    /// The primary.
    pub store: Store,
    /// What a replica that lags behind shows; kept only where it is read.
    pub replica: Option<Store>,
    /// Commits that may still land.
    pub held: Vec<Held>,
    /// The drivers.
    pub drivers: Vec<Driver>,
    /// How often each act may still be begun.
    pub acts: [u8; Act::COUNT],
    /// How many replies may still be lost.
    pub losses: u8,
    /// How many commits the store may still refuse although the root stands.
    pub conflicts: u8,
    /// How many drivers may still be restarted.
    pub restarts: u8,
    /// The true time, in days.
    pub now: u8,
    /// The sweep's horizon.
    pub horizon: u8,
    /// What a sweep in two statements has chosen: records, and the partition.
    pub chosen: ([bool; SLOTS], bool),
    /// How often the horizon has moved forward since a root was put where there was none: all that
    /// was sent on its absence was sent before. Counted up to two.
    pub moves_since_absence: u8,
    /// How many times the code was granted.
    pub grants: u8,
    /// What the landed commits amount to.
    pub ledger: Ledger,
    /// Which promises were broken.
    pub broken: u16,
}
