//! The protocol as a `tower::Service`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use keywright_librepass::{LibrePass, MAX_BODY};
use tower_service::Service;

use crate::support::{Answer, TestHost, World, alice};

async fn call<B>(app: &mut LibrePass<TestHost>, request: Request<B>) -> Answer
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
    world.settle(&alice()).await;
    let shared = alice().shared(&world.server_key().await);
    let request = world.client().log_in(&alice().email, &shared).build().map(Full::new);
    call(&mut app, request).await.ok();
}

/// A body that never ends, or announces too much, or must not be read at all.
struct Odd {
    announced: u64,
    readable: bool,
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
        assert!(self.readable && self.frames < 2_000 && self.announced == 0, "read on beyond the limit");
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b' '; 65_536])))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        if self.announced == 0 { http_body::SizeHint::new() } else { http_body::SizeHint::with_exact(self.announced) }
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_nobody_without_a_token_sends_a_vault() {
    let world = World::new().await;
    let mut app = world.app.clone();
    let odd = |announced, readable| Odd { announced, readable, frames: 0 };
    for (announced, readable) in [(0, true), (u64::MAX, false)] {
        let request = world.client().post("/api/auth/register").build().map(|_| odd(announced, readable));
        call(&mut app, request).await.fails(413, "LP-Invalid-Body");
    }
    for (method, path) in [("PATCH", "/api/user/password"), ("PATCH", "/api/user/email"), ("POST", "/api/cipher/sync")]
    {
        let request = world.client().request(method, path).build().map(|_| odd(0, false));
        call(&mut app, request).await.fails(401, "LP-Invalid-Token");
    }
    world.settle(&alice()).await;
    let client = world.client_of(&alice()).await;
    let request = client.request("PATCH", "/api/user/password").build().map(|_| odd(0, true));
    call(&mut app, request).await.fails(413, "LP-Invalid-Body");
    let request = world.client().post("/api/auth/register").raw(vec![b' '; MAX_BODY]).build().map(Full::new);
    call(&mut app, request).await.fails(400, "LP-Invalid-Body");
    let request = world.client().get("/nowhere").build().map(|_| odd(0, false));
    call(&mut app, request).await.fails(404, "LP-404");
}
