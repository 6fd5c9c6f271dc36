//! The numbers and choices that are policy.

use keywright_confirm::ConfirmPolicy;
use keywright_twofactor::TwoFactorPolicy;
use keywright_twofactor::recovery::Preset;

/// The common prefix of the protocol's paths.
pub const BASE_PATH: &str = "/api/v1/";
/// The lifetime of a mailed code, in seconds. Source: upstream's default. A server author who can
/// set it lower should: NIST SP 800-63B-4 § 3.1.3.2 and OWASP ASVS 5.0 6.5.5 specify 600.
pub const EMAIL_CODE_SECONDS: u64 = 3_600;
/// The digits of the devices that are enrolled here. Source: protocol § 7. Eight would have the
/// form of a recovery code.
pub const TOTP_DIGITS: u8 = 6;
/// The largest request body, in bytes (`docs/decisions.md` 40).
pub const MAX_BODY: usize = 1024 * 1024;

/// The choices of a server author. Start from [`Default`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RocketChatPolicy {
    /// The policy for time-based codes and recovery codes. By default recovery codes are as
    /// Rocket.Chat has them, twelve of eight characters. Only devices with [`TOTP_DIGITS`] digits
    /// are enrolled here; other devices of an account are still accepted.
    pub two_factor: TwoFactorPolicy,
    /// The policy for mailed codes. The default is that of [`ConfirmPolicy`] with a lifetime of
    /// [`EMAIL_CODE_SECONDS`].
    pub confirm: ConfirmPolicy,
    /// `Accounts_TwoFactorAuthentication_Enabled`. If it is off, no act requires a code, except one
    /// that changes the factors of an account that has some.
    pub enabled: bool,
    /// `…_By_TOTP_Enabled`. If it is off, time-based codes are required only where factors are
    /// changed.
    pub by_totp: bool,
    /// `…_By_Email_Enabled`. If it is off, mailed codes are required only where factors are
    /// changed.
    pub by_email: bool,
    /// `…_Enforce_Password_Fallback`. If it is on, an account that has enrolled nothing proves the
    /// login password. If it is off, or there is no password, such an act is refused; upstream
    /// allows it. The first factor is proven by the password either way.
    pub password_fallback: bool,
    /// The name of the server in authenticator apps. If it is empty, no device is enrolled.
    pub issuer: String,
    /// The largest request body, in bytes; a longer one is answered with 413.
    pub max_body: usize,
}

impl Default for RocketChatPolicy {
    fn default() -> Self {
        Self {
            // Both are within the builders' bounds; a test checks that.
            two_factor: TwoFactorPolicy::builder().recovery(Preset::RocketChat).build().unwrap_or_default(),
            confirm: ConfirmPolicy::builder().mailed_seconds(EMAIL_CODE_SECONDS).build().unwrap_or_default(),
            enabled: true,
            by_totp: true,
            by_email: true,
            password_fallback: true,
            issuer: "Rocket.Chat".into(),
            max_body: MAX_BODY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_wire() {
        let hour = ConfirmPolicy::builder().mailed_seconds(EMAIL_CODE_SECONDS).build().unwrap();
        assert_eq!(RocketChatPolicy::default().confirm, hour);
        assert_ne!(hour, ConfirmPolicy::default());
        assert_eq!(RocketChatPolicy::default().two_factor.recovery(), Preset::RocketChat);
    }
}
