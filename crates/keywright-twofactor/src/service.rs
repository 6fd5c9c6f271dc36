//! The async service: the steps over a store.

use std::fmt;

use keywright_core::{AccountId, ActionName, Client, ClientAdmission, ClientTag, Purpose, Refusal, SessionId};
use keywright_store::{Draft, Driver, Partition, Plain, Release, SlotName, StepError};

use crate::error::TwoFactorError;
use crate::outcome::{DeviceImport, EnrolOutcome, EnrolmentOutcome, EnrolmentStart, Proven, VerifyOutcome};
use crate::policy::{TwoFactorPolicy, TwoFactorPolicyError};
use crate::recovery::code::Liveness;
use crate::recovery::error::ImportError;
use crate::recovery::set::RecoveryCodes;
use crate::step::{CodeKind, RECOVERY_SLOTS, SLOTS, TOTP_SLOTS, TwoFactorSteps};
use crate::step_up::grant::FactorChange;
use crate::step_up::proof::{Attested, Demand, StepUp};
use crate::step_up::steps::StepUps;
use crate::totp::device::{DeviceId, Enrolled, ImportedDevice, PendingDevice};

/// The steps over a store. See [`TwoFactorSteps`] for what each does.
///
/// `client` is whoever sends the request, as the guess ledger knows it: by the credential that it presents, or by its
/// network ([`Driver::client_tag`]). One that passed before is not held up by the failures of others.
///
/// After [`TransactError::Unknown`](keywright_store::TransactError::Unknown) nothing is granted, but a code may be spent
/// and a change may have happened: look at [`enrolled`](Self::enrolled).
#[derive(Clone)]
pub struct TwoFactor {
    driver: Driver,
    steps: TwoFactorSteps,
}

/// Reading.
impl TwoFactor {
    /// A service over a driver.
    ///
    /// # Errors
    /// [`TwoFactorPolicyError::Guessable`] if the driver's ledger policy does not guard codes of the policy's `window`,
    /// `devices` and `digits`.
    pub fn new(driver: Driver, policy: TwoFactorPolicy) -> Result<Self, TwoFactorPolicyError> {
        let steps = TwoFactorSteps::new(policy, driver.ledger_policy())?;
        Ok(Self { driver, steps })
    }

    /// The steps, to compose with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &TwoFactorSteps {
        &self.steps
    }

    /// Returns what the account has enrolled. Decides nothing, so it waits for nobody.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn enrolled(&self, account: &AccountId) -> Result<Enrolled, TwoFactorError> {
        Ok(self.driver.observe(&account.into(), SLOTS, |draft| self.steps.enrolled_in(draft)).await?)
    }

    /// Returns what a time-based code would be refused with now.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn totp_refusal(&self, account: &AccountId, client: Client) -> Result<Option<Refusal>, TwoFactorError> {
        let look = |draft: &mut Draft<'_>| self.steps.totp_refusal_in(draft, client);
        Ok(self.driver.observe(&account.into(), TOTP_SLOTS, look).await?)
    }

    /// Returns what a recovery code would be refused with now.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn recovery_refusal(
        &self,
        account: &AccountId,
        client: Client,
    ) -> Result<Option<Refusal>, TwoFactorError> {
        let look = |draft: &mut Draft<'_>| self.steps.recovery_refusal_in(draft, client);
        Ok(self.driver.observe(&account.into(), RECOVERY_SLOTS, look).await?)
    }
}

/// Changes of factors.
impl TwoFactor {
    /// Begins the enrolment of a device, in the session of the authorization. See
    /// [`TwoFactorSteps::begin_enrolment_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; there is nothing to show.
    pub async fn begin_enrolment(
        &self,
        change: impl Into<FactorChange> + Send,
        name: &str,
        replaces: Option<DeviceId>,
    ) -> Result<EnrolmentStart<PendingDevice>, TwoFactorError> {
        let change = change.into();
        self.authorized(&change, |draft| self.steps.begin_enrolment_in(draft, change.session(), name, replaces)).await
    }

    /// Judges the enrolling code. See [`TwoFactorSteps::confirm_enrolment_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn confirm_enrolment(
        &self,
        account: &AccountId,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<EnrolmentOutcome, TwoFactorError> {
        self.run(account, SLOTS, |draft| self.steps.confirm_enrolment_in(draft, session, code, client)).await
    }

