//! The kinds of events of this crate.

use keywright_core::EventKind;

use crate::draft::root::{ACCOUNT_CREATED, ACCOUNT_ERASED, ACCOUNT_SEEDED};
use crate::guess::{CLIENT_ADMITTED, GUESS_DENIED, GUESSES_PAUSED, GUESSES_SHUT, GUESSES_UNLOCKED};

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] = &[
    &ACCOUNT_CREATED,
    &ACCOUNT_ERASED,
    &ACCOUNT_SEEDED,
    &GUESS_DENIED,
    &GUESSES_PAUSED,
    &GUESSES_SHUT,
    &GUESSES_UNLOCKED,
    &CLIENT_ADMITTED,
];
