//! Whatever is sent: a defined answer, nothing spent, nothing written.

use http::Request;
use serde_json::json;

use crate::support::{ADMIN, Answer, TARGET, USER, World};

#[tokio::test]
async fn weakness_10_bodies_that_are_no_parameters_spend_nothing() {
    let world = World::new().await;
    let (client, code, before) = (world.client(ADMIN), world.totp(ADMIN), world.scan().await);
    let extra = "must NOT have additional properties";
    let json_type = "application/json";
    let form = "application/x-www-form-urlencoded";
    let deep = "[".repeat(10_000);
    for (kind, body, error) in [
        (json_type, "{", "must be valid JSON"),
        (json_type, " ", "must be valid JSON"),
        (json_type, "{} {}", "must be valid JSON"),
        (json_type, "{\"userId\":\"\u{0}\"}", "must be valid JSON"),
        (json_type, &deep, "must be valid JSON"),
        (json_type, "null", "must be object"),
        (json_type, "\"userId\"", "must be object"),
        (json_type, "17", "must be object"),
        (json_type, r#"[{"userId":"a"}]"#, "must be object"),
        (json_type, r#"{"userId":null}"#, "must be string"),
        (json_type, r#"{"userId":17}"#, "must be string"),
        (json_type, r#"{"userId":["a"]}"#, "must be string"),
        (json_type, r#"{"user":true}"#, "must be string"),
        (json_type, r#"{"UserId":"a"}"#, extra),
        (json_type, r#"{"__proto__":{}}"#, extra),
        (json_type, r#"{"userId":1,"x":2}"#, "must NOT have additional properties\nmust be string"),
        (form, "userId=TargetTargetTarge", extra),
        (form, "{}", extra),
        ("text/plain", r#"{"userId":"a"}"#, extra),
        ("multipart/form-data; boundary=x", "--x--", extra),
        ("", r#"{"userId":"a"}"#, extra),
    ] {
        for path in ["users.resetE2EKey", "users.resetTOTP"] {
            let answer = client.post(path).raw(kind, body).code(&code).send().await;
            answer.is(400, json!({"success": false, "errorType": "invalid-params", "error": error}));
        }
    }
    assert_eq!(world.scan().await, before);
    client.reset().code(&code).send().await.succeeds();
}

#[tokio::test]
async fn other_endpoints_have_shapes_too() {
    let world = World::new().await;
    let (client, before) = (world.client(USER), world.scan().await);
    let code = world.totp(USER);
    for path in ["users.validateTotp", "users.disableTotp", "users.regenerateTotpCodes"] {
        for body in
            [json!({}), json!({"code": 123_456}), json!({"code": null}), json!({"code": code, "x": 1}), json!([])]
        {
            client.post(path).json(&body).send().await.fails("invalid-params");
        }
    }
    for path in ["users.enableTotp", "users.2fa.enableEmail", "users.2fa.disableEmail"] {
        client.post(path).json(&json!({"code": code})).code(&code).send().await.fails("invalid-params");
    }
    for body in [json!({}), json!({"emailOrUsername": 1}), json!({"emailOrUsername": "a", "b": "c"})] {
        client.post("users.2fa.sendEmailCode").json(&body).send().await.fails("invalid-params");
    }
    assert_eq!(world.scan().await, before);
}

#[tokio::test]
async fn repeated_headers_spend_nothing() {
    let world = World::new().await;
    let (client, code, before) = (world.client(ADMIN), world.totp(ADMIN), world.scan().await);
    let repeated = json!({"success": false, "errorType": "invalid-params", "error": "must NOT have repeated headers"});
    client.reset().code(&code).code(&code).send().await.is(400, repeated.clone());
    client.reset().code(&code).code("").send().await.is(400, repeated.clone());
    client.reset().code(&code).method("totp").method("email").send().await.is(400, repeated);
    for (name, value) in [("x-user-id", ADMIN.id.to_owned()), ("x-auth-token", ADMIN.token())] {
        assert_eq!(client.reset().code(&code).header(name, value).send().await.status, 401);
    }
    assert_eq!(world.scan().await, before);
    client.reset().code(&code).send().await.succeeds();
}

/// Readers of every age: the one body has the members of all.
#[tokio::test]
async fn who_is_not_logged_in_gets_one_answer() {
    let world = World::new().await;
    let text = "You must be logged in to do this.";
    let expected = json!({"success": false, "error": text, "status": "error", "message": text});
    let long = "t".repeat(2_000);
    for (id, token) in [
        (None, None),
        (Some(ADMIN.id), None),
        (None, Some(ADMIN.token())),
        (Some(ADMIN.id), Some(String::new())),
        (Some(""), Some(ADMIN.token())),
        (Some(USER.id), Some(ADMIN.token())),
        (Some(ADMIN.name), Some(ADMIN.token())),
        (Some(ADMIN.id), Some(long)),
        (Some("adminadminadminad"), Some(ADMIN.token())),
    ] {
        for (method, path) in [
            ("POST", "users.resetE2EKey"),
            ("POST", "users.resetTOTP"),
            ("POST", "users.enableTotp"),
            ("POST", "users.validateTotp"),
            ("POST", "users.disableTotp"),
            ("POST", "users.regenerateTotpCodes"),
            ("GET", "users.totpCodesRemaining"),
            ("POST", "users.2fa.enableEmail"),
            ("POST", "users.2fa.disableEmail"),
        ] {
            let mut request = Request::builder().method(method).uri(format!("/api/v1/{path}"));
            for (name, value) in [("x-user-id", id), ("x-auth-token", token.as_deref())] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let answer = Answer::check(world.app.handle(request.body(Vec::new()).unwrap()).await);
            answer.is(401, expected.clone());
        }
    }
}

#[tokio::test]
async fn a_login_without_a_username_is_let_in_nowhere() {
    let world = World::new().await;
    world.host.change(USER.id, |user| user.username = None);
    let answer = world.client(USER).reset().code(&world.totp(USER)).send().await;
    answer.is(400, json!({"success": false, "error": "[error-unauthorized]", "errorType": "error-unauthorized"}));
    assert_eq!(world.host.removals(), 0);
}

#[tokio::test]
async fn only_the_right_method_and_path_act() {
    let world = World::new().await;
    let (client, code) = (world.client(USER), world.totp(USER));
    for method in ["GET", "HEAD", "PUT", "DELETE", "PATCH"] {
        let answer = client.request(method, "users.resetE2EKey").code(&code).send().await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")), "{method}");
    }
    assert_eq!(client.request("POST", "users.totpCodesRemaining").send().await.header("allow"), Some("GET, OPTIONS"));
    let answer = client.request("OPTIONS", "users.resetE2EKey").code(&code).send().await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    for path in ["users.resetE2EKey/", "users.resetE2Ekey", "users.resetE2EKey%20", "", "../v1/users.resetE2EKey"] {
        assert_eq!(client.request("POST", path).code(&code).send().await.status, 404, "{path}");
    }
    client.request("POST", "users.resetE2EKey?userId=TargetTargetTarge").code(&code).send().await.succeeds();
    assert!(world.client(TARGET).is_in().await, "a query names nobody");
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413_in_the_protocols_form() {
    let policy = keywright_rocketchat::RocketChatPolicy::builder().max_body(1_024).build().unwrap();
    let world = World::with(policy).await;
    let (client, code) = (world.client(ADMIN), world.totp(ADMIN));
    let answer = client.post("users.resetE2EKey").json(&json!({"userId": "x".repeat(1_100)})).code(&code).send().await;
    assert_eq!((answer.status, answer.json()["errorType"].as_str()), (413, Some("invalid-params")));
    client.reset().code(&code).send().await.succeeds();
}

#[tokio::test]
async fn names_of_any_kind_are_looked_up_and_nothing_else() {
    let world = World::new().await;
    for (n, name) in
        ["'; --", "../..", "\u{202e}", "x".repeat(100_000).as_str(), " Target", "Target "].iter().enumerate()
    {
        let request = world.client(ADMIN).post("users.resetE2EKey").json(&json!({"username": name}));
        request.code(&ADMIN.recovery_code(n)).send().await.fails("error-invalid-user");
    }
    assert_eq!(world.host.removals(), 0);
}
