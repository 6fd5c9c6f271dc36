//! The secret that a device and the server share, and its base32 form.

use std::fmt;

use base32ct::{Base32UpperUnpadded, Encoding};
use keywright_core::{Entropy, EntropyError, SecretString, SecretVec, typed};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserializer, Serializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The length of a secret that this crate draws, in bytes: 160 bits. Source: RFC 4226 § 4 R6.
pub const SECRET_BYTES: usize = 20;

/// The length of the shortest secret that [`TotpSecret`] can hold, in bits. A policy requires more,
/// see [`min_secret_bits`](crate::TwoFactorPolicyBuilder::min_secret_bits); some services still
/// issue secrets of 80 bits.
pub const MIN_SECRET_BITS: u32 = 80;

/// The maximum length of a secret, in bytes. It is one block of SHA-512; the longest secret in RFC
/// 6238 has 64 bytes.
const MAX_BYTES: usize = 128;

/// The maximum length of a base32 text, in bytes: 205 symbols, grouped by wide hyphens, and
/// padding.
const MAX_TEXT: usize = 1_024;

/// The number of base32 symbols that make a whole number of bytes, five (RFC 4648 § 6).
const GROUP: usize = 8;

/// A TOTP secret of 80 to 1,024 bits.
///
/// ```
/// # use keywright_twofactor::TotpSecret;
/// let secret = TotpSecret::from_base32("gezd gnbv-gy3t qojq gezd gnbv gy3t qojq")?;
/// assert_eq!(secret.expose(), b"12345678901234567890");
/// assert_eq!(format!("{secret:?}"), "TotpSecret(..)");
/// # Ok::<(), keywright_twofactor::SecretError>(())
/// ```
pub struct TotpSecret(SecretVec);

impl TotpSecret {
    /// Draws a secret of [`SECRET_BYTES`] bytes.
    ///
    /// # Errors
    /// Returns an [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES]);
        entropy.fill(&mut bytes)?;
        Ok(Self(bytes.into()))
    }

    /// Copies a secret. The caller must wipe its own copy.
    ///
    /// # Errors
    /// Returns [`SecretError::Length`] if the secret has fewer than 80 or more than 1,024 bits.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.len() > MAX_BYTES || bits(bytes.len()) < MIN_SECRET_BITS {
            return Err(SecretError::Length);
        }
        Ok(Self(SecretVec::new(bytes.to_vec())))
    }

    /// Parses base32 as people copy it: in either case, with characters that [`typed`] ignores
    /// anywhere, with or without padding at the end, and with any number of symbols. Bits that are
    /// left over at the end are dropped.
    ///
    /// # Errors
    /// Returns a [`SecretError`] if the text is not base32 or the secret's length is out of bounds.
    /// The error does not reveal the text.
    pub fn from_base32(text: &str) -> Result<Self, SecretError> {
        if text.len() > MAX_TEXT {
            return Err(SecretError::Length);
        }
        Self::from_slice(&decode(text).ok_or(SecretError::Base32)?)
    }

    /// Returns the base32 form: upper case, without padding.
    #[must_use]
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "the buffer has the length that the encoder asks for"
    )]
    pub fn to_base32(&self) -> SecretString {
        // Encoded in constant time into a buffer that is wiped.
        let mut symbols = Zeroizing::new(vec![0; Base32UpperUnpadded::encoded_len(self.expose())]);
        let text = Base32UpperUnpadded::encode(self.expose(), &mut symbols).expect("the buffer is long enough");
        SecretString::new(text.to_owned())
    }

    /// Returns the bytes of the secret.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// Returns the length in bits.
    #[must_use]
    pub fn bits(&self) -> u32 {
        bits(self.expose().len())
    }

    /// Returns a second copy. This is a method instead of `Clone` so that each copy can be audited.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(SecretVec::new(self.expose().to_vec()))
    }

    /// Whether both are the same secret. The time is the same for any two secrets. Trailing zeros
    /// make no difference: an HMAC pads its key with them (RFC 2104 § 2), so both show the same
    /// codes.
    pub(crate) fn ct_eq(&self, other: &Self) -> bool {
        let [mut one, mut two] = [Zeroizing::new([0; MAX_BYTES]), Zeroizing::new([0; MAX_BYTES])];
        one.iter_mut().zip(self.expose()).for_each(|(to, from)| *to = *from);
        two.iter_mut().zip(other.expose()).for_each(|(to, from)| *to = *from);
        one.as_slice().ct_eq(two.as_slice()).into()
    }
}

