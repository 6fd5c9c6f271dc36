//! The client's key derivation with pooled memory, and with `argon2`'s own `hash_password_into`,
//! which allocates 64 MiB for each call. Both run the same BLAKE2b step first.
//!
//! After the two benches, the ratio is measured interleaved and printed with its parts, so that a
//! change in the machine's load affects all of them. *Computing* is the same derivation in memory
//! that is kept and never wiped, which neither can avoid. The pool saves the page faults of 64 MiB
//! (fresh minus computing; on Linux their number is counted). It pays for the wipe (pooled minus
//! computing), which `argon2` itself does not do. There is no target: where the kernel provides
//! memory quickly, or in huge pages, there is little to save, and the wipe is paid all the same.

use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use blake2::Blake2bMac512;
use blake2::digest::{FixedOutput, Update};
use criterion::{Criterion, criterion_group};
use keywright_benches::process;
use keywright_challenge::{ChallengeSecret, DeriverPool, MEMORY_BYTES};

type Failure = Box<dyn std::error::Error>;

const PASSWORD: &str = "correct horse battery staple";
const SALT_BYTES: [(u8, usize); 3] = [(0x11, 256), (0x22, 64), (0x33, 16)];

/// The number of derivations in a row before the next way's turn, and the number of turns.
const IN_A_ROW: u32 = 8;
const TURNS: usize = 15;

/// What every way starts with: Argon2, its input, its salt.
fn prepared() -> Result<(Argon2<'static>, impl AsRef<[u8]>, Vec<u8>), Failure> {
    let [appended, key, salt] = SALT_BYTES.map(|(byte, len)| vec![byte; len]);
    let mut hash = Blake2bMac512::new_with_salt_and_personal(Some(&key), &[], &[])?;
    hash.update(PASSWORD.as_bytes());
    hash.update(&appended);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64 * 1024, 2, 1, Some(32))?);
    Ok((argon2, hash.finalize_fixed(), salt))
}

/// The code of a caller without a pool.
fn fresh() -> Result<[u8; 32], Failure> {
    let (argon2, input, salt) = prepared()?;
    let mut out = [0; 32];
    argon2.hash_password_into(input.as_ref(), &salt, &mut out)?;
    Ok(out)
}

fn pooled(pool: &DeriverPool, salts: &[String; 3]) -> Result<ChallengeSecret, Failure> {
    Ok(pool.derive(PASSWORD, salts)?)
}

/// Memory that is kept and never wiped, one piece for each concurrent derivation.
#[derive(Default)]
struct Kept(Mutex<Vec<Vec<Block>>>);

impl Kept {
    /// Only computes.
    fn derive(&self) -> Result<[u8; 32], Failure> {
        let (argon2, input, salt) = prepared()?;
        let idle = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle().pop();
        let mut memory = kept.unwrap_or_else(|| vec![Block::new(); MEMORY_BYTES / Block::SIZE]);
        let mut out = [0; 32];
        argon2.hash_password_into_with_memory(input.as_ref(), &salt, &mut out, &mut memory)?;
        idle().push(memory);
        Ok(out)
    }
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

/// The measurements of one way of deriving.
#[derive(Default)]
struct Figures {
    times: Vec<Duration>,
    /// The page faults of all turns, or `None` where they are not counted.
    faults: Option<u64>,
}

impl Figures {
    /// Measures one turn, with `threads` derivations at once.
    fn take(&mut self, threads: usize, one: &(dyn Fn() -> bool + Sync)) -> Result<(), Failure> {
        let (before, started) = (process::page_faults().ok(), Instant::now());
        let all_good = std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..threads).map(|_| scope.spawn(|| (0..IN_A_ROW).all(|_| black_box(one())))).collect();
            running.into_iter().all(|thread| thread.join().unwrap_or(false))
        });
        let time = all_good.then(|| started.elapsed().checked_div(IN_A_ROW)).flatten().ok_or("a derivation failed")?;
        let faults = before.zip(process::page_faults().ok()).map(|(before, after)| after.saturating_sub(before));
        self.faults = faults.map(|faults| faults.saturating_add(self.faults.unwrap_or(0)));
        self.times.push(time);
        Ok(())
    }

    /// Returns the median time of one derivation, in milliseconds.
    fn median(&mut self) -> f64 {
        self.times.sort_unstable();
        self.times.get(self.times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}

/// Prints the ratio and its parts, with `threads` derivations at once.
#[expect(clippy::print_stdout, reason = "a bench reports")]
fn report(threads: usize) -> Result<(), Failure> {
    let (pool, salts, kept) = (DeriverPool::default(), salts(), Kept::default());
    let ways: [&(dyn Fn() -> bool + Sync); 3] =
        [&|| fresh().is_ok(), &|| pooled(&pool, &salts).is_ok(), &|| kept.derive().is_ok()];
    // The first use of kept memory allocates.
    ways.iter().try_for_each(|way| Figures::default().take(threads, *way))?;
    let mut figures = ways.map(|_| Figures::default());
    for _ in 0..TURNS {
        figures.iter_mut().zip(ways).try_for_each(|(figures, way)| figures.take(threads, way))?;
    }
    let [mut fresh, mut pooled, mut computing] = figures;
    let derivations = threads as f64 * f64::from(IN_A_ROW) * TURNS as f64;
    let saved = fresh.faults.zip(pooled.faults).map_or_else(String::new, |(fresh, pooled)| {
        format!(" ({:.0} of them)", fresh.saturating_sub(pooled) as f64 / derivations)
    });
    let [fresh, pooled, computing] = [&mut fresh, &mut pooled, &mut computing].map(Figures::median);
    println!(
        "derive, {threads} at once: pooled {pooled:.1} ms / fresh {fresh:.1} ms = {:.3}; computing {computing:.1} ms, page \
         faults saved{saved} {:.1} ms, wipe paid {:.1} ms",
        pooled / fresh,
        fresh - computing,
        pooled - computing,
    );
    Ok(())
}

criterion_group!(benches, derive);

fn main() -> Result<(), Failure> {
    let same = fresh()?;
    let secret = pooled(&DeriverPool::default(), &salts())?;
    let hex: String = same.iter().map(|byte| format!("{byte:02x}")).collect();
    if hex != secret.expose_str() || same != Kept::default().derive()? {
        return Err("the derivations differ".into());
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        report(1)?;
        report(2)?;
    }
    Ok(())
}
