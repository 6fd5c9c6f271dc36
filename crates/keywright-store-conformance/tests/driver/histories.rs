//! Random histories: a voucher is never granted twice, and never lost without a word.

use keywright_store::TransactError;
use keywright_store_conformance::Odds;
use tokio::task::JoinSet;

use crate::{Bench, redeem};

/// What came of one history: grants, and answers of "unknown".
struct Told {
    grants: u32,
    unknown: u32,
}

/// Two servers, six calls at once, on a store with these odds; then calm, everything late delivered, one more call.
async fn history(seed: u64, odds: Odds) -> Told {
    let bench = Bench::made(seed).await;
    let servers = [bench.server(), bench.server()];
    bench.store.randomise(seed, odds);
    let mut calls = JoinSet::new();
    for number in 0..6 {
        let (driver, account) = (servers[number % 2].clone(), bench.account.clone());
        calls.spawn(async move { redeem(&driver, &account).await });
    }
    let mut told = Told { grants: 0, unknown: 0 };
    while let Some(result) = calls.join_next().await {
        match result.unwrap() {
            Ok(granted) => told.grants += u32::from(granted),
            Err(TransactError::Unknown(_)) => told.unknown += 1,
            Err(TransactError::Busy | TransactError::Load(_) | TransactError::Rejected(_)) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    bench.store.calm();
    while bench.store.deliver().await.is_some() {}
    told.grants += u32::from(bench.redeem().await.unwrap());
    assert!(!bench.redeem().await.unwrap(), "seed {seed}: it can be spent for ever");
    told
}

#[tokio::test]
async fn a_thousand_histories_grant_at_most_once() {
    let odds = Odds {
        conflict: 50,
        rejected: 20,
        lost_before: 120,
        lost_after: 120,
        held: 150,
        load_fails: 30,
        delivery: 250,
        pause: 500,
    };
    let (mut once, mut silent, mut unknown) = (0, 0, 0);
    for seed in 0..1_000 {
        let told = history(seed, odds).await;
        assert!(told.grants <= 1, "seed {seed}: granted {} times", told.grants);
        // Whoever spent it without getting it was told so: nothing is lost in silence.
        assert!(told.grants == 1 || told.unknown > 0, "seed {seed}: lost, and nobody was told");
        once += told.grants;
        silent += u32::from(told.unknown == 0);
        unknown += u32::from(told.unknown > 0);
    }
    assert!(once > 500 && silent > 100 && unknown > 100, "the odds miss a side: {once} {silent} {unknown}");
}

#[tokio::test]
async fn replies_that_are_lost_but_landed_grant_exactly_once() {
    for seed in 0..100 {
        let told = history(seed, Odds { lost_after: 1_000, pause: 500, ..Odds::default() }).await;
        // A conflict's reply is lost too, and then cannot be told from a win that was overwritten: "unknown", no grant.
        assert_eq!(told.grants, 1, "seed {seed}");
    }
}

#[tokio::test]
async fn late_deliveries_alone_grant_exactly_once() {
    for seed in 0..200 {
        // Held, and delivered at any later moment: before the look, between look and fence, after the fence.
        let told = history(seed, Odds { held: 300, delivery: 400, pause: 500, ..Odds::default() }).await;
        assert!(told.grants <= 1 && (told.grants == 1 || told.unknown > 0), "seed {seed}");
    }
}
