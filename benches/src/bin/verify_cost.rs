//! The cost of one time-based code for a server: processor time and bytes written by
//! `TwoFactor::verify_totp` over an SQLite file. The clock moves by a step each time, the client is
//! a known one, and each code is right, so each is one commit with one synchronisation.
//!
//! `cargo run --release -p keywright-benches --bin verify_cost [directory]`. The file is in that
//! directory, or else in the system's directory for temporary files. Linux only: it reads
//! `/proc/self`. Bytes are those passed to the kernel by calls that write: the log, and what is
//! copied back from it into the file.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use keywright_benches::process::{bytes_written, cpu_time};
use keywright_core::{AccountId, Client, Keyring, ManualClock, Purpose, SystemEntropy, UnixSeconds};
use keywright_sqlite::SqliteStore;
use keywright_store::Driver;
use keywright_twofactor::{ImportedDevice, TotpSecret, TwoFactor, TwoFactorPolicy, VerifyOutcome};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SEED: &[u8] = b"12345678901234567890";
const START: u64 = 1_700_000_010;
const STEP: u64 = 30;
/// The first codes are not counted, while statements are prepared, the client becomes known, and
/// the log fills.
const WARM_UP: usize = 2_000;
const COUNTED: usize = 6_000;

async fn run(directory: &Path) -> Result<String, Failure> {
    let store = Arc::new(SqliteStore::open(directory.join("store.db"))?);
    let clock = Arc::new(ManualClock::new(UnixSeconds::new(START)?));
    let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
    let driver = Driver::builder(store, keyring).clock(clock.clone()).build()?;
    let account = AccountId::new("user-1")?;
    driver.ensure_account(&account).await?;
    let client = Client::credential(driver.client_tag(&account, b"token"));
    let two_factor = TwoFactor::new(driver, TwoFactorPolicy::default())?;
    let phone = ImportedDevice::new("phone", TotpSecret::from_slice(SEED)?);
    let _ = two_factor.import_device(&account, &phone).await?;

    // The authenticator app's work is not part of the server's.
    let app = totp_rs::Builder::new().with_secret(SEED).build().map_err(|error| format!("{error:?}"))?;
    let moments = (START..).step_by(usize::try_from(STEP)?).take(WARM_UP + COUNTED);
    let codes: Vec<String> = moments.map(|moment| app.generate(moment).to_string()).collect();
    let (warm_up, counted) = codes.split_at(WARM_UP);
    let verify = async |codes: &[String]| -> Result<(), Failure> {
        for code in codes {
            match two_factor.verify_totp(&account, code, &Purpose::new("login"), client).await? {
                VerifyOutcome::Granted(_) => clock.advance(STEP),
                other => return Err(format!("a right code was not granted: {other:?}").into()),
            }
        }
        Ok(())
    };

    verify(warm_up).await?;
    let (cpu, bytes, started) = (cpu_time()?, bytes_written()?, Instant::now());
    verify(counted).await?;
    let elapsed = started.elapsed();
    let (cpu, bytes) = (cpu_time()?.saturating_sub(cpu), bytes_written()?.saturating_sub(bytes));
    let each = |micros: f64| micros / COUNTED as f64;
    Ok(format!(
        "verify_totp: {:.1} µs of processor time, {:.0} bytes written, {:.1} µs elapsed, per operation",
        each(cpu.as_secs_f64() * 1e6),
        each(bytes as f64),
        each(elapsed.as_secs_f64() * 1e6),
    ))
}

#[expect(clippy::print_stdout, reason = "the result of a check run by hand")]
fn main() -> Result<(), Failure> {
    let directory = match std::env::args_os().nth(1) {
        Some(parent) => tempfile::tempdir_in(parent)?,
        None => tempfile::tempdir()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    println!("{}", runtime.block_on(run(directory.path()))?);
    Ok(())
}
