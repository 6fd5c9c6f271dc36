//! Typed codes.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use keywright_confirm::{ConfirmError, ConfirmPolicy, Confirmation, SLOTS};
use keywright_core::{AccountId, Client, SessionId};
use keywright_store::{
    Batch, CommitError, Draft, HostTransaction, LoadError, MemoryStore, Partition, RecordStore, SlotName, Snapshot,
    StepError, TransactError, WithinError,
};

use crate::support::{DELETE, Outcome, World, asked, denied, granted, wrong};

/// Also owasp_txauth_1_5: a code for one operation.
#[tokio::test]
async fn asvs_6_5_1_a_code_works_once_and_a_replay_is_logged_once() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    match world.confirmations.confirm_code(&world.account, DELETE, SessionId::new("s"), &code).await.unwrap() {
        Confirmation::Granted(proof) => {
            assert_eq!(proof.account(), &world.account);
            assert_eq!(proof.action(), &DELETE);
            assert_eq!(proof.into_parts(), (world.account.clone(), DELETE));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Denied);
    let before = world.revision().await;
    for _ in 0..3 {
        assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Denied);
    }
    assert_eq!(world.revision().await, before, "a flood of replays writes nothing");
    assert_eq!(world.changes().await, [asked(), granted()]);
    assert_eq!(world.denials().await, [denied("replayed")]);
}

/// `docs/decisions.md` 22b: a shown code is invalid after its fifth wrong attempt. Also
/// owasp_txauth_2_4.
#[tokio::test]
async fn asvs_6_6_3_the_fifth_wrong_try_kills_the_code() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    for _ in 0..4 {
        assert_eq!(world.code(DELETE, SessionId::new("s"), &wrong(&code)).await, Outcome::Denied);
    }
    assert_eq!(world.code(DELETE, SessionId::new("s"), &wrong(&code)).await, Outcome::Last);
    let before = world.revision().await;
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Denied, "the right one is too late");
    assert_eq!(world.revision().await, before, "a flood on a dead code writes nothing");

    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    for _ in 0..4 {
        assert_eq!(world.code(DELETE, SessionId::new("s"), &wrong(&code)).await, Outcome::Denied);
    }
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Granted, "four wrong tries are survived");
}

#[tokio::test]
async fn any_other_text_is_a_wrong_try() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    let huge = "A".repeat(1 << 20);
    let swapped: String = code.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
    let texts = ["", &code[1..], &format!("{code}A"), &huge, &swapped];
    assert!(texts.iter().all(|text| *text != code), "the seed gives a code with a lower-case letter");
    for text in &texts[..4] {
        assert_eq!(world.code(DELETE, SessionId::new("s"), text).await, Outcome::Denied, "{}", text.len());
    }
    assert_eq!(world.code(DELETE, SessionId::new("s"), texts[4]).await, Outcome::Last);
}

/// `docs/decisions.md` 67: characters that pasting and phones add to a code cost no attempt.
#[tokio::test]
async fn blanks_and_hyphens_carry_nothing() {
    for change in [
        |code: &str| format!(" {code}\r\n"),
        |code: &str| code.replace('-', ""),
        |code: &str| code.replace('-', " "),
        |code: &str| code.replace('-', "\u{2011}"),
        |code: &str| code.replace('-', "\u{2014}\u{200b}"),
    ] {
        let world = World::new().await;
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        assert_eq!(
            world.code(DELETE, SessionId::new("s"), &change(&wrong(&code))).await,
            Outcome::Denied,
            "still judged"
        );
        assert_eq!(
            world.code(DELETE, SessionId::new("s"), &change(&code)).await,
            Outcome::Granted,
            "{:?}",
            change(&code)
        );
        assert_eq!(world.code(DELETE, SessionId::new("s"), &change(&code)).await, Outcome::Denied);
        assert_eq!(world.denials().await, [denied("wrong"), denied("replayed")], "as a replay of the code");
    }
}

#[tokio::test]
async fn a_session_that_asked_for_none_costs_nothing() {
    let world = World::new().await;
    let before = world.revision().await;
    assert_eq!(world.code(DELETE, SessionId::new("s"), "AAAA-BBBB-CCCC-DDDD").await, Outcome::Denied);
    assert_eq!(world.revision().await, before);
    assert!(world.denials().await.is_empty());

    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    for _ in 0..10 {
        assert_eq!(world.code(DELETE, SessionId::new("other"), &code).await, Outcome::Denied);
    }
    assert_eq!(
        world.code(DELETE, SessionId::new("s"), &code).await,
        Outcome::Granted,
        "another session's tries are not counted here"
    );
}

#[tokio::test]
async fn asking_again_gives_a_new_code_and_voids_the_old() {
    let world = World::new().await;
    let first = world.begin_code(&DELETE, SessionId::new("s")).await;
    let second = world.begin_code(&DELETE, SessionId::new("s")).await;
    assert_ne!(first, second);
    assert_eq!(world.code(DELETE, SessionId::new("s"), &first).await, Outcome::Denied);
    assert_eq!(world.code(DELETE, SessionId::new("s"), &second).await, Outcome::Granted);
}

