//! The protocol as a `tower::Service`.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use keywright_nextcloud::{MAX_BODY, Nextcloud};
use keywright_testing::tower::OddBody;
use keywright_wire::RequestBody;
use serde_json::json;

use crate::support::{Answer, Client, TestHost, World, secret};

async fn call(app: &mut Nextcloud<TestHost>, request: Request<impl RequestBody>) -> Answer {
    Answer::check(keywright_testing::tower::call(app, request).await, false)
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

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_read() {
    let world = World::new().await;
    let client = world.token("phone");
    for length in [u64::try_from(MAX_BODY).unwrap() + 1, u64::MAX] {
        let request = post(&client, "keychain/set").body(OddBody::announcing(length)).unwrap();
        assert_eq!(call(&mut world.app.clone(), request).await.status, 413);
    }
}

#[tokio::test]
async fn an_endless_body_is_given_up_and_a_broken_one_is_400() {
    let world = World::new().await;
    let client = world.token("phone");
    let mut app = world.app.clone();
    for (body, status) in [(OddBody::endless(100), 413), (OddBody::broken(), 400)] {
        let request = post(&client, "keychain/set").body(body).unwrap();
        assert_eq!(call(&mut app, request).await.status, status);
    }
}