    /// Judges the enrolling code, and with a right one makes a set of recovery codes in the same commit, live at once, in
    /// the place of any that the account has: for the first device. The codes are there exactly if the device is active.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn confirm_enrolment_with_codes(
        &self,
        account: &AccountId,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<(EnrolmentOutcome, Option<RecoveryCodes>), TwoFactorError> {
        let step = |draft: &mut Draft<'_>| {
            let confirmed = self.steps.confirm_enrolment_in(draft, session, code, client)?;
            let codes = match confirmed {
                EnrolmentOutcome::Active(_) => Some(self.steps.make_recovery_in(draft, Liveness::Now, client)?),
                _ => None,
            };
            Ok((confirmed, codes))
        };
        self.run(account, SLOTS, step).await
    }

    /// Puts a device of a secret that the client brings in the place of all others. See [`TwoFactorSteps::enrol_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn enrol(
        &self,
        change: impl Into<FactorChange> + Send,
        device: &ImportedDevice,
        code: &str,
        client: Client,
    ) -> Result<EnrolOutcome, TwoFactorError> {
        self.authorized(&change.into(), |draft| self.steps.enrol_in(draft, device, code, client)).await
    }

    /// Adds an active device with a secret from elsewhere: for seeding, so it takes no authorization. See
    /// [`TwoFactorSteps::import_device_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn import_device(
        &self,
        account: &AccountId,
        device: &ImportedDevice,
    ) -> Result<DeviceImport, TwoFactorError> {
        self.run(account, SLOTS, |draft| self.steps.import_device_in(draft, device)).await
    }

    /// Removes a device. See [`TwoFactorSteps::remove_device_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn remove_device(&self, proof: StepUp, device: DeviceId, client: Client) -> Result<bool, TwoFactorError> {
        self.authorized(&proof.into(), |draft| self.steps.remove_device_in(draft, device, client)).await
    }

    /// Removes all devices and the recovery codes. See [`TwoFactorSteps::remove_all_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn remove_all(&self, proof: StepUp, client: Client) -> Result<bool, TwoFactorError> {
        self.authorized(&proof.into(), |draft| self.steps.remove_all_in(draft, client)).await
    }

    /// Switches mailed codes on or off.
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn set_email(&self, change: impl Into<FactorChange> + Send, on: bool) -> Result<bool, TwoFactorError> {
        self.authorized(&change.into(), |draft| self.steps.set_email_in(draft, on)).await
    }

    /// Makes a set of recovery codes, to be shown once. See [`TwoFactorSteps::make_recovery_in`]; for those of a first
    /// device [`confirm_enrolment_with_codes`](Self::confirm_enrolment_with_codes).
    ///
    /// # Errors
    /// [`TwoFactorError`]; there is nothing to show.
    pub async fn make_recovery(
        &self,
        change: impl Into<FactorChange> + Send,
        liveness: Liveness,
        client: Client,
    ) -> Result<RecoveryCodes, TwoFactorError> {
        self.authorized(&change.into(), |draft| self.steps.make_recovery_in(draft, liveness, client)).await
    }

    /// Notes that the owner has kept the codes. See [`TwoFactorSteps::acknowledge_recovery_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`].
    pub async fn acknowledge_recovery(
        &self,
        account: &AccountId,
        session: SessionId,
        client: Client,
    ) -> Result<bool, TwoFactorError> {
        self.run(account, SLOTS, |draft| self.steps.acknowledge_recovery_in(draft, session, client)).await
    }

    /// Takes over recovery codes from elsewhere: for seeding, so it takes no authorization. See
    /// [`TwoFactorSteps::import_recovery_in`].
    ///
    /// # Errors
    /// [`TwoFactorError::Import`] if the codes are no set of the policy's kind; else as all.
    pub async fn import_recovery(&self, account: &AccountId, codes: &[&str]) -> Result<(), TwoFactorError> {
        self.import(account, |draft| self.steps.import_recovery_in(draft, codes)).await
    }

    /// The same, from the form in which Rocket.Chat stores its codes. See
    /// [`TwoFactorSteps::import_recovery_digests_in`].
    ///
    /// # Errors
    /// As [`import_recovery`](Self::import_recovery).
    pub async fn import_recovery_digests(&self, account: &AccountId, digests: &[&str]) -> Result<(), TwoFactorError> {
        self.import(account, |draft| self.steps.import_recovery_digests_in(draft, digests)).await
    }
}

/// Codes.
impl TwoFactor {
    /// Judges a time-based code. See [`TwoFactorSteps::verify_totp_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is granted.
    pub async fn verify_totp(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        self.run(account, TOTP_SLOTS, |draft| self.steps.verify_totp_in(draft, code, purpose, client)).await
    }

    /// Judges a recovery code. A right one also lets the client in at time-based codes, if the failures of others shut it
    /// out. See [`TwoFactorSteps::verify_recovery_in`] and [`TwoFactorSteps::admit_totp_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is granted.
    pub async fn verify_recovery(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| {
            let verdict = self.steps.verify_recovery_in(draft, code, purpose, client)?;
            if let VerifyOutcome::Granted(proof) = &verdict {
                self.steps.admit_totp_in(draft, proof, client)?;
            }
            Ok(verdict)
        };
        self.run(account, SLOTS, step).await
    }

