//! The answers of endpoints.

use http::StatusCode;
use http::header::{HeaderValue, LOCATION, REFERRER_POLICY};
use keywright_rekey::VaultError;
use keywright_store::{Shortage, StepError, TransactError};
use keywright_wire::{DueError, Reply};
use serde::Serialize;

use crate::policy::{LibrePassPolicy, VERIFICATION_PATH};
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
    #[error(transparent)]
    Due(DueError),
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Failure {
    /// Whether the store took too long to read: nothing was decided.
    pub(crate) fn is_unavailable(&self) -> bool {
        match self {
            Self::Due(DueError::Transact(error)) | Self::Vault(VaultError::Transact(error)) => error.is_busy(),
            Self::Refused(_) | Self::Due(_) | Self::Vault(_) => false,
        }
    }

    /// Whether the store has no room: nothing was decided.
    pub(crate) fn lacks_room(&self) -> bool {
        match self {
            Self::Due(error) => error.lacks_room(),
            Self::Vault(VaultError::Transact(error)) => error.shortage() == Some(Shortage::Room),
            Self::Refused(_) | Self::Vault(_) => false,
        }
    }

    /// Whether the account was busy: nothing was checked.
    pub(crate) const fn is_busy(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Due(error) => error.is_busy(),
            Self::Vault(error) => matches!(error, VaultError::Transact(TransactError::Busy)),
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

/// Returns a redirect to the page that confirms that an address is verified.
pub(crate) fn verified(policy: &LibrePassPolicy) -> Reply {
    let reply = Reply::json(StatusCode::FOUND, "{}");
    match HeaderValue::try_from(format!("{}{VERIFICATION_PATH}", policy.web_url())) {
        Ok(location) => reply.with(LOCATION, location),
        // The policy accepted no address with a character that a header cannot have.
        Err(_) => reply,
    }
}

/// Returns the answer with a policy that sends no referrer: the address of a mailed link holds its
/// code, which no other site may learn.
pub(crate) fn without_referrer(reply: Reply) -> Reply {
    reply.with(REFERRER_POLICY, HeaderValue::from_static("no-referrer"))
}
