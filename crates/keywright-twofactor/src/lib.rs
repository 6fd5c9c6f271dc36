//! Two-factor authentication: TOTP, recovery codes and step-up, each code accepted at most once.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod outcome;
pub mod recovery;

pub use outcome::{Denial, Method, Proven, Verdict};
