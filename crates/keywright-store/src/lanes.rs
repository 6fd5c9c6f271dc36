//! One attempt per partition at a time, in one process: a hot account neither starves nor floods the store with
//! conflicts. Bounded; "busy" is said before a guess is looked at.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_lock::MutexGuardArc;

use crate::Partition;

#[derive(Default)]
struct Lane {
    gate: Arc<async_lock::Mutex<()>>,
    /// How many hold or await the gate.
    inside: usize,
}

/// A lane per partition that is in use. Exact rather than striped: a flood on one account delays no other.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: Mutex<HashMap<Partition, Lane>>,
    most: usize,
}

impl Lanes {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { lanes: Mutex::default(), most })
    }

    /// Waits for the partition's turn, or gives `None` at once if too many wait.
    pub(crate) async fn turn(self: &Arc<Self>, partition: &Partition) -> Option<Turn> {
        let (gate, ticket) = {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            let lane = lanes.entry(partition.clone()).or_default();
            if lane.inside >= self.most {
                return None;
            }
            lane.inside = lane.inside.saturating_add(1);
            // Made before the wait, so that a caller who gives up while waiting leaves the lane.
            (Arc::clone(&lane.gate), Ticket { lanes: Arc::clone(self), partition: partition.clone() })
        };
        let guard = gate.lock_arc().await;
        Some(Turn { _guard: guard, ticket })
    }
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").field("most", &self.most).finish_non_exhaustive()
    }
}

struct Ticket {
    lanes: Arc<Lanes>,
    partition: Partition,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get_mut(&self.partition) {
            lane.inside = lane.inside.saturating_sub(1);
            if lane.inside == 0 {
                lanes.remove(&self.partition);
            }
        }
    }
}

/// The right to run attempts on one partition, until it is dropped. Held across a slow check of the host, so that a
/// crowd of right answers does not charge each other out.
pub struct Turn {
    _guard: MutexGuardArc<()>,
    ticket: Ticket,
}

impl Turn {
    /// The partition.
    #[must_use]
    pub fn partition(&self) -> &Partition {
        &self.ticket.partition
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turn({:?})", self.partition())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn one_at_a_time_bounded_and_left_clean() {
        block_on(async {
            let lanes = Lanes::new(2);
            let (a, b) = (Partition::server(), Partition::name(&[1; 32]));
            let first = lanes.turn(&a).await.unwrap();
            let mut second = Box::pin(lanes.turn(&a));
            assert!(poll_once(second.as_mut()).await.is_none(), "it waits");
            assert!(lanes.turn(&a).await.is_none(), "the third is told at once");
            assert!(lanes.turn(&b).await.is_some(), "another partition is not delayed");
            drop(first);
            assert!(second.await.is_some());
            // Who gives up while waiting leaves no place taken.
            let held = lanes.turn(&a).await.unwrap();
            let mut waiting = Box::pin(lanes.turn(&a));
            assert!(poll_once(waiting.as_mut()).await.is_none());
            drop(waiting);
            drop(held);
            assert!(lanes.lanes.lock().unwrap().is_empty());
        });
    }
}
