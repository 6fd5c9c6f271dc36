//! What can go wrong, grouped by what the caller does next. A denial is an outcome, not an error.

use keywright_store::{StepError, TransactError};

use crate::recovery::error::ImportError;

/// The two-factor service could not decide. Nothing is granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TwoFactorError {
    /// The store, the clock or the generator failed, or the account is busy. After [`TransactError::Unknown`] a code may
    /// be spent, or a change may have happened: let the user try the next code, and look at what is enrolled.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// The proof does not authorize the act: it is for another action, weaker than what is enrolled, or from before an
    /// epoch moved; or it was for the first factor, and there is one. Nothing changed; ask for a fresh step-up for
    /// [`CHANGE_FACTORS`](crate::CHANGE_FACTORS) or [`ADMIT_CLIENT`](crate::ADMIT_CLIENT).
    #[error("the act needs a fresh proof of what is enrolled")]
    NotProven,
    /// Recovery codes from elsewhere cannot be taken over. Nothing changed.
    #[error(transparent)]
    Import(ImportError),
}

impl From<StepError> for TwoFactorError {
    fn from(error: StepError) -> Self {
        Self::Transact(TransactError::Step(error))
    }
}
