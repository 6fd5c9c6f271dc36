//! The identity of a session.

use core::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::seal::append_lp;

/// Label of the digest (`docs/security.md` § 9).
const LABEL: &[u8] = b"keywright/v1/session-id";

/// A session, as the server knows its caller by: what was asked for or proven in one session counts in no other.
///
/// Made of any bytes that are the same in every request of the session and of no other one: a cookie, a token, a primary
/// key. Only a digest of them is kept, so the type holds no credential. Its `Debug` form is redacted all the same, because
/// the bytes may be few enough to be guessed.
///
/// ```
/// # use keywright_core::SessionId;
/// let session = SessionId::new("s-5f0c");
/// assert_eq!(session, SessionId::new(b"s-5f0c"));
/// assert_ne!(session, SessionId::new("s-5f0d"));
/// assert_eq!(format!("{session:?}"), "SessionId(..)");
/// ```
#[derive(Clone, Copy)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// Hashes what identifies the session, of any length.
    #[must_use]
    pub fn new(identity: impl AsRef<[u8]>) -> Self {
        let mut message = LABEL.to_vec();
        append_lp(&mut message, &[identity.as_ref()]);
        Self(Sha256::digest(&message).into())
    }

    /// The digest, for digests that are made of it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_slice().ct_eq(other.0.as_slice()).into()
    }
}

impl Eq for SessionId {}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/security.md` § 9, computed apart: SHA-256 of the label and the identity behind its length.
    #[test]
    fn the_digest_is_fixed_to_the_byte() {
        let by_hand: [u8; 32] = Sha256::digest(b"keywright/v1/session-id\0\0\0\x03sid").into();
        assert_eq!(SessionId::new("sid").as_bytes(), &by_hand);
    }

    #[test]
    fn identities_of_any_length_differ() {
        let of = |len: usize| SessionId::new(vec![7; len]);
        for len in [0, 1, 64, 65, 4_096] {
            assert_eq!(of(len), of(len));
            assert_ne!(of(len), of(len + 1));
        }
    }
}
