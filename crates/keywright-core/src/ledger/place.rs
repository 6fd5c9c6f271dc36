//! The counter to which a guess belongs.

use serde::{Deserialize, Serialize};

use crate::ledger::client::ClientTag;

/// The counter against which a guess is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// The shared counter of all unknown clients.
    Unknown,
    /// The counter of a known client.
    Known(ClientTag),
    /// The tries of an admission.
    Admitted(ClientTag),
    /// No counter: the guess was counted before its verdict.
    Counted,
}
