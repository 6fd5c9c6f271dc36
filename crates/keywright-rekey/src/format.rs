//! How a cipher's text is written down, and what can be told of it without decoding it.

use std::fmt::Debug;

use keywright_store::ClientNonce;

mod base64;
pub(crate) mod hex;

/// Bytes of the envelope's nonce. Source: AES-256-GCM as LibrePass uses it (NIST SP 800-38D § 5.2.1.1).
pub const NONCE_BYTES: usize = 12;

/// Bytes of the envelope's tag. Source: as [`NONCE_BYTES`].
pub const TAG_BYTES: usize = 16;

/// Bytes of the smallest envelope: nonce and tag around nothing.
pub const MIN_ENVELOPE_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// A way to write ciphers down. [`Hex`] and [`Base64`] are here; a host may bring its own.
///
/// A format sees every text of a submission once, so it should be quick. It must not panic, whatever the text.
pub trait Format: Debug + Send + Sync {
    /// Checks one text, given as its UTF-8 bytes, without decoding it whole, and returns the envelope's
    /// nonce, padded with zeros to 16 bytes, or a digest where a format has none. Equal ones of two ciphers count as a
    /// nonce used twice.
    ///
    /// # Errors
    /// [`Malformed`], which never names the text.
    fn check(&self, text: &[u8]) -> Result<ClientNonce, Malformed>;

    /// The same nonce of a text that [`check`](Self::check) has passed. It should not read more than it needs.
    fn nonce(&self, checked: &[u8]) -> ClientNonce;

    /// Whether `check` refuses every byte but printable ASCII other than `"` and `\`. Then a text that it passes needs no
    /// second look at what JSON and UTF-8 allow. Say `true` only if that is so.
    fn is_plain(&self) -> bool {
        false
    }
}

/// What is wrong with one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A character is not of the alphabet.
    #[error("a character is not of the alphabet")]
    Alphabet,
    /// The length or the padding cannot be: an odd number of hex digits, say.
    #[error("the length or the padding is impossible")]
    Length,
    /// There is no room for nonce and tag.
    #[error("too short for an envelope")]
    TooShort,
    /// Longer than the limits allow.
    #[error("longer than the limit")]
    TooLong,
    /// A custom format's own reason.
    #[error("not well-formed")]
    Other,
}

/// An envelope (12-byte nonce, ciphertext, 16-byte tag) in hex digits of either case.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hex;

/// An envelope (12-byte nonce, ciphertext, 16-byte tag) in base64: the standard alphabet with padding, canonical (RFC
/// 4648 §§ 3.5, 4).
#[derive(Debug, Clone, Copy, Default)]
pub struct Base64;

/// Pads a nonce to 16 bytes.
fn padded(nonce: [u8; NONCE_BYTES]) -> ClientNonce {
    let mut padded = [0; 16];
    padded.iter_mut().zip(nonce).for_each(|(to, from)| *to = from);
    ClientNonce(padded)
}

/// Whether `good` holds of every byte. In blocks without a branch inside, which compilers turn into vector code, and one
/// test a block, so that a long wrong text ends early. The last block may overlap the one before. Not by `hex` and `base64`:
/// they decode what only has to be looked at, and take 25 and 6 times as long for 400 characters.
#[inline]
fn all(bytes: &[u8], good: impl Fn(u8) -> bool + Copy) -> bool {
    match (bytes.as_chunks::<64>(), bytes.last_chunk::<64>()) {
        ((blocks, _), Some(last)) => blocks.iter().chain([last]).all(|block| whole(block, good)),
        _ => match (bytes.as_chunks::<8>(), bytes.last_chunk::<8>()) {
            ((blocks, _), Some(last)) => blocks.iter().chain([last]).all(|block| whole(block, good)),
            _ => bytes.iter().all(|&byte| good(byte)),
        },
    }
}

#[inline]
fn whole<const N: usize>(block: &[u8; N], good: impl Fn(u8) -> bool) -> bool {
    block.iter().fold(0_u8, |bad, &byte| bad | u8::from(!good(byte))) == 0
}
