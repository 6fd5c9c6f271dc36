//! Devices as a caller sees them.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use keywright_core::{SecretString, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::parameters::Parameters;
use super::secret::TotpSecret;
use crate::recovery::Preset;
use crate::uri::{KeyUri, UriError};

/// Names a device within its account: 64 random bits. No secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceId([u8; 8]);

impl DeviceId {
    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Reads [`Display`](fmt::Display) back.
    ///
    /// # Errors
    /// [`DeviceIdError`] for anything but 16 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, DeviceIdError> {
        let mut id = [0; 8];
        hex::decode_to_slice(text, &mut id).map_err(|_| DeviceIdError)?;
        // One text per id: upper-case digits are refused.
        if hex::encode(id) == text { Ok(Self(id)) } else { Err(DeviceIdError) }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceId({self})")
    }
}

/// A text that names no device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device id has 16 lower-case hex digits")]
pub struct DeviceIdError;

/// An active device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its id.
    pub id: DeviceId,
    /// Its name, as the owner gave it.
    pub name: String,
    /// When it became active.
    pub added: UnixSeconds,
    /// How it computes its codes.
    pub parameters: Parameters,
}

/// What an account has enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Enrolled {
    /// The active TOTP devices, oldest first.
    pub devices: Vec<DeviceInfo>,
    /// Whether a device waits to be proven.
    pub pending: bool,
    /// Unused recovery codes of the live set; `None` without a set.
    pub recovery: Option<u8>,
    /// The kind of the live set's codes.
    pub(crate) recovery_form: Option<Preset>,
    /// Whether mailed codes are asked for.
    pub email: bool,
}

impl Enrolled {
    /// Whether a time-based code can be asked for.
    #[must_use]
    pub const fn has_totp(&self) -> bool {
        !self.devices.is_empty()
    }

    /// Whether a text has the form of a code of an active device: as many ASCII digits as one of them shows.
    #[must_use]
    pub fn is_form_of_totp(&self, typed: &str) -> bool {
        typed.bytes().all(|byte| byte.is_ascii_digit())
            && self.devices.iter().any(|device| usize::from(device.parameters.digits()) == typed.len())
    }

    /// Whether a text has the form of a code of the live set of recovery codes.
    #[must_use]
    pub fn is_form_of_recovery(&self, typed: &str) -> bool {
        self.recovery_form.is_some_and(|preset| preset.is_form_of(typed))
    }
}

/// How the enrolment of a device began. In a step `P` is tentative.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Beginning<P> {
    /// Show this to the owner; a code of it makes the device active. An enrolment that was pending is void.
    Begun(P),
    /// The account has as many devices as the policy allows: remove or replace one.
    TooManyDevices,
    /// There is no such device to be replaced.
    UnknownDevice,
    /// A name has 1 to 64 characters, none of them a control character.
    BadName,
}

impl<P> Beginning<P> {
    /// The outcome with what was begun turned into something else.
    pub fn map<Q>(self, begun: impl FnOnce(P) -> Q) -> Beginning<Q> {
        match self {
            Self::Begun(pending) => Beginning::Begun(begun(pending)),
            Self::TooManyDevices => Beginning::TooManyDevices,
            Self::UnknownDevice => Beginning::UnknownDevice,
            Self::BadName => Beginning::BadName,
        }
    }
}

/// How an enrolling code was judged. Never charged: who enrols was shown the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Confirming {
    /// The device is active, the one it replaces is gone, and the step of this code is spent.
    Active(DeviceId),
    /// The code is wrong. The enrolment stays pending.
    Wrong,
    /// No enrolment is pending: never begun, begun in another session, expired, or void since a credential or factor
    /// changed.
    NonePending,
    /// No code by its form.
    Malformed,
    /// Devices came in another way meanwhile, and there is no room.
    TooManyDevices,
}

/// How a device of a secret that the client brings was enrolled. Never charged: the client has the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub enum Enrolling {
    /// The device is active and the only one; the step of this code is spent.
    Active(DeviceId),
    /// The secret does not show the code now. Nothing changed.
    Wrong,
    /// No code by its form. Nothing changed.
    Malformed,
}

/// A device that waits to be proven. Shown to the owner once.
#[derive(Debug)]
#[must_use]
pub struct PendingDevice {
    pub(crate) secret: TotpSecret,
    pub(crate) parameters: Parameters,
    pub(crate) expires: UnixSeconds,
}

impl PendingDevice {
    /// The secret, for owners who type it.
    #[must_use]
    pub fn base32(&self) -> SecretString {
        self.secret.to_base32()
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &TotpSecret {
        &self.secret
    }

    /// Algorithm, digits and step.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The otpauth URI, for a link or a QR code. `issuer` names the service, `account` the user's account there.
    ///
    /// # Errors
    /// [`UriError`] for a colon in either, or an empty one.
    pub fn uri(&self, issuer: &str, account: &str) -> Result<SecretString, UriError> {
        KeyUri::new(Some(issuer), account, self.secret.duplicate(), self.parameters).map(|uri| uri.to_text())
    }

    /// The first moment at which it can no longer be confirmed.
    #[must_use]
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }
}
