//! The security events of confirmations. Each has the field `action`, which is the action's name.
//!
//! Any logged-in user can cause [`CONFIRMATION_ASKED`] and [`CONFIRMATION_DENIED`] again and again.
//! So that they never flood the log, only the first is emitted; those of the same action (and
//! reason) within the hour are counted. The next event after that hour has their number in the
//! field `earlier`.

use keywright_core::{EventKind, Severity};
use serde::{Deserialize, Serialize};

/// A confirmation was requested. Fields: `action`, and `earlier` if earlier events were only
/// counted.
pub static CONFIRMATION_ASKED: EventKind =
    EventKind::change("confirmation_asked", Severity::Info, "a confirmation was asked for");

/// A confirmation was granted, and the action may happen once. Field: `action`.
pub static CONFIRMATION_GRANTED: EventKind =
    EventKind::change("confirmation_granted", Severity::Notice, "an action was confirmed");

/// A confirmation was denied. Fields: `action`; `reason`, which is `wrong`, `replayed`, `expired`,
/// `early`, or `unbound` (the confirmation was made for another action, target, session or epoch);
/// and `earlier` if earlier events were only counted.
pub static CONFIRMATION_DENIED: EventKind = EventKind::denial("confirmation_denied", "a confirmation was denied");

/// A confirmation was withdrawn by its cancel token. Field: `action`.
pub static CONFIRMATION_CANCELLED: EventKind =
    EventKind::change("confirmation_cancelled", Severity::Notice, "a confirmation was withdrawn");

/// The reason why a confirmation was denied. It is for the log only: the client gets one answer for
/// all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// The code did not match.
    Wrong,
    /// The code was granted before.
    Replayed,
    /// The attempt came too late.
    Expired,
    /// The attempt came too early.
    Early,
    /// The confirmation was made for another action, target, session or epoch.
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

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] =
    &[&CONFIRMATION_ASKED, &CONFIRMATION_GRANTED, &CONFIRMATION_DENIED, &CONFIRMATION_CANCELLED];
