//! Many concurrent requests, on one server and on four that share a store: memory and SQLite (ASVS
//! 2.3.4, 15.4.2).

use std::sync::Arc;

use keywright_challenge::{ChallengeError, Challenges, Keys, SetOutcome, UserKey, Verification};
use keywright_core::{AccountId, Client};
use keywright_store::TransactError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::world::{UNKNOWN, World, granted, proof, salts, secret, token, wait};

const SERVERS: [usize; 2] = [1, 4];

/// Every store, with one server and with four.
async fn each(test: impl AsyncFn(World, Vec<Challenges>)) {
    for count in SERVERS {
        for world in [World::memory().await, World::sqlite().await] {
            let servers = (0..count).map(|_| world.another_server()).collect();
            test(world, servers).await;
        }
    }
}

/// Across servers "busy" is a permitted answer; the client's repetition succeeds
/// (`docs/decisions.md` 13).
fn is_busy<T>(result: &Result<T, ChallengeError>) -> bool {
    matches!(result, Err(ChallengeError::Transact(TransactError::Busy)))
}

async fn verify(server: Challenges, account: AccountId, n: u8, client: Client) -> Verification<UserKey> {
    loop {
        let result = server.verify(&account, &proof(n), client).await;
        if !is_busy(&result) {
            return result.unwrap();
        }
        tokio::task::yield_now().await;
    }
}

