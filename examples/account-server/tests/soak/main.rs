//! Races and faults on real processes: four servers on one PostgreSQL database, one with a direct connection, one
//! behind a proxy that loses and delays commits, one behind PgBouncer, and one whose clock is an hour off. Clients race for codes, challenges and vaults by
//! a plan that a seed decides, while servers, connections and the database are killed. A checker compares all answers
//! with what is left at the end: each code is granted at most once, each acknowledged change is there, no vault is
//! mixed, no budget of guesses is exceeded.
//!
//! `KEYWRIGHT_SOAK_SEEDS` is the number of seeds (`cargo xtask soak --seeds N`).

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a panic in a test is a failed test, and the figures are printed"
)]

mod contests;
mod history;
mod plan;
mod site;
mod vaults;

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use crate::contests::Later;
use crate::history::{Anomaly, Contest, Outcome, check};
use crate::site::Site;

/// The races of each kind in one run.
const ROUNDS: usize = 2;
/// The seeds of an ordinary test run.
const SEEDS: u64 = 3;

/// A kind of race.
type Kind = for<'s> fn(&'s Site, usize) -> Later<'s>;

/// What runs beside each other: one client after the other of each row.
const LANES: [&[Kind]; 3] = [
    &[contests::time_code, contests::guesses, contests::login_guesses, contests::mailed_code],
    &[contests::recovery_code, contests::challenge, contests::login, contests::reset_code],
    &[vaults::life, vaults::deletion, contests::login_code],
];

/// Runs the races, with the faults of a seed. Returns everything that was answered, and how many faults there were.
fn races(site: &Site, seed: u64) -> (Vec<Contest>, usize) {
    let plan = plan::faults(seed, 2 * ROUNDS);
    let (sender, requests) = mpsc::channel();
    site.count_requests(Some(sender));
    let (later, struck) = thread::scope(|scope| {
        let striking = scope.spawn(move || site.strike(&plan, &requests));
        let lane = |kinds: &'static [Kind]| {
            scope.spawn(move || {
                let rounds = (0..ROUNDS).flat_map(|round| kinds.iter().map(move |kind| kind(site, round)));
                rounds.collect::<Vec<_>>()
            })
        };
        let lanes = LANES.map(lane);
        let later: Vec<Later<'_>> = lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect();
        site.count_requests(None);
        (later, striking.join().unwrap())
    });
    site.calm();
    (later.into_iter().flat_map(|later| later()).collect(), struck)
}

fn run(seed: u64, is_guarded: bool) -> Vec<Anomaly> {
    let begun = Instant::now();
    let site = Site::new(&contests::accounts(ROUNDS), seed.is_multiple_of(2));
    if !is_guarded {
        site.drop_the_guard();
    }
    let (history, struck) = races(&site, seed);
    let grants = history
        .iter()
        .filter(|contest| matches!(contest, Contest::Code { outcomes, .. } if outcomes.contains(&Outcome::Done)));
    println!(
        "seed {seed}: {} races, {} codes granted, {struck} faults, {:.1} s",
        history.len(),
        grants.count(),
        begun.elapsed().as_secs_f64()
    );
    let found = check(&history);
    if is_guarded {
        assert!(found.is_empty(), "seed {seed}: {found:?}\n{history:#?}");
        assert!(struck > 5 && history.len() >= 9 * ROUNDS, "seed {seed} shows little: {history:#?}");
        site.end();
    }
    found
}

#[test]
fn races_and_faults() {
    let seeds = std::env::var("KEYWRIGHT_SOAK_SEEDS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        run(seed, true);
    }
}

/// The same races find a database whose commits ignore the guard.
#[test]
fn a_store_without_its_guard_is_found() {
    let found = (0..3).find_map(|seed| run(seed, false).into_iter().next());
    let found = found.unwrap_or_else(|| panic!("nothing was found"));
    println!("{found}");
}
