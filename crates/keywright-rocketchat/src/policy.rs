//! The numbers and choices that are policy. A builder changes them within bounds; a value outside
//! is an error that names the field.

use keywright_confirm::ConfirmPolicy;
use keywright_twofactor::recovery::Preset;
use keywright_twofactor::{KeyUri, Origin, TwoFactorPolicy};

/// Through what factors are enrolled here. Which factors of other origins are required too is the
/// policy's choice ([`TwoFactorPolicyBuilder::required`](keywright_twofactor::TwoFactorPolicyBuilder::required)).
pub const ORIGIN: Origin = Origin::new("rocketchat");
/// The common prefix of the protocol's paths, except for [`INFO_PATH`].
pub const BASE_PATH: &str = "/api/v1/";
/// The path that apps and monitors request first (protocol § 15).
pub const INFO_PATH: &str = "/api/info";
/// The lifetime of a mailed code, in seconds. Source: upstream's default. A server author who can
/// set it lower should: NIST SP 800-63B-4 § 3.1.3.2 and OWASP ASVS 5.0 6.5.5 specify 600.
pub const EMAIL_CODE_SECONDS: u64 = 3_600;
/// The digits of the devices that are enrolled here. Source: protocol § 7. Eight would have the
/// form of a recovery code.
pub const TOTP_DIGITS: u8 = 6;
/// The largest request body, in bytes (`docs/decisions.md` 40).
pub const MAX_BODY: usize = 1024 * 1024;
/// The least that a policy may set for the largest request body, in bytes: a log-in must fit.
pub const LEAST_MAX_BODY: usize = 1024;
/// The lifetime of a two-factor challenge, in seconds. Source: protocol § 15.
pub const CHALLENGE_SECONDS: u64 = 300;
/// The number of wrong codes that ends a two-factor challenge. Source: protocol § 12, the limit of
/// mailed codes. The guess ledger limits further ones.
pub const CHALLENGE_TRIES: u8 = 5;
/// The most two-factor challenges of one account. One more replaces the one that expires first.
pub const MAX_CHALLENGES: u16 = 8;
/// The lifetime of a login code, in seconds. Source: protocol § 15.
pub const LOGIN_CODE_SECONDS: u64 = 60;
/// How long the proof of an act on another account can be used again after the act stopped before
/// its change, in seconds. Source: `docs/decisions.md` 28a.
pub const CREDIT_SECONDS: u64 = 300;
/// The most such proofs of one account. One more replaces the one that expires first.
pub const MAX_CREDITS: u16 = 4;
/// The version that [`INFO_PATH`] reports by default: that of the release whose account area is
/// served here (protocol § 15).
pub const VERSION: &str = "8.8.1";

/// The choices of a server author.
///
/// ```
/// use keywright_rocketchat::{RocketChatPolicy, RocketChatPolicyError};
///
/// let policy = RocketChatPolicy::builder().issuer("chat.example").password_fallback(false).build()?;
/// assert_eq!(policy.issuer(), "chat.example");
/// let refused = RocketChatPolicy::builder().issuer("").build();
/// assert_eq!(refused.err(), Some(RocketChatPolicyError::Issuer { field: "issuer" }));
/// # Ok::<(), RocketChatPolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct RocketChatPolicy {
    pub(crate) two_factor: TwoFactorPolicy,
    pub(crate) confirm: ConfirmPolicy,
    pub(crate) enabled: bool,
    pub(crate) by_totp: bool,
    pub(crate) by_email: bool,
    pub(crate) password_fallback: bool,
    pub(crate) issuer: String,
    pub(crate) max_body: usize,
    pub(crate) version: String,
}

impl RocketChatPolicy {
    /// Starts from the defaults.
    pub fn builder() -> RocketChatPolicyBuilder {
        RocketChatPolicyBuilder { policy: Self::default() }
    }

    /// Returns the policy for time-based codes and recovery codes.
    #[must_use]
    pub const fn two_factor(&self) -> &TwoFactorPolicy {
        &self.two_factor
    }

    /// Returns the policy for mailed codes.
    #[must_use]
    pub const fn confirm(&self) -> &ConfirmPolicy {
        &self.confirm
    }

    /// Whether two-factor is on.
    #[must_use]
    pub const fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether time-based codes are offered.
    #[must_use]
    pub const fn by_totp(&self) -> bool {
        self.by_totp
    }

    /// Whether mailed codes are offered.
    #[must_use]
    pub const fn by_email(&self) -> bool {
        self.by_email
    }

    /// Whether an account that has enrolled nothing proves its login password.
    #[must_use]
    pub const fn password_fallback(&self) -> bool {
        self.password_fallback
    }

    /// Returns the name of the server in authenticator apps.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the largest request body, in bytes.
    #[must_use]
    pub const fn max_body(&self) -> usize {
        self.max_body
    }

    /// Returns the version that [`INFO_PATH`] reports.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
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
            version: VERSION.into(),
        }
    }
}

/// Builds a [`RocketChatPolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RocketChatPolicyBuilder {
    policy: RocketChatPolicy,
}

impl RocketChatPolicyBuilder {
    /// Sets the policy for time-based codes and recovery codes. Its devices must show
    /// [`TOTP_DIGITS`] digits; other devices of an account are still accepted. The default has
    /// recovery codes as Rocket.Chat has them, twelve of eight characters.
    pub fn two_factor(mut self, policy: TwoFactorPolicy) -> Self {
        self.policy.two_factor = policy;
        self
    }

    /// Sets the policy for mailed codes. The default is that of [`ConfirmPolicy`] with a lifetime
    /// of [`EMAIL_CODE_SECONDS`].
    pub fn confirm(mut self, policy: ConfirmPolicy) -> Self {
        self.policy.confirm = policy;
        self
    }

