//! X25519 keys, and the check of a shared key.
//!
//! A LibrePass user's private key is derived from the password by Argon2id. The server keeps the
//! public half and computes the same product as the client; the product is the proof (protocol §§
//! 1, 2).

use keywright_core::{Entropy, EntropyError, SecretBytes, SecretString};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

/// The length of every key in the wire protocol: 64 hex digits (protocol § 2).
pub const KEY_DIGITS: usize = 64;

/// What the three kinds of keys have in common. The trait is private, so that they remain three
/// separate types outside.
pub(crate) trait Key: Sized {
    fn wrap(bytes: SecretBytes<32>) -> Self;
    fn bytes(&self) -> &SecretBytes<32>;
}

macro_rules! key {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        pub struct $name(SecretBytes<32>);

        impl $name {
            /// Wraps 32 bytes.
            #[must_use]
            pub const fn from_secret(bytes: SecretBytes<32>) -> Self {
                Self(bytes)
            }

            /// Parses 64 hex digits, in either case (protocol § 2).
            ///
            /// # Errors
            /// [`KeyTextError`] for any other text.
            pub fn from_hex(text: &str) -> Result<Self, KeyTextError> {
                let mut bytes = SecretBytes::zeroed();
                hex::decode_to_slice(text, bytes.expose_mut()).map_err(|_| KeyTextError)?;
                Ok(Self(bytes))
            }

            /// Returns 64 lower-case hex digits, the form in which keys are sent.
            #[must_use]
            pub fn to_hex(&self) -> SecretString {
                digits(self.0.expose())
            }

            /// Returns the bytes.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                self.0.expose()
            }

            /// Whether the other key has the same bytes, in time that depends on neither.
            #[must_use]
            pub fn ct_eq(&self, other: &Self) -> bool {
                self.0.ct_eq(other.0.expose())
            }

            /// Returns a second copy. The type is not `Clone`, because each copy is a place to
            /// audit.
            #[must_use]
            pub fn duplicate(&self) -> Self {
                Self(self.0.duplicate())
            }
        }

        impl Key for $name {
            fn wrap(bytes: SecretBytes<32>) -> Self {
                Self(bytes)
            }
            fn bytes(&self) -> &SecretBytes<32> {
                &self.0
            }
        }

        keywright_core::redacted_debug!($name);
    };
}

key! {
    /// The private half of a key pair, as drawn or derived. X25519 clamps it inside each
    /// multiplication, and the stored form stays unclamped (protocol § 2).
    PrivateKey
}

key! {
    /// The public half of a key pair.
    ///
    /// A **user's** public key is a password verifier: anyone who has it can test guesses at the
    /// password offline. So it is a secret here: redacted, compared in constant time, and stored
    /// only in a sealed record (`docs/security.md` § 11). A server's own is given to everybody.
    PublicKey
}

key! {
    /// The product of one side's private and the other side's public key: what a client sends as
    /// the proof of its password.
    SharedKey
}

impl PrivateKey {
    /// Draws a private key.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        SecretBytes::random(entropy).map(Self)
    }

    /// Returns the public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let public = Zeroizing::new(x25519_dalek::PublicKey::from(&self.scalar()));
        PublicKey(boxed(public.as_bytes()))
    }

    /// Returns the product with a public key, or `None` if it is all zero. For the few public keys
    /// of low order the product is zero with **every** private key, so it proves nothing and would
    /// admit everybody (protocol § 11, 10).
    #[must_use]
    pub fn agree(&self, public: &PublicKey) -> Option<SharedKey> {
        let public = Zeroizing::new(x25519_dalek::PublicKey::from(*public.expose()));
        let product = self.scalar().diffie_hellman(&public);
        product.was_contributory().then(|| SharedKey(boxed(product.as_bytes())))
    }

    /// Returns the key as a scalar that is wiped on drop.
    fn scalar(&self) -> StaticSecret {
        StaticSecret::from(*self.0.expose())
    }
}

/// Whether a sent shared key is the product of the server's private and the user's public key. An
/// all-zero product is no proof, whatever was sent. The comparison takes constant time.
///
/// ```
/// # fn main() -> Result<(), keywright_core::EntropyError> {
/// use keywright_core::SystemEntropy;
/// use keywright_librepass::{PrivateKey, verify_shared};
///
/// let (server, user) = (PrivateKey::random(&SystemEntropy)?, PrivateKey::random(&SystemEntropy)?);
/// let sent = user.agree(&server.public_key()).expect("not of low order");
/// assert!(verify_shared(&server, &user.public_key(), &sent));
/// assert!(!verify_shared(&PrivateKey::random(&SystemEntropy)?, &user.public_key(), &sent));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn verify_shared(server: &PrivateKey, user: &PublicKey, sent: &SharedKey) -> bool {
    server.agree(user).is_some_and(|expected| expected.ct_eq(sent))
}

/// The text is not [`KEY_DIGITS`] hex digits. The endpoint answers 400 `LP-Invalid-Shared-Secret`
/// and charges nothing (`docs/decisions.md` 35a).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is not {KEY_DIGITS} hex digits")]
pub struct KeyTextError;

/// For `#[serde(with = "crate::protocol::keys::stored")]`: a key inside a record that is sealed
/// whole.
pub(crate) mod stored {
    use keywright_store::secret_field;
    use serde::{Deserializer, Serializer};

    use super::Key;

    pub(crate) fn serialize<S: Serializer, K: Key>(key: &K, to: S) -> Result<S::Ok, S::Error> {
        secret_field::serialize(key.bytes(), to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, K: Key>(from: D) -> Result<K, D::Error> {
        secret_field::deserialize(from).map(K::wrap)
    }
}

fn boxed(bytes: &[u8; 32]) -> SecretBytes<32> {
    let mut new = SecretBytes::zeroed();
    new.expose_mut().copy_from_slice(bytes);
    new
}

/// Returns lower-case hex in a string that is sized once, so that no growing leaves a copy behind.
pub(crate) fn digits(bytes: &[u8]) -> SecretString {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    push_digits(&mut text, bytes);
    SecretString::new(text)
}

pub(crate) fn push_digits(text: &mut String, bytes: &[u8]) {
    for nibble in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_in_either_case_and_nothing_else() {
        let lower = "5a493d472cbf8f77605f13d29a59f4db053b6b445ff0c5c8f9cabdb0c3ab5e53";
        let key = PublicKey::from_hex(lower).unwrap();
        assert_eq!(key.to_hex().expose(), lower);
        assert!(PublicKey::from_hex(&lower.to_uppercase()).unwrap().ct_eq(&key));
        let bad = [
            String::new(),
            lower[..63].to_owned(),
            lower[..62].to_owned(),
            format!("{lower}00"),
            format!(" {}", &lower[1..]),
            format!("{}é", &lower[2..]),
            format!("+{}", &lower[1..]),
        ];
        for text in bad {
            assert_eq!(PublicKey::from_hex(&text).err(), Some(KeyTextError), "{text}");
        }
    }

    #[test]
    fn nothing_shows_a_key() {
        let hex = "ab".repeat(32);
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            PrivateKey::from_hex(&hex),
            PublicKey::from_hex(&hex),
            SharedKey::from_hex(&hex),
            SharedKey::from_hex("PLANTED")
        );
        assert!(!shown.contains("abab") && !shown.contains("171") && !shown.contains("PLANTED"), "{shown}");
    }
}
