//! PostgreSQL, on a cluster of its own on this machine, with its default settings and a real flush. Reached over loopback,
//! so a round trip costs nearly nothing; over a network, whatever takes several loses more.
//!
//! - A commit: one client, and 64 clients with an account each. Target: at least 4 × the rate of one.
//! - A check of an unchanged root, and what it is in SQL: a prepared `SELECT` of the revision. Target: at most 1.3 × its time.
//! - A swap of a vault of 10,000 ciphers of 300 bytes, as one commit; as a prepared `UPDATE` for each row in one
//!   transaction; and as an application that loads its rows, changes them and saves each one. Target: at least 3 × as fast
//!   as the first of these, and 5 × as fast as the second.
//!
//! The peers have a table of the same form in the same database. Ratios are of medians of interleaved runs, and are printed
//! at the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group};
use keywright_core::{AccountId, SEAL_OVERHEAD};
use keywright_postgres::PostgresStore;
use keywright_postgres::sqlx::{self, Connection, PgConnection, Row as _};
use keywright_store::guess::LEDGER;
use keywright_store::{
    Batch, CipherId, ClientNonce, Mark, Partition, Put, RecordStore, Revision, Row, RowMarks, VaultWrite, Write,
};
use keywright_testing::postgres::Cluster;
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CLIENTS: usize = 64;
const CIPHERS: u16 = 10_000;
const TEXT_BYTES: usize = 300;

/// The sizes of a sealed root record with five entries, and of a sealed ledger with one entry.
const ROOT_BYTES: usize = 573;
const LEDGER_BYTES: usize = 140 + SEAL_OVERHEAD;

const TURNS: usize = 7;

#[derive(Clone)]
struct Account {
    partition: Partition,
    root: Revision,
}

/// The least that every charged guess does: the root and the ledger.
async fn commit(store: &PostgresStore, account: &mut Account, expect: Option<Revision>) -> Result<(), Failure> {
    let next = Revision::draw()?;
    let ledger = Put { slot: LEDGER.name(), body: Bytes::from(vec![0x5a; LEDGER_BYTES]), purge_after: None };
    let write = Write { put: vec![ledger], ..Write::root(next, Bytes::from(vec![0x5a; ROOT_BYTES])) };
    store.commit(Batch::new(account.partition.clone(), expect, write)?).await?;
    account.root = next;
    Ok(())
}

fn row(number: u16, turn: u8) -> Row {
    let mut id = [0; 16];
    id.first_chunk_mut::<2>().into_iter().for_each(|start| *start = number.to_be_bytes());
    let marks =
        RowMarks { id: CipherId(id), text: Mark([turn; 16]), note: Mark([1; 16]), nonce: ClientNonce([turn; 16]) };
    Row { marks, text: vec![turn; TEXT_BYTES].into(), note: Bytes::from_static(b"kind and times") }
}

/// One store, its accounts, and a connection of the peer's.
struct Site {
    runtime: Runtime,
    store: Arc<PostgresStore>,
    accounts: Vec<Account>,
    peer: PgConnection,
    turn: u8,
    // The last to go.
    _cluster: Cluster,
}

impl Site {
    fn new() -> Result<Self, Failure> {
        let cluster = Cluster::builder().setting("max_connections = 100").start();
        let url = cluster.url("postgres");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (store, peer, accounts) = runtime.block_on(async {
            let store = Arc::new(PostgresStore::builder(&url)?.connections(CLIENTS).open().await?);
            let mut accounts = Vec::with_capacity(CLIENTS);
            for number in 0..CLIENTS {
                let partition = Partition::account(&AccountId::new(format!("account-{number}"))?);
                let mut account = Account { partition, root: Revision::ZERO };
                commit(&store, &mut account, None).await?;
                accounts.push(account);
            }
            let mut peer = PgConnection::connect(&url).await?;
            sqlx::raw_sql("CREATE TABLE peer (LIKE keywright.ciphers INCLUDING ALL)").execute(&mut peer).await?;
            Ok::<_, Failure>((store, peer, accounts))
        })?;
        let mut site = Self { runtime, store, accounts, peer, turn: 1, _cluster: cluster };
        site.vault(|rows| VaultWrite::Edit { put: rows, delete: Vec::new() })?;
        let copy = "INSERT INTO peer SELECT * FROM keywright.ciphers";
        site.runtime.block_on(sqlx::raw_sql(copy).execute(&mut site.peer))?;
        Ok(site)
    }

