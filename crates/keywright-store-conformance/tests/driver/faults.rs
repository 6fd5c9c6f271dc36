//! Conflicts, failed loads, refused commits, and the state that a grant depends on.

use std::sync::Arc;
use std::time::Duration;

use keywright_store::{Driver, LOAD_SECONDS, LoadError, MAX_RERUNS, RecordStore, TransactError, due};
use keywright_store_conformance::{Fault, LoadFault, Odds};

use crate::between::Loss;
use crate::settling::NoPatience;
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

/// A driver over the world's store that gives up on everything that is not ready at once.
fn impatient(world: &World) -> Driver {
    let store: Arc<dyn RecordStore> = world.faults.clone();
    let limit = Duration::from_secs(LOAD_SECONDS);
    let builder = world.builder_on(store).slots(crate::KINDS).slots(&[due::DUE.kind()]);
    builder.load_limit(Arc::new(NoPatience), limit).build().unwrap()
}

#[tokio::test]
async fn a_load_that_hangs_is_given_up_and_nothing_is_changed() {
    let world = World::made(2).await;
    let driver = impatient(&world);
    let (before, root) = (world.commits(), world.root());
    world.faults.next_load(LoadFault::Hangs);
    let given_up = redeem(&driver, &world.partition).await.unwrap_err();
    assert!(matches!(given_up, TransactError::Load(LoadError::TimedOut)) && given_up.is_busy());
    for what in ["slots", "events", "a look"] {
        world.faults.next_load(LoadFault::Hangs);
        let error = match what {
            "slots" => driver.slots_of(&world.partition).await.err(),
            "events" => driver.recent_events(&world.partition.as_account().unwrap(), 9).await.err(),
            _ => driver.observe(&world.partition, &[], |_| Ok(())).await.err(),
        };
        assert!(matches!(error, Some(TransactError::Load(LoadError::TimedOut))), "{what}: {error:?}");
    }
    assert_eq!((world.commits(), world.root()), (before, root));
    // While the partition is held for it: it is free afterwards.
    world.faults.next_commit(Fault::Conflict);
    world.faults.next_load(LoadFault::None);
    world.faults.next_load(LoadFault::Hangs);
    let given_up = redeem(&driver, &world.partition).await;
    assert!(matches!(given_up, Err(TransactError::Load(LoadError::TimedOut))));
    assert!(redeem(&driver, &world.partition).await.unwrap(), "what is there in time is taken");
    assert_eq!(world.heard.kinds(), ["account_created", "test_redeemed"]);
}

/// The outcome of a commit cannot be determined in time: unknown, never refused.
#[tokio::test]
async fn a_load_that_hangs_while_a_reply_is_settled_leaves_it_unknown() {
    for fault in [Fault::LostAfter, Fault::LostBefore] {
        let lands = matches!(fault, Fault::LostAfter);
        let world = World::made(3).await;
        let driver = impatient(&world);
        world.faults.next_commit(fault);
        world.faults.next_load(LoadFault::None);
        world.faults.next_load(LoadFault::Hangs);
        assert!(matches!(redeem(&driver, &world.partition).await, Err(TransactError::Unknown(_))));
        assert_eq!(redeem(&driver, &world.partition).await.unwrap(), !lands);
    }
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
    // After the load and before the commit, another server removes what the grant depends on.
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
