//! The answer to a request that no protocol has seen: JSON with the members that the clients of all
//! protocols read, because some of them fail on anything else.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use keywright::nextcloud::RefusedBy;

/// Notes in an answer what turned the request away, for the log.
pub(crate) fn with_reason(mut response: Response, reason: RefusedBy) -> Response {
    response.extensions_mut().insert(reason);
    response
}

/// Returns a refusal. The message has no character that JSON escapes.
pub(crate) fn refusal(status: StatusCode, message: &'static str) -> Response {
    // LibrePass reads `error` as one of its codes; Rocket.Chat reads `success`.
    let code = if status.is_server_error() { "LP-Database-Error" } else { "LP-Invalid-Body" };
    let number = status.as_u16();
    let body = format!("{{\"error\":\"{code}\",\"message\":\"{message}\",\"status\":{number},\"success\":false}}");
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
