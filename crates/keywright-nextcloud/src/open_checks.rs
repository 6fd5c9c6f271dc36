//! Waiting for a verdict of the host. While the host checks as many guesses as may be open at a
//! time, further ones wait here for the next verdict instead of being refused, so right passwords
//! that arrive together are all admitted. Each waiting guess takes a place. Unknown clients have
//! places of their own and cannot fill those of a client that the guess ledger knows.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use keywright_core::ClientTag;
use keywright_store::Partition;

/// How many guesses of one client, or of all unknown clients together, may wait for one partition
/// in one process; more are refused immediately. The guess ledger knows few clients at a time, so
/// this bounds all of them.
const MAX_WAITING: usize = 64;

/// The guesses that this process is about to have checked.
#[derive(Default)]
pub(crate) struct OpenChecks {
    places: Mutex<HashMap<Partition, Place>>,
}

/// The state of one partition. It is in the table while a guess is being checked or waits.
#[derive(Default)]
struct Place {
    judging: usize,
    /// Waiting guesses by the client's own place in the guess ledger; `None` for all clients that
    /// have none.
    waiting: HashMap<Option<ClientTag>, usize>,
    /// Counts verdicts, and the moments at which the last check ends.
    changes: u64,
    wakers: Vec<Waker>,
}

impl Place {
    fn change(&mut self) {
        self.changes = self.changes.wrapping_add(1);
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

impl OpenChecks {
    fn places(&self) -> MutexGuard<'_, HashMap<Partition, Place>> {
        // No change can panic halfway, so a poisoned lock still guards a consistent state.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a guess before it begins. Dropping the result reports that its verdict is in.
    pub(crate) fn announce(self: &Arc<Self>, partition: &Partition) -> OpenCheck {
        let mut places = self.places();
        let place = places.entry(partition.clone()).or_default();
        place.judging = place.judging.saturating_add(1);
        let seen = place.changes;
        drop(places);
        OpenCheck { checks: Arc::clone(self), partition: partition.clone(), seen, counted: true }
    }
}

/// A guess that is being checked.
#[must_use = "dropping it reports a verdict"]
pub(crate) struct OpenCheck {
    checks: Arc<OpenChecks>,
    partition: Partition,
    seen: u64,
    counted: bool,
}

impl OpenCheck {
    /// Waits for a verdict, because the guess was not admitted while others are unchecked. Returns
    /// whether to try again: `false` if no other guess is being checked in this process, or if too
    /// many wait. `own` is the client's own place in the guess ledger, if it has one
    /// ([`GuessLedger::own_place`](keywright_core::GuessLedger::own_place)).
    pub(crate) async fn wait(mut self, own: Option<ClientTag>) -> bool {
        {
            let mut places = self.checks.places();
            self.counted = false;
            let Some(place) = places.get_mut(&self.partition) else { return false };
            place.judging = place.judging.saturating_sub(1);
            if place.judging == 0 {
                // Others may wait for this guess, which will have no verdict.
                place.change();
                if place.waiting.is_empty() {
                    places.remove(&self.partition);
                }
                return false;
            }
            let waiting = place.waiting.get(&own).copied().unwrap_or(0);
            if waiting >= MAX_WAITING {
                return false;
            }
            place.waiting.insert(own, waiting.saturating_add(1));
        }
        let waiting = Waiting { checks: &self.checks, partition: &self.partition, own };
        poll_fn(|context| {
            let mut places = waiting.checks.places();
            match places.get_mut(waiting.partition) {
                Some(place) if place.changes == self.seen => {
                    if !place.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                        place.wakers.push(context.waker().clone());
                    }
                    Poll::Pending
                }
                _ => Poll::Ready(()),
            }
        })
        .await;
        true
    }
}

impl Drop for OpenCheck {
    fn drop(&mut self) {
        if !self.counted {
            return;
        }
        let mut places = self.checks.places();
        let Some(place) = places.get_mut(&self.partition) else { return };
        place.judging = place.judging.saturating_sub(1);
        place.change();
        if place.judging == 0 && place.waiting.is_empty() {
            places.remove(&self.partition);
        }
    }
}

/// A waiting guess. It frees its place also if it is dropped early.
struct Waiting<'a> {
    checks: &'a OpenChecks,
    partition: &'a Partition,
    own: Option<ClientTag>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut places = self.checks.places();
        let Some(place) = places.get_mut(self.partition) else { return };
        let left = place.waiting.get(&self.own).map_or(0, |waiting| waiting.saturating_sub(1));
        if left == 0 {
            place.waiting.remove(&self.own);
        } else {
            place.waiting.insert(self.own, left);
        }
        if place.judging == 0 && place.waiting.is_empty() {
            places.remove(self.partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Context;

    fn polled(future: std::pin::Pin<&mut impl Future<Output = bool>>) -> Option<bool> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(again) => Some(again),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_verdict_lets_the_waiting_try_again() {
        let checks = Arc::new(OpenChecks::default());
        let here = Partition::server();
        let judged = checks.announce(&here);
        let mut waiting = pin!(checks.announce(&here).wait(None));
        assert_eq!(polled(waiting.as_mut()), None);
        drop(judged);
        assert_eq!(polled(waiting.as_mut()), Some(true));
    }

    #[test]
    fn a_verdict_before_the_wait_is_not_missed() {
        let checks = Arc::new(OpenChecks::default());
        let here = Partition::server();
        let (judged, other) = (checks.announce(&here), checks.announce(&here));
        let late = checks.announce(&here);
        drop(judged);
        assert_eq!(polled(pin!(late.wait(None))), Some(true));
        drop(other);
        assert!(checks.places().is_empty());
    }

    #[test]
    fn nobody_waits_for_a_verdict_that_no_one_here_will_give() {
        let checks = Arc::new(OpenChecks::default());
        let here = Partition::server();
        assert_eq!(polled(pin!(checks.announce(&here).wait(None))), Some(false));
        // Two guesses that were both refused: the second frees the first.
        let (first, second) = (checks.announce(&here), checks.announce(&here));
        let mut first = pin!(first.wait(None));
        assert_eq!(polled(first.as_mut()), None);
        assert_eq!(polled(pin!(second.wait(None))), Some(false));
        assert_eq!(polled(first.as_mut()), Some(true));
        assert!(checks.places().is_empty());
    }

    #[test]
    fn a_bounded_number_waits() {
        let checks = Arc::new(OpenChecks::default());
        let here = Partition::server();
        let judged = checks.announce(&here);
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(checks.announce(&here).wait(None))).collect();
        assert!(waiting.iter_mut().all(|waiting| polled(waiting.as_mut()).is_none()));
        assert_eq!(polled(pin!(checks.announce(&here).wait(None))), Some(false));
        // Unknown clients do not take the places of a known client.
        let known = Some(ClientTag::from_bytes([1; 16]));
        let mut theirs: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(checks.announce(&here).wait(known))).collect();
        assert!(theirs.iter_mut().all(|waiting| polled(waiting.as_mut()).is_none()));
        assert_eq!(polled(pin!(checks.announce(&here).wait(known))), Some(false));
        let other = Some(ClientTag::from_bytes([2; 16]));
        assert_eq!(polled(pin!(checks.announce(&here).wait(other))), None);
        drop(theirs);
        // A guess that gives up makes room.
        waiting.pop();
        assert_eq!(polled(pin!(checks.announce(&here).wait(None))), None);
        drop((judged, waiting));
        assert!(checks.places().is_empty());
    }
}
