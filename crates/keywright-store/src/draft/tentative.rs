//! Values that are returned only after the commit, and steps whose changes are held back.

use super::{Draft, Staged};
use crate::locks::Standing;
use crate::release::Tentative;
use crate::revision::Revision;
use crate::step_error::StepError;

impl<'a> Draft<'a> {
    /// Marks a value as tentative, so that it is returned only after the commit: a proof, a key, a
    /// token.
    pub const fn tentative<T>(&mut self, value: T) -> Tentative<T> {
        self.grants = true;
        Tentative::new(value, self.attempt)
    }

    /// Runs a step and holds its changes back until the result is passed to [`stage`](Self::stage)
    /// or dropped. This is for a request with two proofs: if one of them is wrong, the right one is
    /// neither spent nor recorded as a right guess.
    ///
    /// # Errors
    /// Returns the step's own errors.
    pub fn judge<T, F>(&mut self, step: F) -> Result<Judged<T, F>, StepError>
    where
        F: Fn(&mut Draft<'a>) -> Result<T, StepError>,
    {
        let before = self.staged.clone();
        let result = step(self);
        let after = std::mem::replace(&mut self.staged, before);
        Ok(Judged { outcome: result?, attempt: self.attempt, based_on: self.staged.version, after, step })
    }

    /// Applies changes that were held back. If other changes were applied in the meantime, the step
    /// runs again on the new state, so that no charge is lost. Use the outcome that this returns,
    /// not the earlier one.
    ///
    /// # Errors
    /// Returns the step's own errors.
    pub fn stage<T, F>(&mut self, judged: Judged<T, F>) -> Result<T, StepError>
    where
        F: Fn(&mut Draft<'a>) -> Result<T, StepError>,
    {
        if judged.attempt != self.attempt {
            return Err(StepError::Misuse("the verdict belongs to another attempt"));
        }
        if judged.based_on != self.staged.version {
            return (judged.step)(self);
        }
        self.staged = judged.after;
        Ok(judged.outcome)
    }

    /// Whether a guess may be compared now. Without exclusive use of the partition, parallel
    /// guesses would all be judged by the same ledger, and those that find the queue full would
    /// never be charged. If nobody holds the partition, it is taken here; the loaded snapshot is
    /// still valid, and the step goes on.
    pub(crate) fn admit_guess(&mut self, standing: Standing) -> Result<(), StepError> {
        self.standing = standing;
        match self.access {
            Some(access) if access.take(self.partition) => Ok(()),
            _ => Err(StepError::NeedsPartition(standing)),
        }
    }

    /// Records that something is granted, so that the batch is committed even if it changes
    /// nothing.
    pub(crate) const fn grant(&mut self) {
        self.grants = true;
    }
}

impl<T> Tentative<T> {
    /// Returns the value to a step of the **same** draft, which may for example seal data with a
    /// key that is not released yet. Nothing of the value may leave the step.
    ///
    /// # Errors
    /// Returns [`StepError::Misuse`] in any other attempt.
    pub fn peek(&self, draft: &Draft<'_>) -> Result<&T, StepError> {
        self.of_attempt(draft.attempt()).ok_or(StepError::Misuse("the tentative value belongs to another attempt"))
    }
}

/// The outcome of a step whose changes are held back.
#[must_use = "a verdict that is not staged counts nothing"]
pub struct Judged<T, F> {
    outcome: T,
    attempt: Revision,
    based_on: u64,
    after: Staged,
    step: F,
}

impl<T, F> Judged<T, F> {
    /// Returns the outcome, to decide whether to stage the changes.
    pub const fn outcome(&self) -> &T {
        &self.outcome
    }
}

keywright_core::redacted_debug!(impl[T, F] Judged<T, F>);
