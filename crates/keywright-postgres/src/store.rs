//! The store: a pool of connections, and the settings with which it is opened.

use std::pin::pin;
use std::str::FromStr;
use std::time::Duration;

use keywright_store::{BoxFuture, first_of};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::call::Protocol;
use crate::fault::{Fault, FaultKind, OpenError};
use crate::link::Link;
use crate::pool::{Lent, Pool, Pooled};
use crate::schema;

/// How much longer than the server's own limit a commit is waited for, so that a statement that the
/// server has ended is known not to be written.
const MARGIN: Duration = Duration::from_secs(2);

/// The longest that the statement of a commit may live, on the server and here
/// (`docs/security.md` § 7).
const MOST_COMMIT: Duration = Duration::from_secs(60);

/// Records, events and vaults in a PostgreSQL database, in the schema `keywright`.
///
/// It needs Tokio. Cloning is not needed: share it in an `Arc`.
pub struct PostgresStore {
    pool: Pool,
    id: i64,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    protocol: Protocol,
    connections: usize,
    wait: Duration,
    load_limit: Duration,
    commit_limit: Duration,
}

impl PostgresStore {
    /// Opens the store in the database at `url` (`postgres://user@host/database`), and migrates it
    /// to the newest version if it has an older one. This is [`builder`](Self::builder) with the
    /// default settings.
    ///
    /// # Errors
    /// Returns [`OpenError`] if the store cannot be opened.
    pub async fn open(url: &str) -> Result<Self, OpenError> {
        Self::builder(url)?.open().await
    }

    /// Returns a builder for the database at `url`. What the address leaves open is taken from the
    /// environment (`PGHOST`, `PGSSLMODE` and so on), as `psql` does.
    ///
    /// # Errors
    /// Returns [`OpenError::Address`] if the address cannot be read.
    pub fn builder(url: &str) -> Result<Builder, OpenError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            let error = "the address does not begin with postgres://".into();
            return Err(OpenError::Address(sqlx::Error::Configuration(error)));
        }
        PgConnectOptions::from_str(url).map(Builder::new).map_err(OpenError::Address)
    }

    /// Closes the connections that are not in use, and the others once they are not. Nothing more is
    /// loaded or committed.
    pub fn close(&self) {
        self.pool.close();
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.settings.protocol
    }

    /// The database's own number, by which a host's transaction on another one is noticed.
    pub(crate) const fn id(&self) -> i64 {
        self.id
    }

    pub(crate) const fn load_limit(&self) -> Duration {
        self.settings.load_limit
    }

    pub(crate) const fn commit_limit(&self) -> Duration {
        self.settings.commit_limit.saturating_add(MARGIN)
    }

    /// Does some work on a connection of the pool, within a limit.
    ///
    /// When the limit passes, the connection is closed, and the statement is never cancelled: a
    /// commit that waits for a standby would be reported as done.
    pub(crate) async fn on<T>(
        &self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Link<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.on_lent(self.pool.lend().await?, limit, work).await
    }

    /// Does some work as [`on`](Self::on) does, and stops waiting when `until` completes. If no
    /// connection was to be had by then, nothing was sent, and nothing will be.
    pub(crate) async fn on_until<T>(
        &self,
        limit: Duration,
        mut until: BoxFuture<'_, ()>,
        work: impl AsyncFnOnce(&mut Link<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let lent = first_of(Box::pin(self.pool.lend()), &mut until).await;
        let lent = lent.unwrap_or_else(|| Err(Fault::new(FaultKind::PoolFull)))?;
        let done = first_of(pin!(self.on_lent(lent, limit, work)), until).await;
        done.unwrap_or_else(|| Err(Fault::lost(FaultKind::TimedOut)))
    }

    async fn on_lent<T>(
        &self,
        mut lent: Lent,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Link<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let Pooled { connection, alarm, .. } = lent.pooled();
        let mut link = Link { connection, protocol: self.settings.protocol };
        let done = alarm.limit(limit, work(&mut link)).await;
        let done = done.unwrap_or_else(|| Err(Fault::lost(FaultKind::TimedOut)));
        // A connection is kept only if it is known to be sound, and to lead to the primary.
        if done.as_ref().err().is_none_or(Fault::spares_connection) {
            lent.give_back();
        }
        done
    }
}

keywright_core::redacted_debug!(PostgresStore { settings, .. });

/// The settings with which a store is opened.
#[derive(Debug, Clone)]
#[must_use = "a builder opens nothing until `open`"]
pub struct Builder {
    options: PgConnectOptions,
    settings: Settings,
    migrate: bool,
    serve: Vec<String>,
    distribute: bool,
}

