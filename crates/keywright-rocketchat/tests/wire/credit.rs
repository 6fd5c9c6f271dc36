//! A notice that fails does not cost the administrator's code (`docs/decisions.md` 28a).

use std::sync::atomic::Ordering;

use keywright_rocketchat::CREDIT_SECONDS;
use serde_json::json;

use crate::support::{ADMIN, Client, TARGET, USER, World};

/// A world in which the notice to the target has failed, and the code that it failed with.
async fn failed(email: bool) -> (World, Client, String) {
    let world = if email { World::email_only().await } else { World::new().await };
    let client = world.client(ADMIN);
    if email {
        client.reset_of(TARGET.id).send().await.fails("totp-required");
    }
    let code = if email { world.host.last_code() } else { world.totp(ADMIN) };
    world.host.mail_down.store(true, Ordering::SeqCst);
    client.reset_of(TARGET.id).code(&code).send().await.fails("error-email-send-failed");
    (world, client, code)
}

#[tokio::test]
async fn the_same_code_passes_again_until_the_notice_goes_out() {
    for email in [false, true] {
        let (world, client, code) = failed(email).await;
        for _ in 0..3 {
            client.reset_of(TARGET.id).code(&code).send().await.fails("error-email-send-failed");
        }
        assert_eq!((world.host.removals(), world.charged(ADMIN, "totp").await), (0, 0));
        world.host.mail_down.store(false, Ordering::SeqCst);
        client.reset_of(TARGET.id).code(&code).send().await.succeeds();
        client.reset_of(TARGET.id).code(&code).send().await.fails("totp-invalid");
        assert_eq!((world.host.removals(), world.host.notices()), (1, 1));
        assert_eq!(world.count_events(ADMIN, "step_up_granted").await, 5);
    }
}

#[tokio::test]
async fn it_is_for_this_session_act_target_and_code_alone() {
    let (world, client, code) = failed(false).await;
    world.host.mail_down.store(false, Ordering::SeqCst);
    let other = world.other_client(ADMIN, 1);
    other.reset_of(TARGET.id).code(&code).send().await.fails("totp-invalid");
    client.reset_of(USER.id).code(&code).send().await.fails("totp-invalid");
    client.reset().code(&code).send().await.fails("totp-invalid");
    let totp = client.post("users.resetTOTP").json(&json!({"userId": TARGET.id}));
    totp.code(&code).send().await.fails("totp-invalid");
    let by_name = client.post("users.resetE2EKey").json(&json!({"username": TARGET.name}));
    by_name.code(&code).send().await.fails("totp-invalid");
    client.reset_of(TARGET.id).code(&world.wrong_totp(ADMIN)).send().await.fails("totp-invalid");
    client.reset_of(TARGET.id).send().await.fails("totp-required");
    assert_eq!(world.host.removals(), 0);
    client.reset_of(TARGET.id).code(&code).send().await.succeeds();
}

#[tokio::test]
async fn it_ends_after_five_minutes_however_often_it_was_used() {
    let (world, client, code) = failed(false).await;
    world.clock.advance(CREDIT_SECONDS - 1);
    client.reset_of(TARGET.id).code(&code).send().await.fails("error-email-send-failed");
    world.clock.advance(1);
    world.host.mail_down.store(false, Ordering::SeqCst);
    client.reset_of(TARGET.id).code(&code).send().await.fails("totp-invalid");
    assert_eq!(world.host.removals(), 0);
}

#[tokio::test]
async fn it_ends_with_the_epochs() {
    let (world, client, code) = failed(false).await;
    world.of(ADMIN.account()).move_epoch(keywright_testing::Epoch::Factor).await;
    world.host.mail_down.store(false, Ordering::SeqCst);
    client.reset_of(TARGET.id).code(&code).send().await.fails("totp-invalid");
}

/// What the caller could have known costs the code as before.
#[tokio::test]
async fn a_target_that_does_not_exist_costs_the_code() {
    let world = World::new().await;
    let (client, code) = (world.client(ADMIN), world.totp(ADMIN));
    client.reset_of("nobody").code(&code).send().await.fails("error-invalid-user");
    client.reset_of("nobody").code(&code).send().await.fails("totp-invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_repetitions_at_once_one_acts() {
    let (world, client, code) = failed(false).await;
    world.host.mail_down.store(false, Ordering::SeqCst);
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..32 {
        set.spawn(client.reset_of(TARGET.id).code(&code).send());
    }
    let answers = set.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    assert_eq!((world.host.removals(), world.host.notices()), (1, 1));
}
