//! The secret at which a guess is aimed: its kind, its strength and its generation.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::policy::NEVER_LOCKED_BITS;
use crate::entropy::{Entropy, EntropyError, random_bytes};

/// The longest name of a [`SecretKind`], in bytes.
const MAX_NAME: usize = 23;

/// The name of a [`SecretKind`]: 1 to 23 bytes of `a-z`, `0-9` and `-`.
///
/// This is what the stored ledger and the security events contain. It is kept inline, so it is
/// `Copy`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName {
    /// Padded with zeros, which sort before every byte that a name may contain.
    bytes: [u8; MAX_NAME],
    length: u8,
}

impl SecretName {
    /// Returns the name if it is well formed.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "`at` stays below `text.len()`, which is at most 23; `get` on an array is not const"
    )]
    const fn parse(name: &str) -> Option<Self> {
        let text = name.as_bytes();
        if text.is_empty() || text.len() > MAX_NAME {
            return None;
        }
        let mut bytes = [0; MAX_NAME];
        let mut at = 0;
        while at < text.len() {
            if !matches!(text[at], b'a'..=b'z' | b'0'..=b'9' | b'-') {
                return None;
            }
            bytes[at] = text[at];
            at += 1;
        }
        Some(Self { bytes, length: text.len() as u8 })
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl fmt::Debug for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SecretName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SecretName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::parse(&name)
            .ok_or_else(|| D::Error::custom("the name of a secret is not 1 to 23 bytes of a-z, 0-9 and -"))
    }
}

/// A kind of secret that can be guessed at. Each kind has its own entry in an account's
/// [`GuessLedger`](super::GuessLedger), which every endpoint that checks the secret charges.
///
/// The crate that owns a secret declares its kind as a constant; there is no central list.
///
/// ```
/// use keywright_core::{SecretKind, Strength};
///
/// pub const SHARED_KEY: SecretKind = SecretKind::new("shared-key");
/// pub const TOTP: SecretKind = SecretKind::new("totp").without_mail();
/// pub const RECOVERY: SecretKind = SecretKind::new("recovery").unguessable();
///
/// assert_eq!((TOTP.name(), TOTP.strength()), ("totp", Strength::Guessable));
/// assert_eq!(RECOVERY.strength(), Strength::Unguessable);
/// ```
///
/// Two kinds are equal if their names are: the same name means the same entry, whatever strength it
/// is declared with.
#[derive(Clone, Copy)]
pub struct SecretKind {
    name: SecretName,
    strength: Strength,
    mail: bool,
}

impl SecretKind {
    /// Declares a kind of secret that people choose or that is short: [`Strength::Guessable`].
    ///
    /// # Panics
    /// Panics if `name` is not 1 to 23 bytes of `a-z`, `0-9` and `-`. In a constant that is an
    /// error of the compiler.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        let name = SecretName::parse(name);
        assert!(name.is_some(), "the name of a secret is not 1 to 23 bytes of a-z, 0-9 and -");
        match name {
            Some(name) => Self { name, strength: Strength::Guessable, mail: true },
            None => unreachable!(),
        }
    }

    /// Returns this kind as one of at least 64 random bits (see [`Strength::Unguessable`]).
    #[must_use]
    pub const fn unguessable(self) -> Self {
        self.with_strength(Strength::Unguessable)
    }

    /// Returns this kind with another strength, for a secret whose length is configured.
    #[must_use]
    pub const fn with_strength(self, strength: Strength) -> Self {
        Self { strength, ..self }
    }

    /// Returns this kind as one for which no mail admits a client, such as a second factor, a
    /// recovery code or a mailed code. [`unlock_mail_due`](super::GuessLedger::unlock_mail_due) is
    /// never true for it.
    #[must_use]
    pub const fn without_mail(self) -> Self {
        Self { mail: false, ..self }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns the name in its stored form.
    #[must_use]
    pub const fn secret_name(&self) -> SecretName {
        self.name
    }

    /// Returns how hard the secret is to guess.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        self.strength
    }

    /// Whether a mail may admit a client that others have locked out. An unguessable secret never
    /// locks anybody out, so it needs none.
    pub(super) const fn is_opened_by_mail(&self) -> bool {
        self.mail && matches!(self.strength, Strength::Guessable)
    }
}

impl PartialEq for SecretKind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SecretKind {}

impl PartialOrd for SecretKind {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SecretKind {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name.cmp(&other.name)
    }
}

impl std::hash::Hash for SecretKind {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKind({}, {:?})", self.name, self.strength)
    }
}

/// How hard a secret is to guess, which decides whether wrong guesses can lock clients out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strength {
    /// A secret that a person chose, or that has fewer than 64 random bits. It has waits and
    /// limits.
    Guessable,
    /// A secret of at least 64 random bits. It has waits, but no limit ever locks a client out.
    ///
    /// The owner must be able to use such a secret when others are locked. Its length protects it:
    /// one guess an hour for a century finds one of 2⁶⁴ values with a probability of 2⁻⁴⁴.
    Unguessable,
}

impl Strength {
    /// Returns the strength of a secret of `bits` bits that a secure generator drew uniformly. A
    /// secret that a person chose is [`Self::Guessable`] at any length, and so is anything derived
    /// from it.
    #[must_use]
    pub const fn of_random_bits(bits: u32) -> Self {
        if bits >= NEVER_LOCKED_BITS { Self::Unguessable } else { Self::Guessable }
    }
}

/// One of an account's successive secrets of one kind.
///
/// The record that holds the secret also holds its generation, and a new secret draws a new one. An
/// entry of the ledger belongs to one generation and reads as empty for every other one. No code
/// path can therefore change a secret and keep what was counted against the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(u64);

impl Generation {
    /// The generation of every secret that the host keeps. The host reports each change of such a
    /// secret, and the ledger is then [renewed](super::GuessLedger::renew) from this generation to
    /// itself.
    pub const HOST: Self = Self(0);

    /// Draws a generation. It is never [`Self::HOST`].
    ///
    /// # Errors
    /// Returns [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        random_bytes(entropy).map(|bytes| Self(u64::from_be_bytes(bytes).max(1)))
    }

    /// Returns the generation with this number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}
