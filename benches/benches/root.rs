//! Sealing and opening the root of an account, which is the record that every commit writes and
//! every load opens. A root names the account's other records, so it is measured with 1, 5, 20 and
//! 60 of them, through `keywright_store::probe`.
//!
//! Target: both together take at most 5 µs with 20 entries. The result is printed after the
//! benches, as medians of interleaved runs.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group};
use keywright_benches::interleaved::interleaved;
use keywright_store::probe::Sample;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ENTRIES: [u8; 4] = [1, 5, 20, 60];

fn measure(criterion: &mut Criterion) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("root");
    for entries in ENTRIES {
        let sample = Sample::new(entries)?;
        let sealed = sample.seal()?;
        if sample.open(&sealed)? != usize::from(entries) {
            return Err("another root was opened".into());
        }
        group.bench_function(format!("seal/{entries}"), |bencher| bencher.iter(|| black_box(sample.seal()).is_ok()));
        group.bench_function(format!("open/{entries}"), |bencher| {
            bencher.iter(|| black_box(sample.open(black_box(&sealed))).is_ok());
        });
    }
    group.finish();
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn report() -> Result<(), Failure> {
    for entries in ENTRIES {
        let sample = Sample::new(entries)?;
        let sealed = sample.seal()?;
        let [seal, open] = interleaved([&|| sample.seal().is_ok(), &|| sample.open(black_box(&sealed)).is_ok()]);
        let (seal, open) = (seal / 1e3, open / 1e3);
        let target = if entries == 20 { ", target ≤ 5" } else { "" };
        println!(
            "root of {entries} entries, {} bytes: seal {seal:.2} µs + open {open:.2} µs = {:.2} µs{target}",
            sealed.len(),
            seal + open,
        );
    }
    Ok(())
}

#[expect(clippy::panic, reason = "a bench that cannot run says so")]
fn root(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        panic!("{error}");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(2));
    targets = root
}

fn main() -> Result<(), Failure> {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        report()?;
    }
    Ok(())
}
