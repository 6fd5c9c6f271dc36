//! The protocol as a `tower::Service`.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use keywright_core::SystemEntropy;
use keywright_librepass::{LibrePass, MAX_BODY, Token};
use keywright_store::MemoryStore;
use keywright_store_conformance::FaultStore;
use tower_service::Service;

use crate::support::{Answer, TestHost, World, alice, policy};

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

/// The host's limits come before the body, and before a token is looked up; each request is counted once.
#[tokio::test]
async fn beyond_the_limits_nothing_is_read_or_looked_up() {
    let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
    let world = World::on(store.clone(), policy()).await;
    let user = world.settle(&alice()).await;
    let mut app = world.app.clone();
    let token = Token::random(user, &SystemEntropy).unwrap().to_text();
    let client = world.client().with_token(token.expose());
    let asks = [
        ("PATCH", "/api/user/password"),
        ("POST", "/api/cipher/sync"),
        ("DELETE", "/api/user/delete"),
        ("POST", "/api/auth/register"),
    ];
    *world.host.full.lock().unwrap() = Some("peer".into());
    store.note_loads();
    for (method, path) in asks {
        let request = client.request(method, path).build().map(|_| Odd { announced: 0, readable: false, frames: 0 });
        call(&mut app, request).await.waits(17);
    }
    assert!(store.noted_loads().is_empty());
    *world.host.full.lock().unwrap() = None;
    for (method, path) in asks {
        world.host.asked.lock().unwrap().clear();
        call(&mut app, client.request(method, path).build().map(Full::new)).await;
        let peers = world.host.asked.lock().unwrap().iter().filter(|asked| asked.ends_with(" peer")).count();
        assert_eq!(peers, 1, "{path}");
    }
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
