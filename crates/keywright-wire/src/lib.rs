//! The parts that Keywright's wire protocols (the HTTP interfaces of real clients) share: error
//! types, a queue for slow hashes, a reply type, a routing table, a runner for the code of each
//! endpoint, and a tower service that reads whole bodies.
//!
//! The *host* is the server program that embeds Keywright. *Due work* consists of tasks for the
//! host (sending a mail, for example) that a commit records, and that are done after it. This crate
//! contains no protocol: it defines no endpoint, status or error body, and it never interprets the
//! content of a request or a reply. Each protocol's crate re-exports what a host needs from this
//! crate, so a host that serves several protocols has one error type for all of them.
//!
//! # Example
//! The example is a complete protocol with one endpoint: `GET /notes/count`, for any client that
//! sends a valid token. Every wire crate of Keywright has these parts, each in its own file; the
//! comments name the files.
//!
//! ```
//! use std::future::Future;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Method, Request, Response, StatusCode};
//! use keywright_core::AccountId;
//! use keywright_store::due::DueTask;
//! use keywright_store::{Draft, Driver, Plain};
//! use keywright_wire::frame::{self, HostWork, Weight};
//! use keywright_wire::{DueError, HostError, Reply, Route, Routes, Protocol};
//!
//! // host.rs: what the embedding server supplies.
//! pub trait Host: Send + Sync + 'static {
//!     fn login(&self, token: &str) -> impl Future<Output = Result<Option<AccountId>, HostError>> + Send;
//!     fn notes(&self, account: &AccountId) -> impl Future<Output = Result<usize, HostError>> + Send;
//! }
//!
//! // request.rs: the routes, and what an endpoint reads.
//! #[derive(Debug, Clone, Copy, PartialEq, Eq)]
//! enum Endpoint {
//!     Count,
//! }
//!
//! struct Policy {
//!     max_body: usize,
//! }
//!
//! const ROUTES: Routes<Endpoint, Policy> = Routes::new(
//!     "/notes/",
//!     &[Route {
//!         endpoint: Endpoint::Count,
//!         path: "count",
//!         methods: |_| &[Method::GET],
//!         max_body: |policy| policy.max_body,
//!         needs_login: true,
//!     }],
//! );
//!
//! struct Input<'r> {
//!     token: Option<&'r str>,
//! }
//!
//! // answer.rs: why a request fails: the protocol refuses it, or the store or the host failed.
//! enum Failure {
//!     Refused(StatusCode),
//!     Due(DueError),
//! }
//!
//! impl From<DueError> for Failure {
//!     fn from(error: DueError) -> Self {
//!         Self::Due(error)
//!     }
//! }
//!
//! fn refuse(status: StatusCode) -> Reply {
//!     Reply::json(status, "{}")
//! }
//!
//! // context.rs: what an endpoint is given.
//! struct Context<H> {
//!     driver: Driver,
//!     host: Arc<H>,
//!     policy: Policy,
//! }
//!
//! struct Caller {
//!     account: AccountId,
//! }
//!
//! impl<H: Host> HostWork for Context<H> {
//!     fn weight(&self, _: &str) -> Option<Weight> {
//!         None // this protocol has no due work
//!     }
//!     async fn work(&self, _: &AccountId, _: &DueTask) -> Result<(), HostError> {
//!         Err(HostError::new("a task of another part was claimed"))
//!     }
//! }
//!
//! // endpoints/count.rs
//! async fn run<H: Host>(cx: &Context<H>, caller: &Caller, _: &Input<'_>) -> Result<Reply, Failure> {
//!     // Fails if the account no longer exists.
//!     let look = |draft: &mut Draft<'_>| draft.root().map(|_| Plain(()));
//!     frame::run(&cx.driver, &caller.account, cx, &[], look).await?;
//!     let notes = cx.host.notes(&caller.account).await.map_err(DueError::from)?;
//!     Ok(Reply::json(StatusCode::OK, format!(r#"{{"notes":{notes}}}"#)))
//! }
//!
//! // service.rs
//! pub struct Notes<H> {
//!     cx: Arc<Context<H>>,
//! }
//!
//! impl<H: Host> Notes<H> {
//!     pub async fn handle<B: AsRef<[u8]>>(&self, request: Request<B>) -> Response<Bytes> {
//!         self.answer(&request).await.into_response()
//!     }
//!
//!     async fn answer<B: AsRef<[u8]>>(&self, request: &Request<B>) -> Reply {
//!         let cx = &*self.cx;
//!         let Some((route, _)) = ROUTES.find(request.uri().path()) else { return refuse(StatusCode::NOT_FOUND) };
//!         let wrong = || refuse(StatusCode::METHOD_NOT_ALLOWED);
//!         if let Some(other) = route.other_method(request.method(), &cx.policy, wrong) {
//!             return other;
//!         }
//!         if !route.takes(request.body().as_ref().len(), &cx.policy) {
//!             return refuse(StatusCode::PAYLOAD_TOO_LARGE);
//!         }
//!         let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
//!         match serve(cx, route.endpoint, &Input { token }).await {
//!             Ok(reply) => reply,
//!             Err(Failure::Refused(status)) => refuse(status),
//!             Err(Failure::Due(error)) => match error.retry_after() {
//!                 Some(seconds) => refuse(StatusCode::SERVICE_UNAVAILABLE).with_retry_after(seconds),
//!                 None => refuse(StatusCode::INTERNAL_SERVER_ERROR), // a real protocol also logs the error
//!             },
//!         }
//!     }
//! }
//!
//! async fn serve<H: Host>(cx: &Context<H>, endpoint: Endpoint, input: &Input<'_>) -> Result<Reply, Failure> {
//!     let token = input.token.ok_or(Failure::Refused(StatusCode::UNAUTHORIZED))?;
//!     let account = cx.host.login(token).await.map_err(DueError::from)?;
//!     let caller = Caller { account: account.ok_or(Failure::Refused(StatusCode::UNAUTHORIZED))? };
//!     match endpoint {
//!         Endpoint::Count => run(cx, &caller, input).await,
//!     }
//! }
//!
//! impl<H> Clone for Notes<H> {
//!     fn clone(&self) -> Self {
//!         Self { cx: Arc::clone(&self.cx) }
//!     }
//! }
//!
//! impl<H: Host> Protocol for Notes<H> {
//!     fn limit(&self, path: &str) -> usize {
//!         ROUTES.max_body(path, &self.cx.policy).unwrap_or(0)
//!     }
//!     fn too_large(&self) -> Reply {
//!         refuse(StatusCode::PAYLOAD_TOO_LARGE)
//!     }
//!     fn broken(&self) -> Reply {
//!         refuse(StatusCode::BAD_REQUEST)
//!     }
//!     async fn respond(&self, request: Request<Bytes>) -> Reply {
//!         self.answer(&request).await
//!     }
//! }
//!
//! # #[cfg(feature = "tower")]
//! keywright_wire::tower_service!(Notes: Host);
//!
//! # struct OneUser(AccountId);
//! # impl Host for OneUser {
//! #     async fn login(&self, token: &str) -> Result<Option<AccountId>, HostError> {
//! #         Ok((token == "right").then(|| self.0.clone()))
//! #     }
//! #     async fn notes(&self, _: &AccountId) -> Result<usize, HostError> {
//! #         Ok(3)
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use keywright_core::{Keyring, SystemEntropy};
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let driver = Driver::builder(Arc::new(keywright_store::MemoryStore::new()), keyring).build()?;
//! # let account = AccountId::new("user-1")?;
//! # driver.ensure_account(&account).await?;
//! # let cx = Context { driver, host: Arc::new(OneUser(account)), policy: Policy { max_body: 0 } };
//! # let notes = Notes { cx: Arc::new(cx) };
//! # let ask = |method: &str, token: &str| Request::builder().method(method).uri("/notes/count").header("authorization", token).body("");
//! # let response = notes.handle(ask("GET", "right")?).await;
//! # assert_eq!((response.status().as_u16(), response.body().as_ref()), (200, br#"{"notes":3}"#.as_slice()));
//! # for (method, token, status) in [("GET", "wrong", 401), ("PUT", "right", 405), ("OPTIONS", "", 204)] {
//! #     assert_eq!(notes.handle(ask(method, token)?).await.status(), status);
//! # }
//! # Ok(())
//! # }
//! ```
//!
//! # Clients that disconnect
//! An HTTP server drops the future of a handler when its client's connection ends: `hyper` does,
//! and so do the frameworks on top of it. A commit that is already under way still takes effect,
//! but what should follow it is missing or late: observers are not notified of the event; the due
//! work of the commit is done later, because the dropped request has reserved it for some time; and
//! a guess that the host was still checking counts as wrong even if it was right. No security
//! guarantee is broken by that, but a client could cause it on purpose. So run every request as a
//! task of its own, which is not cancelled. With axum that is one line in a middleware around these
//! services:
//!
//! ```
//! # // axum is not a dependency of this crate; this is a substitute for its `Next`.
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
//! When the server stops, it should wait a while for those tasks. Reading a body fails when its
//! connection ends, so a task whose client has disconnected never waits for that client.
//!
//! # Map
//! - [`HostError`], [`DueError`]: the error of a host's method, and that of a request that failed
//!   at the store or at the host's work.
//! - [`queue`]: a bounded and fair queue for a host's slow hashes.
//! - [`is_json`]: whether a request states that its body is JSON.
//! - [`Peer`], [`Network`]: where a request comes from.
//! - [`Decoys`]: where guesses are counted at names that have no account.
//! - [`Routes`]: path, methods, body limit and login requirement of every endpoint, as one table.
//! - [`frame`]: runs the code of an endpoint. It first does the due work that earlier requests
//!   left, then runs the endpoint's step (a pure function on the account's records) and commits the
//!   result, and then does the due work of this commit.
//! - [`Reply`]: a response that forbids caching, and whose body is wiped from memory when it is
//!   dropped.
//! - [`RefusedBy`]: what turned a request away, for the host's log.
//! - [`Protocol`], and `tower_service!` with the feature `tower`: reads the body of a request up to
//!   the endpoint's limit, and passes the whole request to the protocol.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod busy;
mod decoy;
mod error;
pub mod frame;
mod host;
mod json;
mod media_type;
#[cfg(feature = "metrics")]
pub mod metrics;
mod protocol;
pub mod queue;
mod refused_by;
mod route;
#[cfg(feature = "tower")]
mod tower;

pub use answer::Reply;
pub use decoy::Decoys;
pub use error::{DueError, HostError};
pub use host::Peer;
pub use json::parse_json;
pub use keywright_store::Network;
pub use media_type::is_json;
pub use protocol::Protocol;
pub use refused_by::RefusedBy;
pub use route::{Route, Routes};
#[cfg(feature = "tower")]
pub use tower::{RequestBody, ServiceFuture, serve};

/// The items that the expansion of [`tower_service!`] refers to.
#[cfg(feature = "tower")]
#[doc(hidden)]
pub mod __tower {
    pub use http::Request;
    pub use tower_service::Service;

    pub type Response = http::Response<http_body_util::Full<bytes::Bytes>>;
}
