//! The verifier of hashed recovery codes. A server that has imported some needs one like it, for as
//! long as its users have such codes.

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use keywright::store::BoxFuture;
use keywright::twofactor::recovery::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};

/// Compares codes with bcrypt hashes (`$2a$…`, `$2b$…`, `$2y$…`) and Argon2 hashes in the PHC form
/// (`$argon2id$…`), on the runtime's threads for slow work.
///
/// A server should also bound how many such jobs run at once.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing but its name")]
pub struct Hashes;

impl CodeVerifier for Hashes {
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
        Box::pin(
            async move { tokio::task::spawn_blocking(move || job.run(matches)).await.map_err(|_| VerifierUnavailable) },
        )
    }
}

fn matches(hash: &str, code: &[u8]) -> bool {
    if hash.starts_with("$argon2") {
        PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(code, &hash).is_ok())
    } else {
        bcrypt::verify(code, hash).unwrap_or(false)
    }
}
