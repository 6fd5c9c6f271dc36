//! The kinds of events that this crate writes.

use keywright_core::{EventKind, Severity};

/// A session proved the account's challenge.
pub static SESSION_OPENED: EventKind =
    EventKind::change("session_opened", Severity::Info, "a session was opened with the passphrase");
/// The client keychain was stored.
pub static KEYCHAIN_SET: EventKind =
    EventKind::change("keychain_set", Severity::Info, "the client keychain was stored");
/// An app token was ended because too many wrong proofs came with it.
pub static APP_TOKEN_ENDED: EventKind =
    EventKind::change("app_token_ended", Severity::Notice, "an app token was ended after too many wrong proofs");

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] = &[&SESSION_OPENED, &KEYCHAIN_SET, &APP_TOKEN_ENDED];