impl Builder {
    /// Returns a builder for a database whose address is given as options of sqlx, for example with
    /// a client certificate.
    pub const fn new(options: PgConnectOptions) -> Self {
        let settings = Settings {
            protocol: Protocol::Prepared,
            connections: 16,
            wait: Duration::from_secs(5),
            load_limit: Duration::from_secs(10),
            commit_limit: Duration::from_secs(30),
        };
        Self { options, settings, migrate: true, serve: Vec::new(), distribute: false }
    }

    /// Sets how many connections the pool may open: 1 to 1,000. The default is 16.
    pub fn connections(mut self, most: usize) -> Self {
        self.settings.connections = most.clamp(1, 1_000);
        self
    }

    /// Sets how long to wait for a connection, new or in use: at most a minute. The default is 5 s.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.settings.wait = limit.min(MOST_COMMIT);
        self
    }

    /// Sets how long to wait for the answer to a question: at most a minute. The default is 10 s.
    pub fn load_limit(mut self, limit: Duration) -> Self {
        self.settings.load_limit = limit.min(MOST_COMMIT);
        self
    }

    /// Sets how long the statement of a commit may take: at most a minute. The default is 30 s.
    /// Without a pooler, the server ends it then (`statement_timeout`), and nothing is written. Two
    /// seconds later the store gives it up, for example because the server waits for a standby; then
    /// it is [`Unknown`](keywright_store::CommitError::Unknown).
    pub fn commit_limit(mut self, limit: Duration) -> Self {
        self.settings.commit_limit = limit.min(MOST_COMMIT);
        self
    }

    /// Declares that there is a pooler in transaction mode before the server, such as PgBouncer:
    /// nothing is prepared, and no setting of a session is relied on. A commit then costs about
    /// twice as much of a processor. Give the role a `statement_timeout` of at most a minute
    /// (`ALTER ROLE … SET`), because the store cannot set it there.
    pub fn behind_pooler(mut self) -> Self {
        self.settings.protocol = Protocol::Simple;
        self
    }

    /// Sets whether [`open`](Self::open) migrates the database. The default is `true`. A role that
    /// only serves requests may not; a database that is current is opened in either case.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Names a role that serves requests. [`open`](Self::open) gives it the right to read the
    /// tables and to call the functions, and no other.
    pub fn serve(mut self, role: impl Into<String>) -> Self {
        self.serve.push(role.into());
        self
    }

    /// Lets [`open`](Self::open) distribute the tables by their partition over the nodes of a Citus
    /// cluster, and the functions with them, so that each account is on one node and each commit is
    /// run there. It needs a role that may do so.
    pub fn distribute(mut self) -> Self {
        self.distribute = true;
        self
    }

    /// Opens the store: checks the server, migrates the database if that is allowed, and starts the
    /// pool.
    ///
    /// # Errors
    /// Returns [`OpenError`] if the store cannot be opened. The database is unchanged then.
    pub async fn open(self) -> Result<PostgresStore, OpenError> {
        let Self { options, settings, .. } = self;
        let options = sessions(options, &settings);
        // By itself, because a pool would try to connect again and again, and not report why it cannot.
        let connecting = tokio::time::timeout(settings.wait, options.connect());
        let mut connection = connecting.await.map_err(|_| Fault::new(FaultKind::TimedOut))?.map_err(Fault::unsent)?;
        schema::check_server(&mut connection, settings.protocol).await?;
        if self.migrate {
            schema::migrate(&mut connection).await?;
        }
        schema::check_version(&mut connection).await?;
        schema::grant(&mut connection, &self.serve).await?;
        if self.distribute {
            schema::distribute(&mut connection).await?;
        }
        let id = schema::id(&mut connection).await?;
        // A failure to say good-bye changes nothing.
        let _ = connection.close().await;
        let pool = Pool::new(options, settings.connections, settings.wait)?;
        Ok(PostgresStore { pool, id, settings })
    }
}

/// Adds what all our sessions have in common.
fn sessions(options: PgConnectOptions, settings: &Settings) -> PgConnectOptions {
    // Statements have values in them where there is a pooler, and are fixed otherwise.
    let options = options.disable_statement_logging();
    let options = match options.get_application_name() {
        None => options.application_name("keywright"),
        Some(_) => options,
    };
    match settings.protocol {
        Protocol::Prepared => options.options([("statement_timeout", settings.commit_limit.as_millis().to_string())]),
        // A pooler knows few settings of a session, and refuses the others.
        Protocol::Simple => options.extra_float_digits(None).statement_cache_capacity(0),
    }
}
