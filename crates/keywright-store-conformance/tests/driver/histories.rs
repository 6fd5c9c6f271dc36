//! Random histories: a voucher is never granted twice, and never lost without a report.

use keywright_store::TransactError;
use keywright_store_conformance::Odds;
use tokio::task::JoinSet;

use crate::{World, redeem};

/// The outcome of one history: grants, and answers of "unknown".
struct Totals {
    grants: u32,
    unknown: u32,
    events: usize,
}

/// Two servers and six calls at once, on a store with these odds. Then no more faults, everything
/// late is delivered, and one more call.
async fn history(seed: u64, odds: Odds) -> Totals {
    let world = World::made(seed).await;
    let servers = [world.another_server(), world.another_server()];
    world.faults.randomise(seed, odds);
    let mut calls = JoinSet::new();
    for number in 0..6 {
        let (driver, account) = (servers[number % 2].clone(), world.partition.clone());
        calls.spawn(async move { redeem(&driver, &account).await });
    }
    let mut totals = Totals { grants: 0, unknown: 0, events: 0 };
    while let Some(result) = calls.join_next().await {
        match result.unwrap() {
            Ok(granted) => totals.grants += u32::from(granted),
            Err(TransactError::Unknown(_)) => totals.unknown += 1,
            Err(TransactError::Busy | TransactError::Load(_) | TransactError::Rejected(_)) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    world.faults.calm();
    while world.faults.deliver().await.is_some() {}
    totals.grants += u32::from(world.redeem().await.unwrap());
    assert!(!world.redeem().await.unwrap(), "seed {seed}: it can be spent for ever");
    // An honest history never ends in an integrity error, and leaves a log that verifies.
    totals.events = world.driver.recent_events(&world.account, 10).await.unwrap().len();
    assert_eq!(world.heard.damages(), 0, "seed {seed}");
    totals
}

/// Returns a small default, or the number in `KEYWRIGHT_HISTORIES` for a full proof.
fn histories() -> u64 {
    std::env::var("KEYWRIGHT_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(300)
}

#[tokio::test]
async fn random_histories_grant_at_most_once() {
    let odds = Odds {
        conflict: 50,
        rejected: 40,
        lost_before: 120,
        lost_after: 120,
        held: 150,
        load_fails: 60,
        delivery: 250,
        pause: 500,
    };
    let (mut once, mut silent, mut unknown) = (0, 0, 0_u64);
    for seed in 0..histories() {
        let totals = history(seed, odds).await;
        assert!(totals.grants <= 1, "seed {seed}: granted {} times", totals.grants);
        assert_eq!(totals.events, 2, "seed {seed}: the spending has one event");
        // A caller that spent it without receiving it was answered "unknown", so nothing is lost
        // silently.
        assert!(totals.grants == 1 || totals.unknown > 0, "seed {seed}: lost, and nobody was totals");
        once += totals.grants;
        silent += u64::from(totals.unknown == 0);
        unknown += u64::from(totals.unknown > 0);
    }
    let tenth = histories() / 10;
    let sides = u64::from(once) > 5 * tenth && silent > tenth && unknown > tenth / 2;
    assert!(sides, "the odds miss a side: {once} {silent} {unknown}");
}

#[tokio::test]
async fn replies_that_are_lost_but_landed_grant_exactly_once() {
    for seed in 0..60 {
        // A conflict's reply is lost too, and is then settled as never applied.
        let totals = history(seed, Odds { lost_after: 500, pause: 500, ..Odds::default() }).await;
        assert_eq!(totals.grants, 1, "seed {seed}");
    }
}

#[tokio::test]
async fn late_deliveries_alone_grant_exactly_once() {
    for seed in 0..100 {
        // Held, and delivered at any later moment: before the read, between read and fence, after
        // the fence.
        let totals = history(seed, Odds { held: 300, delivery: 400, pause: 500, ..Odds::default() }).await;
        assert!(totals.grants <= 1 && (totals.grants == 1 || totals.unknown > 0), "seed {seed}");
    }
}
