//! Counts and timings of operations. Without the feature `metrics`, all of it does nothing.

use keywright_core::SecurityEvent;

use crate::draft::notes::Notes;
#[cfg(feature = "metrics")]
use crate::metrics as names;

/// What is known of one operation when it ends.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whether something was committed.
    pub(super) committed: bool,
    /// Commits that were refused because another one was faster.
    pub(super) conflicts: u32,
    /// Commits without an answer.
    pub(super) unknown: u32,
    /// Runs of the step after a conflict or a lost reply.
    pub(super) reruns: u32,
    /// What the last run of the step noted.
    pub(super) notes: Notes,
}

/// Counts an operation that has ended.
#[cfg(feature = "metrics")]
pub(super) fn count(operation: &'static str, outcome: &'static str, tally: &Tally) {
    metrics::counter!(names::OPERATIONS, "operation" => operation, "outcome" => outcome).increment(1);
    let counts = [
        (names::CONFLICTS, tally.conflicts),
        (names::RERUNS, tally.reruns),
        (names::UNKNOWN_COMMITS, tally.unknown),
        (names::WAITS_TOLD, tally.notes.refused.into()),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        metrics::counter!(name, "operation" => operation).increment(count.into());
    }
    if tally.notes.due_failed > 0 && tally.committed {
        metrics::counter!(names::DUE_FAILURES).increment(tally.notes.due_failed.into());
    }
}

#[cfg(not(feature = "metrics"))]
pub(super) const fn count(_: &'static str, _: &'static str, tally: &Tally) {
    let Notes { refused: _, due_failed: _ } = tally.notes;
    let Tally { unknown: _, .. } = tally;
}

/// Counts a committed event. Kinds are constants of the crates that emit them, so there are few.
#[cfg(feature = "metrics")]
pub(super) fn count_event(event: &SecurityEvent) {
    metrics::counter!(names::SECURITY_EVENTS, "kind" => event.kind().to_owned()).increment(1);
}

#[cfg(not(feature = "metrics"))]
pub(super) const fn count_event(_: &SecurityEvent) {}

/// Counts a report of damage.
pub(super) fn count_damage() {
    #[cfg(feature = "metrics")]
    metrics::counter!(names::DAMAGE).increment(1);
}

/// Measures how long the store takes, until it is dropped.
#[must_use = "it measures until it is dropped"]
pub(super) struct Stopwatch {
    #[cfg(feature = "metrics")]
    begun: (&'static str, std::time::Instant),
}

impl Stopwatch {
    /// Measures a commit.
    pub(super) fn of_commit() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            begun: (names::COMMIT_SECONDS, std::time::Instant::now()),
        }
    }

    /// Measures a load.
    pub(super) fn of_load() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            begun: (names::LOAD_SECONDS, std::time::Instant::now()),
        }
    }
}

#[cfg(feature = "metrics")]
impl Drop for Stopwatch {
    fn drop(&mut self) {
        let (name, begun) = self.begun;
        metrics::histogram!(name).record(begun.elapsed());
    }
}
