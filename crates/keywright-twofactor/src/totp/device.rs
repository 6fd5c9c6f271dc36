//! Devices as callers see them.

use std::fmt;

use keywright_core::{SecretString, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::parameters::Parameters;
use super::secret::TotpSecret;
use crate::origin::Origin;
use crate::uri::{KeyUri, UriError};

/// The identifier of a device within its account: 64 random bits. It is not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceId([u8; 8]);

impl DeviceId {
    pub(crate) const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Parses the form that [`Display`](fmt::Display) writes.
    ///
    /// # Errors
    /// Returns [`DeviceIdError`] for anything but 16 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, DeviceIdError> {
        let mut id = [0; 8];
        hex::decode_to_slice(text, &mut id).map_err(|_| DeviceIdError)?;
        // Each id has exactly one spelling, so upper-case digits are refused.
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

/// The error for a text that is not a device id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a device id must be 16 lower-case hex digits")]
pub struct DeviceIdError;

/// An active device.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The device's id.
    pub id: DeviceId,
    /// The device's name, as the owner chose it.
    pub name: String,
    /// When the device became active.
    pub added: UnixSeconds,
    /// The parameters with which the device computes its codes.
    pub parameters: Parameters,
    /// Through what the device was enrolled.
    pub origin: Origin,
    /// Until when all of the device's codes are refused, because the last used one belongs to a
    /// later time: the server's clock once ran ahead. Remove the device and enrol it again. This is
    /// usually `None`.
    pub refused_until: Option<UnixSeconds>,
    /// Whether the secret has fewer bits than the policy's
    /// [`min_secret_bits`](crate::TwoFactorPolicyBuilder::min_secret_bits), because it was imported
    /// with its user. Its codes are accepted; ask the owner to enrol the device again.
    pub below_policy: bool,
}

/// A device whose secret was not drawn by this crate: another system or the client made it.
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
    /// Creates a device with the policy's parameters, none of whose codes has been used.
    #[must_use]
    pub fn new(name: &str, secret: TotpSecret) -> Self {
        Self { name: name.into(), secret, parameters: None, next: 0 }
    }

    /// Sets parameters other than the policy's.
    #[must_use]
    pub fn with_parameters(mut self, parameters: Parameters) -> Self {
        self.parameters = Some(parameters);
        self
    }

    /// Sets the last step, counted from 1970, whose code was used elsewhere. Neither that step nor
    /// an earlier one is accepted.
    #[must_use]
    pub const fn with_last_step(mut self, step: u64) -> Self {
        self.next = step.saturating_add(1);
        self
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the parameters, or `None` for those of the policy.
    #[must_use]
    pub const fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref()
    }

    /// Returns the last step whose code was used elsewhere, or `None` if none was.
    #[must_use]
    pub const fn last_step(&self) -> Option<u64> {
        self.next.checked_sub(1)
    }

    /// Returns the secret.
    #[must_use]
    pub const fn secret(&self) -> &TotpSecret {
        &self.secret
    }
}

/// A device whose enrolment is not confirmed yet. Its secret is shown to the owner once.
#[derive(Debug)]
#[must_use]
pub struct PendingDevice {
    pub(crate) secret: TotpSecret,
    pub(crate) parameters: Parameters,
    pub(crate) expires: UnixSeconds,
}

impl PendingDevice {
    /// Returns the secret in base32, for owners who type it.
    #[must_use]
    pub fn base32(&self) -> SecretString {
        self.secret.to_base32()
    }

    /// Returns the secret in base32, in groups of four symbols, for owners who type it into an app
    /// that cannot scan a QR code.
    #[must_use]
    pub fn key_text(&self) -> SecretString {
        let base32 = self.secret.to_base32();
        let symbols = base32.expose();
        // Long enough from the start, so that no part is left in a buffer that was outgrown.
        let mut text = String::with_capacity(symbols.len().saturating_mul(2));
        for (at, symbol) in symbols.chars().enumerate() {
            if at != 0 && at.is_multiple_of(4) {
                text.push(' ');
            }
            text.push(symbol);
        }
        SecretString::new(text)
    }

    /// Returns the secret.
    #[must_use]
    pub const fn secret(&self) -> &TotpSecret {
        &self.secret
    }

    /// Returns the algorithm, digits and step.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the otpauth URI, for a link or a QR code. `issuer` is the name of the service,
    /// `account` that of the user's account there.
    ///
    /// # Errors
    /// Returns [`UriError::Label`] if either is empty.
    pub fn uri(&self, issuer: &str, account: &str) -> Result<SecretString, UriError> {
        KeyUri::new(Some(issuer), account, self.secret.duplicate(), self.parameters).map(|uri| uri.to_text())
    }

    /// Returns the otpauth URI as a QR code in SVG, to be shown once. It must not be cached or
    /// logged. The labels are those of [`uri`](Self::uri).
    ///
    /// # Errors
    /// Returns [`EnrolmentQrError`] if a label is empty, or the URI is too long for a QR code.
    #[cfg(feature = "qr")]
    pub fn qr_svg(&self, issuer: &str, account: &str) -> Result<SecretString, EnrolmentQrError> {
        Ok(crate::qr::svg(self.uri(issuer, account)?.expose())?)
    }

    /// Returns the otpauth URI as a QR code in PNG, like [`qr_svg`](Self::qr_svg).
    ///
    /// # Errors
    /// Returns [`EnrolmentQrError`] if a label is empty, or the URI is too long for a QR code.
    #[cfg(feature = "qr")]
    pub fn qr_png(&self, issuer: &str, account: &str) -> Result<keywright_core::SecretVec, EnrolmentQrError> {
        Ok(crate::qr::png(self.uri(issuer, account)?.expose())?)
    }

    /// Returns the first time at which the enrolment can no longer be confirmed.
    #[must_use]
    pub const fn expires(&self) -> UnixSeconds {
        self.expires
    }
}

/// The reason why an enrolment has no QR code.
#[cfg(feature = "qr")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnrolmentQrError {
    /// A label cannot be part of an otpauth URI.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The URI is too long.
    #[error(transparent)]
    Qr(#[from] crate::qr::QrError),
}
