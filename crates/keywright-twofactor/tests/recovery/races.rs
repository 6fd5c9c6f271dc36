//! Many concurrent requests, on one server and on four that share a store: memory and SQLite (ASVS
//! 2.3.4, 15.4.2).

use std::sync::Arc;

use keywright_core::SessionId;
use keywright_store::Driver;
use keywright_twofactor::recovery::{Liveness, Preset};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::world::{Outcome, SESSION, UNKNOWN, World, acknowledge, foreign, judge};

/// Every store, with one server and with four.
async fn each(test: impl AsyncFn(World, Vec<Driver>)) {
    for servers in [1, 4] {
        for world in [World::new().await, World::sqlite().await] {
            let drivers = (0..servers).map(|seed| world.server(10 + seed)).collect();
            test(world, drivers).await;
        }
    }
}

/// Types all codes at the same time, on the servers in turn.
async fn together(world: &World, servers: &[Driver], codes: impl IntoIterator<Item = String>) -> Vec<Outcome> {
    let codes: Vec<String> = codes.into_iter().collect();
    let barrier = Arc::new(Barrier::new(codes.len()));
    let mut tasks = JoinSet::new();
    for (nth, code) in codes.into_iter().enumerate() {
        let (barrier, partition) = (Arc::clone(&barrier), world.partition());
        let driver = servers[nth % servers.len()].clone();
        tasks.spawn(async move {
            barrier.wait().await;
            judge(&driver, &partition, &code, UNKNOWN).await.unwrap()
        });
    }
    tasks.join_all().await
}

fn count(outcome: &[Outcome], what: impl Fn(&Outcome) -> bool) -> usize {
    outcome.iter().filter(|outcome| what(outcome)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asvs_15_4_2_of_64_times_one_code_one_is_granted() {
    each(async |world, servers| {
        let codes = world.make(Preset::Default, Liveness::Now).await;
        let outcome = together(&world, &servers, vec![codes[0].clone(); 64]).await;
        assert_eq!(count(&outcome, |outcome| *outcome == Outcome::Granted), 1);
        assert_eq!(count(&outcome, |outcome| *outcome == Outcome::Denied), 63, "{outcome:?}");
        assert_eq!(world.remaining().await, Some(9));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_times_two_codes_two_are_granted() {
    each(async |world, servers| {
        let codes = world.make(Preset::RocketChat, Liveness::Now).await;
        let outcome = together(&world, &servers, (0..64).map(|nth| codes[nth / 4 % 2].clone())).await;
        assert_eq!(count(&outcome, |outcome| *outcome == Outcome::Granted), 2);
        assert_eq!(count(&outcome, |outcome| *outcome == Outcome::Denied), 62, "{outcome:?}");
        assert_eq!(world.remaining().await, Some(10));
    })
    .await;
}

/// The limit under many concurrent guesses: five wrong ones are checked, then the correct one is
/// refused too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asvs_6_3_1_of_1000_wrong_guesses_five_are_looked_at() {
    for preset in [Preset::RocketChat, Preset::Default] {
        for world in [World::new().await, World::sqlite().await] {
            let servers: Vec<_> = (10..14).map(|seed| world.server(seed)).collect();
            let codes = world.make(preset, Liveness::Now).await;
            let outcome = together(&world, &servers, (1..=1_000).map(|nth| foreign(preset, nth))).await;
            assert_eq!(count(&outcome, |outcome| matches!(outcome, Outcome::Charged(_))), 5);
            assert_eq!(count(&outcome, |outcome| matches!(outcome, Outcome::Refused(_))), 995);
            assert!(matches!(world.verify(&codes[0]).await, Outcome::Refused(_)));
            world.clock.advance(30);
            assert_eq!(world.verify(&codes[0]).await, Outcome::Granted);
        }
    }
}

/// A code of the old set works before the new set becomes live, or not at all; the new set becomes
/// live once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_acknowledgement_races_the_old_code() {
    each(async |world, servers| {
        let old = world.make(Preset::Default, Liveness::Now).await;
        let new = world.make(Preset::Default, Liveness::OnAcknowledgement { session: SessionId::new(SESSION) }).await;
        let barrier = Arc::new(Barrier::new(16));
        let mut tasks = JoinSet::new();
        for nth in 0..16 {
            let (barrier, partition) = (Arc::clone(&barrier), world.partition());
            let (driver, code) = (servers[nth % servers.len()].clone(), old[0].clone());
            tasks.spawn(async move {
                barrier.wait().await;
                if nth % 4 == 0 {
                    return (acknowledge(&driver, &partition).await.is_ok_and(|live| live), false);
                }
                (false, judge(&driver, &partition, &code, UNKNOWN).await.unwrap() == Outcome::Granted)
            });
        }
        let outcome = tasks.join_all().await;
        assert!(
            outcome.iter().filter(|outcome| outcome.0).count() <= 1
                && outcome.iter().filter(|outcome| outcome.1).count() <= 1
        );
        world.acknowledge().await;
        world.clock.advance(3_600);
        assert_eq!(world.verify(&new[0]).await, Outcome::Granted);
        world.clock.advance(3_600);
        assert!(matches!(world.verify(&old[0]).await, Outcome::Charged(_)));
    })
    .await;
}
