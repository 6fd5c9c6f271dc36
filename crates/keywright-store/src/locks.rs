//! One commit per partition at a time within one process, so that a busy account is neither starved
//! nor floods the store with conflicts. The queue is bounded and fair: known clients come first,
//! and unknown ones have a bounded share of it.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;

use crate::partition::Partition;

/// Whether a client that waits is known or unknown, according to the guess ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The owner's operations, and guesses of known clients.
    #[default]
    Known,
    /// Guesses of unknown clients, which wait behind all others in a bounded share of the queue.
    Unknown,
}

/// The queue of one partition. It is in the table exactly while somebody holds the partition.
#[derive(Default)]
struct Queue {
    known: VecDeque<oneshot::Sender<PartitionGuard>>,
    unknown: VecDeque<oneshot::Sender<PartitionGuard>>,
}

/// The partitions that are in use.
pub(crate) struct PartitionLocks {
    queues: Mutex<HashMap<Partition, Queue>>,
    most_known: usize,
    most_unknown: usize,
}

impl PartitionLocks {
    pub(crate) fn new(most_known: usize, most_unknown: usize) -> Arc<Self> {
        Arc::new(Self { queues: Mutex::default(), most_known, most_unknown })
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<Partition, Queue>> {
        // Every change is complete before anything can panic.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the partition if nobody holds it.
    pub(crate) fn try_acquire(self: &Arc<Self>, partition: &Partition) -> Option<PartitionGuard> {
        let mut queues = self.queues();
        if queues.contains_key(partition) {
            return None;
        }
        queues.insert(partition.clone(), Queue::default());
        drop(queues);
        Some(PartitionGuard { locks: Arc::clone(self), partition: partition.clone() })
    }

    /// Waits for the partition. Returns `None` immediately if too many are waiting.
    pub(crate) async fn acquire(self: &Arc<Self>, partition: &Partition, standing: Standing) -> Option<PartitionGuard> {
        let waiting = {
            let mut queues = self.queues();
            match queues.get_mut(partition) {
                None => {
                    queues.insert(partition.clone(), Queue::default());
                    drop(queues);
                    return Some(PartitionGuard { locks: Arc::clone(self), partition: partition.clone() });
                }
                Some(queue) => {
                    let (line, most) = match standing {
                        Standing::Known => (&mut queue.known, self.most_known),
                        Standing::Unknown => (&mut queue.unknown, self.most_unknown),
                    };
                    // Waiters that gave up leave the queue.
                    line.retain(|waiter| !waiter.is_canceled());
                    if line.len() >= most {
                        return None;
                    }
                    let (sender, receiver) = oneshot::channel();
                    line.push_back(sender);
                    receiver
                }
            }
        };
        waiting.await.ok()
    }
}

/// An attempt's exclusive use of its partition, which it may have already, or may take if nobody
/// else has it.
pub(crate) struct PartitionAccess {
    locks: Arc<PartitionLocks>,
    guard: Cell<Option<PartitionGuard>>,
}

impl PartitionAccess {
    pub(crate) fn new(locks: &Arc<PartitionLocks>, guard: Option<PartitionGuard>) -> Self {
        Self { locks: Arc::clone(locks), guard: Cell::new(guard) }
    }

    /// Whether the attempt has the partition now.
    pub(crate) fn take(&self, partition: &Partition) -> bool {
        let guard = self.guard.take().or_else(|| self.locks.try_acquire(partition));
        let is_held = guard.is_some();
        self.guard.set(guard);
        is_held
    }

    /// Returns the guard that the attempt had, or has taken.
    pub(crate) fn into_guard(self) -> Option<PartitionGuard> {
        self.guard.into_inner()
    }
}

impl fmt::Debug for PartitionLocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionLocks").field("in_use", &self.queues().len()).finish_non_exhaustive()
    }
}

/// The right to commit to one partition, until it is dropped. It is held for a commit, never while
/// a host's method runs.
pub(crate) struct PartitionGuard {
    locks: Arc<PartitionLocks>,
    partition: Partition,
}

impl Drop for PartitionGuard {
    fn drop(&mut self) {
        let next = {
            let mut queues = self.locks.queues();
            let Some(queue) = queues.get_mut(&self.partition) else { return };
            let next = loop {
                match queue.known.pop_front().or_else(|| queue.unknown.pop_front()) {
                    Some(waiter) if waiter.is_canceled() => {}
                    next => break next,
                }
            };
            let Some(next) = next else {
                queues.remove(&self.partition);
                return;
            };
            next
        };
        // If the waiter has just gone, the guard comes back, and its own drop finds the next one.
        let _ = next.send(Self { locks: Arc::clone(&self.locks), partition: self.partition.clone() });
    }
}

impl fmt::Debug for PartitionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionGuard({:?})", self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn one_at_a_time_bounded_and_left_clean() {
        block_on(async {
            let locks = PartitionLocks::new(1, 1);
            let (a, b) = (Partition::server(), Partition::name(&[1; 32]));
            let first = locks.try_acquire(&a).unwrap();
            assert!(locks.try_acquire(&a).is_none());
            let mut second = Box::pin(locks.acquire(&a, Standing::Known));
            assert!(poll_once(second.as_mut()).await.is_none(), "it waits");
            assert!(locks.acquire(&a, Standing::Known).await.is_none(), "the third is refused at once");
            assert!(locks.acquire(&b, Standing::Known).await.is_some(), "another partition is not delayed");
            drop(first);
            assert!(second.await.is_some());
            // A waiter that gives up does not keep its place.
            let held = locks.try_acquire(&a).unwrap();
            let mut waiting = Box::pin(locks.acquire(&a, Standing::Known));
            assert!(poll_once(waiting.as_mut()).await.is_none());
            drop(waiting);
            let mut next = Box::pin(locks.acquire(&a, Standing::Known));
            assert!(poll_once(next.as_mut()).await.is_none(), "the place was free");
            drop(held);
            drop(next);
            assert!(locks.queues().is_empty());
        });
    }

    #[test]
    fn a_crowd_of_unknown_clients_does_not_hold_up_a_known_one() {
        block_on(async {
            let locks = PartitionLocks::new(8, 2);
            let partition = Partition::server();
            let held = locks.try_acquire(&partition).unwrap();
            let mut crowd: Vec<_> = (0..2).map(|_| Box::pin(locks.acquire(&partition, Standing::Unknown))).collect();
            for unknown in &mut crowd {
                assert!(poll_once(unknown.as_mut()).await.is_none());
            }
            assert!(locks.acquire(&partition, Standing::Unknown).await.is_none(), "the share is full");
            let mut owner = Box::pin(locks.acquire(&partition, Standing::Known));
            assert!(poll_once(owner.as_mut()).await.is_none());
            drop(held);
            assert!(poll_once(owner.as_mut()).await.flatten().is_some(), "the owner is next");
            for unknown in crowd {
                assert!(unknown.await.is_some(), "then the others");
            }
            assert!(locks.queues().is_empty());
        });
    }
}
