//! Due work: what is completed, what is retried and when, and what stays claimed.

use std::cell::RefCell;

use keywright_core::UnixSeconds;
use keywright_store::due::{self, Attempt, CLAIM_LASTS, DUE, DueTask, DueWork, MAX_DUE, NewTask, OnFailure};
use keywright_store::{Draft, SlotName, StepError, TransactError, Upkeep};
use keywright_store_conformance::Fault;

use crate::{COUNTER, COUNTERS, World, count, redeem, step_error};

const OWED: &[SlotName] = &[DUE.name()];
const OWN: [&str; 3] = ["test/a", "test/b", "test/c"];

fn is_own(name: &str) -> bool {
    OWN.contains(&name)
}

/// Three tasks of this part and one of another, claimed by the server that committed them.
async fn owing(world: &World) -> Vec<DueTask> {
    let add = world.driver.transact(&world.partition, OWED, |draft| {
        due::add(draft, NewTask::new("host/mail", Vec::new()))?;
        OWN.iter().map(|name| due::add(draft, NewTask::new(name, Vec::new()))).collect()
    });
    add.await.unwrap()
}

/// The due tasks by name, and whether each is free.
async fn left(world: &World) -> Vec<(String, bool)> {
    let look = world.driver.observe(&world.partition, OWED, |draft| {
        let now = draft.now();
        Ok(due::pending(draft)?.into_iter().map(|task| (task.is_free(now), task.name)).collect::<Vec<_>>())
    });
    look.await.unwrap().into_iter().map(|(free, name)| (name, free)).filter(|(name, _)| name != "host/mail").collect()
}

fn named(tasks: &[(&str, bool)]) -> Vec<(String, bool)> {
    tasks.iter().map(|&(name, free)| (name.to_owned(), free)).collect()
}

/// Does all three tasks; `b` fails, or is postponed.
async fn run(
    world: &World,
    tasks: &[DueTask],
    on_failure: OnFailure,
    b: Result<Attempt, &'static str>,
) -> (Result<due::WorkReport<&'static str>, TransactError>, Vec<String>) {
    let tried = RefCell::new(Vec::new());
    let attempt = |task: &DueTask| {
        tried.borrow_mut().push(task.name.clone());
        let result = if task.name == "test/b" { b } else { Ok(Attempt::Done) };
        async move { result }
    };
    let worked = DueWork::new(&world.driver, &world.partition).run(tasks, on_failure, attempt).await;
    (worked, tried.into_inner())
}

#[tokio::test]
async fn what_is_done_is_struck_and_what_was_put_off_pauses() {
    let world = World::made(30).await;
    let tasks = owing(&world).await;
    let work = DueWork::new(&world.driver, &world.partition);
    assert_eq!(work.claim(is_own).await.unwrap(), [], "they are claimed by whoever committed them");
    let (worked, tried) = run(&world, &tasks, OnFailure::Stop, Ok(Attempt::Later)).await;
    assert_eq!((worked.unwrap().result(), tried.len()), (Ok(2), 3));
    assert_eq!(left(&world).await, named(&[("test/b", false)]));
    let pauses = async |failures: u16, pause: u64| {
        world.clock.advance(pause - 1);
        assert_eq!(work.claim(is_own).await.unwrap(), [], "after {failures} failures");
        world.clock.advance(1);
        let again = work.claim(is_own).await.unwrap();
        assert_eq!(again.iter().map(|task| task.name.as_str()).collect::<Vec<_>>(), ["test/b"], "never another's");
        assert_eq!(again[0].failures, failures);
        let _ = run(&world, &again, OnFailure::Stop, Ok(Attempt::Later)).await.0.unwrap();
    };
    for (failures, pause) in [(1, 2), (2, 4), (3, 8), (4, 16)] {
        pauses(failures, pause).await;
    }
    for failures in 5..12 {
        world.clock.advance(3_600);
        let again = work.claim(is_own).await.unwrap();
        assert_eq!(again[0].failures, failures);
        let _ = run(&world, &again, OnFailure::Stop, Ok(Attempt::Later)).await.0.unwrap();
    }
    pauses(12, 3_600).await;
}

