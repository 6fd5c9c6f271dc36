//! What is taken over of one user, and what became of it.

use crate::outcome::DeviceFault;
use crate::recovery::imported::{CodesFault, ImportedCodes};
use crate::totp::device::ImportedDevice;

/// The second factors of one user of another system. A user without any can be imported too: the
/// account is created, and a later import leaves it alone.
#[derive(Debug, Default)]
pub struct ImportedUser {
    pub(crate) devices: Vec<ImportedDevice>,
    pub(crate) recovery: Option<ImportedCodes>,
    pub(crate) email: bool,
}

impl ImportedUser {
    /// Returns a user without second factors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a device. Its secret may be shorter than the policy's
    /// [`min_secret_bits`](crate::TwoFactorPolicyBuilder::min_secret_bits), down to 80 bits.
    #[must_use]
    pub fn device(mut self, device: ImportedDevice) -> Self {
        self.devices.push(device);
        self
    }

    /// Sets the recovery codes.
    #[must_use]
    pub fn recovery(mut self, codes: ImportedCodes) -> Self {
        self.recovery = Some(codes);
        self
    }

    /// Sets whether mailed codes are required. Default false.
    #[must_use]
    pub const fn email(mut self, on: bool) -> Self {
        self.email = on;
        self
    }

    /// Returns the devices.
    #[must_use]
    pub fn devices(&self) -> &[ImportedDevice] {
        &self.devices
    }
}

/// What became of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum ImportOutcome {
    /// The user was imported, or would be if this were no trial.
    Imported(ImportedFactors),
    /// The user was imported before. Nothing changed, whatever the owner has done since.
    AlreadyImported,
    /// The account has second factors that were not imported. Nothing changed.
    HasFactors,
    /// Something about the user cannot be taken over. Nothing changed.
    NotTaken(ImportFault),
}

keywright_store::released_as_is!(ImportOutcome);

/// What was imported of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ImportedFactors {
    /// The number of devices.
    pub devices: usize,
    /// The number of those whose secret is shorter than the policy requires.
    pub devices_below_policy: usize,
    /// The number of unused recovery codes.
    pub recovery_codes: usize,
}

/// Why a user is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportFault {
    /// A device cannot be taken over.
    #[error("device {index} is not accepted: {fault}")]
    Device {
        /// The position of the device, from 0.
        index: usize,
        /// The reason.
        fault: DeviceFault,
    },
    /// The recovery codes cannot be taken over.
    #[error(transparent)]
    Codes(#[from] CodesFault),
    /// The recovery codes are slow hashes, and the service has no
    /// [`CodeVerifier`](crate::recovery::CodeVerifier) to check them with later.
    #[error("hashed recovery codes need a verifier, which the service does not have")]
    NoCodeVerifier,
    /// The account was erased here, and its security log is still kept. What was erased is not
    /// brought back.
    #[error("the account was erased")]
    Erased,
}
