//! Group commit: 64 tasks that commit to 64 accounts on one SQLite file, together and one by one.
//! Target: with groups, updates of existing records run ≥ 20 × as fast as with groups of one, in
//! the same run. Inserts of new accounts are measured too, without a target.
//!
//! The file is in the build directory, which is usually on a real disk. In a file system in memory,
//! a synchronisation costs nothing, there is nothing to share, and the ratio is meaningless. Group
//! commit saves the disk's synchronisation, so the slower the disk, the higher the ratio. On a fast
//! disk, the processor's share of a commit limits it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group};
use keywright_core::{AccountId, SEAL_OVERHEAD};
use keywright_sqlite::SqliteStore;
use keywright_store::guess::LEDGER;
use keywright_store::{Batch, Partition, Put, RecordStore, Revision, Write};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TASKS: usize = 64;

/// The sizes of a sealed root record with five entries, and of a sealed ledger with one entry.
const ROOT_BYTES: usize = 573;
const LEDGER_BYTES: usize = 140 + SEAL_OVERHEAD;

/// The number of commits in a row by each task before the other store's turn, and the number of
/// turns.
const IN_A_ROW: u32 = 200;
const ALONE_IN_A_ROW: u32 = 12;
const TURNS: usize = 9;

/// One store, its accounts, and the current revisions of their roots.
struct Site {
    runtime: Runtime,
    store: Arc<SqliteStore>,
    accounts: Vec<Account>,
    made: AtomicUsize,
    _directory: tempfile::TempDir,
}

#[derive(Clone)]
struct Account {
    partition: Partition,
    root: Revision,
}

/// Commits the least that every charged guess does: puts the root and the ledger. Returns the
/// root's new revision.
async fn commit(store: &SqliteStore, account: &Partition, root: Option<Revision>) -> Result<Revision, Failure> {
    let next = Revision::draw()?;
    let ledger = Put { slot: LEDGER.name(), body: Bytes::from(vec![0x5a; LEDGER_BYTES]), purge_after: None };
    let write = Write { put: vec![ledger], ..Write::root(next, Bytes::from(vec![0x5a; ROOT_BYTES])) };
    store.commit(Batch::new(account.clone(), root, write)?).await?;
    Ok(next)
}

impl Site {
    fn new(group: Option<usize>) -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let mut builder = SqliteStore::builder(directory.path().join("store.db"));
        if let Some(changes) = group {
            builder = builder.group(changes);
        }
        let store = Arc::new(builder.open()?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build()?;
        let mut site = Self { runtime, store, accounts: Vec::new(), made: AtomicUsize::new(0), _directory: directory };
        for _ in 0..TASKS {
            let partition = site.fresh()?;
            let root = site.runtime.block_on(commit(&site.store, &partition, None))?;
            site.accounts.push(Account { partition, root });
        }
        Ok(site)
    }

    fn fresh(&self) -> Result<Partition, Failure> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Partition::account(&AccountId::new(format!("account-{number:06}"))?))
    }

    /// Each task commits `each` times to an account of its own.
    fn updates(&mut self, each: u32) -> Result<Duration, Failure> {
        let accounts = self.accounts.clone();
        let started = Instant::now();
        self.accounts = self.runtime.block_on(async {
            let tasks: Vec<_> = accounts
                .into_iter()
                .map(|mut account| {
                    let store = Arc::clone(&self.store);
                    tokio::spawn(async move {
                        for _ in 0..each {
                            account.root = commit(&store, &account.partition, Some(account.root)).await?;
                        }
                        Ok::<_, Failure>(account)
                    })
                })
                .collect();
            let mut after = Vec::with_capacity(tasks.len());
            for task in tasks {
                after.push(task.await??);
            }
            Ok::<_, Failure>(after)
        })?;
        Ok(started.elapsed())
    }

    /// Each task creates `each` new accounts.
    fn inserts(&self, each: u32) -> Result<Duration, Failure> {
        let mut fresh = Vec::new();
        for _ in 0..TASKS {
            fresh.push((0..each).map(|_| self.fresh()).collect::<Result<Vec<_>, _>>()?);
        }
        let started = Instant::now();
        self.runtime.block_on(async {
            let tasks: Vec<_> = fresh
                .into_iter()
                .map(|accounts| {
                    let store = Arc::clone(&self.store);
                    tokio::spawn(async move {
                        for account in &accounts {
                            commit(&store, account, None).await?;
                        }
                        Ok::<_, Failure>(())
                    })
                })
                .collect();
            for task in tasks {
                task.await??;
            }
            Ok::<_, Failure>(())
        })?;
        Ok(started.elapsed())
    }
}

/// A failed commit must not look like a fast one.
fn measured(result: Result<Duration, Failure>) -> Duration {
    result.unwrap_or(Duration::MAX)
}

fn group_commit(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("group_commit");
    bench.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(TASKS as u64));
    bench.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    for (name, group) in [("together", None), ("one_by_one", Some(1))] {
        let Ok(mut site) = Site::new(group) else { continue };
        bench.bench_function(format!("update/{name}"), |bencher| {
            bencher.iter_custom(|rounds| measured(site.updates(u32::try_from(rounds).unwrap_or(u32::MAX))));
        });
        bench.bench_function(format!("insert/{name}"), |bencher| {
            bencher.iter_custom(|rounds| measured(site.inserts(u32::try_from(rounds).unwrap_or(u32::MAX))));
        });
    }
    bench.finish();
}

/// Returns commits per second.
fn rate(commits: u32, time: Duration) -> f64 {
    f64::from(commits) / time.as_secs_f64()
}

/// Returns the medians of the rates together and one by one, interleaved, so that a change in the
/// disk's load affects both.
fn interleaved(
    together: &mut Site,
    alone: &mut Site,
    time: impl Fn(&mut Site, u32) -> Result<Duration, Failure>,
) -> Result<[f64; 2], Failure> {
    let tasks = u32::try_from(TASKS)?;
    let (mut grouped, mut single) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        grouped.push(rate(tasks.saturating_mul(IN_A_ROW), time(together, IN_A_ROW)?));
        single.push(rate(tasks.saturating_mul(ALONE_IN_A_ROW), time(alone, ALONE_IN_A_ROW)?));
    }
    Ok([grouped, single].map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates.get(TURNS / 2).copied().unwrap_or(f64::NAN)
    }))
}

#[expect(clippy::print_stdout, reason = "the figure of this bench is a ratio, which criterion does not print")]
fn report() -> Result<(), Failure> {
    let (mut together, mut alone) = (Site::new(None)?, Site::new(Some(1))?);
    let updates = interleaved(&mut together, &mut alone, Site::updates)?;
    let inserts = interleaved(&mut together, &mut alone, |site, each| site.inserts(each))?;
    for (name, [grouped, single], target) in [("updates", updates, ", target ≥ 20"), ("inserts", inserts, "")] {
        println!(
            "{name}: {grouped:.0} commits/s together, {single:.0} one by one; ratio {:.1}{target}",
            grouped / single
        );
    }
    Ok(())
}

criterion_group!(benches, group_commit);

fn main() -> Result<(), Failure> {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        report()?;
    }
    Ok(())
}
