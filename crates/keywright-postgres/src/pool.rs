//! The pool of connections.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::runtime::{Handle, Id};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep};

use crate::fault::{Fault, FaultKind};

/// A connection that was idle for longer than this is tested before it is used. Testing each time
/// would cost every commit a second round trip.
const TESTED_AFTER: Duration = Duration::from_secs(5);

/// Makes connections.
struct Connector(PgConnectOptions);

impl managed::Manager for Connector {
    type Type = Pooled;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Pooled, sqlx::Error> {
        let connection = self.0.connect().await?;
        Ok(Pooled { connection, alarm: Alarm(Box::pin(sleep(Duration::ZERO))), runtime: runtime() })
    }

    async fn recycle(&self, pooled: &mut Pooled, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        // Its socket and its alarm belong to that runtime, and stand still once that one does.
        if pooled.runtime != runtime() {
            return Err(RecycleError::message("the connection was made on another runtime"));
        }
        if metrics.last_used() > TESTED_AFTER {
            pooled.connection.ping().await?;
        }
        Ok(())
    }
}

/// A connection, and what limits the time of its statements.
pub(crate) struct Pooled {
    pub(crate) connection: PgConnection,
    pub(crate) alarm: Alarm,
    /// The runtime on which it was made.
    runtime: Option<Id>,
}

fn runtime() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

/// A timer that outlives the statements of its connection. A timer for each statement would be set
/// and cleared each time, and setting one that is the next to ring wakes another thread of the
/// runtime. This one rings early, at the end of an earlier statement's limit, and is set again only
/// then.
pub(crate) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    /// Returns the value of `work`, unless the limit passes first.
    pub(crate) async fn limit<T>(&mut self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let end = Instant::now().checked_add(limit);
        let mut work = pin!(work);
        poll_fn(|context| {
            if let Poll::Ready(value) = work.as_mut().poll(context) {
                return Poll::Ready(Some(value));
            }
            // No time that far away ever comes.
            let Some(end) = end else { return Poll::Pending };
            if self.0.deadline() > end {
                self.0.as_mut().reset(end);
            }
            // Whatever of the task's budget the statement has used up: many rows must not hide that the time is over.
            while pin!(unconstrained(self.0.as_mut())).poll(context).is_ready() {
                if Instant::now() >= end {
                    return Poll::Ready(None);
                }
                self.0.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await
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
    pub(crate) fn pooled(&mut self) -> &mut Pooled {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm() -> Alarm {
        Alarm(Box::pin(sleep(Duration::ZERO)))
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_of_an_earlier_statement_ends_no_later_one() {
        let mut alarm = alarm();
        let seconds = Duration::from_secs;
        assert_eq!(alarm.limit(seconds(10), sleep(seconds(9))).await, Some(()));
        // It rings after one second of these nine, and is set again.
        assert_eq!(alarm.limit(seconds(10), sleep(seconds(9))).await, Some(()));
        assert_eq!(alarm.limit(seconds(10), std::future::ready(7)).await, Some(7));
        let begun = Instant::now();
        assert_eq!(alarm.limit(seconds(10), std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_for_a_shorter_limit_and_at_once_for_none() {
        let mut alarm = alarm();
        let seconds = Duration::from_secs;
        assert_eq!(alarm.limit(seconds(30), sleep(seconds(1))).await, Some(()));
        let begun = Instant::now();
        assert_eq!(alarm.limit(seconds(2), std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed().as_secs(), 2);
        assert_eq!(alarm.limit(Duration::ZERO, std::future::pending::<()>()).await, None);
        assert_eq!(alarm.limit(Duration::MAX, sleep(seconds(99))).await, Some(()));
        assert_eq!(begun.elapsed().as_secs(), 101);
    }
}
