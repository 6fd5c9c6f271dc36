//! What must hold in every state, and how a transition reports that it broke a promise.

use stateright::Property;

use crate::model::Search;
use crate::step::{Opened, open};
use crate::world::{CODE, COUNTER, SESSION, VAULT, World};

/// All slots.
const ALL: [usize; 4] = [CODE, COUNTER, SESSION, VAULT];

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// A code is granted at most once.
    GrantedOnce,
    /// No step lands twice.
    LandedOnce,
    /// What was acknowledged has landed, and stays.
    AcknowledgedStays,
    /// What was told as refused never lands, neither before nor later; that covers every answer
    /// but success and "unknown".
    RefusedNeverLands,
    /// An attempt that was settled as never landed has not landed and cannot: the fence stands.
    SettledStaysSettled,
    /// An honest history has no integrity error.
    Integrity,
    /// What a commit rests on stands at the moment it lands, also if it writes nothing.
    RestsOnWhatStands,
    /// The log tells each landed change once, and nothing else.
    ToldOnce,
    /// "Unknown" is the answer only when `recent` has really been passed.
    UnknownOnlyBeyond,
}

impl Promise {
    /// Every promise.
    pub const ALL: [Self; 9] = [
        Self::GrantedOnce,
        Self::LandedOnce,
        Self::AcknowledgedStays,
        Self::RefusedNeverLands,
        Self::SettledStaysSettled,
        Self::Integrity,
        Self::RestsOnWhatStands,
        Self::ToldOnce,
        Self::UnknownOnlyBeyond,
    ];

    /// The name of its property.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GrantedOnce => "a code is granted at most once",
            Self::LandedOnce => "no step lands twice",
            Self::AcknowledgedStays => "an acknowledged change has landed and stays",
            Self::RefusedNeverLands => "what was refused never lands",
            Self::SettledStaysSettled => "a fenced or settled attempt never lands",
            Self::Integrity => "an honest history has no integrity error",
            Self::RestsOnWhatStands => "a commit rests on what stands when it lands",
            Self::ToldOnce => "the log tells each landed change once",
            Self::UnknownOnlyBeyond => "unknown only beyond what the root remembers",
        }
    }

    pub(crate) const fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl World {
    /// Reports a broken promise.
    pub(crate) fn broke(&mut self, promise: Promise) {
        self.broken |= promise.bit();
    }

    fn kept(&self, promise: Promise) -> bool {
        self.broken & promise.bit() == 0
    }
}

/// All properties of a search.
pub(crate) fn properties() -> Vec<Property<Search>> {
    vec![
        Property::always(Promise::GrantedOnce.name(), |_, world: &World| world.grants <= 1),
        Property::always(Promise::LandedOnce.name(), |_, world: &World| world.kept(Promise::LandedOnce)),
        Property::always(Promise::AcknowledgedStays.name(), |search: &Search, world: &World| {
            world.kept(Promise::AcknowledgedStays) && stands(search, world)
        }),
        Property::always(Promise::RefusedNeverLands.name(), |_, world: &World| world.kept(Promise::RefusedNeverLands)),
        Property::always(Promise::SettledStaysSettled.name(), |_, world: &World| {
            world.kept(Promise::SettledStaysSettled)
        }),
        Property::always(Promise::Integrity.name(), |_, world: &World| {
            world.kept(Promise::Integrity) && open(&world.store, &ALL).is_some()
        }),
        Property::always(Promise::RestsOnWhatStands.name(), |_, world: &World| world.kept(Promise::RestsOnWhatStands)),
        Property::always(Promise::ToldOnce.name(), |_, world: &World| {
            let root = world.store.root.map_or(0, |root| root.told);
            (world.store.log, root) == (world.ledger.told, world.ledger.told)
        }),
        Property::always(Promise::UnknownOnlyBeyond.name(), |_, world: &World| world.kept(Promise::UnknownOnlyBeyond)),
    ]
}

/// Whether the store shows exactly what the landed commits amount to. An expiring record may be
/// missing once it has expired.
fn stands(search: &Search, world: &World) -> bool {
    let Some(Opened { code, counter, session, vault }) = open(&world.store, &ALL) else {
        return true; // an integrity error is another property's affair
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
