//! Lost replies, and how the driver settles them.

use std::sync::Arc;
use std::time::Duration;

use keywright_core::EventChain;
use keywright_store::{
    AccountCreation, BoxFuture, CommitError, Draft, MAX_RERUNS, RECENT, StepError, Timer, TransactError, due,
};
use keywright_store_conformance::{Fault, LoadFault};

use crate::between::{Loss, counts};
use crate::{
    COUNTER, COUNTERS, REDEEMED, START, TICKETS, VOUCHER, VOUCHERS, World, redeem, redeem_counting, step_error,
};

#[tokio::test]
async fn lost_reply_after_the_write_has_won() {
    let world = World::made(1).await;
    let (before, mut runs) = ((world.commits(), world.loads()), 0);
    world.faults.next_commit(Fault::LostAfter);
    assert!(redeem_counting(&world.driver, &world.partition, &mut runs).await.unwrap());
    let cost = (world.commits() - before.0, world.loads() - before.1);
    assert_eq!((runs, cost), (1, (1, 2)), "neither a rerun nor a fence: one more look");
    assert!(!world.redeem().await.unwrap(), "and only once");
    assert_eq!(world.heard.kinds(), ["account_created", "test_redeemed"], "told once");
}

#[tokio::test]
async fn lost_reply_before_the_write_is_fenced_and_rerun() {
    for fault in [Fault::LostBefore, Fault::CommitFailed] {
        let world = World::made(2).await;
        let (before, root, mut runs) = (world.commits(), world.root(), 0);
        world.faults.next_commit(fault);
        assert!(redeem_counting(&world.driver, &world.partition, &mut runs).await.unwrap());
        assert_eq!((runs, world.commits() - before), (2, 3), "the lost one, the fence, the one that counts");
        assert_ne!(world.root(), root);
        assert!(!world.redeem().await.unwrap());
        assert_eq!(world.heard.kinds(), ["account_created", "test_redeemed"]);
    }
}

#[tokio::test]
async fn a_fence_that_a_busy_store_takes_back_is_tried_again() {
    let world = World::made(21).await;
    let (driver, between) = world.between();
    between.next(Loss::Before(0, counts));
    between.next(Loss::Busy);
    let mut runs = 0;
    assert!(redeem_counting(&driver, &world.partition, &mut runs).await.unwrap());
    assert_eq!((runs, *between.commits.lock().unwrap()), (2, 4), "lost, taken back, the fence, the one that counts");
    assert!(!world.redeem().await.unwrap());
}

#[tokio::test]
async fn late_delivery_after_the_fence_never_lands() {
    let world = World::made(3).await;
    world.faults.next_commit(Fault::Held);
    assert!(world.redeem().await.unwrap());
    let after = world.glass.rows();
    assert!(matches!(world.faults.deliver().await, Some(Err(CommitError::Conflict))));
    assert_eq!(world.glass.rows(), after);
    assert!(!world.redeem().await.unwrap());
}

#[tokio::test]
async fn late_delivery_between_look_and_fence_has_won() {
    let world = World::made(4).await;
    let mut runs = 0;
    world.faults.next_commit(Fault::Held);
    world.faults.next_load(LoadFault::None);
    world.faults.next_load(LoadFault::ThenDelivers);
    assert!(redeem_counting(&world.driver, &world.partition, &mut runs).await.unwrap(), "it landed: it is not refused");
    assert_eq!(runs, 1, "a fence that did not see it would run the step again, on a spent voucher");
    assert!(!world.redeem().await.unwrap());
}

#[tokio::test]
async fn others_commits_since_do_not_matter_up_to_sixteen() {
    for since in [0, 1, 2, 15, 16, 17, 20] {
        let known = since <= u32::try_from(RECENT).unwrap();
        for landed in [true, false] {
            let world = World::made(5).await;
            let (driver, between) = world.between();
            world.driver.transact(&world.partition, COUNTERS, counts).await.unwrap();
            between.next(if landed { Loss::After(since, counts) } else { Loss::Before(since, counts) });
            let mut runs = 0;
            let said = redeem_counting(&driver, &world.partition, &mut runs).await;
            match said {
                Ok(granted) => assert!(granted && known, "{since} {landed}"),
                Err(TransactError::Unknown(_)) => assert!(!known, "{since} {landed}"),
                Err(other) => panic!("{other}"),
            }
            // Whatever the answer was, the step was applied at most once, and its event with it.
            let left = redeem(&world.calm(), &world.partition).await.unwrap();
            assert_eq!(left, !known && !landed, "{since} {landed}");
            assert_eq!(world.numbers(EventChain::Changes), 2);
            assert_eq!(runs, if known && !landed { 2 } else { 1 });
        }
    }
}

