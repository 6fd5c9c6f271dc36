//! Formats of a cipher's text, and what can be determined from it without decoding it.

use std::fmt::Debug;

use keywright_store::ClientNonce;

mod base64;
pub(crate) mod hex;

/// The length of the envelope's nonce, in bytes. Source: AES-256-GCM as LibrePass uses it (NIST SP
/// 800-38D § 5.2.1.1).
pub const NONCE_BYTES: usize = 12;

/// The length of the envelope's tag, in bytes. The source is that of [`NONCE_BYTES`].
pub const TAG_BYTES: usize = 16;

/// The length of the smallest envelope, in bytes: a nonce and a tag around an empty ciphertext.
pub const MIN_ENVELOPE_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// A format for the text of ciphers. This crate has [`Hex`] and [`Base64`]; a host may implement
/// its own.
///
/// A format reads every text of a submission once, so it should be quick. It must not panic on any
/// text.
pub trait Format: Debug + Send + Sync {
    /// Checks one text, given as its UTF-8 bytes, without decoding all of it. Returns the
    /// envelope's nonce, padded with zeros to 16 bytes, or a digest if a format has no nonce. Equal
    /// values of two ciphers count as a nonce used twice.
    ///
    /// # Errors
    /// Returns a [`Malformed`] if the text does not have the format; the error never contains the
    /// text.
    fn check(&self, text: &[u8]) -> Result<ClientNonce, Malformed>;

    /// Returns the nonce of a text that has passed [`check`](Self::check), which must be the same.
    /// It should not read more than it needs.
    fn nonce(&self, checked: &[u8]) -> ClientNonce;

    /// Whether `check` refuses every byte except printable ASCII other than `"` and `\`. If so, a
    /// text that passes it need not be checked again for what JSON and UTF-8 allow. Return `true`
    /// only if this is so.
    fn is_plain(&self) -> bool {
        false
    }
}

/// Why a text is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// A character is not in the alphabet.
    #[error("a character is not in the alphabet")]
    Alphabet,
    /// The length or the padding is not possible, for example an odd number of hex digits.
    #[error("the length or the padding is impossible")]
    Length,
    /// The text is too short for a nonce and a tag.
    #[error("the text is too short for an envelope")]
    TooShort,
    /// The text is longer than the limits allow.
    #[error("the text is longer than the limit")]
    TooLong,
    /// The reason is specific to a custom format.
    #[error("the text is malformed")]
    Other,
}

/// An envelope (12-byte nonce, ciphertext, 16-byte tag) in hex digits of either case.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hex;

/// An envelope (12-byte nonce, ciphertext, 16-byte tag) in base64: the standard alphabet with
/// padding, canonical (RFC 4648 §§ 3.5, 4).
#[derive(Debug, Clone, Copy, Default)]
pub struct Base64;

/// Pads a nonce to 16 bytes.
fn padded(nonce: [u8; NONCE_BYTES]) -> ClientNonce {
    let mut padded = [0; 16];
    padded.iter_mut().zip(nonce).for_each(|(to, from)| *to = from);
    ClientNonce(padded)
}

/// Whether `good` is true of every byte. The bytes are tested in blocks without a branch inside,
/// which compilers vectorize, and with one test per block, so that a long invalid text ends early.
/// The last block may overlap the one before. The `hex` and `base64` crates are not used: they
/// decode what only has to be checked, and take 25 and 6 times as long for 400 characters.
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
