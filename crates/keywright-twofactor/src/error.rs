//! The errors of this crate, grouped by what the caller does next. A denial is an outcome, not an
//! error.

use keywright_store::{StepError, TransactError};

use crate::recovery::error::ImportError;

/// An error of the two-factor service: it could not decide, and granted nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TwoFactorError {
    /// The store, the clock or the generator failed, or the account or the server's
    /// [`CodeVerifier`](crate::recovery::CodeVerifier) is busy. After
    /// [`TransactError::Unknown`], a code may have been spent, or a change may have happened: let
    /// the user try the next code, and read what is enrolled.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// The proof does not authorize the change. It is for another action, weaker than what is
    /// enrolled, or from before an epoch moved; or it is for the first factor although the account
    /// already has one. Nothing changed. Request a fresh step-up for
    /// [`CHANGE_FACTORS`](crate::CHANGE_FACTORS) or [`ADMIT_CLIENT`](crate::ADMIT_CLIENT).
    #[error("the change requires a fresh proof of an enrolled factor")]
    NotProven,
    /// The account's recovery codes were imported as slow hashes, and the service has no
    /// [`CodeVerifier`](crate::recovery::CodeVerifier) that compares them. Nothing was checked.
    #[error("hashed recovery codes cannot be checked: the service has no verifier for them")]
    NoCodeVerifier,
    /// The recovery codes cannot be imported. Nothing changed.
    #[error(transparent)]
    Import(ImportError),
}

impl From<StepError> for TwoFactorError {
    fn from(error: StepError) -> Self {
        Self::Transact(TransactError::Step(error))
    }
}
