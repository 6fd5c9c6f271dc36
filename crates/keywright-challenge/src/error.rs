//! What can go wrong. A denial is an outcome, not an error.

use keywright_store::TransactError;

/// The challenge service could not decide. Nothing is granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The store, the clock or the generator failed, or the account is busy. [`TransactError::Unknown`] means that a
    /// change **may** have happened: tell the user to try both passwords.
    #[error(transparent)]
    Transact(#[from] TransactError),
}
