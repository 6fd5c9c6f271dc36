//! A `tower::Service` over the protocol, for axum and every other framework that speaks it.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use keywright_wire::{Answering, RequestBody, WholeBody, answer};

use crate::service::{broken, too_large};
use crate::{Host, Nextcloud};

impl<H: Host> WholeBody for Nextcloud<H> {
    fn limit(&self, _: &str) -> usize {
        self.max_body()
    }

    fn too_large(&self) -> Response<Bytes> {
        too_large()
    }

    fn broken(&self) -> Response<Bytes> {
        broken()
    }

    async fn respond(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.handle(request).await
    }
}

impl<H: Host, B: RequestBody> tower_service::Service<Request<B>> for Nextcloud<H> {
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
