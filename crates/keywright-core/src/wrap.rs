//! Wrapping: encrypting a key or a text under a key that is derived from a secret which the server
//! does not store.
//!
//! The cipher is XChaCha20-Poly1305 with a random 24-byte nonce. The bytes are `nonce(24) ‖
//! ciphertext ‖ tag(16)`. Whether the secret is right shows only when the tag is verified: no hash
//! of the secret is stored with which guesses could be compared.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyError, random_bytes};
use crate::seal::append_lp;
use crate::secret::SecretBytes;

const NONCE: usize = 24;
const TAG: usize = 16;

/// A key that wraps, with the context to which it is bound. The key is HKDF-SHA-256 of a secret;
/// the HKDF's info is also the associated data.
pub struct WrapKey {
    key: SecretBytes<32>,
    info: Vec<u8>,
}

impl WrapKey {
    /// Derives a key: HKDF(ikm = `secret`, salt, info = `label ‖ LP(parts…)`, 32 bytes).
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "it does not panic")]
    pub fn derive(secret: &[u8], salt: &[u8], label: &str, parts: &[&[u8]]) -> Self {
        let mut info = label.as_bytes().to_vec();
        append_lp(&mut info, parts);
        let mut key = SecretBytes::zeroed();
        #[expect(clippy::expect_used, reason = "HKDF-SHA-256 gives up to 8,160 bytes, and 32 are asked for")]
        Hkdf::<Sha256>::new(Some(salt), secret).expand(&info, key.expose_mut()).expect("32 bytes are expanded");
        Self { key, info }
    }

    /// Wraps a key that was derived elsewhere, and binds it to `info`.
    #[must_use]
    pub const fn from_key(key: SecretBytes<32>, info: Vec<u8>) -> Self {
        Self { key, info }
    }

    /// Wraps a text.
    ///
    /// # Errors
    /// Returns [`WrapError`] if the generator fails or the text is longer than the cipher allows
    /// (256 GiB).
    pub fn wrap(&self, entropy: &(impl Entropy + ?Sized), text: &[u8]) -> Result<Vec<u8>, WrapError> {
        let nonce: [u8; NONCE] = random_bytes(entropy)?;
        let mut out = Vec::with_capacity(text.len().saturating_add(NONCE).saturating_add(TAG));
        out.extend_from_slice(&nonce);
        out.extend_from_slice(text);
        let body = out.get_mut(NONCE..).ok_or(WrapError::TooLong)?;
        let tag = XChaCha20Poly1305::new(self.key.expose().into())
            .encrypt_inout_detached(&XNonce::from(nonce), &self.info, body.into())
            .map_err(|_| WrapError::TooLong)?;
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// Unwraps a text. Returns `None` if the key, its info or the bytes differ from those of the
    /// wrapping.
    #[must_use]
    pub fn unwrap(&self, wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, rest) = wrapped.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        let mut text = Zeroizing::new(text.to_vec());
        XChaCha20Poly1305::new(self.key.expose().into())
            .decrypt_inout_detached(&XNonce::from(*nonce), &self.info, text.as_mut_slice().into(), &Tag::from(*tag))
            .ok()?;
        Some(text)
    }

    /// Unwraps a secret of `N` bytes. Returns `None` if it does not unwrap or has another length.
    #[must_use]
    pub fn unwrap_secret<const N: usize>(&self, wrapped: &[u8]) -> Option<SecretBytes<N>> {
        SecretBytes::from_slice(&self.unwrap(wrapped)?).ok()
    }

    /// Returns the key itself, for a test with a known answer.
    #[must_use]
    pub const fn expose(&self) -> &SecretBytes<32> {
        &self.key
    }
}

crate::redacted_debug!(WrapKey);

/// Why a text was not wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrapError {
    /// The random number generator failed.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The text is longer than the cipher allows (256 GiB).
    #[error("a text is too long to wrap")]
    TooLong,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LocalRng;
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    fn key(secret: &[u8], account: &str) -> WrapKey {
        WrapKey::derive(secret, &[0xa5; 32], "keywright/v1/test", &[account.as_bytes()])
    }

    #[test]
    fn opens_only_with_the_same_secret_and_place() {
        let rng = LocalRng::new(ChaCha20Rng::seed_from_u64(1));
        let wrapped = key(b"secret", "user-1").wrap(&rng, b"text").unwrap();
        assert_eq!(key(b"secret", "user-1").unwrap(&wrapped).unwrap().as_slice(), b"text");
        assert!(key(b"Secret", "user-1").unwrap(&wrapped).is_none());
        assert!(key(b"secret", "user-2").unwrap(&wrapped).is_none());
        assert!(key(b"secret", "user-1").unwrap_secret::<5>(&wrapped).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_unwrap_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(key(b"secret", "user-1").unwrap(&bytes).is_none());
        }
    }
}
