//! The numbers and choices that are policy.

use keywright_confirm::ConfirmPolicy;
use keywright_twofactor::TwoFactorPolicy;
use keywright_twofactor::recovery::Preset;

/// Where the protocol's paths begin.
pub const BASE_PATH: &str = "/api/v1/";
/// Life of a mailed code, in seconds. Source: upstream's default. A server author who can set it lower should: NIST SP
/// 800-63B-4 § 3.1.3.2 and OWASP ASVS 5.0 6.5.5 say 600.
pub const EMAIL_CODE_SECONDS: u64 = 3_600;
/// Digits of the devices that are enrolled here. Source: protocol § 7. Eight would have the form of a recovery code.
pub const TOTP_DIGITS: u8 = 6;
/// The largest request body, in bytes (`docs/decisions.md` 40).
pub const MAX_BODY: usize = 1024 * 1024;

/// The choices of a server author. Start from [`Default`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RocketChatPolicy {
    /// Time-based codes and recovery codes. Default: recovery codes as Rocket.Chat has them, twelve of eight characters.
    /// Devices of other than [`TOTP_DIGITS`] are not enrolled here; those that an account has are asked for.
    pub two_factor: TwoFactorPolicy,
    /// Mailed codes. Default: those of [`ConfirmPolicy`], but for a life of [`EMAIL_CODE_SECONDS`].
    pub confirm: ConfirmPolicy,
    /// `Accounts_TwoFactorAuthentication_Enabled`. Off: no act asks for a code, but one that changes the factors of an
    /// account that has some.
    pub enabled: bool,
    /// `…_By_TOTP_Enabled`. Off: not asked for, but where factors are changed.
    pub by_totp: bool,
    /// `…_By_Email_Enabled`. Off: not asked for, but where factors are changed.
    pub by_email: bool,
    /// `…_Enforce_Password_Fallback`: an account that has enrolled nothing proves the login password. Off, or without a
    /// password, such an act is refused; upstream lets it through. The first factor is proven by the password either way.
    pub password_fallback: bool,
    /// Names the server in authenticator apps. If it is empty, no device is enrolled.
    pub issuer: String,
    /// The largest request body, in bytes; a longer one is answered 413.
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
