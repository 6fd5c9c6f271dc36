//! The async service: the steps over a store.

use core::fmt;

use keywright_core::{AccountId, DeviceTag, Refusal};
use keywright_store::{Draft, Driver, Partition, Receipt, Slot, StepError, Tentative};

use crate::error::TwoFactorError;
use crate::leave::Leave;
use crate::outcome::{Proven, Verdict};
use crate::policy::TwoFactorPolicy;
use crate::recovery::{ImportError, Liveness, RecoveryCodes};
use crate::service::{SLOTS, TwoFactorSteps};
use crate::step_up::{Attested, Demand, StepUp, StepUps};
use crate::totp::{Beginning, Confirming, DeviceId, Enrolled, PendingDevice, TotpSecret};

/// The steps over a store. See [`TwoFactorSteps`] for what each does.
///
/// After [`TransactError::Unknown`](keywright_store::TransactError::Unknown) nothing is granted, but a code may be spent
/// and a change may have happened: look at [`enrolled`](Self::enrolled).
#[derive(Clone)]
pub struct TwoFactor {
    driver: Driver,
    steps: TwoFactorSteps,
}

impl TwoFactor {
    /// A service over a driver.
    #[must_use]
    pub fn new(driver: Driver, policy: TwoFactorPolicy) -> Self {
        Self { driver, steps: TwoFactorSteps::new(policy) }
    }

