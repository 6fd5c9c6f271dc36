//! The async service, which runs the steps on a store.

use std::sync::Arc;

use keywright_core::{AccountId, ActionName, Client, ClientAdmission, ClientTag, Purpose, Refusal, SessionId};
use keywright_store::hashed::CodeVerifier;
use keywright_store::{Draft, Driver, Partition, Plain, Release, SlotName, StepError};

use crate::enrolled::Enrolled;
use crate::error::TwoFactorError;
use crate::outcome::{DeviceImport, EnrolOutcome, Method, Proven, RenameOutcome, VerifyOutcome};
use crate::policy::{TwoFactorPolicy, TwoFactorPolicyError};
use crate::recovery::code::Liveness;
use crate::recovery::error::ImportError;
use crate::recovery::set::RecoveryCodes;
use crate::recovery::step::has_hashes;
use crate::step::{CodeKind, CodeKinds, RECOVERY_SLOTS, SLOTS, TOTP_SLOTS, TwoFactorSteps};
use crate::step_up::grant::FactorChange;
use crate::step_up::proof::{Attested, Demand, StepUp};
use crate::step_up::steps::StepUps;
use crate::totp::device::{DeviceId, ImportedDevice};

mod enrolment;

/// The two-factor service, which runs the steps on a store. See [`TwoFactorSteps`] for what each of
/// them does.
///
/// In every method, `client` identifies the sender of the request to the guess ledger: by the
/// credential that it presents, or by its network ([`Driver::client_tag`]). A client that has
/// entered a correct code before is not delayed by the wrong codes of others.
///
/// After [`TransactError::Unknown`](keywright_store::TransactError::Unknown) nothing is granted,
/// but a code may have been spent and a change may have happened: check
/// [`enrolled`](Self::enrolled).
#[derive(Clone)]
pub struct TwoFactor {
    pub(crate) driver: Driver,
    pub(crate) steps: TwoFactorSteps,
}

/// Construction and queries.
impl TwoFactor {
    /// Creates a service over a driver.
    ///
    /// # Errors
    /// Returns [`TwoFactorPolicyError::Guessable`] if the driver's ledger policy does not protect
    /// codes with the policy's `window`, `devices` and `digits`.
    pub fn new(driver: Driver, policy: TwoFactorPolicy) -> Result<Self, TwoFactorPolicyError> {
        let steps = TwoFactorSteps::new(policy, driver.ledger_policy())?;
        Ok(Self { driver, steps })
    }

    /// Sets what compares recovery codes that were imported as slow hashes, for this service alone.
    /// The driver's own verifier ([`DriverBuilder::code_verifier`]) is that of all services.
    ///
    /// [`DriverBuilder::code_verifier`]: keywright_store::DriverBuilder::code_verifier
    #[must_use]
    pub fn with_code_verifier(mut self, verifier: Arc<dyn CodeVerifier>) -> Self {
        self.driver = self.driver.with_code_verifier(verifier);
        self
    }

    /// Returns the steps, to be composed with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &TwoFactorSteps {
        &self.steps
    }

    /// Returns what the account has enrolled. It decides nothing, so it does not wait for other
    /// requests.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn enrolled(&self, account: &AccountId) -> Result<Enrolled, TwoFactorError> {
        Ok(self
            .driver
            .named("two_factor.enrolled")
            .observe(&account.into(), SLOTS, |draft| self.steps.enrolled_in(draft))
            .await?)
    }

    /// Returns the refusal that a time-based code would get now.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn totp_refusal(&self, account: &AccountId, client: Client) -> Result<Option<Refusal>, TwoFactorError> {
        let look = |draft: &mut Draft<'_>| self.steps.totp_refusal_in(draft, client);
        Ok(self.driver.named("two_factor.totp_refusal").observe(&account.into(), TOTP_SLOTS, look).await?)
    }

    /// Returns the refusal that a recovery code would get now.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn recovery_refusal(
        &self,
        account: &AccountId,
        client: Client,
    ) -> Result<Option<Refusal>, TwoFactorError> {
        let look = |draft: &mut Draft<'_>| self.steps.recovery_refusal_in(draft, client);
        Ok(self.driver.named("two_factor.recovery_refusal").observe(&account.into(), RECOVERY_SLOTS, look).await?)
    }
}

