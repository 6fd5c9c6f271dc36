//! Due work: what the host must still do after a commit, such as sending a mail. The commit itself
//! records each task. The task is tried immediately, removed when it is done, and tried again with
//! growing pauses if it fails. The host's methods must therefore be idempotent.
//!
//! [`DueWork::run`] does the work outside of any commit, so a host method may use the driver on the
//! same account.

use keywright_core::UnixSeconds;

use crate::draft::Draft;
use crate::step_error::StepError;

pub(crate) mod list;
mod work;

use list::Claim;
pub use list::{
    CLAIM_LASTS, CLAIM_SECONDS, CLOCK_SKEW_SECONDS, DUE, DueList, DueTask, FIRST_PAUSE, LONGEST_PAUSE, pause,
};
pub use work::{Attempt, DueWork, OnFailure, WorkReport};

/// The most due tasks of an account, apart from the [`RESERVED`] ones. An account reaches this
/// number only if the host has been failing for long. Operations that would add another task are
/// then refused.
pub const MAX_DUE: usize = 64;

/// The number of further places for work that must not fail for lack of space
/// ([`NewTask::reserved`]): an erasure, and whatever it makes due itself.
pub const RESERVED: usize = 16;

/// The largest detail of a task, in bytes.
pub const MAX_DETAIL: usize = 4_096;

/// A task to be added: what is to be done, and until when.
#[derive(Clone)]
#[must_use = "a task is added by `add`"]
pub struct NewTask<'n> {
    name: &'n str,
    detail: Vec<u8>,
    until: Option<UnixSeconds>,
    evictable: bool,
    blocking: bool,
    at_most: usize,
    reserved: bool,
}

impl<'n> NewTask<'n> {
    /// Creates a task that is kept until it is done. `name` has the prefix of the crate that adds
    /// it.
    pub const fn new(name: &'n str, detail: Vec<u8>) -> Self {
        Self { name, detail, until: None, evictable: false, blocking: false, at_most: usize::MAX, reserved: false }
    }

    /// Sets the moment from which the task is no longer worth doing.
    pub const fn until(mut self, until: UnixSeconds) -> Self {
        self.until = Some(until);
        self
    }

    /// Lets the task be evicted first when the list is full. This is for tasks that anybody can
    /// request.
    pub const fn evictable(mut self) -> Self {
        self.evictable = true;
        self
    }

    /// Blocks the account until the task is done: all protocols answer its requests as busy,
    /// including protocols that do not know the task. This is for an erasure, during which nothing
    /// new may be stored. If no process does the task, the account stays busy.
    pub const fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// Allows at most `most` tasks of this name. If there are as many already, this one replaces
    /// the oldest. This is for notices: an owner who receives the last few does not need all
    /// earlier ones, and notices that cannot be delivered must not fill the list.
    pub const fn at_most(mut self, most: usize) -> Self {
        self.at_most = most;
        self
    }

    /// Lets the task take one of the [`RESERVED`] places if [`MAX_DUE`] tasks are due. This is for
    /// tasks that must not fail for lack of space, and of which there cannot be many at a time.
    pub const fn reserved(mut self) -> Self {
        self.reserved = true;
        self
    }
}

