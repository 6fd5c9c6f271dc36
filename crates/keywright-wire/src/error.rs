//! The host's errors.

use keywright_store::{BoxError, TransactError};

use crate::busy::{BUSY_SECONDS, Busy};

/// The host failed, or has no place for one more request. Its source is for the host's own log; clients see none of it.
#[derive(Debug, thiserror::Error)]
#[error("the host {}", if self.retry_after.is_some() { "is busy" } else { "failed" })]
pub struct HostError {
    source: BoxError,
    /// Whole seconds.
    retry_after: Option<u64>,
}

impl HostError {
    /// From any error. A request is answered 500.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self { source: source.into(), retry_after: None }
    }

    /// Too many ask for the same at a time: nothing was looked at, begun or changed. The request is answered 503, to be tried
    /// again after `retry_after` seconds (at least one), and a password that was to be checked is not charged. Say it alike
    /// where there is no account.
    pub fn busy(retry_after: u64) -> Self {
        Self { source: Busy.into(), retry_after: Some(retry_after.max(1)) }
    }

    /// The whole seconds, at least 1, after which to try again, if the host is [busy](Self::busy).
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// The same, as a failure of work that is due: a commit stands behind it already, so "busy", which says that nothing
    /// happened, would be untrue.
    pub(crate) fn of_due_work(self) -> Self {
        Self { retry_after: None, ..self }
    }
}

impl From<Busy> for HostError {
    /// To be tried again after [`BUSY_SECONDS`].
    fn from(_: Busy) -> Self {
        Self::busy(BUSY_SECONDS)
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
    /// The whole seconds, at least 1, after which to send the same request again, where nothing was decided: too many wait for
    /// the account, the store took too long to read, or the host is [busy](HostError::busy).
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Transact(error) if error.is_busy() => Some(1),
            Self::Transact(_) => None,
            Self::Host(error) => error.retry_after(),
        }
    }

    /// Whether too many wait for the account: nothing was looked at, and the same request can be sent again soon.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Transact(TransactError::Busy))
    }
}
