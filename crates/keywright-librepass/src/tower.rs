//! A `tower::Service` over the protocol, for axum and every other framework that speaks it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};

use crate::{Host, LibrePass};

impl<H, B> tower_service::Service<Request<B>> for LibrePass<H>
where
    H: Host,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let head = Request::from_parts(head, ());
            // Nobody without a token makes us hold a whole vault.
            if let Some(refusal) = service.refuse_unread(&head).await {
                return Ok(refusal.map(Full::new));
            }
            let most = service.max_body(head.uri().path());
            // What a client announces is believed at once: it need not send it first.
            if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
                return Ok(crate::service::too_large().map(Full::new));
            }
            // One byte over the limit is enough to know that it is too long; no more is read or kept.
            let body = match Limited::new(body, most).collect().await {
                Ok(body) => body.to_bytes(),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    return Ok(crate::service::too_large().map(Full::new));
                }
                Err(_) => return Ok(crate::service::broken().map(Full::new)),
            };
            Ok(service.handle(head.map(|()| body)).await.map(Full::new))
        })
    }
}
