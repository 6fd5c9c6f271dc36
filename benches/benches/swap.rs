//! Swapping a whole vault on an SQLite file: 10,000 ciphers of 400 bytes, including the durable
//! commit. Target: including sealing and the vault's digest, at least 1.15 × as fast as what an
//! application does by itself: a prepared `UPDATE` for each row, unsealed, in the order in which
//! the client sent them, in one transaction.
//!
//! The peer has a table of the same form as ours in a file of its own, a write-ahead log,
//! `synchronous=FULL`, and SQLite's other defaults. A second peer has the table `WITHOUT ROWID`,
//! which one might expect to be faster, but is not. Ours also overwrites what it replaces
//! (`secure_delete`), and guards the head, the root and the cover. SQLite copies the log back into
//! the file within the peer's `COMMIT`; ours does so after it has answered, and that is measured
//! too. The cost of sealing and the digest is shown separately: alone, and as the same swap with
//! texts as sent. The whole service is measured as well: reading the body, the manifest, the check,
//! the swap.
//!
//! Ratios are of medians of interleaved runs, and are printed first. The files are in the build
//! directory, which is usually on a real disk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use keywright_benches::rekey::{Vault, Written};
use keywright_core::{AccountId, Keyring, SystemClock, SystemEntropy, random_bytes};
use keywright_rekey::{
    AtRest, CipherList, Edit, EditOutcome, Hex, Limits, Put, Submission, Swap, SwapOutcome, VAULT_SLOTS, VaultManifest,
    VaultPolicy, Vaults, id_text,
};
use keywright_sqlite::{SqliteStore, rusqlite};
use keywright_store::{Draft, Driver, Partition};
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CIPHERS: usize = 10_000;
const TURNS: usize = 31;

/// Two submissions for one vault, to be swapped alternately, so that each is new after the other.
struct Bodies([Vec<u8>; 2]);

impl Bodies {
    fn new() -> Result<Self, Failure> {
        let Vault { body, .. } = Vault::new(CIPHERS, Written::Hex);
        let first = CipherList::new(&body, Limits::default(), &Hex).read_json()?;
        let mut entries = Vec::with_capacity(CIPHERS);
        for (id, ..) in first.iter() {
            let text = hex::encode(random_bytes::<200>(&SystemEntropy)?);
            entries.push(format!(r#"{{"id":"{}","data":"{text}"}}"#, id_text(id)));
        }
        let anew = format!("[{}]", entries.join(",")).into_bytes();
        Ok(Self([body, anew]))
    }

    fn at(&self, turn: usize) -> Result<Submission<'_>, Failure> {
        let body = self.0.get(turn % 2).ok_or("two bodies")?;
        Ok(CipherList::new(body, Limits::default(), &Hex).read_json()?)
    }
}

/// A store with one account and its vault.
struct Site {
    runtime: Runtime,
    vaults: Vaults,
    account: AccountId,
    _directory: tempfile::TempDir,
}

impl Site {
    fn new(bodies: &Bodies, at_rest: AtRest) -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let store = Arc::new(SqliteStore::open(directory.path().join("store.db"))?);
        let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
        let driver = Driver::new(store.clone(), keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
        let vaults = Vaults::new(driver, store, VaultPolicy::builder().at_rest(at_rest).build()?);
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let site = Self { runtime, vaults, account: AccountId::new("user-1")?, _directory: directory };
        site.runtime.block_on(site.fill(&bodies.at(1)?))?;
        Ok(site)
    }

    async fn fill(&self, first: &Submission<'_>) -> Result<(), Failure> {
        self.vaults.driver().ensure_account(&self.account).await?;
        let _ = self.vaults.create(&self.account).await?;
        let head = self.vaults.head(&self.account).await?.ok_or("no vault")?;
        let put = first.iter().map(|(id, nonce, text)| Put::new(id, nonce, text, b"kind and times")).collect();
        match self.vaults.edit(&self.account, &Edit::new(put, Vec::new()), head.key_epoch).await? {
            EditOutcome::Done { .. } => Ok(()),
            other => Err(format!("{other:?}").into()),
        }
    }

