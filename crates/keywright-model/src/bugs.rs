//! Faults that can be seeded into the design, to show that the search finds them.

/// One deliberate fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bug {
    /// An attempt whose loaded revision is still current is settled as never applied, without a
    /// fence.
    NoFence,
    /// A fence does not add the revision that it replaces to `recent`.
    SilentFence,
    /// An attempt is settled as never applied as soon as its own revision is not found.
    SettleByAbsence,
    /// A root remembers one revision fewer than it promises.
    ShortRecent,
    /// A root whose `recent` is full keeps the oldest revisions and drops the newest.
    RecentDropsNewest,
    /// A sweep chooses rows in one statement and deletes them in another.
    SweepInTwoStatements,
    /// A batch may name a slot twice, so that pruning an expired record deletes what the step puts.
    PruneAndPut,
    /// An erase also deletes the rows that its own batch puts.
    EraseTakesPuts,
    /// A driver prunes by its own clock alone, without the store's horizon.
    PruneByOwnClock,
    /// Pruning drops the entry in the root and leaves the row to the sweep.
    PruneLeavesRow,
    /// A load reads the root and then the rows, and an integrity error is reported at once.
    NoSecondLook,
    /// The second read reports an integrity error whether or not the root has moved in between.
    BlindSecondLook,
    /// Loads, and the check that a root is still current, are answered by a lagging replica.
    Replica,
    /// A lost creation is settled as never applied as long as there is no root.
    CreationWithoutFence,
    /// A commit's statement may live until after the sweep of a whole partition.
    StatementOutlivesSweep,
    /// The blank root that fences a creation expires by the driver's own clock alone, and the store
    /// accepts that moment as given, although it may lie before the store's horizon already.
    BlankRootByOwnClock,
    /// The store accepts a partition's expiry as given, even if it lies less than a day beyond the
    /// horizon. A driver that does not know how far the horizon is writes such an expiry.
    ExpiryAsGiven,
    /// A second load for further slots keeps the rows of the first although the root has moved.
    KeepsOldRows,
    /// An event takes the number of the newest one, and the store replaces that event.
    EventNumberReused,
    /// The store appends a batch's event before it compares the root.
    EventBeforeTheGuard,
    /// A promotion does not check whether the vault is still the one over which its rows were
    /// staged.
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
