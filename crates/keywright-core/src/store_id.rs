//! The id of a store, by which a store and its keyring recognise each other.

use core::fmt;
use core::str::FromStr;

use crate::entropy::{Entropy, EntropyError, random_bytes};

/// The id of a store: 16 random bytes, drawn when the store is first used. The store records it,
/// sealed, and the keyring file names it in clear. It is printed as 32 lower-case hex digits. It
/// is no secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId([u8; 16]);

impl StoreId {
    /// Returns a new id.
    ///
    /// # Errors
    /// Returns [`EntropyError`] if the source fails.
    pub fn generate(entropy: &(impl Entropy + ?Sized)) -> Result<Self, EntropyError> {
        random_bytes(entropy).map(Self)
    }

    /// Returns the id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the id's bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

/// A text is not the id of a store: 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a store is 32 hex digits")]
#[non_exhaustive]
pub struct StoreIdError;

impl FromStr for StoreId {
    type Err = StoreIdError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes)).map_err(|_| StoreIdError)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({self})")
    }
}