    /// `clients` tasks commit `each` times to an account of their own.
    fn commits(&mut self, clients: usize, each: u32) -> Result<Duration, Failure> {
        let started = Instant::now();
        let tasks: Vec<_> = self
            .accounts
            .iter()
            .take(clients)
            .cloned()
            .map(|mut account| {
                let store = Arc::clone(&self.store);
                self.runtime.spawn(async move {
                    for _ in 0..each {
                        let expect = Some(account.root);
                        commit(&store, &mut account, expect).await?;
                    }
                    Ok::<_, Failure>(account)
                })
            })
            .collect();
        for (place, task) in tasks.into_iter().enumerate() {
            let after = self.runtime.block_on(task)??;
            self.accounts.get_mut(place).into_iter().for_each(|account| *account = after.clone());
        }
        Ok(started.elapsed())
    }

    fn checks(&self, each: u32) -> Result<Duration, Failure> {
        let account = self.accounts.first().ok_or("an account")?;
        self.runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..each {
                self.store.commit(Batch::check(account.partition.clone(), Some(account.root))).await?;
            }
            Ok(started.elapsed())
        })
    }

    fn selects(&mut self, each: u32) -> Result<Duration, Failure> {
        let account = self.accounts.first().ok_or("an account")?;
        let peer = &mut self.peer;
        self.runtime.block_on(async {
            let started = Instant::now();
            for _ in 0..each {
                let select = sqlx::query("SELECT revision FROM keywright.roots WHERE partition = $1");
                select.bind(account.partition.key().as_bytes()).fetch_one(&mut *peer).await?;
            }
            Ok(started.elapsed())
        })
    }

    fn vault(&mut self, write: impl FnOnce(Vec<Row>) -> VaultWrite) -> Result<Duration, Failure> {
        self.turn = self.turn.wrapping_add(1);
        let rows = (0..CIPHERS).map(|number| row(number, self.turn)).collect();
        let account = self.accounts.first_mut().ok_or("an account")?;
        let next = Revision::draw()?;
        let root = Write { vault: Some(write(rows)), ..Write::root(next, Bytes::from(vec![0x5a; ROOT_BYTES])) };
        let batch = Batch::new(account.partition.clone(), Some(account.root), root)?;
        let started = Instant::now();
        self.runtime.block_on(self.store.commit(batch))?;
        account.root = next;
        Ok(started.elapsed())
    }

    fn swap(&mut self) -> Result<Duration, Failure> {
        self.vault(|rows| VaultWrite::Swap { rows })
    }

    /// What an application does by itself: an `UPDATE` for each row, in one transaction. If it loads and saves, it reads
    /// each row first, and writes back all of its columns.
    fn row_by_row(&mut self, loads: bool) -> Result<Duration, Failure> {
        self.turn = self.turn.wrapping_add(1);
        let (turn, key) = (self.turn, self.accounts.first().ok_or("an account")?.partition.key().as_bytes().to_vec());
        let peer = &mut self.peer;
        self.runtime.block_on(async {
            let started = Instant::now();
            let mut transaction = peer.begin().await?;
            for number in 0..CIPHERS {
                let Row { marks, text, .. } = row(number, turn);
                let (mut note_mark, mut note) = (marks.note.0.to_vec(), Vec::<u8>::new());
                if loads {
                    let select = sqlx::query("SELECT * FROM peer WHERE partition = $1 AND id = $2");
                    let found = select.bind(&key).bind(marks.id.0).fetch_one(&mut *transaction).await?;
                    (note_mark, note) = (found.try_get("note_mark")?, found.try_get("note")?);
                }
                let update = if loads {
                    let all = "UPDATE peer SET text_mark = $3, nonce = $4, text = $5, note_mark = $6, note = $7
                        WHERE partition = $1 AND id = $2";
                    sqlx::query(all)
                } else {
                    sqlx::query(
                        "UPDATE peer SET text_mark = $3, nonce = $4, text = $5 WHERE partition = $1 AND id = $2",
                    )
                };
                let mut update =
                    update.bind(&key).bind(marks.id.0).bind(marks.text.0).bind(marks.nonce.0).bind(&text[..]);
                if loads {
                    update = update.bind(note_mark).bind(note);
                }
                update.execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            Ok(started.elapsed())
        })
    }
}

