//! Unencrypted bodies, which are wiped when they are dropped.

use core::ops::{Deref, DerefMut};

/// The unencrypted body of a record. `Debug` redacts it, and its whole capacity is wiped when it is
/// dropped.
///
/// It is like `Zeroizing<Vec<u8>>`, but is wiped by one memory fill that the compiler must keep
/// ([`zeroize::optimization_barrier`]). Wiping it byte by byte took a fifth of the time in which a
/// body is opened. It cannot grow, so no copy is left behind.
#[derive(PartialEq, Eq)]
pub struct PlainBytes(Vec<u8>);

impl PlainBytes {
    /// Creates a body of `length` zero bytes, to be written in place.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        Self(vec![0; length])
    }

    /// Returns the bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for PlainBytes {
    /// Copies the bytes. The caller wipes its own copy.
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Deref for PlainBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for PlainBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for PlainBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl zeroize::ZeroizeOnDrop for PlainBytes {}

crate::redacted_debug!(PlainBytes);

/// Overwrites the whole capacity of a vector with zeros, and empties it.
pub(crate) fn wipe(bytes: &mut Vec<u8>) {
    bytes.clear();
    // Resizing up to the capacity allocates nothing, and overwrites the spare capacity too.
    bytes.resize(bytes.capacity(), 0);
    zeroize::optimization_barrier(bytes.as_slice());
    bytes.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_capacity_is_overwritten() {
        let mut bytes = Vec::with_capacity(100);
        bytes.extend_from_slice(&[7; 90]);
        bytes.truncate(3);
        let (place, capacity) = (bytes.as_ptr(), bytes.capacity());
        wipe(&mut bytes);
        assert!(bytes.is_empty());
        assert_eq!((bytes.as_ptr(), bytes.capacity()), (place, capacity), "it stayed in its place");
        bytes.resize(capacity, 1);
        assert_eq!(bytes.as_ptr(), place);
    }

    #[test]
    fn nothing_is_shown() {
        assert_eq!(format!("{:?}", PlainBytes::from(&b"secret"[..])), "PlainBytes(..)");
    }
}
