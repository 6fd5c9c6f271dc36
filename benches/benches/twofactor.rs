//! Judging a time-based code at ±1 step.
//!
//! `totp_check` compares a code with one device's window. Ours always computes three codes and
//! compares them without early exit. `totp-rs`'s own `check` goes through the window from its
//! oldest step and stops at the first match. So each place in the window is measured, and a wrong
//! code. After the benches, the ratios are printed, interleaved:
//! - *kept*: `TotpVerifier::check` beside `Totp::check`, on verifiers that are kept. The target is
//!   at least 1.0 ×.
//! - *built*: from the stored secret to the verdict, as a server does it for each request:
//!   `TotpVerifier::new` and `check` beside `Builder::new().with_secret(…).build()` and `check`, as
//!   the documentation of `totp-rs` shows it.
//!
//! Kept, the target is met for a code of the current step, for one ahead, for a wrong one, and for
//! the mean of the three places, because the HMAC is keyed once and not for each code. It is not
//! met for a code of the previous step: there the peer computes only one code, and a comparison
//! with the whole window cannot. That is the price of constant time. Built, ours pays for its key
//! (two blocks of the hash) before the first code. `totp-rs/whole window` is the peer, changed to
//! compare with all three codes too.
//!
//! `totp_verify` is the service on the `memory` store, which shows our own cost, and on `sqlite`,
//! including commit and proof.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use keywright_benches::interleaved::{interleaved, self_timed};
use keywright_core::{AccountId, Client, Keyring, ManualClock, Purpose, SystemEntropy, UnixSeconds};
use keywright_sqlite::SqliteStore;
use keywright_store::{Driver, MemoryStore, RecordStore};
use keywright_twofactor::{
    ImportedDevice, Parameters, TotpCheck, TotpSecret, TotpVerifier, TwoFactor, TwoFactorPolicy, VerifyOutcome, Window,
};
use subtle::ConstantTimeEq;
use tokio::runtime::Runtime;
use totp_rs::{Builder, Totp};

type Failure = Box<dyn std::error::Error>;

const SEED: &[u8] = b"12345678901234567890";
const START: u64 = 1_700_000_010;

/// The place of a code in the window, and a moment at which this is its code.
const CODES: [(&str, u64); 4] =
    [("before", START - 30), ("present", START), ("after", START + 30), ("wrong", START + 3_000)];

fn peer() -> Result<Totp, Failure> {
    Ok(Builder::new().with_secret(SEED).build().map_err(|error| format!("{error:?}"))?)
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
        let driver = Driver::builder(store, keyring).clock(clock.clone()).build()?;
        let account = AccountId::new("user-1")?;
        runtime.block_on(driver.ensure_account(&account))?;
        let two_factor = TwoFactor::new(driver.clone(), TwoFactorPolicy::default())?;
        let phone = ImportedDevice::new("phone", TotpSecret::from_slice(SEED)?);
        let _ = runtime.block_on(two_factor.import_device(&account, &phone))?;
        Ok(Self { runtime, driver, clock, account, two_factor, app: peer()? })
    }

    /// Moves the clock by one step, then verifies its code. Only the verification is timed.
    fn verify(&self) -> Result<Duration, Failure> {
        self.clock.advance(30);
        let code = self.app.generate(self.driver.clock().now()?.get()).to_string();
        let client = Client::credential(self.driver.client_tag(&self.account, b"token"));
        self.runtime.block_on(async {
            let started = Instant::now();
            let verdict = self.two_factor.verify_totp(&self.account, &code, &Purpose::new("bench"), client).await?;
            let taken = started.elapsed();
            match black_box(verdict) {
                VerifyOutcome::Granted(_) => Ok(taken),
                _ => Err("the right code was denied".into()),
            }
        })
    }
}

/// Measures the comparison with a window, ours and the peer's.
fn check(criterion: &mut Criterion) -> Result<(), Failure> {
    let (peer, secret) = (peer()?, TotpSecret::from_slice(SEED)?);
    let (now, window) = (UnixSeconds::new(START)?, Window::new(1, 1));
    let verifier = TotpVerifier::new(&secret, Parameters::default());
    let mut group = criterion.benchmark_group("totp_check");
    for (name, at) in CODES {
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
    // The peer, changed to compare with the whole window. A host must do this if it wants neither
    // an early exit nor to hide an older step.
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
    for (name, site) in [("memory", &memory), ("sqlite", &sqlite)] {
        self_timed(&mut group, name, || site.verify())?;
    }
    group.finish();
    Ok(())
}

fn print_ratios() -> Result<(), Failure> {
    let (peer, secret) = (peer()?, TotpSecret::from_slice(SEED)?);
    let (now, window) = (UnixSeconds::new(START)?, Window::new(1, 1));
    let verifier = TotpVerifier::new(&secret, Parameters::default());
    let is_right = |check| matches!(check, TotpCheck::Right { .. });
    let mut places = [0.0; 4];
    for (name, at) in CODES {
        let code = peer.generate(at).to_string();
        let times = interleaved([
            &|| is_right(verifier.check(black_box(&code), black_box(now), window, None)),
            &|| peer.check(black_box(&code), black_box(START)).is_some(),
            &|| {
                let verifier = TotpVerifier::new(black_box(&secret), Parameters::default());
                is_right(verifier.check(black_box(&code), black_box(now), window, None))
            },
            &|| {
                let peer = Builder::new().with_secret(black_box(SEED)).build();
                peer.is_ok_and(|peer| peer.check(black_box(&code), black_box(START)).is_some())
            },
        ]);
        print_ratio(name, times);
        if name != "wrong" {
            places.iter_mut().zip(times).for_each(|(sum, time)| *sum += time / 3.0);
        }
    }
    print_ratio("mean of the places", places);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn print_ratio(name: &str, [kept, peer_kept, built, peer_built]: [f64; 4]) {
    println!(
        "totp_check, {name}: kept, totp-rs {peer_kept:.0} ns / ours {kept:.0} ns = {:.2}; built, {peer_built:.0} / \
         {built:.0} = {:.2}",
        peer_kept / kept,
        peer_built / built,
    );
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

fn main() -> Result<(), Failure> {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        print_ratios()?;
    }
    Ok(())
}
