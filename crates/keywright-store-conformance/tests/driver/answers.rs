//! Stores that answer a different request, or with old data: typed errors that deny, and lose
//! nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use keywright_core::{AccountId, EventChain};
use keywright_store::{
    CommitError, Damage, Driver, LoadError, MemoryStore, Partition, SlotName, Snapshot, StepError, Stored,
    TransactError,
};
use keywright_store_conformance::glass::Rows;
use keywright_testing::HookedStore;

use crate::{BOTH, COUNTERS, VOUCHER, World, count, redeem, step_error};

/// A server on a store whose next `times` answers to loads are spoilt.
fn spoilt(
    world: &World,
    times: u32,
    spoil: impl Fn(&Rows, &Partition, &[SlotName], Snapshot) -> Snapshot + Send + Sync + 'static,
) -> Driver {
    let (store, times) = (HookedStore::new(Arc::clone(&world.glass)), AtomicU32::new(times));
    let glass = Arc::clone(&world.glass);
    store.after_loads(move |partition, slots, snapshot| {
        if times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1)).is_ok() {
            *snapshot = spoil(&glass.rows(), partition, slots, snapshot.clone());
        }
    });
    world.driver_on(store)
}

/// With a voucher and a counter, so that there are two records to mix up.
async fn filled(seed: u64) -> World {
    let world = World::made(seed).await;
    world.driver.transact(&world.partition, COUNTERS, count).await.unwrap();
    world
}

async fn act(driver: &Driver, account: &Partition) -> Result<(), TransactError> {
    driver
        .transact(account, BOTH, |draft| {
            draft.read(VOUCHER)?;
            count(draft).map(drop)
        })
        .await
}

type Case = (&'static str, fn(&Rows, &Partition, &[SlotName], Snapshot) -> Snapshot, fn(&StepError) -> bool);

const fn is_answer(error: &StepError) -> bool {
    matches!(error, StepError::Damaged(Damage::Answer))
}

const fn is_open(error: &StepError) -> bool {
    matches!(error, StepError::Open(_))
}

const CASES: [Case; 9] = [
    ("too few slots", |_, _, _, s| Snapshot { records: s.records.into_iter().skip(1).collect(), ..s }, is_answer),
    ("no slots", |_, _, _, s| Snapshot { records: Vec::new(), ..s }, is_answer),
    (
        "too many slots",
        |_, _, _, mut s| {
            s.records.push(None);
            s
        },
        is_answer,
    ),
    ("slots in another order", |_, _, _, s| Snapshot { records: s.records.into_iter().rev().collect(), ..s }, is_open),
    (
        "the same slot for all",
        |_, _, _, s| {
            let first = s.records.first().cloned().flatten();
            Snapshot { records: s.records.iter().map(|_| first.clone()).collect(), ..s }
        },
        is_open,
    ),
    (
        "another's root",
        |rows, _, _, s| {
            let other =
                rows.roots.iter().find(|(owner, _)| owner.key() == "a/user-2").map(|(_, row)| row.stored.clone());
            Snapshot { root: other, ..s }
        },
        is_open,
    ),
    (
        "the root under another revision",
        |_, _, _, s| {
            let root = s.root.map(|root| Stored { revision: keywright_store::Revision::from_bytes([9; 16]), ..root });
            Snapshot { root, ..s }
        },
        is_open,
    ),
    (
        "no root",
        |_, _, _, s| Snapshot { root: None, has_rows: true, ..s },
        |error| matches!(error, StepError::Damaged(Damage::Orphans)),
    ),
    (
        "no records",
        |_, _, _, s| Snapshot { records: s.records.iter().map(|_| None).collect(), ..s },
        |error| matches!(error, StepError::Damaged(Damage::Record(_))),
    ),
];

#[tokio::test]
async fn wrong_answers_deny_and_lose_nothing() {
    for (what, spoil, right) in CASES {
        let world = filled(1).await;
        world.driver.ensure_account(&AccountId::new("user-2").unwrap()).await.unwrap();
        let rows = world.glass.rows();
        let driver = spoilt(&world, u32::MAX, spoil);
        let error = step_error(act(&driver, &world.partition).await);
        assert!(right(&error) && error.is_damage(), "{what}: {error:?}");
        assert_eq!(world.glass.rows(), rows, "{what}");
        assert_eq!(world.heard.damages(), 1, "{what}: an operator hears of it, once");
        act(&world.driver, &world.partition).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_answer_is_looked_at_once_more_before_it_is_told() {
    for (what, spoil, _) in CASES {
        let world = filled(2).await;
        world.driver.ensure_account(&AccountId::new("user-2").unwrap()).await.unwrap();
        let driver = spoilt(&world, 1, spoil);
        act(&driver, &world.partition).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(world.heard.damages(), 0, "{what}");
    }
}

#[tokio::test]
async fn the_log_is_looked_at_once_more_too() {
    let world = filled(3).await;
    let ahead = |_: &Rows, _: &Partition, _: &[SlotName], s: Snapshot| {
        let newest = keywright_store::Newest { changes: s.newest.changes + 1, ..s.newest };
        Snapshot { newest, ..s }
    };
    let driver = spoilt(&world, 1, ahead);
    assert_eq!(driver.recent_events(&world.account, 10).await.unwrap().len(), 1);
    assert_eq!(world.heard.damages(), 0);
    let driver = spoilt(&world, u32::MAX, ahead);
    let error = step_error(driver.recent_events(&world.account, 10).await);
    assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)));
    assert_eq!(world.heard.damages(), 1);
}

