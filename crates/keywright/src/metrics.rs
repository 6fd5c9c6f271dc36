//! Everything that the feature `metrics` counts and measures, for the recorder of the crate
//! `metrics` that the program installs. [`store`] has the metrics of every operation, and [`queue`]
//! those of the queue for slow work.
//!
//! | Name | Type | Labels |
//! |---|---|---|
//! | [`HOUSEKEEPING`] | counter | `task`, `outcome` |
//! | [`HOUSEKEEPING_LAST`] | gauge | `task` |
//! | [`DUE_ACCOUNTS`], [`DUE_OLDEST_SECONDS`] | gauge | |
//! | [`HORIZON_LAG_SECONDS`], [`KEYS`] | gauge | |
//!
//! `task` is the name of a method of [`Housekeeping`](crate::Housekeeping); `outcome` is `done` or
//! `failed`.

use metrics::{Unit, counter, describe_counter, describe_gauge};

pub use keywright_store::metrics as store;
pub use keywright_wire::metrics as queue;

/// Calls of housekeeping, by task and outcome.
pub const HOUSEKEEPING: &str = "keywright_housekeeping_total";

/// The tasks of housekeeping.
pub const TASKS: [&str; 6] = ["move_horizon", "sweep", "forget_events", "reseal", "due", "scan_due"];

/// When a task of housekeeping was last done, in Unix seconds by the driver's clock.
pub const HOUSEKEEPING_LAST: &str = "keywright_housekeeping_last_done_timestamp_seconds";

/// How many accounts had due work that may be tried, at the end of the last pass over the
/// [index of due work](crate::Housekeeping::due).
pub const DUE_ACCOUNTS: &str = "keywright_due_accounts";

/// How long the oldest due work has existed, in seconds, at the end of the last
/// [pass over all accounts](crate::Housekeeping::scan_due). 0 if there was none.
pub const DUE_OLDEST_SECONDS: &str = "keywright_due_oldest_seconds";

/// How far the store's horizon is behind the clock, in seconds, after the last
/// [move](crate::Housekeeping::move_horizon).
pub const HORIZON_LAG_SECONDS: &str = "keywright_horizon_lag_seconds";

/// How many keys the keyring has. More than one means that a rotation is not finished.
pub const KEYS: &str = "keywright_keys";

/// Describes all metrics to the installed recorder, for exporters that show descriptions, and sets
/// counters to 0 whose first increment an alert must not miss. Call it once, after the recorder was
/// installed.
pub fn describe() {
    store::describe();
    queue::describe();
    for task in TASKS {
        counter!(HOUSEKEEPING, "task" => task, "outcome" => "failed").absolute(0);
    }
    describe_counter!(HOUSEKEEPING, "Calls of housekeeping, by task and outcome.");
    describe_gauge!(HOUSEKEEPING_LAST, Unit::Seconds, "When a task of housekeeping was last done, in Unix time.");
    describe_gauge!(DUE_ACCOUNTS, "Accounts with due work that may be tried.");
    describe_gauge!(DUE_OLDEST_SECONDS, Unit::Seconds, "Age of the oldest due work.");
    describe_gauge!(HORIZON_LAG_SECONDS, Unit::Seconds, "How far the store's horizon is behind the clock.");
    describe_gauge!(KEYS, "Keys in the keyring.");
}
