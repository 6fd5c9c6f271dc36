//! The horizon of the sweeps: it follows the clock, a day an hour at most, and nobody gains by moving it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use keywright::core::UnixSeconds;
use keywright::store::{CommitError, LoadError, Partition};
use keywright::{HousekeepingError, Keywright, ManualClock, Store};
use keywright_testing::{Call, Reply};

use crate::{NOTE, Note, account, bare, keyring, memory};

const START: UnixSeconds = UnixSeconds::EPOCH.plus(keywright_testing::World::START);
const DAY: u64 = 86_400;

/// What a store answers when it is asked for its horizon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Its,
    /// As somebody has written it past the port. A move heals it.
    Forged(UnixSeconds),
    Garbage,
}

/// What somebody does to the horizon of a store: it is forged, or moves of it fail.
#[derive(Debug)]
struct Moody {
    shown: Mutex<Shown>,
    failures: AtomicUsize,
    moves: AtomicUsize,
}

impl Moody {
    fn show(&self, shown: Shown) {
        *self.shown.lock().unwrap() = shown;
    }

    fn moves(&self) -> usize {
        self.moves.load(Ordering::SeqCst)
    }

    fn write(&self, call: Call<'_>) -> Result<(), CommitError> {
        match call {
            Call::MoveHorizon(_) => {
                self.moves.fetch_add(1, Ordering::SeqCst);
                if self.failures.load(Ordering::SeqCst) > 0 {
                    self.failures.fetch_sub(1, Ordering::SeqCst);
                    return Err(CommitError::Rejected("locked".into()));
                }
                self.show(Shown::Its);
            }
            Call::Sweep => assert_eq!(*self.shown.lock().unwrap(), Shown::Its, "a sweep by a forged horizon"),
            Call::ForgetEvents(_) => {
                assert_eq!(*self.shown.lock().unwrap(), Shown::Its, "events were forgotten by a forged horizon");
            }
            _ => {}
        }
        Ok(())
    }
}

async fn start(store: &Arc<dyn Store>, clock: &Arc<ManualClock>) -> Keywright {
    Keywright::builder_shared(Arc::clone(store))
        .keyring(keyring(&[1]))
        .slots(&[NOTE.kind()])
        .clock(Arc::<ManualClock>::clone(clock))
        .open()
        .await
        .unwrap()
}

fn moody() -> (Arc<Moody>, Arc<dyn Store>, Arc<ManualClock>) {
    let moody = Arc::new(Moody { shown: Mutex::new(Shown::Its), failures: 0.into(), moves: 0.into() });
    let (store, writes, shows) = (bare(), Arc::clone(&moody), Arc::clone(&moody));
    store.before_writes(move |call| std::future::ready(writes.write(call)));
    store.after(move |reply| {
        if let Reply::Horizon(answer) = reply {
            match *shows.shown.lock().unwrap() {
                Shown::Its => {}
                Shown::Forged(moment) => *answer = Ok(Some(moment)),
                Shown::Garbage => *answer = Err(LoadError::Corrupt("no moment".into())),
            }
        }
    });
    (moody, store, Arc::new(ManualClock::new(START)))
}

#[tokio::test]
async fn a_clock_that_is_years_ahead_moves_the_horizon_a_day() {
    let clock = Arc::new(ManualClock::new(START));
    let store = memory();
    start(&store, &clock).await.ensure_account(&account("alice")).await.unwrap();
    clock.advance(10 * 365 * DAY);
    let keywright = start(&store, &clock).await;
    let first = keywright.housekeeping().move_horizon().await.unwrap();
    assert_eq!(first.at, START.plus(DAY), "from the newest event on");
    assert!(first.clock_is_ahead);
    assert_eq!(keywright.housekeeping().move_horizon().await.unwrap(), first, "an hour's rest");
    assert_eq!(keywright.housekeeping().forget_events(100).await.unwrap(), 0);
}