// The detail is left out, because it may hold the token of a link.
keywright_core::redacted_debug!(NewTask<'_> { name, until, .. });

/// Adds a task in the step that makes it necessary, and returns it. The task is claimed for the
/// caller, who should do it immediately after the commit.
///
/// # Errors
/// Returns [`StepError::TooMuchDue`] if [`MAX_DUE`] tasks are due, none may be evicted, and no
/// place is [reserved](RESERVED) for the task. Otherwise returns the errors of [`Draft::read`].
pub fn add(draft: &mut Draft<'_>, new: NewTask<'_>) -> Result<DueTask, StepError> {
    if new.detail.len() > MAX_DETAIL {
        return Err(StepError::Misuse("a due task's detail is too long"));
    }
    let now = draft.now();
    let mut list = read(draft)?;
    list.tasks.retain(|task| !task.is_over(now));
    let same = list.tasks.iter().filter(|task| task.name == new.name).count();
    let mut surplus = same.saturating_add(1).saturating_sub(new.at_most.max(1));
    list.tasks.retain(|task| {
        let stays = surplus == 0 || task.name != new.name;
        surplus = surplus.saturating_sub(usize::from(!stays));
        stays
    });
    if list.tasks.len() >= MAX_DUE {
        let most = if new.reserved { MAX_DUE.saturating_add(RESERVED) } else { MAX_DUE };
        match list.tasks.iter().position(|task| task.evictable) {
            Some(evicted) => drop(list.tasks.remove(evicted)),
            None if list.tasks.len() < most => {}
            None => return Err(StepError::TooMuchDue),
        }
    }
    let task = DueTask {
        id: draft.random()?,
        name: new.name.into(),
        detail: new.detail,
        since: now,
        until: new.until,
        failures: 0,
        failed: UnixSeconds::EPOCH,
        evictable: new.evictable,
        blocking: new.blocking,
        claim: Some(Claim { id: draft.random()?, made: now }),
    };
    list.tasks.push(task.clone());
    write(draft, list)?;
    Ok(task)
}

/// Returns the account's due tasks, oldest first.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn pending(draft: &mut Draft<'_>) -> Result<Vec<DueTask>, StepError> {
    let now = draft.now();
    Ok(read(draft)?.tasks.into_iter().filter(|task| !task.is_over(now)).collect())
}

/// Returns when the account's due work should next be checked, according to the sealed root, or
/// `None` if nothing is due. No slot has to be loaded for it.
///
/// The hint in the root's row has the same value in clear, for an index. Somebody who can write to
/// the database can change the hint, but not this.
#[must_use]
pub const fn due_at(draft: &Draft<'_>) -> Option<UnixSeconds> {
    draft.due_at()
}

/// Whether any of the caller's own tasks is due, unclaimed and past its pause. `own` selects them
/// by name.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn has_unclaimed(draft: &mut Draft<'_>, own: impl Fn(&str) -> bool) -> Result<bool, StepError> {
    let now = draft.now();
    Ok(pending(draft)?.iter().any(|task| own(&task.name) && task.is_free(now)))
}

/// Claims each of the caller's own tasks that is unclaimed and past its pause, and returns them.
/// `own` selects them by name. Do them after the commit, then [`complete`] or [`release`] each.
/// Never claim another crate's tasks, because that crate could not claim them until your claim
/// expires.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn claim(draft: &mut Draft<'_>, own: impl Fn(&str) -> bool) -> Result<Vec<DueTask>, StepError> {
    claim_where(draft, |task, now| own(&task.name) && task.is_free(now))
}

/// Claims tasks as [`claim`] does, but without regard to pauses: at the start of a server,
/// everything due is tried immediately.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn claim_now(draft: &mut Draft<'_>, own: impl Fn(&str) -> bool) -> Result<Vec<DueTask>, StepError> {
    claim_where(draft, |task, _| own(&task.name))
}

fn claim_where(
    draft: &mut Draft<'_>,
    wanted: impl Fn(&DueTask, UnixSeconds) -> bool,
) -> Result<Vec<DueTask>, StepError> {
    let now = draft.now();
    let claim = Claim { id: draft.random()?, made: now };
    let mut list = read(draft)?;
    let before = list.tasks.len();
    list.tasks.retain(|task| !task.is_over(now));
    let mut claimed = Vec::new();
    for task in list.tasks.iter_mut().filter(|task| wanted(task, now)) {
        task.claim = Some(claim);
        claimed.push(task.clone());
    }
    if !claimed.is_empty() || list.tasks.len() != before {
        write(draft, list)?;
    }
    Ok(claimed)
}

/// Releases claims after a failure. Each task is tried again after a pause that grows with its
/// failures. A task that was claimed by somebody else in the meantime is not changed.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn release(draft: &mut Draft<'_>, claimed: &[DueTask]) -> Result<(), StepError> {
    let now = draft.now();
    let mut list = read(draft)?;
    let mut released = 0_u32;
    for task in list.tasks.iter_mut().filter(|task| claimed.iter().any(|claimed| task.is(claimed))) {
        task.claim = None;
        task.failures = task.failures.saturating_add(1);
        task.failed = now;
        released = released.saturating_add(1);
    }
    if released == 0 {
        return Ok(());
    }
    draft.note_due_failures(released);
    write(draft, list)
}

