//! What an account owes: the tasks, their claims and pauses, and the record that holds them.

use std::fmt;

use keywright_core::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::slot::Slot;

/// What an account owes: one record.
pub const DUE: Slot<DueList> = Slot::lasting("due");

/// How long, in seconds, one server should be at a task. Two servers doing one task at once is what idempotence is for;
/// but a second erasure that comes after the user has stored something new would erase that too.
pub const CLAIM_SECONDS: u64 = 30;

/// How far servers' clocks may differ, in seconds: so much longer a claim is respected, in either direction.
pub const CLOCK_SKEW_SECONDS: u64 = 60;

/// After how many seconds, by any server's clock, a claim that nobody gave back has certainly run out.
pub const CLAIM_LASTS: u64 = CLAIM_SECONDS + CLOCK_SKEW_SECONDS;

/// The pause after the first failure, in seconds; it doubles with each further one.
pub const FIRST_PAUSE: u64 = 2;

/// The longest pause between two tries, in seconds: an hour.
pub const LONGEST_PAUSE: u64 = 3_600;

/// Who is at a task: drawn anew for each claim, so that nobody strikes or gives back what another has claimed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) id: [u8; 16],
    pub(super) made: UnixSeconds,
}

/// One piece of work.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DueTask {
    /// Its id, drawn when it was added; the same however often it is tried.
    pub id: [u8; 16],
    /// What to do; the name is the adding crate's, with its own prefix.
    pub name: String,
    /// Whatever the adding crate needs to do it.
    pub detail: Vec<u8>,
    /// When it was added.
    pub since: UnixSeconds,
    /// From when on it is no longer worth doing: a letter with a link ends with its link. `None`: it is kept until done.
    pub until: Option<UnixSeconds>,
    /// How often it has failed.
    pub failures: u16,
    /// When it failed last; the pause counts from here.
    pub(super) failed: UnixSeconds,
    /// What anybody can ask for: evicted first when the list is full.
    pub(super) evictable: bool,
    /// Whether nothing else may happen to the account until it is done.
    pub(super) blocking: bool,
    pub(super) claim: Option<Claim>,
}

impl DueTask {
    /// Whether the account's requests are answered "busy" until it is done, whoever's task it is
    /// ([`NewTask::blocking`](super::NewTask::blocking)).
    #[must_use]
    pub const fn is_blocking(&self) -> bool {
        self.blocking
    }

    /// Whether nobody is at it and its pause is over.
    #[must_use]
    pub fn is_free(&self, now: UnixSeconds) -> bool {
        self.claim_ends(now) <= now && self.next_try(now) <= now
    }

    /// Whether it is no longer worth doing.
    #[must_use]
    pub fn is_over(&self, now: UnixSeconds) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// When it may be tried next, as of `now`. A failure that lies in the future by more than clocks differ is what a clock
    /// that ran ahead has left: it holds up nobody, and the next try stores a sane moment.
    fn next_try(&self, now: UnixSeconds) -> UnixSeconds {
        if self.failures == 0 || self.failed > now.plus(CLOCK_SKEW_SECONDS) {
            return UnixSeconds::EPOCH;
        }
        self.failed.plus(pause(self.failures))
    }

    /// When its claim has run out, as of `now`.
    fn claim_ends(&self, now: UnixSeconds) -> UnixSeconds {
        let claim = self.claim.filter(|claim| claim.made <= now.plus(CLAIM_LASTS));
        claim.map_or(UnixSeconds::EPOCH, |claim| claim.made.plus(CLAIM_LASTS))
    }

    /// When somebody should look at it.
    pub(super) fn due_at(&self, now: UnixSeconds) -> UnixSeconds {
        self.next_try(now).max(self.claim_ends(now)).max(self.since.min(now))
    }

    /// Whether its claim may be respected by others for no more than the differences of clocks: whoever is at it must claim it
    /// anew before going on.
    pub(super) fn claim_is_old(&self, now: UnixSeconds) -> bool {
        self.claim.is_none_or(|claim| now.since(claim.made) >= CLAIM_SECONDS || claim.made > now)
    }

    /// Ends for good what holds up nobody now, because it comes from a clock that ran ahead. Otherwise it would hold up
    /// everybody once more when the right clock gets there, after the task was told to be due.
    pub(super) fn settle(&mut self, now: UnixSeconds) {
        if self.failed > now.plus(CLOCK_SKEW_SECONDS) {
            self.failed = UnixSeconds::EPOCH;
        }
        if let Some(claim) = self.claim.as_mut().filter(|claim| claim.made > now.plus(CLAIM_LASTS)) {
            // Whoever made it may still strike the task.
            claim.made = UnixSeconds::EPOCH;
        }
    }

    /// The same task under the same claim, made anew or not.
    pub(super) fn is(&self, claimed: &Self) -> bool {
        let id = |task: &Self| task.claim.map(|claim| claim.id);
        self.id == claimed.id && id(self) == id(claimed)
    }
}

/// The pause after so many failures: 2 s, 4, 8, … up to an hour.
#[must_use]
pub fn pause(failures: u16) -> u64 {
    let doublings = u32::from(failures.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(1_u64.checked_shl(doublings).unwrap_or(u64::MAX)).min(LONGEST_PAUSE)
}

impl fmt::Debug for DueTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DueTask({}, since {}, {} failures)", self.name, self.since, self.failures)
    }
}

/// All that an account owes: one record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DueList {
    pub(super) tasks: Vec<DueTask>,
}

impl Record for DueList {
    const SCHEMA: u16 = 1;
}
