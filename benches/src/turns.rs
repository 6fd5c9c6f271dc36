//! Short works measured by turns, so that a change in the machine's load meets all of them.

use std::hint::black_box;
use std::time::Instant;

/// Works in a row before it is the next one's turn, and turns of each.
const IN_A_ROW: u32 = 2_000;
const TURNS: usize = 61;

/// Medians of the time of one work, in nanoseconds.
pub fn by_turns<const N: usize>(works: [&dyn Fn() -> bool; N]) -> [f64; N] {
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
