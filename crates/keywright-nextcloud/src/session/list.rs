//! The list of an account's sessions: which exist, how long they live, and which makes room for
//! which.

use keywright_core::UnixSeconds;
use keywright_store::{Draft, Members, Record, Root, Slot, StepError};
use serde::{Deserialize, Serialize};

use crate::policy::{MAX_SESSIONS, SESSION_ABSOLUTE, SESSION_LIFETIME};

/// The slot of the list. It lasts, because a session that the list does not name is void.
pub(crate) const SESSIONS: Slot<SessionList> = Slot::lasting("sessions");

/// The last use is written only when it is older than a tenth of the lifetime (`docs/decisions.md`
/// 17).
const TOUCH_AFTER: u64 = SESSION_LIFETIME / 10;

/// How far servers' clocks may differ, in seconds. A session made up to this far in the future is
/// valid, beyond it is void.
const CLOCK_SKEW: u64 = 60;

/// The sessions, in the order of their creation. A session that is not listed is void.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct SessionList {
    pub(super) entries: Vec<Listed>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(super) selector: [u8; 16],
    pub(super) authorized: bool,
    /// Whether the session proved the challenge. Without a challenge there is nothing to prove.
    pub(super) proven: bool,
    pub(super) epoch: u64,
    pub(super) made: UnixSeconds,
    pub(super) used: UnixSeconds,
}

impl Record for SessionList {
    const SCHEMA: u16 = 1;
}

impl Members for SessionList {
    fn lists(&self, id: &[u8; 16]) -> bool {
        self.entries.iter().any(|entry| entry.selector == *id)
    }
}

impl Listed {
    pub(super) fn is_live(&self, draft: &Draft<'_>, root: &Root) -> bool {
        let now = draft.now();
        self.epoch == root.credential_epoch
            && self.made <= now.plus(CLOCK_SKEW)
            && self.made >= draft.keyring().fence()
            && now.since(self.used) <= SESSION_LIFETIME
            && now.since(self.made) <= SESSION_ABSOLUTE
    }

    /// Records a use, if the last recorded one is old enough. Returns whether it did.
    pub(super) fn touch(&mut self, now: UnixSeconds) -> bool {
        let stale = now.since(self.used) > TOUCH_AFTER;
        if stale {
            self.used = now;
        }
        stale
    }

    /// Returns the first moment at which the session is dead if nobody uses it.
    fn end(&self) -> UnixSeconds {
        self.used.plus(SESSION_LIFETIME).min(self.made.plus(SESSION_ABSOLUTE)).plus(1)
    }

    /// Returns when the session's record may be removed: it is dead by then in any case, with a day
    /// of grace for clocks.
    pub(super) const fn purge_after(&self) -> UnixSeconds {
        self.made.plus(2 * SESSION_ABSOLUTE)
    }
}

/// Why a session that has proven nothing is saved, which decides whose place it may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unproven {
    /// A request must keep something: a reset code, a credit.
    Asking,
    /// The session was opened without a challenge.
    Open,
}

/// There is no room for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// Seconds, at least 1, until the first of the other sessions ends if nobody uses it.
    pub(crate) retry_after: u64,
}

pub(super) fn read(draft: &mut Draft<'_>) -> Result<SessionList, StepError> {
    Ok(draft.read(SESSIONS)?.unwrap_or_default())
}

impl SessionList {
    /// Sets every last use that lies in the future, recorded by a clock that ran ahead, to now:
    /// otherwise the session would not age until that time. Returns whether there was one.
    pub(super) fn settle(&mut self, now: UnixSeconds) -> bool {
        let mut settled = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.used > now.plus(CLOCK_SKEW)) {
            entry.used = now;
            settled = true;
        }
        settled
    }

    pub(super) fn find_mut(&mut self, selector: &[u8; 16]) -> Option<&mut Listed> {
        self.entries.iter_mut().find(|entry| entry.selector == *selector)
    }

    /// Makes room for one more among the live sessions, which has proven nothing. A request takes
    /// the place of the oldest session that has not either (`docs/decisions.md` 68). A session that
    /// is opened takes an unauthorized one's place first. None of this ends a session that was
    /// opened with a proof.
    pub(super) fn make_room(&mut self, draft: &Draft<'_>, saving: Unproven) -> Result<(), NoRoom> {
        while self.entries.len() >= MAX_SESSIONS {
            let weakest = match saving {
                Unproven::Asking => self.first_unproven(),
                Unproven::Open => self.first_unauthorized().or_else(|| self.first_unproven()),
            };
            let Some(weakest) = weakest else {
                let end = self.entries.iter().map(Listed::end).min().unwrap_or(draft.now());
                return Err(NoRoom { retry_after: end.since(draft.now()).max(1) });
            };
            self.entries.remove(weakest);
        }
        Ok(())
    }

    /// Makes room for one that has proven the challenge: in the same order, and at last in the
    /// place of the oldest.
    pub(super) fn make_room_for_proof(&mut self) {
        while self.entries.len() >= MAX_SESSIONS {
            let weakest = self.first_unauthorized().or_else(|| self.first_unproven()).unwrap_or(0);
            self.entries.remove(weakest);
        }
    }

    /// Returns the place of the oldest unauthorized session. The list is in the order of creation.
    fn first_unauthorized(&self) -> Option<usize> {
        self.entries.iter().position(|entry| !entry.authorized)
    }

    /// Returns the place of the oldest session that has not proven the challenge.
    fn first_unproven(&self) -> Option<usize> {
        self.entries.iter().position(|entry| !entry.proven)
    }
}
