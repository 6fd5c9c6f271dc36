//! Types for secrets. They are boxed (so a move leaves no copy behind), wiped on drop, redacted,
//! and compared in constant time.
//!
//! None of them is `Display`, `Serialize`, `PartialEq` or `Copy`. A secret is read only by calling
//! `expose`, so every place that does it can be found by searching for that name.

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::entropy::{Entropy, EntropyError};

/// `N` secret bytes.
///
/// ```
/// # use keywright_core::SecretBytes;
/// let key = SecretBytes::<32>::from_slice(&[7; 32])?;
/// assert_eq!(format!("{key:?}"), "SecretBytes(..)");
/// assert!(key.ct_eq(&[7; 32]));
/// # Ok::<(), keywright_core::WrongLength>(())
/// ```
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct SecretBytes<const N: usize>(Box<[u8; N]>);

impl<const N: usize> SecretBytes<N> {
    /// Creates `N` zero bytes, to be filled in place through [`expose_mut`](Self::expose_mut).
    #[must_use]
    pub fn zeroed() -> Self {
        Self(Box::new([0; N]))
    }

    /// Draws a secret in place.
    ///
    /// # Errors
    /// Returns [`EntropyError`] if the source fails.
    pub fn random(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        let mut new = Self::zeroed();
        entropy.fill(new.0.as_mut_slice())?;
        Ok(new)
    }

    /// Copies a secret. The caller wipes its own copy.
    ///
    /// # Errors
    /// Returns [`WrongLength`] if `bytes` does not have `N` bytes.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, WrongLength> {
        if bytes.len() != N {
            return Err(WrongLength);
        }
        let mut new = Self::zeroed();
        new.0.copy_from_slice(bytes);
        Ok(new)
    }

    /// Returns the bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// Returns the bytes, to be written in place.
    pub fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// Whether `other` has the same bytes. The time taken depends on neither.
    #[must_use]
    pub fn ct_eq(&self, other: &[u8; N]) -> bool {
        self.0.as_slice().ct_eq(other.as_slice()).into()
    }

    /// Returns a second copy. The type is not `Clone`, so that each copy is easy to find in an
    /// audit.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let mut new = Self::zeroed();
        new.0.copy_from_slice(self.0.as_slice());
        new
    }
}

crate::redacted_debug!(impl[const N: usize] SecretBytes<N>);

/// The number of bytes differs from the one that the type requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has the wrong length")]
pub struct WrongLength;

/// Secret bytes of any length.
pub struct SecretVec(Zeroizing<Vec<u8>>);

impl SecretVec {
    /// Takes ownership of `bytes`, which are wiped when this is dropped.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretVec {
    fn from(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }
}

crate::redacted_debug!(SecretVec);

/// Secret text, such as a typed password or a code.
pub struct SecretString(Zeroizing<String>);

impl SecretString {
    /// Takes ownership of `text`, which is wiped when this is dropped.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

crate::redacted_debug!(SecretString);

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn nothing_shows_a_planted_secret() {
        let planted = "PLANTED-SECRET";
        let shown = format!(
            "{:?} {:?} {:?}",
            SecretString::new(planted.into()),
            SecretVec::new(planted.as_bytes().to_vec()),
            SecretBytes::<14>::from_slice(planted.as_bytes()),
        );
        assert!(!shown.contains("PLANTED") && !shown.contains("80, 76"), "{shown}");
    }

    #[test]
    fn length_and_comparison() {
        assert_eq!(SecretBytes::<4>::from_slice(b"abc").err(), Some(WrongLength));
        let secret = SecretBytes::<3>::from_slice(b"abc").unwrap();
        assert!(secret.ct_eq(b"abc") && !secret.ct_eq(b"abd"));
        assert!(secret.duplicate().ct_eq(b"abc"));
    }
}
