//! Events that clients can cause at will do not flood the log (`docs/security.md` § 3).

use crate::support::{DELETE, Export, Outcome, World, asked, denied, granted, wrong};
use keywright_core::SessionId;

#[tokio::test]
async fn a_flood_of_requests_writes_an_event_an_hour() {
    let world = World::new().await;
    for nth in 0..250_u32 {
        world.begin_code(&DELETE, SessionId::new(nth.to_be_bytes())).await;
        world.wait(DELETE, SessionId::new(nth.to_be_bytes())).await;
    }
    assert_eq!(world.changes().await, [asked()]);
    world.advance(3_599);
    world.begin_code(&DELETE, SessionId::new("s")).await;
    assert_eq!(world.changes().await, [asked()]);
    world.advance(1);
    world.begin_code(&DELETE, SessionId::new("s")).await;
    let with_count = "confirmation_asked (action: test.delete, earlier: 500)".to_owned();
    assert_eq!(world.changes().await, [asked(), with_count]);
}

#[tokio::test]
async fn a_flood_of_wrong_codes_writes_an_event_an_hour_for_each_reason() {
    let world = World::new().await;
    for _ in 0..40 {
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        for _ in 0..4 {
            assert_eq!(world.code(DELETE, SessionId::new("s"), &wrong(&code)).await, Outcome::Denied);
        }
        world.wait(DELETE, SessionId::new("w")).await;
        world.wait(DELETE, SessionId::new("w")).await;
    }
    assert_eq!(world.denials().await, [denied("wrong"), denied("early")]);
    // The next commit after the hour emits the events that were only counted.
    world.advance(3_600);
    world.begin_code(&DELETE, SessionId::new("s")).await;
    let counted = |reason: &str, earlier: u32| {
        format!("confirmation_denied (action: test.delete, reason: {reason}, earlier: {earlier})")
    };
    assert_eq!(world.denials().await[2..], [counted("wrong", 159), counted("early", 78)]);
}

#[tokio::test]
async fn grants_are_told_one_by_one_and_actions_apart() {
    let world = World::new().await;
    for _ in 0..3 {
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
    }
    world.begin_code(&Export(DELETE), SessionId::new("s")).await;
    let export = "confirmation_asked (action: test.export)".to_owned();
    assert_eq!(world.changes().await, [asked(), granted(), granted(), granted(), export]);
}
