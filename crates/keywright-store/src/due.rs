//! Due work: what the host must still do after a commit, written by that same commit. Done at once, deleted when done,
//! tried again by the next request or the sweep. So the host's methods must be idempotent.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use keywright_core::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::{Draft, Record, Slot, StepError};

#[cfg(feature = "std")]
mod work;

#[cfg(feature = "std")]
pub use work::{Attempt, DueWork, OnFailure, Worked};

/// The most tasks an account can owe. More means that the host has been failing for long; a further act is refused.
pub const MAX_DUE: usize = 64;

/// How long, in seconds, one server should be at a task. Two servers doing one task at once is what idempotence is for;
/// but a second erasure that comes after the user has stored something new would erase that too.
pub const CLAIM_SECONDS: u64 = 30;

/// How far servers' clocks may differ, in seconds: so much longer a claim is respected, in either direction.
pub const CLOCK_SKEW_SECONDS: u64 = 60;

/// After how many seconds, by any server's clock, a claim that nobody gave back has certainly run out.
pub const CLAIM_LASTS: u64 = CLAIM_SECONDS + CLOCK_SKEW_SECONDS;

/// Who is at a task: drawn anew for each claim, so that nobody strikes or gives back what another has claimed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    id: [u8; 16],
    made: UnixSeconds,
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
    claim: Option<Claim>,
}

impl DueTask {
    /// Whether nobody is at it: it was given back, the claim has run out, or the clock went back far behind it.
    #[must_use]
    pub fn is_free(&self, now: UnixSeconds) -> bool {
        self.claim.is_none_or(|claim| claim.made.plus(CLAIM_LASTS) <= now || claim.made > now.plus(CLAIM_LASTS))
    }

    /// The same task under the same claim.
    fn is(&self, claimed: &Self) -> bool {
        self.id == claimed.id && self.claim == claimed.claim
    }
}

impl fmt::Debug for DueTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DueTask({}, since {})", self.name, self.since)
    }
}

/// All that an account owes: one record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DueList {
    tasks: Vec<DueTask>,
}

impl Record for DueList {
    const SCHEMA: u16 = 1;
}

/// Adds a task to the batch that makes it necessary, claimed by whoever commits that batch: do it at once after the
/// commit. Gives the task.
///
/// # Errors
/// [`StepError::TooMuchDue`] at [`MAX_DUE`] tasks; else as reading does.
pub fn add(draft: &mut Draft<'_>, name: &str, detail: Vec<u8>) -> Result<DueTask, StepError> {
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    if list.tasks.len() >= MAX_DUE {
        return Err(StepError::TooMuchDue);
    }
    let since = draft.now();
    let claim = Some(Claim { id: draft.random()?, made: since });
    let task = DueTask { id: draft.random()?, name: name.into(), detail, since, claim };
    list.tasks.push(task.clone());
    draft.put(Slot::Due, &list, None)?;
    Ok(task)
}

/// What the account owes, oldest first.
///
/// # Errors
/// As reading does.
pub fn pending(draft: &mut Draft<'_>) -> Result<Vec<DueTask>, StepError> {
    Ok(draft.read::<DueList>(Slot::Due)?.unwrap_or_default().tasks)
}

/// Whether something is due that is the caller's own by its name and that nobody is at.
///
/// # Errors
/// As reading does.
pub fn has_free(draft: &mut Draft<'_>, own: impl Fn(&str) -> bool) -> Result<bool, StepError> {
    let now = draft.now();
    Ok(pending(draft)?.iter().any(|task| own(&task.name) && task.is_free(now)))
}

/// Claims every task that is the caller's own by its name and that nobody is at, and gives them: do them after the
/// commit, then [`complete`] or [`release`] each. Never claim another part's work: its owner could not get at it.
///
/// # Errors
/// As reading does.
pub fn claim(draft: &mut Draft<'_>, own: impl Fn(&str) -> bool) -> Result<Vec<DueTask>, StepError> {
    let now = draft.now();
    let claim = Claim { id: draft.random()?, made: now };
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    let mut claimed = Vec::new();
    for task in list.tasks.iter_mut().filter(|task| own(&task.name) && task.is_free(now)) {
        task.claim = Some(claim);
        claimed.push(task.clone());
    }
    if !claimed.is_empty() {
        draft.put(Slot::Due, &list, None)?;
    }
    Ok(claimed)
}

/// Gives claims back: the host failed, and whoever comes next may try at once. A task that somebody else has claimed
/// since is left to them.
///
/// # Errors
/// As reading does.
pub fn release(draft: &mut Draft<'_>, claimed: &[DueTask]) -> Result<(), StepError> {
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    let mut released = false;
    for task in list.tasks.iter_mut().filter(|task| claimed.iter().any(|claimed| task.is(claimed))) {
        task.claim = None;
        released = true;
    }
    if released { draft.put(Slot::Due, &list, None) } else { Ok(()) }
}

/// Strikes a task that was done. Gives whether it was still there under this claim: somebody who has claimed it since
/// does it again, and strikes it then.
///
/// # Errors
/// As reading does.
pub fn complete(draft: &mut Draft<'_>, claimed: &DueTask) -> Result<bool, StepError> {
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    let before = list.tasks.len();
    list.tasks.retain(|task| !task.is(claimed));
    if list.tasks.len() == before {
        return Ok(false);
    }
    draft.put(Slot::Due, &list, None)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(claim: Option<Claim>) -> DueTask {
        let since = UnixSeconds::EPOCH.plus(1_000_000);
        DueTask { id: [1; 16], name: "a/b".into(), detail: Vec::new(), since, claim }
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
    fn another_claim_is_another_task() {
        let made = UnixSeconds::EPOCH;
        let (first, second) = (task(Some(Claim { id: [2; 16], made })), task(Some(Claim { id: [3; 16], made })));
        assert!(first.is(&first) && !first.is(&second));
    }
}
