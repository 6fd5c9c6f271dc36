//! The conformance suite for a backend on PostgreSQL: two pools on one database, a real kill of the
//! process and of the server, real transactions of a host's, lost roots, and replies that are cut
//! off on their way.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keywright_store::{BoxError, BoxFuture, CommitError, HostTransaction, Partition};
use keywright_store_conformance::crash::{self, Crashed};
use keywright_store_conformance::{
    CrashHook, FaultHooks, Fixture, Handles, Hook, HostEnd, HostHook, LostRootHook, Part, Suite,
};

use super::proxy::{Fate, Proxy};
use super::{Cluster, Pooler};

/// The address of the database in the child's environment, behind whether there is a pooler.
const PLACE: &str = "KEYWRIGHT_DATABASE_UNDER_TEST";

/// What the suite has to know of a backend.
pub trait Backend: 'static {
    /// The store.
    type Store: fmt::Debug + Send + Sync + 'static;

    /// Statements that make a new database ready to be opened.
    const SCHEMA: &'static str;
    /// What is in the statement that commits, as [`Proxy::before_commits`] takes it.
    const COMMIT: &'static str;
    /// The table of the roots, with its schema.
    const ROOTS: &'static str;
    /// An expression over a row of the roots, for the key of its partition as a text.
    const KEY: &'static str;
    /// The name of a test that calls [`crash_child`].
    const CHILD: &'static str;

    /// Opens the store on the database at `url`, which may be behind a pooler in transaction mode.
    fn open(url: &str, pooled: bool) -> impl Future<Output = Arc<Self::Store>> + Send;

    /// Returns two stores on one database as handles.
    fn handles(first: Arc<Self::Store>, second: Arc<Self::Store>) -> Handles;

    /// Runs work in a host's transaction on the database of a store, as
    /// [`HostHook::within`] says.
    ///
    /// # Errors
    /// An error if the transaction cannot be opened or ended.
    fn within(
        store: &Self::Store,
        url: &str,
        end: HostEnd,
        work: &mut dyn FnMut(&mut dyn HostTransaction),
    ) -> Result<(), BoxError>;
}

/// Runs one part of the suite, on a cluster of its own, so that the parts can run beside each other.
pub fn passes<B: Backend>(part: Part, pooled: bool) {
    let server = Arc::new(Server::new(pooled));
    let others: Vec<Part> = Part::ALL.into_iter().filter(|other| *other != part).collect();
    let suite = Suite::new(async || Database::<B>::new(&server).await);
    suite.run_parts(&[part]).unwrap().assert_passes_but(&others);
}

/// What the test does that the suite starts as a process of its own, and kills.
pub fn crash_child<B: Backend>() {
    // Does nothing unless the suite has started this process.
    let Ok(place) = std::env::var(PLACE) else { return };
    let (pooled, url) = place.split_once(' ').unwrap();
    let pooled = pooled.parse().unwrap();
    crash::child(async || B::handles(B::open(url, pooled).await, B::open(url, pooled).await)).unwrap();
}

/// A cluster, and the number of databases that were made in it.
struct Server {
    // Ends before its cluster.
    pooler: Option<Pooler>,
    cluster: Cluster,
    made: AtomicU32,
}

impl Server {
    fn new(pooled: bool) -> Self {
        let cluster = Cluster::builder().setting("max_connections = 300").start();
        let pooler = pooled.then(|| Pooler::before(&cluster, 20));
        Self { pooler, cluster, made: AtomicU32::new(0) }
    }
}

/// A database of its own, opened twice: the first time through a proxy that can lose replies.
struct Database<B: Backend> {
    server: Arc<Server>,
    name: String,
    url: String,
    first: Arc<B::Store>,
    second: Arc<B::Store>,
    proxy: Proxy,
}

impl<B: Backend> Database<B> {
    async fn new(server: &Arc<Server>) -> Self {
        let name = format!("store_{}", server.made.fetch_add(1, Ordering::Relaxed));
        server.cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
        server.cluster.sql(&name, B::SCHEMA);
        let pooled = server.pooler.is_some();
        let url = server.pooler.as_ref().map_or_else(|| server.cluster.url(&name), |pooler| pooler.url(&name));
        let proxy = Proxy::before_commits(&url, B::COMMIT).await;
        let (first, second) = (B::open(&proxy.url(), pooled).await, B::open(&url, pooled).await);
        Self { server: Arc::clone(server), name, url, first, second, proxy }
    }
}

impl<B: Backend> Fixture for Database<B> {
    fn handles(&self) -> Handles {
        B::handles(Arc::clone(&self.first), Arc::clone(&self.second))
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

impl<B: Backend> FaultHooks for Database<B> {
    fn lose_next_reply(&self, landed: bool) -> Hook {
        self.proxy.arm(if landed { Fate::LostAfter } else { Fate::LostBefore });
        Hook::Armed
    }

    /// The connection ends in the middle of the commit: a deferred trigger ends it there.
    fn fail_next_commit(&self) -> Hook {
        self.server.cluster.sql(
            &self.name,
            &format!(
                "CREATE SEQUENCE public.commits;
                 CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     IF nextval('public.commits') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;
                     RETURN NULL;
                 END $$;
                 GRANT ALL ON SEQUENCE public.commits TO PUBLIC;
                 CREATE CONSTRAINT TRIGGER fail AFTER INSERT OR UPDATE ON {}
                     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.fail()",
                B::ROOTS
            ),
        );
        Hook::Armed
    }

    /// If the commit is a transaction of several statements, it holds the row. Whoever writes a
    /// fence then waits until the server ends the idle transaction.
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

impl<B: Backend> HostHook for Database<B> {
    fn within(&self, end: HostEnd, work: &mut dyn FnMut(&mut dyn HostTransaction)) -> Result<(), BoxError> {
        // Past the pooler: a transaction of a host's needs none of what the store sets for one.
        B::within(&self.second, &self.server.cluster.url(&self.name), end, work)
    }
}

impl<B: Backend> LostRootHook for Database<B> {
    fn lose_root<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let lose = format!("DELETE FROM {} WHERE {} = '{}' RETURNING 1", B::ROOTS, B::KEY, partition.key());
            let lost = self.server.cluster.try_sql(&self.name, &lose)?;
            if lost == "1" { Ok(()) } else { Err("there is no such root".into()) }
        })
    }
}

impl<B: Backend> CrashHook for Database<B> {
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>> {
        Box::pin(async move {
            let pooled = self.server.pooler.is_some();
            let mut command = crash::this_test(B::CHILD)?;
            command.env(PLACE, format!("{pooled} {}", self.url));
            let acknowledged = crash::kill_process(command, acknowledged).await?;
            // The server too: nothing that only it had in memory was acknowledged.
            self.server.cluster.kill();
            self.server.cluster.start();
            let handles = B::handles(B::open(&self.url, pooled).await, B::open(&self.url, pooled).await);
            Ok(Crashed { acknowledged, handles })
        })
    }
}
