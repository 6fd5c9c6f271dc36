//! PostgreSQL, on a cluster of its own on this machine, with its default settings and a real flush.
//!
//! - Round trips, counted by a proxy: a load, a check, a commit and a swap of a whole vault. Target: one each.
//! - A commit: one client, and 64 clients with an account each. Target: at least 4 × the rate of one.
//! - One account: 64 clients, spread over four processes. Target: at least half of the rate of one client.
//! - A check of an unchanged root, and what it is in SQL: a prepared `SELECT` of the revision. Target: at most 1.3 × its time.
//! - A swap of a vault of 10,000 ciphers of 300 bytes, as one commit; as a prepared `UPDATE` for each row in one
//!   transaction; and as an application that loads its rows, changes them and saves each one. Target: at least 3 × as fast
//!   as the first of these, and 5 × as fast as the second. Once over loopback, where a round trip costs nearly nothing, and
//!   once with a millisecond more for what is sent.
//!
//! The peers have a table of the same form in the same database. Ratios are of medians of interleaved runs, and are printed
//! at the end. The whole bench takes about two minutes on two processors.

mod hot;
mod peer;
mod site;

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group};

use crate::hot::{CONTEND, Contenders, PROCESSES};
use crate::peer::row_by_row;
use crate::site::{CIPHERS, CLIENTS, Site};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TURNS: usize = 5;
/// How often a single operation is repeated in one turn.
const EACH: u32 = 200;
/// How long the clients of one account contend in one turn.
const CONTENTION: Duration = Duration::from_secs(2);
/// What is added to each round trip.
const FARTHER: Duration = Duration::from_millis(1);

/// A bench that cannot run says so: its time must not look like a result.
#[expect(clippy::panic, reason = "criterion has no other way to report a failure")]
fn measured<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|error| panic!("the bench failed: {error:?}"))
}

fn postgres(criterion: &mut Criterion) {
    let mut site = measured(Site::new());
    let mut bench = criterion.benchmark_group("postgres");
    bench.sample_size(10).sampling_mode(SamplingMode::Flat);
    bench.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    let times = |rounds: u64| u32::try_from(rounds).unwrap_or(u32::MAX);
    for clients in [1, CLIENTS] {
        bench.throughput(Throughput::Elements(u64::try_from(clients).unwrap_or(u64::MAX)));
        bench.bench_function(format!("commit/{clients}"), |bencher| {
            bencher.iter_custom(|rounds| measured(site.commits(clients, times(rounds))));
        });
    }
    bench.throughput(Throughput::Elements(1));
    bench.bench_function("check", |bencher| bencher.iter_custom(|rounds| measured(site.checks(times(rounds)))));
    bench.bench_function("swap", |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| measured(site.swap())).sum());
    });
    bench.finish();
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The medians of several measurements, which take turns.
fn medians<const N: usize>(
    turns: usize,
    mut turn: impl FnMut() -> Result<[f64; N], Failure>,
) -> Result<[f64; N], Failure> {
    let mut all = [const { Vec::new() }; N];
    for _ in 0..turns {
        let taken = turn()?;
        all.iter_mut().zip(taken).for_each(|(all, one)| all.push(one));
    }
    Ok(all.map(median))
}

#[expect(clippy::print_stdout, reason = "the figures of this bench are ratios, which criterion does not print")]
fn report() -> Result<(), Failure> {
    let mut site = Site::new()?;
    let trips = site.round_trips()?;
    println!(
        "round trips: {} a load, {} a check, {} a commit, {} a swap of {CIPHERS}; target 1",
        trips.load, trips.check, trips.commit, trips.swap
    );

    let each = f64::from(EACH);
    let [one, many] =
        medians(TURNS, || Ok([site.commits(1, EACH)?.as_secs_f64(), site.commits(CLIENTS, EACH / 4)?.as_secs_f64()]))?;
    let (one, many) = (each / one, f64::from(u32::try_from(CLIENTS)?) * (each / 4.0) / many);
    println!("commits: {one:.0}/s by one client, {many:.0}/s by {CLIENTS}; ratio {:.1}, target ≥ 4", many / one);

    let [check, select] = medians(TURNS * 5, || {
        Ok([site.checks(EACH)?.as_secs_f64() * 1e6 / each, site.selects(EACH)?.as_secs_f64() * 1e6 / each])
    })?;
    println!("check: {check:.0} µs, bare SELECT: {select:.0} µs; ratio {:.2}, target ≤ 1.3", check / select);

    let mut contenders = Contenders::start(site.url())?;
    let [alone, together, busy] = medians(TURNS, || {
        let alone = contenders.turn(1, 1, CONTENTION)?;
        let together = contenders.turn(PROCESSES, CLIENTS / PROCESSES, CONTENTION)?;
        Ok([alone.rate, together.rate, together.busy])
    })?;
    let counted = contenders.end(&site.runtime)?;
    println!(
        "one account: {alone:.0} steps/s by one client, {together:.0}/s by {CLIENTS} in {PROCESSES} processes, {:.1} % \
         told busy; ratio {:.2}, target ≥ 0.5; all {counted} steps are there",
        busy * 100.0,
        together / alone
    );

    let swaps = |site: &mut Site, place: &str, turns| {
        let [swap, rows, saved] = medians(turns, || {
            let taken = [site.swap()?, row_by_row(site, false)?, row_by_row(site, true)?];
            Ok(taken.map(|taken| taken.as_secs_f64() * 1e3))
        })?;
        println!(
            "swap of {CIPHERS} {place}: {swap:.0} ms; row by row {rows:.0} ms, ratio {:.1}, target ≥ 3; load and save \
             {saved:.0} ms, ratio {:.1}, target ≥ 5",
            rows / swap,
            saved / swap
        );
        Ok::<_, Failure>(())
    };
    swaps(&mut site, "over loopback", TURNS)?;
    site.move_away(FARTHER)?;
    swaps(&mut site, "a millisecond away", 1)
}

criterion_group!(benches, postgres);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, url, keyring] = arguments.as_slice()
        && first == CONTEND
    {
        return hot::contend(url, keyring);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if arguments.iter().any(|argument| argument == "--bench") {
        report()?;
    }
    Ok(())
}
