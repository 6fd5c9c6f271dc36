//! Counts over the histories of a run.

use std::fmt;

/// What happened in the histories that were checked. A run in which no operations met proves
/// nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// The number of operations.
    pub operations: u64,
    /// Batches that were applied.
    pub landed: u64,
    /// Applied batches whose reply was lost.
    pub landed_unknown: u64,
    /// Applied batches that promoted a stage.
    pub promoted: u64,
    /// Batches and checks that were answered with a conflict.
    pub conflicts: u64,
    /// Reads and checks that were placed along the chain.
    pub reads: u64,
    /// Those of these reads that saw a vault which was not empty.
    pub vault: u64,
    /// Those of these reads that met a record which a sweep had dropped.
    pub swept: u64,
}

impl Statistics {
    pub(super) const fn add(&mut self, other: Self) {
        self.operations = self.operations.saturating_add(other.operations);
        self.landed = self.landed.saturating_add(other.landed);
        self.landed_unknown = self.landed_unknown.saturating_add(other.landed_unknown);
        self.promoted = self.promoted.saturating_add(other.promoted);
        self.conflicts = self.conflicts.saturating_add(other.conflicts);
        self.reads = self.reads.saturating_add(other.reads);
        self.vault = self.vault.saturating_add(other.vault);
        self.swept = self.swept.saturating_add(other.swept);
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, landed, landed_unknown, promoted, conflicts, reads, vault, swept } = self;
        write!(f, "{operations} operations: {landed} batches landed ({landed_unknown} of them unheard, ")?;
        write!(f, "{promoted} of them promotions), ")?;
        write!(f, "{conflicts} conflicts, {reads} reads ({vault} of a vault, {swept} after a sweep)")
    }
}
