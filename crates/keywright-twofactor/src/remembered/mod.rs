//! Remembered devices: browsers that skip the second factor of a log-in for a while.

pub(crate) mod device;
mod service;
pub(crate) mod state;
mod steps;

pub use device::{Recognized, RememberedDevice, RememberedId, RememberedIdError, TrustToken};
