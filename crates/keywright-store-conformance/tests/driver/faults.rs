//! Conflicts, failed loads, refused commits; and what a grant rests on.

use std::sync::Arc;
use std::time::Duration;

use keywright_store::{Driver, LOAD_SECONDS, LoadError, MAX_RERUNS, RecordStore, TransactError, due};
use keywright_store_conformance::{Fault, LoadFault, Odds};

use crate::between::Loss;
use crate::settling::NoPatience;
use crate::{BOTH, Bench, COUNTER, COUNTERS, Counter, VOUCHER, Voucher, redeem, redeem_counting};

#[tokio::test]
async fn conflicts_are_rerun_and_bounded() {
    let bench = Bench::made(1).await;
    let before = bench.commits();
    for _ in 0..=MAX_RERUNS {
        bench.store.next_commit(Fault::Conflict);
    }
    let mut runs = 0;
    let busy = redeem_counting(&bench.driver, &bench.account, &mut runs).await;
    assert!(matches!(busy, Err(TransactError::Busy)));
    assert_eq!((runs, bench.commits() - before), (MAX_RERUNS + 1, u64::from(MAX_RERUNS) + 1));
    for _ in 0..MAX_RERUNS {
        bench.store.next_commit(Fault::Conflict);
    }
    assert!(bench.redeem().await.unwrap(), "the last rerun is granted, and Busy has cost nothing");
    assert!(!bench.redeem().await.unwrap());
    assert_eq!(bench.heard.kinds(), ["account_created", "test_redeemed"], "told once, after the commit");
}

#[tokio::test]
async fn failed_load_counts_nothing() {
    let bench = Bench::made(2).await;
    let before = bench.commits();
    bench.store.next_load(LoadFault::Fails);
    assert!(matches!(bench.redeem().await, Err(TransactError::Load(_))));
    assert_eq!(bench.commits(), before);
    assert!(bench.redeem().await.unwrap());
}

/// A driver over the bench's store that gives up at once whatever is not there at once.
fn impatient(bench: &Bench) -> Driver {
    let store: Arc<dyn RecordStore> = bench.store.clone();
    let limit = Duration::from_secs(LOAD_SECONDS);
    let builder = bench.builder_on(store).slots(crate::KINDS).slots(&[due::DUE.kind()]);
    builder.load_limit(Arc::new(NoPatience), limit).build().unwrap()
}

#[tokio::test]
async fn a_load_that_hangs_is_given_up_and_nothing_is_changed() {
    let bench = Bench::made(2).await;
    let driver = impatient(&bench);
    let (before, root) = (bench.commits(), bench.root());
    bench.store.next_load(LoadFault::Hangs);
    let given_up = redeem(&driver, &bench.account).await.unwrap_err();
    assert!(matches!(given_up, TransactError::Load(LoadError::TimedOut)) && given_up.is_busy());
    for what in ["slots", "events", "a look"] {
        bench.store.next_load(LoadFault::Hangs);
        let error = match what {
            "slots" => driver.slots_of(&bench.account).await.err(),
            "events" => driver.recent_events(&bench.account.as_account().unwrap(), 9).await.err(),
            _ => driver.observe(&bench.account, &[], |_| Ok(())).await.err(),
        };
        assert!(matches!(error, Some(TransactError::Load(LoadError::TimedOut))), "{what}: {error:?}");
    }
    assert_eq!((bench.commits(), bench.root()), (before, root));
    // While the partition is held for it: it is free afterwards.
    bench.store.next_commit(Fault::Conflict);
    bench.store.next_load(LoadFault::None);
    bench.store.next_load(LoadFault::Hangs);
    let given_up = redeem(&driver, &bench.account).await;
    assert!(matches!(given_up, Err(TransactError::Load(LoadError::TimedOut))));
    assert!(redeem(&driver, &bench.account).await.unwrap(), "what is there in time is taken");
    assert_eq!(bench.heard.kinds(), ["account_created", "test_redeemed"]);
}

