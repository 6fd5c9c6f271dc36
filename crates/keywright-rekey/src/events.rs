//! The kinds of events that this crate writes to the security log.

use keywright_core::{EventKind, Severity};

/// Every cipher was replaced. Field: `ciphers`, the number of ciphers.
pub static VAULT_SWAPPED: EventKind =
    EventKind::change("vault_swapped", Severity::Notice, "every cipher of the vault was encrypted anew");

/// A re-encrypted vault was stored, and is held back until it is confirmed. Field: `ciphers`, the
/// number of its ciphers.
pub static VAULT_HELD: EventKind =
    EventKind::change("vault_held", Severity::Notice, "a re-encrypted vault waits for its confirmation");

/// A held vault was dropped without being confirmed.
pub static VAULT_DROPPED: EventKind =
    EventKind::change("vault_dropped", Severity::Notice, "a re-encrypted vault that waited was dropped");

/// The rows of the current vault, or of a held one, are not those that were committed, and access
/// was denied. Field: `part`, which is `vault`, `cipher` or `held`. Emitted at most once an hour.
pub static VAULT_DAMAGED: EventKind = EventKind::denial("vault_damaged", "the vault is damaged, and was not given out");

/// An operator accepted a damaged vault as it is. Fields: `ciphers`, the number of its ciphers;
/// `dropped`, the number of ciphers that did not open and were dropped.
pub static VAULT_ACCEPTED: EventKind =
    EventKind::change("vault_accepted", Severity::Alert, "an operator accepted a damaged vault as it is");

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] = &[&VAULT_SWAPPED, &VAULT_HELD, &VAULT_DROPPED, &VAULT_DAMAGED, &VAULT_ACCEPTED];
