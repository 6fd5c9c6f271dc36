//! What a step asks the host's verifier, and the answer with which it runs again.

use std::sync::Arc;

use keywright_core::Attempt;

use super::Draft;
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

    /// Brings the verifier's answer. It counts if the guess was pending until now.
    pub(crate) fn bring(&mut self, answer: Arc<Answer>, counts: bool) {
        self.comparing.answer = Some(answer);
        self.comparing.counts = counts;
    }

    /// Returns the answer to a guess, if there is one; inside, `None` if it no longer counts.
    pub(crate) fn answer(&self, attempt: &Attempt, code: &[u8]) -> Option<Option<Arc<Answer>>> {
        let answer = self.comparing.answer.as_ref()?;
        let is_of_guess = answer.attempt == *attempt && answer.code.expose() == code;
        is_of_guess.then(|| self.comparing.counts.then(|| Arc::clone(answer)))
    }
}
