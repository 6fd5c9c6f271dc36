//! The redemption of a typed code: load, judge, seal, guarded commit, proof. It is measured on the
//! memory store, which shows our own cost (a step runs only inside a driver), and on an SQLite
//! file, where the disk's synchronisation dominates.
//!
//! Requesting the code is not measured. The file is in the build directory, which is usually on a
//! real disk.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keywright_benches::interleaved::self_timed;
use keywright_confirm::{Action, ConfirmPolicy, Confirmation, Confirmations};
use keywright_core::{AccountId, Keyring, SessionId, SystemEntropy};
use keywright_sqlite::SqliteStore;
use keywright_store::{Driver, MemoryStore, RecordStore};
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
    account: AccountId,
    confirmations: Confirmations,
}

impl Site {
    fn new(store: Arc<dyn RecordStore>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
        let driver = Driver::builder(store, keyring).build()?;
        let account = AccountId::new("user-1")?;
        runtime.block_on(driver.ensure_account(&account))?;
        let confirmations = Confirmations::new(driver, ConfirmPolicy::default());
        Ok(Self { runtime, account, confirmations })
    }

    /// Requests a code, then redeems it. Only the redemption is timed.
    fn redeem(&self) -> Result<Duration, Failure> {
        self.runtime.block_on(async {
            let code = self.confirmations.begin_code(&self.account, &DeleteVault, SessionId::new(SESSION)).await?;
            let started = Instant::now();
            let outcome = self
                .confirmations
                .confirm_code(&self.account, DeleteVault, SessionId::new(SESSION), code.expose())
                .await?;
            let taken = started.elapsed();
            match black_box(outcome) {
                Confirmation::Granted(_) => Ok(taken),
                _ => Err("the right code was denied".into()),
            }
        })
    }
}

fn measure(criterion: &mut Criterion) -> Result<(), Failure> {
    let memory = Site::new(Arc::new(MemoryStore::new()))?;
    let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let sqlite = Site::new(Arc::new(SqliteStore::builder(directory.path().join("store.db")).open()?))?;

    let mut group = criterion.benchmark_group("confirm_redeem");
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
