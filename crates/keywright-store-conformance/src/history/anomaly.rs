//! What is told of a history that no serial order explains.

/// In what way a history cannot be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum AnomalyKind {
    /// Two batches replaced one root.
    #[error("two batches replaced one root")]
    TwoWinners,
    /// A batch that was a conflict, or rejected, has had an effect.
    #[error("a batch that was refused has had an effect")]
    RefusedLanded,
    /// A root was seen that nobody put.
    #[error("a root was seen that nobody put")]
    UnknownRoot,
    /// A load or a page shows what was never there with the root that it shows.
    #[error("a read shows what was never there together")]
    Torn,
    /// Something was answered before something else was asked that must have come before it: a
    /// stale read, a lost write.
    #[error("what was answered earlier must have come later")]
    Order,
}

/// A history that no serial order explains, cut down to what is needed for that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (seed {seed}; {shown} of {total} operations on the partition)\n{text}")]
pub struct Anomaly {
    pub(super) kind: AnomalyKind,
    pub(super) seed: u64,
    /// How many operations `text` shows.
    pub(super) shown: usize,
    /// How many there were on the partition.
    pub(super) total: usize,
    pub(super) text: String,
}

impl Anomaly {
    /// In what way the history cannot be explained.
    #[must_use]
    pub const fn kind(&self) -> AnomalyKind {
        self.kind
    }

    /// How many operations are left of the history.
    #[must_use]
    pub const fn operations(&self) -> usize {
        self.shown
    }

    pub(super) fn of_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}
