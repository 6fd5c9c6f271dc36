//! The errors of this crate. A denial is an outcome, not an error.

use keywright_store::TransactError;

/// An error of the confirmation service: it could not decide, and granted nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfirmError {
    /// The store, the clock or the generator failed, or the account is busy. After
    /// [`TransactError::Unknown`] a code may have been spent: let the user request a new one.
    #[error(transparent)]
    Transact(#[from] TransactError),
}
