//! Counts what a search has really met, so that a clean verdict is not an empty one.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The answer that a caller receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It happened.
    Done,
    /// It did not happen: refused, or busy.
    Refused,
    /// The stored data is damaged.
    Integrity,
    /// It may have happened.
    Unknown,
}

impl Answer {
    const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::Integrity, Self::Unknown];
}

/// An event that a search should meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A code was granted.
    Granted,
    /// A commit found another root.
    Conflict,
    /// A lost reply was settled as applied.
    SettledLanded,
    /// A lost reply was settled as never applied, by `recent`.
    SettledNever,
    /// A fence was sent.
    FenceSent,
    /// A fence was applied.
    FenceStands,
    /// A fence's own reply was lost.
    FenceLost,
    /// A held commit was applied late.
    LandedLate,
    /// The answer was "unknown" because `recent` did not reach back.
    Unknown,
    /// The answer was "busy".
    Busy,
    /// A grant was made by a commit that writes nothing.
    Checked,
    /// A commit pruned an expired record.
    Pruned,
    /// A sweep deleted a row.
    Swept,
    /// A whole partition was swept: one with a blank root, or an account that was never verified.
    SweptWhole,
    /// An account was erased.
    Erased,
    /// An account was created.
    Created,
    /// An account was verified before it expired.
    Verified,
    /// A blank root was put as the fence of a creation.
    BlankFence,
    /// A load looked suspicious and was repeated.
    SecondLook,
    /// A driver was restarted in the middle of an attempt.
    Restarted,
    /// Rows were staged beside the vault.
    Staged,
    /// Staged rows were promoted.
    Promoted,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 22] = [
        Self::Granted,
        Self::Conflict,
        Self::SettledLanded,
        Self::SettledNever,
        Self::FenceSent,
        Self::FenceStands,
        Self::FenceLost,
        Self::LandedLate,
        Self::Unknown,
        Self::Busy,
        Self::Checked,
        Self::Pruned,
        Self::Swept,
        Self::SweptWhole,
        Self::Erased,
        Self::Created,
        Self::Verified,
        Self::BlankFence,
        Self::SecondLook,
        Self::Restarted,
        Self::Staged,
        Self::Promoted,
    ];
}

/// Counts how often each event was met, over all transitions of a search.
#[derive(Debug, Default)]
pub struct Coverage {
    counts: [AtomicU64; Event::ALL.len()],
    /// The last answer, counted from one, or zero if there is none.
    answer: AtomicU8,
}

impl Coverage {
    pub(crate) fn met(&self, event: Event) {
        self.counts[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, answer: Answer) {
        self.answer.store(answer as u8 + 1, Ordering::Relaxed);
    }

    /// Returns the last answer to a caller, for code that follows a single history. Each answer is
    /// returned once.
    pub fn take_answer(&self) -> Option<Answer> {
        let answer = self.answer.swap(0, Ordering::Relaxed);
        Answer::ALL.into_iter().find(|known| *known as u8 + 1 == answer)
    }

    /// Returns how often an event was met.
    #[must_use]
    pub fn count(&self, event: Event) -> u64 {
        self.counts[event as usize].load(Ordering::Relaxed)
    }
}
