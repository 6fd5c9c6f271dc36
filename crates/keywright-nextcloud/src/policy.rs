//! The numbers and choices that are policy.

use keywright_confirm::ConfirmPolicy;
use keywright_twofactor::TwoFactorPolicy;

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

/// The choices of a server author. Start from [`Default`]. The driver's policy limits guesses.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NextcloudPolicy {
    /// The policy for codes and waits.
    pub confirm: ConfirmPolicy,
    /// The policy for two-factor tokens. It must be the same for every protocol that the server
    /// offers for these accounts.
    pub two_factor: TwoFactorPolicy,
    /// Whether an account with a time-based device must provide a token to open a session. If not,
    /// a token that is provided is checked all the same.
    pub require_token: bool,
    /// Which reset the server offers.
    pub reset: ResetStyle,
    /// Whether clients may encrypt. If not, `challenge/set` answers 500 `adca63f1` and changes
    /// nothing.
    pub client_side_encryption: bool,
    /// Whether requests reach this server over plain HTTP from beyond the machine. If so, every one
    /// for which [`Host::is_encrypted`](crate::Host::is_encrypted) says no is answered with 400
    /// `6304571a`, as the protocol requires. Set it to false behind TLS and on
    /// a loopback address.
    pub refuse_plain_http: bool,
    /// The largest request body, in bytes; a longer one is answered with 413.
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
