//! The kinds of events that this crate emits.
//!
//! The field `device` is a [`DeviceId`](crate::DeviceId), `purpose` and `action` are the names that
//! the caller chose, and `remaining` is the number of unused recovery codes.

use keywright_core::{EventKind, Severity};

/// The enrolment of a device was begun.
pub static FACTOR_PENDING: EventKind =
    EventKind::change("factor_pending", Severity::Info, "the enrolment of an authenticator was begun");
/// A device was added. Field: `device`.
pub static FACTOR_ADDED: EventKind = EventKind::change("factor_added", Severity::Notice, "an authenticator was added");
/// A device replaced another. Field: `device`.
pub static FACTOR_REPLACED: EventKind =
    EventKind::change("factor_replaced", Severity::Notice, "an authenticator was replaced");
/// A device was removed. Field: `device`.
pub static FACTOR_REMOVED: EventKind =
    EventKind::change("factor_removed", Severity::Notice, "an authenticator was removed");
/// A device or an attested factor got another name. Field: `device`.
pub static FACTOR_RENAMED: EventKind =
    EventKind::change("factor_renamed", Severity::Info, "a second factor got another name");
/// An account was imported from another system. Fields: `devices` and `recovery`, how many of them
/// came along.
pub static FACTORS_IMPORTED: EventKind =
    EventKind::change("factors_imported", Severity::Info, "the second factors were taken over from another system");
/// An operator exported the second factors of an account, with their secrets in clear. Fields:
/// `devices` and `recovery`, how many of them were exported.
pub static FACTORS_EXPORTED: EventKind =
    EventKind::change("factors_exported", Severity::Notice, "an operator exported the second factors");
/// Mailed codes were switched on: they are required from now on.
pub static EMAIL_FACTOR_ON: EventKind =
    EventKind::change("email_factor_on", Severity::Notice, "mailed codes were switched on");
/// Mailed codes were switched off: they are no longer required.
pub static EMAIL_FACTOR_OFF: EventKind =
    EventKind::change("email_factor_off", Severity::Notice, "mailed codes were switched off");

/// An attested factor was added. Fields: `device`, `method`.
pub static ATTESTED_ADDED: EventKind =
    EventKind::change("attested_factor_added", Severity::Notice, "a second factor was added");
/// An attested factor was removed. Fields: `device`, `method`.
pub static ATTESTED_REMOVED: EventKind =
    EventKind::change("attested_factor_removed", Severity::Notice, "a second factor was removed");
/// An answer of an attested factor was accepted. Fields: `device`, `purpose`.
pub static ASSERTION_ACCEPTED: EventKind =
    EventKind::change("assertion_accepted", Severity::Info, "an answer of a second factor was accepted");
/// An answer of an attested factor was denied: it came again, or too late, or its challenge was
/// issued to another session or for another purpose. Fields: `device`, `purpose`.
pub static ASSERTION_DENIED: EventKind =
    EventKind::denial("assertion_denied", "an answer of a second factor came again, too late, or from elsewhere");

/// A time-based code was accepted. Fields: `device`, `purpose`.
pub static TOTP_ACCEPTED: EventKind =
    EventKind::change("totp_accepted", Severity::Info, "a code of an authenticator was accepted");
/// A code was refused that a device shows at another time. Either its clock or the server's is
/// wrong, or somebody typed an old code. Fields: `device`, `seconds`, `clock` (`ahead` or
/// `behind`). Emitted at most once an hour.
pub static TOTP_OUT_OF_WINDOW: EventKind = EventKind::denial(
    "totp_out_of_window",
    "a code of another time was refused: the authenticator's clock may be wrong",
);
/// All codes of a device are refused until a given time, because the last code that was used
/// belongs to a later time: the server's clock once ran ahead. Remove the device and enrol it
/// again. Fields: `device`, `until`. Emitted at most once an hour.
pub static TOTP_CLOCK_RAN_AHEAD: EventKind = EventKind::denial(
    "totp_clock_ran_ahead",
    "an authenticator's codes are refused because its last used one is of a later time",
);

