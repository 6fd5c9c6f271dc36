//! Attested factors as callers see them.

use std::fmt;

use keywright_core::UnixSeconds;
use keywright_store::{Receipt, Release, WrongReceipt};

use super::method::Strength;
use crate::recovery::set::RecoveryCodes;
use crate::totp::device::DeviceId;

/// The maximum number of attested factors of an account. Like that of time-based devices, it is
/// also a bound of the stored form.
pub const MAX_ATTESTED_FACTORS: usize = 5;

/// The longest data that an attested factor may have, in bytes. The id of a passkey has at most
/// 1,023 and usually 16 to 64, and its public key about 80. A host with more data keeps it
/// elsewhere, and stores a reference to it.
pub const MAX_ATTESTED_DATA: usize = 1_536;

/// An enrolled attested factor.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttestedInfo {
    /// The factor's id. It is unique among the account's factors, devices included.
    pub id: DeviceId,
    /// The name of its method.
    pub method: String,
    /// The strength with which the method was registered when the factor was enrolled.
    pub strength: Strength,
    /// The factor's name, as the owner chose it.
    pub name: String,
    /// When the factor became active.
    pub added: UnixSeconds,
    /// What the host needs to check the factor: for a passkey its credential id and public key.
    pub data: Vec<u8>,
}

impl fmt::Debug for AttestedInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, method, strength, name, added, data: _ } = self;
        let mut shown = f.debug_struct("AttestedInfo");
        shown.field("id", id).field("method", method).field("strength", strength);
        shown.field("name", name).field("added", added).finish_non_exhaustive()
    }
}

/// What the host has checked: that the answer of an enrolled factor to a challenge is correct.
///
/// Create one only after the check. For a passkey the check covers the signature, the challenge,
/// the origin and the user's presence; a library does all of it. The challenge must be the one that
/// the answer signs.
pub struct Assertion {
    pub(super) factor: DeviceId,
    pub(super) challenge: Vec<u8>,
    pub(super) data: Option<Vec<u8>>,
}

impl Assertion {
    /// States that `factor` has answered `challenge` correctly.
    #[must_use]
    pub fn new(factor: DeviceId, challenge: &[u8]) -> Self {
        Self { factor, challenge: challenge.to_vec(), data: None }
    }

    /// Replaces the factor's [data](AttestedInfo::data) in the commit that grants, for example
    /// because it contains a signature counter. At most [`MAX_ATTESTED_DATA`] bytes.
    #[must_use]
    pub fn with_data(mut self, data: Vec<u8>) -> Self {
        self.data = Some(data);
        self
    }
}

keywright_core::redacted_debug!(Assertion { factor, .. });

/// The outcome of confirming the enrolment of an attested factor.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an outcome that callers must act on")]
pub enum AttestedEnrolment<C = RecoveryCodes> {
    /// The factor is active.
    Active {
        /// The factor's id.
        device: DeviceId,
        /// New recovery codes, to be shown once, if the account had no live set.
        recovery_codes: Option<C>,
    },
    /// No enrolment with this challenge is pending in this session. It was never begun or was
    /// already confirmed, has expired, or is void because a credential or factor changed.
    NonePending,
    /// Other factors were added in the meantime, and the account has no room for one more.
    TooManyFactors,
}

impl<C: Release> Release for AttestedEnrolment<C> {
    type Released = AttestedEnrolment<C::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Active { device, recovery_codes } => {
                AttestedEnrolment::Active { device, recovery_codes: recovery_codes.release(receipt)? }
            }
            Self::NonePending => AttestedEnrolment::NonePending,
            Self::TooManyFactors => AttestedEnrolment::TooManyFactors,
        })
    }
}
