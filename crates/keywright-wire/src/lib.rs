//! What Keywright's wire protocols share: the host's errors, a JSON answer, a tower service that reads bodies whole.
//!
//! It knows no protocol: no endpoint, status or error body is decided here, and it looks at no secret. Each protocol's
//! crate re-exports what a host needs of it, so that a host that serves several has one error for all.
//!
//! ```
//! use http::StatusCode;
//! use keywright_wire::{HostError, json};
//!
//! let answer = json(StatusCode::OK, "[]".into());
//! assert_eq!(answer.headers()["content-type"], "application/json");
//! assert_eq!(answer.headers()["cache-control"], "no-store");
//!
//! // What went wrong is the host's to read; it is never shown.
//! let error = HostError::new("no route to db.internal");
//! assert_eq!(error.to_string(), "the host failed");
//! ```
//!
//! # Map
//! - [`HostError`], [`DueError`]: what a host's methods give back, and why work for the host is still due.
//! - [`frame`]: owed work, the step and its commit, the work it made due: around every endpoint.
//! - [`Network`]: where a request comes from.
//! - [`json`]: an answer that no cache keeps.
//! - `WholeBody`, `answer` (feature `tower`): from a request whose body streams to the protocol's own answer.
#![forbid(unsafe_code)]

mod error;
pub mod frame;
mod network;
#[cfg(feature = "tower")]
mod tower;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

pub use error::{DueError, HostError};
pub use network::Network;
#[cfg(feature = "tower")]
pub use tower::{Answering, RequestBody, WholeBody, answer};

/// An answer with a JSON text, which no cache may keep: it may hold a secret, and it is true only now.
#[must_use]
pub fn json(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
