//! The conformance suite: two pools on one database, a real kill of the process and of the server, real transactions of a
//! host's, lost roots, and replies that are cut off on their way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keywright_postgres::sqlx::{Connection, PgConnection};
use keywright_postgres::{PostgresStore, PostgresTransaction};
use keywright_store::{
    Batch, BoxError, BoxFuture, CommitError, HostTransaction, LoadError, Partition, SlotName, Snapshot,
};
use keywright_store_conformance::crash::{self, Crashed};
use keywright_store_conformance::{
    CrashHook, FaultHooks, Fixture, Handles, Hook, HostEnd, HostHook, LostRootHook, Part, Suite,
};
use keywright_testing::postgres::{Cluster, Pooler};
use tokio::runtime::Handle;

use crate::proxy::{Fate, Proxy};

const PLACE: &str = "KEYWRIGHT_POSTGRES_UNDER_TEST";

/// The address of the database in the child's environment, and whether it is behind a pooler.
async fn open(url: &str, pooled: bool) -> PostgresStore {
    let builder = PostgresStore::builder(url).unwrap().connections(12);
    let builder = if pooled { builder.behind_pooler() } else { builder };
    builder.open().await.unwrap()
}

/// A cluster, and the number of databases that were made in it.
struct Server {
    cluster: Cluster,
    pooler: Option<Pooler>,
    made: AtomicU32,
}

impl Server {
    fn new(pooled: bool) -> Arc<Self> {
        let cluster = Cluster::builder().setting("max_connections = 300").start();
        let pooler = pooled.then(|| Pooler::before(&cluster, 20));
        Arc::new(Self { cluster, pooler, made: AtomicU32::new(0) })
    }

    async fn database(self: &Arc<Self>) -> Database {
        let name = format!("store_{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        let url = self.pooler.as_ref().map_or_else(|| self.cluster.url(&name), |pooler| pooler.url(&name));
        let pooled = self.pooler.is_some();
        let proxy = Proxy::before(&url).await;
        let first = Arc::new(open(&proxy.url(), pooled).await);
        let second = Arc::new(open(&url, pooled).await);
        Database { server: Arc::clone(self), name, url, pooled, first, second, proxy }
    }
}

/// A database of its own, opened twice: the first time through a proxy that can lose replies.
struct Database {
    server: Arc<Server>,
    name: String,
    url: String,
    pooled: bool,
    first: Arc<PostgresStore>,
    second: Arc<PostgresStore>,
    proxy: Proxy,
}

impl Fixture for Database {
    fn handles(&self) -> Handles {
        Handles::new(Arc::clone(&self.first), Arc::clone(&self.second))
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

    /// The backend ends in the middle of its own commit: a deferred trigger ends it there.
    fn fail_next_commit(&self) -> Hook {
        self.server.cluster.sql(
            &self.name,
            "CREATE SEQUENCE public.commits;
             CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 IF nextval('public.commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                 RETURN NULL;
             END $$;
             GRANT ALL ON SEQUENCE public.commits TO PUBLIC;
             CREATE CONSTRAINT TRIGGER fail AFTER INSERT OR UPDATE ON keywright.roots
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.fail()",
        );
        Hook::Armed
    }

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

/// A host's transaction, whose calls block as those of the trait do.
struct Blocking<'a, 't>(&'a mut PostgresTransaction<'t>);

impl HostTransaction for Blocking<'_, '_> {
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
        let mut host = runtime.block_on(PgConnection::connect(&self.server.cluster.url(&self.name)))?;
        let mut transaction = runtime.block_on(host.begin())?;
        work(&mut Blocking(&mut PostgresTransaction::new(&self.second, &mut transaction)));
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
            let lose = format!(
                "DELETE FROM keywright.roots WHERE partition = convert_to('{}', 'UTF8') RETURNING 1",
                partition.key()
            );
            let lost = self.server.cluster.try_sql(&self.name, &lose)?;
            if lost == "1" { Ok(()) } else { Err("there is no such root".into()) }
        })
    }
}

impl CrashHook for Database {
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>> {
        Box::pin(async move {
            let mut command = crash::this_test("conformance::crash_child")?;
            command.env(PLACE, format!("{} {}", self.pooled, self.url));
            let acknowledged = crash::kill_process(command, acknowledged).await?;
            // The server too: nothing that only it had in memory was acknowledged.
            self.server.cluster.kill();
            self.server.cluster.start();
            let handle = async || Arc::new(open(&self.url, self.pooled).await);
            Ok(Crashed { acknowledged, handles: Handles::new(handle().await, handle().await) })
        })
    }
}

#[test]
fn crash_child() {
    // Does nothing unless the suite has started this process.
    let Ok(place) = std::env::var(PLACE) else { return };
    let (pooled, url) = place.split_once(' ').unwrap();
    let pooled = pooled.parse().unwrap();
    crash::child(async || Handles::new(Arc::new(open(url, pooled).await), Arc::new(open(url, pooled).await))).unwrap();
}

/// Runs one part on a cluster of its own, so that the parts can run beside each other.
fn passes(part: Part, pooled: bool) {
    let server = Server::new(pooled);
    let others: Vec<Part> = Part::ALL.into_iter().filter(|other| *other != part).collect();
    Suite::new(async || server.database().await).run_parts(&[part]).unwrap().assert_passes_but(&others);
}

macro_rules! parts {
    ($($name:ident: $part:ident),+) => {$(
        mod $name {
            use super::{Part, passes};

            #[test]
            fn on_a_server() {
                passes(Part::$part, false);
            }

            #[test]
            fn behind_a_pooler() {
                passes(Part::$part, true);
            }
        }
    )+};
}

parts! {
    records: Records, upkeep: Upkeep, histories: Histories, vault: Vault, lost_replies: LostReplies,
    failed_commits: FailedCommits, late_commits: LateCommits, lost_roots: LostRoots,
    host_transactions: HostTransactions, durability: Durability
}
