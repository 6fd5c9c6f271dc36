//! Time-based codes: parameters, secrets, the comparison with a window, and the devices.

pub(crate) mod active;
pub(crate) mod code;
pub(crate) mod device;
mod enrolment;
pub(crate) mod parameters;
pub(crate) mod secret;
pub(crate) mod verify;

pub use code::{TotpCheck, TotpVerifier, Window};
#[cfg(feature = "qr")]
pub use device::EnrolmentQrError;
pub use device::{DeviceId, DeviceIdError, DeviceInfo, ImportedDevice, PendingDevice};
pub use parameters::{Algorithm, Parameters, ParametersError};
pub use secret::{SecretError, TotpSecret};
