//! One guess against ten recovery codes. `guess` is only the comparison: reading what was typed,
//! one keyed hash, and a scan of all ten. Its peer reads nothing: one HMAC-SHA-256 over the same
//! bytes, and a scan with `subtle` over slices of bytes, which is the obvious way to write it. The
//! target is at most 1.2 ×. The ratio is printed after the benches, interleaved. Ours compares
//! words, which takes an eighth of the steps and more than pays for the reading.
//!
//! The whole operation (load, ledger, events, sealing, commit) is measured too, through a driver:
//! on the memory store, which shows our own cost (a step runs only inside a driver), and on an
//! SQLite file, where the disk's synchronisation dominates. Making the set is not measured.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use hmac::{Hmac, KeyInit, Mac};
use keywright_benches::interleaved::{interleaved, self_timed};
use keywright_core::{AccountId, Client, Keyring, Purpose, SystemEntropy, UnixSeconds};
use keywright_sqlite::SqliteStore;
use keywright_store::{Draft, Driver, MemoryStore, Partition, RecordStore};
use keywright_twofactor::recovery::{CodeSet, Liveness, Matched, Preset};
use keywright_twofactor::{RECOVERY_SLOTS, TwoFactorPolicy, TwoFactorSteps, VerifyOutcome};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error>;

/// One account on a store.
struct Site {
    runtime: Runtime,
    driver: Driver,
    partition: Partition,
    steps: TwoFactorSteps,
    client: Client,
}

impl Site {
    fn new(store: Arc<dyn RecordStore>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
        let driver = Driver::builder(store, keyring).build()?;
        let account = AccountId::new("user-1")?;
        runtime.block_on(driver.ensure_account(&account))?;
        let client = Client::credential(driver.client_tag(&account, b"token"));
        let steps = TwoFactorSteps::new(TwoFactorPolicy::default(), driver.ledger_policy())?;
        Ok(Self { runtime, driver, partition: Partition::account(&account), steps, client })
    }

    /// Makes a set and returns its first code.
    async fn code(&self) -> Result<String, Failure> {
        let step = |draft: &mut Draft<'_>| self.steps.make_recovery_in(draft, Liveness::Now, self.client);
        let codes = self.driver.run(&self.partition, RECOVERY_SLOTS, step).await?;
        Ok(codes.iter().next().ok_or("an empty set")?.to_owned())
    }

    /// Makes a set, then uses a code of it. Only the use is timed.
    fn redeem(&self) -> Result<Duration, Failure> {
        self.runtime.block_on(async {
            let code = self.code().await?;
            let started = Instant::now();
            let step = |draft: &mut Draft<'_>| {
                self.steps.verify_recovery_in(draft, &code, &Purpose::new("bench"), self.client)
            };
            let verdict = self.driver.run(&self.partition, RECOVERY_SLOTS, step).await?;
            let taken = started.elapsed();
            match black_box(verdict) {
                VerifyOutcome::Granted(_) => Ok(taken),
                _ => Err("the right code was denied".into()),
            }
        })
    }
}

const WRONG: &str = "000000-000000-000001";

/// Returns a set and its last code.
fn set() -> Result<(CodeSet, String), Failure> {
    let (set, codes) = CodeSet::make(&SystemEntropy, Preset::Default, UnixSeconds::EPOCH)?;
    let right = codes.iter().last().ok_or("an empty set")?.to_owned();
    if set.judge(WRONG)? != Matched::Wrong || !matches!(set.judge(&right)?, Matched::Unused(_)) {
        return Err("a guess was misjudged".into());
    }
    Ok((set, right))
}

/// One HMAC-SHA-256 and a scan of ten.
fn peer(typed: &[u8]) -> Option<u32> {
    let (key, stored) = ([7_u8; 32], [[9_u8; 32]; 10]);
    let mut mac = Hmac::<Sha256>::new_from_slice(black_box(&key)).ok()?;
    mac.update(b"keywright/v1/recovery\0");
    mac.update(typed);
    let mac = mac.finalize().into_bytes();
    Some(black_box(&stored).iter().map(|stored| u32::from(stored.ct_eq(mac.as_slice()).unwrap_u8())).sum())
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn print_ratio() -> Result<(), Failure> {
    let (set, right) = set()?;
    let [least, of_wrong, of_right] = interleaved([
        &|| peer(black_box(b"000000000000000001")).is_some(),
        &|| set.judge(black_box(WRONG)).is_ok(),
        &|| set.judge(black_box(&right)).is_ok(),
    ]);
    println!(
        "recovery: wrong {of_wrong:.0} ns / one HMAC and a scan {least:.0} ns = {:.2}; right {of_right:.0} ns = {:.2}",
        of_wrong / least,
        of_right / least,
    );
    Ok(())
}

/// Measures the comparison and its peer, with a wrong and a right code.
fn look(criterion: &mut Criterion) -> Result<(), Failure> {
    let (set, right) = set()?;
    let mut group = criterion.benchmark_group("recovery");
    group.bench_function("hmac_and_scan", |bencher| bencher.iter(|| peer(black_box(b"000000000000000001"))));
    group.bench_function("guess_wrong", |bencher| bencher.iter(|| set.judge(black_box(WRONG))));
    group.bench_function("guess_right", |bencher| bencher.iter(|| set.judge(black_box(&right))));
    group.finish();
    Ok(())
}

/// Measures the whole operation: load, step, seal, commit.
fn whole(criterion: &mut Criterion) -> Result<(), Failure> {
    let memory = Site::new(Arc::new(MemoryStore::new()))?;
    let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let sqlite = Site::new(Arc::new(SqliteStore::builder(directory.path().join("store.db")).open()?))?;

    let mut group = criterion.benchmark_group("recovery_verify");
    for (name, site) in [("memory", &memory), ("sqlite", &sqlite)] {
        self_timed(&mut group, name, || site.redeem())?;
    }
    group.finish();
    Ok(())
}

#[expect(clippy::panic, reason = "a bench that cannot run says so")]
fn recovery_codes(criterion: &mut Criterion) {
    if let Err(error) = look(criterion).and_then(|()| whole(criterion)) {
        panic!("{error}");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(4));
    targets = recovery_codes
}

fn main() -> Result<(), Failure> {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        print_ratio()?;
    }
    Ok(())
}
