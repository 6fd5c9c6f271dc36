//! Devices as a caller sees them.

use std::fmt;

use keywright_core::{SecretString, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::code::TypedCode;
use super::parameters::Parameters;
use super::secret::TotpSecret;
use crate::recovery::code::Preset;
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
    /// Until when all of its codes are refused, because the last used one belongs to a later time: the server's clock once
    /// ran ahead. Remove the device and enrol it anew. `None` as a rule.
    pub refused_until: Option<UnixSeconds>,
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

    /// Whether a text has the form of a code of an active device: as many ASCII digits as one of them shows, blanks and
    /// hyphens aside.
    #[must_use]
    pub fn is_form_of_totp(&self, typed: &str) -> bool {
        TypedCode::parse(typed)
            .is_some_and(|typed| self.devices.iter().any(|device| device.parameters.digits() == typed.digits()))
    }

    /// Whether a text has the form of a code of the live set of recovery codes.
    #[must_use]
    pub fn is_form_of_recovery(&self, typed: &str) -> bool {
        self.recovery_form.is_some_and(|preset| preset.is_form_of(typed))
    }
}

/// A device that comes from elsewhere with its secret: what an import or a client brings.
///
/// ```
/// # use keywright_twofactor::{ImportedDevice, TotpSecret};
/// let secret = TotpSecret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")?;
/// let device = ImportedDevice::new("phone", secret).with_last_step(56_666_666);
/// # let _ = device;
/// # Ok::<(), keywright_twofactor::SecretError>(())
/// ```
#[derive(Debug)]
pub struct ImportedDevice {
    pub(crate) name: String,
    pub(crate) secret: TotpSecret,
    pub(crate) parameters: Option<Parameters>,
    pub(crate) next: u64,
}

impl ImportedDevice {
    /// A device with the policy's parameters, no code of which was used.
    #[must_use]
    pub fn new(name: &str, secret: TotpSecret) -> Self {
        Self { name: name.into(), secret, parameters: None, next: 0 }
    }

    /// With parameters of its own.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Parameters) -> Self {
        self.parameters = Some(parameters);
        self
    }

    /// With the last step, counted from 1970, of which a code was used elsewhere: neither it nor an earlier one is
    /// accepted.
    #[must_use]
    pub const fn with_last_step(mut self, step: u64) -> Self {
        self.next = step.saturating_add(1);
        self
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &TotpSecret {
        &self.secret
    }
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
    /// [`UriError`] if either is empty.
    pub fn uri(&self, issuer: &str, account: &str) -> Result<SecretString, UriError> {
        KeyUri::new(Some(issuer), account, self.secret.duplicate(), self.parameters).map(|uri| uri.to_text())
    }

    /// The first moment at which it can no longer be confirmed.
    #[must_use]
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }
}
