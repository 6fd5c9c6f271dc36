//! A driver and its current attempt: its act, what it has opened, and its phase.

use crate::store::{Batch, Expiry, Rev, Root};

/// An operation that a caller may request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// Spend the one-time code.
    Redeem,
    /// Move the counter by one.
    Change,
    /// Start a session that expires in a day.
    Touch,
    /// Keep the record in the session's slot permanently, whatever it was.
    Keep,
    /// End the session.
    End,
    /// Obtain a grant because the session is valid. Writes nothing.
    Use,
    /// Erase the account. The counter moves by one.
    Erase,
    /// Create the account.
    Create,
    /// Create an account that is swept as a whole in a day, unless it is verified.
    Register,
    /// Keep the account permanently.
    Verify,
    /// Edit the vault.
    Edit,
    /// Stage rows beside the vault. This is unguarded, is not a commit, and involves no driver.
    Stage,
    /// Promote what is staged, if the vault is still the one over which it was staged.
    Promote,
}

impl Act {
    /// The number of acts.
    pub const COUNT: usize = 13;
    /// Every act.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Redeem,
        Self::Change,
        Self::Touch,
        Self::Keep,
        Self::End,
        Self::Use,
        Self::Erase,
        Self::Create,
        Self::Register,
        Self::Verify,
        Self::Edit,
        Self::Stage,
        Self::Promote,
    ];
}

/// The records that one load opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Opened {
    /// The code.
    pub code: Option<u8>,
    /// The counter.
    pub counter: Option<u8>,
    /// The session, by its expiry.
    pub session: Option<Expiry>,
    /// The vault's state, and the revision of its head.
    pub vault: Option<(u8, Rev)>,
}

/// The phase of a driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The driver has nothing to do.
    #[default]
    Idle,
    /// The driver is about to load. `suspect` is the root of a load that did not open.
    Loading {
        /// The root's revision in that load.
        suspect: Option<Rev>,
    },
    /// On a backend that loads in two reads: the driver has read the root, but not yet the rows.
    Half {
        /// The root that it has read.
        root: Option<Root>,
        /// The newest number of the log, read with the root.
        log: u8,
        /// As in `Loading`.
        suspect: Option<Rev>,
    },
    /// A seeded fault: the driver loads the slot that the step turned out to need, and keeps what
    /// it opened before.
    More {
        /// The records that it opened before.
        first: Opened,
    },
    /// The driver has decided, and sends the batch next.
    Ready {
        /// The batch.
        batch: Batch,
    },
    /// The driver has lost the reply, and loads the root to settle the attempt.
    Settling {
        /// The revision of the attempt.
        ours: Rev,
        /// The revision that the attempt was based on.
        loaded: Rev,
    },
    /// The driver sends a fence next.
    Fencing {
        /// As in `Settling`.
        ours: Rev,
        /// As in `Settling`.
        loaded: Rev,
        /// The fence.
        fence: Batch,
    },
}

/// A driver and its current attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Driver {
    /// The act that it performs.
    pub act: Option<Act>,
    /// Its phase.
    pub phase: Phase,
    /// How often it may still run the step again.
    pub reruns: u8,
    /// How often it may still read the root to settle this attempt.
    pub looks: u8,
    /// Whether the step has requested the slot that is loaded only on request.
    pub wide: bool,
    /// The store's horizon, as the driver last knew it.
    pub heard: u8,
    /// The furthest horizon that the driver has known.
    pub furthest: u8,
    /// For the observer: whether an attempt of this act has been applied.
    pub landed: bool,
    /// For the observer: how many roots were put since the driver loaded.
    pub passed: u8,
}

impl Driver {
    /// Learns the store's current horizon.
    pub(crate) fn hear(&mut self, horizon: u8) {
        self.heard = horizon;
        self.furthest = self.furthest.max(horizon);
    }

    /// The driver with nothing to do.
    pub(crate) fn at_rest(self) -> Self {
        let Self { heard, furthest, .. } = self;
        Self { heard, furthest, ..Self::default() }
    }
}