/// Changes of factors, apart from the enrolment of a device.
impl TwoFactor {
    /// Replaces all devices with one whose secret the client supplies. See
    /// [`TwoFactorSteps::enrol_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy.
    pub async fn enrol(
        &self,
        change: impl Into<FactorChange> + Send,
        device: &ImportedDevice,
        code: &str,
        client: Client,
    ) -> Result<EnrolOutcome, TwoFactorError> {
        self.authorized("two_factor.enrol", &change.into(), SLOTS, |draft| {
            self.steps.enrol_in(draft, device, code, client)
        })
        .await
    }

    /// Adds an active device whose secret was made by another system. It is for migrating accounts,
    /// so it takes no authorization. See [`TwoFactorSteps::import_device_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn import_device(
        &self,
        account: &AccountId,
        device: &ImportedDevice,
    ) -> Result<DeviceImport, TwoFactorError> {
        self.run("two_factor.import_device", account, SLOTS, |draft| self.steps.import_device_in(draft, device)).await
    }

    /// Removes a device or an attested factor. See [`TwoFactorSteps::remove_device_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy.
    pub async fn remove_device(&self, proof: StepUp, device: DeviceId, client: Client) -> Result<bool, TwoFactorError> {
        self.authorized("two_factor.remove_device", &proof.into(), SLOTS, |draft| {
            self.steps.remove_device_in(draft, device, client)
        })
        .await
    }

    /// Renames a device or an attested factor. See [`TwoFactorSteps::rename_device_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy.
    pub async fn rename_device(
        &self,
        change: impl Into<FactorChange> + Send,
        device: DeviceId,
        name: &str,
    ) -> Result<RenameOutcome, TwoFactorError> {
        self.authorized("two_factor.rename_device", &change.into(), SLOTS, |draft| {
            self.steps.rename_device_in(draft, device, name)
        })
        .await
    }

    /// Removes all devices, attested factors and recovery codes. See [`TwoFactorSteps::remove_all_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy.
    pub async fn remove_all(&self, proof: StepUp, client: Client) -> Result<bool, TwoFactorError> {
        self.authorized("two_factor.remove_all", &proof.into(), SLOTS, |draft| self.steps.remove_all_in(draft, client))
            .await
    }

    /// Switches mailed codes on or off.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy.
    pub async fn set_email(&self, change: impl Into<FactorChange> + Send, on: bool) -> Result<bool, TwoFactorError> {
        self.authorized("two_factor.set_email", &change.into(), SLOTS, |draft| self.steps.set_email_in(draft, on)).await
    }

    /// Makes a set of recovery codes, which is to be shown once. See
    /// [`TwoFactorSteps::make_recovery_in`]; [`confirm`](Self::confirm) makes those of a first
    /// device.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the authorization is not valid, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy. In both cases there is nothing to show.
    pub async fn make_recovery(
        &self,
        change: impl Into<FactorChange> + Send,
        liveness: Liveness,
        client: Client,
    ) -> Result<RecoveryCodes, TwoFactorError> {
        self.authorized("two_factor.make_recovery", &change.into(), SLOTS, |draft| {
            self.steps.make_recovery_in(draft, liveness, client)
        })
        .await
    }

    /// Records that the owner has kept the codes. See [`TwoFactorSteps::acknowledge_recovery_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn acknowledge_recovery(
        &self,
        account: &AccountId,
        session: SessionId,
        client: Client,
    ) -> Result<bool, TwoFactorError> {
        self.run("two_factor.acknowledge_recovery", account, SLOTS, |draft| {
            self.steps.acknowledge_recovery_in(draft, session, client)
        })
        .await
    }

    /// Imports recovery codes that another system made. It is for migrating accounts, so it takes
    /// no authorization. See [`TwoFactorSteps::import_recovery_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Import`] if the codes do not form a set of the policy's preset,
    /// and [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy.
    pub async fn import_recovery(&self, account: &AccountId, codes: &[&str]) -> Result<(), TwoFactorError> {
        self.import(account, |draft| self.steps.import_recovery_in(draft, codes)).await
    }

    /// Imports recovery codes in the form in which Rocket.Chat stores them. See
    /// [`TwoFactorSteps::import_recovery_digests_in`].
    ///
    /// # Errors
    /// The errors are those of [`import_recovery`](Self::import_recovery).
    pub async fn import_recovery_digests(&self, account: &AccountId, digests: &[&str]) -> Result<(), TwoFactorError> {
        self.import(account, |draft| self.steps.import_recovery_digests_in(draft, digests)).await
    }
}

