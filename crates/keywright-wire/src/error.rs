//! The errors of the host.

use keywright_store::{BoxError, Shortage, StepError, TransactError};

use crate::busy::{BUSY_SECONDS, Busy};
use crate::refused_by::RefusedBy;

/// The host failed, or has no capacity for another request. The source is for the host's own log;
/// clients never see it.
#[derive(Debug, thiserror::Error)]
#[error("the host {}", if self.retry_after.is_some() { "is busy" } else { "failed" })]
pub struct HostError {
    source: BoxError,
    /// The wait before a retry, in whole seconds.
    retry_after: Option<u64>,
    /// With what the host is busy.
    refused_by: RefusedBy,
}

impl HostError {
    /// Wraps any error. The request is answered with 500.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self { source: source.into(), retry_after: None, refused_by: RefusedBy::HOST_BUSY }
    }

    /// Reports that the host is busy: nothing was checked, started or changed. The request is
    /// answered with 503 and may be sent again after `retry_after` seconds (at least 1). If a
    /// password was to be checked, it does not count as a guess. To reveal nothing about which
    /// accounts exist, return this error under the same conditions for a login name without an
    /// account.
    pub fn busy(retry_after: u64) -> Self {
        Self { source: Busy.into(), retry_after: Some(retry_after.max(1)), refused_by: RefusedBy::HOST_BUSY }
    }

    /// States with what the host is [busy](Self::busy), for its own log.
    #[must_use]
    pub fn with_refused_by(self, refused_by: RefusedBy) -> Self {
        Self { refused_by, ..self }
    }

    /// Returns the whole seconds to wait before a retry, at least 1, if the host is
    /// [busy](Self::busy).
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// Returns with what the host is busy, or `None` if it is not.
    #[must_use]
    pub const fn refused_by(&self) -> Option<RefusedBy> {
        if self.retry_after.is_some() { Some(self.refused_by) } else { None }
    }

    /// Converts the error of work that is due. A commit has already happened by then, so "busy",
    /// which promises that nothing happened, would be false.
    pub(crate) fn of_due_work(self) -> Self {
        Self { retry_after: None, ..self }
    }
}

impl From<Busy> for HostError {
    /// The request may be sent again after [`BUSY_SECONDS`].
    fn from(_: Busy) -> Self {
        Self::busy(BUSY_SECONDS).with_refused_by(RefusedBy::SLOW_WORK)
    }
}

/// Why a request failed at the store or at the host's due work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DueError {
    /// The store failed.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// Work that blocks the account is not done yet ([`NewTask::blocking`], [`Weight::Blocking`]).
    /// Nothing was counted or written.
    ///
    /// [`NewTask::blocking`]: keywright_store::due::NewTask::blocking
    /// [`Weight::Blocking`]: crate::frame::Weight::Blocking
    #[error("work that blocks the account is not done yet")]
    Blocked {
        /// The whole seconds, at least 1, after which to send the same request again.
        retry_after: u64,
    },
    /// The host failed.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl DueError {
    /// Returns the whole seconds, at least 1, after which to send the same request again, if
    /// nothing was decided: too many requests wait for the account, work that blocks it is not done
    /// yet, the store took too long to read, or the host is [busy](HostError::busy).
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Transact(error) if error.is_busy() => Some(1),
            Self::Transact(_) => None,
            Self::Blocked { retry_after } => Some(*retry_after),
            Self::Host(error) => error.retry_after(),
        }
    }

    /// Returns what turned the request away, if nothing was decided (as
    /// [`retry_after`](Self::retry_after)).
    #[must_use]
    pub fn refused_by(&self) -> Option<RefusedBy> {
        match self {
            Self::Transact(TransactError::Busy) | Self::Blocked { .. } => Some(RefusedBy::ACCOUNT_BUSY),
            Self::Transact(error) if error.is_busy() => Some(RefusedBy::STORE_BUSY),
            Self::Transact(_) => None,
            Self::Host(error) => error.refused_by(),
        }
    }

    /// Whether nothing was decided because the store has no room. Answer it with 507.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        matches!(self, Self::Transact(error) if error.shortage() == Some(Shortage::Room))
    }

    /// Whether too many requests are waiting for the account, or work that blocks it. Nothing was
    /// checked, and the same request can be sent again after [`retry_after`](Self::retry_after).
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Transact(TransactError::Busy) | Self::Blocked { .. })
    }
}

impl From<StepError> for DueError {
    fn from(error: StepError) -> Self {
        Self::Transact(error.into())
    }
}

/// Implements `From` for the error of a protocol's endpoints, from each error that a [`DueError`]
/// is made from: `due_failure!(Failure: DueError, TransactError)` for a type with a variant
/// `Due(DueError)`.
#[macro_export]
macro_rules! due_failure {
    ($failure:ident: $($error:ty),+) => {$(
        impl ::core::convert::From<$error> for $failure {
            fn from(error: $error) -> Self {
                Self::Due(::core::convert::Into::into(error))
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use keywright_store::LoadError;

    use super::*;

    /// What a store reports, at any depth among the sources, decides the answer.
    #[test]
    fn what_a_store_lacks_is_found_among_the_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("the store's own error")]
        struct Own(#[source] Shortage);

        type Make = fn(BoxError) -> TransactError;
        let makes: [Make; 2] = [TransactError::Rejected, |source| TransactError::Load(LoadError::Failed(source))];
        for make in makes {
            let (busy, room) = (make(Own(Shortage::Busy).into()), make(Own(Shortage::Room).into()));
            assert!(busy.is_busy() && !room.is_busy());
            let (busy, room) = (DueError::from(busy), DueError::from(room));
            assert_eq!((busy.retry_after(), busy.lacks_room()), (Some(1), false));
            assert_eq!((room.retry_after(), room.lacks_room()), (None, true));
        }
        let other = DueError::from(TransactError::Rejected("no reason".into()));
        assert_eq!((other.retry_after(), other.lacks_room()), (None, false));
        // A change that may have happened is never "try again".
        let unknown = DueError::from(TransactError::Unknown(Own(Shortage::Busy).into()));
        assert_eq!((unknown.retry_after(), unknown.lacks_room()), (None, false));
    }
}
