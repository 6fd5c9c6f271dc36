//! The service: `…_in` composes into a caller's draft, the bare names run it.

#[cfg(feature = "std")]
use core::fmt;

#[cfg(feature = "std")]
use keywright_core::AccountId;
use keywright_store::{Draft, StepError, Tentative};
#[cfg(feature = "std")]
use keywright_store::{Driver, Partition, Slot};

#[cfg(feature = "std")]
use crate::ChallengeError;
use crate::step::{self, Caller, Keys, Setting, Verification};
use crate::{ChallengePolicy, ChallengeSecret, Proof, Salts, UserKey};

/// The server half: pure transitions with a policy. [`Challenges`] runs them on a store.
#[derive(Debug, Clone, Default)]
pub struct ChallengeSteps {
    policy: ChallengePolicy,
}

impl ChallengeSteps {
    /// Steps under a policy.
    #[must_use]
    pub const fn new(policy: ChallengePolicy) -> Self {
        Self { policy }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &ChallengePolicy {
        &self.policy
    }

    /// The salts of the account's challenge, if it has one.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn get_in(&self, draft: &mut Draft<'_>) -> Result<Option<Salts>, StepError> {
        step::get(draft)
    }

    /// Whether the account has a challenge.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn exists_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        step::exists(draft)
    }

    /// Sets the first challenge; an account that has one is left as it is.
    ///
    /// # Errors
    /// [`StepError`]; nothing is set.
    pub fn set_in(
        &self,
        draft: &mut Draft<'_>,
        secret: &ChallengeSecret,
        salts: &Salts,
    ) -> Result<Setting<Tentative<UserKey>>, StepError> {
        step::set(draft, secret, salts)
    }

    /// Judges a proof. `caller` names the credential it came with, if it has one.
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged.
    pub fn verify_in(
        &self,
        draft: &mut Draft<'_>,
        proof: &Proof,
        caller: &Caller,
    ) -> Result<Verification<Tentative<UserKey>>, StepError> {
        step::verify(draft, &self.policy, proof, caller)
    }

    /// Judges the old secret and, if it is right, sets the new one.
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged or replaced.
    pub fn replace_in(
        &self,
        draft: &mut Draft<'_>,
        old: &Proof,
        secret: &ChallengeSecret,
        salts: &Salts,
        caller: &Caller,
    ) -> Result<Verification<Tentative<Keys>>, StepError> {
        step::replace(draft, &self.policy, old, secret, salts, caller)
    }
}

/// The server half over a store.
#[cfg(feature = "std")]
#[derive(Clone)]
pub struct Challenges {
    driver: Driver,
    steps: ChallengeSteps,
}

#[cfg(feature = "std")]
impl Challenges {
    /// A service over a driver.
    #[must_use]
    pub const fn new(driver: Driver, policy: ChallengePolicy) -> Self {
        Self { driver, steps: ChallengeSteps::new(policy) }
    }

    /// The steps, to compose with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &ChallengeSteps {
        &self.steps
    }

    /// The salts of the account's challenge, if it has one.
    ///
    /// # Errors
    /// [`ChallengeError`].
    pub async fn get(&self, account: &AccountId) -> Result<Option<Salts>, ChallengeError> {
        let partition = Partition::account(account);
        // Decides nothing, so it waits for no turn: a flood of guesses does not keep the owner from the salts.
        Ok(self.driver.observe(&partition, &[Slot::Challenge], |draft| self.steps.get_in(draft)).await?)
    }

    /// Sets the first challenge.
    ///
    /// # Errors
    /// [`ChallengeError`]; on [`TransactError::Unknown`](keywright_store::TransactError::Unknown) it may be set.
    pub async fn set(
        &self,
        account: &AccountId,
        secret: &ChallengeSecret,
        salts: &Salts,
    ) -> Result<Setting, ChallengeError> {
        let partition = Partition::account(account);
        let step = |draft: &mut Draft<'_>| self.steps.set_in(draft, secret, salts);
        let (outcome, receipt) = self.driver.transact(&partition, &[Slot::Challenge], step).await?;
        Ok(match outcome {
            Setting::Set(key) => Setting::Set(key.release(&receipt)?),
            Setting::Exists => Setting::Exists,
        })
    }

    /// Judges a proof. `caller` names the credential it came with; one that passed before is not held up by
    /// strangers' failures.
    ///
    /// # Errors
    /// [`ChallengeError`]; nothing is granted.
    pub async fn verify(
        &self,
        account: &AccountId,
        proof: &Proof,
        caller: &Caller,
    ) -> Result<Verification, ChallengeError> {
        let step = |draft: &mut Draft<'_>| self.steps.verify_in(draft, proof, caller);
        self.judge(account, step).await
    }

    /// Replaces the challenge with the old secret. All sessions end.
    ///
    /// # Errors
    /// [`ChallengeError`]; on [`TransactError::Unknown`](keywright_store::TransactError::Unknown) it may be replaced.
    pub async fn replace(
        &self,
        account: &AccountId,
        old: &Proof,
        secret: &ChallengeSecret,
        salts: &Salts,
        caller: &Caller,
    ) -> Result<Verification<Keys>, ChallengeError> {
        let step = |draft: &mut Draft<'_>| self.steps.replace_in(draft, old, secret, salts, caller);
        self.judge(account, step).await
    }

    async fn judge<K: Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<Verification<Tentative<K>>, StepError> + Send,
    ) -> Result<Verification<K>, ChallengeError> {
        let partition = Partition::account(account);
        let slots = [Slot::Challenge, Slot::Ledger];
        let (outcome, receipt) = self.driver.transact(&partition, &slots, step).await?;
        Ok(match outcome {
            Verification::Granted(key) => Verification::Granted(key.release(&receipt)?),
            Verification::Denied(charge) => Verification::Denied(charge),
            Verification::Refused(refusal) => Verification::Refused(refusal),
            Verification::NoChallenge => Verification::NoChallenge,
        })
    }
}

#[cfg(feature = "std")]
impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").field("steps", &self.steps).finish_non_exhaustive()
    }
}
