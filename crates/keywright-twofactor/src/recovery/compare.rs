//! The service's check of a code that may be a recovery code. A step cannot compare recovery codes
//! that were imported as slow hashes, so those take two commits, with the server's verifier in
//! between.

use keywright_core::Client;
use keywright_store::{Draft, Plain, Release, StepError, Tentative};

use super::hashed::{HashJob, HashedGuess, HashedStart, has_hashes};
use crate::error::TwoFactorError;
use crate::outcome::{Denial, Proven, VerifyOutcome};
use crate::service::TwoFactor;
use crate::service::check::CodeCheck;
use crate::step::CodeKinds;

/// Only a verifier can check the code, and the service has none.
struct NoVerifier;

/// The verdict so far, and what the verifier has to compare.
type Checked = (VerifyOutcome<Tentative<Proven>>, Option<(HashedGuess, HashJob)>);

impl TwoFactor {
    /// Checks a code. Every method of the service that takes a recovery code, alone or in one field
    /// with time-based codes, goes through here.
    ///
    /// `kinds` returns as what the code is to be checked, or `None` if no code is accepted, and
    /// `conclude` turns the verdict into the outcome, in the same commit.
    pub(crate) async fn check_code<T: Release + Send>(
        &self,
        check: CodeCheck<'_>,
        kinds: impl Fn(&mut Draft<'_>) -> Result<Option<CodeKinds>, StepError> + Send + Sync,
        conclude: impl Fn(&mut Draft<'_>, VerifyOutcome<Tentative<Proven>>) -> Result<VerifyOutcome<T>, StepError>
        + Send
        + Sync,
    ) -> Result<VerifyOutcome<T::Released>, TwoFactorError> {
        let CodeCheck { operation, account, slots, code, purpose, client } = check;
        let first = |draft: &mut Draft<'_>| {
            let Some(kinds) = kinds(draft)? else { return Ok(Ok((VerifyOutcome::NotEnrolled, Plain(None)))) };
            let verdict = self.steps.verify_kinds_in(draft, kinds, code, purpose, client)?;
            Ok(match self.begin_comparison(draft, kinds, verdict, code, client)? {
                Ok((verdict, comparison)) => Ok((conclude(draft, verdict)?, Plain(comparison))),
                Err(NoVerifier) => Err(NoVerifier),
            })
        };
        let Ok((verdict, comparison)) = self.run(operation, account, slots, first).await? else {
            return Err(TwoFactorError::NoCodeVerifier);
        };
        let Some((guess, job)) = comparison else { return Ok(verdict) };
        let verifier = self.verifier.as_deref().ok_or(TwoFactorError::NoCodeVerifier)?;
        let found = match verifier.verify(job).await {
            Ok(found) => found,
            Err(unavailable) => {
                self.run(operation, account, slots, |draft| self.steps.withdraw_hashed_in(draft, &guess)).await?;
                return Err(unavailable.into());
            }
        };
        // One wrong code is charged once.
        let charged = charge(&verdict).filter(|_| !found.is_match()).cloned();
        let second = |draft: &mut Draft<'_>| {
            if charged.is_some() {
                self.steps.withdraw_hashed_in(draft, &guess)?;
                return Ok(VerifyOutcome::Denied(Denial { charge: charged.clone() }));
            }
            let verdict = self.steps.settle_hashed_in(draft, &guess, &found, purpose)?;
            conclude(draft, verdict)
        };
        self.run(operation, account, slots, second).await
    }

    /// Begins a comparison with slow hashes, if the account has some and the step has not accepted
    /// the code. A code that is wrong as a time-based code stays charged as one, even if it turns
    /// out to be a recovery code: it was checked.
    fn begin_comparison(
        &self,
        draft: &mut Draft<'_>,
        kinds: CodeKinds,
        verdict: VerifyOutcome<Tentative<Proven>>,
        code: &str,
        client: Client,
    ) -> Result<Result<Checked, NoVerifier>, StepError> {
        let is_charged = charge(&verdict).is_some();
        let is_open = is_charged || matches!(verdict, VerifyOutcome::NotEnrolled);
        if !kinds.has_recovery() || !is_open || !has_hashes(draft)? {
            return Ok(Ok((verdict, None)));
        }
        if self.verifier.is_none() {
            return Ok(if is_charged { Ok((verdict, None)) } else { Err(NoVerifier) });
        }
        Ok(Ok(match self.steps.begin_hashed_in(draft, code, client)? {
            HashedStart::Compare(guess, job) => (verdict, Some((guess, job))),
            _ if is_charged => (verdict, None),
            HashedStart::Denied(denial) => (VerifyOutcome::Denied(denial), None),
            HashedStart::Refused(refusal) => (VerifyOutcome::Refused(refusal), None),
            HashedStart::Malformed => (VerifyOutcome::Malformed, None),
            HashedStart::NotEnrolled => (VerifyOutcome::NotEnrolled, None),
        }))
    }
}

/// Returns what a wrong code was charged.
fn charge<P>(verdict: &VerifyOutcome<P>) -> Option<&keywright_core::Charge> {
    match verdict {
        VerifyOutcome::Denied(denial) => denial.charge(),
        _ => None,
    }
}
