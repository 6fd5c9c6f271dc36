//! The cost of proving that a vault is whole: the digest over the marks of 100,000 rows, which
//! every read of the whole vault and every check of a submission computes. Target: at most 5 ms.
//!
//! The digest is not a public function. So three calls are measured: `Vaults::manifest` over the
//! memory store, which reads the vault's head and the marks of all rows and compares their digest
//! with the head's; `VaultStore::manifest`, which only reads the marks; and `Vaults::head`, which
//! only reads the head. The digest is the first minus the other two.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use keywright_core::{AccountId, Keyring, SystemEntropy, random_bytes};
use keywright_rekey::{Edit, EditOutcome, Put, VaultPolicy, Vaults};
use keywright_store::{CipherId, ClientNonce, Driver, MemoryStore, Partition, VaultStore};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ROWS: usize = 100_000;
/// The text of every cipher. The digest does not read texts.
const TEXT: &str = "5a5a5a5a";
const TURNS: usize = 31;

/// A vault in memory.
struct Site {
    runtime: Runtime,
    store: Arc<MemoryStore>,
    vaults: Vaults,
    account: AccountId,
    partition: Partition,
}

impl Site {
    fn new() -> Result<Self, Failure> {
        let store = Arc::new(MemoryStore::new());
        let driver = Driver::builder(store.clone(), Arc::new(Keyring::generate(&SystemEntropy)?)).build()?;
        let vaults = Vaults::new(driver, store.clone(), VaultPolicy::default());
        let account = AccountId::new("user-1")?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let site = Self { runtime, store, vaults, partition: Partition::account(&account), account };
        site.runtime.block_on(site.fill())?;
        Ok(site)
    }

    async fn fill(&self) -> Result<(), Failure> {
        self.vaults.driver().ensure_account(&self.account).await?;
        let _ = self.vaults.create(&self.account).await?;
        let head = self.vaults.head(&self.account).await?.ok_or("no vault")?;
        let mut put = Vec::with_capacity(ROWS);
        for _ in 0..ROWS {
            let (id, nonce) = (CipherId(random_bytes(&SystemEntropy)?), ClientNonce(random_bytes(&SystemEntropy)?));
            put.push(Put::new(id, nonce, TEXT, b""));
        }
        match self.vaults.edit(&self.account, &Edit::new(put, Vec::new()), head.key_epoch).await? {
            EditOutcome::Done { .. } => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// Reads the marks of all rows, and compares them with the head.
    fn verified(&self) -> Result<usize, Failure> {
        Ok(self.runtime.block_on(self.vaults.manifest(&self.account))?.rows().len())
    }

    /// Reads the marks of all rows as they are stored.
    fn unverified(&self) -> Result<usize, Failure> {
        Ok(self.runtime.block_on(self.store.manifest(&self.partition))?.rows.len())
    }

    /// Reads the number of rows from the head.
    fn head(&self) -> Result<usize, Failure> {
        Ok(usize::try_from(self.runtime.block_on(self.vaults.head(&self.account))?.ok_or("no vault")?.count)?)
    }
}

/// A read that failed must not look like a fast one.
#[expect(clippy::panic, reason = "a bench that measures failures must stop")]
fn timed(read: impl Fn() -> Result<usize, Failure>) -> Duration {
    let started = Instant::now();
    let rows = black_box(read());
    let took = started.elapsed();
    match rows {
        Ok(ROWS) => took,
        other => panic!("{other:?} rows"),
    }
}

fn measure(criterion: &mut Criterion, site: &Site) {
    let mut group = criterion.benchmark_group("digest_100k");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(ROWS as u64));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("manifest/verified", |bencher| bencher.iter(|| timed(|| site.verified())));
    group.bench_function("manifest/unverified", |bencher| bencher.iter(|| timed(|| site.unverified())));
    group.finish();
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn report(site: &Site) {
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..TURNS {
        let reads = [timed(|| site.verified()), timed(|| site.unverified()), timed(|| site.head())];
        times.iter_mut().zip(reads).for_each(|(times, took)| times.push(took));
    }
    let [verified, unverified, head] = times.map(|mut times| {
        times.sort_unstable();
        times.get(TURNS / 2).copied().unwrap_or_default().as_secs_f64() * 1e3
    });
    let digest = verified - unverified - head;
    println!(
        "digest of {ROWS} rows: {digest:.2} ms, {:.1} ns a row, target ≤ 5 ms (verified {verified:.2} ms, the marks \
         alone {unverified:.2} ms, the head alone {head:.3} ms)",
        digest * 1e6 / ROWS as f64,
    );
}

#[expect(clippy::panic, reason = "a bench without its vault must stop")]
fn digest(criterion: &mut Criterion) {
    let site = Site::new().unwrap_or_else(|failure| panic!("{failure}"));
    measure(criterion, &site);
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        report(&site);
    }
}

criterion_group!(benches, digest);
criterion_main!(benches);
