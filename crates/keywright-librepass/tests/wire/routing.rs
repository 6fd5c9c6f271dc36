//! Paths, methods, HEAD, OPTIONS, and what apps request first.

use serde_json::json;

use crate::support::{World, policy};

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405() {
    let world = World::new().await;
    for path in ["/", "/api/", "/api", "/api/auth", "/api/auth/preLogin/", "/api/user/password/x", "/api/collection"] {
        world.client().get(path).send().await.is(404, json!({"error": "LP-404", "status": 404}));
    }
    for (method, path, allow) in [
        ("POST", "/api/auth/preLogin?email=", "GET, OPTIONS"),
        ("HEAD", "/api/auth/preLogin?email=", "GET, OPTIONS"),
        ("GET", "/api/auth/register", "POST, OPTIONS"),
        ("PUT", "/api/auth/oauth?grantType=login", "POST, OPTIONS"),
        ("POST", "/api/user/email", "PATCH, OPTIONS"),
        ("POST", "/api/user/password", "PATCH, OPTIONS"),
        ("GET", "/api/user/delete", "DELETE, OPTIONS"),
        ("PATCH", "/api/cipher/sync", "GET, POST, OPTIONS"),
        ("DELETE", "/api/cipher", "GET, PUT, OPTIONS"),
        ("PUT", "/api/cipher/x", "GET, PATCH, DELETE, OPTIONS"),
        ("POST", "/api/auth/verifyEmail", "GET, OPTIONS"),
        ("POST", "/actuator/info", "GET, OPTIONS"),
    ] {
        let answer = world.client().request(method, path).send().await;
        answer.fails(405, "LP-Invalid-Body").says("method not allowed");
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
