//! One fault at a time.

use std::task::{Context, Waker};

use keywright_core::EventKind;
use keywright_store::{CommitError, Effect, Expect, MAX_RERUNS, MAX_WAITING, Slot, TransactError, Write, due};
use keywright_store_conformance::{Fault, LoadFault};

use crate::{Bench, Counter, OTHER, VOUCHER, Voucher, redeem, redeem_counting};

#[tokio::test]
async fn conflicts_are_rerun_and_bounded() {
    let bench = Bench::made(1).await;
    let before = bench.commits();
    for _ in 0..=MAX_RERUNS {
        bench.store.next_commit(Fault::Conflict);
    }
    assert!(matches!(bench.redeem().await, Err(TransactError::Busy)));
    assert_eq!(bench.commits() - before, u64::from(MAX_RERUNS) + 1);
    for _ in 0..MAX_RERUNS {
        bench.store.next_commit(Fault::Conflict);
    }
    assert!(bench.redeem().await.unwrap(), "the last rerun is granted, and Busy has cost nothing");
    assert!(!bench.redeem().await.unwrap());
}

#[tokio::test]
async fn lost_reply_after_the_write_has_won() {
    let bench = Bench::made(2).await;
    let (before, mut runs) = (bench.commits(), 0);
    bench.store.next_commit(Fault::LostAfter);
    assert!(redeem_counting(&bench.driver, &bench.account, &mut runs).await.unwrap());
    assert_eq!((runs, bench.commits() - before), (1, 1), "neither a rerun nor a fence");
    assert!(!bench.redeem().await.unwrap(), "and only once");
}

#[tokio::test]
async fn lost_reply_before_the_write_is_fenced_and_rerun() {
    for fault in [Fault::LostBefore, Fault::CommitFailed] {
        let bench = Bench::made(3).await;
        let (before, root, mut runs) = (bench.commits(), bench.root().await, 0);
        bench.store.next_commit(fault);
        assert!(redeem_counting(&bench.driver, &bench.account, &mut runs).await.unwrap());
        assert_eq!((runs, bench.commits() - before), (2, 3), "the lost one, the fence, the one that counts");
        assert_ne!(bench.root().await, root, "the fence has moved the root");
        assert!(!bench.redeem().await.unwrap());
    }
}

#[tokio::test]
async fn late_delivery_after_the_fence_never_lands() {
    let bench = Bench::made(4).await;
    bench.store.next_commit(Fault::Held);
    assert!(bench.redeem().await.unwrap());
    let after = bench.stored(VOUCHER).await;
    assert!(matches!(bench.store.deliver().await, Some(Err(CommitError::Conflict))));
    assert_eq!(bench.stored(VOUCHER).await, after);
    assert!(!bench.redeem().await.unwrap());
}

#[tokio::test]
async fn late_delivery_between_look_and_fence_has_won() {
    let bench = Bench::made(5).await;
    let mut runs = 0;
    bench.store.next_commit(Fault::Held);
    bench.store.next_load(LoadFault::None);
    bench.store.next_load(LoadFault::ThenDelivers);
    assert!(redeem_counting(&bench.driver, &bench.account, &mut runs).await.unwrap(), "it landed: it is not refused");
    assert_eq!(runs, 1, "a fence that did not see it would run the step again, on a spent voucher");
    assert!(!bench.redeem().await.unwrap());
}

#[tokio::test]
async fn a_removal_is_settled_too() {
    for (fault, runs) in [(Fault::LostAfter, 1), (Fault::LostBefore, 2)] {
        let bench = Bench::made(6).await;
        let add = bench.driver.transact(&bench.account, &[Slot::Due], |draft| due::add(draft, "test.work", Vec::new()));
        let (id, _) = add.await.unwrap();
        let mut seen = 0;
        bench.store.next_commit(fault);
        let remove = bench.driver.transact(&bench.account, &[VOUCHER, Slot::Due], |draft| {
            seen += 1;
            let there = draft.read::<Voucher>(VOUCHER)?.is_some();
            draft.delete(VOUCHER)?;
            Ok(there)
        });
        let (there, _) = remove.await.unwrap();
        assert!(there, "what was removed is never answered as if it had been gone before");
        assert_eq!(seen, runs);
        assert!(bench.stored(VOUCHER).await.is_none());
        let done =
            bench.driver.transact(&bench.account, &[Slot::Due], |draft| due::complete(draft, &id)).await.unwrap().0;
        assert!(done);
    }
}