/// Releases claims on tasks that were not tried. Another worker may claim them immediately.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn put_back(draft: &mut Draft<'_>, claimed: &[DueTask]) -> Result<(), StepError> {
    let mut list = read(draft)?;
    let mut returned = false;
    for task in list.tasks.iter_mut().filter(|task| claimed.iter().any(|claimed| task.is(claimed))) {
        task.claim = None;
        returned = true;
    }
    if returned { write(draft, list) } else { Ok(()) }
}

/// Renews the caller's claim on a task, which others then respect for as long again. Returns `None`
/// if somebody else has claimed the task or it was completed. In that case, do not do the task.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn claim_again(draft: &mut Draft<'_>, claimed: &DueTask) -> Result<Option<DueTask>, StepError> {
    let now = draft.now();
    let mut list = read(draft)?;
    let Some(task) = list.tasks.iter_mut().find(|task| task.is(claimed)) else { return Ok(None) };
    if let Some(claim) = &mut task.claim {
        claim.made = now;
    }
    let again = task.clone();
    write(draft, list)?;
    Ok(Some(again))
}

/// Removes a task that was done. Returns whether it was still claimed by the caller. If somebody
/// else has claimed it in the meantime, it stays in the list, and they will do it once more.
///
/// # Errors
/// Returns the errors of [`Draft::read`].
pub fn complete(draft: &mut Draft<'_>, claimed: &DueTask) -> Result<bool, StepError> {
    let mut list = read(draft)?;
    let before = list.tasks.len();
    list.tasks.retain(|task| !task.is(claimed));
    if list.tasks.len() == before {
        return Ok(false);
    }
    if list.tasks.is_empty() {
        // An account without due work has no list, so an erased account is then as empty as it
        // should be.
        draft.delete(DUE)?;
        draft.set_due_at(None);
    } else {
        write(draft, list)?;
    }
    Ok(true)
}

fn read(draft: &mut Draft<'_>) -> Result<DueList, StepError> {
    Ok(draft.read(DUE)?.unwrap_or_default())
}

