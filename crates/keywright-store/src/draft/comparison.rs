//! What a step asks the host's verifier, and the answers with which it runs again.

use std::sync::Arc;

use keywright_core::{Attempt, Charge};

use super::{Draft, Staged};
use crate::draft::comparing::WrongGuess;
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
        let is_of_guess = |answer: &Answer| is_same_guess(&answer.attempt, attempt) && answer.code.expose() == code;
        let (answer, counts) = self.comparing.answers.iter().find(|(answer, _)| is_of_guess(answer))?;
        Some(counts.then(|| Arc::clone(answer)))
    }

    /// Notes that a guess was wrong, for the case that the run ends with a question: what it has
    /// staged is not written then, but what it has learned must be paid for.
    pub(crate) fn note_wrong(&mut self, attempt: &Attempt) {
        let is_noted = self.comparing.wrong.iter().any(|wrong| is_same_guess(&wrong.attempt, attempt));
        if self.can_compare() && !is_noted {
            let purpose = self.origin.purpose.clone();
            self.comparing.wrong.push(WrongGuess { attempt: *attempt, purpose });
        }
    }

    /// Returns what this run has found wrong.
    pub(crate) fn take_wrong(&mut self) -> Vec<WrongGuess> {
        std::mem::take(&mut self.comparing.wrong)
    }

    /// Brings what earlier runs of the step have found wrong. It is charged already.
    pub(crate) fn bring_charged(&mut self, charged: &[(Attempt, Charge)]) {
        self.comparing.charged.extend_from_slice(charged);
    }

    /// Returns what a guess was charged in an earlier run of the step.
    pub(crate) fn charged_before(&self, attempt: &Attempt) -> Option<Charge> {
        let mut charged = self.comparing.charged.iter();
        charged.find(|(before, _)| is_same_guess(before, attempt)).map(|(_, charge)| charge.clone())
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
fn is_same_guess(a: &Attempt, b: &Attempt) -> bool {
    a.secret == b.secret && a.generation == b.generation && a.client.tag() == b.client.tag()
}
