//! The metrics of this crate, for the recorder that the program installs (crate `metrics`). Their
//! label `standing` is `known` or `unknown`, as the guess ledger classifies the client.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};

/// How many requesters wait for a permit of a [`WorkQueue`](crate::queue::WorkQueue), in all queues
/// of the process together: a gauge.
pub const QUEUE_WAITING: &str = "keywright_queue_waiting";

/// Requesters that got no permit, because there was no place: a counter.
pub const QUEUE_REFUSED: &str = "keywright_queue_refused_total";

/// How long a requester waited, in seconds, if it had to: a histogram. It includes those that gave
/// up.
pub const QUEUE_WAIT_SECONDS: &str = "keywright_queue_wait_seconds";

/// Describes all metrics of this crate to the installed recorder, and sets the gauge and the counter
/// to 0.
pub fn describe() {
    for standing in ["known", "unknown"] {
        gauge!(QUEUE_WAITING, "standing" => standing).increment(0);
        counter!(QUEUE_REFUSED, "standing" => standing).absolute(0);
    }
    describe_gauge!(QUEUE_WAITING, "Requesters that wait for slow work, such as a password hash.");
    describe_counter!(QUEUE_REFUSED, "Requesters of slow work that found no place in the queue.");
    describe_histogram!(QUEUE_WAIT_SECONDS, Unit::Seconds, "Time that requesters waited for slow work.");
}
