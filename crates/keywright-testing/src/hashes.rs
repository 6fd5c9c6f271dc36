//! A verifier of hashes that hide nothing, for tests of what happens around it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use keywright_store::BoxFuture;
use keywright_store::hashed::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};

/// What stands before the code in its hash.
const PREFIX: &str = "$plain$";

/// Compares codes with the hashes of [`hash_of`](Self::hash_of), counts them, and is busy on request.
#[derive(Debug, Default)]
pub struct PlainHashes {
    compared: AtomicUsize,
    is_busy: AtomicBool,
}

impl PlainHashes {
    /// Returns the hash of a code.
    #[must_use]
    pub fn hash_of(code: &str) -> String {
        format!("{PREFIX}{code}")
    }

    /// Returns how many hashes were compared since the last call.
    pub fn compared(&self) -> usize {
        self.compared.swap(0, Ordering::SeqCst)
    }

    /// Makes the verifier busy from now on, or free again.
    pub fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Ordering::SeqCst);
    }
}

impl CodeVerifier for PlainHashes {
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
        Box::pin(async move {
            if self.is_busy.load(Ordering::SeqCst) {
                return Err(VerifierUnavailable);
            }
            Ok(job.run(|hash, code| {
                self.compared.fetch_add(1, Ordering::SeqCst);
                hash.strip_prefix(PREFIX).is_some_and(|plain| plain.as_bytes() == code)
            }))
        })
    }
}