#[tokio::test]
async fn an_event_alone_is_told_once() {
    let bench = Bench::made(7).await;
    let tell = async || {
        let told = bench.driver.transact(&bench.account, &[], |draft| {
            draft.event(EventKind::KeychainSet);
            Ok(())
        });
        told.await.map(|_| ())
    };
    bench.store.next_commit(Fault::LostAfter);
    tell().await.unwrap();
    bench.store.next_commit(Fault::LostBefore);
    tell().await.unwrap();
    let store = bench.driver.store();
    let events = store.events(&bench.account, None, 10).await.unwrap();
    assert_eq!(events.iter().filter(|(_, event)| event.kind == EventKind::KeychainSet).count(), 2);
}

#[tokio::test]
async fn fence_that_fails_leaves_it_unknown() {
    for first in [Fault::LostBefore, Fault::Held] {
        for fence in [Fault::LostBefore, Fault::LostAfter, Fault::Held, Fault::Rejected] {
            let bench = Bench::made(8).await;
            let spent_late =
                matches!((&first, &fence), (Fault::Held, Fault::LostBefore | Fault::Held | Fault::Rejected));
            bench.store.next_commit(first.clone());
            bench.store.next_commit(fence);
            assert!(matches!(bench.redeem().await, Err(TransactError::Unknown(_))));
            while bench.store.deliver().await.is_some() {}
            // Nothing was granted by the first call, so at most this one is.
            assert_eq!(bench.redeem().await.unwrap(), !spent_late);
            assert!(!bench.redeem().await.unwrap());
        }
    }
}

#[tokio::test]
async fn look_that_fails_leaves_it_unknown() {
    let bench = Bench::made(9).await;
    bench.store.next_commit(Fault::LostAfter);
    bench.store.next_load(LoadFault::None);
    bench.store.next_load(LoadFault::Fails);
    assert!(matches!(bench.redeem().await, Err(TransactError::Unknown(_))));
    assert!(!bench.redeem().await.unwrap(), "it had landed: nobody gets it any more");
}

#[tokio::test]
async fn fence_that_loses_a_race_looks_again() {
    let bench = Bench::made(10).await;
    let body = bench.stored(Slot::Root).await.unwrap().body;
    let expect = Expect::Revision(bench.root().await);
    let other = Write { slot: Slot::Root, expect, effect: Effect::Put { body, purge_after: None } };
    bench.store.next_commit(Fault::LostBefore);
    bench.store.next_commit(Fault::Overtaken(bench.foreign(other).await));
    assert!(bench.redeem().await.unwrap());
    assert!(!bench.redeem().await.unwrap());
}

#[tokio::test]
async fn what_somebody_overwrote_since_is_unknown() {
    let bench = Bench::made(11).await;
    // The commit is held; before the driver looks, another server changes the very record.
    let stored = bench.stored(VOUCHER).await.unwrap();
    let effect = Effect::Put { body: stored.body, purge_after: None };
    let other = Write { slot: VOUCHER, expect: Expect::Revision(stored.revision), effect };
    bench.store.next_load(LoadFault::Then(bench.foreign(other).await));
    bench.store.next_commit(Fault::LostBefore);
    assert!(matches!(bench.redeem().await, Err(TransactError::Unknown(_))));
}

#[tokio::test]
async fn first_commit_of_an_account_cannot_be_fenced() {
    let bench = Bench::bare(12);
    let create = async || bench.driver.transact(&bench.account, &[], |draft| draft.create_account().map(|_| ())).await;
    bench.store.next_commit(Fault::LostBefore);
    assert!(matches!(create().await, Err(TransactError::Unknown(_))));
    bench.store.next_commit(Fault::LostAfter);
    assert!(create().await.is_ok(), "one that landed is known by its revision");
}

#[tokio::test]
async fn failed_load_counts_nothing() {
    let bench = Bench::made(13).await;
    let before = bench.commits();
    bench.store.next_load(LoadFault::Fails);
    assert!(matches!(bench.redeem().await, Err(TransactError::Load(_))));
    assert_eq!(bench.commits(), before);
    assert!(bench.redeem().await.unwrap());
}

