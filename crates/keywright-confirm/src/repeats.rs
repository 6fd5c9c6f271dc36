//! Rate limiting of events that clients can cause at will: they are emitted once an hour and
//! counted in between.

use keywright_core::{ActionName, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::events::Reason;
use crate::policy::REPEAT_SECONDS;

/// The maximum number of tallies of an account, which bounds the stored form. A server has a few
/// actions, and one tally for each and each reason. If there are more, the oldest is dropped, and
/// its event is emitted once too often.
const MAX_TALLIES: usize = 16;

/// The kinds of events whose rate is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Repeated {
    Asked,
    Denied(Reason),
}

/// The tallies of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tallies(Vec<Tally>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Tally {
    action: String,
    what: Repeated,
    /// When the event was last emitted.
    at: UnixSeconds,
    /// How often it happened since then.
    times: u32,
}

impl Tallies {
    /// Decides whether an event is emitted now. If so, returns the number of events that were only
    /// counted before it; otherwise counts it and returns `None`.
    pub(crate) fn report(&mut self, action: &str, what: Repeated, now: UnixSeconds) -> Option<u32> {
        // After the clock went back, an event from the future counts as emitted now
        // (`docs/security.md` § 12).
        for tally in self.0.iter_mut().filter(|tally| tally.at > now) {
            tally.at = now;
        }
        self.0.retain(|tally| tally.times > 0 || now.since(tally.at) < REPEAT_SECONDS);
        let known = self.0.iter().position(|tally| tally.what == what && tally.action == action);
        if let Some(tally) = known.and_then(|at| self.0.get_mut(at))
            && now.since(tally.at) < REPEAT_SECONDS
        {
            tally.times = tally.times.saturating_add(1);
            return None;
        }
        let earlier = known.map_or(0, |at| self.0.remove(at).times);
        if self.0.len() >= MAX_TALLIES {
            self.0.remove(0);
        }
        self.0.push(Tally { action: action.to_owned(), what, at: now, times: 0 });
        Some(earlier)
    }

    /// Removes and returns the events that were only counted and whose hour is over, with the
    /// number of times that each happened.
    pub(crate) fn take_unreported(&mut self, now: UnixSeconds) -> Vec<(String, Repeated, u32)> {
        let is_over = |tally: &&mut Tally| tally.times > 0 && now.since(tally.at) >= REPEAT_SECONDS;
        let over = self.0.iter_mut().filter(is_over);
        over.map(|tally| (tally.action.clone(), tally.what, std::mem::take(&mut tally.times))).collect()
    }

    /// Whether this crate can have written it.
    pub(crate) fn is_bounded(&self) -> bool {
        self.0.len() <= MAX_TALLIES
            && self.0.iter().all(|tally| (1..=ActionName::MAX_BYTES).contains(&tally.action.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> UnixSeconds {
        UnixSeconds::new(1_000_000).unwrap().plus(seconds)
    }

    #[test]
    fn one_event_an_hour_for_each_action_and_reason() {
        let mut tallies = Tallies::default();
        assert_eq!(tallies.report("a", Repeated::Asked, at(0)), Some(0));
        assert_eq!(tallies.report("b", Repeated::Asked, at(0)), Some(0));
        assert_eq!(tallies.report("a", Repeated::Denied(Reason::Wrong), at(0)), Some(0));
        assert_eq!(tallies.report("a", Repeated::Denied(Reason::Expired), at(0)), Some(0));
        assert_eq!(tallies.report("a", Repeated::Asked, at(1)), None);
        assert_eq!(tallies.report("a", Repeated::Asked, at(3_599)), None);
        assert_eq!(tallies.report("a", Repeated::Asked, at(3_600)), Some(2));
        assert_eq!(tallies.report("a", Repeated::Asked, at(7_200)), Some(0));
    }

    #[test]
    fn what_was_counted_is_taken_once_when_its_hour_is_over() {
        let mut tallies = Tallies::default();
        for nth in 0..3 {
            tallies.report("a", Repeated::Asked, at(nth));
        }
        tallies.report("b", Repeated::Asked, at(3));
        assert_eq!(tallies.take_unreported(at(3_599)), []);
        assert_eq!(tallies.take_unreported(at(3_600)), [("a".to_owned(), Repeated::Asked, 2)]);
        assert_eq!(tallies.take_unreported(at(3_600)), []);
        assert_eq!(tallies.report("a", Repeated::Asked, at(3_600)), Some(0));
    }

    #[test]
    fn a_clock_that_goes_back_silences_for_an_hour_at_most() {
        let mut tallies = Tallies::default();
        assert_eq!(tallies.report("a", Repeated::Asked, at(400_000_000)), Some(0));
        assert_eq!(tallies.report("a", Repeated::Asked, at(0)), None);
        assert_eq!(tallies.report("a", Repeated::Asked, at(3_600)), Some(1));
    }

    #[test]
    fn there_is_room_for_sixteen() {
        let mut tallies = Tallies::default();
        for nth in 0..40_u64 {
            assert_eq!(tallies.report(&format!("action-{nth}"), Repeated::Asked, at(nth)), Some(0));
            assert!(tallies.is_bounded());
        }
        assert_eq!(tallies.report("action-39", Repeated::Asked, at(41)), None);
        assert_eq!(tallies.report("action-0", Repeated::Asked, at(41)), Some(0), "the oldest was dropped");
    }
}
