//! The protocol as a `tower::Service`.

use http::Request;
use http_body_util::Full;
use keywright_rocketchat::{MAX_BODY, RocketChat};
use keywright_testing::tower::OddBody;
use keywright_wire::RequestBody;

use crate::support::{ADMIN, Answer, TestHost, World};

async fn call(app: &mut RocketChat<TestHost>, request: Request<impl RequestBody>) -> Answer {
    Answer::check(keywright_testing::tower::call(app, request).await)
}

#[tokio::test]
async fn it_answers_as_handle_does() {
    let world = World::new().await;
    let mut app = world.app.clone();
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

#[tokio::test]
async fn an_endless_or_announced_body_is_given_up_and_a_broken_one_is_400() {
    let world = World::new().await;
    let mut app = world.app.clone();
    for (body, status) in [(OddBody::endless(100), 413), (OddBody::announcing(u64::MAX), 413), (OddBody::broken(), 400)]
    {
        let request = world.client(ADMIN).reset().build().map(|_| body);
        assert_eq!(call(&mut app, request).await.status, status);
    }
}