/// What became of a commit cannot be found out in time: unknown, never refused.
#[tokio::test]
async fn a_load_that_hangs_while_a_reply_is_settled_leaves_it_unknown() {
    for fault in [Fault::LostAfter, Fault::LostBefore] {
        let lands = matches!(fault, Fault::LostAfter);
        let bench = Bench::made(3).await;
        let driver = impatient(&bench);
        bench.store.next_commit(fault);
        bench.store.next_load(LoadFault::None);
        bench.store.next_load(LoadFault::Hangs);
        assert!(matches!(redeem(&driver, &bench.account).await, Err(TransactError::Unknown(_))));
        assert_eq!(redeem(&driver, &bench.account).await.unwrap(), !lands);
    }
}

#[tokio::test]
async fn rejected_commit_grants_nothing_and_tells_nothing() {
    let bench = Bench::made(3).await;
    bench.store.next_commit(Fault::Rejected);
    assert!(matches!(bench.redeem().await, Err(TransactError::Rejected(_))));
    assert_eq!(bench.heard.kinds(), ["account_created"]);
    assert!(bench.redeem().await.unwrap());
}

#[tokio::test]
async fn what_was_only_read_is_guarded() {
    let bench = Bench::made(4).await;
    bench.driver.transact(&bench.account, COUNTERS, crate::count).await.unwrap();
    let (driver, between) = bench.between();
    // After the load and before the commit, another server removes what the grant rests on.
    between.next(Loss::Overtaken(|draft| draft.delete(COUNTER)));
    let mut seen = Vec::new();
    let grant = driver.run(&bench.account, BOTH, |draft| {
        let rests = draft.read(COUNTER)?.is_some();
        seen.push(rests);
        if !rests {
            return Ok(None);
        }
        draft.put(VOUCHER, &Voucher { spent: true })?;
        Ok(Some(draft.tentative(())))
    });
    assert!(grant.await.unwrap().is_none(), "granted on a record that was gone");
    assert_eq!(seen, [true, false]);
    assert!(redeem(&driver, &bench.account).await.unwrap(), "the voucher was not spent by the lost race");
}

#[tokio::test]
async fn what_was_read_as_absent_is_guarded() {
    let bench = Bench::made(5).await;
    let (driver, between) = bench.between();
    between.next(Loss::Overtaken(|draft| draft.put(COUNTER, &Counter { count: 1 })));
    let mut seen = Vec::new();
    let grant = driver.run(&bench.account, COUNTERS, |draft| {
        let free = draft.read(COUNTER)?.is_none();
        seen.push(free);
        Ok(free.then(|| draft.tentative(())))
    });
    assert!(grant.await.unwrap().is_none());
    assert_eq!(seen, [true, false]);
}

#[tokio::test]
async fn a_grant_that_changes_nothing_rests_on_the_epochs_too() {
    let bench = Bench::made(6).await;
    let (driver, between) = bench.between();
    let epoch = bench.driver.observe(&bench.account, &[], |draft| draft.root()).await.unwrap().credential_epoch;
    between.next(Loss::Overtaken(|draft| {
        draft.move_credential_epoch()?; // "end all sessions"
        draft.event(&crate::REDEEMED);
        Ok(())
    }));
    let session = driver
        .run(&bench.account, &[], |draft| Ok((draft.root()?.credential_epoch == epoch).then(|| draft.tentative("in"))));
    assert_eq!(session.await.unwrap(), None, "the session had been ended, and that was acknowledged");
}

#[tokio::test]
async fn every_fault_is_one_of_the_odds_own() {
    let bench = Bench::made(7).await;
    bench.store.note_loads();
    for (odds, unread) in [(Odds::FULL, false), (Odds::SILENT, false), (Odds::UNREADABLE, true)] {
        bench.store.randomise(0, odds);
        for _ in 0..20 {
            let error = bench.redeem().await.unwrap_err();
            assert_eq!(matches!(error, TransactError::Load(_)), unread, "{error:?}");
        }
        bench.store.calm();
    }
    assert!(bench.store.noted_loads().len() >= 60);
    bench.store.note_loads();
    assert!(bench.redeem().await.unwrap());
    assert_eq!(bench.store.noted_loads(), [vec![VOUCHER.name()]]);
}
