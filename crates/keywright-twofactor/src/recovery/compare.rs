//! The service's checks of recovery codes that were imported as slow hashes: two commits, with the
//! server's verifier in between.

use keywright_core::{AccountId, ActionName, Client, Purpose, SessionId};
use keywright_store::{Draft, Release, StepError, Tentative};

use super::hashed::{CodeVerifier, HashMatch, HashedGuess, HashedStart};
use crate::error::TwoFactorError;
use crate::outcome::{Method, Proven, VerifyOutcome};
use crate::service::TwoFactor;
use crate::step::SLOTS;
use crate::step_up::proof::StepUp;
use crate::step_up::steps::StepUps;

impl TwoFactor {
    /// Checks a code once more if a step has found no codes that it can check.
    pub(crate) async fn or_hashed(
        &self,
        (verdict, hashed): (VerifyOutcome<Proven>, bool),
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        if !hashed {
            return Ok(verdict);
        }
        let verifier = self.verifier.as_deref().ok_or(TwoFactorError::NoCodeVerifier)?;
        let begun = self
            .run("two_factor.or_hashed", account, SLOTS, |draft| self.steps.begin_hashed_in(draft, code, client))
            .await?;
        let settle = |draft: &mut Draft<'_>, guess: &HashedGuess, found: &HashMatch| {
            let verdict = self.steps.settle_hashed_in(draft, guess, found, purpose)?;
            self.admit(draft, &verdict, client)?;
            Ok(verdict)
        };
        self.compare(verifier, account, begun, settle).await
    }

    /// The same for a step-up.
    pub(crate) async fn or_hashed_step_up(
        &self,
        (verdict, hashed): (VerifyOutcome<StepUp>, bool),
        account: &AccountId,
        (action, session): (&ActionName, SessionId),
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        if !hashed {
            return Ok(verdict);
        }
        let verifier = self.verifier.as_deref().ok_or(TwoFactorError::NoCodeVerifier)?;
        let begin = |draft: &mut Draft<'_>| {
            if self.steps.step_ups().permits_in(draft, action, Method::Recovery)? {
                self.steps.begin_hashed_in(draft, code, client)
            } else {
                Ok(HashedStart::NotEnrolled)
            }
        };
        let begun = self.run("two_factor.or_hashed_step_up", account, SLOTS, begin).await?;
        let settle = |draft: &mut Draft<'_>, guess: &HashedGuess, found: &HashMatch| {
            draft.require(&[StepUps::slot(session)])?;
            let verdict = self.steps.settle_hashed_in(draft, guess, found, &action.clone().into())?;
            self.steps.step_up_by(draft, action, session, verdict)
        };
        self.compare(verifier, account, begun, settle).await
    }

    async fn compare<T: Release + Send>(
        &self,
        verifier: &dyn CodeVerifier,
        account: &AccountId,
        begun: HashedStart,
        mut settle: impl FnMut(&mut Draft<'_>, &HashedGuess, &HashMatch) -> Result<VerifyOutcome<T>, StepError> + Send,
    ) -> Result<VerifyOutcome<T::Released>, TwoFactorError> {
        let (guess, job) = match begun {
            HashedStart::Compare(guess, job) => (guess, job),
            HashedStart::Denied(denial) => return Ok(VerifyOutcome::Denied(denial)),
            HashedStart::Refused(refusal) => return Ok(VerifyOutcome::Refused(refusal)),
            HashedStart::Malformed => return Ok(VerifyOutcome::Malformed),
            HashedStart::NotEnrolled => return Ok(VerifyOutcome::NotEnrolled),
        };
        let found = match verifier.verify(job).await {
            Ok(found) => found,
            Err(unavailable) => {
                self.run("two_factor.compare", account, SLOTS, |draft| self.steps.withdraw_hashed_in(draft, &guess))
                    .await?;
                return Err(unavailable.into());
            }
        };
        self.run("two_factor.compare", account, SLOTS, |draft| settle(draft, &guess, &found)).await
    }

    /// Admits the client to time-based codes, as [`TwoFactor::verify_recovery`] does.
    fn admit(
        &self,
        draft: &mut Draft<'_>,
        verdict: &VerifyOutcome<Tentative<Proven>>,
        client: Client,
    ) -> Result<(), StepError> {
        if let VerifyOutcome::Granted(proof) = verdict {
            self.steps.admit_totp_in(draft, proof, client)?;
        }
        Ok(())
    }
}
