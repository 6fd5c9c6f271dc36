//! Recovery codes: each works once, and they come in sets.
//!
//! The transitions are methods of [`TwoFactorSteps`](crate::TwoFactorSteps); under them is [`CodeSet`], the pure state. They
//! check a code; they never send one, and never show one twice.
//!
//! ```
//! use keywright_core::{SystemEntropy, UnixSeconds};
//! use keywright_twofactor::recovery::{CodeSet, Matched, Preset};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (mut set, codes) = CodeSet::make(&SystemEntropy, Preset::Default, UnixSeconds::EPOCH)?;
//! let typed = codes.iter().next().map(str::to_lowercase).unwrap_or_default(); // XXXXXX-XXXXXX-XXXXXX
//! if let Matched::Unused(code) = set.judge(&typed)? {
//!     set.spend(code);
//! }
//! assert_eq!(set.remaining(), 9);
//! assert_eq!(set.judge(&typed)?, Matched::Used);
//! # Ok(())
//! # }
//! ```
//!
//! # A set
//! Kept as one random key and an HMAC-SHA-256 per code, inside the sealed record (`docs/security.md` § 5). A guess is hashed
//! once and compared with all, the used ones too, so that the log distinguishes a replay from a wrong guess. A replay and a
//! malformed code are not charged; a wrong one is, as [`RECOVERY`], which waits but is never shut where a code has 64 bits
//! or more.
//!
//! # Going live
//! A set made with [`Liveness::OnAcknowledgement`] waits until the owner
//! [has kept it](crate::TwoFactorSteps::acknowledge_recovery_in), ten minutes by default
//! ([`PENDING_SECONDS`](crate::policy::PENDING_SECONDS), as an enrolment waits); the one before works until then. A newer
//! one takes its place. It is void after a change of password, challenge or factors (a device that is added counts, so
//! make codes after it), after a restore, and while the clock stands before the moment it was made.
//!
//! # What a thief gets
//! From a dump nothing. From a dump and the keyring, one of ten default codes for 2⁷⁶·⁷ hashes; a Rocket.Chat code falls
//! **in about two hours** at 10¹⁰ hashes a second, so prefer another preset wherever the wire allows one.
//!
//! # After a restore
//! Used codes return with an old backup. They are taken, and each use of a set older than the keyring's fence is told by
//! [`RECOVERY_CODES_STALE`](crate::events::RECOVERY_CODES_STALE): the owner should make new ones, however many are left.

pub(crate) mod code;
pub(crate) mod error;
pub(crate) mod set;
pub(crate) mod state;
pub(crate) mod step;

pub use self::code::{Liveness, Preset};
pub use self::error::ImportError;
pub use self::set::{CodeSet, Matched, RecoveryCodes, Spend};
pub use self::state::RECOVERY;
pub(crate) use self::state::RECOVERY_CODES;
pub use self::step::LOW;

/// Codes of one set, at most: what an import may bring. The presets make 1, 10 and 12.
pub const MAX_CODES: usize = 32;
