//! The kinds of events that this crate writes. A proof that allowed an act is recorded as
//! [`STEP_UP_GRANTED`](keywright_twofactor::events::STEP_UP_GRANTED).

use keywright_core::{EventKind, Severity};

/// The host was told to remove the account's end-to-end keys.
pub static END_TO_END_KEYS_RESET: EventKind =
    EventKind::change("end_to_end_keys_reset", Severity::Notice, "the end-to-end keys were reset");
/// The host was told to end all of the account's logins.
pub static LOGINS_ENDED: EventKind = EventKind::change("logins_ended", Severity::Notice, "all logins were ended");
/// The host was told to end all logins except the one that acted.
pub static OTHER_LOGINS_ENDED: EventKind =
    EventKind::change("other_logins_ended", Severity::Notice, "all other logins were ended");
/// A log-in was granted: by password, by a challenge, or by a login code.
pub static LOGGED_IN: EventKind = EventKind::change("logged_in", Severity::Info, "a log-in was granted");
/// The host made a two-factor challenge: a first factor was proven to it.
pub static CHALLENGE_MADE: EventKind =
    EventKind::change("login_challenge_made", Severity::Info, "a log-in waits for its second factor");
/// The host made a login code.
pub static LOGIN_CODE_MADE: EventKind = EventKind::change("login_code_made", Severity::Info, "a login code was made");

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] =
    &[&END_TO_END_KEYS_RESET, &LOGINS_ENDED, &OTHER_LOGINS_ENDED, &LOGGED_IN, &CHALLENGE_MADE, &LOGIN_CODE_MADE];
