//! Random concurrent histories, and a checker of strict serialisability.
//!
//! Several clients work on a few partitions through both handles at once: they load, page, read the
//! vault, check, and commit batches with puts that last or expire, deletions, erases, events, the
//! forgetting of old ones, edits and swaps of the vault and promotions of what they staged, on the root that they saw last or on an
//! older one; some drop a commit half-way, or never hear its reply; and now and then somebody
//! sweeps. What each was told, and when, is recorded and then checked per partition.
//!
//! Every batch that lands moves the root to a revision of its own, so what has landed is a **chain**, known without any
//! search: each batch names the root that it replaces. A history is strictly serialisable exactly if
//! - no root was replaced by two batches, and nobody saw a root that nobody was able to put: what was a conflict or was
//!   rejected has had no effect, what is unknown may have had;
//! - every read shows exactly the state of the root that it shows, but for records that were due for a sweep: those may be
//!   gone, and do not come back;
//! - the chain, with each load and each affirmative check at the root that it saw, can be laid along the time in which
//!   things were asked and answered: nothing that was answered before another was asked comes after it in the chain.
//!
//! A history that fails is cut down as long as it fails in the same way, and printed.

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

/// Tries histories on a store, each on partitions of its own.
///
/// # Errors
/// [`Violation::History`] with the first that no serial order explains.
pub async fn run(handles: &Handles, plan: Plan) -> Result<Statistics, Violation> {
    let mut total = Statistics::default();
    let mut seeds = SplitMix::new(plan.seed);
    for number in 0..plan.histories {
        let seed = seeds.next();
        // Small ones first, and again and again: a small failure is the one to read.
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
