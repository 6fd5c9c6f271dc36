//! The shared vectors: Rocket.Chat's codes (`docs/decisions.md` 27b).

use keywright_core::Strength;
use keywright_store::Draft;
use keywright_twofactor::recovery::{ImportError, Liveness, Preset};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::world::{Outcome, UNKNOWN, World, judge, steps};

fn vectors() -> Value {
    let all: Value = serde_json::from_str(include_str!("../data/two-factor.json")).unwrap();
    all["recovery_codes"].clone()
}

#[tokio::test]
async fn a_set_is_what_the_clients_know() {
    let vectors = vectors();
    let alphabet = vectors["upstream_alphabet"].as_str().unwrap();
    let codes = World::new().await.make(Preset::RocketChat, Liveness::Now).await;
    assert_eq!(vectors["upstream_count"], codes.len());
    assert_eq!(Preset::RocketChat.strength(), Strength::Guessable);
    for code in codes {
        assert_eq!(vectors["upstream_length"], code.len());
        assert!(code.chars().all(|symbol| alphabet.contains(symbol)));
    }
}

#[tokio::test]
async fn codes_and_stored_digests_are_imported() {
    let vectors = vectors();
    let field = |name: &'static str| -> Vec<&str> {
        vectors["sha256_hex"].as_array().unwrap().iter().map(|case| case[name].as_str().unwrap()).collect()
    };
    let (codes, digests) = (field("code"), field("sha256_hex"));
    for from_digests in [false, true] {
        let world = World::new().await;
        if from_digests {
            let steps = steps(Preset::RocketChat);
            let step = |draft: &mut Draft<'_>| match steps.import_recovery_digests_in(draft, &digests) {
                Err(ImportError::Step(error)) => Err(error),
                done => Ok(done),
            };
            world.run(step).await.unwrap().unwrap();
        } else {
            world.import(Preset::RocketChat, &codes).await.unwrap();
        }
        for digest in &digests {
            assert_eq!(world.verify(digest).await, Outcome::Malformed, "a stored form is no code");
        }
        for code in &codes {
            assert_eq!(world.verify(code).await, Outcome::Granted, "{from_digests}");
            assert_eq!(world.verify(code).await, Outcome::Denied);
        }
        assert_eq!(world.remaining().await, Some(0));
    }
}

#[tokio::test]
async fn codes_are_case_sensitive() {
    assert_eq!(vectors()["case_sensitive"], true);
    let world = World::new().await;
    world.import(Preset::RocketChat, &["abcdefgh"]).await.unwrap();
    assert_eq!(world.verify("ABCDEFGH").await, Outcome::Charged(1));
    assert_eq!(world.verify("Abcdefgh").await, Outcome::Charged(2));
    assert_eq!(world.verify("abcdefgh").await, Outcome::Granted);
}

/// Returns how many of two codes, typed at the same time on two servers, are granted.
async fn at_once(world: &World, codes: [&String; 2]) -> usize {
    let tasks = codes.into_iter().zip(7..).map(|(code, seed)| {
        let (driver, partition, code) = (world.server(seed), world.partition(), code.clone());
        async move { judge(&driver, &partition, &code, UNKNOWN).await.unwrap() }
    });
    let outcome = tasks.collect::<JoinSet<_>>().join_all().await;
    outcome.iter().filter(|outcome| **outcome == Outcome::Granted).count()
}

/// Executes each step of `sequence`, by its text.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_sequence_of_the_vectors() {
    let world = World::new().await;
    let mut codes = world.make(Preset::RocketChat, Liveness::Now).await;
    let mut used_twice = 0;
    for case in vectors()["sequence"].as_array().unwrap() {
        match case["step"].as_str().unwrap() {
            "use code A" => assert_eq!(world.verify(&codes[0]).await, Outcome::Granted),
            "use code A again" => assert_eq!(world.verify(&codes[0]).await, Outcome::Denied),
            "use code A from two requests at once" => {
                // A is already spent, so a new code takes its role.
                let world = World::new().await;
                let fresh = world.make(Preset::RocketChat, Liveness::Now).await;
                used_twice = at_once(&world, [&fresh[0], &fresh[0]]).await;
            }
            "use codes B and C from two requests at once" => {
                assert_eq!(at_once(&world, [&codes[1], &codes[2]]).await, 2);
            }
            "regenerate with a valid code" => {
                let old = std::mem::replace(&mut codes, world.make(Preset::RocketChat, Liveness::Now).await);
                for (code, nth) in old.iter().zip(1..=3) {
                    assert_eq!(world.verify(code).await, Outcome::Charged(nth), "an old code");
                }
            }
            other => panic!("an unknown step: {other}"),
        }
        if let Some(remaining) = case["remaining"].as_u64() {
            assert_eq!(world.remaining().await.map(u64::from), Some(remaining), "{case}");
        }
    }
    assert_eq!(used_twice, 1);
}
