//! The security events of confirmations. Each has the field `action`, the action's name.
//!
//! [`CONFIRMATION_ASKED`] and [`CONFIRMATION_DENIED`] can be brought about again and again by whoever is logged in. So that
//! they never crowd the log, the first is told, and those of the same action (and reason) within the hour are counted
//! only: the next event after that hour has their number in the field `earlier`.

use keywright_core::{EventKind, Severity};
use serde::{Deserialize, Serialize};

/// A confirmation was asked for. Fields: `action`, and `earlier` if there were any.
pub static CONFIRMATION_ASKED: EventKind =
    EventKind::change("confirmation_asked", Severity::Info, "a confirmation was asked for");

/// A confirmation was given, and the action may happen once. Field: `action`.
pub static CONFIRMATION_GRANTED: EventKind =
    EventKind::change("confirmation_granted", Severity::Notice, "an action was confirmed");

/// A confirmation was denied. Fields: `action`; `reason`, which is `wrong`, `replayed`, `expired`, `early`, or `unbound`
/// (it was made for another action, target, session or epoch); and `earlier` if there were any.
pub static CONFIRMATION_DENIED: EventKind = EventKind::denial("confirmation_denied", "a confirmation was denied");

/// A confirmation was withdrawn by its cancel token. Field: `action`.
pub static CONFIRMATION_CANCELLED: EventKind =
    EventKind::change("confirmation_cancelled", Severity::Notice, "a confirmation was withdrawn");

/// Why a confirmation was denied. For the log only: outside, all of these are one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// The code did not match.
    Wrong,
    /// The code was granted before.
    Replayed,
    /// It came too late.
    Expired,
    /// It came too early.
    Early,
    /// It was made for another action, target, session or epoch.
    Unbound,
}

impl Reason {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Replayed => "replayed",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Unbound => "unbound",
        }
    }
}
