//! The one answer type: what an endpoint returns, and what every refusal is turned into.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
};
use http::{HeaderMap, Method, Response, StatusCode};
use zeroize::Zeroizing;

use crate::refused_by::RefusedBy;

const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// The content security policy of a page: it loads nothing, nobody may frame it, and its forms
/// submit to its own origin only.
const PAGE_POLICY: &str = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// An answer: a status, headers, and a body that is wiped when the server is done with it, because
/// it may hold a secret.
///
/// No cache may keep an answer, both because of such secrets and because it is valid only at the
/// moment it is given.
///
/// ```
/// use http::StatusCode;
/// use keywright_wire::Reply;
///
/// let reply = Reply::json(StatusCode::TOO_MANY_REQUESTS, "[]").with_retry_after(0);
/// assert_eq!(reply.headers()["content-type"], "application/json");
/// assert_eq!(reply.headers()["cache-control"], "no-store");
/// assert_eq!(reply.headers()["retry-after"], "1");
/// assert_eq!(reply.into_response().body().as_ref(), b"[]");
/// ```
#[must_use]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Zeroizing<Vec<u8>>,
    refused_by: Option<RefusedBy>,
}

impl Reply {
    /// Returns an answer whose body is JSON that the caller has already encoded.
    pub fn json(status: StatusCode, text: impl Into<Vec<u8>>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self { status, headers, body: Zeroizing::new(text.into()), refused_by: None }
    }

    /// Returns 200 with an HTML page that loads nothing and cannot be framed.
    pub fn page(html: impl Into<Vec<u8>>) -> Self {
        Self::json(StatusCode::OK, html)
            .with(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))
            .with(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY))
            .with(NOSNIFF, HeaderValue::from_static("nosniff"))
    }

    /// Returns the answer to `OPTIONS`: 204 with `Allow`. It has no effect, and it allows no other
    /// origin.
    pub fn options(methods: &[Method]) -> Self {
        Self::json(StatusCode::NO_CONTENT, Vec::new()).with_allow(methods)
    }

    /// Sets the status, for a page that reports a refusal or redirects.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Sets a header, replacing any header of the same name.
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets `Retry-After` in whole seconds, at least 1.
    pub fn with_retry_after(self, seconds: u64) -> Self {
        self.with(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// States what turned the request away, for the host's log. The response has it in its
    /// extensions.
    pub const fn with_refused_by(mut self, refused_by: RefusedBy) -> Self {
        self.refused_by = Some(refused_by);
        self
    }

    /// Sets `Allow` to the given methods and `OPTIONS`.
    pub fn with_allow(self, methods: &[Method]) -> Self {
        let names: Vec<&str> = methods.iter().chain([&Method::OPTIONS]).map(Method::as_str).collect();
        match HeaderValue::try_from(names.join(", ")) {
            Ok(value) => self.with(ALLOW, value),
            // A method's name is always a token, so this arm is never reached.
            Err(_) => self,
        }
    }

    /// Returns the answer to `HEAD`: the status and headers that this answer has, the length of its
    /// body included, and no body.
    pub fn without_body(self) -> Self {
        let length = HeaderValue::from(self.body.len());
        Self { body: Zeroizing::default(), ..self.with(CONTENT_LENGTH, length) }
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns what turned the request away, if the protocol stated it.
    #[must_use]
    pub const fn refused_by(&self) -> Option<RefusedBy> {
        self.refused_by
    }

    /// Returns the headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the response. Its body is wiped when the last handle to it is dropped.
    #[must_use]
    pub fn into_response(self) -> Response<Bytes> {
        let body = if self.body.is_empty() { Bytes::new() } else { Bytes::from_owner(self.body) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if let Some(refused_by) = self.refused_by {
            response.extensions_mut().insert(refused_by);
        }
        response
    }
}

// Leaves out headers and body, because both may hold a secret.
keywright_core::redacted_debug!(Reply { status, .. });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_names_the_methods_and_allows_no_other_origin() {
        let reply = Reply::options(&[Method::GET, Method::POST]);
        assert_eq!((reply.status().as_u16(), &reply.headers()[ALLOW]), (204, &"GET, POST, OPTIONS".parse().unwrap()));
        assert!(reply.headers().keys().all(|name| !name.as_str().starts_with("access-control")));
        assert!(reply.into_response().body().is_empty());
    }

    #[test]
    fn a_page_loads_nothing() {
        let response = Reply::page("<!doctype html>").into_response();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], PAGE_POLICY);
        assert_eq!(response.headers()[NOSNIFF], "nosniff");
        assert_eq!(response.body().as_ref(), b"<!doctype html>");
    }

    #[test]
    fn head_has_the_headers_of_get_and_no_body() {
        let response = Reply::page("<p>").with_status(StatusCode::NOT_FOUND).without_body().into_response();
        assert_eq!(
            (response.status(), response.headers()[CONTENT_LENGTH].as_bytes()),
            (StatusCode::NOT_FOUND, &b"3"[..])
        );
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        assert!(response.body().is_empty());
    }

    #[test]
    fn what_is_shown_of_a_reply_has_neither_body_nor_header() {
        let reply = Reply::json(StatusCode::OK, "PLANTED").with(NOSNIFF, HeaderValue::from_static("PLANTED"));
        assert!(!format!("{reply:?}").contains("PLANTED"));
    }
}
