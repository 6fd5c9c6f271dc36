//! The security events of a challenge. Denied proofs are reported by [`keywright_store::guess`].

use keywright_core::{EventKind, Severity};

/// The account's first challenge was set.
pub static CHALLENGE_SET: EventKind =
    EventKind::change("challenge_set", Severity::Notice, "a password challenge was set");

/// The account's challenge was replaced, which ended all sessions.
pub static CHALLENGE_REPLACED: EventKind = EventKind::change(
    "challenge_replaced",
    Severity::Notice,
    "the password challenge was replaced, and all sessions ended",
);

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] = &[&CHALLENGE_SET, &CHALLENGE_REPLACED];
