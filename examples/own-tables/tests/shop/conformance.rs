//! The conformance suite, in every part that a store without a vault has: two pools on one database, replies that are
//! lost, real kills of the process and of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keywright::store::{
    Batch, BoxError, BoxFuture, CommitError, HostTransaction, LoadError, Partition, SlotName, Snapshot,
};
use keywright_store_conformance::crash::{self, Crashed};
use keywright_store_conformance::{
    CrashHook, FaultHooks, Fixture, Handles, Hook, HostEnd, HostHook, LostRootHook, Part, Suite,
};
use keywright_testing::postgres::Cluster;
use keywright_testing::postgres::proxy::{Fate, Proxy};
use own_tables::{SCHEMA, ShopStore, ShopTransaction};
use tokio::runtime::Handle;
use tokio_postgres::NoTls;

const PLACE: &str = "SHOP_UNDER_TEST";

async fn open(url: &str) -> Arc<ShopStore> {
    Arc::new(ShopStore::open(url.parse().unwrap(), 12).await.unwrap())
}

/// A cluster, and the number of databases that were made in it.
struct Server {
    cluster: Cluster,
    made: AtomicU32,
}

impl Server {
    fn new() -> Arc<Self> {
        let cluster = Cluster::builder().setting("max_connections = 100").start();
        Arc::new(Self { cluster, made: AtomicU32::new(0) })
    }

    async fn database(self: &Arc<Self>) -> Database {
        let name = format!("shop_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.cluster.sql(&name, SCHEMA);
        let url = self.cluster.url(&name);
        let proxy = Proxy::before_commits(&url, "COMMIT\0").await;
        let (first, second) = (open(&proxy.url()).await, open(&url).await);
        Database { server: Arc::clone(self), name, url, first, second, proxy }
    }
}

/// A database of its own, opened twice: the first time through a proxy that can lose replies.
struct Database {
    server: Arc<Server>,
    name: String,
    url: String,
    first: Arc<ShopStore>,
    second: Arc<ShopStore>,
    proxy: Proxy,
}

impl Fixture for Database {
    fn handles(&self) -> Handles {
        Handles::without_vault(Arc::clone(&self.first), Arc::clone(&self.second))
    }

    fn faults(&self) -> Option<&dyn FaultHooks> {
        Some(self)
    }

    fn host(&self) -> Option<&dyn HostHook> {
        Some(self)
    }

    fn lost_roots(&self) -> Option<&dyn LostRootHook> {
        Some(self)
    }

    fn crash(&self) -> Option<&dyn CrashHook> {
        Some(self)
    }
}

impl FaultHooks for Database {
    fn lose_next_reply(&self, landed: bool) -> Hook {
        self.proxy.arm(if landed { Fate::LostAfter } else { Fate::LostBefore });
        Hook::Armed
    }

    /// The connection ends in the middle of `COMMIT`: a deferred trigger ends it there.
    fn fail_next_commit(&self) -> Hook {
        self.server.cluster.sql(
            &self.name,
            "CREATE SEQUENCE shop.commits;
             CREATE FUNCTION shop.fail() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('shop.commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                 RETURN NULL;
             END $$;
             CREATE CONSTRAINT TRIGGER fail AFTER INSERT OR UPDATE ON shop.account_security_roots
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION shop.fail()",
        );
        Hook::Armed
    }

    /// Its transaction holds the row, so whoever writes a fence waits until the server ends the idle transaction.
    fn hold_next_commit(&self) -> Hook {
        self.proxy.arm(Fate::Held);
        Hook::Armed
    }

    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>> {
        Box::pin(async {
            let landed = self.proxy.deliver().await?;
            Some(if landed { Ok(()) } else { Err(CommitError::Conflict) })
        })
    }
}

/// A transaction of the shop's, whose calls block as those of the trait do.
struct Blocking<'a, 't, 'c>(&'a mut ShopTransaction<'t, 'c>);

impl HostTransaction for Blocking<'_, '_, '_> {
    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> Result<Snapshot, LoadError> {
        Handle::current().block_on(self.0.load(partition, slots))
    }

    fn apply(&mut self, batch: Batch) -> Result<(), CommitError> {
        Handle::current().block_on(self.0.apply(&batch))
    }
}

impl HostHook for Database {
    fn within(&self, end: HostEnd, work: &mut dyn FnMut(&mut dyn HostTransaction)) -> Result<(), BoxError> {
        // The suite calls this where blocking is allowed.
        let runtime = Handle::current();
        let manager = deadpool_postgres::Manager::new(self.url.parse()?, NoTls);
        let pool = deadpool_postgres::Pool::builder(manager).max_size(1).build()?;
        let mut host = runtime.block_on(pool.get())?;
        let mut transaction = runtime.block_on(host.transaction())?;
        work(&mut Blocking(&mut ShopTransaction(&mut transaction)));
        match end {
            HostEnd::Commit => runtime.block_on(transaction.commit())?,
            HostEnd::RollBack => runtime.block_on(transaction.rollback())?,
        }
        Ok(())
    }
}

impl LostRootHook for Database {
    fn lose_root<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let lose =
                format!("DELETE FROM shop.account_security_roots WHERE owner = '{}' RETURNING 1", partition.key());
            let lost = self.server.cluster.try_sql(&self.name, &lose)?;
            if lost == "1" { Ok(()) } else { Err("there is no such root".into()) }
        })
    }
}

impl CrashHook for Database {
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>> {
        Box::pin(async move {
            let mut command = crash::this_test("conformance::crash_child")?;
            command.env(PLACE, &self.url);
            let acknowledged = crash::kill_process(command, acknowledged).await?;
            // The server too: nothing that only it had in memory was acknowledged.
            self.server.cluster.kill();
            self.server.cluster.start();
            let handles = Handles::without_vault(open(&self.url).await, open(&self.url).await);
            Ok(Crashed { acknowledged, handles })
        })
    }
}

#[test]
fn crash_child() {
    // Does nothing unless the suite has started this process.
    let Ok(url) = std::env::var(PLACE) else { return };
    crash::child(async || Handles::without_vault(open(&url).await, open(&url).await)).unwrap();
}

/// Runs one part on a cluster of its own, so that the parts can run beside each other.
fn passes(part: Part) {
    let server = Server::new();
    let others: Vec<Part> = Part::ALL.into_iter().filter(|other| *other != part).collect();
    Suite::new(async || server.database().await).run_parts(&[part]).unwrap().assert_passes_but(&others);
}

macro_rules! parts {
    ($($name:ident: $part:ident),+) => {
        const RUN: &[Part] = &[$(Part::$part),+];
        $(#[test]
        fn $name() {
            passes(Part::$part);
        })+
    };
}

parts! {
    records: Records, upkeep: Upkeep, histories: Histories, lost_replies: LostReplies, failed_commits: FailedCommits,
    late_commits: LateCommits, lost_roots: LostRoots, host_transactions: HostTransactions, durability: Durability
}

#[test]
fn every_part_but_the_vault_is_run() {
    let left: Vec<Part> = Part::ALL.into_iter().filter(|part| !RUN.contains(part)).collect();
    assert_eq!(left, [Part::Vault]);
}
