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

mod check;
mod client;
mod model;
mod print;
mod record;
mod shrink;

use std::sync::Arc;
use std::time::Duration;

pub use check::AnomalyKind;
pub use print::Anomaly;

use crate::random::SplitMix;
use crate::suite::PATIENCE;
use crate::{Handles, Violation};

/// How many histories are tried, and of what size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "parameters and nothing else")]
pub struct Plan {
    /// How many.
    pub histories: u32,
    /// How many clients work at once in each.
    pub clients: usize,
    /// How many operations each client makes at most: histories come in all sizes up to this.
    pub operations: usize,
    /// How many partitions they share.
    pub partitions: usize,
    /// What the clients' choices follow from. How their operations interleave does not.
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { histories: 60, clients: 4, operations: 14, partitions: 2, seed: 0x5eed }
    }
}

impl Plan {
    /// The default plan, with as many histories as the environment variable `KEYWRIGHT_HISTORIES`
    /// says, and the seed that `KEYWRIGHT_SEED` says: for a full proof, or to try a failure again.
    #[must_use]
    pub fn from_env() -> Self {
        let default = Self::default();
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let histories = number("KEYWRIGHT_HISTORIES").and_then(|count| u32::try_from(count).ok());
        Self {
            histories: histories.unwrap_or(default.histories),
            seed: number("KEYWRIGHT_SEED").unwrap_or(default.seed),
            ..default
        }
    }
}

/// What happened in the histories that were tried: a run in which nothing met proves nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Operations.
    pub operations: u64,
    /// Batches that landed.
    pub landed: u64,
    /// Of them, those whose reply was lost.
    pub landed_unknown: u64,
    /// Of them, those that promoted a stage.
    pub promoted: u64,
    /// Batches and checks that were told of a conflict.
    pub conflicts: u64,
    /// Reads and checks that were laid along the chain.
    pub reads: u64,
    /// Of them, reads of a vault that was not empty.
    pub vault: u64,
    /// Of them, loads that met a record which a sweep had taken.
    pub swept: u64,
}

impl Statistics {
    const fn add(&mut self, other: Self) {
        self.operations = self.operations.saturating_add(other.operations);
        self.landed = self.landed.saturating_add(other.landed);
        self.landed_unknown = self.landed_unknown.saturating_add(other.landed_unknown);
        self.promoted = self.promoted.saturating_add(other.promoted);
        self.conflicts = self.conflicts.saturating_add(other.conflicts);
        self.reads = self.reads.saturating_add(other.reads);
        self.vault = self.vault.saturating_add(other.vault);
        self.swept = self.swept.saturating_add(other.swept);
    }
}

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

/// The shared counter by which operations are asked and answered.
type Clock = Arc<std::sync::atomic::AtomicU64>;
