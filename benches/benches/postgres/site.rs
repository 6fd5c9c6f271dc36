//! One cluster, a store on it, and a connection of the peer's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use keywright_benches::delay;
use keywright_core::{AccountId, SEAL_OVERHEAD};
use keywright_postgres::PostgresStore;
use keywright_postgres::sqlx::{self, Connection, PgConnection};
use keywright_store::guess::LEDGER;
use keywright_store::{
    Batch, CipherId, ClientNonce, Mark, Partition, Put, RecordStore, Revision, Row, RowMarks, VaultWrite, Write,
};
use keywright_testing::postgres::Cluster;
use keywright_testing::postgres::proxy::Proxy;
use tokio::runtime::Runtime;

use crate::Failure;

pub(crate) const CLIENTS: usize = 64;
pub(crate) const CIPHERS: u16 = 10_000;
const TEXT_BYTES: usize = 300;

/// The sizes of a sealed root record with five entries, and of a sealed ledger with one entry.
const ROOT_BYTES: usize = 573;
const LEDGER_BYTES: usize = 140 + SEAL_OVERHEAD;

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

/// A cipher of the vault, as it is after so many changes.
pub(crate) fn row(number: u16, turn: u8) -> Row {
    let mut id = [0; 16];
    id.first_chunk_mut::<2>().into_iter().for_each(|start| *start = number.to_be_bytes());
    let marks =
        RowMarks { id: CipherId(id), text: Mark([turn; 16]), note: Mark([1; 16]), nonce: ClientNonce([turn; 16]) };
    Row { marks, text: vec![turn; TEXT_BYTES].into(), note: Bytes::from_static(b"kind and times") }
}

/// How many round trips one of each takes, once its statement is prepared.
pub(crate) struct RoundTrips {
    pub(crate) load: usize,
    pub(crate) check: usize,
    pub(crate) commit: usize,
    pub(crate) swap: usize,
}

pub(crate) struct Site {
    pub(crate) runtime: Runtime,
    store: Arc<PostgresStore>,
    accounts: Vec<Account>,
    pub(crate) peer: PgConnection,
    pub(crate) turn: u8,
    // The last to go.
    cluster: Cluster,
}

impl Site {
    pub(crate) fn new() -> Result<Self, Failure> {
        // Room for the pools of the processes that contend for one account.
        let cluster = Cluster::builder().setting("max_connections = 250").start();
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
        let mut site = Self { runtime, store, accounts, peer, turn: 1, cluster };
        site.vault(|rows| VaultWrite::Edit { put: rows, delete: Vec::new() })?;
        let copy = "INSERT INTO peer SELECT * FROM keywright.ciphers";
        site.runtime.block_on(sqlx::raw_sql(copy).execute(&mut site.peer))?;
        Ok(site)
    }

    pub(crate) fn url(&self) -> String {
        self.cluster.url("postgres")
    }

    /// Reaches the same database from farther away: both the store and the peer.
    pub(crate) fn move_away(&mut self, delay: Duration) -> Result<(), Failure> {
        let address = delay::before(self.cluster.port(), delay)?;
        let url = format!("postgres://postgres@{address}/postgres?sslmode=disable");
        (self.store, self.peer) = self.runtime.block_on(async {
            let store = PostgresStore::builder(&url)?.connections(CLIENTS).open().await?;
            Ok::<_, Failure>((Arc::new(store), PgConnection::connect(&url).await?))
        })?;
        Ok(())
    }

