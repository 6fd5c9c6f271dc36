//! Calls a `tower::Service`, with bodies that misbehave.

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::poll_fn;
use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tower_service::Service;

/// Waits until a service is ready, sends it a request, and reads the whole answer.
pub async fn call<S, B, R>(service: &mut S, request: Request<B>) -> Response<Bytes>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    R: Body<Data = Bytes, Error: Debug>,
{
    let Ok(()) = poll_fn(|context| service.poll_ready(context)).await;
    let Ok(response) = service.call(request).await;
    let (head, body) = response.into_parts();
    Response::from_parts(head, body.collect().await.unwrap().to_bytes())
}

/// A body that is not what a server hopes for: it consists of frames of 64 KiB of blanks.
#[derive(Debug)]
pub struct OddBody {
    announced: Option<u64>,
    breaks: bool,
    /// How many more frames may be read.
    readable: usize,
}

impl OddBody {
    /// A body that never ends. Panics if more than this many frames are read.
    #[must_use]
    pub const fn endless(readable: usize) -> Self {
        Self { announced: None, breaks: false, readable }
    }

    /// A body that must not be read at all, and announces no length.
    #[must_use]
    pub const fn unreadable() -> Self {
        Self::endless(0)
    }

    /// A body that announces a length and must not be read.
    #[must_use]
    pub const fn announcing(length: u64) -> Self {
        Self { announced: Some(length), ..Self::unreadable() }
    }

    /// A body whose connection is lost after two frames.
    #[must_use]
    pub const fn broken() -> Self {
        Self { breaks: true, ..Self::endless(2) }
    }
}

impl Body for OddBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.readable.checked_sub(1) {
            Some(rest) => self.readable = rest,
            None if self.breaks => return Poll::Ready(Some(Err(ErrorKind::ConnectionReset.into()))),
            None => panic!("a body was read on beyond the limit"),
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 65_536])))))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
