//! What a step notes for the metrics.

/// What the metrics count besides events. It influences no decision.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Notes {
    /// The caller was told to wait, because the ledger refused a guess.
    pub(crate) refused: bool,
    /// How many due tasks have failed and are tried again later.
    pub(crate) due_failed: u32,
}
