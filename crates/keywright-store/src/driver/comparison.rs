//! Steps that need the host's verifier: it is asked in between two commits.

use std::sync::Arc;

use keywright_core::ledger::PendingGuess;
use keywright_core::{Refusal, SecretVec};

use super::measure::Tally;
use super::{Driver, TransactError};
use crate::draft::Draft;
use crate::draft::comparing::{UnpaidGuess, WrongGuess};
use crate::guess;
use crate::guess::ledger::LEDGER;
use crate::partition::Partition;
use crate::port::BoxFuture;
use crate::release::Receipt;
use crate::slot::SlotName;
use crate::step_error::StepError;
use crate::verifier::{Answer, CodeVerifier, HashJob, Question, VerifierUnavailable};

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
    /// the same commit does not count, whatever becomes of the question.
    unpaid: Vec<UnpaidGuess>,
}

/// What earlier runs of the step have brought. The ledger counts all of it as pending, and charges it
/// later if no other commit follows.
#[derive(Default)]
struct Known {
    answers: Vec<Arc<Answer>>,
    unpaid: Vec<UnpaidGuess>,
}

impl Known {
    /// Brings it into the next run, in which each guess is one like any other. If the step does not
    /// come to one that the verifier has compared, nobody learns the verdict, and nothing is charged.
    fn bring(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        let exists = draft.exists();
        for unpaid in &self.unpaid {
            if exists && guess::withdraw(draft, &unpaid.pending)? {
                draft.bring_unpaid(unpaid.clone());
            }
        }
        for answer in &self.answers {
            let counts = exists && guess::withdraw(draft, &answer.pending)?;
            draft.bring(Arc::clone(answer), counts);
        }
        Ok(())
    }

    const fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.unpaid.is_empty()
    }

    /// Settles it, because no run will.
    fn settle(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        if !draft.exists() {
            return Ok(());
        }
        for UnpaidGuess { purpose, pending } in &self.unpaid {
            draft.origin().purpose.clone_from(purpose);
            guess::settle_wrong(draft, pending)?;
        }
        for answer in &self.answers {
            if answer.found.is_match() {
                guess::withdraw(draft, &answer.pending)?;
            } else {
                guess::settle_wrong(draft, &answer.pending)?;
            }
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
        let Some(verifier) = self.code_verifier.as_deref() else {
            return self.run_rounds(partition, slots, step, tally).await;
        };
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
                    (decided, _) => {
                        let decided = decided?;
                        pay(draft)?;
                        Ok(Ended::Decided(decided))
                    }
                }
            };
            let Asked { question, begun, unpaid } = *match self.run_rounds(partition, slots, run, tally).await {
                Ok((Ended::Decided(outcome), receipt)) => return Ok((outcome, receipt)),
                Ok((Ended::Asked(asked), _)) => asked,
                Err(error) => {
                    // After an unknown commit it may be settled already; if it is not, time charges it.
                    if !known.is_empty() && !matches!(error, TransactError::Unknown(_)) {
                        let _settled = self.give_up(partition, &known, None).await;
                    }
                    return Err(error);
                }
            };
            asked = asked.saturating_add(1);
            known.unpaid.extend(unpaid);
            let pending = match begun {
                Some(Ok(pending)) => pending,
                // The step answers it.
                Some(Err(refusal)) if !refusal.is_unjudged() => continue,
                None | Some(Err(_)) => return Err(self.give_up(partition, &known, None).await),
            };
            match compare(verifier, partition, question, pending).await {
                Ok(answer) => known.answers.push(answer),
                Err(VerifierUnavailable) => return Err(self.give_up(partition, &known, Some(pending)).await),
            }
        }
    }

    /// Ends an operation without a verdict: what was found wrong is charged, and what was not compared,
    /// or was right, is not. Returns "busy", or why that failed.
    fn give_up<'c>(
        &'c self,
        partition: &'c Partition,
        known: &'c Known,
        not_compared: Option<PendingGuess>,
    ) -> BoxFuture<'c, TransactError> {
        Box::pin(async move {
            let settle = |draft: &mut Draft<'_>| {
                known.settle(draft)?;
                if let Some(pending) = &not_compared {
                    guess::withdraw(draft, pending)?;
                }
                Ok(())
            };
            match self.run_rounds(partition, &[LEDGER.name()], settle, &mut Tally::default()).await {
                Ok(_) => TransactError::Busy,
                Err(error) => error,
            }
        })
    }
}

/// Stages what has to be committed before a code is compared. The draft still has the ledger by
/// which the run has judged, so its guesses are counted by the commit that looked at them.
fn begin(draft: &mut Draft<'_>, question: Question, may_ask: bool) -> Result<Asked, StepError> {
    let mut unpaid = Vec::new();
    for WrongGuess { admitted, purpose } in draft.take_wrong() {
        let pending = guess::begin_admitted(draft, &admitted)?;
        unpaid.push(UnpaidGuess { purpose, pending });
    }
    let begun = if may_ask { Some(guess::begin(draft, &question.attempt)?) } else { None };
    Ok(Asked { question, begun, unpaid })
}

/// Charges what an earlier run has found wrong and this one did not come to.
fn pay(draft: &mut Draft<'_>) -> Result<(), StepError> {
    for UnpaidGuess { purpose, pending } in draft.take_unpaid() {
        draft.origin().purpose = purpose;
        guess::charge_withdrawn(draft, &pending)?;
    }
    Ok(())
}

/// Has a guess compared that was begun. The future is boxed because hardly any operation needs it.
fn compare<'c>(
    verifier: &'c dyn CodeVerifier,
    partition: &Partition,
    question: Question,
    pending: PendingGuess,
) -> BoxFuture<'c, Result<Arc<Answer>, VerifierUnavailable>> {
    let Question { code, hashes, .. } = question;
    let job = HashJob {
        partition: partition.clone(),
        standing: guess::standing(pending.admitted()),
        code: SecretVec::new(code.expose().to_vec()),
        hashes,
    };
    Box::pin(async move { verifier.verify(job).await.map(|found| Arc::new(Answer { pending, code, found })) })
}
