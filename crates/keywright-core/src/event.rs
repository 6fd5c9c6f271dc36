//! What happened to an account's security, typed and without secrets.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{Door, UnixSeconds};

/// One entry of an account's security log. Written by the same commit as the change it tells of; kept through an erase.
///
/// Stored in clear and shown to operators, so it has no secret and no personal data: no address, no code, no IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SecurityEvent {
    /// When it was decided, by the server's clock.
    pub at: UnixSeconds,
    /// What it was.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl SecurityEvent {
    /// An event.
    #[must_use]
    pub const fn new(at: UnixSeconds, kind: EventKind) -> Self {
        Self { at, kind }
    }
}

/// What happened. One enum for all of Keywright's crates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The account's records were made.
    AccountCreated,
    /// All records of the account were dropped.
    AccountErased,
    /// A wrong guess was counted.
    GuessDenied {
        /// The secret that was guessed at.
        door: Door,
        /// Why.
        reason: Reason,
    },
    /// Guesses at a door are refused, unseen, until a moment.
    DoorPaused {
        /// The secret.
        door: Door,
        /// The end of the wait.
        until: UnixSeconds,
    },
    /// A door is closed to strangers until it is unlocked.
    DoorLocked {
        /// The secret.
        door: Door,
    },
    /// A lock was lifted by an explicit act.
    DoorUnlocked {
        /// The secret.
        door: Door,
    },
    /// The first challenge was set.
    ChallengeSet,
    /// The challenge was replaced; all other sessions ended.
    ChallengeReplaced,
    /// A session was opened with the right proof.
    SessionOpened,
    /// A client keychain was stored.
    KeychainSet,
    /// A confirmation was asked for.
    ConfirmationAsked {
        /// The action's name.
        action: String,
    },
    /// A confirmation was given; the action may happen once.
    ConfirmationGranted {
        /// The action's name.
        action: String,
    },
    /// A confirmation was tried in vain.
    ConfirmationDenied {
        /// The action's name.
        action: String,
        /// Why.
        reason: Reason,
    },
    /// A confirmation was withdrawn by its cancel token.
    ConfirmationCancelled {
        /// The action's name.
        action: String,
    },
    /// The host was told to end an app token.
    AppTokenEnded,
    /// The host was told to remove the account's end-to-end keys.
    EndToEndKeysReset,
    /// The host was told to end all of the account's logins.
    LoginsEnded,
    /// The host was told to end all logins but the one that acted.
    OtherLoginsEnded,
    /// The enrolment of a TOTP device was begun.
    FactorPending,
    /// A TOTP device was added.
    FactorAdded,
    /// A TOTP device took the place of another.
    FactorReplaced,
    /// A TOTP device was removed.
    FactorRemoved,
    /// A time-based code was accepted.
    TotpAccepted,
    /// A set of recovery codes was made.
    RecoveryCodesMade,
    /// A set of recovery codes went live; the one before is void.
    RecoveryCodesLive,
    /// The recovery codes were removed.
    RecoveryCodesRemoved,
    /// A recovery code was used.
    RecoveryCodeUsed {
        /// Unused codes of the set.
        remaining: u8,
    },
    /// Few recovery codes are left: tell the owner to make new ones.
    RecoveryCodesLow {
        /// Unused codes of the set, 1 to 3.
        remaining: u8,
    },
    /// The last recovery code is used.
    RecoveryCodesExhausted,
    /// A recovery code was used of a set that is older than the last restore: codes that were used since the backup work
    /// once more. Tell the owner to make new ones.
    RecoveryCodesStale {
        /// Unused codes of the set, as the backup knows it.
        remaining: u8,
    },
    /// A session proved itself once more for an action.
    StepUpGranted {
        /// The action's name.
        action: String,
    },
    /// The credential of the account was changed; all sessions ended.
    CredentialChanged,
    /// The whole vault was replaced by a re-encrypted one.
    VaultSwapped {
        /// How many ciphers it has.
        ciphers: u64,
    },
    /// A re-encrypted vault is held back until it is confirmed.
    VaultHeld {
        /// How many ciphers it has.
        ciphers: u64,
    },
    /// A held vault is void: it was replaced, or what it rests on has changed.
    VaultDropped,
    /// A change of address was asked for.
    AddressChangeAsked,
    /// The address was changed; all sessions ended.
    AddressChanged,
    /// The address was verified.
    AddressVerified,
    /// A token was given out at a login.
    TokenIssued,
    /// A token's login proved its second factor.
    TokenConfirmed,
    /// Mailed codes are asked for from now on.
    EmailFactorOn,
    /// Mailed codes are no longer asked for.
    EmailFactorOff,
}

/// Why something was denied: for the log only. Outside, all of these look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It did not match.
    Wrong,
    /// It matched something already spent.
    Replayed,
    /// It came too late.
    Expired,
    /// It came too early.
    Early,
    /// It was made for something else: another action, target, session or epoch.
    Unbound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_stable() {
        let event = SecurityEvent::new(
            UnixSeconds::new(7).unwrap(),
            EventKind::GuessDenied { door: Door::Challenge, reason: Reason::Wrong },
        );
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(text, r#"{"at":7,"kind":"guess_denied","door":"challenge","reason":"wrong"}"#);
        assert_eq!(serde_json::from_str::<SecurityEvent>(&text).unwrap(), event);
        for (kind, name) in [
            (EventKind::EndToEndKeysReset, "end_to_end_keys_reset"),
            (EventKind::LoginsEnded, "logins_ended"),
            (EventKind::OtherLoginsEnded, "other_logins_ended"),
        ] {
            assert_eq!(serde_json::to_value(kind).unwrap()["kind"], name);
        }
    }
}
