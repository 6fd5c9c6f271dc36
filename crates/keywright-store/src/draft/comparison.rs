//! What a step asks the host's verifier, and the answers with which it runs again.

use std::sync::Arc;

use keywright_core::{AdmittedAttempt, Attempt};

use super::{Draft, Staged};
use crate::draft::comparing::{UnpaidGuess, WrongGuess};
use crate::step_error::StepError;
use crate::verifier::{Answer, Question};

impl Draft<'_> {
    /// Whether a guess can be compared with slow hashes here: the driver has a
    /// [`CodeVerifier`](crate::hashed::CodeVerifier), and this is neither a read without a commit
    /// nor a host's own transaction. See [`hashed::check`](crate::hashed::check).
    #[must_use]
    pub const fn can_compare(&self) -> bool {
        self.env.compares && self.access.is_some() && !self.spending
    }

    /// Asks the verifier, by an error that ends this run of the step.
    pub(crate) fn ask<T>(&mut self, question: Question) -> Result<T, StepError> {
        if !self.can_compare() {
            return Err(StepError::Misuse("a code was to be compared where no verifier can be asked"));
        }
        self.comparing.question = Some(question);
        Err(StepError::NeedsComparison)
    }

    /// Returns what this run has asked.
    pub(crate) const fn take_question(&mut self) -> Option<Question> {
        self.comparing.question.take()
    }

    /// Brings an answer of the verifier. It counts if the guess was pending until now.
    pub(crate) fn bring(&mut self, answer: Arc<Answer>, counts: bool) {
        self.comparing.answers.push((answer, counts));
    }

    /// Returns the answer to a guess, if there is one; inside, `None` if it no longer counts.
    pub(crate) fn answer(&self, attempt: &Attempt, code: &[u8]) -> Option<Option<Arc<Answer>>> {
        let is_of_guess =
            |answer: &Answer| is_same_guess(answer.pending.admitted(), attempt) && answer.code.expose() == code;
        let (answer, counts) = self.comparing.answers.iter().find(|(answer, _)| is_of_guess(answer))?;
        Some(counts.then(|| Arc::clone(answer)))
    }

    /// Notes that a guess was wrong, for the case that the run ends with a question: what it has
    /// staged is not written then, but what it has learned must be paid for.
    pub(crate) fn note_wrong(&mut self, admitted: &AdmittedAttempt) {
        if self.can_compare() {
            let purpose = self.origin.purpose.clone();
            self.comparing.wrong.push(WrongGuess { admitted: *admitted, purpose });
        }
    }

    /// Returns what this run has found wrong.
    pub(crate) fn take_wrong(&mut self) -> Vec<WrongGuess> {
        std::mem::take(&mut self.comparing.wrong)
    }

    /// Brings what an earlier run has found wrong.
    pub(crate) fn bring_unpaid(&mut self, unpaid: UnpaidGuess) {
        self.comparing.unpaid.push(unpaid);
    }

    /// Notes that this run compares a guess. Returns whether an earlier run has found it wrong.
    pub(crate) fn compares_again(&mut self, attempt: &Attempt) -> bool {
        let unpaid = &mut self.comparing.unpaid;
        let at = unpaid.iter().position(|unpaid| is_same_guess(unpaid.pending.admitted(), attempt));
        at.map(|at| unpaid.swap_remove(at)).is_some()
    }

    /// Returns what an earlier run has found wrong and this one has not compared.
    pub(crate) fn take_unpaid(&mut self) -> Vec<UnpaidGuess> {
        std::mem::take(&mut self.comparing.unpaid)
    }

    /// Returns what is staged, to [turn back](Self::turn_back) to.
    pub(crate) fn checkpoint(&self) -> Staged {
        self.staged.clone()
    }

    /// Drops what was staged since a checkpoint.
    pub(crate) fn turn_back(&mut self, checkpoint: Staged) {
        self.staged = checkpoint;
        self.grants = false;
    }
}

/// Whether two guesses of one request are at the same secret. What a request's client has replaced or
/// introduced may look different in another run.
fn is_same_guess(earlier: &AdmittedAttempt, now: &Attempt) -> bool {
    let is_same_client = earlier.client().tag() == now.client.tag();
    is_same_client && earlier.secret() == now.secret && earlier.generation() == now.generation
}
