//! The host's verifier of codes of which only slow hashes are kept, and what it is asked.

use keywright_core::ledger::PendingGuess;
use keywright_core::{Attempt, SecretString, SecretVec};

use crate::locks::Standing;
use crate::partition::Partition;
use crate::port::BoxFuture;

/// Compares typed codes with hashes that another system made: with bcrypt, Argon2, or whatever it
/// used. The server supplies it, because it decides on which threads slow work runs and how much of
/// it at once.
///
/// The driver calls it between two commits and outside of any step, so it holds up no other request
/// of the account.
///
/// ```
/// use std::sync::Arc;
/// use keywright_store::BoxFuture;
/// use keywright_store::hashed::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};
/// use tokio::sync::Semaphore;
/// # mod bcrypt { pub fn verify(_: &[u8], _: &str) -> Result<bool, ()> { Ok(false) } }
///
/// /// How many codes are compared at the same time.
/// #[derive(Debug)]
/// struct Bcrypt(Arc<Semaphore>);
///
/// impl CodeVerifier for Bcrypt {
///     fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>> {
///         Box::pin(async move {
///             let permit = Arc::clone(&self.0).try_acquire_owned().map_err(|_| VerifierUnavailable)?; // 503
///             let compare = move || {
///                 let _held = permit;
///                 job.run(|hash, code| bcrypt::verify(code, hash).unwrap_or(false))
///             };
///             // A job that panicked was begun: its code counts as wrong.
///             Ok(tokio::task::spawn_blocking(compare).await.unwrap_or_else(|_| HashMatch::none()))
///         })
///     }
/// }
/// # let _ = Bcrypt(Arc::new(Semaphore::new(2)));
/// ```
pub trait CodeVerifier: std::fmt::Debug + Send + Sync {
    /// Runs a job. The guess ledger has admitted the guess, and charges it if no verdict follows.
    ///
    /// # Errors
    /// Returns [`VerifierUnavailable`] if the job was **not** run, because the server is busy. The
    /// guess is not charged then, and the request is answered as busy. A job that was begun and has
    /// failed is [`HashMatch::none`] instead: who could guess without a charge would guess on.
    fn verify(&self, job: HashJob) -> BoxFuture<'_, Result<HashMatch, VerifierUnavailable>>;
}

/// The verifier has not compared a code, because it is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the code was not compared: the verifier is busy")]
pub struct VerifierUnavailable;

/// A typed code, and the hashes with which it is to be compared: those of unused codes.
pub struct HashJob {
    pub(crate) partition: Partition,
    pub(crate) standing: Standing,
    pub(crate) code: SecretVec,
    pub(crate) hashes: Vec<SecretString>,
}

impl HashJob {
    /// Compares the code with one hash after the other, all of them: if it ended at the right one, the
    /// time would tell which codes are right. `matches` takes a hash and the code, and returns whether
    /// they belong together; of a hash that it does not understand it returns false.
    #[must_use]
    pub fn run(&self, matches: impl Fn(&str, &[u8]) -> bool) -> HashMatch {
        let matching = self.hashes.iter().filter(|hash| matches(hash.expose(), self.code.expose()));
        HashMatch(matching.fold(None, |first, hash| first.or_else(|| Some(copy(hash)))))
    }

    /// Returns the partition of the account whose codes these are, for a queue that is fair between
    /// accounts.
    #[must_use]
    pub const fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Returns whether the guess is one of a client that the guess ledger knows, for a queue in which
    /// known clients come first.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Returns the number of hashes.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.hashes.len()
    }
}

keywright_core::redacted_debug!(HashJob { partition, standing, hashes, .. });

/// What a [`HashJob`] has found.
pub struct HashMatch(pub(crate) Option<SecretString>);

impl HashMatch {
    /// Returns the verdict for a job that was begun and has failed, for example by a panic of the
    /// library that compares: the code counts as wrong, because it may have been compared with some of
    /// the hashes.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether the code belongs to one of the hashes.
    pub(crate) const fn is_match(&self) -> bool {
        self.0.is_some()
    }
}

keywright_core::redacted_debug!(HashMatch);

/// What a step asks the host's verifier.
pub(crate) struct Question {
    pub(crate) attempt: Attempt,
    pub(crate) code: SecretVec,
    pub(crate) hashes: Vec<SecretString>,
}

/// The verifier's answer. The ledger counts its guess as pending until a commit takes the answer.
pub(crate) struct Answer {
    pub(crate) pending: PendingGuess,
    pub(crate) code: SecretVec,
    pub(crate) found: HashMatch,
}

/// Returns a second copy. It is a function instead of `Clone`, so that each copy can be audited.
pub(crate) fn copy(secret: &SecretString) -> SecretString {
    SecretString::new(secret.expose().to_owned())
}