/// A clock that ran ahead while the host failed was corrected. The due work can be done again at
/// once, and its pauses count from then.
#[tokio::test]
async fn a_failure_from_the_future_is_tried_at_once() {
    let world = World::made(41).await;
    let tasks = owing(&world).await;
    world.clock.set(crate::START.plus(10 * 365 * 86_400));
    let work = DueWork::new(&world.driver, &world.partition);
    let ahead = work.claim(is_own).await.unwrap();
    assert_eq!(ahead.len(), tasks.len());
    let _ = run(&world, &ahead, OnFailure::GoOn, Err("down")).await.0.unwrap();
    assert_eq!(left(&world).await, named(&[("test/b", false)]));
    world.clock.set(crate::START);
    assert_eq!(left(&world).await, named(&[("test/b", true)]));
    let again = work.claim(is_own).await.unwrap();
    assert_eq!(again.len(), 1);
    let _ = run(&world, &again, OnFailure::GoOn, Err("down")).await.0.unwrap();
    assert_eq!(left(&world).await, named(&[("test/b", false)]), "its pause is a sane one again");
    world.clock.advance(due::pause(2));
    assert_eq!(left(&world).await, named(&[("test/b", true)]));
}

/// Work from a clock that ran ahead delays nobody. Once a commit has recorded this, it holds
/// permanently: when the right clock gets to where the wrong one was, no delay starts again.
#[tokio::test]
async fn what_was_told_to_be_due_stays_due_when_the_clock_gets_there_again() {
    let world = World::made(42).await;
    let add = |draft: &mut Draft<'_>| due::add(draft, NewTask::new("test/a", Vec::new()));
    let failed = world.driver.transact(&world.partition, OWED, add).await.unwrap();
    let release = |draft: &mut Draft<'_>| due::release(draft, std::slice::from_ref(&failed));
    world.driver.transact(&world.partition, OWED, release).await.unwrap();
    let claimed = world.driver.transact(&world.partition, OWED, add).await.unwrap();
    world.clock.set(crate::START.minus(CLAIM_LASTS + 1));
    let another = world.driver.transact(&world.partition, OWED, add).await.unwrap();
    let complete = |draft: &mut Draft<'_>| due::complete(draft, &another);
    assert!(world.driver.transact(&world.partition, OWED, complete).await.unwrap());
    for _ in 0..2 * CLAIM_LASTS {
        assert_eq!(left(&world).await, named(&[("test/a", true), ("test/a", true)]));
        world.clock.advance(1);
    }
    // No other server has claimed it, so the server that did it before the clock was corrected need
    // not do it twice.
    let strike = |draft: &mut Draft<'_>| due::complete(draft, &claimed);
    assert!(world.driver.transact(&world.partition, OWED, strike).await.unwrap());
}

#[tokio::test]
async fn a_failure_gives_back_what_was_not_tried_at_once_and_itself_after_a_pause() {
    let world = World::made(31).await;
    let tasks = owing(&world).await;
    let (worked, tried) = run(&world, &tasks, OnFailure::Stop, Err("down")).await;
    assert_eq!((worked.unwrap().result(), tried.len()), (Err("down"), 2));
    assert_eq!(left(&world).await, named(&[("test/b", false), ("test/c", true)]));

    let world = World::made(32).await;
    let tasks = owing(&world).await;
    let (worked, tried) = run(&world, &tasks, OnFailure::GoOn, Err("down")).await;
    let worked = worked.unwrap();
    assert_eq!((worked.done, worked.failure, tried.len()), (2, Some("down"), 3));
    assert_eq!(left(&world).await, named(&[("test/b", false)]));
}

