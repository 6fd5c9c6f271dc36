//! Random concurrent histories, and a checker of strict serialisability.
//!
//! Several clients work on a few partitions through both handles at once. They load, page, read the
//! vault, check, and commit batches, on the root that they saw last or on an older one. The batches
//! contain permanent and expiring puts, deletions, erases, events, the forgetting of old events,
//! edits and swaps of the vault, and promotions of what the clients staged. Some clients drop a
//! commit halfway, or never receive its reply, and from time to time a client sweeps. Each request
//! and each reply is recorded with its time, and then checked per partition.
//!
//! Every applied batch moves the root to a revision of its own. So the applied batches form a
//! **chain**, which is known without a search: each batch names the root that it replaces. A
//! history is strictly serialisable exactly if
//! - no root was replaced by two batches, and every root that was seen can have been put: a batch
//!   that was answered with a conflict or rejected has had no effect, while one with an unknown
//!   reply may have had;
//! - every read shows exactly the state of the root that it shows, except for records that were due
//!   for a sweep, which may be missing and then do not reappear;
//! - the chain, with each load and each successful check at the root that it saw, agrees with the
//!   times of requests and replies: no operation that was answered before another was requested
//!   comes after it in the chain.
//!
//! A history that fails is reduced for as long as it fails in the same way, and then printed.

pub(crate) mod anomaly;
mod check;
mod client;
mod model;
pub(crate) mod plan;
mod print;
mod record;
mod shrink;
mod statistics;

use std::time::Duration;

pub use anomaly::{Anomaly, AnomalyKind};
pub use plan::Plan;
pub use statistics::Statistics;

use crate::backend::Handles;
use crate::random::SplitMix;
use crate::violation::{PATIENCE, Violation};

/// Runs histories on a store, each on partitions of its own.
///
/// # Errors
/// [`Violation::History`] with the first history that no serial order explains.
pub async fn run(handles: &Handles, plan: Plan) -> Result<Statistics, Violation> {
    let mut total = Statistics::default();
    let mut seeds = SplitMix::new(plan.seed);
    for number in 0..plan.histories {
        let seed = seeds.next();
        // Starts with small histories, over and over, because a small failure is the easiest to
        // read.
        let operations = usize::try_from(number).unwrap_or(0).checked_rem(plan.operations).unwrap_or(0);
        let size = Plan { operations: operations.saturating_add(1), seed, ..plan };
        let recorded = tokio::time::timeout(Duration::from_secs(PATIENCE), client::record(handles, size));
        let history = recorded.await.map_err(|_| Violation::Hung(PATIENCE))??;
        match check::check(&history) {
            Ok(statistics) => total.add(statistics),
            Err(found) => {
                let anomaly = shrink::shrink(&history, &found).of_seed(seed);
                return Err(Violation::History(Box::new(anomaly)));
            }
        }
    }
    Ok(total)
}
