//! The error of a full queue. It has a file of its own because both the queue and
//! [`HostError`](crate::HostError) use it.

/// The seconds after which to try again when a [`WorkQueue`](crate::queue::WorkQueue) is full. By
/// then, a full queue of unknown requesters ([`WAITING_UNKNOWN`](crate::queue::WAITING_UNKNOWN))
/// has been served, unless known ones were served first.
pub const BUSY_SECONDS: u64 = 2;

/// Too many requests are waiting. Nothing was checked; try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are waiting for slow work")]
#[non_exhaustive]
pub struct Busy;
