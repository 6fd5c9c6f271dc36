//! The answers of endpoints.

use http::StatusCode;
use http::header::{HeaderValue, REFERRER_POLICY};
use keywright_rekey::{Difference, VaultError};
use keywright_store::{LoadError, Shortage, StepError, TransactError};
use keywright_wire::{DueError, Reply};
use serde::Serialize;

use crate::protocol::error::ApiError;

/// The result of an endpoint.
pub(crate) type Answered = Result<Reply, Failure>;

/// Why a request has no success. Every variant denies it; none reports that a change was refused
/// when it may have happened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The endpoint's own answer.
    #[error("the request is refused")]
    Refused(ApiError),
    /// A batch that does not fit the vault: the answer, and the faults that its message names.
    #[error("the batch is refused")]
    Batch(ApiError, Box<Difference>),
    #[error(transparent)]
    Due(DueError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Failure {
    /// Whether the store has no room: nothing was decided.
    pub(crate) fn lacks_room(&self) -> bool {
        match self {
            Self::Due(error) => error.lacks_room(),
            Self::Vault(VaultError::Transact(error)) => error.shortage() == Some(Shortage::Room),
            Self::Refused(_) | Self::Batch(..) | Self::Vault(_) => false,
        }
    }

    /// Returns the seconds after which to send the same request again if the account was busy, or
    /// the store took too long to read: nothing was decided.
    pub(crate) fn busy(&self) -> Option<u64> {
        match self {
            Self::Due(DueError::Transact(error)) | Self::Vault(VaultError::Transact(error)) => {
                error.is_busy().then_some(1)
            }
            Self::Due(DueError::Blocked { retry_after }) => Some(*retry_after),
            Self::Vault(VaultError::Load(LoadError::TimedOut) | VaultError::Restless) => Some(1),
            Self::Refused(_) | Self::Batch(..) | Self::Due(_) | Self::Vault(_) => None,
        }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

keywright_wire::due_failure!(Failure: DueError, TransactError, StepError);

/// Returns 200 with `{}`.
pub(crate) fn empty() -> Reply {
    Reply::json(StatusCode::OK, "{}")
}

/// Returns 201 with `{}`.
pub(crate) fn created() -> Reply {
    Reply::json(StatusCode::CREATED, "{}")
}

/// Returns 200 with a value, which may hold a secret that is shown once.
pub(crate) fn ok(value: &impl Serialize) -> Answered {
    encode(StatusCode::OK, value)
}

/// Returns a value with another status.
pub(crate) fn encode(status: StatusCode, value: &impl Serialize) -> Answered {
    match serde_json::to_vec(value) {
        Ok(text) => Ok(Reply::json(status, text)),
        // The plain values that are answered here can always be serialized.
        Err(_) => Err(ApiError::FAILED.into()),
    }
}

/// Returns the answer with a policy that sends no referrer: the address of a mailed link holds its
/// code, which no other site may learn.
pub(crate) fn without_referrer(reply: Reply) -> Reply {
    reply.with(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}
