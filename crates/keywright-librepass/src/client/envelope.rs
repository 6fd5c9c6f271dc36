//! The cipher envelope: hex of a 12-byte nonce, the ciphertext, and a 16-byte tag (protocol § 3).

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use keywright_core::{Entropy, EntropyError, SecretVec};
use zeroize::Zeroizing;

use crate::protocol::keys::{KeyTextError, SharedKey};

const NONCE: usize = 12;
const TAG: usize = 16;

/// How many bytes an envelope has beyond its plaintext: 28, so the shortest has 56 digits (protocol
/// § 3).
pub const ENVELOPE_OVERHEAD: usize = NONCE + TAG;

/// The key of a user's vault, ready for use.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use keywright_core::SystemEntropy;
/// use keywright_librepass::{PrivateKey, UserKeys};
///
/// let keys = UserKeys::from_private_key(PrivateKey::random(&SystemEntropy)?)?;
/// let envelope = keys.vault_key().encrypt(b"{\"name\":\"site\"}", &SystemEntropy)?;
/// assert_eq!(keys.vault_key().decrypt(&envelope)?.expose(), b"{\"name\":\"site\"}");
/// # Ok(())
/// # }
/// ```
pub struct VaultKey {
    /// Wiped on drop together with its key schedule; boxed, so that a move leaves no copy behind.
    cipher: Box<Aes256Gcm>,
    product: SharedKey,
}

impl VaultKey {
    /// Creates the key from the product of a private key with its own public key, used without
    /// hashing (protocol § 2).
    pub(super) fn from_product(product: &SharedKey) -> Self {
        Self { cipher: Box::new(Aes256Gcm::new(product.expose().into())), product: product.duplicate() }
    }

    /// Whether a product is this key, in constant time.
    pub(super) fn is_product(&self, product: &SharedKey) -> bool {
        self.product.ct_eq(product)
    }

    /// Parses a key that comes from elsewhere: 64 hex digits.
    ///
    /// # Errors
    /// [`KeyTextError`] for any other text.
    pub fn from_hex(text: &str) -> Result<Self, KeyTextError> {
        Ok(Self::from_product(&SharedKey::from_hex(text)?))
    }

    /// Returns an envelope around a plaintext, under a random nonce: lower-case hex.
    ///
    /// # Errors
    /// [`EnvelopeError::Entropy`] if no nonce could be drawn; [`EnvelopeError::TooLong`] for a
    /// plaintext beyond 64 GiB.
    pub fn encrypt(&self, plaintext: &[u8], entropy: &(impl Entropy + ?Sized)) -> Result<String, EnvelopeError> {
        let nonce = keywright_core::random_bytes::<NONCE>(entropy)?;
        // Sized once, and wiped: until the cipher has run it holds the plaintext.
        let mut bytes = Zeroizing::new(Vec::with_capacity(plaintext.len().saturating_add(ENVELOPE_OVERHEAD)));
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plaintext);
        let text = bytes.get_mut(NONCE..).ok_or(EnvelopeError::TooLong)?;
        let tag = self
            .cipher
            .encrypt_inout_detached(&Nonce::from(nonce), &[], InOutBuf::from(text))
            .map_err(|_| EnvelopeError::TooLong)?;
        bytes.extend_from_slice(&tag);
        Ok(hex::encode(&*bytes))
    }

    /// Returns the plaintext of an envelope, which is hex in either case.
    ///
    /// # Errors
    /// [`EnvelopeError::Malformed`] if the text is not an envelope; [`EnvelopeError::Denied`] if it
    /// was altered or belongs to another key.
    pub fn decrypt(&self, envelope: &str) -> Result<SecretVec, EnvelopeError> {
        let mut bytes = Zeroizing::new(hex::decode(envelope).map_err(|_| EnvelopeError::Malformed)?);
        let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE>().ok_or(EnvelopeError::Malformed)?;
        let (text, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(EnvelopeError::Malformed)?;
        let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
        self.cipher
            .decrypt_inout_detached(&nonce, &[], InOutBuf::from(text), &tag)
            .map_err(|_| EnvelopeError::Denied)?;
        let end = bytes.len().saturating_sub(TAG);
        bytes.truncate(end);
        bytes.drain(..NONCE.min(end));
        Ok(SecretVec::from(bytes))
    }
}

keywright_core::redacted_debug!(VaultKey);

/// Why a cipher was not encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// The envelope is not hex, or is shorter than [`ENVELOPE_OVERHEAD`] bytes.
    #[error("a cipher's data is no envelope")]
    Malformed,
    /// The envelope was altered, or encrypted under another key.
    #[error("a cipher's data does not open under this key")]
    Denied,
    /// The plaintext is longer than AES-GCM accepts.
    #[error("a cipher's text is too long")]
    TooLong,
    /// No nonce could be drawn.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