#[tokio::test]
async fn a_server_that_is_started_over_and_over_moves_the_horizon_an_hour_each_time() {
    let clock = Arc::new(ManualClock::new(START));
    let store = memory();
    start(&store, &clock).await.housekeeping().move_horizon().await.unwrap();
    clock.advance(30 * DAY);
    for hour in 1..=40 {
        let keywright = start(&store, &clock).await;
        let round = keywright.housekeeping().move_horizon().await.unwrap();
        assert_eq!(round.at, START.plus(hour * 3_600), "an hour, and not a day");
        assert!(round.clock_is_ahead);
        assert_eq!(keywright.housekeeping().move_horizon().await.unwrap().at, round.at, "an hour's rest");
    }
    // Within a day there is nothing to wait for.
    clock.set(START.plus(2 * DAY));
    let round = start(&store, &clock).await.housekeeping().move_horizon().await.unwrap();
    assert_eq!((round.at, round.clock_is_ahead), (START.plus(2 * DAY), false));
}

#[tokio::test]
async fn the_horizon_comes_back_with_the_clock_before_anything_is_dropped() {
    let clock = Arc::new(ManualClock::new(START));
    let store = memory();
    let keywright = start(&store, &clock).await;
    let partition = Partition::account(&account("alice"));
    keywright.ensure_account(&account("alice")).await.unwrap();
    // A clock that runs ahead by four days, rounds enough to follow it, and a session of three days made behind it.
    clock.advance(4 * DAY);
    while store.move_horizon(START.plus(4 * DAY)).await.unwrap() < START.plus(4 * DAY) {}
    clock.set(START);
    let until = START.plus(3 * DAY);
    let put = |draft: &mut keywright::store::Draft<'_>| draft.put_until(NOTE, &Note(7), until);
    keywright.driver().transact(&partition, &[NOTE.name()], put).await.unwrap();
    assert_eq!(keywright.housekeeping().sweep(100).await.unwrap(), 0);
    assert_eq!(store.horizon().await.unwrap(), Some(START));
    let round = keywright.housekeeping().move_horizon().await.unwrap();
    assert_eq!((round.at, round.clock_is_ahead), (START, false));
    let note = keywright.driver().observe(&partition, &[NOTE.name()], |draft| draft.read(NOTE)).await.unwrap();
    assert_eq!(note.map(|note| note.0), Some(7));
}

#[tokio::test]
async fn a_forged_horizon_is_healed_and_never_believed() {
    let (moody, store, clock) = moody();
    let partition = Partition::account(&account("alice"));
    let before = start(&store, &clock).await;
    before.ensure_account(&account("alice")).await.unwrap();
    let until = START.plus(10);
    let put = |draft: &mut keywright::store::Draft<'_>| draft.put_until(NOTE, &Note(7), until);
    before.driver().transact(&partition, &[NOTE.name()], put).await.unwrap();
    for forged in [Shown::Forged(UnixSeconds::MAX), Shown::Garbage] {
        moody.show(forged);
        let keywright = start(&store, &clock).await;
        let touch = |draft: &mut keywright::store::Draft<'_>| draft.mark_seeded();
        keywright.driver().transact(&partition, &[], touch).await.unwrap();
        let slots = keywright.driver().slots_of(&partition).await.unwrap();
        assert!(slots.contains(&NOTE.name()), "{forged:?}: an entry was dropped by it");
        if forged == Shown::Forged(UnixSeconds::MAX) {
            assert_eq!(keywright.housekeeping().sweep(100).await.unwrap(), 0);
            moody.show(forged);
            assert_eq!(keywright.housekeeping().forget_events(100).await.unwrap(), 0);
        } else {
            assert_eq!(keywright.housekeeping().move_horizon().await.unwrap().at, START);
        }
        assert_eq!(store.horizon().await.unwrap(), Some(START));
    }
}

#[tokio::test]
async fn a_move_that_failed_costs_no_rest() {
    let (moody, store, clock) = moody();
    let keywright = start(&store, &clock).await;
    moody.failures.store(1, Ordering::SeqCst);
    let failed = keywright.housekeeping().move_horizon().await;
    assert!(matches!(failed, Err(HousekeepingError::Commit(CommitError::Rejected(_)))), "{failed:?}");
    assert_eq!(keywright.housekeeping().move_horizon().await.unwrap().at, START);
    clock.advance(10);
    assert_eq!(keywright.housekeeping().move_horizon().await.unwrap().at, START, "an hour's rest");
    assert_eq!(moody.moves(), 2);
}
