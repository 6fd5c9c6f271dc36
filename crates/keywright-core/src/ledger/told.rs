//! Denials that are counted instead of reported one by one.

use serde::{Deserialize, Serialize};

use super::outcome::{Tell, Told};
use super::policy::TELL_SECONDS;
use crate::time::UnixSeconds;

/// The count of one kind of denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// When the last event was written; 1970, which is long ago, if there was none.
    pub(super) at: UnixSeconds,
    /// The number of denials since then.
    pub(super) times: u32,
}

impl Tally {
    const NONE: Self = Self { at: UnixSeconds::EPOCH, times: 0 };

    fn is_due(&self, now: UnixSeconds) -> bool {
        now.since(self.at) >= TELL_SECONDS
    }
}

/// The counts of one secret's denials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tallies {
    pub(super) wrong: Tally,
    pub(super) replayed: Tally,
}

impl Tallies {
    pub(super) const NONE: Self = Self { wrong: Tally::NONE, replayed: Tally::NONE };

    pub(super) fn settle(&mut self, now: UnixSeconds) {
        self.wrong.at = self.wrong.at.min(now);
        self.replayed.at = self.replayed.at.min(now);
    }

    fn of(&mut self, what: Told) -> &mut Tally {
        match what {
            Told::Wrong => &mut self.wrong,
            Told::Replayed => &mut self.replayed,
        }
    }

    pub(super) fn tell(&mut self, what: Told, now: UnixSeconds) -> Tell {
        let tally = self.of(what);
        if tally.is_due(now) {
            let earlier = std::mem::replace(tally, Tally { at: now, times: 0 }).times;
            return Tell::Now { earlier };
        }
        tally.times = tally.times.saturating_add(1);
        Tell::Counted
    }

    /// Removes and returns the counts whose hour is over.
    pub(super) fn take_untold(&mut self, now: UnixSeconds) -> Vec<(Told, u32)> {
        let mut untold = Vec::new();
        for what in [Told::Wrong, Told::Replayed] {
            let tally = self.of(what);
            if tally.times > 0 && tally.is_due(now) {
                untold.push((what, std::mem::take(&mut tally.times)));
            }
        }
        untold
    }
}
