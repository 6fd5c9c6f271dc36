//! The constants of the protocol. A server cannot change them. How guesses are limited is set in
//! the driver's [`LedgerPolicy`](keywright_core::LedgerPolicy).

use std::ops::RangeInclusive;

use keywright_core::SecretKind;

/// The kind of secret under which the account's guess ledger counts wrong guesses at a challenge,
/// whichever endpoint receives them. It is a guessable kind, because the secret is derived from a
/// password, however long it is.
pub const CHALLENGE_SECRET: SecretKind = SecretKind::new("challenge");

/// The length of a secret and of a proof, in bytes: 32 bytes in hex
/// (`docs/protocols/nextcloud-passwords.md` § 3).
pub const SECRET_BYTES: usize = 64;

/// The number of hex digits in each salt (`docs/decisions.md` 19). Salt 0 has an upper bound,
/// unlike in Nextcloud Passwords, so that a record stays small; the real client makes 512.
pub(crate) const SALT_DIGITS: [RangeInclusive<usize>; 3] = [512..=2048, 128..=128, 32..=32];

/// The number of bytes in each salt that is made here (`docs/protocols/nextcloud-passwords.md` §
/// 3).
pub(crate) const NEW_SALT_BYTES: [usize; 3] = [256, 64, 16];
