//! The numbers and choices that are policy.

use keywright_confirm::ConfirmPolicy;
use keywright_twofactor::TwoFactorPolicy;

/// How long a session lives after its last use, in seconds (protocol § 2.2: upstream's default).
pub const SESSION_LIFETIME: u64 = 600;
/// How long a session lives at most, in seconds (`docs/security.md` § 10; upstream has no such limit).
pub const SESSION_ABSOLUTE: u64 = 86_400;
/// How many saved sessions an account may have (`docs/security.md` § 10).
pub const MAX_SESSIONS: usize = 16;
/// How long a right two-factor token counts for further passphrases of its session, in seconds (`docs/decisions.md`
/// 18).
pub const CREDIT_SECONDS: u64 = 300;
/// For how many further passphrases it counts (`docs/decisions.md` 18).
pub const CREDIT_TRIES: u8 = 5;
/// The largest request body, in bytes (`docs/decisions.md` 40).
pub const MAX_BODY: usize = 1024 * 1024;
/// Where the protocol's paths begin (protocol § 1).
pub const BASE_PATH: &str = "/index.php/apps/passwords/api/1.0/";

/// Which of the two documented resets the server speaks (protocol § 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResetStyle {
    /// A shown code, typed back. What present clients speak.
    #[default]
    Code,
    /// The login password, and a random wait of 5 to 10 s.
    Wait,
}

/// The wrong proof of one app token, since its last right one, that ends the token (`docs/decisions.md` 22).
pub const TOKEN_TRIES: u8 = 5;

/// The choices of a server author. How guesses are limited is the driver's policy. Start from [`Default`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NextcloudPolicy {
    /// Codes and waits.
    pub confirm: ConfirmPolicy,
    /// Two-factor tokens: whatever else the server speaks for the same accounts, it is the same policy.
    pub two_factor: TwoFactorPolicy,
    /// Whether an account with a time-based device must give a token to open a session. If not, one that is given is
    /// judged all the same.
    pub require_token: bool,
    /// Which reset is spoken.
    pub reset: ResetStyle,
    /// Whether clients may encrypt. If not, `challenge/set` answers 500 `adca63f1` and changes nothing.
    pub client_side_encryption: bool,
    /// Whether requests reach this server over plain HTTP from beyond the machine: then every one is answered 400
    /// `6304571a`, as the protocol has it. False behind TLS, and on a loopback address.
    pub refuse_plain_http: bool,
    /// The largest request body, in bytes; a longer one is answered 413.
    pub max_body: usize,
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
        }
    }
}
