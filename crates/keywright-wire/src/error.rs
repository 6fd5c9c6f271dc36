//! The host's errors.

use keywright_store::{BoxError, TransactError};

/// The host failed. Its source is for the host's own log; clients see none of it.
#[derive(Debug, thiserror::Error)]
#[error("the host failed")]
pub struct HostError(#[source] BoxError);

impl HostError {
    /// From any error.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
    }
}

/// Why work for the host is still due.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DueError {
    /// The store failed.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl DueError {
    /// Whether the account was busy: nothing was looked at, and the same request can be sent again soon.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Transact(TransactError::Busy))
    }
}
