//! Denials that are counted instead of reported one by one.

use serde::{Deserialize, Serialize};

use super::outcome::{DenialKind, DenialReport};
use super::policy::DENIAL_REPORT_SECONDS;
use crate::time::UnixSeconds;

/// The count of one kind of denial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tally {
    /// When the last event was written, or 1970 if none was written.
    pub(super) at: UnixSeconds,
    /// The number of denials since then.
    pub(super) times: u32,
}

impl Tally {
    const NONE: Self = Self { at: UnixSeconds::EPOCH, times: 0 };

    fn is_due(&self, now: UnixSeconds) -> bool {
        now.since(self.at) >= DENIAL_REPORT_SECONDS
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

    fn of(&mut self, what: DenialKind) -> &mut Tally {
        match what {
            DenialKind::Wrong => &mut self.wrong,
            DenialKind::Replayed => &mut self.replayed,
        }
    }

    pub(super) fn report_denial(&mut self, what: DenialKind, now: UnixSeconds) -> DenialReport {
        let tally = self.of(what);
        if tally.is_due(now) {
            let earlier = std::mem::replace(tally, Tally { at: now, times: 0 }).times;
            return DenialReport::Now { earlier };
        }
        tally.times = tally.times.saturating_add(1);
        DenialReport::Counted
    }

    /// Removes and returns the counts whose hour is over.
    pub(super) fn take_unreported(&mut self, now: UnixSeconds) -> Vec<(DenialKind, u32)> {
        let mut unreported = Vec::new();
        for what in [DenialKind::Wrong, DenialKind::Replayed] {
            let tally = self.of(what);
            if tally.times > 0 && tally.is_due(now) {
                unreported.push((what, std::mem::take(&mut tally.times)));
            }
        }
        unreported
    }
}