    /// Waits until the writer has finished what it does after it has answered, so that this does
    /// not hold up the next work.
    async fn settle(&self) -> Result<(), Failure> {
        let step = |draft: &mut Draft<'_>| draft.mark_seeded();
        self.vaults.driver().transact(&Partition::account(&self.account), &[], step).await?;
        Ok(())
    }

    /// Runs from the plan to the durable commit or, if `settled`, until the writer is idle again.
    fn swap(&self, bodies: &Bodies, turn: usize, settled: bool) -> Result<Duration, Failure> {
        self.runtime.block_on(async {
            let submission = bodies.at(turn)?;
            let manifest = self.vaults.manifest(&self.account).await?;
            let plan = submission.against(&manifest)?;
            let started = Instant::now();
            let sealed = plan.seal(&self.account, self.vaults.steps().policy().at_rest(), &SystemEntropy)?;
            let step = |draft: &mut Draft<'_>| self.vaults.steps().swap_in(draft, &sealed);
            let partition = Partition::account(&self.account);
            let outcome = self.vaults.driver().transact(&partition, &VAULT_SLOTS, step).await?;
            let took = started.elapsed();
            self.settle().await?;
            match outcome {
                SwapOutcome::Done { .. } => Ok(if settled { started.elapsed() } else { took }),
                other => Err(format!("{other:?}").into()),
            }
        })
    }

    /// Runs from the body to the durable commit.
    fn service(&self, bodies: &Bodies, turn: usize) -> Result<Duration, Failure> {
        self.runtime.block_on(async {
            let started = Instant::now();
            let submission = bodies.at(turn)?;
            let outcome = self.vaults.swap(&self.account, &submission, None, &[], |_| Ok(())).await?;
            let took = started.elapsed();
            self.settle().await?;
            match outcome {
                Swap::Done { .. } => Ok(took),
                other => Err(format!("{other:?}").into()),
            }
        })
    }
}

/// Only seals and computes the digest.
fn seal(bodies: &Bodies, manifest: &VaultManifest) -> Result<Duration, Failure> {
    let submission = bodies.at(0)?;
    let plan = submission.against(manifest)?;
    let account = AccountId::new("user-1")?;
    let started = Instant::now();
    let sealed = plan.seal(&account, AtRest::Sealed, &SystemEntropy)?;
    let took = started.elapsed();
    if sealed.len() == CIPHERS { Ok(took) } else { Err("not all of them".into()) }
}

/// What an application does by itself.
struct Peer {
    connection: Connection,
    _directory: tempfile::TempDir,
}

impl Peer {
    /// `form` is empty or `WITHOUT ROWID`.
    fn new(first: &Submission<'_>, form: &str) -> Result<Self, Failure> {
        let directory = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let mut connection = Connection::open(directory.path().join("peer.db"))?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(&format!(
            "CREATE TABLE ciphers (partition TEXT NOT NULL, id BLOB NOT NULL, nonce BLOB NOT NULL, note BLOB NOT NULL,
             text BLOB NOT NULL, PRIMARY KEY (partition, id)) {form}",
        ))?;
        let transaction = connection.transaction()?;
        for (id, nonce, text) in first.iter() {
            let insert = "INSERT INTO ciphers VALUES ('a/user-1', ?1, ?2, ?3, ?4)";
            let row = params![id.0, nonce.0, b"kind and times", text.as_bytes()];
            transaction.prepare_cached(insert)?.execute(row)?;
        }
        transaction.commit()?;
        Ok(Self { connection, _directory: directory })
    }