/// A failed run must not look like a fast one.
fn measured(result: Result<Duration, Failure>) -> Duration {
    result.unwrap_or(Duration::MAX)
}

fn postgres(criterion: &mut Criterion) {
    let Ok(mut site) = Site::new() else { return };
    let mut bench = criterion.benchmark_group("postgres");
    bench.sample_size(10).sampling_mode(SamplingMode::Flat);
    bench.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    let times = |rounds: u64| u32::try_from(rounds).unwrap_or(u32::MAX);
    for clients in [1, CLIENTS] {
        bench.throughput(Throughput::Elements(u64::try_from(clients).unwrap_or(u64::MAX)));
        bench.bench_function(format!("commit/{clients}"), |bencher| {
            bencher.iter_custom(|rounds| measured(site.commits(clients, times(rounds))));
        });
    }
    bench.throughput(Throughput::Elements(1));
    bench.bench_function("check", |bencher| bencher.iter_custom(|rounds| measured(site.checks(times(rounds)))));
    bench.bench_function("swap", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds).map(|_| measured(site.swap())).fold(Duration::ZERO, Duration::saturating_add)
        });
    });
    bench.finish();
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::print_stdout, reason = "the figures of this bench are ratios, which criterion does not print")]
fn report() -> Result<(), Failure> {
    const EACH: u32 = 200;
    let mut site = Site::new()?;
    let mut times: [Vec<f64>; 7] = [const { Vec::new() }; 7];
    for _ in 0..TURNS {
        let taken = [
            site.commits(1, EACH)?,
            site.commits(CLIENTS, EACH / 4)?,
            site.checks(EACH)?,
            site.selects(EACH)?,
            site.swap()?,
            site.row_by_row(false)?,
            site.row_by_row(true)?,
        ];
        times.iter_mut().zip(taken).for_each(|(times, taken)| times.push(taken.as_secs_f64()));
    }
    let [one, many, check, select, swap, rows, saved] = times.map(median);
    let each = f64::from(EACH);
    let (one, many) = (each / one, f64::from(u32::try_from(CLIENTS)?) * (each / 4.0) / many);
    println!("commits: {one:.0}/s by one client, {many:.0}/s by {CLIENTS}; ratio {:.1}, target ≥ 4", many / one);
    let (check, select) = (check * 1e6 / each, select * 1e6 / each);
    println!("check: {check:.0} µs, bare SELECT: {select:.0} µs; ratio {:.2}, target ≤ 1.3", check / select);
    let (swap, rows, saved) = (swap * 1e3, rows * 1e3, saved * 1e3);
    println!("swap of {CIPHERS}: {swap:.0} ms; row by row: {rows:.0} ms, ratio {:.1}, target ≥ 3", rows / swap);
    println!("load and save: {saved:.0} ms, ratio {:.1}, target ≥ 5", saved / swap);
    Ok(())
}

criterion_group!(benches, postgres);

fn main() -> Result<(), Failure> {
    benches();
    Criterion::default().configure_from_args().final_summary();
    // `cargo test --benches` runs each bench once, without measuring.
    if std::env::args().any(|argument| argument == "--bench") {
        report()?;
    }
    Ok(())
}
