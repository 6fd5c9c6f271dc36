//! The numbers and choices that are policy.

use keywright_confirm::ConfirmPolicy;
use keywright_twofactor::{Origin, TwoFactorPolicy};

/// How long a session lives after its last use, in seconds (protocol § 2.2: upstream's default).
pub const SESSION_LIFETIME: u64 = 600;
/// How long a session lives at most, in seconds (`docs/security.md` § 10; upstream has no such
/// limit).
pub const SESSION_ABSOLUTE: u64 = 86_400;
/// How many saved sessions an account may have (`docs/security.md` § 10).
pub const MAX_SESSIONS: usize = 16;
/// How long a right two-factor token counts for further passphrases of its session, in seconds
/// (`docs/decisions.md` 18).
pub const CREDIT_SECONDS: u64 = 300;
/// How many further passphrases a right two-factor token counts for (`docs/decisions.md` 18).
pub const CREDIT_TRIES: u8 = 5;
/// The largest request body, in bytes (`docs/decisions.md` 40).
pub const MAX_BODY: usize = 1024 * 1024;
/// Through what factors are enrolled here. Which factors of other origins are required too is the
/// policy's choice ([`TwoFactorPolicyBuilder::required`](keywright_twofactor::TwoFactorPolicyBuilder::required)).
pub const ORIGIN: Origin = Origin::new("nextcloud");
/// The common prefix of the protocol's paths (protocol § 1).
pub const BASE_PATH: &str = "/index.php/apps/passwords/api/1.0/";

/// Which of the two documented resets the server offers (protocol § 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResetStyle {
    /// A code that is shown and typed back, which is what current clients use.
    #[default]
    Code,
    /// The login password, and a random wait of 5 to 10 s.
    Wait,
}

/// How many wrong proofs of one app token, since its last right one, end the token
/// (`docs/decisions.md` 22).
pub const TOKEN_TRIES: u8 = 5;

/// The version that the server names as that of the Passwords app: the newest that
/// `docs/protocols/nextcloud-passwords.md` describes. Clients switch features by it.
pub const APP_VERSION: &str = "2026.7";

/// The oldest version that may be named. The browser extension refuses older servers
/// (protocol § 11).
const OLDEST_APP_VERSION: (u16, u8) = (2024, 12);

/// The choices of a server author. The driver's policy limits guesses.
///
/// ```
/// use keywright_nextcloud::{NextcloudPolicy, NextcloudPolicyError, ResetStyle};
///
/// let policy = NextcloudPolicy::builder().reset(ResetStyle::Wait).require_token(false).build()?;
/// assert_eq!(policy.reset(), ResetStyle::Wait);
/// let refused = NextcloudPolicy::builder().app_version("2024.11").build();
/// assert_eq!(refused.err(), Some(NextcloudPolicyError::AppVersion));
/// # Ok::<(), NextcloudPolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NextcloudPolicy {
    pub(crate) confirm: ConfirmPolicy,
    pub(crate) two_factor: TwoFactorPolicy,
    pub(crate) require_token: bool,
    pub(crate) reset: ResetStyle,
    pub(crate) client_side_encryption: bool,
    pub(crate) refuse_plain_http: bool,
    pub(crate) max_body: usize,
    pub(crate) app_version: String,
}

impl Default for NextcloudPolicy {
    fn default() -> Self {
        Self {
            confirm: ConfirmPolicy::default(),
            two_factor: TwoFactorPolicy::default(),
            require_token: true,
            reset: ResetStyle::Code,
            client_side_encryption: true,
            refuse_plain_http: false,
            max_body: MAX_BODY,
            app_version: APP_VERSION.into(),
        }
    }
}

impl NextcloudPolicy {
    /// Returns a builder that starts from the defaults.
    pub fn builder() -> NextcloudPolicyBuilder {
        NextcloudPolicyBuilder { policy: Self::default() }
    }

    /// Returns the policy for codes and waits.
    #[must_use]
    pub const fn confirm(&self) -> &ConfirmPolicy {
        &self.confirm
    }

    /// Returns the policy for two-factor tokens.
    #[must_use]
    pub const fn two_factor(&self) -> &TwoFactorPolicy {
        &self.two_factor
    }

    /// Whether an account with a time-based device must provide a token to open a session.
    #[must_use]
    pub const fn require_token(&self) -> bool {
        self.require_token
    }

    /// Returns which reset the server offers.
    #[must_use]
    pub const fn reset(&self) -> ResetStyle {
        self.reset
    }

    /// Whether clients may encrypt.
    #[must_use]
    pub const fn client_side_encryption(&self) -> bool {
        self.client_side_encryption
    }

    /// Whether every request is refused because it came by plain HTTP.
    #[must_use]
    pub const fn refuse_plain_http(&self) -> bool {
        self.refuse_plain_http
    }

    /// Returns the largest request body, in bytes.
    #[must_use]
    pub const fn max_body(&self) -> usize {
        self.max_body
    }

    /// Returns the version that the server names as that of the Passwords app.
    #[must_use]
    pub fn app_version(&self) -> &str {
        &self.app_version
    }
}

/// Builds a [`NextcloudPolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct NextcloudPolicyBuilder {
    policy: NextcloudPolicy,
}

