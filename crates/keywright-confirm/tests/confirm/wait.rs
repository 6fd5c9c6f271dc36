//! A password and a random wait. The wire adapter checks the password.

use keywright_confirm::ConfirmPolicy;
use keywright_core::SessionId;

use crate::support::{DELETE, Delete, World, asked, denied, granted};

/// 5 to 10 seconds, all equally likely.
#[tokio::test]
async fn asvs_2_4_2_waits_are_random_within_their_bounds() {
    let world = World::new().await;
    let mut seen = [0_u32; 11];
    for _ in 0..3_000 {
        let wait = world.confirmations.begin_wait(&world.account, &DELETE, SessionId::new("s")).await.unwrap();
        assert_eq!(wait.earliest().get(), world.now() + wait.seconds());
        assert_eq!(wait.latest().get(), wait.earliest().get() + 60);
        seen[usize::try_from(wait.seconds()).unwrap()] += 1;
    }
    assert_eq!(seen[..5], [0; 5]);
    // 500 each; five standard deviations are 102.
    assert!(seen[5..].iter().all(|count| (395..605).contains(count)), "{seen:?}");
}

/// `docs/decisions.md` 22b: from the end of the wait (inclusive) to 60 s later (exclusive).
#[tokio::test]
async fn owasp_txauth_2_9_the_window_is_exact() {
    for (after, in_time) in [(-1_i64, false), (0, true), (59, true), (60, false)] {
        let world = World::new().await;
        let (_, earliest) = world.wait(DELETE, SessionId::new("s")).await.expect("the first request begins a wait");
        let now = earliest.checked_add_signed(after).unwrap();
        world.set(now);
        let outcome = world.wait(DELETE, SessionId::new("s")).await;
        assert_eq!(outcome.is_none(), in_time, "{after}");
        if let Some((seconds, earliest)) = outcome {
            assert!((5..=10).contains(&seconds));
            assert_eq!(earliest, now + seconds, "a new wait, from now on");
        }
        let denials = match after {
            -1 => vec![denied("early")],
            60 => vec![denied("expired")],
            _ => Vec::new(),
        };
        assert_eq!(world.denials().await, denials);
        // The second event within the hour is only counted.
        let changes = if denials.is_empty() { vec![asked(), granted()] } else { vec![asked()] };
        assert_eq!(world.changes().await, changes);
    }
}

#[tokio::test]
async fn asvs_2_3_4_a_wait_is_used_once() {
    let world = World::new().await;
    let (_, earliest) = world.wait(DELETE, SessionId::new("s")).await.unwrap();
    world.set(earliest);
    assert_eq!(world.wait(DELETE, SessionId::new("s")).await, None);
    assert!(world.wait(DELETE, SessionId::new("s")).await.is_some());
}

#[tokio::test]
async fn another_session_or_action_waits_for_itself() {
    let world = World::new().await;
    let (_, earliest) = world.wait(DELETE, SessionId::new("s")).await.unwrap();
    world.set(earliest);
    assert!(world.wait(DELETE, SessionId::new("other")).await.is_some());
    assert_eq!(world.wait(DELETE, SessionId::new("s")).await, None);
}

#[tokio::test]
async fn owasp_txauth_2_6_other_parameters_begin_a_new_wait() {
    let world = World::new().await;
    let (_, earliest) = world.wait(DELETE, SessionId::new("s")).await.unwrap();
    world.set(earliest);
    let changed = Delete { parameters: "more", ..DELETE };
    let (_, earliest) = world.wait(changed.clone(), SessionId::new("s")).await.unwrap();
    assert!(world.wait(DELETE, SessionId::new("s")).await.is_some(), "the old one is gone");
    world.set(earliest);
    assert!(
        world.wait(changed, SessionId::new("s")).await.is_some(),
        "and so is the changed one, by asking for the old"
    );
}

#[tokio::test]
async fn a_wait_without_spread() {
    let policy = ConfirmPolicy::builder().wait_min_seconds(7).wait_max_seconds(7).build().unwrap();
    let world = World::with(policy, 5).await;
    assert_eq!(world.wait(DELETE, SessionId::new("s")).await.map(|(seconds, _)| seconds), Some(7));
}
