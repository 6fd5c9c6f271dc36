//! What commits leave behind in PostgreSQL: 64 clients commit to one account, each time its root
//! and a record, and then the sizes of tables and indexes are printed, and the share of updates that
//! stayed on their page ("HOT"), without which each adds an entry to the index.
//!
//! `cargo run --release -p keywright-benches --bin commit_bloat [COMMITS]`; the default is 100,000.
//! It needs PostgreSQL's programs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use keywright_core::{AccountId, Keyring, SystemEntropy};
use keywright_postgres::PostgresStore;
use keywright_store::{Draft, Driver, Partition, Record, Slot};
use keywright_testing::postgres::Cluster;
use serde::{Deserialize, Serialize};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CLIENTS: usize = 64;

#[derive(Serialize, Deserialize)]
struct Count(u64);

impl Record for Count {
    const SCHEMA: u16 = 1;
}

const COUNT: Slot<Count> = Slot::lasting("bench-count");

async fn run(url: &str, commits: u64) -> Result<f64, Failure> {
    let store = PostgresStore::builder(url)?.open().await?;
    let driver = Driver::builder(Arc::new(store), Arc::new(Keyring::generate(&SystemEntropy)?)).build()?;
    let account = AccountId::new("hot")?;
    driver.ensure_account(&account).await?;
    let (partition, left) = (Partition::account(&account), Arc::new(AtomicU64::new(commits)));
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (driver, partition, left) = (driver.clone(), partition.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            let take = |left: u64| left.checked_sub(1);
            while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                let step = |draft: &mut Draft<'_>| {
                    let Count(count) = draft.read(COUNT)?.unwrap_or(Count(0));
                    draft.put(COUNT, &Count(count.saturating_add(1)))
                };
                driver.transact(&partition, &[COUNT.name()], step).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let took = started.elapsed().as_secs_f64();
    let read = |draft: &mut Draft<'_>| Ok(draft.read(COUNT)?.map(|Count(count)| count));
    let found = driver.observe(&partition, &[COUNT.name()], read).await?;
    if found != Some(commits) { Err(format!("{found:?} steps are there").into()) } else { Ok(took) }
}

#[expect(clippy::print_stdout, reason = "the result is printed")]
fn main() -> Result<(), Failure> {
    let commits: u64 = std::env::args().nth(1).map_or(Ok(100_000), |count| count.parse())?;
    let cluster = Cluster::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let took = runtime.block_on(run(&cluster.url("postgres"), commits))?;
    // The statistics of a session are complete once it has ended.
    drop(runtime);
    println!(
        "{commits} commits by {CLIENTS} clients in {took:.0} s: {:.0}/s",
        f64::from(u32::try_from(commits)?) / took
    );
    for table in ["roots", "records"] {
        let counts = cluster.sql(
            "postgres",
            &format!(
                "SELECT format('%s updates, %s %% on their page; table %s pages, primary key %s, TOAST %s', n_tup_upd,
                     round(100.0 * n_tup_hot_upd / n_tup_upd, 2), pg_relation_size(c.oid) / 8192,
                     pg_relation_size('keywright.{table}_pkey') / 8192, pg_relation_size(reltoastrelid) / 8192)
                 FROM pg_stat_all_tables JOIN pg_class AS c ON c.oid = relid WHERE c.oid = 'keywright.{table}'::regclass"
            ),
        );
        println!("{table}: {counts}");
    }
    Ok(())
}
