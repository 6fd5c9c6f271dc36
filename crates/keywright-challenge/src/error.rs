//! The errors of this crate. A denial is an outcome, not an error.

use keywright_store::TransactError;

/// An error of the challenge service: it could not decide, and granted nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The store, the clock or the generator failed, or the account is busy.
    /// [`TransactError::Unknown`] means that a change **may** have happened: advise the user to try
    /// both passwords.
    #[error(transparent)]
    Transact(#[from] TransactError),
}
