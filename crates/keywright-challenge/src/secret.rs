//! The secret as it is transmitted: 64 bytes of text, which are used as they are and never decoded.

use keywright_core::SecretBytes;

use crate::policy::SECRET_BYTES;

/// The value that a client sends as `challenge` or `oldSecret`: any 64 bytes, correct or not.
///
/// Text that is not lower-case hex is well-formed but wrong: it is treated and charged like every
/// other guess. Upper case is another secret, so nothing is decoded or case-folded
/// (`docs/security.md` § 4).
pub struct Proof(SecretBytes<SECRET_BYTES>);

impl Proof {
    /// Copies what a client sent. The caller must wipe its own copy.
    ///
    /// # Errors
    /// Returns [`SecretError::Length`] if the text is not 64 bytes. This is not a guess and must
    /// not be charged.
    pub fn from_client(text: &str) -> Result<Self, SecretError> {
        SecretBytes::from_slice(text.as_bytes()).map(Self).map_err(|_| SecretError::Length)
    }

    /// Returns the bytes, which are the input of the key that wraps the user key.
    #[must_use]
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        self.0.expose()
    }

    /// Whether all bytes are `0-9a-f`. If not, no challenge can have been set with this value.
    #[must_use]
    pub fn is_lower_hex(&self) -> bool {
        is_lower_hex(self.expose())
    }
}

keywright_core::redacted_debug!(Proof);

/// A secret with which a challenge may be set: 64 lower-case hex digits.
/// [`Deriver`](crate::Deriver) returns this type.
pub struct ChallengeSecret(SecretBytes<SECRET_BYTES>);

impl ChallengeSecret {
    /// Copies the new secret that a client sent. The caller must wipe its own copy.
    ///
    /// # Errors
    /// Returns [`SecretError::Length`] if the text is not 64 bytes, and
    /// [`SecretError::NotLowerHex`] if a byte is not `0-9a-f`.
    pub fn from_client(text: &str) -> Result<Self, SecretError> {
        Self::try_from(Proof::from_client(text)?)
    }

    /// Encodes 32 derived bytes as hex, in place.
    #[cfg(feature = "client")]
    pub(crate) fn encode(derived: &SecretBytes<32>) -> Result<Self, SecretError> {
        let mut secret = SecretBytes::zeroed();
        hex::encode_to_slice(derived.expose(), secret.expose_mut()).map_err(|_| SecretError::Length)?;
        Ok(Self(secret))
    }

    /// Returns the bytes, which are the input of the key that wraps the user key.
    #[must_use]
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        self.0.expose()
    }

    /// Returns the text, to be sent.
    #[must_use]
    pub fn expose_str(&self) -> &str {
        // Lower-case hex is always ASCII, so the default is never used.
        std::str::from_utf8(self.expose()).unwrap_or_default()
    }

    /// Whether `other` is the same secret. The time depends on neither.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(other.expose())
    }
}

impl TryFrom<Proof> for ChallengeSecret {
    type Error = SecretError;
    fn try_from(proof: Proof) -> Result<Self, SecretError> {
        if proof.is_lower_hex() { Ok(Self(proof.0)) } else { Err(SecretError::NotLowerHex) }
    }
}

impl From<ChallengeSecret> for Proof {
    fn from(secret: ChallengeSecret) -> Self {
        Self(secret.0)
    }
}

keywright_core::redacted_debug!(ChallengeSecret);

/// Why text is not a valid [`Proof`] or [`ChallengeSecret`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The text is not 64 bytes.
    #[error("a secret is not {SECRET_BYTES} bytes long")]
    Length,
    /// The text has 64 bytes, but not all of them are `0-9a-f`. Only setting a challenge returns
    /// this.
    #[error("a secret is not lower-case hex")]
    NotLowerHex,
}

pub(crate) fn is_lower_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_shows_a_planted_secret() {
        let planted = "deadbeef".repeat(8);
        let proof = Proof::from_client(&planted).unwrap();
        let secret = ChallengeSecret::from_client(&planted).unwrap();
        let shown = format!("{proof:?} {secret:?}");
        assert_eq!(shown, "Proof(..) ChallengeSecret(..)");
    }

    #[test]
    fn length_is_counted_in_bytes() {
        assert_eq!(Proof::from_client(&"é".repeat(64)).err(), Some(SecretError::Length));
        let wide = Proof::from_client(&"é".repeat(32)).unwrap();
        assert!(!wide.is_lower_hex());
        assert_eq!(ChallengeSecret::try_from(wide).err(), Some(SecretError::NotLowerHex));
    }

    proptest! {
        #[test]
        fn any_text_is_a_proof_or_a_typed_error(text in prop_oneof![any::<String>(), "\\PC{64}", "[0-9a-fA-F]{60,68}"]) {
            match Proof::from_client(&text) {
                Ok(proof) => prop_assert_eq!(proof.expose().as_slice(), text.as_bytes()),
                Err(error) => {
                    prop_assert_eq!(error, SecretError::Length);
                    prop_assert_ne!(text.len(), SECRET_BYTES);
                }
            }
            let settable = text.len() == SECRET_BYTES && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
            prop_assert_eq!(ChallengeSecret::from_client(&text).is_ok(), settable);
        }

        #[test]
        fn what_can_be_set_round_trips(text in "[0-9a-f]{64}") {
            let secret = ChallengeSecret::from_client(&text).unwrap();
            prop_assert_eq!(secret.expose_str(), text.as_str());
            prop_assert!(secret.ct_eq(&ChallengeSecret::from_client(&text).unwrap()));
            let proof = Proof::from(secret);
            prop_assert_eq!(proof.expose().as_slice(), text.as_bytes());
        }
    }
}
