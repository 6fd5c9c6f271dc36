//! What a check of an unchanged root is made of, beside a bare `SELECT`, in each way to run it:
//! from outside of the runtime, in a task of a runtime with threads, and on a single thread.
//!
//! `cargo run --release -p keywright-benches --bin check_cost`. It needs PostgreSQL's programs.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use keywright_core::AccountId;
use keywright_postgres::PostgresStore;
use keywright_postgres::sqlx::{self, Connection, PgConnection};
use keywright_store::{Batch, Partition, RecordStore, Revision, Write};
use keywright_testing::postgres::Cluster;
use tokio::runtime::Builder;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const EACH: u32 = 400;
const TURNS: usize = 21;

const SELECT: &str = "SELECT revision FROM keywright.roots WHERE partition = $1";
const CHECK: &str = "SELECT pg_catalog.pg_is_in_recovery() AS standby,
    (SELECT r.revision FROM keywright.roots AS r WHERE r.partition OPERATOR(pg_catalog.=) $1) AS root";
const FLAT: &str = "SELECT pg_catalog.pg_is_in_recovery() AS standby, r.revision AS root
    FROM keywright.roots AS r WHERE r.partition OPERATOR(pg_catalog.=) $1";

async fn bare(peer: &mut PgConnection, sql: &'static str, key: &[u8]) -> Result<f64, Failure> {
    let started = Instant::now();
    for _ in 0..EACH {
        sqlx::query(sql).bind(key).fetch_one(&mut *peer).await?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(EACH))
}

async fn timed(peer: &mut PgConnection, key: &[u8]) -> Result<f64, Failure> {
    let started = Instant::now();
    for _ in 0..EACH {
        tokio::time::timeout(Duration::from_secs(10), sqlx::query(SELECT).bind(key).fetch_one(&mut *peer)).await??;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(EACH))
}

async fn checks(store: &PostgresStore, partition: &Partition, root: Revision) -> Result<f64, Failure> {
    let started = Instant::now();
    for _ in 0..EACH {
        store.commit(Batch::check(partition.clone(), Some(root))).await?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(EACH))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

async fn measure(url: String) -> Result<[f64; 5], Failure> {
    let store = PostgresStore::builder(&url)?.connections(1).open().await?;
    let partition = Partition::account(&AccountId::new("alice")?);
    let before = store.load(&partition, &[]).await?.root.map(|root| root.revision);
    let root = Revision::draw()?;
    let write = Write::root(root, Bytes::from(vec![0x5a; 573]));
    store.commit(Batch::new(partition.clone(), before, write)?).await?;
    let mut peer = PgConnection::connect(&url).await?;
    let key = partition.key().as_bytes();
    let mut all: [Vec<f64>; 5] = std::array::from_fn(|_| Vec::new());
    for _ in 0..TURNS {
        let turn = [
            bare(&mut peer, SELECT, key).await?,
            timed(&mut peer, key).await?,
            bare(&mut peer, CHECK, key).await?,
            bare(&mut peer, FLAT, key).await?,
            checks(&store, &partition, root).await?,
        ];
        all.iter_mut().zip(turn).for_each(|(all, one)| all.push(one));
    }
    Ok(all.map(median))
}

#[expect(clippy::print_stdout, reason = "the result is printed")]
fn main() -> Result<(), Failure> {
    let cluster = Cluster::new();
    let url = cluster.url("postgres");
    println!("| where | SELECT | with a time limit | the check's statement | without a subquery | a check | ratio |");
    let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let single = Builder::new_current_thread().enable_all().build()?;
    for (place, run) in [
        ("from outside", threads.block_on(measure(url.clone()))?),
        ("in a task", threads.block_on(threads.spawn(measure(url.clone())))??),
        ("on one thread", single.block_on(measure(url.clone()))?),
    ] {
        let [select, timed, statement, flat, check] = run;
        println!(
            "| {place} | {select:.0} µs | {timed:.0} | {statement:.0} | {flat:.0} | {check:.0} | {:.2} |",
            check / select
        );
    }
    Ok(())
}
