//! The log goes to standard error by a thread of its own. If nobody reads it, lines are dropped and
//! counted, and the server goes on.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// Lines that wait to be read. Further ones are dropped.
const LINES: usize = 8_192;
/// How often it is reported that lines were dropped.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Writes to standard error until the guard is dropped, which waits for at most a second.
pub(crate) fn stderr() -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES).finish(std::io::stderr())
}

/// Reports dropped lines. Never ends.
pub(crate) async fn report_dropped(counter: ErrorCounter) {
    let mut ticks = interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reported = 0;
    loop {
        ticks.tick().await;
        let dropped = counter.dropped_lines();
        if dropped > reported {
            tracing::warn!(
                lines = dropped.saturating_sub(reported),
                "log lines were dropped: standard error is not read"
            );
            // This line may be dropped too, and is counted then.
            reported = dropped;
        }
    }
}
