//! The protocol as a `tower::Service`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use keywright_rocketchat::{MAX_BODY, RocketChat};
use tower_service::Service;

use crate::support::{ADMIN, Answer, TestHost, World};

async fn call<B>(app: &mut RocketChat<TestHost>, request: Request<B>) -> Answer
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let response: Result<Response<Full<Bytes>>, Infallible> = app.call(request).await;
    let Ok(response) = response;
    let (parts, body) = response.into_parts();
    Answer::check(Response::from_parts(parts, body.collect().await.unwrap().to_bytes()))
}

#[tokio::test]
async fn it_answers_as_handle_does() {
    let world = World::new().await;
    let mut app = world.app.clone();
    std::future::poll_fn(|context| Service::<Request<Full<Bytes>>>::poll_ready(&mut app, context)).await.unwrap();
    let request = world.client(ADMIN).reset().code(&world.totp(ADMIN)).build().map(Full::new);
    call(&mut app, request).await.succeeds();
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_one_at_the_limit_is_not() {
    let world = World::new().await;
    let mut app = world.app.clone();
    for (length, status) in [(MAX_BODY, 400), (MAX_BODY + 1, 413), (4 * MAX_BODY, 413)] {
        let request = world.client(ADMIN).post("users.resetE2EKey").raw("application/json", vec![b' '; length]);
        let answer = call(&mut app, request.build().map(Full::new)).await;
        assert_eq!((answer.status, answer.json()["errorType"].as_str()), (status, Some("invalid-params")), "{length}");
    }
}

/// A body that never ends, one that breaks off, one that announces too much.
struct Odd {
    announced: u64,
    endless: bool,
    frames: usize,
}

impl http_body::Body for Odd {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        self.frames = self.frames.saturating_add(1);
        assert!(self.frames < 100 && self.announced == 0, "read on beyond the limit");
        if !self.endless && self.frames == 3 {
            return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())));
        }
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b' '; 65_536])))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        if self.announced == 0 { http_body::SizeHint::new() } else { http_body::SizeHint::with_exact(self.announced) }
    }
}

#[tokio::test]
async fn an_endless_or_announced_body_is_given_up_and_a_broken_one_is_400() {
    let world = World::new().await;
    let mut app = world.app.clone();
    for (announced, endless, status) in [(0, true, 413), (u64::MAX, true, 413), (0, false, 400)] {
        let request = world.client(ADMIN).reset().build().map(|_| Odd { announced, endless, frames: 0 });
        assert_eq!(call(&mut app, request).await.status, status);
    }
}
