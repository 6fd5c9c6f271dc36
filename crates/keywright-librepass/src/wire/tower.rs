//! A `tower::Service` over the protocol, for axum and every other framework that speaks it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use keywright_wire::{Answering, RequestBody, WholeBody, answer};

use crate::wire::host::Host;
use crate::wire::service::LibrePass;
use crate::wire::service::{broken, too_large};

impl<H: Host> WholeBody for LibrePass<H> {
    fn limit(&self, path: &str) -> usize {
        self.max_body(path)
    }

    /// Nobody beyond the host's limits has anything read or looked up, and nobody without a token makes us hold a whole
    /// vault.
    async fn refuse_unread(&self, request: &Request<()>) -> Option<Response<Bytes>> {
        self.refuse_unread(request).await
    }

    fn too_large(&self) -> Response<Bytes> {
        too_large()
    }

    fn broken(&self) -> Response<Bytes> {
        broken()
    }

    async fn respond(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.answer(&request, true).await
    }
}

impl<H: Host, B: RequestBody> tower_service::Service<Request<B>> for LibrePass<H> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        answer(self.clone(), request)
    }
}
