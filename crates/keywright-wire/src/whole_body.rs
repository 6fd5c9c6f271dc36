//! What a protocol's `tower::Service` is made of. The `impl` itself is the protocol's: neither its type nor the trait
//! belongs here.

use std::future::Future;

use crate::tower::{Answering, RequestBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};

/// A protocol that looks at a request only once all of it is there.
pub trait WholeBody: Send + Sync + 'static {
    /// The largest body for a path, in bytes.
    fn limit(&self, path: &str) -> usize;

    /// Refuses what needs no body to be refused, before any of it is read. By default nothing is.
    fn refuse_unread(&self, _: &Request<()>) -> impl Future<Output = Option<Response<Bytes>>> + Send {
        std::future::ready(None)
    }

    /// The answer to a body over the limit.
    fn too_large(&self) -> Response<Bytes>;

    /// The answer to a body that ended in an error of the connection.
    fn broken(&self) -> Response<Bytes>;

    /// The answer to a request that is all there.
    fn respond(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>> + Send;
}

/// Reads a request's body, never more of it than the limit, and answers.
pub fn answer<S: WholeBody, B: RequestBody>(service: S, request: Request<B>) -> Answering {
    Box::pin(async move {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        if let Some(refusal) = service.refuse_unread(&head).await {
            return Ok(refusal.map(Full::new));
        }
        let limit = service.limit(head.uri().path());
        // What a client announces is believed at once: it need not send it first.
        if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Ok(service.too_large().map(Full::new));
        }
        // One byte over the limit is enough to know that it is too long; no more is read or kept.
        let response = match Limited::new(body, limit).collect().await {
            Ok(body) => service.respond(head.map(|()| body.to_bytes())).await,
            Err(error) if error.is::<LengthLimitError>() => service.too_large(),
            Err(_) => service.broken(),
        };
        Ok(response.map(Full::new))
    })
}
