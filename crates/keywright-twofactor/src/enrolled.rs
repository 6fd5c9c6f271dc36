//! What an account has enrolled, as callers see it.

use crate::attested::factor::AttestedInfo;
use crate::origin::{Origin, RequiredFactors};
use crate::recovery::imported::CodeForm;
use crate::totp::code::TypedCode;
use crate::totp::device::DeviceInfo;

/// What an account has enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Enrolled {
    /// The active TOTP devices, oldest first.
    pub devices: Vec<DeviceInfo>,
    /// Whether the enrolment of a device is pending.
    pub pending: bool,
    /// The number of unused recovery codes in the live set, or `None` if there is no set.
    pub recovery: Option<u8>,
    /// The form of the live set's codes.
    pub(crate) recovery_form: Option<CodeForm>,
    /// Through what the live set was made.
    pub(crate) recovery_origin: Origin,
    /// Whether mailed codes are required.
    pub email: bool,
    /// Through what mailed codes were switched on.
    pub(crate) email_origin: Origin,
    /// The factors that the host checks itself, oldest first.
    pub attested: Vec<AttestedInfo>,
}

impl Enrolled {
    /// Returns what a protocol requires of this. Factors that the host checks itself are enrolled
    /// through the library, so they stay.
    pub(crate) fn required(self, required: RequiredFactors, own: &Origin) -> Self {
        if required == RequiredFactors::All || *own == Origin::LIBRARY {
            return self;
        }
        let requires = |origin: &Origin| origin == own || *origin == Origin::LIBRARY;
        // Recovery codes stand in for devices and attested factors. They are a factor of their own
        // only where there is neither. An attested factor is required everywhere, so whatever the
        // account has must be able to stand in for it.
        let by_code = if !self.attested.is_empty() {
            true
        } else if self.devices.is_empty() {
            requires(&self.recovery_origin)
        } else {
            self.devices.iter().any(|device| requires(&device.origin))
        };
        let email = self.email && requires(&self.email_origin);
        if by_code {
            Self { email, ..self }
        } else {
            Self { devices: Vec::new(), recovery: None, recovery_form: None, email, ..self }
        }
    }

    /// Whether the account has a device, so that a time-based code can be requested.
    #[must_use]
    pub const fn has_totp(&self) -> bool {
        !self.devices.is_empty()
    }

    /// Whether a log-in must ask for more than the password: the account has a device, unused recovery
    /// codes, a factor that the host checks itself, or mailed codes. A log-in that asks only for what
    /// it can check lets an account with another factor in by the password alone.
    #[must_use]
    pub fn requires_second_factor(&self) -> bool {
        self.has_factor() || self.recovery.is_some_and(|left| left > 0) || self.email
    }

    /// Whether the account has a device, or a factor that the host checks itself. A protocol whose
    /// clients show codes requires a second factor then. Where neither can be shown, as over a protocol without
    /// passkeys, a recovery code or a remembered device stands in for it, and everything else is
    /// refused (`docs/decisions.md` 237). Mailed codes ([`email`](Self::email)) are apart: what a
    /// log-in of the host must ask is [`requires_second_factor`](Self::requires_second_factor).
    #[must_use]
    pub const fn has_factor(&self) -> bool {
        !self.devices.is_empty() || !self.attested.is_empty()
    }

    /// Whether a text has the form of an active device's code: as many ASCII digits as one of the
    /// devices shows, apart from blanks and hyphens.
    #[must_use]
    pub fn is_form_of_totp(&self, typed: &str) -> bool {
        TypedCode::parse(typed)
            .is_some_and(|typed| self.devices.iter().any(|device| device.parameters.digits() == typed.digits()))
    }

    /// Whether a text has the form of a code of the live set of recovery codes.
    #[must_use]
    pub fn is_form_of_recovery(&self, typed: &str) -> bool {
        self.recovery_form.is_some_and(|form| form.is_form_of(typed))
    }

    /// Whether the owner should enrol a device again, or make new recovery codes: a secret has fewer
    /// bits than the policy requires, or the recovery codes were made by another system.
    #[must_use]
    pub fn advises_renewal(&self) -> bool {
        self.devices.iter().any(|device| device.below_policy)
            || matches!(self.recovery_form, Some(CodeForm::Imported(_)))
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::UnixSeconds;

    use super::*;
    use crate::attested::method::Strength;
    use crate::totp::device::DeviceId;

    #[test]
    fn a_log_in_asks_for_more_if_there_is_any_factor() {
        let passkey = AttestedInfo {
            id: DeviceId::from_bytes([1; 8]),
            method: "passkey".into(),
            strength: Strength::PhishingResistant,
            name: "key".into(),
            added: UnixSeconds::EPOCH,
            data: Vec::new(),
        };
        let none = Enrolled::default();
        assert!(!none.requires_second_factor());
        assert!(!Enrolled { recovery: Some(0), pending: true, ..none.clone() }.requires_second_factor());
        for some in [
            Enrolled { attested: vec![passkey], ..none.clone() },
            Enrolled { recovery: Some(1), ..none.clone() },
            Enrolled { email: true, ..none },
        ] {
            assert!(some.requires_second_factor(), "{some:?}");
        }
    }
}