#[tokio::test]
async fn rejected_commit_grants_nothing() {
    let bench = Bench::made(14).await;
    bench.store.next_commit(Fault::Rejected);
    assert!(matches!(bench.redeem().await, Err(TransactError::Rejected(_))));
    assert!(bench.redeem().await.unwrap());
}

#[tokio::test]
async fn what_was_only_read_is_guarded() {
    let bench = Bench::made(15).await;
    let put = bench.driver.transact(&bench.account, &[OTHER], |draft| draft.put(OTHER, &Counter { count: 1 }, None));
    put.await.unwrap();
    // After the load and before the commit, another server removes what the grant rests on.
    let expect = Expect::Revision(bench.stored(OTHER).await.unwrap().revision);
    let other = bench.foreign(Write { slot: OTHER, expect, effect: Effect::Delete }).await;
    bench.store.next_commit(Fault::Overtaken(other));
    let mut seen = Vec::new();
    let grant = bench.driver.transact(&bench.account, &[VOUCHER, OTHER], |draft| {
        let rests = draft.read::<Counter>(OTHER)?.is_some();
        seen.push(rests);
        if !rests {
            return Ok(None);
        }
        draft.put(VOUCHER, &Voucher { spent: true }, None)?;
        Ok(Some(draft.tentative(())))
    });
    let (grant, _) = grant.await.unwrap();
    assert!(grant.is_none(), "granted on a record that was gone");
    assert_eq!(seen, [true, false]);
    assert!(redeem(&bench.driver, &bench.account).await.unwrap(), "the voucher was not spent by the lost race");
}

#[tokio::test]
async fn what_was_read_as_absent_is_guarded() {
    let bench = Bench::made(16).await;
    let body = bench.stored(VOUCHER).await.unwrap().body;
    let write = Write { slot: OTHER, expect: Expect::Absent, effect: Effect::Put { body, purge_after: None } };
    bench.store.next_commit(Fault::Overtaken(bench.foreign(write).await));
    let mut seen = Vec::new();
    let grant = bench.driver.transact(&bench.account, &[OTHER], |draft| {
        let free = draft.revision(OTHER)?.is_none();
        seen.push(free);
        Ok(free.then(|| draft.tentative(())))
    });
    assert!(grant.await.unwrap().0.is_none());
    assert_eq!(seen, [true, false]);
}

#[tokio::test]
async fn grant_without_change_commits_checks() {
    let bench = Bench::made(17).await;
    let (before, root) = (bench.commits(), bench.root().await);
    let look = bench.driver.transact(&bench.account, &[VOUCHER], |draft| {
        let voucher = draft.read::<Voucher>(VOUCHER)?;
        Ok(draft.tentative(voucher))
    });
    let (seen, receipt) = look.await.unwrap();
    assert_eq!(seen.release(&receipt).unwrap(), Some(Voucher { spent: false }));
    assert_eq!(bench.commits() - before, 1, "a grant is committed even if nothing changes");
    assert_eq!(bench.root().await, root, "by a batch of checks");
    bench.store.next_commit(Fault::Conflict);
    let again = bench.driver.transact(&bench.account, &[VOUCHER], |draft| Ok(draft.tentative(())));
    let (again, receipt) = again.await.unwrap();
    again.release(&receipt).unwrap();
    assert_eq!(bench.commits() - before, 3);
}

#[tokio::test]
async fn step_that_neither_changes_nor_grants_commits_nothing() {
    let bench = Bench::made(18).await;
    let before = bench.commits();
    let look = bench.driver.transact(&bench.account, &[VOUCHER], |draft| draft.read::<Voucher>(VOUCHER));
    assert!(look.await.unwrap().0.is_some());
    assert_eq!(bench.commits(), before);
}

#[tokio::test]
async fn queue_is_bounded_and_says_so_at_once() {
    let bench = Bench::made(19).await;
    let turn = bench.driver.turn(&bench.account).await.unwrap();
    let mut waiting: Vec<_> = (1..MAX_WAITING).map(|_| Box::pin(bench.driver.turn(&bench.account))).collect();
    for place in &mut waiting {
        assert!(place.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let loads = bench.store.tally().loads;
    assert!(matches!(bench.redeem().await, Err(TransactError::Busy)));
    assert_eq!(bench.store.tally().loads, loads, "said before anything was looked at");
    drop((turn, waiting));
    assert!(bench.redeem().await.unwrap(), "those who gave up left their places");
}