    /// The steps, to compose with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &TwoFactorSteps {
        &self.steps
    }

    /// What the account has enrolled. Decides nothing, so it waits for no turn.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn enrolled(&self, account: &AccountId) -> Result<Enrolled, TwoFactorError> {
        let partition = Partition::account(account);
        Ok(self.driver.observe(&partition, SLOTS, |draft| self.steps.enrolled_in(draft)).await?)
    }

    /// Begins the enrolment of a device, in the session of the proof. See [`TwoFactorSteps::begin_enrolment_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; there is nothing to show.
    pub async fn begin_enrolment(
        &self,
        leave: impl Into<Leave> + Send,
        name: &str,
        replaces: Option<DeviceId>,
    ) -> Result<Beginning<PendingDevice>, TwoFactorError> {
        let leave = leave.into();
        let step = |draft: &mut Draft<'_>| self.steps.begin_enrolment_in(draft, leave.session(), name, replaces);
        let (beginning, receipt) = self.with_leave(&leave, step).await?;
        Ok(match beginning {
            Beginning::Begun(pending) => Beginning::Begun(pending.release(&receipt)?),
            Beginning::TooManyDevices => Beginning::TooManyDevices,
            Beginning::UnknownDevice => Beginning::UnknownDevice,
            Beginning::BadName => Beginning::BadName,
        })
    }

    /// Judges the enrolling code. See [`TwoFactorSteps::confirm_enrolment_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn confirm_enrolment(
        &self,
        account: &AccountId,
        session: &[u8],
        code: &str,
    ) -> Result<Confirming, TwoFactorError> {
        self.change(account, |draft| self.steps.confirm_enrolment_in(draft, session, code)).await
    }

    /// Adds an active device with a secret from elsewhere: for seeding, so it asks for no proof. See [`TwoFactorSteps::import_device_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn import_device(
        &self,
        account: &AccountId,
        name: &str,
        secret: &TotpSecret,
    ) -> Result<DeviceId, TwoFactorError> {
        self.change(account, |draft| self.steps.import_device_in(draft, name, secret.duplicate())).await
    }

    /// Removes a device. See [`TwoFactorSteps::remove_device_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn remove_device(&self, proof: StepUp, device: DeviceId) -> Result<bool, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| self.steps.remove_device_in(draft, device);
        Ok(self.with_leave(&proof.into(), step).await?.0)
    }

    /// Removes all devices and the recovery codes. See [`TwoFactorSteps::remove_all_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn remove_all(&self, proof: StepUp) -> Result<bool, TwoFactorError> {
        Ok(self.with_leave(&proof.into(), |draft| self.steps.remove_all_in(draft)).await?.0)
    }

    /// Switches mailed codes on or off.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn set_email(&self, leave: impl Into<Leave> + Send, on: bool) -> Result<bool, TwoFactorError> {
        Ok(self.with_leave(&leave.into(), |draft| self.steps.set_email_in(draft, on)).await?.0)
    }

    /// Judges a time-based code. See [`TwoFactorSteps::verify_totp_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is granted.
    pub async fn verify_totp(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<Proven>, TwoFactorError> {
        self.judge(account, SLOTS, |draft| self.steps.verify_totp_in(draft, code, purpose, tag)).await
    }

    /// Judges a recovery code. See [`TwoFactorSteps::verify_recovery_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is granted.
    pub async fn verify_recovery(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<Proven>, TwoFactorError> {
        self.judge(account, SLOTS, |draft| self.steps.verify_recovery_in(draft, code, purpose, tag)).await
    }

    /// Makes a set of recovery codes, to be shown once. See [`TwoFactorSteps::make_recovery_in`]. For the codes that a first
    /// device comes with, call that and [`TwoFactorSteps::confirm_enrolment_in`] in one draft.
    ///
    /// # Errors
    /// [`TwoFactorError`]; there is nothing to show.
    pub async fn make_recovery(
        &self,
        leave: impl Into<Leave> + Send,
        liveness: Liveness,
    ) -> Result<RecoveryCodes, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| self.steps.make_recovery_in(draft, liveness);
        let (codes, receipt) = self.with_leave(&leave.into(), step).await?;
        Ok(codes.release(&receipt)?)
    }

    /// The owner has kept the codes. See [`TwoFactorSteps::acknowledge_recovery_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn acknowledge_recovery(&self, account: &AccountId) -> Result<bool, TwoFactorError> {
        self.change(account, |draft| self.steps.acknowledge_recovery_in(draft)).await
    }

    /// Takes over recovery codes from elsewhere: for seeding, so it asks for no proof. See [`TwoFactorSteps::import_recovery_in`]. The inner result says what is
    /// wrong with the codes.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn import_recovery(
        &self,
        account: &AccountId,
        codes: &[&str],
    ) -> Result<Result<(), ImportError>, TwoFactorError> {
        self.change(account, |draft| match self.steps.import_recovery_in(draft, codes) {
            Ok(()) => Ok(Ok(())),
            Err(ImportError::Step(error)) => Err(error),
            Err(error) => Ok(Err(error)),
        })
        .await
    }

    /// What a time-based code would be refused with now.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn totp_refusal(
        &self,
        account: &AccountId,
        tag: Option<DeviceTag>,
    ) -> Result<Option<Refusal>, TwoFactorError> {
        let partition = Partition::account(account);
        Ok(self.driver.observe(&partition, SLOTS, |draft| self.steps.totp_refusal_in(draft, tag)).await?)
    }

    /// What a recovery code would be refused with now.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn recovery_refusal(
        &self,
        account: &AccountId,
        tag: Option<DeviceTag>,
    ) -> Result<Option<Refusal>, TwoFactorError> {
        let partition = Partition::account(account);
        Ok(self.driver.observe(&partition, SLOTS, |draft| self.steps.recovery_refusal_in(draft, tag)).await?)
    }

    /// What an action demands of a session now. A proof that is remembered comes out of a commit of checks.
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn demand(
        &self,
        account: &AccountId,
        action: &str,
        session: &[u8],
        password: bool,
    ) -> Result<Demand<StepUp>, TwoFactorError> {
        let slots = slots(session)?;
        let step = |draft: &mut Draft<'_>| self.steps.demand_in(draft, action, session, password);
        let (demand, receipt) = self.run(account, &slots, step).await?;
        Ok(match demand {
            Demand::Remembered(proof) => Demand::Remembered(proof.release(&receipt)?),
            Demand::Ask(methods) => Demand::Ask(methods),
            Demand::NothingEnrolled => Demand::NothingEnrolled,
        })
    }

    /// Steps up by a time-based code. See [`TwoFactorSteps::step_up_totp_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn step_up_totp(
        &self,
        account: &AccountId,
        action: &str,
        session: &[u8],
        code: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<StepUp>, TwoFactorError> {
        let slots = slots(session)?;
        self.judge(account, &slots, |draft| self.steps.step_up_totp_in(draft, action, session, code, tag)).await
    }

    /// Steps up by a recovery code. See [`TwoFactorSteps::step_up_recovery_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn step_up_recovery(
        &self,
        account: &AccountId,
        action: &str,
        session: &[u8],
        code: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<StepUp>, TwoFactorError> {
        let slots = slots(session)?;
        self.judge(account, &slots, |draft| self.steps.step_up_recovery_in(draft, action, session, code, tag)).await
    }

    /// Steps up by what the host has checked. See [`TwoFactorSteps::step_up_attested_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn step_up_attested(
        &self,
        account: &AccountId,
        action: &str,
        session: &[u8],
        attested: Attested,
    ) -> Result<Option<StepUp>, TwoFactorError> {
        let slots = slots(session)?;
        let step = |draft: &mut Draft<'_>| self.steps.step_up_attested_in(draft, action, session, attested);
        let (opened, receipt) = self.run(account, &slots, step).await?;
        Ok(opened.map(|proof| proof.release(&receipt)).transpose()?)
    }

    /// A change of factors, if the leave for it holds in the very draft.
    async fn with_leave<T: Send>(
        &self,
        leave: &Leave,
        mut step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<(T, Receipt), TwoFactorError> {
        let step = |draft: &mut Draft<'_>| if leave.holds_in(draft)? { step(draft).map(Some) } else { Ok(None) };
        let (changed, receipt) = self.run(leave.account(), SLOTS, step).await?;
        Ok((changed.ok_or(TwoFactorError::NotProven)?, receipt))
    }

    async fn change<T: Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T, TwoFactorError> {
        Ok(self.run(account, SLOTS, step).await?.0)
    }

    async fn judge<P: Send>(
        &self,
        account: &AccountId,
        slots: &[Slot],
        step: impl FnMut(&mut Draft<'_>) -> Result<Verdict<Tentative<P>>, StepError> + Send,
    ) -> Result<Verdict<P>, TwoFactorError> {
        let (verdict, receipt) = self.run(account, slots, step).await?;
        Ok(match verdict {
            Verdict::Granted(proof) => Verdict::Granted(proof.release(&receipt)?),
            Verdict::Denied(denial) => Verdict::Denied(denial),
            Verdict::Refused(refusal) => Verdict::Refused(refusal),
            Verdict::Malformed => Verdict::Malformed,
            Verdict::NotEnrolled => Verdict::NotEnrolled,
        })
    }

    async fn run<T: Send>(
        &self,
        account: &AccountId,
        slots: &[Slot],
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<(T, Receipt), TwoFactorError> {
        Ok(self.driver.transact(&Partition::account(account), slots, step).await?)
    }
}

impl fmt::Debug for TwoFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoFactor").field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// The slots of a step-up.
fn slots(session: &[u8]) -> Result<[Slot; 4], StepError> {
    Ok([Slot::Factors, Slot::Recovery, Slot::Ledger, StepUps::slot(session)?])
}
