//! The kinds of events that this crate writes.

use keywright_core::{EventKind, Severity};

/// The link that was mailed to the address of a registration was opened.
pub static ADDRESS_VERIFIED: EventKind =
    EventKind::change("address_verified", Severity::Notice, "the e-mail address was verified");
/// A registration lost its address to another account that verified it first.
pub static REGISTRATION_SUPERSEDED: EventKind = EventKind::change(
    "registration_superseded",
    Severity::Notice,
    "the registration was dropped, because another account verified the address first",
);
/// A change of address waits for the link that was mailed to the new address.
pub static ADDRESS_CHANGE_ASKED: EventKind =
    EventKind::change("address_change_asked", Severity::Notice, "a change of the e-mail address was requested");
/// The account's address was changed.
pub static ADDRESS_CHANGED: EventKind =
    EventKind::change("address_changed", Severity::Notice, "the e-mail address was changed");
/// The account's password was changed.
pub static CREDENTIAL_CHANGED: EventKind =
    EventKind::change("credential_changed", Severity::Notice, "the password was changed");
/// A login token was issued.
pub static TOKEN_ISSUED: EventKind = EventKind::change("token_issued", Severity::Info, "a login token was issued");
/// A login token proved its second factor.
pub static TOKEN_CONFIRMED: EventKind =
    EventKind::change("token_confirmed", Severity::Info, "a login token proved its second factor");

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] = &[
    &ADDRESS_VERIFIED,
    &REGISTRATION_SUPERSEDED,
    &ADDRESS_CHANGE_ASKED,
    &ADDRESS_CHANGED,
    &CREDENTIAL_CHANGED,
    &TOKEN_ISSUED,
    &TOKEN_CONFIRMED,
];
