//! The protocol as a `tower::Service`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use keywright_nextcloud::{MAX_BODY, Nextcloud};
use serde_json::json;
use tower_service::Service;

use crate::support::{Answer, Client, TestHost, World, secret};

async fn call<B>(app: &mut Nextcloud<TestHost>, request: Request<B>) -> Answer
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let response: Result<Response<Full<Bytes>>, Infallible> = app.call(request).await;
    let Ok(response) = response;
    let (parts, body) = response.into_parts();
    Answer::check(Response::from_parts(parts, body.collect().await.unwrap().to_bytes()), false)
}

fn post(client: &Client, path: &str) -> http::request::Builder {
    client.request("POST", path).header("content-type", "application/json")
}

#[tokio::test]
async fn it_answers_as_handle_does() {
    let world = World::new().await;
    world.with_challenge().await;
    let client = world.token("laptop");
    let mut app = world.app.clone();
    std::future::poll_fn(|context| Service::<Request<Full<Bytes>>>::poll_ready(&mut app, context)).await.unwrap();
    let body = json!({"challenge": secret(1)}).to_string();
    let answer = call(&mut app, post(&client, "session/open").body(Full::<Bytes>::from(body)).unwrap()).await;
    answer.is(200, json!({"success": true, "keys": []}));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_and_one_at_the_limit_is_not() {
    let world = World::new().await;
    let client = world.token("phone");
    let mut app = world.app.clone();
    for (length, status) in [(MAX_BODY, 400), (MAX_BODY + 1, 413), (4 * MAX_BODY, 413)] {
        let body = Full::<Bytes>::from(vec![b' '; length]);
        let answer = call(&mut app, post(&client, "session/open").body(body).unwrap()).await;
        assert_eq!((answer.status, answer.json()["status"].as_str()), (status, Some("error")), "{length}");
    }
    // Refused before the login, so that nobody can make the server read more; it carries no session
    // then.
    let request = Request::post("/").body(Full::<Bytes>::from(vec![0; MAX_BODY + 1])).unwrap();
    let answer = call(&mut app, request).await;
    assert_eq!((answer.status, answer.id()), (413, None));
}

/// A body that announces its length and must not be read.
struct Announced(u64);

impl http_body::Body for Announced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        panic!("read although it announces too much")
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.0)
    }
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_read() {
    let world = World::new().await;
    let client = world.token("phone");
    for length in [u64::try_from(MAX_BODY).unwrap() + 1, u64::MAX] {
        let request = post(&client, "keychain/set").body(Announced(length)).unwrap();
        assert_eq!(call(&mut world.app.clone(), request).await.status, 413);
    }
}

/// A body that never ends, and one that breaks off.
struct Odd {
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
        assert!(self.frames < 100, "read on beyond the limit");
        if !self.endless && self.frames == 3 {
            return Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())));
        }
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b' '; 65_536])))))
    }
}

#[tokio::test]
async fn an_endless_body_is_given_up_and_a_broken_one_is_400() {
    let world = World::new().await;
    let client = world.token("phone");
    let mut app = world.app.clone();
    for (endless, status) in [(true, 413), (false, 400)] {
        let request = post(&client, "keychain/set").body(Odd { endless, frames: 0 }).unwrap();
        assert_eq!(call(&mut app, request).await.status, status);
    }
}