/// Puts the list, settled, and records beside the root when it should next be checked.
fn write(draft: &mut Draft<'_>, mut list: DueList) -> Result<(), StepError> {
    let now = draft.now();
    list.tasks.iter_mut().for_each(|task| task.settle(now));
    draft.put(DUE, &list)?;
    draft.set_due_at(list.tasks.iter().map(|task| task.due_at(now)).min());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::future::block_on;
    use keywright_core::{AccountId, Keyring, SystemEntropy};

    use super::*;
    use crate::{Driver, MemoryStore, Partition, TransactError};

    fn task(claim: Option<Claim>) -> DueTask {
        let since = UnixSeconds::EPOCH.plus(1_000_000);
        DueTask {
            id: [1; 16],
            name: "a/b".into(),
            detail: Vec::new(),
            since,
            until: None,
            failures: 0,
            failed: UnixSeconds::EPOCH,
            evictable: false,
            blocking: false,
            claim,
        }
    }

    #[test]
    fn who_waits_for_a_task_is_told_how_long() {
        let start = UnixSeconds::EPOCH.plus(1_000_000);
        let claimed = task(Some(Claim { id: [1; 16], made: start }));
        for (passed, told) in [(0, 1), (4, 1), (5, 85), (60, 30), (89, 1), (90, 1), (10_000, 1)] {
            assert_eq!(claimed.retry_after(start.plus(passed)), told, "{passed}");
            // After that, the request itself may do it.
            let again = start.plus(passed.saturating_add(told));
            assert!(claimed.is_free(again) || told == 1, "{passed}");
        }
        assert_eq!(claimed.retry_after(start.minus(1)), 1, "by a clock that is a little behind");
        let mut failed = task(None);
        failed.failures = 5;
        failed.failed = start;
        assert_eq!((failed.retry_after(start), failed.retry_after(start.plus(31))), (32, 1));
        // Moments from a clock that ran ahead delay nobody.
        let ahead = task(Some(Claim { id: [1; 16], made: start.plus(1_000_000) }));
        assert_eq!(ahead.retry_after(start), 1);
    }

    #[test]
    fn a_claim_is_respected_by_clocks_that_differ() {
        let made = UnixSeconds::EPOCH.plus(1_000_000);
        let claimed = task(Some(Claim { id: [2; 16], made }));
        for (now, free) in [
            (made, false),
            (made.minus(1), false),
            (made.minus(CLAIM_LASTS), false),
            (made.minus(CLAIM_LASTS + 1), true),
            (made.plus(CLAIM_LASTS - 1), false),
            (made.plus(CLAIM_LASTS), true),
        ] {
            assert_eq!(claimed.is_free(now), free, "{now}");
        }
        assert!(task(None).is_free(made));
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        assert_eq!([1, 2, 3, 11, 12, 13, 200].map(pause), [2, 4, 8, 2_048, 3_600, 3_600, 3_600]);
        let now = UnixSeconds::EPOCH.plus(2_000_000);
        let failed = DueTask { failures: 3, failed: now.minus(8), ..task(None) };
        assert!(failed.is_free(now) && !failed.is_free(now.minus(1)));
    }

    #[test]
    fn a_failure_from_the_future_holds_up_nobody() {
        let now = UnixSeconds::EPOCH.plus(2_000_000);
        let failed_at = |failed| DueTask { failures: 200, failed, ..task(None) };
        let ahead = failed_at(now.plus(CLOCK_SKEW_SECONDS + 1));
        assert!(ahead.is_free(now) && ahead.due_at(now) <= now, "a clock that ran ahead");
        // Another server's clock: its pause is respected, and ends by any clock.
        let skewed = failed_at(now.plus(CLOCK_SKEW_SECONDS));
        let end = now.plus(CLOCK_SKEW_SECONDS + LONGEST_PAUSE);
        for moment in 0..=CLOCK_SKEW_SECONDS {
            assert_eq!(skewed.due_at(now.plus(moment)), end, "once reported, it does not move");
        }
        assert!(!skewed.is_free(end.minus(1)) && skewed.is_free(end));
        let claimed = task(Some(Claim { id: [2; 16], made: now.plus(CLAIM_LASTS + 1) }));
        assert!(claimed.is_free(now) && claimed.due_at(now) <= now);
    }

    #[test]
    fn another_claim_is_another_task() {
        let made = UnixSeconds::EPOCH;
        let (first, second) = (task(Some(Claim { id: [2; 16], made })), task(Some(Claim { id: [3; 16], made })));
        assert!(first.is(&first) && !first.is(&second));
    }

    #[test]
    fn a_few_of_a_name_and_room_for_what_must_not_fail() {
        let keyring = Arc::new(Keyring::generate(&SystemEntropy).unwrap());
        let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).build().unwrap();
        let account = Partition::account(&AccountId::new("user-1").unwrap());
        let add = |new: NewTask<'static>| {
            let step = |draft: &mut Draft<'_>| {
                if !draft.exists() {
                    draft.create_account()?;
                }
                add(draft, new.clone())
            };
            block_on(driver.transact(&account, &[DUE.name()], step)).map(drop)
        };
        let details = || -> Vec<Vec<u8>> {
            let look = |draft: &mut Draft<'_>| Ok(pending(draft)?.into_iter().map(|task| task.detail).collect());
            block_on(driver.observe(&account, &[DUE.name()], look)).unwrap()
        };
        let notice = |number| NewTask::new("test/notice", vec![number]).at_most(3);
        add(NewTask::new("test/other", vec![100])).unwrap();
        for number in 0..10 {
            add(notice(number)).unwrap();
        }
        assert_eq!(details(), [[100], [7], [8], [9]], "the oldest of the name give way");
        for _ in details().len()..MAX_DUE {
            add(NewTask::new("test/other", vec![100])).unwrap();
        }
        add(notice(10)).unwrap();
        assert_eq!(details().len(), MAX_DUE, "an older notice made room");
        let full = |added: Result<(), TransactError>| matches!(added, Err(TransactError::Step(StepError::TooMuchDue)));
        assert!(full(add(NewTask::new("test/other", Vec::new()))));
        for _ in 0..RESERVED {
            add(NewTask::new("test/erase", Vec::new()).reserved()).unwrap();
        }
        assert!(full(add(NewTask::new("test/erase", Vec::new()).reserved())), "bounded too");
    }
}
