//! The order of waiting: one commit of a partition at a time in one process, known clients first,
//! and refusals wait for nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use keywright_core::{Attempt, Client, EventChain, Generation, SecretKind};
use keywright_store::guess::{self, AttemptOutcome, Comparison, LEDGER};
use keywright_store::{Draft, Driver, Partition, TransactError};
use keywright_testing::HookedStore;

use crate::{COUNTERS, KINDS, VOUCHER, VOUCHERS, World, count, redeem};

/// Where the commits of a store wait until they are let through.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    commits: Mutex<usize>,
}

fn gated(world: &World, known: usize, unknown: usize) -> (Driver, Arc<Gate>) {
    let (store, gate) = (HookedStore::new(Arc::clone(&world.glass)), Arc::new(Gate::default()));
    let waits = Arc::clone(&gate);
    store.before_writes(move |_| {
        let gate = Arc::clone(&waits);
        async move {
            *gate.commits.lock().unwrap() += 1;
            let is_open = || gate.open.load(Ordering::SeqCst);
            std::future::poll_fn(|_| if is_open() { Poll::Ready(Ok(())) } else { Poll::Pending }).await
        }
    });
    let builder = world.builder_on(store).slots(KINDS).max_waiting(known, unknown);
    (builder.build().unwrap(), gate)
}

type Act<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

fn poll<T>(act: &mut Act<'_, T>) -> Poll<T> {
    act.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

const SECRET: SecretKind = SecretKind::new("test-secret");

/// A wrong guess.
async fn guess(driver: &Driver, account: &Partition, client: Client) -> Result<bool, TransactError> {
    let attempt = Attempt::new(SECRET, Generation::from_u64(1), client);
    let step = |draft: &mut Draft<'_>| {
        let outcome = guess::check(draft, &attempt, |_| Ok(Comparison::<()>::Wrong))?;
        Ok(matches!(outcome, AttemptOutcome::Wrong(_)))
    };
    driver.transact(account, &[LEDGER.name()], step).await
}

#[tokio::test]
async fn a_refusal_waits_for_nobody_and_writes_nothing() {
    let world = World::made(1).await;
    assert!(redeem(&world.calm(), &world.partition).await.unwrap());
    let (driver, gate) = gated(&world, 8, 8);
    let mut holds: Act<'_, _> = Box::pin(driver.transact(&world.partition, COUNTERS, count));
    assert!(poll(&mut holds).is_pending(), "it holds the partition until its commit is answered");
    let rows = world.glass.rows();
    let mut refused: Act<'_, _> = Box::pin(redeem(&driver, &world.partition));
    assert!(matches!(poll(&mut refused), Poll::Ready(Ok(false))), "a spent voucher");
    let mut look: Act<'_, _> = Box::pin(driver.observe(&world.partition, VOUCHERS, |draft| draft.read(VOUCHER)));
    assert!(matches!(poll(&mut look), Poll::Ready(Ok(Some(_)))));
    let mut log: Act<'_, _> = Box::pin(driver.recent_events(&world.account, 10));
    assert!(matches!(poll(&mut log), Poll::Ready(Ok(_))));
    assert_eq!((*gate.commits.lock().unwrap(), world.glass.rows()), (1, rows));
    gate.open.store(true, Ordering::SeqCst);
    assert!(matches!(poll(&mut holds), Poll::Ready(Ok(1))));
}

#[tokio::test]
async fn another_partition_is_not_held_up() {
    let world = World::made(2).await;
    let (driver, gate) = gated(&world, 8, 8);
    let mut holds: Act<'_, _> = Box::pin(driver.transact(&world.partition, COUNTERS, count));
    assert!(poll(&mut holds).is_pending());
    let other = Partition::server();
    let mut second: Act<'_, _> = Box::pin(driver.transact(&other, COUNTERS, count));
    assert!(poll(&mut second).is_pending());
    assert_eq!(*gate.commits.lock().unwrap(), 2, "its commit is on its way too");
}

