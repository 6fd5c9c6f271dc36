//! The kinds of events that this crate writes to the security log.

use keywright_core::{EventKind, Severity};

/// Every cipher was replaced. Field `ciphers`: how many.
pub static VAULT_SWAPPED: EventKind =
    EventKind::change("vault_swapped", Severity::Notice, "every cipher of the vault was encrypted anew");

/// A re-encrypted vault waits for a confirmation. Field `ciphers`: how many it has.
pub static VAULT_HELD: EventKind =
    EventKind::change("vault_held", Severity::Notice, "a re-encrypted vault waits for its confirmation");

/// A re-encrypted vault that waited was dropped.
pub static VAULT_DROPPED: EventKind =
    EventKind::change("vault_dropped", Severity::Notice, "a re-encrypted vault that waited was dropped");

/// The rows of a vault, or of one that waits, are not those that were committed; access was denied. Field `part`:
/// `vault`, `cipher` or `held`. Written at most once an hour.
pub static VAULT_DAMAGED: EventKind = EventKind::denial("vault_damaged", "the vault is damaged, and was not given out");

/// An operator accepted a damaged vault as it is. Fields `ciphers`: how many it has; `dropped`: how many that did not open
/// were dropped.
pub static VAULT_ACCEPTED: EventKind =
    EventKind::change("vault_accepted", Severity::Alert, "an operator accepted a damaged vault as it is");
