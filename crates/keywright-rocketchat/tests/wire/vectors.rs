//! All cases of `tests/data/rocket-chat-errors.json`, as `docs/decisions.md` 27b reads them: where a case has
//! alternatives, ours is the alternative.

use std::sync::atomic::Ordering;

use http::Request;
use keywright_rocketchat::RocketChatPolicy;
use serde_json::{Value, json};

use crate::support::{ADMIN, Answer, Call, FEDERATED, Person, TARGET, USER, World};

const VECTORS: &str = include_str!("../data/rocket-chat-errors.json");

/// The world that a case is given.
async fn world(id: &str) -> World {
    let world = match id {
        "totp-required-two-methods" => World::new().await.with_email(ADMIN).await,
        "email-required-new-code" | "email-required-pending-code" | "email-max-attempts" => World::email_only().await,
        "password-required" | "password-invalid" | "success-password" | "success-nothing-enrolled" => {
            World::password_only().await
        }
        "success-2fa-switched-off" => {
            let policy = RocketChatPolicy::builder().enabled(false).build().unwrap();
            World::with(policy).await
        }
        _ => World::new().await,
    };
    match id {
        "email-required-pending-code" => prepare_email(&world, 0).await,
        "email-max-attempts" => prepare_email(&world, 4).await,
        "success-nothing-enrolled" => world.host.change(ADMIN.id, |user| user.has_password = false),
        "mail-failure" => world.host.mail_down.store(true, Ordering::SeqCst),
        "totp-replayed" => {
            world.client(ADMIN).reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
        }
        "backup-code-reused" => {
            world.client(ADMIN).reset_of(TARGET.id).code(&ADMIN.recovery_code(0)).send().await.succeeds();
        }
        "not-remembered" => {
            world.client(ADMIN).reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
        }
        "too-many-requests" => {
            world.host.limited.store(true, Ordering::SeqCst);
            for _ in 0..10 {
                world.client(USER).reset().send().await.fails("totp-required");
            }
        }
        _ => {}
    }
    world
}

async fn prepare_email(world: &World, wrong: usize) {
    world.client(ADMIN).reset().send().await.fails("totp-required");
    assert_ne!(world.host.last_code(), "000-000");
    for _ in 0..wrong {
        world.client(ADMIN).reset().code("000000").method("email").send().await.fails("totp-invalid");
    }
}

/// Fills in the placeholders.
fn fill(world: &World, caller: Person, text: &str) -> String {
    let swapped: String = ADMIN
        .recovery_code(0)
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    match text {
        "ADMIN_ID" => ADMIN.id.into(),
        "USER_ID" => USER.id.into(),
        "TARGET_ID" => TARGET.id.into(),
        "FEDERATED_ID" => FEDERATED.id.into(),
        "ADMIN_TOKEN" => ADMIN.token(),
        "USER_TOKEN" => USER.token(),
        "VALID_TOTP" | "USED_TOTP" => world.totp(caller),
        "WRONG_TOTP" => world.wrong_totp(caller),
        "USED_BACKUP_CODE" | "UNUSED_BACKUP_CODE" => ADMIN.recovery_code(0),
        "BACKUP_CODE_CASE_SWAPPED" => swapped,
        "PASSWORD_SHA256_HEX" => ADMIN.password(),
        "PASSWORD_SHA256_HEX_UPPER" => ADMIN.password().to_uppercase(),
        other => other.into(),
    }
}

fn fill_json(world: &World, caller: Person, value: &Value) -> Value {
    match value {
        Value::String(text) => json!(fill(world, caller, text)),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), fill_json(world, caller, value))).collect()
        }
        other => other.clone(),
    }
}

async fn send(world: &World, request: &Value) -> Answer {
    let caller = if request["headers"]["x-user-id"] == "USER_ID" { USER } else { ADMIN };
    let mut builder =
        Request::builder().method(request["method"].as_str().unwrap()).uri(request["path"].as_str().unwrap());
    for (name, value) in request["headers"].as_object().unwrap() {
        builder = builder.header(name, fill(world, caller, value.as_str().unwrap()));
    }
    let body = match request["raw_body"].as_str() {
        Some(raw) => raw.into(),
        None if request["body"].is_null() => String::new(),
        None => fill_json(world, caller, &request["body"]).to_string(),
    };
    Answer::check(world.app.handle(builder.body(body.into_bytes()).unwrap()).await)
}

