//! The opaque identity of a session, and the digests that stand for it in records.

use keywright_core::append_lp;
use keywright_store::StepError;
use sha2::{Digest, Sha256};

/// The maximum length of a session identity, in bytes.
pub const MAX_SESSION: usize = 64;

/// The form in which a session is stored.
pub(crate) type SessionDigest = [u8; 32];

/// Returns the digest of a session under a label that names its use.
pub(crate) fn session_digest(label: &[u8], session: &[u8]) -> Result<SessionDigest, StepError> {
    if session.is_empty() || session.len() > MAX_SESSION {
        return Err(StepError::Misuse("a session identity has 1 to 64 bytes"));
    }
    let mut message = label.to_vec();
    append_lp(&mut message, &[session]);
    Ok(Sha256::digest(&message).into())
}
