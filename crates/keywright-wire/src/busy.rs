//! The refusal of a full queue, below both the queue that returns it and the error that it becomes.

/// The seconds after which to try again when a [`WorkQueue`](crate::queue::WorkQueue) is full. A full
/// line of unknown askers has been served by then, as long as known ones leave them the turns
/// ([`WAITING_UNKNOWN`](crate::queue::WAITING_UNKNOWN)).
pub const BUSY_SECONDS: u64 = 2;

/// Too many askers wait. Nothing was checked; try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are waiting for slow work")]
#[non_exhaustive]
pub struct Busy;
