//! Whether a change that waits for the writer may still be taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Shared by a caller and the writer. A change is either begun or withdrawn, never both.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticket(Arc<AtomicU8>);

impl Ticket {
    /// Called by the writer once its transaction is open, before it applies the change. Returns
    /// whether it may. A change that is applied again, alone, has begun already.
    pub(crate) fn begin(&self) -> bool {
        self.leave_queue(BEGUN)
    }

    /// Takes the change back. Returns `false` if it was begun, so that it may have happened.
    pub(crate) fn withdraw(&self) -> bool {
        self.leave_queue(WITHDRAWN)
    }

    /// Whether the change was taken back.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::Acquire) == WITHDRAWN
    }

    fn leave_queue(&self, to: u8) -> bool {
        match self.0.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(state) => state == to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_is_not_withdrawn_and_the_other_way_round() {
        let (begun, withdrawn) = (Ticket::default(), Ticket::default());
        assert!(begun.begin() && !begun.clone().withdraw() && begun.begin() && !begun.is_withdrawn());
        assert!(withdrawn.withdraw() && !withdrawn.clone().begin() && withdrawn.withdraw() && withdrawn.is_withdrawn());
    }
}