    /// `clients` tasks commit `each` times to an account of their own.
    pub(crate) fn commits(&mut self, clients: usize, each: u32) -> Result<Duration, Failure> {
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

    /// In a task of the runtime, as a server's requests are.
    pub(crate) fn checks(&self, each: u32) -> Result<Duration, Failure> {
        let account = self.accounts.first().cloned().ok_or("an account")?;
        let store = Arc::clone(&self.store);
        self.runtime.block_on(self.runtime.spawn(async move {
            let started = Instant::now();
            for _ in 0..each {
                store.commit(Batch::check(account.partition.clone(), Some(account.root))).await?;
            }
            Ok(started.elapsed())
        }))?
    }

    /// What a check is in SQL, on a connection of its own.
    pub(crate) fn selects(&self, each: u32) -> Result<Duration, Failure> {
        let account = self.accounts.first().cloned().ok_or("an account")?;
        let url = self.url();
        self.runtime.block_on(self.runtime.spawn(async move {
            let mut peer = PgConnection::connect(&url).await?;
            let key = account.partition.key().as_bytes();
            let mut started = Instant::now();
            for round in 0..=each {
                let select = sqlx::query("SELECT revision FROM keywright.roots WHERE partition = $1");
                select.bind(key).fetch_one(&mut peer).await?;
                if round == 0 {
                    // The first of them has prepared the statement.
                    started = Instant::now();
                }
            }
            Ok(started.elapsed())
        }))?
    }

    fn vault_batch(&mut self, write: impl FnOnce(Vec<Row>) -> VaultWrite) -> Result<(Batch, Revision), Failure> {
        self.turn = self.turn.wrapping_add(1);
        let rows = (0..CIPHERS).map(|number| row(number, self.turn)).collect();
        let account = self.accounts.first().ok_or("an account")?;
        let next = Revision::draw()?;
        let root = Write { vault: Some(write(rows)), ..Write::root(next, Bytes::from(vec![0x5a; ROOT_BYTES])) };
        Ok((Batch::new(account.partition.clone(), Some(account.root), root)?, next))
    }

    fn vault(&mut self, write: impl FnOnce(Vec<Row>) -> VaultWrite) -> Result<Duration, Failure> {
        let (batch, next) = self.vault_batch(write)?;
        let started = Instant::now();
        self.runtime.block_on(self.store.commit(batch))?;
        let took = started.elapsed();
        self.accounts.first_mut().ok_or("an account")?.root = next;
        Ok(took)
    }

    pub(crate) fn swap(&mut self) -> Result<Duration, Failure> {
        self.vault(|rows| VaultWrite::Swap { rows })
    }

    /// The key of the account whose vault is swapped.
    pub(crate) fn key(&self) -> Result<Vec<u8>, Failure> {
        Ok(self.accounts.first().ok_or("an account")?.partition.key().as_bytes().to_vec())
    }

    /// Counts round trips, through a proxy that counts how often the server is ready again.
    pub(crate) fn round_trips(&mut self) -> Result<RoundTrips, Failure> {
        let url = self.url();
        let mut account = self.accounts.first().cloned().ok_or("an account")?;
        let (proxy, store) = self.runtime.block_on(async {
            let proxy = Proxy::before(&url).await;
            let store = PostgresStore::builder(&proxy.url())?.connections(1).open().await?;
            // The first of each prepares its statement.
            store.load(&account.partition, &[LEDGER.name()]).await?;
            let expect = Some(account.root);
            store.commit(Batch::check(account.partition.clone(), expect)).await?;
            commit(&store, &mut account, expect).await?;
            Ok::<_, Failure>((proxy, store))
        })?;
        self.accounts.first_mut().ok_or("an account")?.root = account.root;
        let (swap, next) = self.vault_batch(|rows| VaultWrite::Swap { rows })?;
        let counts = self.runtime.block_on(async {
            let start = proxy.round_trips();
            store.commit(swap).await?;
            let swapped = proxy.round_trips();
            store.load(&account.partition, &[LEDGER.name()]).await?;
            let loaded = proxy.round_trips();
            store.commit(Batch::check(account.partition.clone(), Some(next))).await?;
            let checked = proxy.round_trips();
            commit(&store, &mut account, Some(next)).await?;
            let counted = proxy.round_trips();
            let between = |before: usize, after: usize| after.saturating_sub(before);
            Ok::<_, Failure>(RoundTrips {
                swap: between(start, swapped),
                load: between(swapped, loaded),
                check: between(loaded, checked),
                commit: between(checked, counted),
            })
        })?;
        self.accounts.first_mut().ok_or("an account")?.root = account.root;
        Ok(counts)
    }
}
