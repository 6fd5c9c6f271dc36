//! The answer of who has no place for one more, below the queue that gives it and the error that it becomes.

/// After how many seconds to try again when a [`WorkQueue`](crate::queue::WorkQueue) is full: a full line of unknown
/// askers is through by then, as long as known ones leave them the turns
/// ([`WAITING_UNKNOWN`](crate::queue::WAITING_UNKNOWN)).
pub const BUSY_SECONDS: u64 = 2;

/// Too many wait. Nothing was looked at; try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wait for slow work")]
#[non_exhaustive]
pub struct Busy;
