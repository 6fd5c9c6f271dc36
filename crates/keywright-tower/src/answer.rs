//! The refusals, as answers that a client can read.

use bytes::Bytes;
use http::{HeaderName, Response, StatusCode};
use keywright_core::{ActionName, Refusal};
use keywright_twofactor::Method;
use keywright_wire::Reply;
use serde_json::{Value, json};

fn reply(status: StatusCode, body: &Value) -> Reply {
    Reply::json(status, body.to_string())
}

pub(crate) fn not_signed_in(action: &ActionName) -> Reply {
    reply(StatusCode::UNAUTHORIZED, &json!({"error": "not_signed_in", "action": action.as_str()}))
}

/// A code is required, or the one that was sent is denied.
pub(crate) fn required(error: &str, action: &ActionName, methods: &[Method], header: &HeaderName) -> Reply {
    let methods: Vec<&str> = methods.iter().map(|method| method.name()).collect();
    let body = json!({"error": error, "action": action.as_str(), "methods": methods, "header": header.as_str()});
    reply(StatusCode::FORBIDDEN, &body)
}

pub(crate) fn nothing_enrolled(action: &ActionName) -> Reply {
    reply(StatusCode::FORBIDDEN, &json!({"error": "nothing_enrolled", "action": action.as_str()}))
}

pub(crate) fn malformed(action: &ActionName) -> Reply {
    reply(StatusCode::BAD_REQUEST, &json!({"error": "malformed_code", "action": action.as_str()}))
}

pub(crate) fn refused(action: &ActionName, refusal: &Refusal) -> Reply {
    let seconds = refusal.retry_after();
    let body = json!({"error": "step_up_refused", "action": action.as_str(), "retry_after": seconds});
    reply(StatusCode::TOO_MANY_REQUESTS, &body).with_retry_after(seconds)
}

pub(crate) fn unavailable(action: &ActionName) -> Reply {
    let body = json!({"error": "unavailable", "action": action.as_str()});
    reply(StatusCode::SERVICE_UNAVAILABLE, &body).with_retry_after(1)
}

#[cfg(feature = "axum")]
pub(crate) fn missing(action: &ActionName) -> Reply {
    let body = json!({"error": "step_up_missing", "action": action.as_str()});
    reply(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// Returns the response in the body type of the inner service.
pub(crate) fn response<B: From<Bytes>>(reply: Reply) -> Response<B> {
    reply.into_response().map(B::from)
}
