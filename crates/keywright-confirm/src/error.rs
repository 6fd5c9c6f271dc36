//! What can go wrong. A denial is an outcome, not an error.

use keywright_store::TransactError;

/// The confirmation service could not decide. Nothing is granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// The store, the clock or the generator failed, or the account is busy. After [`TransactError::Unknown`] a code may
    /// be spent: let the user ask for a new one.
    #[error(transparent)]
    Transact(#[from] TransactError),
}
