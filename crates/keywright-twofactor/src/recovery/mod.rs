//! Recovery codes, which come in sets and each of which works once.
//!
//! The operations are methods of [`TwoFactorSteps`](crate::TwoFactorSteps). They use [`CodeSet`],
//! which can also be used without a store. Codes are returned once, when a set is made, and cannot
//! be retrieved again; this crate never sends them.
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
//! # How a set is stored
//! A set is kept as one random key and an HMAC-SHA-256 per code, inside the sealed record
//! (`docs/security.md` § 5). A guess is hashed once and compared with all codes, including the used
//! ones, so that the log distinguishes a replay from a wrong guess. A replay and a malformed code
//! are not charged. A wrong code is charged to [`RECOVERY`], for which guesses wait but are never
//! locked where a code has 64 bits or more.
//!
//! # When a set becomes active
//! A set made with [`Liveness::OnAcknowledgement`] is pending until the owner [confirms having kept
//! it](crate::TwoFactorSteps::acknowledge_recovery_in). By default it may be pending for ten
//! minutes ([`PENDING_SECONDS`](crate::policy::PENDING_SECONDS), as for an enrolment), and the
//! previous set works until then. A newer pending set replaces it. A pending set is void after a
//! change of password, challenge or factors (adding a device counts, so make codes afterwards),
//! after a restore, and while the clock is earlier than the time at which it was made.
//!
//! # What a thief can do
//! A dump alone reveals nothing. With a dump and the keyring, finding one of ten default codes
//! takes 2⁷⁶·⁷ hashes; a Rocket.Chat code is found **in about two hours** at 10¹⁰ hashes a second,
//! so prefer another preset wherever the wire protocol allows one.
//!
//! # After a restore
//! Used codes return with an old backup. They are accepted, and each use of a set that is older
//! than the keyring's fence is reported by
//! [`RECOVERY_CODES_STALE`](crate::events::RECOVERY_CODES_STALE): the owner should make new ones,
//! however many are left.

pub(crate) mod code;
pub(crate) mod error;
pub(crate) mod imported;
pub(crate) mod set;
pub(crate) mod spelling;
pub(crate) mod state;
pub(crate) mod step;

pub use self::code::{Liveness, Preset};
pub use self::error::ImportError;
pub use self::imported::{CodesFault, ImportedCodes, MAX_HASHES};
pub use self::set::{CodeSet, Matched, RecoveryCodes, Spend};
pub use self::spelling::{Digest, LetterCase, Spelling};
pub use self::state::RECOVERY;
pub(crate) use self::state::RECOVERY_CODES;
pub use self::step::LOW;
pub use keywright_store::hashed::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};

/// The maximum number of codes in one set, which an import may supply. The presets make 1, 10 and
/// 12.
pub const MAX_CODES: usize = 32;