/// Verification of codes.
impl TwoFactor {
    /// Checks a time-based code. See [`TwoFactorSteps::verify_totp_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is granted.
    pub async fn verify_totp(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        self.run("two_factor.verify_totp", account, TOTP_SLOTS, |draft| {
            self.steps.verify_totp_in(draft, code, purpose, client)
        })
        .await
    }

    /// Checks a recovery code. A correct one also admits the client to time-based codes, if the
    /// failures of others locked it out. See [`TwoFactorSteps::verify_recovery_in`] and
    /// [`TwoFactorSteps::admit_totp_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is granted.
    pub async fn verify_recovery(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        let kinds = CodeKinds::One(CodeKind::Recovery);
        self.verify_kinds("two_factor.verify_recovery", kinds, account, code, purpose, client).await
    }

    /// Checks a code of either kind, time-based or recovery, for a form with one field. A correct
    /// recovery code also admits the client to time-based codes. See
    /// [`TwoFactorSteps::verify_code_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is granted.
    pub async fn verify(
        &self,
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        self.verify_kinds("two_factor.verify", CodeKinds::Either, account, code, purpose, client).await
    }

    async fn verify_kinds(
        &self,
        operation: &'static str,
        kinds: CodeKinds,
        account: &AccountId,
        code: &str,
        purpose: &Purpose,
        client: Client,
    ) -> Result<VerifyOutcome<Proven>, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| {
            let verdict = self.steps.verify_kinds_in(draft, kinds, code, purpose, client)?;
            if let VerifyOutcome::Granted(proof) = &verdict {
                self.steps.admit_totp_in(draft, proof, client)?;
            }
            self.or_no_verifier(draft, kinds, verdict)
        };
        self.run(operation, account, SLOTS, step).await?
    }

    /// Tells codes that only a verifier can check, which this service lacks, from none at all.
    fn or_no_verifier<P>(
        &self,
        draft: &mut Draft<'_>,
        kinds: CodeKinds,
        verdict: VerifyOutcome<P>,
    ) -> Result<Verified<P>, StepError> {
        let is_unchecked = matches!(verdict, VerifyOutcome::NotEnrolled)
            && kinds.has_recovery()
            && !self.driver.has_code_verifier()
            && has_hashes(draft)?;
        Ok(if is_unchecked { Err(TwoFactorError::NoCodeVerifier) } else { Ok(verdict) })
    }
}

/// Step-up.
impl TwoFactor {
    /// Returns what an action requires of a session now. If the session remembers a proof that
    /// authorizes the action, this commits a check that the proof is still valid, and returns a
    /// step-up.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is authorized.
    pub async fn demand(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        password: bool,
    ) -> Result<Demand<StepUp>, TwoFactorError> {
        let slots = step_up_slots(session);
        self.run("two_factor.demand", account, &slots, |draft| self.steps.demand_in(draft, action, session, password))
            .await
    }

    /// Steps up with a time-based code. See [`TwoFactorSteps::step_up_totp_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is authorized.
    pub async fn step_up_totp(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        let slots = step_up_slots(session);
        self.run("two_factor.step_up_totp", account, &slots, |draft| {
            self.steps.step_up_totp_in(draft, action, session, code, client)
        })
        .await
    }

    /// Steps up with a recovery code. See [`TwoFactorSteps::step_up_recovery_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is authorized.
    pub async fn step_up_recovery(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        let kinds = |draft: &mut Draft<'_>| {
            let is_permitted = self.steps.step_ups().permits_in(draft, action, Method::Recovery)?;
            Ok(is_permitted.then_some(CodeKinds::One(CodeKind::Recovery)))
        };
        self.step_up_kinds("two_factor.step_up_recovery", kinds, account, (action, session), code, client).await
    }

    /// Steps up with a code of either kind, for a form with one field. See
    /// [`TwoFactorSteps::step_up_code_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is authorized.
    pub async fn step_up_code(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        let kinds = |draft: &mut Draft<'_>| self.steps.step_up_kinds_in(draft, action);
        self.step_up_kinds("two_factor.step_up_code", kinds, account, (action, session), code, client).await
    }

    async fn step_up_kinds(
        &self,
        operation: &'static str,
        kinds: impl Fn(&mut Draft<'_>) -> Result<Option<CodeKinds>, StepError> + Send + Sync,
        account: &AccountId,
        (action, session): (&ActionName, SessionId),
        code: &str,
        client: Client,
    ) -> Result<VerifyOutcome<StepUp>, TwoFactorError> {
        let purpose = Purpose::from(action.clone());
        let step = |draft: &mut Draft<'_>| {
            let Some(kinds) = kinds(draft)? else { return Ok(Ok(VerifyOutcome::NotEnrolled)) };
            let verdict = self.steps.verify_kinds_in(draft, kinds, code, &purpose, client)?;
            let verdict = self.steps.step_up_by(draft, action, session, verdict)?;
            self.or_no_verifier(draft, kinds, verdict)
        };
        self.run(operation, account, &step_up_slots(session), step).await?
    }

    /// Steps up with what the host has checked. See [`TwoFactorSteps::step_up_attested_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is authorized.
    pub async fn step_up_attested(
        &self,
        account: &AccountId,
        action: &ActionName,
        session: SessionId,
        attested: Attested,
    ) -> Result<Option<StepUp>, TwoFactorError> {
        let slots = step_up_slots(session);
        self.run("two_factor.step_up_attested", account, &slots, |draft| {
            self.steps.step_up_attested_in(draft, action, session, attested)
        })
        .await
    }
}