/// Puts the expected placeholder where an answer has the form that the placeholder represents.
fn normalise(mut body: Value) -> Value {
    if let Some(expires) = body["details"].get("codeExpires").and_then(Value::as_str) {
        let form: String = expires.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(form, "0000-00-00T00:00:00.000Z");
        body["details"]["codeExpires"] = json!("2030-01-01T00:00:00.000Z");
    }
    if let Some(error) = body["error"].as_str().and_then(|error| error.split_once("You must wait ")) {
        let (number, rest) = error.1.split_once(' ').unwrap();
        assert!(number.parse::<u64>().is_ok());
        body["error"] = json!(format!("{}You must wait 42 {rest}", error.0));
    }
    body
}

#[tokio::test]
async fn all_47_cases() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 47);
    for case in cases {
        let id = case["id"].as_str().unwrap();
        let world = world(id).await;
        let (mails, finds) = (world.host.codes(), world.host.calls().len());
        let answer = send(&world, &case["request"]).await;
        let expected = case["alternatives"].get(0).unwrap_or(&case["expect"]);
        assert_eq!(u64::from(answer.status), expected["status"].as_u64().unwrap(), "{id}: {answer:?}");
        if case["match"] == "status, success and errorType" {
            for member in ["success", "errorType"] {
                assert_eq!(answer.json()[member], expected["body"][member], "{id}: {answer:?}");
            }
        } else {
            assert_eq!(normalise(answer.json()), expected["body"], "{id}: {answer:?}");
        }
        side_effects(&world, id, &answer, mails, finds).await;
    }
}

/// Checks what a case specifies beyond its answer.
async fn side_effects(world: &World, id: &str, answer: &Answer, mails: usize, calls: usize) {
    let host = &world.host;
    match id {
        "unauthenticated-before-code" | "unknown-property" | "json-sent-as-form" | "malformed-json" => {
            // The code is not consumed.
            world.client(ADMIN).reset().code(&world.totp(ADMIN)).send().await.succeeds();
        }
        "email-required-new-code" => {
            assert_eq!(host.codes(), mails + 1);
            assert!(matches!(&host.calls()[calls], Call::Code { to, .. } if to == &[ADMIN.email]));
        }
        "email-required-pending-code" => assert_eq!(host.codes(), mails, "no mail"),
        "mail-failure" => {
            assert_eq!(host.removals(), 0, "keys untouched");
            assert!(world.client(TARGET).is_in().await, "sessions untouched");
        }
        "federated-target" => assert_eq!((host.notices(), host.removals()), (0, 0), "no false notice"),
        "invalid-user-before-permission" | "not-allowed" => {
            assert_eq!(host.count(|call| *call == Call::Find), 0, "nobody is looked up without the permission");
        }
        "too-many-requests" => {
            assert_eq!(answer.header("x-ratelimit-limit"), Some("10"));
            assert_eq!(answer.header("x-ratelimit-remaining"), Some("0"));
            assert_eq!(answer.header("x-ratelimit-reset"), Some("1800000060000"), "milliseconds");
        }
        "success-other" => {
            assert_eq!(
                host.calls()[calls..],
                [
                    Call::Find,
                    Call::Notice { to: vec![TARGET.email.into()], keys: true },
                    Call::RemoveKeys(TARGET.account().as_str().into()),
                ]
            );
            assert!(!world.client(TARGET).is_in().await, "all of the target's tokens gone");
            assert!(world.client(ADMIN).is_in().await);
        }
        "success-own-empty-body" | "success-own-no-body" | "success-own-zero-length-json" => {
            assert_eq!(host.calls()[calls..], [Call::RemoveKeys(USER.account().as_str().into())], "no notice mail");
            assert!(!world.client(USER).is_in().await, "caller's own token is dead afterwards");
        }
        _ => {}
    }
}
