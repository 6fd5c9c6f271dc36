//! The client's key derivation with pooled memory, and with `argon2`'s own `hash_password_into`, which allocates 64 MiB
//! for each call. Both have the same BLAKE2b step in front. Target: pooled ≤ 0.70 × fresh, in the same run.
//!
//! After the two benches the ratio is measured and printed, interleaved, so that a change in the machine's load meets both.
//! What is saved are the page faults of 64 MiB; what is paid is the wipe, which `argon2` itself does not do. Where the
//! allocator backs the memory with huge pages there is little to save.

use std::hint::black_box;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Params, Version};
use blake2::Blake2bMac512;
use blake2::digest::{FixedOutput, Update};
use criterion::{Criterion, criterion_group};
use keywright_challenge::{ChallengeSecret, DeriverPool};

type Failure = Box<dyn std::error::Error>;

const PASSWORD: &str = "correct horse battery staple";
const SALT_BYTES: [(u8, usize); 3] = [(0x11, 256), (0x22, 64), (0x33, 16)];

/// Derivations in a row before it is the other's turn, and turns of each.
const IN_A_ROW: u32 = 8;
const TURNS: usize = 15;

/// What a caller without a pool writes.
fn fresh() -> Result<[u8; 32], Failure> {
    let [appended, key, salt] = SALT_BYTES.map(|(byte, len)| vec![byte; len]);
    let mut hash = Blake2bMac512::new_with_salt_and_personal(Some(&key), &[], &[])?;
    hash.update(PASSWORD.as_bytes());
    hash.update(&appended);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64 * 1024, 2, 1, Some(32))?);
    let mut out = [0; 32];
    argon2.hash_password_into(&hash.finalize_fixed(), &salt, &mut out)?;
    Ok(out)
}

fn pooled(pool: &DeriverPool, salts: &[String; 3]) -> Result<ChallengeSecret, Failure> {
    Ok(pool.derive(PASSWORD, salts)?)
}

fn salts() -> [String; 3] {
    SALT_BYTES.map(|(byte, len)| format!("{byte:02x}").repeat(len))
}

fn derive(criterion: &mut Criterion) {
    let (pool, salts) = (DeriverPool::default(), salts());
    let mut group = criterion.benchmark_group("derive");
    group.sample_size(30).measurement_time(Duration::from_secs(6));
    group.bench_function("fresh", |bencher| bencher.iter(|| black_box(fresh()).is_ok()));
    group.bench_function("pooled", |bencher| bencher.iter(|| black_box(pooled(&pool, &salts)).is_ok()));
    group.finish();
}

/// Medians of the time of one derivation, fresh and pooled, interleaved. `threads` of them run at once.
fn interleaved(threads: usize) -> Result<[Duration; 2], Failure> {
    let (pool, salts) = (DeriverPool::default(), salts());
    let in_a_row = |one: &(dyn Fn() -> bool + Sync)| {
        let started = Instant::now();
        let all_good = std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| (0..IN_A_ROW).all(|_| black_box(one())))).collect();
            running.into_iter().all(|thread| thread.join().unwrap_or(false))
        });
        all_good.then(|| started.elapsed().checked_div(IN_A_ROW)).flatten().ok_or("a derivation failed")
    };
    // The first use of the pool allocates.
    in_a_row(&|| pooled(&pool, &salts).is_ok())?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        let [of_fresh, of_pooled] = &mut times;
        of_fresh.push(in_a_row(&|| fresh().is_ok())?);
        of_pooled.push(in_a_row(&|| pooled(&pool, &salts).is_ok())?);
    }
    Ok(times.map(|mut times| {
        times.sort_unstable();
        times.get(TURNS / 2).copied().unwrap_or_default()
    }))
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn print_ratio(threads: usize) -> Result<(), Failure> {
    let [fresh, pooled] = interleaved(threads)?;
    let ratio = pooled.as_secs_f64() / fresh.as_secs_f64();
    println!("derive, {threads} at once: pooled {pooled:.1?} / fresh {fresh:.1?} = {ratio:.3}");
    Ok(())
}

criterion_group!(benches, derive);

fn main() -> Result<(), Failure> {
    let same = fresh()?;
    let secret = pooled(&DeriverPool::default(), &salts())?;
    let hex: String = same.iter().map(|byte| format!("{byte:02x}")).collect();
    if hex != secret.expose_str() {
        return Err("the two derivations differ".into());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        print_ratio(1)?;
        print_ratio(2)?;
    }
    Ok(())
}
