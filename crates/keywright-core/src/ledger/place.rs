//! Where a guess is counted.

use serde::{Deserialize, Serialize};

use crate::ledger::client::ClientTag;

/// What a guess counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// The unknown clients together.
    Unknown,
    /// A known client.
    Known(ClientTag),
    /// An admission.
    Admitted(ClientTag),
    /// Nothing more: the guess was counted before its verdict.
    Counted,
}
