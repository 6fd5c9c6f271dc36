//! Time-based codes: parameters, secrets, the look at a window, and the devices.

pub(crate) mod code;
pub(crate) mod device;
pub(crate) mod parameters;
pub(crate) mod secret;

pub use code::{TotpCheck, TotpVerifier, Window};
pub use device::{Beginning, Confirming, DeviceId, DeviceIdError, DeviceInfo, Enrolled, Enrolling, PendingDevice};
pub use parameters::{Algorithm, Parameters, ParametersError};
pub use secret::{SecretError, TotpSecret};
