//! The digests that name a session in records.

use keywright_core::{SessionId, append_lp};
use sha2::{Digest, Sha256};

/// The form in which a session is stored.
pub(crate) type SessionDigest = [u8; 32];

/// Returns the digest of a session under a label that names its use.
pub(crate) fn session_digest(label: &[u8], session: SessionId) -> SessionDigest {
    let mut message = label.to_vec();
    append_lp(&mut message, &[session.as_bytes()]);
    Sha256::digest(&message).into()
}
