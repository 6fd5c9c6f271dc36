//! The report on a history that no serial order explains.

/// Why a history cannot be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// Two batches replaced one root.
    #[error("two batches replaced one root")]
    TwoWinners,
    /// A batch that was answered with a conflict, or rejected, has had an effect.
    #[error("a batch that was refused has had an effect")]
    RefusedLanded,
    /// A root was seen that no client put.
    #[error("a root was seen that nobody put")]
    UnknownRoot,
    /// A load or a page shows a state that never existed together with the root that it shows.
    #[error("a read shows what was never there together")]
    Torn,
    /// An operation was answered before another was requested that must have come before it: a
    /// stale read, or a lost write.
    #[error("what was answered earlier must have come later")]
    Order,
}

/// A history that no serial order explains, reduced to the operations that show it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (seed {seed}; {shown} of {total} operations on the partition)\n{text}")]
pub struct Anomaly {
    pub(super) kind: AnomalyKind,
    pub(super) seed: u64,
    /// The number of operations that `text` shows.
    pub(super) shown: usize,
    /// The number of operations on the partition.
    pub(super) total: usize,
    pub(super) text: String,
}

impl Anomaly {
    /// Returns why the history cannot be explained.
    #[must_use]
    pub const fn kind(&self) -> AnomalyKind {
        self.kind
    }

    /// Returns how many operations of the history remain.
    #[must_use]
    pub const fn operations(&self) -> usize {
        self.shown
    }

    pub(super) fn of_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}
