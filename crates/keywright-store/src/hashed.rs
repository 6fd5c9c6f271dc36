//! Guesses at codes of which another system kept slow hashes, such as bcrypt or Argon2. A step must
//! not compute them, so the host's [`CodeVerifier`] does, in between two commits: the first lets the
//! [guess ledger](crate::guess) admit the guess, the second takes the verdict.
//!
//! The driver does this for whatever step calls [`check`], so a step needs to know nothing of it,
//! and may be combined with others as usual. Other guesses that the step has found wrong before are
//! pending too from the first commit on, even if the step held them back, because the verifier's time
//! would tell that they were wrong. The second run judges them again, as wrong, and the driver charges those
//! that it does not come to. A step may make one guess at each secret before it comes to [`check`].
//!
//! A request that is given up while the verifier runs leaves its guess without a verdict, so that it
//! is charged later, even if it was right. A server should let such requests run to their end.

use keywright_core::{Attempt, SecretString, SecretVec};

use crate::draft::Draft;
use crate::guess::{self, AttemptOutcome, Comparison, Spent};
use crate::step_error::StepError;
use crate::verifier::{Answer, Question, copy};

pub use crate::verifier::{CodeVerifier, HashJob, HashMatch, VerifierUnavailable};

/// Checks a guess at codes of which only slow hashes are kept. `hashes` are those of the unused
/// codes. [`AttemptOutcome::Right`] has the hash that matches, and the step must spend its code.
///
/// # Errors
/// Returns [`StepError::NeedsComparison`] if the host's verifier must compare the code. Pass it on:
/// the driver has it compared, and runs the step again. Returns [`StepError::Misuse`] where
/// [`Draft::can_compare`] is false. Nothing is charged then.
pub fn check(
    draft: &mut Draft<'_>,
    attempt: &Attempt,
    code: &[u8],
    hashes: &[SecretString],
) -> Result<AttemptOutcome<SecretString, Spent>, StepError> {
    if let Some(answer) = draft.answer(attempt, code) {
        return guess::check_begun(draft, attempt, |_| Ok(compared(answer.as_deref(), hashes)));
    }
    match guess::refuse(draft, attempt)? {
        // Guesses that are being compared at this moment are in the way, so that the driver is busy.
        Some(refusal) if !refusal.is_unjudged() => return Ok(AttemptOutcome::Refused(refusal)),
        _ => {}
    }
    let (code, hashes) = (SecretVec::new(code.to_vec()), hashes.iter().map(copy).collect());
    draft.ask(Question { attempt: *attempt, code, hashes })
}

/// Returns what an answer says about the hashes as they are now. `None` is an answer that came too
/// late: the guess was charged meanwhile.
fn compared(answer: Option<&Answer>, hashes: &[SecretString]) -> Comparison<SecretString, Spent> {
    let Some(answer) = answer else { return Comparison::Replayed(Spent) };
    let Some(found) = &answer.found.0 else { return Comparison::Wrong };
    // Another request may have spent the code meanwhile, or other codes have replaced it.
    match hashes.iter().find(|hash| hash.expose() == found.expose()) {
        Some(hash) => Comparison::Right(copy(hash)),
        None => Comparison::Replayed(Spent),
    }
}
