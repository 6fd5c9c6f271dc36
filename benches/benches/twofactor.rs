//! Judging a time-based code at ±1 step.
//!
//! `check`: the look at one device's window, ours (three codes always, compared without early exit) beside `totp-rs`'s
//! own (stops at the first that matches), for a code of each place in the window and for a wrong one; and beside its
//! codes compared by hand over the whole window. `step`: the whole
//! pure step, with opening and sealing the records. `memory`, `sqlite`: the service, commit and proof included.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use keywright_core::{AccountId, Keyring, ManualClock, SystemEntropy, UnixSeconds};
use keywright_sqlite::SqliteStore;
use keywright_store::{Draft, Driver, Loaded, MemoryStore, Partition, RecordStore, Revision, Slot};
use keywright_twofactor::{
    Parameters, SLOTS, TotpCheck, TotpSecret, TotpVerifier, TwoFactor, TwoFactorPolicy, Verdict, Window,
};
use subtle::ConstantTimeEq;
use tokio::runtime::Runtime;
use totp_rs::Totp;

type Failure = Box<dyn std::error::Error>;

const SEED: &[u8] = b"12345678901234567890";
const START: u64 = 1_700_000_010;

fn peer() -> Result<Totp, Failure> {
    Ok(totp_rs::Builder::new().with_secret(SEED).build().map_err(|error| format!("{error:?}"))?)
}

/// One account on a store, with one device.
struct Site {
    runtime: Runtime,
    driver: Driver,
    clock: Arc<ManualClock>,
    account: AccountId,
    two_factor: TwoFactor,
    app: Totp,
}

impl Site {
    fn new(store: Arc<dyn RecordStore>) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START)?));
        let driver = Driver::new(store, keyring, Arc::new(SystemEntropy), clock.clone());
        let account = AccountId::new("user-1")?;
        runtime.block_on(driver.transact(&Partition::account(&account), &[], |draft| draft.create_account()))?;
        let two_factor = TwoFactor::new(driver.clone(), TwoFactorPolicy::default());
        runtime.block_on(two_factor.import_device(&account, "phone", &TotpSecret::from_slice(SEED)?))?;
        Ok(Self { runtime, driver, clock, account, two_factor, app: peer()? })
    }

    /// Goes a step on, then verifies its code. Only the second is timed.
    fn verify(&self) -> Result<Duration, Failure> {
        self.clock.advance(30);
        let code = self.app.generate(self.driver.clock().now()?.get()).to_string();
        self.runtime.block_on(async {
            let started = Instant::now();
            let verdict = self.two_factor.verify_totp(&self.account, &code, "bench", None).await?;
            let taken = started.elapsed();
            match black_box(verdict) {
                Verdict::Granted(_) => Ok(taken),
                _ => Err("the right code was denied".into()),
            }
        })
    }

    fn loaded(&self) -> Result<(Partition, Loaded), Failure> {
        let partition = Partition::account(&self.account);
        let slots: Vec<Slot> = [Slot::Root].into_iter().chain(SLOTS.iter().copied()).collect();
        let stored = self.runtime.block_on(self.driver.store().load(&partition, &slots))?;
        Ok((partition, slots.into_iter().zip(stored).collect()))
    }
}

/// The look at a window, ours and the peer's.
fn check(criterion: &mut Criterion) -> Result<(), Failure> {
    let (peer, secret) = (peer()?, TotpSecret::from_slice(SEED)?);
    let (now, window) = (UnixSeconds::new(START)?, Window::new(1, 1));
    let verifier = TotpVerifier::new(&secret, Parameters::default());
    let codes = [("before", START - 30), ("present", START), ("after", START + 30), ("wrong", START + 3_000)];
    let mut group = criterion.benchmark_group("totp_check");
    for (name, at) in codes {
        let code = peer.generate(at).to_string();
        let right = matches!(verifier.check(&code, now, window, None), TotpCheck::Right { .. });
        if right != peer.check(&code, START).is_some() || right == (name == "wrong") {
            return Err("ours and the peer's verdict differ".into());
        }
        group.bench_function(format!("ours/{name}"), |bencher| {
            bencher.iter(|| verifier.check(black_box(&code), black_box(now), window, None));
        });
        group.bench_function(format!("totp-rs/{name}"), |bencher| {
            bencher.iter(|| peer.check(black_box(&code), black_box(START)));
        });
    }
    // The peer made to look at the whole window too, as a host must that wants neither early exit nor a hidden older step.
    let code = peer.generate(START).to_string();
    group.bench_function("totp-rs/whole window", |bencher| {
        bencher.iter(|| {
            let shown = [START - 30, START, START + 30].map(|at| peer.generate(black_box(at)));
            let tokens = shown.map(|token| token.to_string());
            tokens.iter().fold(false, |hit, token| hit | bool::from(token.as_bytes().ct_eq(black_box(code.as_bytes()))))
        });
    });
    group.finish();
    Ok(())
}

fn verify(criterion: &mut Criterion) -> Result<(), Failure> {
    let memory = Site::new(Arc::new(MemoryStore::new()))?;
    let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let sqlite = Site::new(Arc::new(SqliteStore::builder(directory.path().join("store.db")).open()?))?;

    let mut group = criterion.benchmark_group("totp_verify");
    let (partition, loaded) = memory.loaded()?;
    let (now, attempt) = (memory.driver.clock().now()?, Revision::random(&SystemEntropy)?);
    let code = memory.app.generate(now.get()).to_string();
    let step = || {
        let keyring = memory.driver.keyring();
        let mut draft = Draft::new(&partition, &loaded, keyring, &SystemEntropy, now, attempt);
        let verdict = memory.two_factor.steps().verify_totp_in(&mut draft, &code, "bench", None);
        matches!(verdict, Ok(Verdict::Granted(_))) && draft.into_batch().is_ok()
    };
    if !step() {
        return Err("the right code was denied".into());
    }
    group.bench_function("step", |bencher| bencher.iter(|| black_box(step())));
    for (name, site) in [("memory", &memory), ("sqlite", &sqlite)] {
        let mut failure = None;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                (0..times)
                    .map(|_| site.verify().map_err(|error| failure = Some(error)).unwrap_or_default())
                    .sum::<Duration>()
                    // A failed run is reported below; criterion refuses a time of nothing before that.
                    .max(Duration::from_nanos(1))
            });
        });
        if let Some(error) = failure {
            return Err(error);
        }
    }
    group.finish();
    Ok(())
}

#[expect(clippy::panic, reason = "a bench that cannot run says so")]
fn twofactor(criterion: &mut Criterion) {
    if let Err(error) = check(criterion).and_then(|()| verify(criterion)) {
        panic!("{error}");
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(3));
    targets = twofactor
}
criterion_main!(benches);