async fn replace(server: Challenges, account: AccountId, old: u8, new: u8) -> (u8, Verification<Keys>) {
    loop {
        let result = server.replace(&account, &proof(old), &secret(new), &salts(new), UNKNOWN).await;
        if !is_busy(&result) {
            return (new, result.unwrap());
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_right_proofs_all_open() {
    each(async |world, servers| {
        let key = world.set(1).await;
        let tasks = (0..64_usize).map(|n| {
            let client = if n % 2 == 0 { UNKNOWN } else { token(7) };
            verify(servers[n % servers.len()].clone(), world.account.clone(), 1, client)
        });
        for outcome in tasks.collect::<JoinSet<_>>().join_all().await {
            assert_eq!(granted(outcome).expose(), key.expose());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_first_challenges_one_is_set() {
    each(async |world, servers| {
        let tasks = (0..64_u8).map(|n| {
            let (server, account) = (servers[usize::from(n) % servers.len()].clone(), world.account.clone());
            async move {
                loop {
                    let result = server.set(&account, &secret(n), &salts(n), UNKNOWN).await;
                    if !is_busy(&result) {
                        return (n, result.unwrap());
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
        let outcomes = tasks.collect::<JoinSet<_>>().join_all().await;
        let mut set = outcomes.into_iter().filter_map(|(n, outcome)| match outcome {
            SetOutcome::Set(key) => Some((n, key)),
            SetOutcome::Exists => None,
        });
        let (winner, key) = set.next().unwrap();
        assert!(set.next().is_none(), "two first challenges");
        assert_eq!(granted(world.verify(winner, UNKNOWN).await).expose(), key.expose());
        assert_eq!(world.epochs_moved().await, 1);
    })
    .await;
}

/// The loser of two changes is checked against the new challenge and counted (`docs/decisions.md`
/// 5).
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixty_four_replacements_one_wins() {
    each(async |world, servers| {
        let first = world.set(1).await;
        let tasks = (0..64_u8)
            .map(|n| replace(servers[usize::from(n) % servers.len()].clone(), world.account.clone(), 1, 100 + n));
        let outcomes = tasks.collect::<JoinSet<_>>().join_all().await;
        let (mut won, mut denied, mut refused) = (Vec::new(), 0, 0);
        for (new, outcome) in outcomes {
            match outcome {
                Verification::Granted(keys) => won.push((new, keys)),
                Verification::Denied(_) => denied += 1,
                Verification::Refused(_) => refused += 1,
                Verification::NoChallenge => panic!("a wrong proof of a challenge"),
            }
        }
        assert_eq!((won.len(), denied, refused), (1, 5, 58));
        let (winner, keys) = won.remove(0);
        assert_eq!(keys.old.expose(), first.expose());
        assert_eq!(world.epochs_moved().await, 2);
        world.clock.advance(30);
        assert_eq!(granted(world.verify(winner, UNKNOWN).await).expose(), keys.new.expose());
    })
    .await;
}

/// There are 999 concurrent wrong guesses and the correct one last, all from unknown clients: five
/// are checked. The owner gets in on a known client while hundreds are still running.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_evaluates_the_budget_and_the_owner_gets_in() {
    each(async |world, servers| {
        let key = world.set(1).await;
        let owner = token(7);
        granted(world.verify(1, owner).await);
        let server = |n: usize| servers[n % servers.len()].clone();

        let shut = Arc::new(Semaphore::new(0));
        let mut flood = JoinSet::new();
        for n in 0..999_usize {
            let (shut, guess) = (Arc::clone(&shut), verify(server(n), world.account.clone(), 2, UNKNOWN));
            flood.spawn(async move {
                let outcome = guess.await;
                if matches!(outcome, Verification::Refused(_)) {
                    shut.add_permits(1);
                }
                outcome
            });
        }
        let (last, owners) =
            (verify(server(0), world.account.clone(), 1, UNKNOWN), verify(server(1), world.account.clone(), 1, owner));
        let last = tokio::spawn(async move {
            shut.acquire().await.unwrap().forget();
            (last.await, owners.await)
        });

        assert_eq!(denied(flood.join_all().await), 5);
        let (last, owners) = last.await.unwrap();
        assert!(matches!(last, Verification::Refused(_)));
        assert_eq!(granted(owners).expose(), key.expose());

        // The owner passed, after which the others continue to wait. When the wait ends, one more
        // is checked.
        let again = (0..64_usize).map(|n| verify(server(n), world.account.clone(), 2, UNKNOWN));
        assert_eq!(denied(again.collect::<JoinSet<_>>().join_all().await), 0);
        world.clock.advance(30);
        let again = (0..64_usize).map(|n| verify(server(n), world.account.clone(), 2, UNKNOWN));
        assert_eq!(denied(again.collect::<JoinSet<_>>().join_all().await), 1);
        assert_eq!(wait(world.verify(1, UNKNOWN).await), 60);
        world.clock.advance(60);
        granted(world.verify(1, UNKNOWN).await);
    })
    .await;
}

/// An owner who gets in again and again forgives the few failures of others each time, but not
/// their level: of any number of concurrent guesses, fifty are checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_owner_between_a_flood_gets_in_and_the_level_holds() {
    each(async |world, servers| {
        let key = world.set(1).await;
        let owner = token(7);
        granted(world.verify(1, owner).await);
        let server = |n: usize| servers[n % servers.len()].clone();
        let (mut flood, mut owners) = (JoinSet::new(), JoinSet::new());
        for n in 0..240_usize {
            flood.spawn(verify(server(n), world.account.clone(), 2, UNKNOWN));
            if n % 8 == 0 {
                owners.spawn(verify(server(n / 8), world.account.clone(), 1, owner));
            }
        }
        let looked_at = denied(flood.join_all().await);
        assert!((5..=50).contains(&looked_at), "{looked_at}");
        for outcome in owners.join_all().await {
            assert_eq!(granted(outcome).expose(), key.expose());
        }
    })
    .await;
}

/// Returns how many wrong guesses were checked.
fn denied(outcomes: Vec<Verification>) -> usize {
    let looked_at = outcomes.into_iter().filter(|outcome| match outcome {
        Verification::Denied(_) => true,
        Verification::Refused(_) => false,
        Verification::Granted(_) | Verification::NoChallenge => panic!("a wrong proof of a challenge"),
    });
    looked_at.count()
}

/// Guesses and a replacement race: a granted client has the key of the challenge that was checked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_is_of_the_challenge_that_was_judged() {
    each(async |world, servers| {
        let old = world.set(1).await;
        let owner = token(7);
        granted(world.verify(1, owner).await);
        let mut readers = JoinSet::new();
        for n in 0..32_usize {
            readers.spawn(verify(servers[n % servers.len()].clone(), world.account.clone(), 1, owner));
        }
        let replaced = tokio::spawn(replace(servers[0].clone(), world.account.clone(), 1, 2));
        for outcome in readers.join_all().await {
            match outcome {
                Verification::Granted(key) => assert_eq!(key.expose(), old.expose()),
                Verification::Denied(_) | Verification::Refused(_) => {}
                Verification::NoChallenge => panic!("a wrong proof of a challenge"),
            }
        }
        let (_, outcome) = replaced.await.unwrap();
        let new = granted(outcome).new;
        world.clock.advance(3_600);
        assert!(matches!(world.verify(1, UNKNOWN).await, Verification::Denied(_)));
        assert_eq!(granted(world.verify(2, UNKNOWN).await).expose(), new.expose());
    })
    .await;
}
