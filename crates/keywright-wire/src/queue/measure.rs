//! The metrics of the queue. Without the feature `metrics`, all of it does nothing.

use keywright_store::Standing;

#[cfg(feature = "metrics")]
use crate::metrics as names;

#[cfg(feature = "metrics")]
const fn label(standing: Standing) -> &'static str {
    match standing {
        Standing::Known => "known",
        _ => "unknown",
    }
}

/// Counts a requester that gets no permit.
#[cfg(feature = "metrics")]
pub(super) fn count_refusal(standing: Standing) {
    metrics::counter!(names::QUEUE_REFUSED, "standing" => label(standing)).increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(super) const fn count_refusal(_: Standing) {}

/// Counts as one that waits until it is dropped.
#[must_use = "it counts until it is dropped"]
pub(super) struct Waiting {
    #[cfg(feature = "metrics")]
    begun: (&'static str, std::time::Instant),
}

#[cfg(feature = "metrics")]
impl Waiting {
    pub(super) fn begin(standing: Standing) -> Self {
        let label = label(standing);
        metrics::gauge!(names::QUEUE_WAITING, "standing" => label).increment(1);
        Self { begun: (label, std::time::Instant::now()) }
    }
}

#[cfg(not(feature = "metrics"))]
impl Waiting {
    pub(super) const fn begin(_: Standing) -> Self {
        Self {}
    }
}

#[cfg(feature = "metrics")]
impl Drop for Waiting {
    fn drop(&mut self) {
        let (label, begun) = self.begun;
        metrics::gauge!(names::QUEUE_WAITING, "standing" => label).decrement(1);
        metrics::histogram!(names::QUEUE_WAIT_SECONDS, "standing" => label).record(begun.elapsed());
    }
}
