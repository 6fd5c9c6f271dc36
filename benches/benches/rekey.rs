//! Validating a re-encrypted vault: the list in the body is parsed, every text is checked, the
//! cover is exact, and no nonce occurs twice. The ciphers have 400 characters, in hex and in
//! base64. There are 10,000 and 100,000 of them, in a different order than the vault's.
//!
//! Ours is measured twice: with the fast JSON reader, and with `serde_json` through the seed that
//! works with any format. The peer is the naive way, in the same run and interleaved: `serde_json`
//! into owned structs, a `HashSet<Uuid>`, every text decoded. It does not look for repeated nonces.
//! The target is at least 3 ×.

use std::collections::HashSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use keywright_benches::rekey::{Vault, Written};
use keywright_rekey::{Base64, CipherList, Format, Hex, Limits};
use serde::Deserialize;
use serde::de::DeserializeSeed;
use uuid::Uuid;

const COUNTS: [usize; 2] = [10_000, 100_000];

/// Rounds of the interleaved comparison.
const TURNS: usize = 15;

#[derive(Deserialize)]
struct Owned {
    id: Uuid,
    data: String,
}

/// The naive way. Returns how many bytes the texts decode to.
fn naive(vault: &Vault, written: Written) -> Option<usize> {
    let list: Vec<Owned> = serde_json::from_slice(black_box(&vault.body)).ok()?;
    let mut missing: HashSet<Uuid> = vault.manifest.rows().iter().map(|row| Uuid::from_bytes(row.id.0)).collect();
    let mut bytes = 0_usize;
    for entry in &list {
        if !missing.remove(&entry.id) {
            return None;
        }
        let envelope = match written {
            Written::Hex => hex::decode(&entry.data).ok()?,
            Written::Base64 => BASE64_STANDARD.decode(&entry.data).ok()?,
        };
        bytes = bytes.saturating_add(envelope.len());
    }
    missing.is_empty().then_some(bytes)
}

fn seed(vault: &Vault, format: &dyn Format) -> Option<usize> {
    let body = black_box(vault.body.as_slice());
    let mut json = serde_json::Deserializer::from_slice(body);
    let submission = CipherList::new(body, Limits::default(), format).deserialize(&mut json).ok()?;
    json.end().ok()?;
    submission.against(&vault.manifest).ok().map(|plan| plan.len())
}

fn quick(vault: &Vault, format: &dyn Format) -> Option<usize> {
    let list = CipherList::new(black_box(vault.body.as_slice()), Limits::default(), format);
    let submission = list.read_json().ok()?;
    submission.against(&vault.manifest).ok().map(|plan| plan.len())
}

/// A run that failed must not look like a fast one.
#[expect(clippy::panic, reason = "a bench that measures failures must stop")]
fn timed(run: impl Fn() -> Option<usize>) -> Duration {
    let started = Instant::now();
    if black_box(run()).is_none() {
        panic!("a right submission was refused");
    }
    started.elapsed()
}

/// Returns the median of each, measured interleaved, so that both run under the same load.
#[expect(clippy::print_stdout, reason = "the ratio is the result")]
fn interleaved(label: &str, count: usize, ours: &dyn Fn() -> Option<usize>, peer: &dyn Fn() -> Option<usize>) {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        for (times, run) in times.iter_mut().zip([ours, peer]) {
            times.push(timed(run));
        }
    }
    let [ours, peer] = times.map(|mut times| {
        times.sort_unstable();
        times.get(TURNS / 2).copied().unwrap_or_default().as_nanos() as f64 / count as f64
    });
    println!("{label}: {ours:.0} ns a cipher, naive {peer:.0}: {:.2} ×", peer / ours);
}

fn validate(criterion: &mut Criterion) {
    for (name, written, format) in [("hex", Written::Hex, &Hex as &dyn Format), ("base64", Written::Base64, &Base64)] {
        let mut group = criterion.benchmark_group(format!("rekey_validate/{name}"));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
        for count in COUNTS {
            let vault = Vault::new(count, written);
            let peer = || naive(&vault, written);
            interleaved(&format!("{name}/{count}, `read_json`"), count, &|| quick(&vault, format), &peer);
            interleaved(&format!("{name}/{count}, `serde_json`"), count, &|| seed(&vault, format), &peer);
            group.throughput(Throughput::Bytes(vault.body.len() as u64));
            group.bench_function(format!("{count}/read_json"), |bencher| {
                bencher.iter(|| timed(|| quick(&vault, format)))
            });
            group.bench_function(format!("{count}/seed"), |bencher| bencher.iter(|| timed(|| seed(&vault, format))));
            group.bench_function(format!("{count}/naive"), |bencher| bencher.iter(|| timed(peer)));
        }
        group.finish();
    }
}

criterion_group!(benches, validate);
criterion_main!(benches);