/// A put over an absent slot is applied, its reply is lost, and the record is removed before the
/// driver reads.
#[tokio::test]
async fn a_landed_put_whose_record_is_gone_is_not_run_again() {
    let world = World::made(6).await;
    let (driver, between) = world.between();
    between.next(Loss::AfterThen(|rows| rows.records.retain(|_, row| row.purge_after.is_none())));
    let (ticket, mut runs) = (TICKETS.at([1; 16]), 0);
    let issue = |draft: &mut Draft<'_>| {
        runs += 1;
        draft.event(&REDEEMED);
        draft.put_until(ticket, &crate::Counter { count: 1 }, START.plus(1))
    };
    driver.transact(&world.partition, &[ticket.name()], issue).await.unwrap();
    assert_eq!((runs, world.numbers(EventChain::Changes)), (1, 2));
    assert!(world.body(ticket.name()).is_none());
}

#[tokio::test]
async fn a_creation_is_settled_exactly() {
    for (fault, commits) in [(Fault::LostAfter, 1), (Fault::LostBefore, 3), (Fault::Held, 3)] {
        let world = World::bare(7);
        world.faults.next_commit(fault);
        assert_eq!(world.driver.ensure_account(&world.account).await.unwrap(), AccountCreation::Created);
        assert_eq!(world.commits(), commits);
        while let Some(late) = world.faults.deliver().await {
            assert!(matches!(late, Err(CommitError::Conflict)));
        }
        assert_eq!(world.numbers(EventChain::Changes), 1);
        assert_eq!(world.heard.kinds(), ["account_created"]);
        assert_eq!(world.driver.recent_events(&world.account, 10).await.unwrap().len(), 1);
        let root = world.glass.rows().roots.remove(&world.partition).unwrap();
        assert_eq!(root.purge_after, None, "a made account does not expire, though the blank root before it did");
    }
}

#[tokio::test]
async fn a_blank_root_is_no_account_and_goes_by_itself() {
    let world = World::bare(8);
    world.faults.next_commit(Fault::LostBefore);
    world.faults.next_commit(Fault::None); // the fence
    world.faults.next_commit(Fault::Rejected);
    assert!(matches!(world.driver.ensure_account(&world.account).await, Err(TransactError::Rejected(_))));
    let blank = world.glass.rows().roots.remove(&world.partition).unwrap();
    assert!(blank.purge_after.is_some_and(|at| at >= START.plus(86_400)), "a day after its commit at the earliest");
    let look = world.driver.observe(&world.partition, VOUCHERS, |draft| {
        assert!(!draft.exists() && draft.is_empty());
        draft.read(VOUCHER)
    });
    assert_eq!(step_error(look.await), StepError::NoAccount);
    assert_eq!(step_error(world.redeem().await), StepError::NoAccount);
    assert!(world.driver.recent_events(&world.account, 10).await.unwrap().is_empty());
    assert_eq!(world.driver.erase_account(&world.account).await.unwrap(), keywright_store::Erasure::NoAccount);
    assert_eq!(world.driver.ensure_account(&world.account).await.unwrap(), AccountCreation::Created);
    assert_eq!(world.glass.rows().roots.remove(&world.partition).unwrap().purge_after, None);
    assert_eq!(world.heard.damages(), 0);
}

#[tokio::test]
async fn a_partition_that_went_away_leaves_it_unknown() {
    let world = World::made(9).await;
    let (driver, between) = world.between();
    between.next(Loss::AfterThen(|rows| *rows = keywright_store_conformance::glass::Rows::default()));
    assert!(matches!(redeem(&driver, &world.partition).await, Err(TransactError::Unknown(_))));
}

