//! The arithmetic of one failure counter: streak, wait and level.

use serde::{Deserialize, Serialize};

use super::policy::{FREE_TRIES, Limits, QUIET_SECONDS};
use crate::ledger::policy::LedgerPolicy;
use crate::time::UnixSeconds;

/// When a failure counter permits the next guess, assuming that every guess so far is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// From this moment on, which is in the past if a guess is permitted now.
    At(UnixSeconds),
    /// Only once somebody acts.
    Locked,
}

/// The wrong guesses of the unknown clients together, or of one known client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failures {
    /// Wrong guesses since the last right one.
    pub(super) streak: u16,
    /// The end of the wait.
    pub(super) until: UnixSeconds,
    /// Wrong guesses that have not leaked away, as of `at`.
    pub(super) level: u16,
    /// The moment up to which all leaks have been subtracted.
    pub(super) at: UnixSeconds,
}

impl Failures {
    pub(super) const NONE: Self = Self { streak: 0, until: UnixSeconds::EPOCH, level: 0, at: UnixSeconds::EPOCH };

    /// Clamps moments that lie too far in the future: a wait ends at most its own length from now,
    /// and a level leaks from now on.
    pub(super) fn settle(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        self.until = self.until.min(now.plus(policy.wait(self.streak)));
        self.at = self.at.min(now);
    }

    /// The number of leaks between `at` and `now`.
    fn leaks(&self, limits: &Limits, now: UnixSeconds) -> u64 {
        now.since(self.at).checked_div(limits.leak).unwrap_or(0)
    }

    /// The level at `now`.
    pub(super) fn level_at(&self, limits: &Limits, now: UnixSeconds) -> u16 {
        let leaks = u16::try_from(self.leaks(limits, now)).unwrap_or(u16::MAX);
        self.level.saturating_sub(leaks)
    }

    /// Subtracts the leaks. The part of a leak that has already passed is kept, unless the level is
    /// empty.
    fn leak(&mut self, limits: &Limits, now: UnixSeconds) {
        let (level, leaks) = (self.level_at(limits, now), self.leaks(limits, now));
        let at = if level > 0 { self.at.plus(leaks.saturating_mul(limits.leak)) } else { self.at.max(now) };
        (self.level, self.at) = (level, at);
    }

    /// Counts a wrong guess.
    pub(super) fn charge(&mut self, policy: &LedgerPolicy, limits: &Limits, now: UnixSeconds) {
        self.count(limits, now);
        self.streak = self.streak.saturating_add(1);
        self.until = self.until.max(now.plus(policy.wait(self.streak)));
    }

    /// Adds a wrong guess to the level alone.
    fn count(&mut self, limits: &Limits, now: UnixSeconds) {
        self.leak(limits, now);
        self.level = self.level.saturating_add(1);
    }

    /// Ends the streak after a right guess. The level stays.
    pub(super) fn end_streak(&mut self) {
        self.streak = 0;
        self.until = UnixSeconds::EPOCH;
    }

    /// Returns the failures that a client inherits when it takes over this place: the level with
    /// the guesses in flight counted as wrong, but low enough for one guess.
    pub(super) fn inherit(mut self, limits: &Limits, in_flight: usize, now: UnixSeconds) -> Self {
        for _ in 0..in_flight {
            self.count(limits, now);
        }
        self.leak(limits, now);
        Self { level: self.level.min(limits.level.saturating_sub(1)), at: self.at, ..Self::NONE }
    }

    /// When the counter permits the next guess. A secret that cannot be guessed has waits only.
    pub(super) fn opening(&self, limits: &Limits, guessable: bool) -> Opening {
        if !guessable {
            return Opening::At(self.until);
        }
        if self.streak >= limits.streak {
            return Opening::Locked;
        }
        let Some(over) = self.level.checked_sub(limits.level) else { return Opening::At(self.until) };
        let leaks = u64::from(over).saturating_add(1);
        Opening::At(self.until.max(self.at.plus(leaks.saturating_mul(limits.leak))))
    }

    /// Whether one more guess may begin beside `in_flight` unjudged ones: that is, whether neither
    /// a wait nor a limit would prevent it if all of those are wrong.
    pub(super) fn has_room_beside(
        &self,
        policy: &LedgerPolicy,
        limits: &Limits,
        guessable: bool,
        in_flight: u16,
        now: UnixSeconds,
    ) -> bool {
        let streak = self.streak.saturating_add(in_flight);
        let level = self.level_at(limits, now).saturating_add(in_flight);
        policy.wait(streak) == 0 && (!guessable || (streak < limits.streak && level < limits.level))
    }
}

/// The failures of the unknown clients, and what an owner's right guess does to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unknown {
    pub(super) failures: Failures,
    /// Wrong guesses since the last right guess of any client.
    pub(super) since_right: u16,
    /// When the first of those was made.
    pub(super) first: UnixSeconds,
    /// When the last wrong guess was made.
    pub(super) last: UnixSeconds,
}

impl Unknown {
    pub(super) const NONE: Self =
        Self { failures: Failures::NONE, since_right: 0, first: UnixSeconds::EPOCH, last: UnixSeconds::EPOCH };

    pub(super) fn settle(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        self.failures.settle(policy, now);
        self.first = self.first.min(now);
        self.last = self.last.min(now);
    }

    pub(super) fn charge(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        self.failures.charge(policy, &policy.unknown, now);
        if self.since_right == 0 {
            self.first = now;
        }
        self.since_right = self.since_right.saturating_add(1);
        self.last = now;
    }

    /// Applies a right guess of any client: the streak falls to the first one with the longest
    /// wait, or ends if the unknown clients were quiet. An owner's log-ins thus lift a lockout of
    /// the unknown clients, but give them no short waits while they keep guessing.
    pub(super) fn relax(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        if self.since_right < FREE_TRIES || now.since(self.last) >= QUIET_SECONDS {
            self.failures.end_streak();
            self.last = UnixSeconds::EPOCH;
        } else {
            self.failures.streak = self.failures.streak.min(policy.slow_streak());
        }
        self.since_right = 0;
        self.first = UnixSeconds::EPOCH;
    }
}
