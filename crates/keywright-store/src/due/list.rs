//! An account's due work: the tasks, their claims and pauses, and the record that holds them.

use std::fmt;

use keywright_core::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::slot::Slot;

/// The slot of an account's due work, which is one record.
pub const DUE: Slot<DueList> = Slot::lasting("due");

/// How long a claim lasts, in seconds: the time in which one server should finish a task. Tasks are
/// idempotent, so it does little harm if two servers do one at the same time. A repeated erasure,
/// however, could erase what the user has stored since the first one.
pub const CLAIM_SECONDS: u64 = 30;

/// How far servers' clocks may differ, in seconds. A claim is respected for that much longer, in
/// either direction.
pub const CLOCK_SKEW_SECONDS: u64 = 60;

/// The seconds after which a claim that was not given up has expired by every server's clock.
pub const CLAIM_LASTS: u64 = CLAIM_SECONDS + CLOCK_SKEW_SECONDS;

/// The pause after the first failure, in seconds; it doubles with each further one.
pub const FIRST_PAUSE: u64 = 2;

/// The longest pause between two tries, in seconds: an hour.
pub const LONGEST_PAUSE: u64 = 3_600;

/// Work that was claimed less than this many seconds ago is probably being done.
const USUALLY_DONE: u64 = 5;

/// The identity of a claim. It is drawn afresh for each one, so that nobody completes or returns a
/// task that another has claimed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub(super) id: [u8; 16],
    pub(super) made: UnixSeconds,
}

/// One piece of due work.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DueTask {
    /// The task's id. It is drawn when the task is added, and stays the same however often it is
    /// tried.
    pub id: [u8; 16],
    /// What to do. The name has the prefix of the crate that added the task.
    pub name: String,
    /// Whatever the crate that added the task needs to do it.
    pub detail: Vec<u8>,
    /// When the task was added.
    pub since: UnixSeconds,
    /// The moment from which the task is no longer worth doing: a mail with a link expires with its
    /// link, for example. `None`: it is kept until it is done.
    pub until: Option<UnixSeconds>,
    /// How often the task has failed.
    pub failures: u16,
    /// When the task failed last. The pause counts from here.
    pub(super) failed: UnixSeconds,
    /// Whether the task is evicted first when the list is full, because anybody can request it.
    pub(super) evictable: bool,
    /// Whether nothing else may happen to the account until the task is done.
    pub(super) blocking: bool,
    pub(super) claim: Option<Claim>,
}

impl DueTask {
    /// Whether the account's requests are answered with "busy" until the task is done, whichever
    /// crate owns it ([`NewTask::blocking`](super::NewTask::blocking)).
    #[must_use]
    pub const fn is_blocking(&self) -> bool {
        self.blocking
    }

    /// Whether the task is unclaimed and its pause is over.
    #[must_use]
    pub fn is_free(&self, now: UnixSeconds) -> bool {
        self.claim_ends(now) <= now && self.next_try(now) <= now
    }

    /// Whether the task is no longer worth doing.
    #[must_use]
    pub fn is_over(&self, now: UnixSeconds) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Returns the whole seconds, at least 1, after which a request should be sent again that cannot
    /// be served until the task is done. For a task that was claimed a moment ago it is 1, because
    /// such a task is usually done at once. Otherwise its worker is slow or dead, or the task has
    /// failed, and this is the time until any request may claim it.
    #[must_use]
    pub fn retry_after(&self, now: UnixSeconds) -> u64 {
        // By whichever of the two servers' clocks.
        let age = |claim: Claim| now.since(claim.made).max(claim.made.since(now));
        if self.claim.is_some_and(|claim| age(claim) < USUALLY_DONE) {
            return 1;
        }
        self.next_try(now).max(self.claim_ends(now)).since(now).max(1)
    }

    /// When the task may be tried next, as of `now`. A failure that is further in the future than
    /// clocks differ comes from a clock that ran ahead. It delays nobody, and the next try stores a
    /// sane moment.
    fn next_try(&self, now: UnixSeconds) -> UnixSeconds {
        if self.failures == 0 || self.failed > now.plus(CLOCK_SKEW_SECONDS) {
            return UnixSeconds::EPOCH;
        }
        self.failed.plus(pause(self.failures))
    }

    /// When the task's claim runs out, as of `now`.
    fn claim_ends(&self, now: UnixSeconds) -> UnixSeconds {
        let claim = self.claim.filter(|claim| claim.made <= now.plus(CLAIM_LASTS));
        claim.map_or(UnixSeconds::EPOCH, |claim| claim.made.plus(CLAIM_LASTS))
    }

    /// When the task should next be checked.
    pub(super) fn due_at(&self, now: UnixSeconds) -> UnixSeconds {
        self.next_try(now).max(self.claim_ends(now)).max(self.since.min(now))
    }

    /// Whether others may respect the task's claim for no longer than clocks differ. The worker
    /// must renew the claim before it goes on.
    pub(super) fn claim_is_old(&self, now: UnixSeconds) -> bool {
        self.claim.is_none_or(|claim| now.since(claim.made) >= CLAIM_SECONDS || claim.made > now)
    }

    /// Removes moments that come from a clock that ran ahead, which delay nobody now. Otherwise
    /// they would delay everybody once the right clock gets there, after the task was announced as
    /// due.
    pub(super) fn settle(&mut self, now: UnixSeconds) {
        if self.failed > now.plus(CLOCK_SKEW_SECONDS) {
            self.failed = UnixSeconds::EPOCH;
        }
        if let Some(claim) = self.claim.as_mut().filter(|claim| claim.made > now.plus(CLAIM_LASTS)) {
            // The claim's owner may still complete the task.
            claim.made = UnixSeconds::EPOCH;
        }
    }

    /// Whether this is the same task under the same claim, renewed or not.
    pub(super) fn is(&self, claimed: &Self) -> bool {
        let id = |task: &Self| task.claim.map(|claim| claim.id);
        self.id == claimed.id && id(self) == id(claimed)
    }
}

/// Returns the pause after this many failures, in seconds: 2, 4, 8, … up to an hour.
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

/// All due work of an account, as one record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DueList {
    pub(super) tasks: Vec<DueTask>,
}

impl Record for DueList {
    const SCHEMA: u16 = 1;
}
