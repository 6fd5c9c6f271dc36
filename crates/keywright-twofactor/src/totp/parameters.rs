//! The parameters with which a device computes its codes.

use std::fmt;

use keywright_core::UnixSeconds;
use serde::{Deserialize, Serialize};

/// The minimum number of digits in a code. Source: RFC 4226 § 5.3.
pub const MIN_DIGITS: u8 = 6;

/// The maximum number of digits in a code, which is what authenticator apps can show. 10⁸ is below
/// 2³¹, so no value of the truncation is lost.
pub const MAX_DIGITS: u8 = 8;

/// The default number of digits in a code. Source: RFC 6238, and what every authenticator app
/// accepts by default.
pub const DIGITS: u8 = 6;

/// The minimum length of a step, in seconds: in less time a person cannot type the code.
pub const MIN_STEP_SECONDS: u64 = 15;

/// The maximum length of a step, in seconds. NIST SP 800-63B-4 § 3.1.4.1 allows 120; with a window
/// of three steps, 60 keeps a code valid for 3 minutes.
pub const MAX_STEP_SECONDS: u64 = 60;

/// The default length of a step, in seconds. Source: RFC 6238 § 5.2; OWASP ASVS 5.0 6.5.5.
pub const STEP_SECONDS: u64 = 30;

/// The hash of the HMAC that computes a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Algorithm {
    /// HMAC-SHA-1, which every authenticator app supports. The collisions of SHA-1 do not weaken
    /// the HMAC (RFC 4226 B.2).
    #[default]
    Sha1,
    /// HMAC-SHA-256. Some apps show the codes of SHA-1 instead, without any warning.
    Sha256,
    /// HMAC-SHA-512. Some apps show the codes of SHA-1 instead, without any warning.
    Sha512,
}

impl Algorithm {
    /// Returns the name that otpauth URIs use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Parses the name from an otpauth URI, in either case, with or without a hyphen (`SHA-256`).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let letters = || name.bytes().filter(|byte| *byte != b'-').map(|byte| byte.to_ascii_uppercase());
        [Self::Sha1, Self::Sha256, Self::Sha512].into_iter().find(|one| one.as_str().bytes().eq(letters()))
    }

    pub(crate) const fn foreign(self) -> totp_rs::Algorithm {
        match self {
            Self::Sha1 => totp_rs::Algorithm::SHA1,
            Self::Sha256 => totp_rs::Algorithm::SHA256,
            Self::Sha512 => totp_rs::Algorithm::SHA512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The algorithm, digits and step of a device. They are stored with the device: a later policy
/// applies to new devices only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Parameters {
    algorithm: Algorithm,
    digits: u8,
    step_seconds: u64,
}

impl Parameters {
    /// The default parameters: SHA-1, six digits, 30 seconds.
    pub const DEFAULT: Self = Self { algorithm: Algorithm::Sha1, digits: DIGITS, step_seconds: STEP_SECONDS };

    /// Creates parameters; `digits` must be 6 to 8 and `step_seconds` 15 to 60.
    ///
    /// # Errors
    /// Returns a [`ParametersError`] if either is out of bounds.
    pub const fn new(algorithm: Algorithm, digits: u8, step_seconds: u64) -> Result<Self, ParametersError> {
        if digits < MIN_DIGITS || digits > MAX_DIGITS {
            return Err(ParametersError::Digits);
        }
        if step_seconds < MIN_STEP_SECONDS || step_seconds > MAX_STEP_SECONDS {
            return Err(ParametersError::Step);
        }
        Ok(Self { algorithm, digits, step_seconds })
    }

    /// Returns the hash.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the number of digits in a code, 6 to 8.
    #[must_use]
    pub const fn digits(&self) -> u8 {
        self.digits
    }

    /// Returns the length of a step in seconds, 15 to 60.
    #[must_use]
    pub const fn step_seconds(&self) -> u64 {
        self.step_seconds
    }

    /// Returns the step that contains a time. It has 64 bits, so it does not end in 2038 (RFC 6238
    /// § 4.2).
    pub(crate) fn step_at(&self, now: UnixSeconds) -> u64 {
        // The divisor is at least 15.
        now.get().checked_div(self.step_seconds).unwrap_or(0)
    }

    /// Returns 10 to the power of the digits.
    pub(crate) fn modulus(&self) -> u32 {
        10_u32.saturating_pow(self.digits.into())
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[derive(Deserialize)]
struct Stored {
    algorithm: Algorithm,
    digits: u8,
    step_seconds: u64,
}

impl TryFrom<Stored> for Parameters {
    type Error = ParametersError;
    fn try_from(stored: Stored) -> Result<Self, ParametersError> {
        Self::new(stored.algorithm, stored.digits, stored.step_seconds)
    }
}

/// The reason why numbers do not form [`Parameters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParametersError {
    /// `digits` is not in 6..=8.
    #[error("`digits` is not in 6..=8")]
    Digits,
    /// `step_seconds` is not in 15..=60.
    #[error("`step_seconds` is not in 15..=60")]
    Step,
}
