//! Conflicts, failed loads, refused commits; and what a grant rests on.

use keywright_store::{MAX_RERUNS, TransactError};
use keywright_store_conformance::{Fault, LoadFault, Odds};

use crate::between::Loss;
use crate::{BOTH, COUNTER, COUNTERS, Counter, VOUCHER, Voucher, World, redeem, redeem_counting};

#[tokio::test]
async fn conflicts_are_rerun_and_bounded() {
    let world = World::made(1).await;
    let before = world.commits();
    for _ in 0..=MAX_RERUNS {
        world.faults.next_commit(Fault::Conflict);
    }
    let mut runs = 0;
    let busy = redeem_counting(&world.driver, &world.partition, &mut runs).await;
    assert!(matches!(busy, Err(TransactError::Busy)));
    assert_eq!((runs, world.commits() - before), (MAX_RERUNS + 1, u64::from(MAX_RERUNS) + 1));
    for _ in 0..MAX_RERUNS {
        world.faults.next_commit(Fault::Conflict);
    }
    assert!(world.redeem().await.unwrap(), "the last rerun is granted, and Busy has cost nothing");
    assert!(!world.redeem().await.unwrap());
    assert_eq!(world.heard.kinds(), ["account_created", "test_redeemed"], "told once, after the commit");
}

#[tokio::test]
async fn failed_load_counts_nothing() {
    let world = World::made(2).await;
    let before = world.commits();
    world.faults.next_load(LoadFault::Fails);
    assert!(matches!(world.redeem().await, Err(TransactError::Load(_))));
    assert_eq!(world.commits(), before);
    assert!(world.redeem().await.unwrap());
}

#[tokio::test]
async fn rejected_commit_grants_nothing_and_tells_nothing() {
    let world = World::made(3).await;
    world.faults.next_commit(Fault::Rejected);
    assert!(matches!(world.redeem().await, Err(TransactError::Rejected(_))));
    assert_eq!(world.heard.kinds(), ["account_created"]);
    assert!(world.redeem().await.unwrap());
}

#[tokio::test]
async fn what_was_only_read_is_guarded() {
    let world = World::made(4).await;
    world.driver.transact(&world.partition, COUNTERS, crate::count).await.unwrap();
    let (driver, between) = world.between();
    // After the load and before the commit, another server removes what the grant rests on.
    between.next(Loss::Overtaken(|draft| draft.delete(COUNTER)));
    let mut seen = Vec::new();
    let grant = driver.run(&world.partition, BOTH, |draft| {
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
    assert!(redeem(&driver, &world.partition).await.unwrap(), "the voucher was not spent by the lost race");
}

#[tokio::test]
async fn what_was_read_as_absent_is_guarded() {
    let world = World::made(5).await;
    let (driver, between) = world.between();
    between.next(Loss::Overtaken(|draft| draft.put(COUNTER, &Counter { count: 1 })));
    let mut seen = Vec::new();
    let grant = driver.run(&world.partition, COUNTERS, |draft| {
        let free = draft.read(COUNTER)?.is_none();
        seen.push(free);
        Ok(free.then(|| draft.tentative(())))
    });
    assert!(grant.await.unwrap().is_none());
    assert_eq!(seen, [true, false]);
}

#[tokio::test]
async fn a_grant_that_changes_nothing_rests_on_the_epochs_too() {
    let world = World::made(6).await;
    let (driver, between) = world.between();
    let epoch = world.driver.observe(&world.partition, &[], |draft| draft.root()).await.unwrap().credential_epoch;
    between.next(Loss::Overtaken(|draft| {
        draft.move_credential_epoch()?; // "end all sessions"
        draft.event(&crate::REDEEMED);
        Ok(())
    }));
    let session = driver.run(&world.partition, &[], |draft| {
        Ok((draft.root()?.credential_epoch == epoch).then(|| draft.tentative("in")))
    });
    assert_eq!(session.await.unwrap(), None, "the session had been ended, and that was acknowledged");
}

#[tokio::test]
async fn every_fault_is_one_of_the_odds_own() {
    let world = World::made(7).await;
    world.faults.note_loads();
    for (odds, unread) in [(Odds::FULL, false), (Odds::SILENT, false), (Odds::UNREADABLE, true)] {
        world.faults.randomise(0, odds);
        for _ in 0..20 {
            let error = world.redeem().await.unwrap_err();
            assert_eq!(matches!(error, TransactError::Load(_)), unread, "{error:?}");
        }
        world.faults.calm();
    }
    assert!(world.faults.noted_loads().len() >= 60);
    world.faults.note_loads();
    assert!(world.redeem().await.unwrap());
    assert_eq!(world.faults.noted_loads(), [vec![VOUCHER.name()]]);
}