/// Also owasp_txauth_2_9.
#[tokio::test]
async fn asvs_6_5_5_a_code_lives_ten_minutes() {
    for (age, expected) in [(599, Outcome::Granted), (600, Outcome::Denied)] {
        let world = World::new().await;
        let code = world.begin_code(&DELETE, SessionId::new("s")).await;
        world.advance(age);
        assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, expected);
        if expected == Outcome::Denied {
            let before = world.revision().await;
            assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, expected);
            assert_eq!(world.revision().await, before, "a flood on what has expired writes nothing");
            assert_eq!(world.denials().await, [denied("expired")], "reported once");
        }
    }
}

#[tokio::test]
async fn decisions_8_at_most_eight_are_pending_and_the_oldest_goes() {
    let world = World::new().await;
    let mut codes = Vec::new();
    for session in 0..9_u8 {
        codes.push(world.begin_code(&DELETE, SessionId::new([session])).await);
    }
    assert_eq!(world.code(DELETE, SessionId::new([0]), &codes[0]).await, Outcome::Denied);
    for session in 1..9_u8 {
        assert_eq!(world.code(DELETE, SessionId::new([session]), &codes[usize::from(session)]).await, Outcome::Granted);
    }
}

#[tokio::test]
async fn a_spent_one_makes_room_before_a_live_one() {
    let world = World::new().await;
    let mut codes = Vec::new();
    for session in 0..8_u8 {
        codes.push(world.begin_code(&DELETE, SessionId::new([session])).await);
    }
    assert_eq!(world.code(DELETE, SessionId::new([5]), &codes[5]).await, Outcome::Granted);
    world.begin_code(&DELETE, SessionId::new([8])).await;
    assert_eq!(world.code(DELETE, SessionId::new([0]), &codes[0]).await, Outcome::Granted);
}

/// The session is only ever hashed, so a host's long session ids are accepted.
#[tokio::test]
async fn a_session_identity_has_any_length() {
    let world = World::new().await;
    for len in [1, 64, 65, 4_096] {
        let (session, other) = (SessionId::new(vec![7; len]), SessionId::new(vec![7; len - 1]));
        let code = world.begin_code(&DELETE, session).await;
        assert_eq!(world.code(DELETE, other, &code).await, Outcome::Denied);
        assert_eq!(world.code(DELETE, session, &code).await, Outcome::Granted);
    }
}

/// A transaction of a host whose tables are kept beside a memory store.
struct OnMemory(Arc<MemoryStore>);

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a memory store never waits"),
    }
}

impl HostTransaction for OnMemory {
    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        ready(self.0.load(partition, slots))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        ready(self.0.commit(batch))
    }
}

/// A guess inside a host's transaction would be forgotten by its rollback.
#[tokio::test]
async fn no_code_is_judged_in_a_hosts_transaction() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    let mailed = world.begin_mailed(&DELETE, SessionId::new("m")).await.sent();
    let (steps, before) = (world.confirmations.steps(), world.revision().await);
    let mut transaction = OnMemory(world.memory.clone());
    let typed = |draft: &mut Draft<'_>| steps.confirm_code_in(draft, DELETE, SessionId::new("s"), &code);
    let outcome = world.driver.within(&mut transaction, &world.partition(), SLOTS, typed);
    assert!(matches!(outcome, Err(WithinError::Step(StepError::GuessInHostTransaction))), "{outcome:?}");
    let typed =
        |draft: &mut Draft<'_>| steps.confirm_mailed_in(draft, DELETE, SessionId::new("m"), &mailed, Client::unknown());
    let outcome = world.driver.within(&mut transaction, &world.partition(), SLOTS, typed);
    assert!(matches!(outcome, Err(WithinError::Step(StepError::GuessInHostTransaction))), "{outcome:?}");
    assert_eq!(world.revision().await, before);
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
}

/// Of two proofs in one draft, the right one is not spent because the other was wrong.
#[tokio::test]
async fn a_verdict_that_is_not_booked_spends_nothing() {
    let world = World::new().await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    let steps = world.confirmations.steps();
    let step = |draft: &mut Draft<'_>| {
        let judged = draft.judge(|draft| steps.confirm_code_in(draft, DELETE, SessionId::new("s"), &code))?;
        assert!(matches!(judged.outcome(), Confirmation::Granted(_)));
        Ok(())
    };
    world.driver.run(&world.partition(), SLOTS, step).await.unwrap();
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Granted);
}

#[tokio::test]
async fn an_account_without_records_is_an_error() {
    let world = World::new().await;
    let nobody = AccountId::new("nobody").unwrap();
    let outcome = world.confirmations.begin_code(&nobody, &DELETE, SessionId::new("s")).await;
    let expected =
        |error: &ConfirmError| matches!(error, ConfirmError::Transact(TransactError::Step(StepError::NoAccount)));
    assert!(outcome.as_ref().is_err_and(expected), "{outcome:?}");
}

#[tokio::test]
async fn fewer_tries_by_policy() {
    let policy = ConfirmPolicy::builder().code_tries(1).build().unwrap();
    let world = World::with(policy, 3).await;
    let code = world.begin_code(&DELETE, SessionId::new("s")).await;
    assert_eq!(world.code(DELETE, SessionId::new("s"), &wrong(&code)).await, Outcome::Last);
    assert_eq!(world.code(DELETE, SessionId::new("s"), &code).await, Outcome::Denied);
}
