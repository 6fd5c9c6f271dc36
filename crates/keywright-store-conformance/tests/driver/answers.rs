//! Stores that answer what was not asked, or what is old: typed errors that deny, and lose nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use keywright_core::{AccountId, EventChain};
use keywright_store::{
    Batch, BoxFuture, CommitError, Damage, Driver, EventNumber, LoadError, Partition, RecordStore, SlotName, Snapshot,
    StepError, Stored, StoredEvents, TransactError,
};
use keywright_store_conformance::glass::{GlassStore, Rows};

use crate::{BOTH, Bench, COUNTERS, VOUCHER, count, redeem, step_error};

type Spoil = Box<dyn Fn(&Rows, &Partition, &[SlotName], Snapshot) -> Snapshot + Send + Sync>;

/// A store whose answers to loads are spoilt, so many times.
struct Spoilt {
    store: Arc<GlassStore>,
    times: AtomicU32,
    spoil: Spoil,
}

impl std::fmt::Debug for Spoilt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spoilt(..)")
    }
}

impl RecordStore for Spoilt {
    fn load<'a>(&'a self, p: &'a Partition, slots: &'a [SlotName]) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            let snapshot = self.store.load(p, slots).await?;
            let left = self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |times| times.checked_sub(1));
            Ok(if left.is_ok() { (self.spoil)(&self.store.rows(), p, slots, snapshot) } else { snapshot })
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        self.store.commit(batch)
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        self.store.events(partition, chain, before, limit)
    }
}

fn spoilt(
    bench: &Bench,
    times: u32,
    spoil: impl Fn(&Rows, &Partition, &[SlotName], Snapshot) -> Snapshot + Send + Sync + 'static,
) -> Driver {
    let store = Spoilt { store: Arc::clone(&bench.glass), times: AtomicU32::new(times), spoil: Box::new(spoil) };
    bench.server_on(Arc::new(store))
}

/// With a voucher and a counter, so that there are two records to mix up.
async fn filled(seed: u64) -> Bench {
    let bench = Bench::made(seed).await;
    bench.driver.transact(&bench.account, COUNTERS, count).await.unwrap();
    bench
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
        let bench = filled(1).await;
        bench.driver.ensure_account(&AccountId::new("user-2").unwrap()).await.unwrap();
        let rows = bench.glass.rows();
        let driver = spoilt(&bench, u32::MAX, spoil);
        let error = step_error(act(&driver, &bench.account).await);
        assert!(right(&error) && error.is_damage(), "{what}: {error:?}");
        assert_eq!(bench.glass.rows(), rows, "{what}");
        assert_eq!(bench.heard.damages(), 1, "{what}: an operator hears of it, once");
        act(&bench.driver, &bench.account).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_answer_is_looked_at_once_more_before_it_is_told() {
    for (what, spoil, _) in CASES {
        let bench = filled(2).await;
        bench.driver.ensure_account(&AccountId::new("user-2").unwrap()).await.unwrap();
        let driver = spoilt(&bench, 1, spoil);
        act(&driver, &bench.account).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(bench.heard.damages(), 0, "{what}");
    }
}

#[tokio::test]
async fn the_log_is_looked_at_once_more_too() {
    let bench = filled(3).await;
    let ahead = |_: &Rows, _: &Partition, _: &[SlotName], s: Snapshot| {
        let newest = keywright_store::Newest { changes: s.newest.changes + 1, ..s.newest };
        Snapshot { newest, ..s }
    };
    let driver = spoilt(&bench, 1, ahead);
    assert_eq!(driver.recent_events(&bench.id, 10).await.unwrap().len(), 1);
    assert_eq!(bench.heard.damages(), 0);
    let driver = spoilt(&bench, u32::MAX, ahead);
    let error = step_error(driver.recent_events(&bench.id, 10).await);
    assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)));
    assert_eq!(bench.heard.damages(), 1);
}

/// Two looks that each show damage, but under different roots, prove none: the log is denied as damaged only if one root was
/// seen twice.
#[tokio::test]
async fn damage_of_the_log_is_told_only_if_two_looks_show_the_same_root() {
    let bench = filled(7).await;
    let mut past = Vec::new();
    for _ in 0..8 {
        past.push(bench.glass.rows().roots.get(&bench.account).map(|row| row.stored.clone()));
        let tell = bench.driver.transact(&bench.account, &[], |draft| {
            draft.event(&crate::REDEEMED);
            Ok(())
        });
        tell.await.unwrap();
    }
    // At each look another of the roots that were there before, beside the rows of now: as a read in two steps shows it
    // while others commit.
    let past = Arc::new(past);
    let torn = |times: u32| {
        let (past, looks) = (Arc::clone(&past), Mutex::new(0));
        spoilt(&bench, times, move |_, _, _, s| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            Snapshot { root: past[*looks % past.len()].clone(), ..s }
        })
    };
    for times in 1..=4 {
        let page = torn(times).events(&bench.id, EventChain::Changes, None, 100).await.unwrap();
        assert_eq!(page.events.len(), 9, "after {times} torn looks");
    }
    let busy = torn(u32::MAX).events(&bench.id, EventChain::Changes, None, 100).await;
    assert!(matches!(busy, Err(TransactError::Busy)), "{busy:?}");
    assert_eq!(bench.heard.damages(), 0);
    // The same old root at both looks is damage.
    let old = past[0].clone();
    let driver = spoilt(&bench, u32::MAX, move |_, _, _, s| Snapshot { root: old.clone(), ..s });
    let error = step_error(driver.events(&bench.id, EventChain::Changes, None, 100).await);
    assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)));
    assert_eq!(bench.heard.damages(), 1);
}