    /// Sets `Accounts_TwoFactorAuthentication_Enabled`. If it is off, no act and no log-in requires
    /// a code, except an act that changes the factors of an account that has some. The default is
    /// on.
    pub const fn enabled(mut self, on: bool) -> Self {
        self.policy.enabled = on;
        self
    }

    /// Sets `…_By_TOTP_Enabled`. If it is off, time-based codes are required only where factors are
    /// changed. The default is on.
    pub const fn by_totp(mut self, on: bool) -> Self {
        self.policy.by_totp = on;
        self
    }

    /// Sets `…_By_Email_Enabled`. If it is off, mailed codes are required only where factors are
    /// changed. The default is on.
    pub const fn by_email(mut self, on: bool) -> Self {
        self.policy.by_email = on;
        self
    }

    /// Sets `…_Enforce_Password_Fallback`. If it is on, an account that has enrolled nothing proves
    /// the login password. If it is off, or there is no password, such an act is refused; upstream
    /// allows it. The first factor is proven by the password either way. The default is on.
    pub const fn password_fallback(mut self, on: bool) -> Self {
        self.policy.password_fallback = on;
        self
    }

    /// Sets the name of the server in authenticator apps. It must be a valid issuer of an otpauth
    /// URI. The default is `Rocket.Chat`.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.policy.issuer = issuer.into();
        self
    }

    /// Sets the largest request body, in bytes: [`LEAST_MAX_BODY`] to [`MAX_BODY`]; a longer one is
    /// answered with 413. The default is [`MAX_BODY`].
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.policy.max_body = bytes;
        self
    }

    /// Sets the version that [`INFO_PATH`] reports: 1 to 64 printable ASCII characters. Apps refuse
    /// servers whose version they do not support. The default is [`VERSION`].
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.policy.version = version.into();
        self
    }

    /// Returns the policy.
    ///
    /// # Errors
    /// Returns a [`RocketChatPolicyError`] that names the field with an invalid value.
    pub fn build(self) -> Result<RocketChatPolicy, RocketChatPolicyError> {
        let Self { policy } = self;
        if policy.two_factor.parameters().digits() != TOTP_DIGITS {
            return Err(RocketChatPolicyError::Digits { field: "two_factor" });
        }
        // The name of an account is checked when a device of it is enrolled.
        if KeyUri::check_label(Some(&policy.issuer), "name").is_err() {
            return Err(RocketChatPolicyError::Issuer { field: "issuer" });
        }
        if !(LEAST_MAX_BODY..=MAX_BODY).contains(&policy.max_body) {
            let (min, max) = (LEAST_MAX_BODY, MAX_BODY);
            return Err(RocketChatPolicyError::OutOfBounds { field: "max_body", min, max });
        }
        let is_text = policy.version.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_text || !(1..=64).contains(&policy.version.len()) {
            return Err(RocketChatPolicyError::Version { field: "version" });
        }
        Ok(policy)
    }
}

/// The reason why values do not form a [`RocketChatPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RocketChatPolicyError {
    /// The devices of the two-factor policy do not show the digits of this wire.
    #[error("the devices of `{field}` do not show {TOTP_DIGITS} digits")]
    Digits {
        /// The name of the field.
        field: &'static str,
    },
    /// The issuer cannot be part of an otpauth URI.
    #[error("`{field}` is not a name for an otpauth URI")]
    Issuer {
        /// The name of the field.
        field: &'static str,
    },
    /// A number is out of bounds.
    #[error("`{field}` is not in {min}..={max}")]
    OutOfBounds {
        /// The name of the field.
        field: &'static str,
        /// The smallest value allowed.
        min: usize,
        /// The largest value allowed.
        max: usize,
    },
    /// The version is not 1 to 64 printable ASCII characters.
    #[error("`{field}` is not 1 to 64 printable ASCII characters")]
    Version {
        /// The name of the field.
        field: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_wire() {
        let hour = ConfirmPolicy::builder().mailed_seconds(EMAIL_CODE_SECONDS).build().unwrap();
        let policy = RocketChatPolicy::builder().build().unwrap();
        assert_eq!(policy.confirm(), &hour);
        assert_ne!(hour, ConfirmPolicy::default());
        assert_eq!(policy.two_factor().recovery(), Preset::RocketChat);
        assert!(policy.enabled() && policy.by_totp() && policy.by_email() && policy.password_fallback());
        assert_eq!((policy.issuer(), policy.max_body(), policy.version()), ("Rocket.Chat", MAX_BODY, VERSION));
    }

    #[test]
    fn a_value_out_of_bounds_is_named() {
        let builder = RocketChatPolicy::builder;
        let of = |digits| TwoFactorPolicy::builder().recovery(Preset::RocketChat).digits(digits).build().unwrap();
        let refused: [(RocketChatPolicyBuilder, &str); 8] = [
            (builder().two_factor(of(7)), "two_factor"),
            (builder().two_factor(of(8)), "two_factor"),
            (builder().issuer(""), "issuer"),
            (builder().max_body(LEAST_MAX_BODY - 1), "max_body"),
            (builder().max_body(MAX_BODY + 1), "max_body"),
            (builder().version(""), "version"),
            (builder().version("8.8 1"), "version"),
            (builder().version("8".repeat(65)), "version"),
        ];
        for (builder, field) in refused {
            let error = builder.build().unwrap_err();
            assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
        }
        for builder in [builder().max_body(LEAST_MAX_BODY), builder().version("8"), builder().issuer("a:b")] {
            assert!(builder.build().is_ok());
        }
    }
}
