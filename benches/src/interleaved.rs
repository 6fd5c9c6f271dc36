//! Measures short pieces of work interleaved, so that a change in the machine's load affects all of
//! them, and pieces of work that time themselves.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;

/// The number of runs in a row before the next one's turn, and the number of turns.
const IN_A_ROW: u32 = 2_000;
const TURNS: usize = 61;

/// Returns the median time of one run of each, in nanoseconds.
pub fn interleaved<const N: usize>(works: [&dyn Fn() -> bool; N]) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..TURNS {
        for (work, times) in works.iter().zip(&mut times) {
            let started = Instant::now();
            for _ in 0..IN_A_ROW {
                black_box(work());
            }
            times.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(IN_A_ROW));
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.get(TURNS / 2).copied().unwrap_or(f64::NAN)
    })
}

/// Benches work that times only a part of what it does, and that may fail.
///
/// # Errors
/// The error of the first run that failed.
pub fn self_timed(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    mut work: impl FnMut() -> Result<Duration, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut failure = None;
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| work().map_err(|error| failure = Some(error)).unwrap_or_default())
                .sum::<Duration>()
                // A failed run is reported below. Before that, criterion would refuse a time of
                // zero.
                .max(Duration::from_nanos(1))
        });
    });
    failure.map_or(Ok(()), Err)
}
