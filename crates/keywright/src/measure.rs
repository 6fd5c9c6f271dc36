//! The metrics of housekeeping. Without the feature `metrics`, all of it does nothing.

use keywright_core::{AccountId, UnixSeconds};
use keywright_store::Driver;

#[cfg(feature = "metrics")]
use crate::metrics as names;

/// Counts a call of housekeeping.
#[cfg(feature = "metrics")]
pub(crate) fn count_call<T, E>(driver: &Driver, task: &'static str, result: &Result<T, E>) {
    let outcome = if result.is_ok() { "done" } else { "failed" };
    metrics::counter!(names::HOUSEKEEPING, "task" => task, "outcome" => outcome).increment(1);
    if result.is_ok()
        && let Ok(now) = driver.clock().now()
    {
        metrics::gauge!(names::HOUSEKEEPING_LAST, "task" => task).set(seconds(now.get()));
    }
}

#[cfg(not(feature = "metrics"))]
pub(crate) const fn count_call<T, E>(_: &Driver, _: &'static str, _: &Result<T, E>) {}

/// Sets what a move of the horizon shows.
#[cfg(feature = "metrics")]
pub(crate) fn set_horizon(driver: &Driver, horizon: UnixSeconds) {
    if let Ok(now) = driver.clock().now() {
        metrics::gauge!(names::HORIZON_LAG_SECONDS).set(seconds(now.get().saturating_sub(horizon.get())));
    }
    let keys = u32::try_from(driver.keyring().key_ids().count()).unwrap_or(u32::MAX);
    metrics::gauge!(names::KEYS).set(keys);
}

#[cfg(not(feature = "metrics"))]
pub(crate) const fn set_horizon(_: &Driver, _: UnixSeconds) {}

/// Sets how many accounts a finished pass over the index of due work has returned.
pub(crate) fn set_due(accounts: usize) {
    #[cfg(feature = "metrics")]
    metrics::gauge!(names::DUE_ACCOUNTS).set(u32::try_from(accounts).unwrap_or(u32::MAX));
    #[cfg(not(feature = "metrics"))]
    let _ = accounts;
}

/// Returns when the oldest due work of these accounts was added. What cannot be read is reported by
/// whoever does the work.
#[cfg(feature = "metrics")]
pub(crate) async fn oldest_due(driver: &Driver, accounts: &[AccountId]) -> Option<UnixSeconds> {
    use keywright_store::due;
    let driver = driver.named("housekeeping");
    let mut oldest = None;
    for account in accounts {
        let pending = driver.observe(&account.into(), &[due::DUE.name()], due::pending).await;
        let since = pending.ok().into_iter().flatten().map(|task| task.since);
        oldest = since.chain(oldest).min();
    }
    oldest
}

#[cfg(not(feature = "metrics"))]
pub(crate) fn oldest_due(_: &Driver, _: &[AccountId]) -> std::future::Ready<Option<UnixSeconds>> {
    std::future::ready(None)
}

/// The oldest due work that a pass over all accounts has found so far.
#[derive(Debug)]
pub(crate) struct OldestDue(Option<UnixSeconds>);

impl OldestDue {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Adds what a page has found, and shows the age at the end of the pass.
    pub(crate) fn add(&mut self, driver: &Driver, found: Option<UnixSeconds>, is_first: bool, is_last: bool) {
        if is_first {
            self.0 = None;
        }
        self.0 = [self.0, found].into_iter().flatten().min();
        if is_last {
            set_oldest_due(driver, self.0);
        }
    }
}

#[cfg(feature = "metrics")]
fn set_oldest_due(driver: &Driver, since: Option<UnixSeconds>) {
    if let Ok(now) = driver.clock().now() {
        let age = since.map_or(0, |since| now.get().saturating_sub(since.get()));
        metrics::gauge!(names::DUE_OLDEST_SECONDS).set(seconds(age));
    }
}

#[cfg(not(feature = "metrics"))]
const fn set_oldest_due(_: &Driver, _: Option<UnixSeconds>) {}

/// A metric is a float. Seconds lose no precision in one for millions of years.
#[cfg(feature = "metrics")]
fn seconds(count: u64) -> f64 {
    std::time::Duration::from_secs(count).as_secs_f64()
}
