//! Faults that can be seeded into the design, to show that the search would find them.

/// One deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// An attempt whose loaded revision still stands is taken as never landed, without a fence.
    NoFence,
    /// A fence does not push the revision that it replaces into `recent`.
    SilentFence,
    /// An attempt is taken as never landed as soon as its own revision is nowhere to be seen.
    SettleByAbsence,
    /// A root remembers one revision fewer than it promises.
    ShortRecent,
    /// A root that remembers its fill keeps the oldest revisions and drops the newest.
    RecentDropsNewest,
    /// A sweep chooses rows in one statement and deletes what it chose in another.
    SweepInTwoStatements,
    /// A batch may name a slot twice: the prune of its expired record deletes what the step puts.
    PruneAndPut,
    /// An erase also deletes the rows that its own batch puts.
    EraseTakesPuts,
    /// A driver prunes by its own clock alone, without the store's horizon.
    PruneByOwnClock,
    /// A prune drops the entry in the root and leaves the row to the sweep.
    PruneLeavesRow,
    /// A load reads root and rows one after the other, and an integrity error is told at once.
    NoSecondLook,
    /// The second look tells an integrity error whether or not the root has moved meanwhile.
    BlindSecondLook,
    /// Loads, and the check that a root still stands, are answered by a replica that lags behind.
    Replica,
    /// A lost creation is taken as never landed as long as there is no root.
    CreationWithoutFence,
    /// A commit's statement may live on until after the sweep of a whole partition.
    StatementOutlivesSweep,
    /// The blank root that fences a creation expires by the driver's own clock alone, and the store
    /// takes that moment as it is given: it may lie before the store's horizon already.
    BlankRootByOwnClock,
    /// The store takes a partition's expiry as it is given, also where it lies before a day beyond
    /// the horizon: a driver that has not heard how far the horizon is writes such a one.
    ExpiryAsGiven,
    /// A second load for further slots keeps the rows of the first although the root has moved.
    KeepsOldRows,
    /// An event takes the number of the newest one, and the store replaces what has it.
    EventNumberReused,
    /// The store appends a batch's event before it compares the root.
    EventBeforeTheGuard,
    /// A promotion does not look whether the vault is still the one over which its rows were staged.
    PromotesOtherBase,
    /// A promotion replaces the vault's rows and leaves the head as it was.
    PromotionForgetsHead,
}

impl Bug {
    /// Every fault, in the order of the table in the crate's documentation.
    pub const ALL: [Self; 22] = [
        Self::NoFence,
        Self::SilentFence,
        Self::SettleByAbsence,
        Self::ShortRecent,
        Self::RecentDropsNewest,
        Self::SweepInTwoStatements,
        Self::PruneAndPut,
        Self::EraseTakesPuts,
        Self::PruneByOwnClock,
        Self::PruneLeavesRow,
        Self::NoSecondLook,
        Self::BlindSecondLook,
        Self::Replica,
        Self::CreationWithoutFence,
        Self::StatementOutlivesSweep,
        Self::BlankRootByOwnClock,
        Self::ExpiryAsGiven,
        Self::KeepsOldRows,
        Self::EventNumberReused,
        Self::EventBeforeTheGuard,
        Self::PromotesOtherBase,
        Self::PromotionForgetsHead,
    ];
}
