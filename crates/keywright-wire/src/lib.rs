//! What Keywright's wire protocols share: the host's errors, a queue for its slow hashes, a JSON answer, a tower service that
//! reads bodies whole.
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
//! # Clients that go away
//! An HTTP server drops the future of a handler when its client's connection ends: `hyper` does, and so do the frameworks
//! on top of it. A commit that was on its way lands all the same, but whatever had to follow it does not happen until
//! later: observers do not hear of the event, the work that the commit made due stays claimed until the claim runs out,
//! and a guess that was charged before a slow check stays charged although it was right. No promise is broken by that,
//! but a client could see to it. So let every request run to its end, as a task of its own; with axum that is one line
//! in a middleware around these services:
//!
//! ```
//! # // axum is no dependency of this crate: its `Next` stands here for itself.
//! # struct Next;
//! # impl Next { async fn run(self, _: http::Request<()>) -> http::Response<()> { http::Response::new(()) } }
//! use http::{Request, Response, StatusCode};
//!
//! async fn to_the_end(request: Request<()>, next: Next) -> Result<Response<()>, StatusCode> {
//!     tokio::spawn(next.run(request)).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # assert!(to_the_end(Request::new(()), Next).await.is_ok());
//! # }
//! ```
//!
//! and when the server stops, it should wait a while for those tasks. A body that never comes ends with its connection,
//! so no such task outlives its client by more than the work itself takes.
//!
//! # Map
//! - [`HostError`], [`DueError`]: what a host's methods give back, and why work for the host is still due.
//! - [`frame`]: owed work, the step and its commit, the work it made due: around every endpoint.
//! - [`queue`]: a bounded and fair queue for a host's slow hashes.
//! - [`Network`]: where a request comes from.
//! - [`json`]: an answer that no cache keeps.
//! - `WholeBody`, `answer` (feature `tower`): from a request whose body streams to the protocol's own answer.
#![forbid(unsafe_code)]

mod error;
pub mod frame;
mod network;
pub mod queue;
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