/// A set of recovery codes was made.
pub static RECOVERY_CODES_MADE: EventKind =
    EventKind::change("recovery_codes_made", Severity::Notice, "recovery codes were made");
/// A set of recovery codes became active; the previous set is void.
pub static RECOVERY_CODES_LIVE: EventKind =
    EventKind::change("recovery_codes_live", Severity::Notice, "new recovery codes went live; older ones are void");
/// The recovery codes were removed.
pub static RECOVERY_CODES_REMOVED: EventKind =
    EventKind::change("recovery_codes_removed", Severity::Notice, "the recovery codes were removed");
/// A recovery code was used. Fields: `remaining`, `purpose`.
pub static RECOVERY_CODE_USED: EventKind =
    EventKind::change("recovery_code_used", Severity::Notice, "a recovery code was used");
/// Few recovery codes are left; the owner should make new ones. Field: `remaining`.
pub static RECOVERY_CODES_LOW: EventKind =
    EventKind::change("recovery_codes_low", Severity::Notice, "few recovery codes are left");
/// The last recovery code was used.
pub static RECOVERY_CODES_EXHAUSTED: EventKind =
    EventKind::change("recovery_codes_exhausted", Severity::Notice, "the last recovery code was used");
/// A recovery code was used from a set that is older than the last restore, so codes that were used
/// since the backup work once more. The owner should make new ones. Field: `remaining`.
pub static RECOVERY_CODES_STALE: EventKind = EventKind::change(
    "recovery_codes_stale",
    Severity::Notice,
    "a recovery code from before the last restore was used; codes used since the backup work once more",
);

/// A session was authenticated again for an action. Field: `action`.
pub static STEP_UP_GRANTED: EventKind =
    EventKind::change("step_up_granted", Severity::Info, "a session proved itself once more");

/// A device was remembered: it skips the second factor of log-ins. Field: `browser`.
pub static DEVICE_REMEMBERED: EventKind =
    EventKind::change("device_remembered", Severity::Notice, "a browser was remembered and is not asked for a code");
/// A remembered device was recognized in place of a second factor. Fields: `browser`, `purpose`.
pub static DEVICE_RECOGNIZED: EventKind =
    EventKind::change("device_recognized", Severity::Info, "a remembered browser was not asked for a code");
/// A remembered device was forgotten. Field: `browser`.
pub static DEVICE_FORGOTTEN: EventKind =
    EventKind::change("device_forgotten", Severity::Notice, "a remembered browser was forgotten");

/// Every kind of event that this crate emits.
pub static EVENT_KINDS: &[&EventKind] = &[
    &FACTOR_PENDING,
    &FACTORS_IMPORTED,
    &ATTESTED_ADDED,
    &ATTESTED_REMOVED,
    &ASSERTION_ACCEPTED,
    &ASSERTION_DENIED,
    &FACTORS_EXPORTED,
    &FACTOR_ADDED,
    &FACTOR_REPLACED,
    &FACTOR_REMOVED,
    &FACTOR_RENAMED,
    &EMAIL_FACTOR_ON,
    &EMAIL_FACTOR_OFF,
    &TOTP_ACCEPTED,
    &TOTP_OUT_OF_WINDOW,
    &TOTP_CLOCK_RAN_AHEAD,
    &RECOVERY_CODES_MADE,
    &RECOVERY_CODES_LIVE,
    &RECOVERY_CODES_REMOVED,
    &RECOVERY_CODE_USED,
    &RECOVERY_CODES_LOW,
    &RECOVERY_CODES_EXHAUSTED,
    &RECOVERY_CODES_STALE,
    &STEP_UP_GRANTED,
    &DEVICE_REMEMBERED,
    &DEVICE_RECOGNIZED,
    &DEVICE_FORGOTTEN,
];