#[tokio::test]
async fn what_waited_decides_on_what_is_there_by_then() {
    let world = World::made(3).await;
    let (driver, gate) = gated(&world, 8, 8);
    let mut first: Act<'_, _> = Box::pin(redeem(&driver, &world.partition));
    let mut second: Act<'_, _> = Box::pin(redeem(&driver, &world.partition));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    assert_eq!(*gate.commits.lock().unwrap(), 1, "one at a time");
    gate.open.store(true, Ordering::SeqCst);
    assert!(matches!(poll(&mut first), Poll::Ready(Ok(true))));
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(false))));
    assert_eq!(*gate.commits.lock().unwrap(), 1, "without a conflict");
}

#[tokio::test]
async fn the_queue_is_bounded_and_says_so_at_once() {
    let world = World::made(4).await;
    let (driver, gate) = gated(&world, 2, 1);
    let mut waiting: Vec<Act<'_, _>> =
        (0..3).map(|_| Box::pin(driver.transact(&world.partition, COUNTERS, count)) as _).collect();
    assert!(waiting.iter_mut().all(|act| poll(act).is_pending()), "one at it, two behind");
    let mut fourth: Act<'_, _> = Box::pin(driver.transact(&world.partition, COUNTERS, count));
    assert!(matches!(poll(&mut fourth), Poll::Ready(Err(TransactError::Busy))));
    // A waiter that gives up leaves its place.
    drop(waiting.pop());
    let mut fifth: Act<'_, _> = Box::pin(driver.transact(&world.partition, COUNTERS, count));
    assert!(poll(&mut fifth).is_pending());
    gate.open.store(true, Ordering::SeqCst);
    waiting.push(fifth);
    for (act, right) in waiting.iter_mut().zip(1..) {
        assert!(matches!(poll(act), Poll::Ready(Ok(counted)) if counted == right));
    }
    // One that is dropped while it commits also makes way for the next.
    gate.open.store(false, Ordering::SeqCst);
    let mut dropped: Act<'_, _> = Box::pin(driver.transact(&world.partition, COUNTERS, count));
    assert!(poll(&mut dropped).is_pending());
    let mut next: Act<'_, _> = Box::pin(driver.transact(&world.partition, COUNTERS, count));
    assert!(poll(&mut next).is_pending());
    drop(dropped);
    gate.open.store(true, Ordering::SeqCst);
    assert!(matches!(poll(&mut next), Poll::Ready(Ok(4))), "what was dropped before it was sent has no effect");
}

#[tokio::test]
async fn known_clients_go_first_and_a_crowd_of_unknown_ones_is_bounded() {
    let world = World::made(5).await;
    let (driver, gate) = gated(&world, 8, 2);
    let account = &world.partition;
    let mut holds: Act<'_, _> = Box::pin(driver.transact(account, COUNTERS, count));
    assert!(poll(&mut holds).is_pending());
    let mut crowd: Vec<Act<'_, _>> =
        (0..2).map(|_| Box::pin(guess(&driver, account, Client::unknown())) as _).collect();
    assert!(crowd.iter_mut().all(|act| poll(act).is_pending()));
    let mut third: Act<'_, _> = Box::pin(guess(&driver, account, Client::unknown()));
    assert!(matches!(poll(&mut third), Poll::Ready(Err(TransactError::Busy))), "a share of the queue, and no more");
    let mut owner: Act<'_, _> = Box::pin(driver.transact(account, COUNTERS, count));
    assert!(poll(&mut owner).is_pending());
    gate.open.store(true, Ordering::SeqCst);
    assert!(matches!(poll(&mut holds), Poll::Ready(Ok(1))));
    gate.open.store(false, Ordering::SeqCst);
    assert!(crowd.iter_mut().all(|act| poll(act).is_pending()));
    assert!(poll(&mut owner).is_pending());
    gate.open.store(true, Ordering::SeqCst);
    assert!(crowd.iter_mut().all(|act| poll(act).is_pending()), "the owner came last and is next");
    assert!(matches!(poll(&mut owner), Poll::Ready(Ok(2))));
    for act in &mut crowd {
        assert!(matches!(poll(act), Poll::Ready(Ok(true))), "then the others, each charged");
    }
    assert!(world.numbers(EventChain::Denials) >= 1);
}
