//! Steps that need the host's verifier: it is asked in between two commits.

use std::sync::Arc;

use keywright_core::SecretVec;

use super::measure::Tally;
use super::{Driver, TransactError};
use crate::draft::Draft;
use crate::guess;
use crate::guess::ledger::LEDGER;
use crate::partition::Partition;
use crate::port::BoxFuture;
use crate::release::Receipt;
use crate::slot::SlotName;
use crate::step_error::StepError;
use crate::verifier::{Answer, HashJob, Question, VerifierUnavailable};

/// How often a verifier is asked for one operation. Once is enough, unless another client's guess
/// gets in between.
const MAX_QUESTIONS: u32 = 2;

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
        let mut answer: Option<Arc<Answer>> = None;
        let mut asked = 0_u32;
        loop {
            let mut question = None;
            let run = |draft: &mut Draft<'_>| {
                if let Some(answer) = &answer {
                    // From here on the guess is one like any other. If the step does not come to
                    // it, nobody learns the verdict, and nothing is charged.
                    let counts = draft.exists() && guess::withdraw(draft, &answer.pending)?;
                    draft.bring(Arc::clone(answer), counts);
                }
                let decided = step(draft);
                question = draft.take_question();
                decided
            };
            let ended = self.run_rounds(partition, slots, run, tally).await;
            let Some(question) = question else { return ended };
            match ended {
                Err(TransactError::Step(StepError::NeedsComparison)) if asked < MAX_QUESTIONS => {}
                Err(TransactError::Step(StepError::NeedsComparison)) => return Err(TransactError::Busy),
                ended => return ended,
            }
            asked = asked.saturating_add(1);
            answer = self.compare(partition, question).await?;
        }
    }

    /// Begins a guess, and has it compared. Returns `None` if the ledger refuses it by now. The
    /// future is boxed because hardly any operation needs it.
    fn compare<'c>(
        &'c self,
        partition: &'c Partition,
        question: Question,
    ) -> BoxFuture<'c, Result<Option<Arc<Answer>>, TransactError>> {
        Box::pin(async move {
            let verifier = self.code_verifier.as_deref().ok_or(StepError::NeedsComparison)?;
            let Question { attempt, code, hashes } = question;
            let slots = [LEDGER.name()];
            let begin = |draft: &mut Draft<'_>| guess::begin(draft, &attempt);
            let (begun, _) = self.run_rounds(partition, &slots, begin, &mut Tally::default()).await?;
            let pending = match begun {
                Ok(pending) => pending,
                Err(refusal) if refusal.is_unjudged() => return Err(TransactError::Busy),
                Err(_) => return Ok(None),
            };
            let job = HashJob {
                partition: partition.clone(),
                standing: guess::standing(pending.admitted()),
                code: SecretVec::new(code.expose().to_vec()),
                hashes,
            };
            match verifier.verify(job).await {
                Ok(found) => Ok(Some(Arc::new(Answer { pending, attempt, code, found }))),
                Err(VerifierUnavailable) => {
                    let withdraw = |draft: &mut Draft<'_>| guess::withdraw(draft, &pending);
                    self.run_rounds(partition, &slots, withdraw, &mut Tally::default()).await?;
                    Err(TransactError::Busy)
                }
            }
        })
    }
}
