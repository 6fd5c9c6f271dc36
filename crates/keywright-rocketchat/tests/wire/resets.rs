//! The two resets: whose, in which order, and what is left.

use std::sync::atomic::Ordering;

use keywright_rocketchat::{Permission, RocketChatPolicy};
use serde_json::json;

use crate::support::{ADMIN, Call, FEDERATED, TARGET, USER, World};

fn notice(keys: bool) -> Call {
    Call::Notice { to: vec![TARGET.email.into()], keys }
}

#[tokio::test]
async fn weakness_13_who_lacks_the_permission_learns_of_nobody() {
    let world = World::new().await;
    let client = world.client(USER);
    let bodies = [json!({"userId": TARGET.id}), json!({"userId": "nobody"}), json!({"username": ""})];
    let mut answers = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        for path in ["users.resetE2EKey", "users.resetTOTP"] {
            let code = if path == "users.resetTOTP" { USER.recovery_code(n) } else { USER.recovery_code(n + 6) };
            let answer = client.post(path).json(body).code(&code).send().await;
            answers.push((answer.status, answer.json()));
        }
    }
    let refused =
        json!({"success": false, "error": "Not allowed [error-not-allowed]", "errorType": "error-not-allowed"});
    assert!(answers.iter().all(|answer| *answer == (400, refused.clone())), "{answers:?}");
    assert_eq!(world.host.calls(), [], "nobody was looked up, mailed or reset");
}

#[tokio::test]
async fn naming_oneself_is_naming_a_user() {
    let world = World::new().await;
    world.host.permit(&USER.account(), Permission::EditOtherUserE2ee);
    let answer = world.client(USER).reset_of(USER.id).code(&world.totp(USER)).send().await;
    answer.succeeds();
    let account: String = USER.account().as_str().into();
    let to = vec![USER.email.into()];
    assert_eq!(world.host.calls(), [Call::Find, Call::Notice { to, keys: true }, Call::RemoveKeys(account)]);
    for kind in ["end_to_end_keys_reset", "logins_ended"] {
        assert_eq!(world.count_events(USER, kind).await, 1, "{kind}");
    }
    assert!(!world.client(USER).is_in().await);
}

#[tokio::test]
async fn a_target_without_an_address_gets_no_mail_and_that_is_no_error() {
    let world = World::new().await;
    world.host.change(TARGET.id, |user| user.verified_emails.clear());
    world.host.mail_down.store(true, Ordering::SeqCst);
    world.client(ADMIN).reset_of(TARGET.id).code(&world.totp(ADMIN)).send().await.succeeds();
    assert_eq!(world.host.removals(), 1);
}

#[tokio::test]
async fn reset_totp_of_another() {
    let world = World::new().await.with_email(TARGET).await;
    let client = world.client(ADMIN);
    let request = |code: &str| client.post("users.resetTOTP").json(&json!({"username": "TARGET"})).code(code);
    request("").send().await.fails("totp-required");
    request(&world.wrong_totp(ADMIN)).send().await.fails("totp-invalid");
    assert_eq!(world.codes_left(TARGET).await, Some(12));
    request(&world.totp(ADMIN)).send().await.succeeds();
    let account: String = TARGET.account().as_str().into();
    assert_eq!(world.host.calls(), [Call::Find, notice(false), Call::EndLogins(account, None)]);
    assert!(!world.client(TARGET).is_in().await, "personal access tokens included");
    let left = world.step(TARGET, |draft| world.factors().enrolled_in(draft)).await;
    assert!(!left.has_totp() && left.recovery.is_none() && left.email, "{left:?}");
    for (kind, count) in [("factor_removed", 1), ("logins_ended", 1), ("end_to_end_keys_reset", 0)] {
        assert_eq!(world.count_events(TARGET, kind).await, count, "{kind}");
    }
    assert_eq!(world.codes_left(ADMIN).await, Some(12), "the caller keeps theirs");
}