/// Two reads that each show damage, but under different roots, prove none. The log is denied as
/// damaged only if one root was seen twice.
#[tokio::test]
async fn damage_of_the_log_is_told_only_if_two_looks_show_the_same_root() {
    let world = filled(7).await;
    let mut past = Vec::new();
    for _ in 0..8 {
        past.push(world.glass.rows().roots.get(&world.partition).map(|row| row.stored.clone()));
        let tell = world.driver.transact(&world.partition, &[], |draft| {
            draft.event(&crate::REDEEMED);
            Ok(())
        });
        tell.await.unwrap();
    }
    // Each read returns another of the earlier roots, with the current rows, as a read in two steps
    // does while others commit.
    let past = Arc::new(past);
    let torn = |times: u32| {
        let (past, looks) = (Arc::clone(&past), Mutex::new(0));
        spoilt(&world, times, move |_, _, _, s| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            Snapshot { root: past[*looks % past.len()].clone(), ..s }
        })
    };
    for times in 1..=4 {
        let page = torn(times).events(&world.account, EventChain::Changes, None, 100).await.unwrap();
        assert_eq!(page.events.len(), 9, "after {times} torn looks");
    }
    let busy = torn(u32::MAX).events(&world.account, EventChain::Changes, None, 100).await;
    assert!(matches!(busy, Err(TransactError::Busy)), "{busy:?}");
    assert_eq!(world.heard.damages(), 0);
    // The same old root in both reads is damage.
    let old = past[0].clone();
    let driver = spoilt(&world, u32::MAX, move |_, _, _, s| Snapshot { root: old.clone(), ..s });
    let error = step_error(driver.events(&world.account, EventChain::Changes, None, 100).await);
    assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)));
    assert_eq!(world.heard.damages(), 1);
}

/// A store that keeps answering loads with an earlier state, like a replica that has stopped.
#[tokio::test]
async fn stale_answers_grant_nothing() {
    let world = filled(4).await;
    let old = Arc::new(world.glass.rows());
    assert!(world.redeem().await.unwrap());
    let rows = world.glass.rows();
    let stale = {
        let old = Arc::clone(&old);
        move |_: &Rows, p: &Partition, slots: &[SlotName], s: Snapshot| {
            let root = old.roots.get(p).map(|row| row.stored.clone());
            let body =
                |slot: &SlotName| -> Option<Bytes> { old.records.get(&(p.clone(), *slot)).map(|row| row.body.clone()) };
            let count = u64::try_from(old.events.len()).unwrap();
            let newest = keywright_store::Newest { changes: count, denials: 0 };
            Snapshot { root, records: slots.iter().map(body).collect(), newest, ..s }
        }
    };
    let driver = spoilt(&world, u32::MAX, stale);
    assert!(matches!(redeem(&driver, &world.partition).await, Err(TransactError::Busy)), "the voucher looks unspent");
    let session = driver.run(&world.partition, &[], |draft| Ok(draft.tentative(()))).await;
    assert!(matches!(session, Err(TransactError::Busy)), "nor is anything granted that changes nothing");
    assert_eq!(world.glass.rows(), rows);
    // A stale root alone, beside newer rows.
    let root_alone = {
        let old = Arc::clone(&old);
        move |_: &Rows, p: &Partition, _: &[SlotName], s: Snapshot| Snapshot {
            root: old.roots.get(p).map(|row| row.stored.clone()),
            ..s
        }
    };
    let error = step_error(redeem(&spoilt(&world, u32::MAX, root_alone), &world.partition).await);
    assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)));
    // Stale records beside a newer root.
    let records_alone = move |_: &Rows, p: &Partition, slots: &[SlotName], s: Snapshot| {
        let body = |slot: &SlotName| old.records.get(&(p.clone(), *slot)).map(|row| row.body.clone());
        Snapshot { records: slots.iter().map(body).collect(), ..s }
    };
    let error = step_error(redeem(&spoilt(&world, u32::MAX, records_alone), &world.partition).await);
    assert!(matches!(error, StepError::Open(_)), "{error:?}");
    assert_eq!(world.glass.rows(), rows);
}

/// A store that cannot read its rows.
fn unreadable() -> Arc<HookedStore<MemoryStore>> {
    let store = HookedStore::memory();
    store.before_reads(|_| async { Err(LoadError::Corrupt("a revision of 15 bytes".into())) });
    store.before_writes(|_| async { Err(CommitError::Conflict) });
    store
}

#[tokio::test]
async fn an_operator_hears_of_rows_of_an_unknown_form() {
    let world = filled(6).await;
    let driver = world.driver_on(unreadable());
    let denied = |result: Result<(), TransactError>| {
        assert!(matches!(&result, Err(error @ TransactError::Load(LoadError::Corrupt(_))) if error.is_damage()));
    };
    denied(act(&driver, &world.partition).await);
    denied(driver.observe(&world.partition, &[], |_| Ok(())).await);
    denied(driver.recent_events(&world.account, 10).await.map(drop));
    let heard = world.heard.damage();
    let right = (world.partition.clone(), StepError::Damaged(Damage::Form));
    assert_eq!(heard, vec![right; 3]);
}

/// Damage that differs each time is not read again without end.
#[tokio::test]
async fn a_store_that_never_answers_the_same_twice_is_denied() {
    let world = filled(5).await;
    let looks = Arc::new(Mutex::new(0_u8));
    let driver = spoilt(&world, u32::MAX, {
        let looks = Arc::clone(&looks);
        move |_, _, _, s| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            let root =
                s.root.map(|root| Stored { revision: keywright_store::Revision::from_bytes([*looks; 16]), ..root });
            Snapshot { root, ..s }
        }
    });
    assert!(matches!(step_error(act(&driver, &world.partition).await), StepError::Open(_)));
    assert!(*looks.lock().unwrap() < 20, "{looks:?}");
}
