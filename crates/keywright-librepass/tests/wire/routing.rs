//! Paths, methods, HEAD, OPTIONS, and what apps request first.

use serde_json::json;

use crate::support::{World, alice, policy};

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405() {
    let world = World::new().await;
    for path in [
        "/",
        "/api/",
        "/api",
        "/api/auth",
        "/api/auth/preLogin/",
        "/api/user/password/x",
        "/api/collections",
        "/api/collection/",
    ] {
        world.client().get(path).send().await.is(404, json!({"error": "LP-404", "status": 404}));
    }
    for (method, path, allow) in [
        ("POST", "/api/auth/preLogin?email=", "GET, HEAD, OPTIONS"),
        ("HEAD", "/api/auth/register", "POST, OPTIONS"),
        ("POST", "/api/collection", "GET, HEAD, PUT, OPTIONS"),
        ("PUT", "/api/collection/x", "GET, HEAD, DELETE, OPTIONS"),
        ("PUT", "/api/auth/confirmLogin", "GET, HEAD, POST, OPTIONS"),
        ("GET", "/api/auth/register", "POST, OPTIONS"),
        ("PUT", "/api/auth/oauth?grantType=login", "POST, OPTIONS"),
        ("POST", "/api/user/email", "PATCH, OPTIONS"),
        ("POST", "/api/user/password", "PATCH, OPTIONS"),
        ("GET", "/api/user/delete", "DELETE, OPTIONS"),
        ("PATCH", "/api/cipher/sync", "GET, HEAD, POST, OPTIONS"),
        ("DELETE", "/api/cipher", "GET, HEAD, PUT, OPTIONS"),
        ("PUT", "/api/cipher/x", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("POST", "/api/auth/verifyEmail", "GET, HEAD, OPTIONS"),
        ("POST", "/actuator/info", "GET, HEAD, OPTIONS"),
    ] {
        let answer = world.client().request(method, path).send().await;
        if method == "HEAD" {
            assert_eq!((answer.status, &*answer.body), (405, &b""[..]));
        } else {
            answer.fails(405, "LP-Invalid-Body").says("method not allowed");
        }
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
        let answer = world.client().request("OPTIONS", path).send().await;
        assert_eq!((answer.status, answer.header("allow")), (204, Some(allow)));
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn apps_find_the_group_that_they_look_for() {
    let world = World::new().await;
    let answer = world.client().get("/actuator/info").send().await;
    assert_eq!(answer.ok()["build"]["group"], "dev.medzik.librepass");
    assert!(String::from_utf8_lossy(&answer.body).contains(r#""group":"dev.medzik.librepass""#));
}

/// Upstream redirects to an icon service. Here it is one more id that is none.
#[tokio::test]
async fn icons_of_sites_are_not_served() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let path = "/api/cipher/icon?domain=example.org";
    let stranger = world.client().get(path).send().await;
    stranger.fails(401, "LP-Invalid-Token");
    let owner = world.client_of(&alice()).await.get(path).send().await;
    owner.fails(400, "LP-Invalid-Body");
    assert_eq!((stranger.header("location"), owner.header("location")), (None, None));
}

#[tokio::test]
async fn whoever_is_beyond_the_hosts_limit_is_told_before_anything_is_looked_at() {
    let world = World::with(policy()).await;
    *world.host.full.lock().unwrap() = Some("peer".into());
    for (method, path) in [
        ("GET", "/api/auth/preLogin"),
        ("POST", "/api/auth/register"),
        ("POST", "/api/auth/oauth"),
        ("PATCH", "/api/user/password"),
        ("GET", "/api/user/verifyNewEmail"),
    ] {
        world.client().request(method, path).raw("{").send().await.waits(17);
    }
}

/// What `GET` would be answered, without its body, and without anything that it does.
#[tokio::test]
async fn head_has_the_headers_of_get_and_records_nothing() {
    let world = World::new().await;
    world.settle(&alice()).await;
    let (client, other) = (world.client_of(&alice()).await, world.client_of(&alice()).await);
    let collection = json!({"id": "00000000-0000-4000-8000-000000000001", "name": "one"});
    client.request("PUT", "/api/collection").json(&collection).send().await.ok();
    for path in [
        "/api/auth/preLogin?email=",
        "/api/cipher",
        "/api/cipher/sync?lastSync=0",
        "/api/cipher/00000000-0000-4000-8000-000000000001",
        "/api/collection",
        "/api/collection/00000000-0000-4000-8000-000000000001",
        "/api/auth/confirmLogin",
        "/actuator/info",
    ] {
        let before = world.scan().await;
        let head = client.request("HEAD", path).send().await;
        // A full read by GET is recorded with the token; by HEAD nothing is.
        assert_eq!(world.scan().await, before, "{path}");
        let get = other.get(path).send().await;
        assert_eq!((head.status, head.header("content-type")), (get.status, get.header("content-type")), "{path}");
        assert_eq!((head.header("content-length"), &*head.body), (Some(&*get.body.len().to_string()), &b""[..]));
    }
    // What has a mail sent is not done.
    for path in ["passwordHint", "resendVerificationEmail"] {
        let mails = world.host.mails().len();
        let path = format!("/api/auth/{path}?email={}", alice().email);
        let head = client.request("HEAD", &path).send().await;
        assert_eq!((head.status, world.host.mails().len()), (200, mails));
    }
}