#[tokio::test]
async fn reset_totp_of_ones_own_is_one_commit_and_no_mail() {
    let world = World::new().await;
    world.client(USER).post("users.resetTOTP").code(&world.totp(USER)).send().await.succeeds();
    assert_eq!(world.host.calls(), [Call::EndLogins(USER.account().as_str().into(), None)]);
    assert_eq!(world.codes_left(USER).await, None);
    assert!(!world.client(USER).is_in().await);
}

#[tokio::test]
async fn reset_totp_needs_two_factor_and_its_own_permission() {
    let policy = RocketChatPolicy::builder().enabled(false).build().unwrap();
    let world = World::with(policy).await;
    let answer = world.client(ADMIN).post("users.resetTOTP").send().await;
    answer.fails("error-two-factor-not-enabled");
    assert_eq!(world.codes_left(ADMIN).await, Some(12));
    let world = World::new().await;
    world.host.forbid(&ADMIN.account(), Permission::EditOtherUserTotp);
    let request = world.client(ADMIN).post("users.resetTOTP").json(&json!({"userId": TARGET.id}));
    request.code(&world.totp(ADMIN)).send().await.fails("error-not-allowed");
}

#[tokio::test]
async fn weakness_11_a_federated_target_is_refused_before_it_is_told_of_anything() {
    let world = World::new().await;
    for (path, code) in [("users.resetE2EKey", 0), ("users.resetTOTP", 1)] {
        let request = world.client(ADMIN).post(path).json(&json!({"user": FEDERATED.name}));
        let answer = request.code(&ADMIN.recovery_code(code)).send().await;
        answer.is(
            400,
            json!({
                "success": false,
                "error": "Federated Users cant have TOTP [error-not-allowed]",
                "errorType": "error-not-allowed",
                "details": {"function": "resetTOTP"},
            }),
        );
    }
    assert_eq!((world.host.notices(), world.codes_left(FEDERATED).await), (0, Some(12)));
}

#[tokio::test]
async fn weakness_9_who_has_nothing_to_prove_does_not_pass() {
    let world = World::password_only().await;
    world.host.change(ADMIN.id, |user| user.has_password = false);
    let before = world.scan().await;
    let client = world.client(ADMIN);
    for code in ["", "123456", &ADMIN.password(), &ADMIN.recovery_code(0)] {
        for request in [client.reset(), client.reset_of(TARGET.id), client.post("users.2fa.disableEmail")] {
            let answer = request.code(code).send().await;
            let expected = if code.is_empty() { "totp-required" } else { "totp-invalid" };
            answer.fails(expected);
            assert_eq!(answer.json()["details"]["availableMethods"], json!([]));
        }
    }
    assert_eq!((world.scan().await, world.host.calls()), (before, vec![]), "nothing is asked, nothing written");
}

#[tokio::test]
async fn a_code_for_another_account_is_spent_by_the_caller_alone() {
    let world = World::new().await;
    world.client(ADMIN).reset_of(TARGET.id).code(&ADMIN.recovery_code(3)).send().await.succeeds();
    assert_eq!((world.codes_left(ADMIN).await, world.codes_left(TARGET).await), (Some(11), Some(12)));
    // The target's own code proves nothing for the caller.
    world.client(ADMIN).reset_of(TARGET.id).code(&TARGET.recovery_code(0)).send().await.fails("totp-invalid");
    assert_eq!(world.count_events(ADMIN, "step_up_granted").await, 1);
}

#[tokio::test]
async fn other_logins_of_a_reset_account_are_dead_and_a_new_one_works() {
    let world = World::new().await;
    let other = world.other_client(USER, 1);
    world.client(USER).reset().code(&world.totp(USER)).send().await.succeeds();
    assert!(!other.is_in().await);
    let fresh = world.other_client(USER, 2);
    assert!(fresh.is_in().await);
    fresh.reset().code(&USER.recovery_code(0)).send().await.succeeds();
    assert_eq!(world.host.removals(), 2);
}
