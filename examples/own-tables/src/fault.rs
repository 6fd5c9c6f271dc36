//! What went wrong, and which of the port's errors it is.

use deadpool_postgres::PoolError;
use keywright::store::{BoxError, CommitError, LoadError, Shortage};
use tokio_postgres::error::SqlState;

/// A statement failed, or no connection was free. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Another transaction came first, in a transaction stricter than `READ COMMITTED`.
    #[error("another transaction came first")]
    Overtaken(#[source] tokio_postgres::Error),
    /// The store lacks something at the moment.
    #[error("{error}")]
    Short {
        /// What the database or the pool reported.
        error: BoxError,
        /// What is lacking.
        #[source]
        shortage: Shortage,
    },
    /// A row has a form that this version does not know.
    #[error("a row of {0} is malformed or was written by a newer version")]
    Form(&'static str),
    /// Anything else.
    #[error("the database failed")]
    Failed(#[source] BoxError),
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let shortage = match error.code() {
            Some(&SqlState::T_R_SERIALIZATION_FAILURE) => return Self::Overtaken(error),
            Some(
                &SqlState::LOCK_NOT_AVAILABLE
                | &SqlState::T_R_DEADLOCK_DETECTED
                | &SqlState::QUERY_CANCELED
                | &SqlState::TOO_MANY_CONNECTIONS,
            ) => Shortage::Busy,
            Some(&SqlState::DISK_FULL) => Shortage::Room,
            _ => return Self::Failed(error.into()),
        };
        // What the server said, without the "db error" before it.
        let error = error.into_source().unwrap_or_else(|| "the database reported an error".into());
        Self::Short { error, shortage }
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(_) => Self::Short { error: error.into(), shortage: Shortage::Busy },
            PoolError::Backend(error) => error.into(),
            error => Self::Failed(error.into()),
        }
    }
}

impl Fault {
    pub(crate) fn into_load_error(self) -> LoadError {
        match self {
            Self::Form(_) => LoadError::Corrupt(self.into()),
            _ => LoadError::Failed(self.into()),
        }
    }

    /// Returns the error of a commit whose `COMMIT` was never sent.
    pub(crate) fn into_refusal(self) -> CommitError {
        match self {
            Self::Overtaken(_) => CommitError::Conflict,
            _ => CommitError::Rejected(self.into()),
        }
    }

    /// Returns the error of a transaction whose last statement before `COMMIT` failed. If what was applied in it is not in
    /// it any more, or if it has ended already, the shop has ended it in whatever way, perhaps by a `COMMIT`.
    pub(crate) fn into_end(error: tokio_postgres::Error) -> CommitError {
        match error.code() {
            Some(&SqlState::NO_ACTIVE_SQL_TRANSACTION | &SqlState::S_E_INVALID_SPECIFICATION) => {
                CommitError::Unknown(error.into())
            }
            _ => Self::from(error).into_refusal(),
        }
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The server would answer before a commit is on the disk.
    #[error("the database has {setting}=off, so what it commits may be lost")]
    NotDurable {
        /// `fsync` or `synchronous_commit`.
        setting: &'static str,
    },
    /// The database has another encoding, in which not every account has a name.
    #[error("the encoding of the database is {0}, not UTF8")]
    Encoding(String),
    /// The pool was not made.
    #[error("the pool of connections was not made")]
    Pool(#[from] deadpool_postgres::BuildError),
    /// The database cannot be reached, or refused.
    #[error(transparent)]
    Fault(#[from] Fault),
}
