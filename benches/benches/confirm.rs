//! The redemption of a typed code: load, judge, seal, guarded commit, proof. On the memory store, which shows our own
//! cost, and on an SQLite file, where the disk's synchronisation is most of it. The step alone stands beside them.
//!
//! Asking for the code is not measured. The file lies in the build directory, on a real disk as a rule.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keywright_benches::turns::self_timed;
use keywright_confirm::{Action, ConfirmPolicy, Confirmation, Confirmations, SLOTS};
use keywright_core::{AccountId, Keyring, SystemClock, SystemEntropy, UnixSeconds};
use keywright_sqlite::SqliteStore;
use keywright_store::{Draft, Driver, Loaded, MemoryStore, Partition, RecordStore, Revision, Slot};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error>;

struct DeleteVault;

impl Action for DeleteVault {
    const NAME: &'static str = "bench.delete";
    fn target(&self) -> &'static str {
        "vault-7"
    }
    fn parameters(&self) -> Vec<u8> {
        Vec::new()
    }
}

const SESSION: &[u8] = b"session-1";

/// One account on a store.
struct Site {
    runtime: Runtime,
    driver: Driver,
    account: AccountId,
    confirmations: Confirmations,
}

impl Site {
    fn new(store: Arc<dyn RecordStore>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
        let driver = Driver::new(store, keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
        let account = AccountId::new("user-1")?;
        let partition = Partition::account(&account);
        runtime.block_on(driver.transact(&partition, &[], |draft| draft.create_account()))?;
        let confirmations = Confirmations::new(driver.clone(), ConfirmPolicy::default());
        Ok(Self { runtime, driver, account, confirmations })
    }

    /// Asks, then redeems. Only the second is timed.
    fn redeem(&self) -> Result<Duration, Failure> {
        self.runtime.block_on(async {
            let code = self.confirmations.ask_code(&self.account, &DeleteVault, SESSION).await?;
            let started = Instant::now();
            let outcome = self.confirmations.confirm_code(&self.account, DeleteVault, SESSION, code.expose()).await?;
            let taken = started.elapsed();
            match black_box(outcome) {
                Confirmation::Granted(_) => Ok(taken),
                _ => Err("the right code was denied".into()),
            }
        })
    }

    /// What the step loads for a code that waits to be typed, and the code.
    fn waiting(&self) -> Result<(Partition, Loaded, String), Failure> {
        let partition = Partition::account(&self.account);
        let code = self.runtime.block_on(self.confirmations.ask_code(&self.account, &DeleteVault, SESSION))?;
        let slots: Vec<Slot> = [Slot::Root].into_iter().chain(SLOTS.iter().copied()).collect();
        let stored = self.runtime.block_on(self.driver.store().load(&partition, &slots))?;
        Ok((partition, slots.into_iter().zip(stored).collect(), code.expose().to_owned()))
    }
}

fn measure(criterion: &mut Criterion) -> Result<(), Failure> {
    let memory = Site::new(Arc::new(MemoryStore::new()))?;
    let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let sqlite = Site::new(Arc::new(SqliteStore::builder(directory.path().join("store.db")).open()?))?;

    let mut group = criterion.benchmark_group("confirm_redeem");
    let (partition, loaded, code) = memory.waiting()?;
    let now = UnixSeconds::new(memory.driver.clock().now()?.get())?;
    let attempt = Revision::random(&SystemEntropy)?;
    let step = || {
        let keyring = memory.driver.keyring();
        let mut draft = Draft::new(&partition, &loaded, keyring, &SystemEntropy, now, attempt);
        let outcome = memory.confirmations.steps().confirm_code_in(&mut draft, DeleteVault, SESSION, &code);
        matches!(outcome, Ok(Confirmation::Granted(_))) && draft.into_batch().is_ok()
    };
    if !step() {
        return Err("the right code was denied".into());
    }
    group.bench_function("step", |bencher| bencher.iter(|| black_box(step())));
    for (name, site) in [("memory", &memory), ("sqlite", &sqlite)] {
        self_timed(&mut group, name, || site.redeem())?;
    }
    group.finish();
    Ok(())
}

#[expect(clippy::panic, reason = "a bench that cannot run says so")]
fn confirm(criterion: &mut Criterion) {
    if let Err(error) = measure(criterion) {
        panic!("{error}");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(4));
    targets = confirm
}
criterion_main!(benches);
