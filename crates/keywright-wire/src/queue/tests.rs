#![expect(clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test")]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

fn account(number: u8) -> Partition {
    Partition::name(&[number; 32])
}

fn requester(number: u8, standing: Standing) -> Requester {
    Requester::new(account(number), standing)
}

type Entering = Pin<Box<dyn Future<Output = Result<Permit, Busy>>>>;

/// Starts to wait for a permit, and polls once.
fn enter(queue: &WorkQueue, requester: Requester) -> (Entering, Poll<Result<Permit, Busy>>) {
    let queue = queue.clone();
    let mut entering: Entering = Box::pin(async move { queue.acquire(&requester).await });
    let first = poll(&mut entering);
    (entering, first)
}

fn poll(entering: &mut Entering) -> Poll<Result<Permit, Busy>> {
    entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn waits(queue: &WorkQueue, requester: Requester) -> Entering {
    let (entering, first) = enter(queue, requester);
    assert!(first.is_pending(), "it does not wait");
    entering
}

fn is_busy(queue: &WorkQueue, requester: Requester) -> bool {
    matches!(enter(queue, requester).1, Poll::Ready(Err(Busy)))
}

/// Takes the one permit of a queue.
fn only_permit(queue: &WorkQueue) -> Permit {
    match enter(queue, requester(200, Standing::Known)).1 {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("no permit: {other:?}"),
    }
}

/// Releases the only permit again and again, and records who gets it.
fn serve_all(mut permit: Permit, mut waiting: Vec<(&'static str, Entering)>) -> Vec<&'static str> {
    let mut served = Vec::new();
    while !waiting.is_empty() {
        drop(permit);
        let next = waiting.iter_mut().enumerate().find_map(|(at, (_, entering))| match poll(entering) {
            Poll::Ready(Ok(permit)) => Some((at, permit)),
            Poll::Ready(Err(Busy)) => panic!("told busy while it waits"),
            Poll::Pending => None,
        });
        let (at, next) = next.expect("somebody is served");
        served.push(waiting.remove(at).0);
        permit = next;
    }
    served
}

#[test]
fn turns_go_round_among_accounts() {
    let queue = WorkQueue::new(Limits::default().at_once(1));
    let permit = only_permit(&queue);
    let waiting = [("a1", 1), ("a2", 1), ("a3", 1), ("b1", 2), ("b2", 2), ("c1", 3)]
        .map(|(name, number)| (name, waits(&queue, requester(number, Standing::Unknown))));
    assert_eq!(serve_all(permit, waiting.into()), ["a1", "b1", "c1", "a2", "b2", "a3"]);
    assert_eq!(queue.waiting(), (0, 0));
}

#[test]
fn known_askers_come_first_and_unknown_ones_are_not_starved() {
    let queue = WorkQueue::new(Limits::default().at_once(1));
    let permit = only_permit(&queue);
    let mut waiting: Vec<_> = ["s1", "s2"].map(|name| (name, waits(&queue, requester(1, Standing::Unknown)))).into();
    let known = ["k1", "k2", "k3", "k4", "k5", "k6", "k7"];
    waiting.extend(known.into_iter().zip(10..).map(|(name, at)| (name, waits(&queue, requester(at, Standing::Known)))));
    assert_eq!(serve_all(permit, waiting), ["k1", "k2", "k3", "k4", "s1", "k5", "k6", "k7", "s2"]);
}

#[test]
fn each_account_has_so_many_places_and_strangers_take_none_of_its_owner() {
    let queue = WorkQueue::new(Limits::default().at_once(1).waiting_per_account(2).waiting(2, 3));
    let _permit = only_permit(&queue);
    let _strangers = [(); 2].map(|()| waits(&queue, requester(1, Standing::Unknown)));
    assert!(is_busy(&queue, requester(1, Standing::Unknown)), "its places are taken, the queue's are not");
    let _owner = waits(&queue, requester(1, Standing::Known));
    let _other = waits(&queue, requester(2, Standing::Unknown));
    assert_eq!(queue.waiting(), (1, 3));
}

#[test]
fn whoever_fills_the_queue_makes_room_for_others() {
    let queue = WorkQueue::new(Limits::default().at_once(1).waiting(4, 4));
    let permit = only_permit(&queue);
    let mut crowd = [(); 4].map(|()| waits(&queue, requester(1, Standing::Unknown)));
    let first = waits(&queue, requester(2, Standing::Unknown));
    assert!(matches!(poll(&mut crowd[3]), Poll::Ready(Err(Busy))), "the latest of the crowd gives way");
    assert!(is_busy(&queue, requester(1, Standing::Unknown)), "nobody gives way to the crowd itself");
    let second = waits(&queue, requester(2, Standing::Unknown));
    assert!(matches!(poll(&mut crowd[2]), Poll::Ready(Err(Busy))));
    assert!(is_busy(&queue, requester(2, Standing::Unknown)), "two and two: a third would be a crowd of its own");
    assert_eq!(queue.waiting(), (0, 4));
    let [a, b, ..] = crowd;
    let served = serve_all(permit, vec![("b1", first), ("a1", a), ("b2", second), ("a2", b)]);
    assert_eq!(served, ["a1", "b1", "a2", "b2"]);
}

#[test]
fn who_gives_up_frees_its_place_and_its_turn() {
    let queue = WorkQueue::new(Limits::default().at_once(1).waiting(1, 1));
    let permit = only_permit(&queue);
    let gives_up = waits(&queue, requester(1, Standing::Unknown));
    assert!(is_busy(&queue, requester(2, Standing::Unknown)));
    drop(gives_up);
    assert_eq!(queue.waiting(), (0, 0), "its place is free at once");
    // A waiter leaves after its permit was sent to it and before it was polled.
    let mut last = waits(&queue, requester(2, Standing::Unknown));
    let next = waits(&queue, requester(3, Standing::Known));
    drop(permit);
    assert_eq!(queue.waiting(), (0, 1), "the known one was handed the permit");
    assert!(poll(&mut last).is_pending());
    drop(next);
    assert!(matches!(poll(&mut last), Poll::Ready(Ok(_))), "its permit goes on to the next");
    drop(only_permit(&queue));
}

#[test]
fn no_limit_of_zero_turns() {
    let queue = WorkQueue::new(Limits::default().at_once(0).waiting(0, 0));
    let permit = only_permit(&queue);
    assert!(is_busy(&queue, requester(1, Standing::Known)) && is_busy(&queue, requester(1, Standing::Unknown)));
    drop(permit);
    drop(only_permit(&queue));
}

#[derive(Debug, Clone)]
enum Act {
    Arrive(u8, bool),
    Finish(usize),
    GiveUp(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        5 => (0_u8..6, any::<bool>()).prop_map(|(account, known)| Act::Arrive(account, known)),
        3 => any::<usize>().prop_map(Act::Finish),
        1 => any::<usize>().prop_map(Act::GiveUp),
    ];
    proptest::collection::vec(act, 1..200)
}

/// A waiter, and what it may have to wait for.
struct Waits {
    account: u8,
    standing: Standing,
    entering: Entering,
    /// Its position among the waiters of its account, from 1 on.
    nth: usize,
    /// The most accounts of its standing that have waited beside it, its own included.
    accounts: usize,
    /// Turns of its own standing, and of all, since it arrived.
    passed: (usize, usize),
}

struct World {
    queue: WorkQueue,
    limits: Limits,
    waiting: Vec<Waits>,
    permits: Vec<Permit>,
}

impl World {
    fn like(&self, standing: Standing) -> impl Iterator<Item = &Waits> {
        self.waiting.iter().filter(move |other| other.standing == standing)
    }

    fn accounts(&self, standing: Standing) -> usize {
        self.like(standing).map(|other| other.account).collect::<std::collections::HashSet<_>>().len()
    }

    fn arrive(&mut self, number: u8, standing: Standing) {
        let own = self.like(standing).filter(|other| other.account == number).count();
        let all = self.like(standing).count();
        let most = if standing == Standing::Known { self.limits.known } else { self.limits.unknown };
        let has_place = self.queue.check_place(&requester(number, standing));
        let (entering, first) = enter(&self.queue, requester(number, standing));
        assert_eq!(has_place.is_ok(), !matches!(first, Poll::Ready(Err(Busy))), "what is said before holds");
        match first {
            Poll::Ready(Ok(permit)) => {
                assert!(self.waiting.is_empty(), "it overtakes those who wait");
                self.permits.push(permit);
            }
            Poll::Ready(Err(Busy)) => {
                let fullest =
                    (0..6).map(|other| self.like(standing).filter(|waits| waits.account == other).count()).max();
                let is_fair = all >= most && fullest <= Some(own + 1);
                assert!(own >= self.limits.per_account || is_fair, "busy, and there is a place");
            }
            Poll::Pending => {
                assert_eq!(self.permits.len(), self.limits.at_once, "it waits, and a permit is free");
                assert!(own < self.limits.per_account);
                let waits = Waits { account: number, standing, entering, nth: own + 1, accounts: 0, passed: (0, 0) };
                self.waiting.push(waits);
                if all >= most {
                    let evicted = self.evicted();
                    assert_eq!(evicted.standing, standing);
                    let left = self.like(standing).filter(|other| other.account == evicted.account).count();
                    assert!(left > own, "it gave way to an account that has more");
                }
            }
        }
        let accounts = self.accounts(standing);
        for waits in self.waiting.iter_mut().filter(|waits| waits.standing == standing) {
            waits.accounts = waits.accounts.max(accounts);
        }
    }

    /// Returns the waiter that got [`Busy`] while it waited.
    fn evicted(&mut self) -> Waits {
        let told = |waits: &mut Waits| matches!(poll(&mut waits.entering), Poll::Ready(Err(Busy)));
        let at = self.waiting.iter_mut().position(told).expect("one gives way");
        self.waiting.remove(at)
    }

    fn finish(&mut self, at: usize) {
        if self.permits.is_empty() {
            return;
        }
        drop(self.permits.swap_remove(at % self.permits.len()));
        let served = self.waiting.iter_mut().enumerate().find_map(|(at, waits)| match poll(&mut waits.entering) {
            Poll::Ready(Ok(permit)) => Some((at, permit)),
            Poll::Ready(Err(Busy)) => panic!("told busy, and nobody came"),
            Poll::Pending => None,
        });
        let Some((at, permit)) = served else {
            assert!(self.waiting.is_empty(), "a permit is free, and nobody is served");
            return;
        };
        self.permits.push(permit);
        let served = self.waiting.remove(at);
        for waits in &mut self.waiting {
            waits.passed.0 += usize::from(waits.standing == served.standing);
            waits.passed.1 += 1;
        }
        let bound = served.nth * served.accounts;
        let (own, all) = (served.passed.0 + 1, served.passed.1 + 1);
        assert!(own <= bound, "it is the {}th of its account, of {}, served after {own}", served.nth, served.accounts);
        match served.standing {
            Standing::Unknown => assert!(all <= bound * (KNOWN_IN_A_ROW as usize + 1), "starved for {all} permits"),
            _ => assert!(all <= own + own / KNOWN_IN_A_ROW as usize + 1, "held up by unknown ones for {all} permits"),
        }
    }

    fn give_up(&mut self, at: usize) {
        if !self.waiting.is_empty() {
            let at = at % self.waiting.len();
            drop(self.waiting.remove(at));
        }
    }

    fn check(&mut self) {
        assert!(self.permits.len() <= self.limits.at_once);
        let counts = (self.like(Standing::Known).count(), self.like(Standing::Unknown).count());
        assert_eq!(self.queue.waiting(), counts, "a waiter is lost, or a place is kept");
        assert!(counts.0 <= self.limits.known && counts.1 <= self.limits.unknown);
        for waits in &mut self.waiting {
            assert!(poll(&mut waits.entering).is_pending(), "served, and no permit was given back");
        }
    }
}

proptest! {
    /// For any sequence of arrivals, ends and cancellations, the bounds hold, no waiter is lost,
    /// nobody waits while a permit is free, and everybody is served within its bound.
    #[test]
    fn bounded_fair_and_nobody_is_lost(
        acts in acts(), at_once in 1_usize..4, known in 0_usize..6, unknown in 0_usize..6, per_account in 1_usize..5,
    ) {
        let limits = Limits::default().at_once(at_once).waiting(known, unknown).waiting_per_account(per_account);
        let mut world = World { queue: WorkQueue::new(limits), limits, waiting: Vec::new(), permits: Vec::new() };
        for act in acts {
            match act {
                Act::Arrive(account, true) => world.arrive(account, Standing::Known),
                Act::Arrive(account, false) => world.arrive(account, Standing::Unknown),
                Act::Finish(at) => world.finish(at),
                Act::GiveUp(at) => world.give_up(at),
            }
            world.check();
        }
        while !world.permits.is_empty() {
            world.finish(0);
        }
        assert!(world.waiting.is_empty(), "somebody is never served");
        let state = world.queue.shared.state();
        assert_eq!((state.out, state.known.lines.len(), state.unknown.ring.len()), (0, 0, 0), "something is left behind");
    }
}

/// On real threads, with tasks that are aborted at any moment, no more permits are out than
/// allowed, and every permit is returned.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_and_aborted_tasks_lose_no_turn() {
    const TASKS: usize = 600;
    static AT_WORK: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let queue = WorkQueue::new(Limits::default().at_once(3).waiting(60, 30).waiting_per_account(12));
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let standing = if number % 3 == 0 { Standing::Known } else { Standing::Unknown };
                let requester = requester(u8::try_from(number % 11).unwrap(), standing);
                for _ in 0..number % 7 {
                    tokio::task::yield_now().await;
                }
                let _permit = queue.acquire(&requester).await?;
                MOST.fetch_max(AT_WORK.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // No await here: an abort must not skip the count.
                std::thread::yield_now();
                AT_WORK.fetch_sub(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<(), Busy>(())
            })
        })
        .collect();
    for task in tasks.iter().step_by(5) {
        tokio::task::yield_now().await;
        task.abort();
    }
    let mut served = 0;
    for task in tasks {
        match task.await {
            Ok(outcome) => served += usize::from(outcome.is_ok()),
            Err(gone) => assert!(gone.is_cancelled(), "a task panicked"),
        }
    }
    assert!(served > 0);
    assert!((1..=3).contains(&MOST.load(Ordering::SeqCst)), "at work at once: {MOST:?}");
    assert_eq!(queue.waiting(), (0, 0));
    assert_eq!(queue.shared.state().out, 0, "a permit is lost");
}