#[tokio::test]
async fn fences_are_lost_held_overtaken_and_refused() {
    for first in [Fault::LostBefore, Fault::Held] {
        for fence in [Fault::LostBefore, Fault::LostAfter, Fault::Held, Fault::Conflict, Fault::CommitFailed] {
            let world = World::made(10).await;
            world.faults.next_commit(first.clone());
            world.faults.next_commit(fence);
            assert!(world.redeem().await.unwrap(), "the next look settles the fence too");
            while let Some(late) = world.faults.deliver().await {
                assert!(matches!(late, Err(CommitError::Conflict)));
            }
            assert!(!world.redeem().await.unwrap());
            assert_eq!(world.numbers(EventChain::Changes), 2);
        }
        let world = World::made(11).await;
        world.faults.next_commit(first.clone());
        world.faults.next_commit(Fault::Rejected);
        assert!(matches!(world.redeem().await, Err(TransactError::Unknown(_))), "a fence that the store refuses");
        let late = world.faults.deliver().await.is_some_and(|said| said.is_ok());
        // Nothing was granted by the first call, so at most this one is.
        assert_eq!(world.redeem().await.unwrap(), !late);
        assert!(!world.redeem().await.unwrap());
    }
    let world = World::made(12).await;
    for _ in 0..8 {
        world.faults.next_commit(Fault::LostBefore);
    }
    let before = world.commits();
    assert!(matches!(world.redeem().await, Err(TransactError::Unknown(_))), "a store that never answers");
    assert!(world.commits() - before <= 8, "and it is not asked for ever");
}

#[tokio::test]
async fn look_that_fails_leaves_it_unknown() {
    let world = World::made(13).await;
    world.faults.next_commit(Fault::LostAfter);
    world.faults.next_load(LoadFault::None);
    world.faults.next_load(LoadFault::Fails);
    assert!(matches!(world.redeem().await, Err(TransactError::Unknown(_))));
    assert!(!world.redeem().await.unwrap(), "it had landed: nobody gets it any more");
}

#[tokio::test]
async fn a_removal_and_an_event_alone_are_settled_too() {
    for (fault, runs) in [(Fault::LostAfter, 1), (Fault::LostBefore, 2)] {
        let world = World::made(14).await;
        world.driver.transact(&world.partition, COUNTERS, counts).await.unwrap();
        let mut seen = 0;
        world.faults.next_commit(fault.clone());
        let remove = world.driver.transact(&world.partition, COUNTERS, |draft| {
            seen += 1;
            let there = draft.read(COUNTER)?.is_some();
            draft.delete(COUNTER)?;
            Ok(there)
        });
        assert!(remove.await.unwrap(), "what was removed is never answered as if it had been gone before");
        assert_eq!(seen, runs);
        assert!(world.body(COUNTER.name()).is_none());
        world.faults.next_commit(fault);
        let tell = |draft: &mut Draft<'_>| {
            draft.event(&REDEEMED);
            Ok(())
        };
        world.driver.transact(&world.partition, &[], tell).await.unwrap();
        let events = world.driver.recent_events(&world.account, 10).await.unwrap();
        assert_eq!(events.iter().filter(|event| event.is(&REDEEMED)).count(), 1);
        assert_eq!(world.heard.kinds().iter().filter(|kind| *kind == "test_redeemed").count(), 1);
    }
}

#[tokio::test]
async fn a_question_that_was_not_answered_is_asked_again() {
    let world = World::made(15).await;
    let (before, root) = (world.commits(), world.root());
    for fault in [Fault::LostBefore, Fault::LostAfter, Fault::CommitFailed] {
        world.faults.next_commit(fault);
    }
    let grant = |draft: &mut Draft<'_>| Ok(draft.tentative(draft.root()?.created));
    assert_eq!(world.driver.run(&world.partition, &[], grant).await.unwrap(), START);
    assert_eq!((world.commits() - before, world.root()), (4, root), "no fence: nothing can have been written");
    for _ in 0..=MAX_RERUNS {
        world.faults.next_commit(Fault::LostBefore);
    }
    assert!(matches!(world.driver.run(&world.partition, &[], grant).await, Err(TransactError::Unknown(_))));
}

/// Ends at once, like a caller without patience.
#[derive(Debug)]
pub(crate) struct NoPatience;

impl Timer for NoPatience {
    fn wait(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_given_up_and_settled() {
    for lands in [true, false] {
        let world = World::made(16).await;
        let (_, between) = world.between();
        let builder = world.builder_on(between.store()).slots(crate::KINDS).slots(&[due::DUE.kind()]);
        let driver = builder.commit_limit(Arc::new(NoPatience), Duration::from_secs(2)).build().unwrap();
        between.next(Loss::Hangs(lands));
        assert!(redeem(&driver, &world.partition).await.unwrap());
        assert_eq!(*between.commits.lock().unwrap(), if lands { 1 } else { 3 });
        assert!(!redeem(&driver, &world.partition).await.unwrap());
    }
}
