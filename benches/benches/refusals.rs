//! The cost of a flood of refused guesses, and its effect on others. Unknown clients guess at an
//! account's time-based code and at its challenge until the guess ledger refuses them. From then
//! on, each of their guesses is refused without a check. A refusal does not hold the account and
//! writes nothing, so a client that writes there is held up only by the processor time.
//!
//! `refusal` is one refused guess over an SQLite file. After the benches, three rates are printed,
//! interleaved. They are those of a client that writes a record of the account: alone; beside tasks
//! that are refused on the **same** account as fast as they can; and beside as many tasks that are
//! refused on **another** account. The last is the peer. It takes the same processor time and
//! cannot hold the writer's account, so the writer's rates beside the two should be alike. The
//! bytes that the process passed to the kernel while it only refused are printed too (on Linux).
//! The target is none.
//!
//! The file is in the build directory, which is usually on a real disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};
use keywright_benches::process;
use keywright_challenge::{ChallengeSecret, Challenges, Proof, Salts, SetOutcome, Verification};
use keywright_core::{AccountId, Client, Keyring, ManualClock, Purpose, SystemEntropy, UnixSeconds};
use keywright_sqlite::SqliteStore;
use keywright_store::{Draft, Driver, Partition, Record, Slot};
use keywright_twofactor::{ImportedDevice, TotpSecret, TwoFactor, TwoFactorPolicy, VerifyOutcome};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const SEED: &[u8] = b"12345678901234567890";
const START: u64 = 1_700_000_010;
/// Not a code of the seed at any time near `START`.
const WRONG_CODE: &str = "000000";
/// How many tasks guess at once: one for each secret, and more than a small server has processors.
const GUESSERS: [usize; 2] = [2, 8];
/// More than the free tries of any client.
const MOST_TRIES: usize = 20;

/// How long the writer writes before the next mode's turn, and the number of turns. There are many
/// short turns, because two busy processors share unevenly for a while.
const SLICE: Duration = Duration::from_millis(100);
const TURNS: usize = 45;
const REFUSALS_ALONE: u64 = 10_000;

/// The record that the writer writes.
#[derive(Serialize, Deserialize)]
struct Note(u64);
impl Record for Note {
    const SCHEMA: u16 = 1;
}
const NOTE: Slot<Note> = Slot::lasting("bench-note");

#[derive(Debug, Clone, Copy)]
enum Secret {
    Totp,
    Challenge,
}

const SECRETS: [(&str, Secret); 2] = [("totp", Secret::Totp), ("challenge", Secret::Challenge)];

/// Two accounts that refuse unknown clients, on one file. The clock stands still, so no wait ends.
struct Site {
    runtime: Runtime,
    driver: Driver,
    guesser: Arc<Guesser>,
    own: AccountId,
    other: AccountId,
    // The last field, so that the store is closed before its file is removed.
    _directory: tempfile::TempDir,
}

/// A client that does not know the secrets.
struct Guesser {
    two_factor: TwoFactor,
    challenges: Challenges,
    wrong: Proof,
}

impl Guesser {
    /// Makes a wrong guess. Returns whether it was refused without a check.
    async fn guess(&self, account: &AccountId, secret: Secret) -> Result<bool, Failure> {
        let client = Client::unknown();
        match secret {
            Secret::Totp => {
                match self.two_factor.verify_totp(account, WRONG_CODE, &Purpose::new("bench"), client).await? {
                    VerifyOutcome::Refused(_) => Ok(true),
                    VerifyOutcome::Denied(_) => Ok(false),
                    other => Err(format!("{other:?}").into()),
                }
            }
            Secret::Challenge => match self.challenges.verify(account, &self.wrong, client).await? {
                Verification::Refused(_) => Ok(true),
                Verification::Denied(_) => Ok(false),
                other => Err(format!("{other:?}").into()),
            },
        }
    }

    /// Makes a wrong guess where every guess is refused.
    async fn refused(&self, account: &AccountId, secret: Secret) -> Result<(), Failure> {
        if self.guess(account, secret).await? { Ok(()) } else { Err("a guess was not refused".into()) }
    }
}