    /// Judges a code of either kind, for a form with one field; a right recovery code also lets the client in at time-based
    /// codes. See [`TwoFactorSteps::verify_code_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is granted.
    pub async fn verify_code(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| {
            let verdict = self.steps.verify_code_in(draft, code, purpose, client)?;
            if let VerifyOutcome::Granted(proof) = &verdict {
                self.steps.admit_totp_in(draft, proof, client)?;
            }
            Ok(verdict)
        };
        self.run(account, SLOTS, step).await
    }
}

/// Step-up.
impl TwoFactor {
    /// Returns what an action demands of a session now. A proof that is remembered comes out of a commit that only checks.
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn demand(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        password: bool,
    ) -> Result<Demand<StepUp>, TwoFactorError> {
        let slots = step_up_slots(session);
        self.run(account, &slots, |draft| self.steps.demand_in(draft, action, session, password)).await
    }

    /// Steps up by a time-based code. See [`TwoFactorSteps::step_up_totp_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn step_up_totp(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        let slots = step_up_slots(session);
        self.run(account, &slots, |draft| self.steps.step_up_totp_in(draft, action, session, code, client)).await
    }

    /// Steps up by a recovery code. See [`TwoFactorSteps::step_up_recovery_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn step_up_recovery(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        let slots = step_up_slots(session);
        self.run(account, &slots, |draft| self.steps.step_up_recovery_in(draft, action, session, code, client)).await
    }

    /// Steps up by what the host has checked. See [`TwoFactorSteps::step_up_attested_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is opened.
    pub async fn step_up_attested(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        attested: Attested,
    ) -> Result<Option<StepUp>, TwoFactorError> {
        let slots = step_up_slots(session);
        self.run(account, &slots, |draft| self.steps.step_up_attested_in(draft, action, session, attested)).await
    }
}

/// Ways in for an owner whom the failures of others have shut out, and the operator's acts.
impl TwoFactor {
    /// Lets another client of the account in, by a step-up for [`ADMIT_CLIENT`](crate::ADMIT_CLIENT). See
    /// [`TwoFactorSteps::admit_client_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nobody is let in.
    pub async fn admit_client(
        &self,
        proof: StepUp,
        kind: CodeKind,
        tag: ClientTag,
    ) -> Result<ClientAdmission, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| self.steps.admit_client_in(draft, &proof, kind, tag).map(Plain);
        self.run(proof.account(), SLOTS, step).await?.ok_or(TwoFactorError::NotProven)
    }

    /// Lifts waits and limits of a kind of code for everybody: the **operator's** act. See
    /// [`TwoFactorSteps::unlock_in`].
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is lifted.
    pub async fn unlock(&self, account: &AccountId, kind: CodeKind) -> Result<bool, TwoFactorError> {
        self.run(account, SLOTS, |draft| self.steps.unlock_in(draft, kind)).await
    }

    /// Removes every factor of an account, mailed codes included: the **operator's** act, for an owner who has lost them
    /// all and has proven to be the owner in some other way. Returns whether there was anything. Tell the owner.
    ///
    /// # Errors
    /// [`TwoFactorError`]; nothing is removed.
    pub async fn disable(&self, account: &AccountId) -> Result<bool, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| {
            let removed = self.steps.remove_all_in(draft, Client::unknown())?;
            Ok(self.steps.set_email_in(draft, false)? || removed)
        };
        self.run(account, SLOTS, step).await
    }
}

impl TwoFactor {
    /// A change of factors, if its authorization is valid in the very draft.
    async fn authorized<T: Release + Send>(
        &self,
        change: &FactorChange,
        mut step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| if change.is_valid_in(draft)? { step(draft).map(Some) } else { Ok(None) };
        self.run(change.account(), SLOTS, step).await?.ok_or(TwoFactorError::NotProven)
    }

    async fn import(
        &self,
        account: &AccountId,
        mut step: impl FnMut(&mut Draft<'_>) -> Result<(), ImportError> + Send,
    ) -> Result<(), TwoFactorError> {
        let step = |draft: &mut Draft<'_>| match step(draft) {
            Err(ImportError::Step(error)) => Err(error),
            decided => Ok(decided),
        };
        self.run(account, SLOTS, step).await?.map_err(TwoFactorError::Import)
    }

    async fn run<T: Release + Send>(
        &self,
        account: &AccountId,
        slots: &[SlotName],
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TwoFactorError> {
        Ok(self.driver.run(&Partition::account(account), slots, step).await?)
    }
}

impl fmt::Debug for TwoFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoFactor").field("steps", &self.steps).finish_non_exhaustive()
    }
}

/// The slots of a step-up.
fn step_up_slots(session: SessionId) -> Vec<SlotName> {
    SLOTS.iter().copied().chain([StepUps::slot(session)]).collect()
}
