//! Due work: what the host must still do after a commit, written by that same commit. Done at once, deleted when done,
//! tried again by the next request or the sweep. So the host's methods must be idempotent.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use keywright_core::UnixSeconds;
use serde::{Deserialize, Serialize};

use crate::{Draft, Record, Slot, StepError};

/// The most tasks an account can owe. More means that the host has been failing for long; a further act is refused.
pub const MAX_DUE: usize = 64;

/// How long, in seconds, one server may be at a task before another may try. Two servers doing one task at once is what
/// idempotence is for; but a second erasure that comes after the user has stored something new would erase that too.
pub const CLAIM_SECONDS: u64 = 30;

/// One piece of work.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DueTask {
    /// Its id, drawn when it was added.
    pub id: [u8; 16],
    /// What to do; the name is the adding crate's, with its own prefix.
    pub name: String,
    /// Whatever the adding crate needs to do it.
    pub detail: Vec<u8>,
    /// When it was added.
    pub since: UnixSeconds,
    /// Until when whoever claimed it may be at it.
    claimed_until: UnixSeconds,
}

impl DueTask {
    /// Whether nobody is at it: the claim has run out, or the clock went back behind it.
    #[must_use]
    pub const fn is_free(&self, now: UnixSeconds) -> bool {
        self.claimed_until.get() <= now.get() || self.claimed_until.get() > now.plus(CLAIM_SECONDS).get()
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
/// commit. Gives its id.
///
/// # Errors
/// [`StepError::TooMuchDue`] at [`MAX_DUE`] tasks; else as reading does.
pub fn add(draft: &mut Draft<'_>, name: &str, detail: Vec<u8>) -> Result<[u8; 16], StepError> {
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    if list.tasks.len() >= MAX_DUE {
        return Err(StepError::TooMuchDue);
    }
    let id = draft.random()?;
    let since = draft.now();
    list.tasks.push(DueTask { id, name: name.into(), detail, since, claimed_until: since.plus(CLAIM_SECONDS) });
    draft.put(Slot::Due, &list, None)?;
    Ok(id)
}

/// What the account owes, oldest first.
///
/// # Errors
/// As reading does.
pub fn pending(draft: &mut Draft<'_>) -> Result<Vec<DueTask>, StepError> {
    Ok(draft.read::<DueList>(Slot::Due)?.unwrap_or_default().tasks)
}

/// Claims every task that nobody is at, and gives them: do them after the commit.
///
/// # Errors
/// As reading does.
pub fn claim(draft: &mut Draft<'_>) -> Result<Vec<DueTask>, StepError> {
    let now = draft.now();
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    let mut claimed = Vec::new();
    for task in list.tasks.iter_mut().filter(|task| task.is_free(now)) {
        task.claimed_until = now.plus(CLAIM_SECONDS);
        claimed.push(task.clone());
    }
    if !claimed.is_empty() {
        draft.put(Slot::Due, &list, None)?;
    }
    Ok(claimed)
}

/// Gives claims back: the host failed, and whoever comes next may try at once.
///
/// # Errors
/// As reading does.
pub fn release(draft: &mut Draft<'_>, ids: &[[u8; 16]]) -> Result<(), StepError> {
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    let mut released = false;
    for task in list.tasks.iter_mut().filter(|task| ids.contains(&task.id)) {
        task.claimed_until = UnixSeconds::EPOCH;
        released = true;
    }
    if released { draft.put(Slot::Due, &list, None) } else { Ok(()) }
}

/// Strikes a task that was done. Gives whether it was still there: two servers may both have done it.
///
/// # Errors
/// As reading does.
pub fn complete(draft: &mut Draft<'_>, id: [u8; 16]) -> Result<bool, StepError> {
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    let before = list.tasks.len();
    list.tasks.retain(|task| task.id != id);
    if list.tasks.len() == before {
        return Ok(false);
    }
    draft.put(Slot::Due, &list, None)?;
    Ok(true)
}
