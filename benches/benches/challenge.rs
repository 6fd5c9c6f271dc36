//! The server half of the challenge, one request at a time: a verified proof over the memory store,
//! which shows our own cost, and over a SQLite file, and a first challenge over both stores.
//!
//! The right proof of a known client checks whether the root is still current, and writes nothing.
//! A first challenge is written, so on SQLite it needs one synchronisation. Argon2 is not included,
//! because the client runs it; see `derive`.
//!
//! The file is in the build directory. In a file system in memory, a synchronisation costs nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use keywright_challenge::{ChallengeSecret, Challenges, Proof, Salts, SetOutcome, Verification};
use keywright_core::{AccountId, Client, Keyring, SystemEntropy};
use keywright_sqlite::SqliteStore;
use keywright_store::{Driver, MemoryStore, RecordStore};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error>;

/// A store with one account whose challenge is set.
struct Site {
    runtime: Runtime,
    driver: Driver,
    challenges: Challenges,
    account: AccountId,
    salts: Salts,
    secret: ChallengeSecret,
    proof: Proof,
    made: u64,
    // The last field, so that the store is closed before its file is removed.
    _directory: Option<tempfile::TempDir>,
}

impl Site {
    fn memory() -> Result<Self, Failure> {
        Self::over(Arc::new(MemoryStore::new()), None)
    }

    fn sqlite() -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let store = SqliteStore::open(directory.path().join("store.db"))?;
        Self::over(Arc::new(store), Some(directory))
    }

    fn over(store: Arc<dyn RecordStore>, directory: Option<tempfile::TempDir>) -> Result<Self, Failure> {
        let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
        let driver = Driver::builder(store, keyring).build()?;
        let text = "1d".repeat(32);
        let mut site = Self {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?,
            challenges: Challenges::new(driver.clone()),
            driver,
            account: AccountId::new("user-1")?,
            salts: Salts::random(&SystemEntropy)?,
            secret: ChallengeSecret::from_client(&text)?,
            proof: Proof::from_client(&text)?,
            made: 0,
            _directory: directory,
        };
        site.account = site.fresh()?;
        if site.set(&site.account) { Ok(site) } else { Err("the challenge was not set".into()) }
    }

    /// Returns an account without a challenge.
    fn fresh(&mut self) -> Result<AccountId, Failure> {
        self.made = self.made.saturating_add(1);
        let account = AccountId::new(format!("account-{:09}", self.made))?;
        self.runtime.block_on(self.driver.ensure_account(&account))?;
        Ok(account)
    }

    fn client(&self, account: &AccountId) -> Client {
        Client::credential(self.driver.client_tag(account, b"token"))
    }

    fn set(&self, account: &AccountId) -> bool {
        let set = self.challenges.set(account, &self.secret, &self.salts, self.client(account));
        matches!(self.runtime.block_on(set), Ok(SetOutcome::Set(_)))
    }

    fn verify(&self) -> bool {
        let verified =
            self.runtime.block_on(self.challenges.verify(&self.account, &self.proof, self.client(&self.account)));
        matches!(verified, Ok(Verification::Granted(_)))
    }

    /// Times only the calls of `set`, and not the creation of their accounts.
    fn sets(&mut self, rounds: u64) -> Result<Duration, Failure> {
        let accounts = (0..rounds).map(|_| self.fresh()).collect::<Result<Vec<_>, _>>()?;
        let started = Instant::now();
        let all = accounts.iter().all(|account| self.set(account));
        let time = started.elapsed();
        if all { Ok(time) } else { Err("a challenge was not set".into()) }
    }
}

/// A call that failed must not look like a fast one.
#[expect(clippy::panic, reason = "a bench that measures failures must stop")]
fn good(right: bool) {
    if !right {
        panic!("a call failed");
    }
}

#[expect(clippy::panic, reason = "a bench without its store must stop")]
fn challenge(criterion: &mut Criterion) {
    if let Err(failure) = benches_of(criterion) {
        panic!("{failure}");
    }
}

fn benches_of(criterion: &mut Criterion) -> Result<(), Failure> {
    let (mut memory, mut sqlite) = (Site::memory()?, Site::sqlite()?);

    let mut group = criterion.benchmark_group("challenge");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.bench_function("verify/memory", |bencher| bencher.iter(|| good(memory.verify())));
    group.bench_function("verify/sqlite", |bencher| bencher.iter(|| good(sqlite.verify())));
    group.bench_function("set/memory", |bencher| {
        bencher.iter_custom(|rounds| memory.sets(rounds).unwrap_or(Duration::MAX));
    });
    group.bench_function("set/sqlite", |bencher| {
        bencher.iter_custom(|rounds| sqlite.sets(rounds).unwrap_or(Duration::MAX));
    });
    group.finish();
    Ok(())
}

criterion_group!(benches, challenge);
criterion_main!(benches);
