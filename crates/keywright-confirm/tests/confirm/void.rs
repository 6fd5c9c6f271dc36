//! The events that void a pending confirmation.

use keywright_confirm::Action;
use keywright_core::SessionId;

use crate::support::{DELETE, Delete, Epoch, Export, Mailed, Outcome, START, World, wrong};

const OTHER_TARGET: Delete = Delete { target: "vault-8", ..DELETE };
const OTHER_PARAMETERS: Delete = Delete { parameters: "some", ..DELETE };
/// The same bytes, divided differently.
const SHIFTED: Delete = Delete { target: "vault-7a", parameters: "ll" };

async fn all_deny<A: Action + Clone>(world: &World, action: A, session: SessionId, code: &str, mailed: &str) {
    assert_ne!(world.code(action.clone(), session, code).await, Outcome::Granted);
    assert_ne!(world.mailed(action.clone(), session, mailed).await, Outcome::Granted);
    // The typed code and the wait would share one (action, session), so the wait has its own
    // session here.
    assert!(world.wait(action, SessionId::new("w")).await.is_some());
}

/// There is a code in one session, a mailed one in another, and a wait in a third. After `change`,
/// none of them is granted.
async fn voids<A: Action + Clone>(action: A, sessions: [&str; 3], change: impl AsyncFn(&World)) {
    for attempt in 0..3 {
        let world = World::new().await;
        let code = world.begin_code(&DELETE, SessionId::new("c")).await;
        let mailed = world.begin_mailed(&DELETE, SessionId::new("m")).await.sent();
        let (_, earliest) = world.wait(DELETE, SessionId::new("w")).await.unwrap();
        world.set(earliest);
        change(&world).await;
        let [c, m, w] = sessions.map(SessionId::new);
        match attempt {
            0 => assert_eq!(world.code(action.clone(), c, &code).await, Outcome::Denied),
            1 => assert!(matches!(
                world.mailed(action.clone(), m, &mailed).await,
                Outcome::Denied | Outcome::Charged(..)
            )),
            _ => assert!(world.wait(action.clone(), w).await.is_some()),
        }
    }
}

const SAME: [&str; 3] = ["c", "m", "w"];

#[tokio::test]
async fn the_unchanged_is_granted() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("c")).await;
    let mailed = world.begin_mailed(&DELETE, SessionId::new("m")).await.sent();
    let (_, earliest) = world.wait(DELETE, SessionId::new("w")).await.unwrap();
    world.set(earliest);
    assert_eq!(world.code(DELETE, SessionId::new("c"), &code).await, Outcome::Granted);
    assert_eq!(world.mailed(DELETE, SessionId::new("m"), &mailed).await, Outcome::Granted);
    assert_eq!(world.wait(DELETE, SessionId::new("w")).await, None);
    all_deny(&world, DELETE, SessionId::new("c"), &code, &mailed).await;
}

#[tokio::test]
async fn owasp_txauth_2_6_action_target_and_parameters() {
    voids(Export(DELETE), SAME, async |_: &World| ()).await;
    voids(OTHER_TARGET, SAME, async |_: &World| ()).await;
    voids(OTHER_PARAMETERS, SAME, async |_: &World| ()).await;
    voids(SHIFTED, SAME, async |_: &World| ()).await;
}

#[tokio::test]
async fn asvs_6_6_2_the_session() {
    voids(DELETE, ["c2", "m2", "w2"], async |_: &World| ()).await;
    voids(DELETE, ["m", "c", "c"], async |_: &World| ()).await;
}

#[tokio::test]
async fn both_epochs() {
    voids(DELETE, SAME, async |world: &World| world.move_epoch(Epoch::Credential).await).await;
    voids(DELETE, SAME, async |world: &World| world.move_epoch(Epoch::Factor).await).await;
}

#[tokio::test]
async fn an_erase() {
    voids(DELETE, SAME, async |world: &World| world.erase().await).await;
}

#[tokio::test]
async fn the_key_epoch_does_not() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    world.move_epoch(Epoch::Key).await;
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
}

const HOUR: u64 = 3_600;
const TEN_YEARS: u64 = 315_576_000;

/// Backwards: a confirmation made in the future is void (`docs/security.md` § 8). Forwards:
/// lifetimes and waits pass.
#[tokio::test]
async fn clock_jumps() {
    for back in [HOUR, TEN_YEARS] {
        voids(DELETE, SAME, async |world: &World| world.set(START - back)).await;
    }
    for forward in [HOUR, TEN_YEARS] {
        voids(DELETE, SAME, async |world: &World| world.advance(forward)).await;
    }
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("c")).await;
    world.set(START - 1);
    assert_eq!(world.code(DELETE, SessionId::new("c"), &code).await, Outcome::Denied, "a second is enough");
    world.set(START + 1);
    let code = world.begin_code(&DELETE, SessionId::new("c")).await;
    world.advance(1);
    assert_eq!(world.code(DELETE, SessionId::new("c"), &code).await, Outcome::Granted);
}

#[tokio::test]
async fn after_the_clock_went_back_mails_go_out_again_soon() {
    let world = World::new().await;
    world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
    world.set(START - TEN_YEARS);
    assert_eq!(world.begin_mailed(&DELETE, SessionId::new("s")).await, Mailed::NotYet(60));
    world.advance(60);
    world.begin_mailed(&DELETE, SessionId::new("s")).await.sent();
}

#[tokio::test]
async fn the_keyrings_fence() {
    for (fence, expected) in [(START, Outcome::Granted), (START + 1, Outcome::Denied)] {
        let world = World::new().await;
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        world.advance(5);
        let restored = world.another_server(9, fence);
        let outcome = restored.confirm_code(&world.account, DELETE, SessionId::new("s"), &code).await.unwrap();
        assert_eq!(Outcome::of(outcome), expected);
    }
}

/// ASVS 6.3.8: a client cannot find out the reason.
#[tokio::test]
async fn all_reasons_look_the_same() {
    let mut shown = Vec::new();
    for case in 0..5 {
        let world = World::new().await;
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        let (action, session, typed): (_, SessionId, _) = match case {
            0 => (DELETE, SessionId::new("s"), wrong(&code)),
            1 => (OTHER_TARGET, SessionId::new("s"), code),
            2 => (DELETE, SessionId::new("x"), code),
            3 => {
                world.advance(600);
                (DELETE, SessionId::new("s"), code)
            }
            _ => {
                world.move_epoch(Epoch::Factor).await;
                (DELETE, SessionId::new("s"), code)
            }
        };
        let outcome = world.confirmations.confirm_code(&world.account, action, session, &typed).await.unwrap();
        shown.push(format!("{outcome:?}"));
    }
    shown.dedup();
    assert_eq!(shown.len(), 1, "{shown:?}");
}
