//! The answers of endpoints, and the headers of counted calls.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};
use keywright_store::{StepError, TransactError};
use keywright_twofactor::recovery::RecoveryCodes;
use keywright_wire::{DueError, HostError, Reply};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::host::Quota;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The result of an endpoint.
pub(crate) type Answered = Result<Reply, Failure>;

/// Why a request has no success. Every variant denies it.
pub(crate) enum Failure {
    /// The endpoint's own answer.
    Refused(ApiError),
    /// The store or the host failed.
    Due(DueError),
    /// The account's epochs moved after the login was looked up. The login may have ended and must
    /// be looked up again.
    Moved,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

keywright_wire::due_failure!(Failure: DueError, TransactError, StepError, HostError);

/// Returns 200 with a JSON value, which may hold a secret that is shown once.
pub(crate) fn ok(body: &Value) -> Reply {
    Reply::json(StatusCode::OK, body.to_string())
}

pub(crate) fn success() -> Reply {
    Reply::json(StatusCode::OK, r#"{"success":true}"#)
}

/// Returns an answer with recovery codes, which are shown once.
pub(crate) fn codes(codes: &RecoveryCodes) -> Reply {
    let codes: Vec<&str> = codes.iter().collect();
    ok(&json!({"success": true, "codes": codes}))
}

/// Returns an error of the protocol. A wait has its own end, which every caller learns; a wait of
/// the guess ledger leaves the number of remaining calls unchanged.
pub(crate) fn refuse(error: &ApiError, quota: Option<Quota>) -> Reply {
    let mut reply = counted(Reply::json(error.status, error.body()), quota);
    if let Some(refused_by) = error.refused_by {
        reply = reply.with_refused_by(refused_by);
    }
    match error.wait {
        Some(wait) => reply.with(RESET, HeaderValue::from(wait.reset)).with_retry_after(wait.seconds),
        None => reply,
    }
}

/// Adds the three headers of a counted call to an answer.
pub(crate) fn counted(reply: Reply, quota: Option<Quota>) -> Reply {
    let Some(quota) = quota else { return reply };
    reply
        .with(LIMIT, HeaderValue::from(quota.limit))
        .with(REMAINING, HeaderValue::from(quota.remaining))
        .with(RESET, HeaderValue::from(quota.reset))
}