/// Operations for an owner whom other people's wrong codes have locked out, and those of the
/// operator.
impl TwoFactor {
    /// Admits another client of the account, with a step-up for
    /// [`ADMIT_CLIENT`](crate::ADMIT_CLIENT). See [`TwoFactorSteps::admit_client_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::NotProven`] if the proof does not authorize it, and
    /// [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the account
    /// is busy. In both cases no client is admitted.
    pub async fn admit_client(
        &self,
        proof: StepUp,
        kind: CodeKind,
        tag: ClientTag,
    ) -> Result<ClientAdmission, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| self.steps.admit_client_in(draft, &proof, kind, tag).map(Plain);
        self.run("two_factor.admit_client", proof.account(), SLOTS, step).await?.ok_or(TwoFactorError::NotProven)
    }

    /// Clears the waits and limits of a kind of code for every client. Only the **operator** may do
    /// this. See [`TwoFactorSteps::unlock_in`].
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is lifted.
    pub async fn unlock(&self, account: &AccountId, kind: CodeKind) -> Result<bool, TwoFactorError> {
        self.run("two_factor.unlock", account, SLOTS, |draft| self.steps.unlock_in(draft, kind)).await
    }

    /// Removes every factor of an account, including mailed codes. Only the **operator** may do
    /// this, for an owner who has lost all of them and has proven their identity in some other way.
    /// Returns whether there was anything to remove. Notify the owner.
    ///
    /// # Errors
    /// Returns [`TwoFactorError::Transact`] if the store, the clock or the generator fails or the
    /// account is busy; then nothing is removed.
    pub async fn disable(&self, account: &AccountId) -> Result<bool, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| {
            // The operator's client must not become known for the owner's next factors.
            let removed = self.steps.remove_all_in(draft, Client::unknown())?;
            Ok(self.steps.set_email_in(draft, false)? || removed)
        };
        self.run("two_factor.disable", account, SLOTS, step).await
    }
}

impl TwoFactor {
    /// Runs a change of factors, if its authorization is valid in the same draft.
    pub(crate) async fn authorized<T: Release + Send>(
        &self,
        operation: &'static str,
        change: &FactorChange,
        slots: &[SlotName],
        mut step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TwoFactorError> {
        let step = |draft: &mut Draft<'_>| if change.is_valid_in(draft)? { step(draft).map(Some) } else { Ok(None) };
        self.run(operation, change.account(), slots, step).await?.ok_or(TwoFactorError::NotProven)
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
        self.run("two_factor.import", account, SLOTS, step).await?.map_err(TwoFactorError::Import)
    }

    pub(crate) async fn run<T: Release + Send>(
        &self,
        operation: &'static str,
        account: &AccountId,
        slots: &[SlotName],
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, TwoFactorError> {
        Ok(self.driver.named(operation).run(&Partition::account(account), slots, step).await?)
    }
}

keywright_core::redacted_debug!(TwoFactor { steps, .. });

/// A verdict, or the error for codes that nothing can check.
type Verified<P> = Result<VerifyOutcome<P>, TwoFactorError>;

/// Returns the slots of a step-up.
fn step_up_slots(session: SessionId) -> Vec<SlotName> {
    SLOTS.iter().copied().chain([StepUps::slot(session)]).collect()
}
