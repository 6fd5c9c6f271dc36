//! The metrics of this crate, for the recorder that the program installs (crate `metrics`). No
//! label ever contains an account, a name or anything else that grows with the users.
//!
//! | Name | Type | Labels |
//! |---|---|---|
//! | [`OPERATIONS`] | counter | `operation`, `outcome` |
//! | [`CONFLICTS`], [`RERUNS`], [`UNKNOWN_COMMITS`], [`WAITS_TOLD`] | counter | `operation` |
//! | [`SECURITY_EVENTS`] | counter | `kind` |
//! | [`DAMAGE`], [`DUE_FAILURES`] | counter | |
//! | [`COMMIT_SECONDS`], [`LOAD_SECONDS`] | histogram | |
//!
//! `operation` is the name of [`Driver::named`](crate::Driver::named). `outcome` is `committed`,
//! `unchanged` (nothing had to be written) or the reason of a failure: `busy`, `unknown`,
//! `load_failed`, `rejected`, `refused` (the step failed), `damaged`, `clock`, `entropy` or
//! `misuse`.

use metrics::{Unit, counter, describe_counter, describe_histogram};

use crate::driver::OTHER;
use crate::events::EVENT_KINDS;

/// Operations that have ended, by name and outcome.
pub const OPERATIONS: &str = "keywright_operations_total";

/// The outcomes of operations.
pub const OUTCOMES: [&str; 11] = [
    "committed",
    "unchanged",
    "busy",
    "unknown",
    "load_failed",
    "rejected",
    "refused",
    "damaged",
    "clock",
    "entropy",
    "misuse",
];

/// Commits that the store refused because somebody else's was faster.
pub const CONFLICTS: &str = "keywright_commit_conflicts_total";

/// How often a step was run again after a conflict or a lost reply.
pub const RERUNS: &str = "keywright_reruns_total";

/// Commits without an answer. What became of them was then read from the store; those for which
/// this failed too are operations with the outcome `unknown`.
pub const UNKNOWN_COMMITS: &str = "keywright_unknown_commits_total";

/// Operations in which the guess ledger told the caller to wait: a guess was not checked, or
/// [`peek_refusal`](crate::guess::peek_refusal) answered before one was. A request that is refused
/// by a look and then by a commit, because the refusal has something to store, counts twice.
pub const WAITS_TOLD: &str = "keywright_waits_told_total";

/// Committed security events, by their kind.
pub const SECURITY_EVENTS: &str = "keywright_security_events_total";

/// Reports of stored data that is damaged, lost or altered.
pub const DAMAGE: &str = "keywright_damage_total";

/// Tries of due tasks that failed.
pub const DUE_FAILURES: &str = "keywright_due_failures_total";

/// How long the store took for a commit, in seconds, whatever its answer.
pub const COMMIT_SECONDS: &str = "keywright_commit_seconds";

/// How long the store took for a load, in seconds, whatever its answer.
pub const LOAD_SECONDS: &str = "keywright_load_seconds";

/// Describes all metrics of this crate to the installed recorder, for exporters that show
/// descriptions, and sets counters to 0 whose first increment an alert must not miss. Call it once,
/// after the recorder was installed.
pub fn describe() {
    for name in [CONFLICTS, RERUNS, UNKNOWN_COMMITS, WAITS_TOLD] {
        counter!(name, "operation" => OTHER).absolute(0);
    }
    for outcome in OUTCOMES {
        counter!(OPERATIONS, "operation" => OTHER, "outcome" => outcome).absolute(0);
    }
    for kind in EVENT_KINDS {
        counter!(SECURITY_EVENTS, "kind" => kind.name()).absolute(0);
    }
    for name in [DAMAGE, DUE_FAILURES] {
        counter!(name).absolute(0);
    }
    describe_counter!(OPERATIONS, "Operations that have ended, by name and outcome.");
    describe_counter!(CONFLICTS, "Commits that the store refused because another one was faster.");
    describe_counter!(RERUNS, "Reruns of steps after a conflict or a lost reply.");
    describe_counter!(UNKNOWN_COMMITS, "Commits without an answer of the store.");
    describe_counter!(WAITS_TOLD, "Operations that told the caller of a guess to wait.");
    describe_counter!(SECURITY_EVENTS, "Committed security events, by their kind.");
    describe_counter!(DAMAGE, "Reports of stored data that is damaged, lost or altered.");
    describe_counter!(DUE_FAILURES, "Tries of due tasks that failed.");
    describe_histogram!(COMMIT_SECONDS, Unit::Seconds, "Time that the store took for a commit.");
    describe_histogram!(LOAD_SECONDS, Unit::Seconds, "Time that the store took for a load.");
}