#[tokio::test]
async fn a_store_that_fails_keeps_the_claims() {
    let world = World::made(33).await;
    let tasks = owing(&world).await;
    world.faults.next_commit(Fault::None);
    world.faults.next_commit(Fault::Rejected);
    let (worked, tried) = run(&world, &tasks, OnFailure::Stop, Ok(Attempt::Done)).await;
    assert!(matches!(worked, Err(TransactError::Rejected(_))));
    assert_eq!(tried.len(), 2, "nothing more is done that could not be struck");
    assert_eq!(left(&world).await, named(&[("test/b", false), ("test/c", true)]), "what was not tried is given back");
    world.clock.advance(CLAIM_LASTS);
    assert_eq!(left(&world).await, named(&[("test/b", true), ("test/c", true)]), "the claim runs out");

    let world = World::made(39).await;
    let tasks = owing(&world).await;
    for _ in 0..2 {
        world.faults.next_commit(Fault::Rejected);
    }
    assert!(run(&world, &tasks, OnFailure::GoOn, Ok(Attempt::Done)).await.0.is_err());
    let all = [("test/a", false), ("test/b", false), ("test/c", false)];
    assert_eq!(left(&world).await, named(&all), "nor is anything given back by a store that takes nothing");
}

#[tokio::test]
async fn work_that_took_long_is_claimed_anew_or_left_to_others() {
    let world = World::made(40).await;
    let tasks = owing(&world).await;
    let other = world.another_server();
    let theirs = DueWork::new(&other, &world.partition);
    let tried = RefCell::new(Vec::new());
    let worked = DueWork::new(&world.driver, &world.partition)
        .run(&tasks, OnFailure::Stop, |task| {
            tried.borrow_mut().push(task.name.clone());
            let (world, theirs) = (&world, &theirs);
            async move {
                if task.name == "test/a" {
                    // So long that the others' claims have expired: another server takes them, and
                    // completes one.
                    world.clock.advance(CLAIM_LASTS);
                    let taken = theirs.claim(|name| name == "test/b").await?;
                    assert_eq!(taken.len(), 1);
                }
                Ok::<_, TransactError>(Attempt::Done)
            }
        })
        .await
        .unwrap();
    assert_eq!((worked.done, tried.into_inner()), (2, vec!["test/a".to_owned(), "test/c".to_owned()]));
    assert_eq!(left(&world).await, named(&[("test/b", false)]), "theirs");
}

#[tokio::test]
async fn a_failure_is_told_even_if_its_claim_cannot_be_given_back() {
    let world = World::made(34).await;
    let tasks = owing(&world).await;
    world.faults.next_commit(Fault::None);
    world.faults.next_commit(Fault::Rejected);
    world.faults.next_commit(Fault::Rejected);
    let worked = run(&world, &tasks, OnFailure::Stop, Err("down")).await.0.unwrap();
    assert!(matches!(worked.unreleased, Some(TransactError::Rejected(_))));
    assert_eq!(worked.result(), Err("down"));
    assert_eq!(left(&world).await, named(&[("test/b", false), ("test/c", false)]));
}

#[tokio::test]
async fn somebody_elses_claim_is_not_struck() {
    let world = World::made(35).await;
    let tasks = owing(&world).await;
    world.clock.advance(CLAIM_LASTS);
    let other = world.another_server();
    let theirs = DueWork::new(&other, &world.partition).claim(is_own).await.unwrap();
    assert_eq!(theirs.len(), 3);
    let _ = run(&world, &tasks, OnFailure::GoOn, Ok(Attempt::Done)).await.0.unwrap();
    assert_eq!(left(&world).await.len(), 3, "they do it, and strike it then");
    let done = DueWork::new(&other, &world.partition)
        .run(&theirs, OnFailure::Stop, |_| async { Ok::<_, &str>(Attempt::Done) })
        .await;
    assert_eq!(done.unwrap().result(), Ok(3));
    assert_eq!(left(&world).await, []);
}