    fn swap(&mut self, bodies: &Bodies, turn: usize) -> Result<Duration, Failure> {
        let submission = bodies.at(turn)?;
        let rows: Vec<_> = submission.iter().collect();
        let started = Instant::now();
        let transaction = self.connection.transaction()?;
        let update = "UPDATE ciphers SET nonce = ?3, text = ?4 WHERE partition = ?1 AND id = ?2";
        {
            let mut update = transaction.prepare(update)?;
            for (id, nonce, text) in &rows {
                if update.execute(params!["a/user-1", id.0, nonce.0, text.as_bytes()])? != 1 {
                    return Err("a row is missing".into());
                }
            }
        }
        transaction.commit()?;
        Ok(started.elapsed())
    }
}

/// A run that failed must not look like a fast one.
#[expect(clippy::panic, reason = "a bench that measures failures must stop")]
fn sure<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

#[expect(clippy::print_stdout, reason = "the ratio is the result")]
fn interleaved(works: &mut [(&str, &mut dyn FnMut(usize) -> Duration)]) {
    let mut times = vec![Vec::new(); works.len()];
    for turn in 0..TURNS {
        for (times, (_, work)) in times.iter_mut().zip(works.iter_mut()) {
            times.push(work(turn));
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times.get(TURNS / 2).copied().unwrap_or_default().as_secs_f64()
    };
    let medians: Vec<f64> = times.into_iter().map(median).collect();
    let peer = medians.last().copied().unwrap_or(f64::NAN);
    for ((name, _), median) in works.iter().zip(&medians) {
        let rate = CIPHERS as f64 / median;
        println!("{name}: {:.1} ms, {rate:.0} rows/s, {:.2} × the peer", median * 1e3, peer / median);
    }
}

fn swaps(criterion: &mut Criterion) {
    let bodies = sure(Bodies::new());
    let set_up = || -> Result<_, Failure> {
        let first = bodies.at(1)?;
        let site = |at_rest| Site::new(&bodies, at_rest);
        let sites = (site(AtRest::Sealed)?, site(AtRest::AsSent)?, site(AtRest::Sealed)?, site(AtRest::Sealed)?);
        let manifest = sites.0.runtime.block_on(sites.0.vaults.manifest(&sites.0.account))?;
        Ok((sites, manifest, Peer::new(&first, "WITHOUT ROWID")?, Peer::new(&first, "")?))
    };
    let ((sealed, as_sent, whole, settled), manifest, mut clustered, mut peer) = sure(set_up());
    interleaved(&mut [
        ("swap, sealed, target ≥ 1.15", &mut |turn| sure(sealed.swap(&bodies, turn, false))),
        ("swap, sealed, until the writer is idle", &mut |turn| sure(settled.swap(&bodies, turn, true))),
        ("swap, as sent", &mut |turn| sure(as_sent.swap(&bodies, turn, false))),
        ("sealing and digest alone", &mut |_| sure(seal(&bodies, &manifest))),
        ("service, from the body on", &mut |turn| sure(whole.service(&bodies, turn))),
        ("second peer: as the peer, `WITHOUT ROWID`", &mut |turn| sure(clustered.swap(&bodies, turn))),
        ("peer: unsealed, the client's order", &mut |turn| sure(peer.swap(&bodies, turn))),
    ]);
    let mut group = criterion.benchmark_group("swap_10k_400");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(CIPHERS as u64));
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    let mut works: [(&str, &mut dyn FnMut(usize) -> Duration); 3] = [
        ("sealed", &mut |turn| sure(sealed.swap(&bodies, turn, false))),
        ("as_sent", &mut |turn| sure(as_sent.swap(&bodies, turn, false))),
        ("peer", &mut |turn| sure(peer.swap(&bodies, turn))),
    ];
    for (name, work) in &mut works {
        // Each site has run the turns from 0 to `TURNS`, and its own turns continue from there.
        let mut turn = TURNS - 1;
        group.bench_function(*name, |bencher| {
            bencher.iter_custom(|times| {
                (0..times)
                    .map(|_| {
                        turn = turn.wrapping_add(1);
                        work(turn)
                    })
                    .sum()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, swaps);
criterion_main!(benches);
