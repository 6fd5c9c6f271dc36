//! A driver and the attempt it is at: what it is to do, what it has opened, and where it is.

use crate::store::{Batch, Expiry, Rev, Root};

/// What a caller may want.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// Spend the one-time code.
    Redeem,
    /// Move the counter by one.
    Change,
    /// Begin a session that expires in a day.
    Touch,
    /// Keep the record in the session's slot for good, whatever it was.
    Keep,
    /// End the session.
    End,
    /// Be granted something because the session stands; writes nothing.
    Use,
    /// Erase the account; the counter moves by one.
    Erase,
    /// Create the account.
    Create,
    /// Create an account that is swept whole in a day unless it is verified.
    Register,
    /// Keep the account for good.
    Verify,
    /// Edit the vault.
    Edit,
    /// Stage rows beside the vault, unguarded: no commit, and no driver's affair.
    Stage,
    /// Promote what is staged, if the vault is still the one over which it was staged.
    Promote,
}

impl Act {
    /// How many acts there are.
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

/// The records of one load.
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

/// Where a driver is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Nothing to do.
    #[default]
    Idle,
    /// About to load; `suspect` is the root of a load that did not open.
    Loading {
        /// The root's revision of that load.
        suspect: Option<Rev>,
    },
    /// Has read the root and not yet the rows, where a load takes two reads.
    Half {
        /// The root it has read.
        root: Option<Root>,
        /// The newest number of the log, read with the root.
        log: u8,
        /// As in `Loading`.
        suspect: Option<Rev>,
    },
    /// A seeded fault: loads the slot that the step turned out to need, and keeps what it opened
    /// before.
    More {
        /// What it opened.
        first: Opened,
    },
    /// Has decided, and sends the batch next.
    Ready {
        /// The batch.
        batch: Batch,
    },
    /// Has lost the reply, and loads the root to settle what became of the attempt.
    Settling {
        /// The revision of the attempt.
        ours: Rev,
        /// The revision it was based on.
        loaded: Rev,
    },
    /// Sends a fence next.
    Fencing {
        /// As in `Settling`.
        ours: Rev,
        /// As in `Settling`.
        loaded: Rev,
        /// The fence.
        fence: Batch,
    },
}

/// A driver and the attempt it is at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Driver {
    /// What it is at.
    pub act: Option<Act>,
    /// Where it is.
    pub phase: Phase,
    /// How often it may still run the step again.
    pub reruns: u8,
    /// How often it may still look at the root to settle this attempt.
    pub looks: u8,
    /// Whether the step has asked for the slot that is loaded only if it does.
    pub wide: bool,
    /// The store's horizon as it was last heard.
    pub heard: u8,
    /// The furthest horizon that was heard.
    pub furthest: u8,
    /// For the onlooker: whether an attempt of this act has landed.
    pub landed: bool,
    /// For the onlooker: how many roots were put since it loaded.
    pub passed: u8,
}

impl Driver {
    /// Hears where the store's horizon stands.
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
