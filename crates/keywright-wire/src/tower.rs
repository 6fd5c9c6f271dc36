//! A protocol as a `tower::Service`, for axum and every other framework that supports it.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};

use crate::answer::Reply;
use crate::protocol::Protocol;

/// A body that can be read here, such as those of `axum`, `hyper` and tests.
pub trait RequestBody: Body<Data: Send, Error: Into<keywright_store::BoxError>> + Send + 'static {}

impl<B: Body<Data: Send, Error: Into<keywright_store::BoxError>> + Send + 'static> RequestBody for B {}

/// The future of a [`Protocol`]'s service. It never fails: every error becomes an answer.
pub type ServiceFuture = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// Reads a request's body, but never more than the limit, and answers the request.
pub fn serve<S: Protocol, B: RequestBody>(service: S, request: Request<B>) -> ServiceFuture {
    Box::pin(async move { Ok(read(&service, request).await.into_response().map(Full::new)) })
}

async fn read<S: Protocol, B: RequestBody>(service: &S, request: Request<B>) -> Reply {
    let (head, body) = request.into_parts();
    let head = Request::from_parts(head, ());
    if let Some(refusal) = service.refuse_unread(&head).await {
        return refusal;
    }
    let limit = service.limit(head.uri().path());
    // A client that announces a body over the limit is refused immediately, before it sends the
    // body.
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return service.too_large();
    }
    // One byte over the limit is enough to know that the body is too long; nothing beyond it is
    // read or kept.
    match Limited::new(body, limit).collect().await {
        Ok(body) => service.respond(head.map(|()| body.to_bytes())).await,
        Err(error) if error.is::<LengthLimitError>() => service.too_large(),
        Err(_) => service.broken(),
    }
}

/// Implements `tower::Service` for a protocol's type over its host: `tower_service!(Name: Host)`
/// for a type `Name<H: Host>` that implements [`Protocol`]. Neither the type nor the trait is
/// defined in this crate, so the `impl` must be in the protocol's own crate. For an example see the
/// [crate](crate#example).
#[macro_export]
macro_rules! tower_service {
    ($protocol:ident: $host:ident) => {
        impl<H: $host, B: $crate::RequestBody> $crate::__tower::Service<$crate::__tower::Request<B>> for $protocol<H> {
            type Response = $crate::__tower::Response;
            type Error = ::core::convert::Infallible;
            type Future = $crate::ServiceFuture;

            fn poll_ready(
                &mut self,
                _: &mut ::core::task::Context<'_>,
            ) -> ::core::task::Poll<::core::result::Result<(), Self::Error>> {
                ::core::task::Poll::Ready(::core::result::Result::Ok(()))
            }

            fn call(&mut self, request: $crate::__tower::Request<B>) -> Self::Future {
                $crate::serve(::core::clone::Clone::clone(self), request)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use http::StatusCode;
    use http_body::{Frame, SizeHint};

    use super::*;

    const LIMIT: usize = 100_000;

    /// Answers with the size of the body.
    #[derive(Clone)]
    struct Count;

    impl Protocol for Count {
        fn limit(&self, path: &str) -> usize {
            if path == "/small" { 3 } else { LIMIT }
        }

        async fn refuse_unread(&self, request: &Request<()>) -> Option<Reply> {
            (request.uri().path() == "/closed").then(|| Reply::json(StatusCode::UNAUTHORIZED, Bytes::new()))
        }

        fn too_large(&self) -> Reply {
            Reply::json(StatusCode::PAYLOAD_TOO_LARGE, Bytes::new())
        }

        fn broken(&self) -> Reply {
            Reply::json(StatusCode::BAD_REQUEST, Bytes::new())
        }

        async fn respond(&self, request: Request<Bytes>) -> Reply {
            Reply::json(StatusCode::OK, request.body().len().to_string())
        }
    }

    async fn ask<B: RequestBody>(path: &str, body: B) -> (u16, Bytes) {
        let request = Request::builder().uri(path).body(body).unwrap();
        let Ok(response) = serve(Count, request).await;
        (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes())
    }

    /// Sends frames of 64 KiB, and then either an error of the connection or more frames without
    /// end.
    struct Odd {
        announced: u64,
        left: usize,
        readable: usize,
    }

    impl Body for Odd {
        type Data = Bytes;
        type Error = std::io::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            self.readable = self.readable.checked_sub(1).expect("read on beyond the limit");
            match self.left.checked_sub(1) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into()))),
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 65_536])))))
        }

        fn size_hint(&self) -> SizeHint {
            if self.announced == 0 { SizeHint::new() } else { SizeHint::with_exact(self.announced) }
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_of_its_path() {
        for (path, limit) in [("/", LIMIT), ("/small", 3)] {
            let full = |length| Full::new(Bytes::from(vec![b' '; length]));
            assert_eq!(ask(path, full(limit)).await, (200, limit.to_string().into()));
            assert_eq!(ask(path, full(limit + 1)).await.0, 413);
        }
        assert_eq!(ask("/", http_body_util::Empty::<Bytes>::new()).await, (200, "0".into()));
    }

    #[tokio::test]
    async fn no_more_is_read_than_it_takes_to_know() {
        let odd = |announced, left, readable| Odd { announced, left, readable };
        assert_eq!(ask("/", odd(0, usize::MAX, 2)).await.0, 413, "endless");
        assert_eq!(ask("/", odd(u64::MAX, usize::MAX, 0)).await.0, 413, "announced");
        assert_eq!(ask("/", odd(0, 1, 2)).await.0, 400, "broken off");
        assert_eq!(ask("/closed", odd(u64::MAX, usize::MAX, 0)).await.0, 401, "refused unread");
    }
}
