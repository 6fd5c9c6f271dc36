//! The verifier of hashed recovery codes. A server that has imported some needs one like it, for as
//! long as its users have such codes.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use keywright::store::BoxFuture;
use keywright::twofactor::recovery::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};
use tokio::sync::Semaphore;

/// Compares codes with bcrypt hashes (`$2a$…`, `$2b$…`, `$2y$…`) and Argon2 hashes in the PHC form
/// (`$argon2id$…`), on the runtime's threads for slow work, a few at a time.
#[derive(Debug, Clone)]
pub struct Hashes(Arc<Semaphore>);

impl Hashes {
    /// Returns a verifier that compares so many codes at the same time. For one more it is busy.
    #[must_use]
    pub fn at_once(codes: usize) -> Self {
        Self(Arc::new(Semaphore::new(codes)))
    }
}

impl CodeVerifier for Hashes {
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
        Box::pin(async move {
            let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| VerifierUnavailable)?;
            let compare = move || {
                let _held = permit;
                job.run(matches)
            };
            // A job that panicked was begun: its code counts as wrong.
            Ok(tokio::task::spawn_blocking(compare).await.unwrap_or_else(|_| HashMatch::none()))
        })
    }
}

fn matches(hash: &str, code: &[u8]) -> bool {
    if hash.starts_with("$argon2") {
        PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(code, &hash).is_ok())
    } else {
        bcrypt::verify(code, hash).unwrap_or(false)
    }
}
