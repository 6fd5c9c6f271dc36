//! The pool of connections.

use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleResult, TimeoutType};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use crate::fault::{Fault, FaultKind};

/// A connection that was idle for longer than this is tested before it is used. Testing each time
/// would cost every commit a second round trip.
const TESTED_AFTER: Duration = Duration::from_secs(5);

/// Makes connections.
struct Connector(PgConnectOptions);

impl managed::Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        self.0.connect().await
    }

    async fn recycle(&self, connection: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.last_used() > TESTED_AFTER {
            connection.ping().await?;
        }
        Ok(())
    }
}

pub(crate) struct Pool(managed::Pool<Connector>);

impl Pool {
    /// # Errors
    /// Returns a fault if the pool cannot be made.
    pub(crate) fn new(options: PgConnectOptions, connections: usize, wait: Duration) -> Result<Self, Fault> {
        let pool = managed::Pool::builder(Connector(options))
            .max_size(connections)
            // The connections that were used last, so that the others stay idle.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(wait))
            .create_timeout(Some(wait))
            .recycle_timeout(Some(wait))
            .runtime(deadpool::Runtime::Tokio1)
            .build();
        pool.map(Self).map_err(|_| Fault::new(FaultKind::Other))
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// Returns the fault if there is none. Nothing was sent then.
    pub(crate) async fn lend(&self) -> Result<Lent, Fault> {
        match self.0.get().await {
            Ok(object) => Ok(Lent { object: Some(object) }),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(Fault::new(FaultKind::PoolFull)),
            Err(PoolError::Timeout(_)) => Err(Fault::new(FaultKind::TimedOut)),
            Err(PoolError::Backend(error)) => Err(Fault::unsent(error)),
            Err(PoolError::Closed) => Err(Fault::new(FaultKind::Unreachable)),
            Err(_) => Err(Fault::new(FaultKind::Other)),
        }
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }
}

/// A connection in use. Unless it is given back, it is closed: a statement that nobody waits for any
/// more may still be running on it. It is never cancelled.
pub(crate) struct Lent {
    object: Option<Object<Connector>>,
}

impl Lent {
    #[expect(clippy::expect_used, reason = "only `give_back` and `drop` take it, and both end this value")]
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        self.object.as_mut().expect("the connection is there until it is given back")
    }

    pub(crate) fn give_back(mut self) {
        drop(self.object.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}
