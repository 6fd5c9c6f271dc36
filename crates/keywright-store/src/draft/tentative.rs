//! What comes out only after the commit, and verdicts that are held back.

use super::{Draft, Staged};
use crate::locks::Standing;
use crate::release::Tentative;
use crate::revision::Revision;
use crate::step_error::StepError;

impl<'a> Draft<'a> {
    /// A value that comes out only after the commit: a proof, a key, a token.
    pub const fn tentative<T>(&mut self, value: T) -> Tentative<T> {
        self.grants = true;
        Tentative::new(value, self.attempt)
    }

    /// Runs a step and holds back what it would write, until [`stage`](Self::stage) books it or it is dropped. Of two
    /// proofs, the right one is never spent, nor forgiven, because the other was wrong.
    ///
    /// # Errors
    /// The step's own.
    pub fn judge<T, F>(&mut self, step: F) -> Result<Judged<T, F>, StepError>
    where
        F: Fn(&mut Draft<'a>) -> Result<T, StepError>,
    {
        let before = self.staged.clone();
        let result = step(self);
        let after = std::mem::replace(&mut self.staged, before);
        Ok(Judged { outcome: result?, attempt: self.attempt, based_on: self.staged.version, after, step })
    }

    /// Books a held verdict. If other steps were booked since, it is reached again on the state they left, so that no
    /// charge is lost: the outcome returned is the one that counts.
    ///
    /// # Errors
    /// The step's own.
    pub fn stage<T, F>(&mut self, judged: Judged<T, F>) -> Result<T, StepError>
    where
        F: Fn(&mut Draft<'a>) -> Result<T, StepError>,
    {
        if judged.attempt != self.attempt {
            return Err(StepError::Misuse("a verdict of another attempt"));
        }
        if judged.based_on != self.staged.version {
            return (judged.step)(self);
        }
        self.staged = judged.after;
        Ok(judged.outcome)
    }

    /// Whether a guess may be compared now. Without the partition in hand parallel guesses would all be judged by one
    /// ledger, and those that find the queue full would never be charged. Where nobody has it, it is taken here: what was
    /// loaded still serves, and the step goes on.
    pub(crate) fn admit_guess(&mut self, standing: Standing) -> Result<(), StepError> {
        self.standing = standing;
        match self.turn {
            Some(turn) if turn.take(self.partition) => Ok(()),
            _ => Err(StepError::NeedsPartition(standing)),
        }
    }

    /// Notes that something is granted: the batch is committed even if it changes nothing.
    pub(crate) const fn grant(&mut self) {
        self.grants = true;
    }
}

impl<T> Tentative<T> {
    /// A look at the value for a step of the **same** draft: it may use a key that is not yet released to seal what
    /// belongs to it. Nothing of it may leave the step.
    ///
    /// # Errors
    /// [`StepError::Misuse`] in any other attempt.
    pub fn peek(&self, draft: &Draft<'_>) -> Result<&T, StepError> {
        self.of_attempt(draft.attempt()).ok_or(StepError::Misuse("a value of another attempt"))
    }
}

/// A step's verdict, its writes held back.
#[must_use = "a verdict that is not staged counts nothing"]
pub struct Judged<T, F> {
    outcome: T,
    attempt: Revision,
    based_on: u64,
    after: Staged,
    step: F,
}

impl<T, F> Judged<T, F> {
    /// The verdict, to decide whether to book it.
    pub const fn outcome(&self) -> &T {
        &self.outcome
    }
}

keywright_core::redacted_debug!(impl[T, F] Judged<T, F>);
