//! The digests that name a session in records.

use keywright_core::{SessionId, append_lp};
use sha2::{Digest, Sha256};

/// What a session is stored as.
pub(crate) type SessionDigest = [u8; 32];

/// Returns the digest that names a session under a label of its use.
pub(crate) fn session_digest(label: &[u8], session: SessionId) -> SessionDigest {
    let mut message = label.to_vec();
    append_lp(&mut message, &[session.as_bytes()]);
    Sha256::digest(&message).into()
}
