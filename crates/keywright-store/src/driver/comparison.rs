//! Steps that need the host's verifier: it is asked in between two commits.

use std::sync::Arc;

use keywright_core::ledger::PendingGuess;
use keywright_core::{Attempt, Charge, Refusal, SecretVec};

use super::measure::Tally;
use super::{Driver, TransactError};
use crate::draft::Draft;
use crate::draft::comparing::WrongGuess;
use crate::guess::ledger::LEDGER;
use crate::guess::{self, AttemptOutcome, Comparison};
use crate::partition::Partition;
use crate::port::BoxFuture;
use crate::release::Receipt;
use crate::slot::SlotName;
use crate::step_error::StepError;
use crate::verifier::{Answer, HashJob, Question, VerifierUnavailable};

/// How often a verifier is asked for one operation. Once is enough, unless a step checks two such
/// codes.
const MAX_QUESTIONS: usize = 2;

/// How a run of a step ended.
enum Ended<T> {
    Decided(T),
    Asked(Box<Asked>),
}

/// A run that ended with a question. What it had staged is dropped, and this is committed instead.
struct Asked {
    question: Question,
    /// The guess in question, or `None` after too many questions.
    begun: Option<Result<PendingGuess, Refusal>>,
    /// The other guesses that the run had found wrong. Nothing may be learned from a comparison that
    /// is not charged in the same commit, whatever becomes of the question.
    charged: Vec<(Attempt, Charge)>,
}

/// What earlier runs of the step have brought.
#[derive(Default)]
struct Known {
    answers: Vec<Arc<Answer>>,
    charged: Vec<(Attempt, Charge)>,
}

impl Known {
    /// Brings it into the next run. From here on, a guess that was compared is one like any other. If
    /// the step does not come to it, nobody learns the verdict, and nothing is charged.
    fn bring(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.bring_charged(&self.charged);
        for answer in &self.answers {
            let counts = draft.exists() && guess::withdraw(draft, &answer.pending)?;
            draft.bring(Arc::clone(answer), counts);
        }
        Ok(())
    }
}

impl Driver {
    /// Runs a step until it is committed or denied, and has the verifier compare what the step asks
    /// for. The partition is free meanwhile.
    pub(super) async fn run_with_verifier<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        mut step: F,
        tally: &mut Tally,
    ) -> Result<(T, Receipt), TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        if !self.has_code_verifier() {
            return self.run_rounds(partition, slots, step, tally).await;
        }
        let (mut known, mut asked) = (Known::default(), 0_usize);
        loop {
            let run = |draft: &mut Draft<'_>| {
                let untouched = draft.checkpoint();
                known.bring(draft)?;
                match (step(draft), draft.take_question()) {
                    (Err(StepError::NeedsComparison), Some(question)) => {
                        draft.turn_back(untouched);
                        begin(draft, question, asked < MAX_QUESTIONS).map(|asked| Ended::Asked(Box::new(asked)))
                    }
                    (decided, _) => decided.map(Ended::Decided),
                }
            };
            let Asked { question, begun, charged } = *match self.run_rounds(partition, slots, run, tally).await? {
                (Ended::Decided(outcome), receipt) => return Ok((outcome, receipt)),
                (Ended::Asked(asked), _) => asked,
            };
            asked = asked.saturating_add(1);
            known.charged.extend(charged);
            match begun {
                Some(Ok(pending)) => known.answers.push(self.compare(partition, question, pending).await?),
                Some(Err(refusal)) if !refusal.is_unjudged() => {} // The step answers it.
                None | Some(Err(_)) => return Err(TransactError::Busy),
            }
        }
    }

    /// Has a guess compared that was begun. The future is boxed because hardly any operation needs it.
    fn compare<'c>(
        &'c self,
        partition: &'c Partition,
        question: Question,
        pending: PendingGuess,
    ) -> BoxFuture<'c, Result<Arc<Answer>, TransactError>> {
        Box::pin(async move {
            let verifier = self.code_verifier.as_deref().ok_or(StepError::NeedsComparison)?;
            let Question { attempt, code, hashes } = question;
            let job = HashJob {
                partition: partition.clone(),
                standing: guess::standing(pending.admitted()),
                code: SecretVec::new(code.expose().to_vec()),
                hashes,
            };
            match verifier.verify(job).await {
                Ok(found) => Ok(Arc::new(Answer { pending, attempt, code, found })),
                Err(VerifierUnavailable) => {
                    let withdraw = |draft: &mut Draft<'_>| guess::withdraw(draft, &pending);
                    self.run_rounds(partition, &[LEDGER.name()], withdraw, &mut Tally::default()).await?;
                    Err(TransactError::Busy)
                }
            }
        })
    }
}

/// Stages what has to be committed before a code is compared. The draft still has the ledger by
/// which the run has judged, so its guesses are charged by the commit that looked at them.
fn begin(draft: &mut Draft<'_>, question: Question, may_ask: bool) -> Result<Asked, StepError> {
    let mut charged = Vec::new();
    for WrongGuess { attempt, purpose } in draft.take_wrong() {
        draft.origin().purpose = purpose;
        if let AttemptOutcome::Wrong(charge) = guess::check(draft, &attempt, |_| Ok(Comparison::<()>::Wrong))? {
            charged.push((attempt, charge));
        }
    }
    let begun = if may_ask { Some(guess::begin(draft, &question.attempt)?) } else { None };
    Ok(Asked { question, begun, charged })
}