impl Site {
    fn new() -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let store = Arc::new(SqliteStore::open(directory.path().join("store.db"))?);
        let clock = Arc::new(ManualClock::new(UnixSeconds::new(START)?));
        let driver = Driver::builder(store, Arc::new(Keyring::generate(&SystemEntropy)?)).clock(clock).build()?;
        let guesser = Guesser {
            two_factor: TwoFactor::new(driver.clone(), TwoFactorPolicy::default())?,
            challenges: Challenges::new(driver.clone()),
            wrong: Proof::from_client(&"00".repeat(32))?,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
        let (own, other) = (AccountId::new("user-1")?, AccountId::new("user-2")?);
        let site = Self { runtime, driver, guesser: Arc::new(guesser), own, other, _directory: directory };
        for account in [&site.own, &site.other] {
            site.runtime.block_on(site.set_up(account))?;
        }
        Ok(site)
    }

    /// Sets up an account with both secrets, at which unknown clients have no free try left.
    async fn set_up(&self, account: &AccountId) -> Result<(), Failure> {
        self.driver.ensure_account(account).await?;
        let phone = ImportedDevice::new("phone", TotpSecret::from_slice(SEED)?);
        let _ = self.guesser.two_factor.import_device(account, &phone).await?;
        let (secret, salts) = (ChallengeSecret::from_client(&"1d".repeat(32))?, Salts::random(&SystemEntropy)?);
        match self.guesser.challenges.set(account, &secret, &salts, Client::unknown()).await? {
            SetOutcome::Set(_) => {}
            SetOutcome::Exists => return Err("a new account has a challenge".into()),
        }
        for (_, secret) in SECRETS {
            self.exhaust(account, secret).await?;
        }
        Ok(())
    }

    /// Guesses until a guess is refused.
    async fn exhaust(&self, account: &AccountId, secret: Secret) -> Result<(), Failure> {
        for _ in 0..MOST_TRIES {
            if self.guesser.guess(account, secret).await? {
                return Ok(());
            }
        }
        Err(format!("guesses at {secret:?} are never refused").into())
    }

    /// Makes one commit of a client that no guesses concern.
    async fn write(&self, number: u64) -> Result<(), Failure> {
        let step = |draft: &mut Draft<'_>| draft.put(NOTE, &Note(number));
        Ok(self.driver.transact(&Partition::account(&self.own), &[NOTE.name()], step).await?)
    }

    /// Runs tasks that are refused on an account, half of them at each secret, until `stop` is set.
    fn flood(&self, flood: Flood<'_>, stop: &Arc<AtomicBool>, refusals: &Arc<AtomicU64>) -> Vec<Task> {
        let Flood { account, guessers } = flood;
        let secrets = SECRETS.iter().cycle().take(guessers);
        let task = |&(_, secret): &(&str, Secret)| {
            let (guesser, account) = (Arc::clone(&self.guesser), account.clone());
            let (stop, refusals) = (Arc::clone(stop), Arc::clone(refusals));
            self.runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    guesser.refused(&account, secret).await?;
                    refusals.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        };
        secrets.map(task).collect()
    }

    /// Runs one turn of the writer, with a flood beside it.
    fn turn(&self, flood: Option<Flood<'_>>, counts: &mut Counts) -> Result<(), Failure> {
        let (stop, refusals) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = flood.map(|flood| self.flood(flood, &stop, &refusals)).unwrap_or_default();
        let started = Instant::now();
        let written: Result<u64, Failure> = self.runtime.block_on(async {
            let mut commits = 0_u64;
            while started.elapsed() < SLICE {
                self.write(commits).await?;
                commits = commits.saturating_add(1);
            }
            Ok(commits)
        });
        counts.time = counts.time.saturating_add(started.elapsed());
        counts.refusals = counts.refusals.saturating_add(refusals.load(Ordering::Relaxed));
        stop.store(true, Ordering::Relaxed);
        for task in tasks {
            self.runtime.block_on(task)??;
        }
        counts.commits = counts.commits.saturating_add(written?);
        Ok(())
    }

