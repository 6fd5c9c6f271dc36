//! Many concurrent requests, on several servers over one store. Each server has its own queue, so
//! the guard decides.

use std::sync::Arc;

use keywright_core::{Purpose, SessionId};
use keywright_store::{Draft, Partition, TransactError};
use keywright_twofactor::{SLOTS, TwoFactor, TwoFactorError};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::support::{OTHER, Outcome, SEED, SESSION, START, UNKNOWN, World, code, wrong};

const TASKS: usize = 64;

/// Runs `task` this many times, all starting together, on four servers in turn. A server that lost
/// too many races returns "busy", which denies.
async fn crowd<T, F>(world: &World, tasks: usize, task: impl Fn(usize, TwoFactor) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, TwoFactorError>> + Send + 'static,
{
    let servers: Vec<_> = (0..4).map(|_| world.another_server(world.next_seed(), 0)).collect();
    let barrier = Arc::new(Barrier::new(tasks));
    let mut running = JoinSet::new();
    for nth in 0..tasks {
        let (barrier, work) = (barrier.clone(), task(nth, servers[nth % servers.len()].clone()));
        running.spawn(async move {
            barrier.wait().await;
            work.await
        });
    }
    let done = running.join_all().await;
    done.into_iter()
        .filter_map(|outcome| match outcome {
            Ok(outcome) => Some(outcome),
            Err(TwoFactorError::Transact(TransactError::Busy)) => None,
            Err(other) => panic!("{other:?}"),
        })
        .collect()
}

async fn guess(world: &World, tasks: usize, codes: &[String]) -> Vec<Outcome> {
    crowd(world, tasks, |nth, server| {
        let (account, typed) = (world.account.clone(), codes[nth % codes.len()].clone());
        async move { Ok(Outcome::of(server.verify_totp(&account, &typed, &Purpose::new("race"), UNKNOWN).await?)) }
    })
    .await
}

fn granted(found: &[Outcome]) -> usize {
    found.iter().filter(|found| found.granted()).count()
}

async fn worlds() -> [World; 2] {
    [World::new().await, World::sqlite().await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asvs_15_4_2_of_64_with_one_code_one_is_granted() {
    for world in worlds().await {
        world.import("phone", SEED).await;
        world.import("twin", SEED).await;
        for round in 0..5 {
            world.set(START + round * 30);
            let found = guess(&world, TASKS, &[code(SEED, world.now())]).await;
            assert_eq!(granted(&found), 1, "{found:?}");
            let replayed = found.iter().filter(|found| **found == Outcome::Replayed).count();
            assert_eq!(replayed + 1, found.len(), "a replay is not charged: {found:?}");
        }
    }
}

/// Two devices and two codes: each is accepted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_with_two_codes_two_are_granted() {
    for world in worlds().await {
        world.import("phone", SEED).await;
        world.import("key", OTHER).await;
        let found = guess(&world, TASKS, &[code(SEED, START), code(OTHER, START)]).await;
        assert_eq!(granted(&found), 2, "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn asvs_6_6_3_a_thousand_wrong_guesses_are_five() {
    for world in worlds().await {
        world.import("phone", SEED).await;
        let found = guess(&world, 1_000, &[wrong(&[SEED], START)]).await;
        let charged = found.iter().filter(|found| matches!(found, Outcome::Charged(_))).count();
        assert_eq!(charged, 5, "{charged}");
        assert!(matches!(world.totp(&code(SEED, START)).await, Outcome::Refused(_)), "the right one after the limit");
        world.advance(30);
        assert!(world.totp(&code(SEED, START + 30)).await.granted(), "the owner gets in");
    }
}

/// The correct code among many wrong ones is granted at most once, and five wrong ones are checked
/// between two waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_right_code_in_a_crowd() {
    let world = World::new().await;
    world.import("phone", SEED).await;
    let mut codes = vec![wrong(&[SEED], START); 7];
    codes.push(code(SEED, START));
    let found = guess(&world, 256, &codes).await;
    assert!(granted(&found) <= 1);
    let charged = found.iter().filter(|found| matches!(found, Outcome::Charged(_))).count();
    assert!(charged <= 10, "a grant clears the streak once: {charged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_enrolling_codes_one_adds_a_device() {
    for world in worlds().await {
        let seed = world.begin("phone", None).await;
        let typed = code(&seed, START);
        let found = crowd(&world, TASKS, |_, server| {
            let (account, typed) = (world.account.clone(), typed.clone());
            async move {
                let found = server.confirm_without_codes(&account, SessionId::new(SESSION), &typed, UNKNOWN).await?;
                Ok(matches!(found, keywright_twofactor::EnrolmentOutcome::Active(_)))
            }
        })
        .await;
        assert_eq!(found.iter().filter(|active| **active).count(), 1);
        assert_eq!(world.service.enrolled(&world.account).await.unwrap().devices.len(), 1);
        assert_eq!(world.totp(&typed).await, Outcome::Replayed);
    }
}

/// The device is removed while its code is used: at most one grant, and none after the removal.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_removal_races_a_code() {
    for _ in 0..5 {
        let world = World::new().await;
        let id = world.import("phone", SEED).await;
        let typed = code(SEED, START);
        let found = crowd(&world, 16, |nth, server| {
            let (account, typed, driver) = (world.account.clone(), typed.clone(), world.driver.clone());
            async move {
                if nth == 7 {
                    let remove = |draft: &mut Draft<'_>| server.steps().remove_device_in(draft, id, UNKNOWN);
                    driver.transact(&Partition::account(&account), SLOTS, remove).await?;
                    return Ok(false);
                }
                Ok(Outcome::of(server.verify_totp(&account, &typed, &Purpose::new("race"), UNKNOWN).await?).granted())
            }
        })
        .await;
        assert!(found.iter().filter(|granted| **granted).count() <= 1);
        if !world.service.enrolled(&world.account).await.unwrap().has_totp() {
            assert_eq!(world.totp(&code(SEED, START + 30)).await, Outcome::NotEnrolled);
        }
    }
}