/// A store that goes on answering loads with what was there before a moment: a replica that has stopped.
#[tokio::test]
async fn stale_answers_grant_nothing() {
    let bench = filled(4).await;
    let old = Arc::new(bench.glass.rows());
    assert!(bench.redeem().await.unwrap());
    let rows = bench.glass.rows();
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
    let driver = spoilt(&bench, u32::MAX, stale);
    assert!(matches!(redeem(&driver, &bench.account).await, Err(TransactError::Busy)), "the voucher looks unspent");
    let session = driver.run(&bench.account, &[], |draft| Ok(draft.tentative(()))).await;
    assert!(matches!(session, Err(TransactError::Busy)), "nor is anything granted that changes nothing");
    assert_eq!(bench.glass.rows(), rows);
    // A stale root alone, beside newer rows.
    let root_alone = {
        let old = Arc::clone(&old);
        move |_: &Rows, p: &Partition, _: &[SlotName], s: Snapshot| Snapshot {
            root: old.roots.get(p).map(|row| row.stored.clone()),
            ..s
        }
    };
    let error = step_error(redeem(&spoilt(&bench, u32::MAX, root_alone), &bench.account).await);
    assert_eq!(error, StepError::Damaged(Damage::Events(EventChain::Changes)));
    // Stale records beside a newer root.
    let records_alone = move |_: &Rows, p: &Partition, slots: &[SlotName], s: Snapshot| {
        let body = |slot: &SlotName| old.records.get(&(p.clone(), *slot)).map(|row| row.body.clone());
        Snapshot { records: slots.iter().map(body).collect(), ..s }
    };
    let error = step_error(redeem(&spoilt(&bench, u32::MAX, records_alone), &bench.account).await);
    assert!(matches!(error, StepError::Open(_)), "{error:?}");
    assert_eq!(bench.glass.rows(), rows);
}

/// A store that finds rows in which it can read nothing.
#[derive(Debug)]
struct Unreadable;

fn corrupt<T: Send + 'static>() -> BoxFuture<'static, Result<T, LoadError>> {
    Box::pin(std::future::ready(Err(LoadError::Corrupt("a revision of 15 bytes".into()))))
}

impl RecordStore for Unreadable {
    fn load<'a>(&'a self, _: &'a Partition, _: &'a [SlotName]) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        corrupt()
    }

    fn commit(&self, _: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(std::future::ready(Err(CommitError::Conflict)))
    }

    fn events<'a>(
        &'a self,
        _: &'a Partition,
        _: EventChain,
        _: Option<EventNumber>,
        _: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        corrupt()
    }
}

#[tokio::test]
async fn an_operator_hears_of_rows_of_an_unknown_form() {
    let bench = filled(6).await;
    let driver = bench.server_on(Arc::new(Unreadable));
    let denied = |result: Result<(), TransactError>| {
        assert!(matches!(&result, Err(error @ TransactError::Load(LoadError::Corrupt(_))) if error.is_damage()));
    };
    denied(act(&driver, &bench.account).await);
    denied(driver.observe(&bench.account, &[], |_| Ok(())).await);
    denied(driver.recent_events(&bench.id, 10).await.map(drop));
    let heard = bench.heard.damage.lock().unwrap().clone();
    let right = (bench.account.clone(), StepError::Damaged(Damage::Form));
    assert_eq!(heard, vec![right; 3]);
}

/// Damage that is another each time is not looked at for ever.
#[tokio::test]
async fn a_store_that_never_answers_the_same_twice_is_denied() {
    let bench = filled(5).await;
    let looks = Arc::new(Mutex::new(0_u8));
    let driver = spoilt(&bench, u32::MAX, {
        let looks = Arc::clone(&looks);
        move |_, _, _, s| {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            let root =
                s.root.map(|root| Stored { revision: keywright_store::Revision::from_bytes([*looks; 16]), ..root });
            Snapshot { root, ..s }
        }
    });
    assert!(matches!(step_error(act(&driver, &bench.account).await), StepError::Open(_)));
    assert!(*looks.lock().unwrap() < 20, "{looks:?}");
}
