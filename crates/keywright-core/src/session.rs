//! The identity of a session.

use core::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::seal::append_lp;

/// The label of the digest (`docs/security.md` § 9).
const LABEL: &[u8] = b"keywright/v1/session-id";

/// Identifies the session of a request. What was requested or proven in one session does not count
/// in another.
///
/// Create it from any bytes that are the same in every request of the session and different in
/// every other session: a cookie, a token, or a primary key. Only a digest of them is kept, so the
/// type holds no credential. Its `Debug` form is redacted nevertheless, because the bytes may be
/// short enough to be guessed.
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
    /// Creates the id from bytes of any length that identify the session.
    #[must_use]
    pub fn new(identity: impl AsRef<[u8]>) -> Self {
        let mut message = LABEL.to_vec();
        append_lp(&mut message, &[identity.as_ref()]);
        Self(Sha256::digest(&message).into())
    }

    /// Returns the digest, as input for further digests.
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

    /// `docs/security.md` § 9, computed apart: SHA-256 of the label and the identity behind its
    /// length.
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
