//! How fast one process moves the horizon of a store.

use std::time::{Duration, Instant};

use keywright_core::UnixSeconds;
use keywright_store::HORIZON_STEP;

use crate::measure::OldestDue;

/// The shortest time between two moves of the store's horizon, by a monotonic clock: an hour. A
/// clock that runs ahead moves the horizon by a day each time.
///
/// The pause applies to all processes on one store together. Each process moves the horizon only
/// after it has seen it unchanged for that long, and by no more than a day from where it saw it. If
/// the clocks of many processes run ahead, the one that moves the horizon thus makes the others
/// wait.
///
/// The first move of a process happens without this pause, because the process cannot know
/// what happened before its start. It then moves the horizon up to its own clock if that is within
/// a day, and otherwise by as much as the pause. A process that is restarted over and over
/// therefore moves it by an hour each time.
pub const HORIZON_PAUSE: Duration = Duration::from_secs(3_600);

/// When the store's horizon has moved, by a monotonic clock of this process.
#[derive(Debug)]
pub(crate) struct Pace {
    started: Instant,
    /// When this process last moved it.
    pub(crate) moved: Option<Instant>,
    /// The horizon that was last seen. `since` is the start, or when the horizon was seen to have
    /// moved.
    stands: Option<UnixSeconds>,
    since: Instant,
    /// What the present pass over all accounts has found, for a metric.
    pub(crate) oldest_due: OldestDue,
}

impl Pace {
    /// `stands` is the horizon at the start.
    pub(crate) const fn new(started: Instant, stands: Option<UnixSeconds>) -> Self {
        Self { started, moved: None, stands, since: started, oldest_due: OldestDue::new() }
    }

    /// Returns the moment to which the horizon may be moved from `stands` at this instant, by a
    /// clock that shows `now`, or `None` if it may not be moved. It is never further than a day
    /// beyond `stands`, so that a process which moves it at the same instant does not add to it.
    ///
    /// If a process is younger than the pause, and its first move does not reach the present, that
    /// move is no longer than the pause itself. A server that is restarted again and again thus
    /// does not move the horizon by a day each time, and a job that runs now and then still moves
    /// it.
    pub(crate) fn goal(
        &mut self,
        instant: Instant,
        now: UnixSeconds,
        stands: Option<UnixSeconds>,
    ) -> Option<UnixSeconds> {
        if stands != self.stands {
            // Another process has moved it.
            (self.stands, self.since) = (stands, instant);
        }
        let has_passed = |since| instant.saturating_duration_since(since) >= HORIZON_PAUSE;
        let Some(stands) = stands else { return self.moved.is_none_or(has_passed).then_some(now) };
        let furthest = stands.plus(HORIZON_STEP);
        match self.moved {
            None if now <= furthest => Some(now),
            None if has_passed(self.since) => Some(furthest),
            None if self.since == self.started => Some(stands.plus(HORIZON_PAUSE.as_secs())),
            None => None,
            Some(moved) => (has_passed(moved) && has_passed(self.since)).then_some(now.min(furthest)),
        }
    }

    /// Records that this process has moved it.
    pub(crate) const fn arrived(&mut self, instant: Instant, at: UnixSeconds) {
        (self.stands, self.since) = (Some(at), instant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = HORIZON_STEP;

    #[test]
    fn a_process_rests_an_hour_between_moves_and_before_a_first_one_that_is_long() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let at = |days: u64| UnixSeconds::EPOCH.plus(days.saturating_mul(DAY));
        let fresh = |stands| Pace::new(start, stands);
        assert_eq!(fresh(None).goal(start, at(9), None), Some(at(9)), "it starts near the newest event");
        let stands = Some(at(9));
        assert_eq!(
            fresh(stands).goal(start, at(10), stands),
            Some(at(10)),
            "within a day there is nothing to wait for"
        );
        let (ahead, crawls) = (at(10).plus(1), at(9).plus(3_600));
        assert_eq!(
            fresh(stands).goal(after(3_599), ahead, stands),
            Some(crawls),
            "a job that is run now and then goes on"
        );
        assert_eq!(fresh(stands).goal(after(3_600), ahead, stands), Some(at(10)));
        for now in [at(9), at(10), at(900)] {
            let mut moved = Pace { moved: Some(after(5_000)), ..fresh(stands) };
            moved.arrived(after(5_000), at(9));
            assert_eq!(moved.goal(after(8_599), now, stands), None);
            assert_eq!(moved.goal(after(8_600), now, stands), Some(now.min(at(10))), "from where it was seen, a day");
        }
    }

    #[test]
    fn what_another_process_has_moved_rests_an_hour_too() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let at = |days: u64| UnixSeconds::EPOCH.plus(days.saturating_mul(DAY));
        let ahead = at(900);
        for moved in [None, Some(start)] {
            let mut pace = Pace { moved, ..Pace::new(start, Some(at(9))) };
            // An hour after its start it might move; but another has done so, and it sees that now.
            assert_eq!(pace.goal(after(3_700), ahead, Some(at(10))), None);
            assert_eq!(pace.goal(after(7_299), ahead, Some(at(10))), None);
            assert_eq!(pace.goal(after(7_300), ahead, Some(at(10))), Some(at(11)));
        }
    }

    /// Processes whose clocks are years ahead, each by a different amount, read the store whenever
    /// they like, sometimes two of them at the very same moment. All together move it by a day an
    /// hour at most.
    #[test]
    fn many_processes_that_run_ahead_move_it_no_faster_than_one() {
        let start = Instant::now();
        for seed in 1..200_u64 {
            let mut state = seed;
            let mut random = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            let mut horizon = UnixSeconds::EPOCH.plus(1_000 * DAY);
            let mut paces: Vec<Pace> = (0..6).map(|_| Pace::new(start, Some(horizon))).collect();
            let (mut seconds, mut log) = (3_600, vec![(3_600, horizon)]);
            while seconds < 40 * 3_600 {
                seconds += random(1_200);
                let (instant, stands) = (start + Duration::from_secs(seconds), Some(horizon));
                let looking = 1 + random(2);
                let goals: Vec<_> = (0..looking)
                    .filter_map(|_| {
                        let which = random(6);
                        let now = UnixSeconds::EPOCH.plus((5_000 + which * 700) * DAY);
                        let pace = &mut paces[which as usize];
                        let goal = pace.goal(instant, now, stands)?;
                        pace.moved = Some(instant);
                        Some((which, goal))
                    })
                    .collect();
                for (which, goal) in goals {
                    // As `Upkeep::move_horizon` does.
                    horizon = goal.min(horizon.plus(DAY));
                    paces[which as usize].arrived(instant, horizon);
                }
                log.push((seconds, horizon));
            }
            for (at, before) in &log {
                let later =
                    log.iter().filter(|(later, _)| (*at..at + 3_600).contains(later)).map(|(_, horizon)| *horizon);
                let most = later.max().unwrap();
                assert!(most <= before.plus(DAY), "seed {seed}: more than a day within an hour of {at}");
            }
            let days = horizon.since(UnixSeconds::EPOCH.plus(1_000 * DAY)) / DAY;
            assert!(days >= 15, "seed {seed}: it stands still, after {days} days");
        }
    }
}