impl NextcloudPolicyBuilder {
    /// Sets the policy for codes and waits.
    pub fn confirm(mut self, policy: ConfirmPolicy) -> Self {
        self.policy.confirm = policy;
        self
    }

    /// Sets the policy for two-factor tokens. It must be the same for every protocol that the
    /// server offers for these accounts.
    pub fn two_factor(mut self, policy: TwoFactorPolicy) -> Self {
        self.policy.two_factor = policy;
        self
    }

    /// Sets whether an account with a time-based device must provide a token to open a session. If
    /// not, a token that is provided is checked all the same. The default is yes.
    pub const fn require_token(mut self, on: bool) -> Self {
        self.policy.require_token = on;
        self
    }

    /// Sets which reset the server offers. The default is [`ResetStyle::Code`].
    pub const fn reset(mut self, style: ResetStyle) -> Self {
        self.policy.reset = style;
        self
    }

    /// Sets whether clients may encrypt. If not, `challenge/set` answers 500 `adca63f1` and changes
    /// nothing. The default is yes.
    pub const fn client_side_encryption(mut self, on: bool) -> Self {
        self.policy.client_side_encryption = on;
        self
    }

    /// Sets whether requests reach this server over plain HTTP from beyond the machine. If so,
    /// every one for which [`Host::is_encrypted`](crate::Host::is_encrypted) says no is answered
    /// with 400 `6304571a`, as the protocol requires. Leave it off behind TLS and on a loopback
    /// address. The default is no.
    pub const fn refuse_plain_http(mut self, on: bool) -> Self {
        self.policy.refuse_plain_http = on;
        self
    }

    /// Sets the largest request body, in bytes: 1 KiB to 64 MiB. A longer one is answered with 413.
    /// The default is [`MAX_BODY`].
    pub const fn max_body(mut self, bytes: usize) -> Self {
        self.policy.max_body = bytes;
        self
    }

    /// Sets the version that the server names as that of the Passwords app: year and month, as
    /// `2026.7`, and at least `2024.12`, because the browser extension refuses older servers. The
    /// default is [`APP_VERSION`].
    pub fn app_version(mut self, version: impl Into<String>) -> Self {
        self.policy.app_version = version.into();
        self
    }

    /// Returns the policy.
    ///
    /// # Errors
    /// [`NextcloudPolicyError`] if a choice is out of its bounds; it names the field.
    pub fn build(self) -> Result<NextcloudPolicy, NextcloudPolicyError> {
        let (min, max) = (MIN_MAX_BODY, MAX_MAX_BODY);
        if !(min..=max).contains(&self.policy.max_body) {
            return Err(NextcloudPolicyError::OutOfBounds { field: "max_body", min, max });
        }
        if parse_version(&self.policy.app_version).is_none_or(|version| version < OLDEST_APP_VERSION) {
            return Err(NextcloudPolicyError::AppVersion);
        }
        Ok(self.policy)
    }
}

/// The bounds of [`NextcloudPolicyBuilder::max_body`]: a challenge with the largest salts has less
/// than 3 KiB, the usual one less than 1 KiB.
const MIN_MAX_BODY: usize = 1024;
const MAX_MAX_BODY: usize = 64 * 1024 * 1024;

/// Reads a year of four digits and a month, both without leading zeros.
fn parse_version(text: &str) -> Option<(u16, u8)> {
    let (year, month) = text.split_once('.')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    if year.len() != 4 || !is_number(year) || !is_number(month) {
        return None;
    }
    let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
    Some((year.parse().ok()?, month))
}

/// Why the choices make no [`NextcloudPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NextcloudPolicyError {
    /// A number is out of its bounds.
    #[error("`{field}` is not in {min}..={max}")]
    OutOfBounds {
        /// The name of the field.
        field: &'static str,
        /// The smallest allowed value.
        min: usize,
        /// The largest allowed value.
        max: usize,
    },
    /// The version is not a year and a month, or is older than the browser extension accepts.
    #[error("`app_version` is not a year and a month from 2024.12 on")]
    AppVersion,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_both_bounds() {
        let build = |bytes| NextcloudPolicy::builder().max_body(bytes).build();
        assert!(build(1_024).is_ok() && build(67_108_864).is_ok());
        let refused = NextcloudPolicyError::OutOfBounds { field: "max_body", min: 1_024, max: 67_108_864 };
        assert_eq!(build(1_023).unwrap_err(), refused);
        assert_eq!(build(67_108_865).unwrap_err(), refused);
    }

    #[test]
    fn a_version_is_a_year_and_a_month_that_the_extension_accepts() {
        let build = |text: &str| NextcloudPolicy::builder().app_version(text).build();
        for good in ["2024.12", "2025.1", "2026.7", "2026.10", APP_VERSION] {
            assert_eq!(build(good).unwrap().app_version(), good);
        }
        for bad in ["", "2026", "2026.", ".7", "2024.11", "2023.12", "2026.07", "2026.13", "2026.0", "26.7", "2026.7.1"]
        {
            assert_eq!(build(bad).unwrap_err(), NextcloudPolicyError::AppVersion, "{bad}");
        }
        for bad in ["2026.x", "+026.7", "2026.+7", "2026. 7", "20266.7"] {
            assert_eq!(build(bad).unwrap_err(), NextcloudPolicyError::AppVersion, "{bad}");
        }
    }
}