fn bits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).saturating_mul(8)
}

/// Decodes lenient base32 text, or returns `None` if it is malformed. Bits that are left over at
/// the end are dropped.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = typed::clean(text);
    let symbols = text.expose().trim_end_matches('=');
    // The decoder is strict: it accepts only upper case, and only the numbers of symbols that an
    // encoder writes. So the last group is filled up with the symbol that stands for zeros, and the
    // bytes that this adds are cut off again.
    let whole = symbols.len().checked_next_multiple_of(GROUP)?;
    let mut groups = Zeroizing::new(Vec::with_capacity(whole));
    groups.extend(symbols.bytes().map(|symbol| symbol.to_ascii_uppercase()));
    groups.resize(whole, b'A');
    let mut bytes = Zeroizing::new(vec![0; bytes_of(whole)]);
    Base32UpperUnpadded::decode(groups.as_slice(), &mut bytes).ok()?;
    bytes.truncate(bytes_of(symbols.len()));
    (!bytes.is_empty()).then_some(bytes)
}

/// Returns how many whole bytes this many symbols hold.
fn bytes_of(symbols: usize) -> usize {
    symbols.saturating_mul(5) / GROUP
}

keywright_core::redacted_debug!(TotpSecret);

/// The reason why text or bytes are not a valid [`TotpSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The text is not base32.
    #[error("a secret is not base32")]
    Base32,
    /// The secret has fewer than 80 or more than 1,024 bits.
    #[error("a secret must have 80 to 1,024 bits")]
    Length,
}

/// Serialization for `#[serde(with = "stored")]`, inside a record that is sealed as a whole.
pub(crate) mod stored {
    use super::{Deserializer, Error, MAX_BYTES, SeqAccess, Serializer, TotpSecret, Visitor, Zeroizing, fmt};

    pub(crate) fn serialize<S: Serializer>(secret: &TotpSecret, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(secret.expose())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<TotpSecret, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = TotpSecret;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("10 to 128 bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<TotpSecret, E> {
                TotpSecret::from_slice(bytes).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TotpSecret, A::Error> {
                let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
                while let Some(byte) = seq.next_element()? {
                    if bytes.len() == MAX_BYTES {
                        return Err(A::Error::custom("too many bytes"));
                    }
                    bytes.push(byte);
                }
                TotpSecret::from_slice(&bytes).map_err(A::Error::custom)
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_is_read_as_people_type_it() {
        let read = |text: &str| decode(text).map(|bytes| bytes.to_vec());
        for text in ["JBSWY3DP", "jbsw-y3dp", " JBSW\u{a0}Y3DP\n", "JBSWY3DPE", "JBSWY3DP======", "JBSWY\u{2011}3DP"] {
            assert_eq!(read(text).as_deref(), Some(&b"Hello"[..]), "{text:?}");
        }
        // Any number of symbols is accepted; the bits that are left over carry no data.
        for (symbols, bytes) in [(2, 1), (3, 1), (4, 2), (6, 3), (17, 10), (19, 11), (22, 13)] {
            assert_eq!(read(&"A".repeat(symbols)).map(|read| read.len()), Some(bytes), "{symbols}");
        }
        for text in [
            "",
            "A",
            "=",
            "JBSW=Y3DP",
            "JBSWY3DP0======",
            "JBSWY3DP\u{410}",
            "JBSWY3DP0",
            "JBSWY3DP1",
            "JBSWY3DP!",
            "\u{410}BSWY3DP",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
    /// RFC 4648 § 10.
    #[test]
    fn rfc_4648_vectors() {
        for (bytes, text) in [
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ] {
            for text in [text, text.trim_end_matches('='), &text.to_ascii_lowercase()] {
                assert_eq!(decode(text).unwrap().as_slice(), bytes.as_bytes(), "{text}");
            }
        }
        // The secret is long enough to be valid, and every symbol of the alphabet occurs.
        let bytes = hex::decode("00443214c74254b635cf84653a56d7c675be77df").unwrap();
        let text = TotpSecret::from_slice(&bytes).unwrap().to_base32();
        assert_eq!(text.expose(), "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
        assert_eq!(*decode(text.expose()).unwrap(), bytes);
    }
}