    /// Returns refusals per second while nothing else happens, and the bytes that each has written.
    fn alone(&self, secret: Secret) -> Result<(f64, Option<f64>), Failure> {
        let before = process::bytes_written().ok();
        let started = Instant::now();
        self.runtime.block_on(async {
            for _ in 0..REFUSALS_ALONE {
                self.guesser.refused(&self.own, secret).await?;
            }
            Ok::<_, Failure>(())
        })?;
        let took = started.elapsed().as_secs_f64();
        let bytes = before.zip(process::bytes_written().ok()).map(|(before, after)| after.saturating_sub(before));
        Ok((REFUSALS_ALONE as f64 / took, bytes.map(|bytes| bytes as f64 / REFUSALS_ALONE as f64)))
    }
}

type Task = JoinHandle<Result<(), Failure>>;

/// The account of a flood, and its number of tasks.
#[derive(Clone, Copy)]
struct Flood<'a> {
    account: &'a AccountId,
    guessers: usize,
}

/// The counts over all turns of one mode.
#[derive(Default)]
struct Counts {
    commits: u64,
    refusals: u64,
    time: Duration,
}

impl Counts {
    /// Returns commits and refusals per second.
    fn rates(&self) -> (f64, f64) {
        let seconds = self.time.as_secs_f64();
        (self.commits as f64 / seconds, self.refusals as f64 / seconds)
    }
}

#[expect(clippy::print_stdout, reason = "the ratios are the result")]
fn report(site: &Site) -> Result<(), Failure> {
    // Whatever the store still does after its last commit is done when the next one has been
    // answered.
    site.runtime.block_on(site.write(0))?;
    for (name, secret) in SECRETS {
        let (rate, bytes) = site.alone(secret)?;
        let bytes = bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{bytes:.3}"));
        println!("refusals at `{name}`, one at a time: {rate:.0} a second; bytes written by each: {bytes}, target 0");
    }
    for guessers in GUESSERS {
        let flood = |account| Some(Flood { account, guessers });
        let modes = [None, flood(&site.own), flood(&site.other)];
        let mut counts = modes.map(|_| Counts::default());
        for turn in 0..TURNS {
            let both = modes.iter().zip(&mut counts);
            // In either order, so that no mode always follows the same other one.
            let both: Vec<_> = if turn % 2 == 0 { both.collect() } else { both.rev().collect() };
            both.into_iter().try_for_each(|(&mode, counts)| site.turn(mode, counts))?;
        }
        let [(alone, _), (own, at_own), (other, at_other)] = counts.map(|counts| counts.rates());
        println!(
            "writer alone {alone:.0} commits/s; {guessers} tasks refused at its own account ({at_own:.0} refusals/s): \
             {own:.0}, {:.2} × alone; at another account ({at_other:.0}): {other:.0}, {:.2} × alone; own / another \
             {:.2}, target about 1",
            own / alone,
            other / alone,
            own / other,
        );
    }
    Ok(())
}

fn measure(criterion: &mut Criterion, site: &Site) -> Result<(), Failure> {
    let mut group = criterion.benchmark_group("refusal");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    for (name, secret) in SECRETS {
        let mut failure = None;
        group.bench_function(name, |bencher| {
            bencher.iter(|| match site.runtime.block_on(site.guesser.refused(&site.own, secret)) {
                Ok(()) => {}
                Err(error) => failure = Some(error),
            });
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
    }
    group.finish();
    Ok(())
}

#[expect(clippy::panic, reason = "a bench that cannot run says so")]
fn refusals(criterion: &mut Criterion) {
    let run = |criterion: &mut Criterion| {
        let site = Site::new()?;
        measure(criterion, &site)?;
        // `cargo test --benches` runs each bench once, without measuring.
        if std::env::args().any(|argument| argument == "--bench") { report(&site) } else { Ok(()) }
    };
    if let Err(error) = run(criterion) {
        panic!("{error}");
    }
}

criterion_group!(benches, refusals);
criterion_main!(benches);
