//! What spans, log lines and metrics cost an operation: the service that checks a time-based code, on
//! the memory store, which shows our own cost.
//!
//! `telemetry` measures each way of watching. After the benches, the ratios to *nothing* are printed,
//! interleaved in turns, so that a change in the machine's load affects all of them:
//! - *nothing*: neither a subscriber nor a recorder is installed. The code that would report is there.
//! - *log*: a subscriber that formats events from INFO on, as a server has it. Operations are not
//!   logged; the security event of a code that was accepted is.
//! - *spans*: a subscriber that formats everything from DEBUG on, with each operation as a span.
//! - *metrics*: the recorder for Prometheus.
//! - *all*: spans and metrics.
//!
//! Lines are formatted and thrown away, so no disk is measured. What is formatted costs most; metrics
//! alone cost about a tenth of an operation that writes nothing to a disk.
//!
//! It needs the feature `metrics` of this crate, so that the other benches measure without it.

use std::hint::black_box;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use keywright_benches::interleaved::self_timed;
use keywright_core::{AccountId, Client, Keyring, ManualClock, Purpose, SystemEntropy, UnixSeconds};
use keywright_store::{Driver, MemoryStore};
use keywright_twofactor::{ImportedDevice, TotpSecret, TwoFactor, TwoFactorPolicy, VerifyOutcome};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::runtime::Runtime;
use totp_rs::{Builder, Totp};
use tracing::Level;

type Failure = Box<dyn std::error::Error>;

const SEED: &[u8] = b"12345678901234567890";
const START: u64 = 1_700_000_010;

/// The number of codes in a row before the next way's turn, and the number of turns.
const IN_A_ROW: u32 = 200;
const TURNS: usize = 61;

/// How an operation is watched.
#[derive(Debug, Clone, Copy)]
enum Watch {
    Nothing,
    Log,
    Spans,
    Metrics,
    All,
}

const WAYS: [(&str, Watch); 5] = [
    ("nothing", Watch::Nothing),
    ("log", Watch::Log),
    ("spans", Watch::Spans),
    ("metrics", Watch::Metrics),
    ("all", Watch::All),
];

impl Watch {
    /// Runs work that is watched in this way.
    fn over<T>(self, work: impl FnOnce() -> T) -> T {
        let measured = || match self {
            Self::Metrics | Self::All => {
                let recorder = PrometheusBuilder::new().build_recorder();
                metrics::with_local_recorder(&recorder, work)
            }
            Self::Nothing | Self::Log | Self::Spans => work(),
        };
        let level = match self {
            Self::Nothing | Self::Metrics => return measured(),
            Self::Log => Level::INFO,
            Self::Spans | Self::All => Level::DEBUG,
        };
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_writer(io::sink).finish();
        let result = tracing::subscriber::with_default(subscriber, measured);
        // What nobody listens to any more is not even formatted.
        tracing::callsite::rebuild_interest_cache();
        result
    }
}

/// One account with one device.
struct Site {
    runtime: Runtime,
    clock: Arc<ManualClock>,
    account: AccountId,
    client: Client,
    two_factor: TwoFactor,
    app: Totp,
}

impl Site {
    fn new() -> Result<Self, Failure> {
        // On this thread, because subscriber and recorder are those of a thread.
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START)?));
        let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).clock(clock.clone()).build()?;
        let account = AccountId::new("user-1")?;
        runtime.block_on(driver.ensure_account(&account))?;
        let client = Client::credential(driver.client_tag(&account, b"token"));
        let two_factor = TwoFactor::new(driver, TwoFactorPolicy::default())?;
        let phone = ImportedDevice::new("phone", TotpSecret::from_slice(SEED)?);
        let _ = runtime.block_on(two_factor.import_device(&account, &phone))?;
        let app = Builder::new().with_secret(SEED).build().map_err(|error| format!("{error:?}"))?;
        Ok(Self { runtime, clock, account, client, two_factor, app })
    }

    /// Moves the clock by one step, then verifies its code. Only the verification is timed.
    fn verify(&self) -> Result<Duration, Failure> {
        use keywright_core::Clock as _;
        self.clock.advance(30);
        let code = self.app.generate(self.clock.now()?.get()).to_string();
        let (purpose, started) = (Purpose::new("bench"), Instant::now());
        let verdict =
            self.runtime.block_on(self.two_factor.verify_totp(&self.account, &code, &purpose, self.client))?;
        let taken = started.elapsed();
        match black_box(verdict) {
            VerifyOutcome::Granted(_) => Ok(taken),
            _ => Err("the right code was denied".into()),
        }
    }
}

fn telemetry(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| -> Result<(), Failure> {
        let site = Site::new()?;
        let mut group = criterion.benchmark_group("telemetry");
        for (name, watch) in WAYS {
            watch.over(|| self_timed(&mut group, name, || site.verify()))?;
        }
        group.finish();
        Ok(())
    };
    #[expect(clippy::panic, reason = "a bench that cannot run says so")]
    if let Err(error) = run(criterion) {
        panic!("{error}");
    }
}

#[expect(clippy::print_stdout, reason = "a bench reports")]
fn print_ratios() -> Result<(), Failure> {
    let site = Site::new()?;
    let mut times = [const { Vec::new() }; WAYS.len()];
    for _ in 0..TURNS {
        for ((_, watch), times) in WAYS.iter().zip(&mut times) {
            let taken: Duration = watch.over(|| (0..IN_A_ROW).map(|_| site.verify()).sum::<Result<_, _>>())?;
            times.push(taken.as_secs_f64() * 1e6 / f64::from(IN_A_ROW));
        }
    }
    let medians = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.get(TURNS / 2).copied().unwrap_or(f64::NAN)
    });
    let nothing = medians.first().copied().unwrap_or(f64::NAN);
    for ((name, _), time) in WAYS.iter().zip(medians) {
        println!("telemetry, {name}: {time:.1} µs, {:.2} of nothing", time / nothing);
    }
    Ok(())
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).measurement_time(Duration::from_secs(3));
    targets = telemetry
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