/// The host's own method uses the driver on the account whose work it does.
#[tokio::test]
async fn work_may_use_the_driver_on_the_same_account() {
    let world = World::made(36).await;
    let tasks = owing(&world).await;
    let work = DueWork::new(&world.driver, &world.partition);
    let done = work
        .run(&tasks, OnFailure::Stop, |_| async {
            world.driver.transact(&world.partition, COUNTERS, count).await?;
            world.driver.ensure_account(&world.account).await?;
            world.driver.recent_events(&world.account, 1).await?;
            Ok::<_, TransactError>(Attempt::Done)
        })
        .await
        .unwrap();
    assert_eq!(done.done, 3);
    assert!(redeem(&world.driver, &world.partition).await.unwrap());
    let counted = world.driver.observe(&world.partition, COUNTERS, |draft| draft.read(COUNTER)).await.unwrap();
    assert_eq!(counted.unwrap().count, 3);
    // Even if the work removes the account.
    let last =
        world.driver.transact(&world.partition, OWED, |draft| due::add(draft, NewTask::new("test/a", Vec::new())));
    let last = [last.await.unwrap()];
    let erased = work
        .run(&last, OnFailure::Stop, |_| async {
            world.driver.erase_account(&world.account).await?;
            Ok::<_, TransactError>(Attempt::Done)
        })
        .await;
    assert!(erased.is_ok());
}

#[tokio::test]
async fn notices_are_kept_letters_end_and_what_anybody_asks_for_is_evicted() {
    let world = World::made(37).await;
    let add = async |new: fn(UnixSeconds) -> NewTask<'static>| {
        let step = |draft: &mut Draft<'_>| due::add(draft, new(draft.now()));
        world.driver.transact(&world.partition, OWED, step).await
    };
    let names = async || -> Vec<String> {
        let look = |draft: &mut Draft<'_>| Ok(due::pending(draft)?.into_iter().map(|task| task.name).collect());
        world.driver.observe(&world.partition, OWED, look).await.unwrap()
    };
    add(|_| NewTask::new("test/notice", Vec::new())).await.unwrap();
    add(|now| NewTask::new("test/letter", Vec::new()).until(now.plus(60))).await.unwrap();
    assert_eq!(names().await, ["test/notice", "test/letter"]);
    world.clock.advance(60);
    assert_eq!(names().await, ["test/notice"], "its link has ended");
    world.clock.advance(10 * 365 * 86_400);
    assert_eq!(names().await, ["test/notice"], "kept until it is delivered");
    add(|_| NewTask::new("test/first", Vec::new()).evictable()).await.unwrap();
    for _ in 0..MAX_DUE - 2 {
        add(|_| NewTask::new("test/asked", Vec::new()).evictable()).await.unwrap();
    }
    add(|_| NewTask::new("test/last", Vec::new())).await.unwrap();
    let kept = names().await;
    assert_eq!((kept.len(), kept[0].as_str(), kept[1].as_str()), (MAX_DUE, "test/notice", "test/asked"));
    for _ in 0..MAX_DUE - 2 {
        add(|_| NewTask::new("test/owed", Vec::new())).await.unwrap();
    }
    let rows = world.glass.rows();
    let full = add(|_| NewTask::new("test/asked", Vec::new()).evictable()).await;
    assert_eq!(step_error(full), StepError::TooMuchDue, "what the host owes is never evicted");
    assert_eq!(world.glass.rows(), rows);
}

#[tokio::test]
async fn the_store_finds_what_is_due_when_it_is() {
    let world = World::made(38).await;
    let found = async |after: u64| {
        let moment = crate::START.plus(after);
        !world.glass.due(moment, 10).await.unwrap().is_empty()
    };
    assert!(!found(u64::MAX).await, "an account that owes nothing");
    let tasks = owing(&world).await;
    assert!(!found(CLAIM_LASTS - 1).await && found(CLAIM_LASTS).await, "once its claims have run out");
    let _ = run(&world, &tasks, OnFailure::GoOn, Err("down")).await.0.unwrap();
    let work = DueWork::new(&world.driver, &world.partition);
    // The other part's task is still claimed by the server that committed it. The failed one is due
    // after its pause.
    assert!(!found(1).await && found(2).await);
    let all = work.claim_now(|_| true).await.unwrap();
    assert_eq!(all.len(), 2, "at the start of a server that is alone, pauses and claims are no reason to wait");
    let done = work.run(&all, OnFailure::Stop, |_| async { Ok::<_, &str>(Attempt::Done) }).await.unwrap();
    assert_eq!(done.done, 2);
    assert!(!found(u64::MAX).await);
}
