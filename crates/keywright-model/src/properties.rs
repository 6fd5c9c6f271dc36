//! What must hold in every state, and how a transition reports that it broke a promise.

use crate::attempt::Opened;
pub use crate::promise::Promise;
use crate::search::Search;
use crate::step::open;
use crate::store::{CODE, COUNTER, SESSION, VAULT};
use crate::world::World;

/// All slots.
const ALL: [usize; 4] = [CODE, COUNTER, SESSION, VAULT];

impl World {
    /// Reports a broken promise.
    pub(crate) fn broke(&mut self, promise: Promise) {
        self.broken |= promise.bit();
    }

    fn kept(&self, promise: Promise) -> bool {
        self.broken & promise.bit() == 0
    }
}

/// Whether a state keeps a promise.
pub(crate) type Condition = fn(&Search, &World) -> bool;

/// Every promise, and its condition on a state.
pub(crate) fn conditions() -> [(Promise, Condition); Promise::ALL.len()] {
    [
        (Promise::GrantedOnce, |_, world| world.grants <= 1),
        (Promise::LandedOnce, |_, world| world.kept(Promise::LandedOnce)),
        (Promise::AcknowledgedStays, |search, world| world.kept(Promise::AcknowledgedStays) && stands(search, world)),
        (Promise::RefusedNeverLands, |_, world| world.kept(Promise::RefusedNeverLands)),
        (Promise::SettledStaysSettled, |_, world| world.kept(Promise::SettledStaysSettled)),
        (Promise::Integrity, |_, world| world.kept(Promise::Integrity) && open(&world.store, &ALL).is_some()),
        (Promise::RestsOnWhatStands, |_, world| world.kept(Promise::RestsOnWhatStands)),
        (Promise::ToldOnce, |_, world| {
            let root = world.store.root.map_or(0, |root| root.events);
            (world.store.log, root) == (world.ledger.events, world.ledger.events)
        }),
        (Promise::UnknownOnlyBeyond, |_, world| world.kept(Promise::UnknownOnlyBeyond)),
    ]
}

/// Whether the store shows exactly the result of the applied commits. An expiring record may be
/// missing once it has expired.
fn stands(search: &Search, world: &World) -> bool {
    let Some(Opened { code, counter, session, vault }) = open(&world.store, &ALL) else {
        return true; // an integrity error belongs to another property
    };
    let ledger = &world.ledger;
    let session_stands = match (ledger.session, session) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(booked), Some(shown)) => booked == shown,
        (Some(None), None) => false,
        (Some(Some(expiry)), None) => expiry <= world.now || search.config.upkeep_ahead > 0,
    };
    ledger.code.map(u8::from) == code
        && ledger.counter == counter
        && ledger.vault == vault.map(|(state, _)| state)
        && session_stands
}
