//! The answers of endpoints, and the headers that every answer carries.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use keywright_challenge::Salts;
use keywright_store::TransactError;
use keywright_wire::{DueError, HostError, RefusedBy, Reply};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::ApiError;
use crate::request::{SESSION_COOKIE, SESSION_HEADER};

/// The result of an endpoint.
pub(crate) type Answered = Result<Reply, Failure>;

/// Why a request has no success. Every variant denies it.
pub(crate) enum Failure {
    /// The endpoint's own answer.
    Refused {
        error: ApiError,
        /// The session id that the answer carries, if a step produced one. Without it the service
        /// runs an empty step.
        session: Option<Zeroizing<String>>,
    },
    /// The store or the host failed.
    Due(DueError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Refused { error, session: None }
    }
}

keywright_wire::due_failure!(Failure: DueError, TransactError, HostError);

/// Returns 200 with a JSON value.
pub(crate) fn ok(body: &Value) -> Reply {
    Reply::json(StatusCode::OK, body.to_string())
}

/// Returns 202 with a JSON value.
pub(crate) fn accepted(body: &Value) -> Reply {
    Reply::json(StatusCode::ACCEPTED, body.to_string())
}

pub(crate) fn success() -> Reply {
    ok(&json!({"success": true}))
}

/// Returns an account's challenge in the form that answers use.
pub(crate) fn challenge(salts: &Salts) -> Value {
    json!({"salts": salts.as_strs(), "type": "PWDv1r1"})
}

/// Adds a session id to an answer, in the header and in the cookie.
pub(crate) fn with_session(mut reply: Reply, id: &str) -> Reply {
    if id.is_empty() {
        return reply;
    }
    let cookie = Zeroizing::new(format!("{SESSION_COOKIE}={id}; Path=/; Secure; HttpOnly; SameSite=Strict"));
    for (name, text) in [(HeaderName::from_static(SESSION_HEADER), id), (SET_COOKIE, cookie.as_str())] {
        // An id contains only base64url characters.
        if let Ok(mut value) = HeaderValue::from_str(text) {
            value.set_sensitive(true);
            reply = reply.with(name, value);
        }
    }
    reply
}

/// Returns the answer to a request over a limit, in the form of the framework around the app: 429
/// and an empty list (protocol § 1.1).
pub(crate) fn limited(retry_after: u64, refused_by: RefusedBy) -> Reply {
    Reply::json(StatusCode::TOO_MANY_REQUESTS, "[]").with_retry_after(retry_after).with_refused_by(refused_by)
}

/// Returns the answer to a refused login, in the framework's form.
pub(crate) fn unauthorized() -> Reply {
    let body = r#"{"message":"Current user is not logged in"}"#;
    let realm = HeaderValue::from_static(r#"Basic realm="Passwords", charset="UTF-8""#);
    Reply::json(StatusCode::UNAUTHORIZED, body).with(WWW_AUTHENTICATE, realm)
}
