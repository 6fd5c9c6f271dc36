//! Outcomes as the proof, or the answer that refuses.

use http::StatusCode;
use keywright_twofactor::recovery::RecoveryCodes;
use keywright_twofactor::{DeviceId, Enrolment, EnrolmentStart, TwoFactorError, VerifyOutcome};

use crate::refused::Refused;

/// Turns an outcome into what it grants, or into the answer that a route gives instead. Whatever is
/// not a grant refuses, so a handler that continues after `?` holds the proof.
///
/// ```
/// use keywright_core::{AccountId, Client, Purpose};
/// use keywright_tower::{OrRefuse, Refused};
/// use keywright_twofactor::TwoFactor;
///
/// async fn code(two_factor: &TwoFactor, account: &AccountId, typed: &str, client: Client) -> Result<String, Refused> {
///     let proof = two_factor.verify(account, typed, &Purpose::new("login"), client).await.or_refuse()?;
///     Ok(format!("start a session of {}", proof.account()))
/// }
/// ```
///
/// The answers are JSON with `error`, and have `Cache-Control: no-store`:
///
/// | Status | `error` | Further fields | Meaning |
/// |---|---|---|---|
/// | 403 | `denied` | `start_over`, for a confirmation that is now void | The code is wrong, used or too late: one answer for all of these. |
/// | 400 | `malformed_code` | | The text is no code. It was not counted. |
/// | 429 | `refused` | `retry_after` | Guesses are paused; `Retry-After` says for how many seconds. |
/// | 403 | `nothing_enrolled` | | The account has no factor of this kind. |
/// | 403 | `not_proven` | | A factor is enrolled already; the change requires a step-up. |
/// | 403 | `clock_off` | `seconds` | The clock of the new device is off by so much: negative if it is behind. |
/// | 409 | `none_pending` | | No enrolment is pending in this session. |
/// | 409 | `too_many_devices` | | Remove a device first. |
/// | 404 | `unknown_device` | | The device to be replaced does not exist. |
/// | 400 | `bad_name` | | The name of the device or of the user is empty, too long, or not usable. |
/// | 500 | `bad_account_id` | | The server's own id of the user is none. |
/// | 503 | `unavailable` | | The store failed or is busy. A code may have been spent. |
pub trait OrRefuse {
    /// What a grant has.
    type Granted;

    /// Returns what was granted.
    ///
    /// # Errors
    /// Returns a [`Refused`] for everything that is not a grant.
    fn or_refuse(self) -> Result<Self::Granted, Refused>;
}

fn denied() -> Refused {
    Refused::new(StatusCode::FORBIDDEN, "denied")
}

fn malformed() -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, "malformed_code")
}

fn too_many_devices() -> Refused {
    Refused::new(StatusCode::CONFLICT, "too_many_devices")
}

/// A code of a second factor: the proof.
impl<P> OrRefuse for Result<VerifyOutcome<P>, TwoFactorError> {
    type Granted = P;

    fn or_refuse(self) -> Result<P, Refused> {
        match self? {
            VerifyOutcome::Granted(proof) => Ok(proof),
            VerifyOutcome::Denied(_) => Err(denied()),
            VerifyOutcome::Refused(refusal) => Err(refusal.into()),
            VerifyOutcome::Malformed => Err(malformed()),
            VerifyOutcome::NotEnrolled => Err(Refused::new(StatusCode::FORBIDDEN, "nothing_enrolled")),
        }
    }
}

/// The beginning of an enrolment: the pending device.
impl<P> OrRefuse for Result<EnrolmentStart<P>, TwoFactorError> {
    type Granted = P;

    fn or_refuse(self) -> Result<P, Refused> {
        match self? {
            EnrolmentStart::Begun(pending) => Ok(pending),
            EnrolmentStart::TooManyDevices => Err(too_many_devices()),
            EnrolmentStart::UnknownDevice => Err(Refused::new(StatusCode::NOT_FOUND, "unknown_device")),
            EnrolmentStart::BadName => Err(Refused::new(StatusCode::BAD_REQUEST, "bad_name")),
        }
    }
}

/// The confirmation of an enrolment: the new device, and its recovery codes if some were made.
impl OrRefuse for Result<Enrolment, TwoFactorError> {
    type Granted = (DeviceId, Option<RecoveryCodes>);

    fn or_refuse(self) -> Result<Self::Granted, Refused> {
        match self? {
            Enrolment::Active { device, recovery_codes } => Ok((device, recovery_codes)),
            Enrolment::Wrong => Err(denied()),
            Enrolment::ClockOff(offset) => {
                Err(Refused::new(StatusCode::FORBIDDEN, "clock_off").with("seconds", offset.seconds()))
            }
            Enrolment::NonePending => Err(Refused::new(StatusCode::CONFLICT, "none_pending")),
            Enrolment::Malformed => Err(malformed()),
            Enrolment::TooManyDevices => Err(too_many_devices()),
        }
    }
}

/// A confirmation by a code: the proof.
#[cfg(feature = "confirm")]
impl<C> OrRefuse for Result<keywright_confirm::Confirmation<C>, keywright_confirm::ConfirmError> {
    type Granted = C;

    fn or_refuse(self) -> Result<C, Refused> {
        use keywright_confirm::Confirmation;
        match self? {
            Confirmation::Granted(proof) => Ok(proof),
            Confirmation::Denied(denial) if denial.was_last_try() => Err(denied().with("start_over", true)),
            Confirmation::Denied(_) => Err(denied()),
            Confirmation::Refused(refusal) => Err(refusal.into()),
        }
    }
}
