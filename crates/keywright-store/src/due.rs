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

/// Adds a task to the batch that makes it necessary. Gives its id.
///
/// # Errors
/// [`StepError::TooMuchDue`] at [`MAX_DUE`] tasks; else as reading does.
pub fn add(draft: &mut Draft<'_>, name: &str, detail: Vec<u8>) -> Result<[u8; 16], StepError> {
    let mut list = draft.read::<DueList>(Slot::Due)?.unwrap_or_default();
    if list.tasks.len() >= MAX_DUE {
        return Err(StepError::TooMuchDue);
    }
    let id = draft.random()?;
    list.tasks.push(DueTask { id, name: name.into(), detail, since: draft.now() });
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
