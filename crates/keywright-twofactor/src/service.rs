//! The steps: `…_in` composes into a caller's draft. [`TwoFactor`](crate::TwoFactor) runs them on a store.

use keywright_core::{DeviceTag, Refusal};
use keywright_store::{Draft, Slot, StepError, Tentative};

use crate::outcome::{Method, Proven, Verdict};
use crate::policy::TwoFactorPolicy;
use crate::recovery::{self, ImportError, Liveness, RecoveryCodes};
use crate::step;
use crate::step_up::{Attested, Demand, StepUp, StepUps};
use crate::totp::{Beginning, Confirming, DeviceId, Enrolled, Enrolling, Parameters, PendingDevice, TotpSecret};

/// The slots that these steps read: name them to the driver and it loads them in one go. Step-up reads
/// [`StepUps::slot`] as well.
pub const SLOTS: &[Slot] = &[Slot::Factors, Slot::Recovery, Slot::Ledger];

/// The pure transitions with a policy. [`TwoFactor`](crate::TwoFactor) runs them on a store.
///
/// `tag` names the credential the caller came with (an app token, a login token): one that passed this door before is
/// not held up by strangers' failures. `purpose` says what a proof is for; it is carried by the [`Proven`].
///
/// Adding, replacing or removing a device, making recovery codes and the e-mail switch change what proves the account.
/// These steps do not ask: the caller takes a [`StepUp`] or a [`Proven`] factor first, in the same draft, when any factor is
/// active. Where a secret goes, its door of the guess ledger is emptied with it, so the proof is one of a factor, or the
/// act an operator's: a mailed code never takes a factor away.
#[derive(Debug, Clone, Default)]
pub struct TwoFactorSteps {
    policy: TwoFactorPolicy,
    step_ups: StepUps,
}

impl TwoFactorSteps {
    /// Steps under a policy.
    #[must_use]
    pub fn new(policy: TwoFactorPolicy) -> Self {
        let step_ups = StepUps::new(policy.step_up.clone());
        Self { policy, step_ups }
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &TwoFactorPolicy {
        &self.policy
    }

    /// The steps of step-up alone.
    #[must_use]
    pub const fn step_ups(&self) -> &StepUps {
        &self.step_ups
    }

    /// What the account has enrolled.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn enrolled_in(&self, draft: &mut Draft<'_>) -> Result<Enrolled, StepError> {
        step::enrolled(draft)
    }

    /// Begins the enrolment of a device, in the place of another or beside it. Everything that is active stays so until
    /// the new device is proven; an enrolment that was pending is void, whichever session began it.
    ///
    /// `session` is the opaque identity of 1 to [`MAX_SESSION`](crate::MAX_SESSION) bytes that the wire knows the caller
    /// by. Only it can confirm, and only until an epoch moves.
    ///
    /// # Errors
    /// [`StepError`]; nothing is pending that was not before.
    pub fn begin_enrolment_in(
        &self,
        draft: &mut Draft<'_>,
        session: &[u8],
        name: &str,
        replaces: Option<DeviceId>,
    ) -> Result<Beginning<Tentative<PendingDevice>>, StepError> {
        step::begin(draft, &self.policy, session, name, replaces)
    }

    /// Judges the enrolling code. It is never charged; a right one makes the device active and spends its step. In
    /// another session than the one that began, nothing is pending.
    ///
    /// # Errors
    /// [`StepError`]; the enrolment stays pending.
    pub fn confirm_enrolment_in(
        &self,
        draft: &mut Draft<'_>,
        session: &[u8],
        code: &str,
    ) -> Result<Confirming, StepError> {
        step::confirm(draft, &self.policy, session, code)
    }

    /// Adds an active device with a secret from elsewhere and the policy's parameters: for seeding. Seed an account once:
    /// a secret that is imported again after an erase accepts its last codes again.
    ///
    /// # Errors
    /// [`StepError::Misuse`] for a bad name, a secret that is too short (see [`TwoFactorPolicy::takes`]), no room, or a
    /// secret that an active device has with other parameters: six digits of a code are the end of its eight, so who saw a
    /// spent code of the one would know an unspent code of the other. With the same parameters, both are spent together.
    pub fn import_device_in(
        &self,
        draft: &mut Draft<'_>,
        name: &str,
        secret: TotpSecret,
    ) -> Result<DeviceId, StepError> {
        step::import(draft, &self.policy, name, secret, self.policy.parameters)
    }

    /// The same with parameters of the device's own.
    ///
    /// # Errors
    /// As [`import_device_in`](Self::import_device_in), and for codes that the ledger's policy does not guard.
    pub fn import_device_with_in(
        &self,
        draft: &mut Draft<'_>,
        name: &str,
        secret: TotpSecret,
        parameters: Parameters,
    ) -> Result<DeviceId, StepError> {
        step::import(draft, &self.policy, name, secret, parameters)
    }

    /// Puts a device of a secret that the client brings in the place of all others, in one step, and gives its end as the
    /// [`Enrolling`]: a code of the new device proves it and is spent for every purpose. For wires on which the client
    /// draws the secret (LibrePass). The recovery codes stay: make new ones in the same draft.
    ///
    /// # Errors
    /// [`StepError`]; nothing changed. [`StepError::Misuse`] for a bad name, a secret that is too short (see
    /// [`TwoFactorPolicy::takes`]), and codes that the ledger's policy does not guard.
    pub fn enrol_in(
        &self,
        draft: &mut Draft<'_>,
        name: &str,
        secret: TotpSecret,
        parameters: Parameters,
        code: &str,
    ) -> Result<Enrolling, StepError> {
        step::enrol(draft, &self.policy, name, secret, parameters, code)
    }

    /// Removes a device. The last one takes the recovery codes with it. Gives whether it was there.
    ///
    /// # Errors
    /// [`StepError`]; nothing is removed.
    pub fn remove_device_in(&self, draft: &mut Draft<'_>, device: DeviceId) -> Result<bool, StepError> {
        step::remove(draft, device)
    }

    /// Removes all devices, an enrolment that is pending, and the recovery codes. The e-mail switch stays. Gives whether
    /// there was anything.
    ///
    /// # Errors
    /// [`StepError`]; nothing is removed.
    pub fn remove_all_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        step::remove_all(draft)
    }

    /// Switches mailed codes on or off. Gives whether that changed anything. The codes themselves are confirmations, of
    /// another crate.
    ///
    /// # Errors
    /// [`StepError`]; nothing is switched.
    pub fn set_email_in(&self, draft: &mut Draft<'_>, on: bool) -> Result<bool, StepError> {
        step::set_email(draft, on)
    }

    /// Judges a time-based code against all devices; a right one is spent.
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged and nothing spent.
    pub fn verify_totp_in(
        &self,
        draft: &mut Draft<'_>,
        code: &str,
        purpose: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<Tentative<Proven>>, StepError> {
        step::verify(draft, &self.policy, code, purpose, tag)
    }

    /// Judges a recovery code; a right one is spent.
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged and nothing spent.
    pub fn verify_recovery_in(
        &self,
        draft: &mut Draft<'_>,
        code: &str,
        purpose: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<Tentative<Proven>>, StepError> {
        recovery::verify(draft, &self.policy.ledger, code, purpose, tag)
    }

    /// Makes a set of recovery codes, to be shown once.
    ///
    /// # Errors
    /// [`StepError`]; nothing is made.
    pub fn make_recovery_in(
        &self,
        draft: &mut Draft<'_>,
        liveness: Liveness,
    ) -> Result<Tentative<RecoveryCodes>, StepError> {
        recovery::make(draft, self.policy.recovery, liveness, self.policy.pending_seconds)
    }

    /// The owner has kept the codes: the pending set goes live. False if none waits, or if what waits is void or waited
    /// longer than the policy's [`pending_seconds`](crate::TwoFactorPolicyBuilder::pending_seconds); then the one before
    /// stays live.
    ///
    /// # Errors
    /// [`StepError`]; the set still waits.
    pub fn acknowledge_recovery_in(&self, draft: &mut Draft<'_>) -> Result<bool, StepError> {
        recovery::acknowledge(draft)
    }

    /// Takes over recovery codes of the policy's form from elsewhere, live at once: for seeding.
    ///
    /// # Errors
    /// [`ImportError`]; nothing is taken over.
    pub fn import_recovery_in(&self, draft: &mut Draft<'_>, codes: &[&str]) -> Result<(), ImportError> {
        recovery::import(draft, self.policy.recovery, codes)
    }

    /// What a time-based code would be refused with now, without looking at one.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn totp_refusal_in(&self, draft: &mut Draft<'_>, tag: Option<DeviceTag>) -> Result<Option<Refusal>, StepError> {
        step::refusal(draft, &self.policy, tag)
    }

    /// What a recovery code would be refused with now, without looking at one.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn recovery_refusal_in(
        &self,
        draft: &mut Draft<'_>,
        tag: Option<DeviceTag>,
    ) -> Result<Option<Refusal>, StepError> {
        recovery::refusal(draft, &self.policy.ledger, tag)
    }

    /// What every time-based code is refused with now, to be answered before one is looked at. Unlike
    /// [`totp_refusal_in`](Self::totp_refusal_in) it begins a wait anew, once, after the clock went back.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn totp_refused_in(&self, draft: &mut Draft<'_>, tag: Option<DeviceTag>) -> Result<Option<Refusal>, StepError> {
        step::refused(draft, &self.policy, tag)
    }

    /// The same for recovery codes.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn recovery_refused_in(
        &self,
        draft: &mut Draft<'_>,
        tag: Option<DeviceTag>,
    ) -> Result<Option<Refusal>, StepError> {
        recovery::refused(draft, &self.policy.ledger, tag)
    }

    /// Lifts waits and lock of the door of time-based codes, by a factor that was proven in this draft: a recovery code,
    /// when strangers have locked it. Gives whether there was anything to lift.
    ///
    /// # Errors
    /// [`StepError`]; nothing is lifted. [`StepError::Misuse`] for a proof that is no factor's.
    pub fn unlock_totp_in(&self, draft: &mut Draft<'_>, proof: &Tentative<Proven>) -> Result<bool, StepError> {
        step::unlock(draft, proof)
    }

    /// What an action demands of a session now. See [`StepUps::demand_in`].
    ///
    /// # Errors
    /// [`StepError`]; nothing is opened.
    pub fn demand_in(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        password: bool,
    ) -> Result<Demand<Tentative<StepUp>>, StepError> {
        self.step_ups.demand_in(draft, action, session, password)
    }

    /// Steps up by a time-based code. Where that does not open the action, the code is not looked at:
    /// [`Verdict::NotEnrolled`].
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged, spent or opened.
    pub fn step_up_totp_in(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        code: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<Tentative<StepUp>>, StepError> {
        if !self.step_ups.permits_in(draft, action, Method::Totp)? {
            return Ok(Verdict::NotEnrolled);
        }
        let verdict = self.verify_totp_in(draft, code, action, tag)?;
        self.step_up_by(draft, action, session, verdict)
    }

    /// Steps up by a recovery code, as [`step_up_totp_in`](Self::step_up_totp_in).
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged, spent or opened.
    pub fn step_up_recovery_in(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        code: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Verdict<Tentative<StepUp>>, StepError> {
        if !self.step_ups.permits_in(draft, action, Method::Recovery)? {
            return Ok(Verdict::NotEnrolled);
        }
        let verdict = self.verify_recovery_in(draft, code, action, tag)?;
        self.step_up_by(draft, action, session, verdict)
    }

    /// Steps up by what the host has checked. `None` if its method does not open the action. See [`StepUps::attest_in`].
    ///
    /// # Errors
    /// [`StepError`]; nothing is opened.
    pub fn step_up_attested_in(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        attested: Attested,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        self.step_ups.attest_in(draft, action, session, attested)
    }

    fn step_up_by(
        &self,
        draft: &mut Draft<'_>,
        action: &str,
        session: &[u8],
        verdict: Verdict<Tentative<Proven>>,
    ) -> Result<Verdict<Tentative<StepUp>>, StepError> {
        Ok(match verdict {
            Verdict::Granted(proven) => {
                let opened = self.step_ups.grant_in(draft, action, session, proven)?;
                Verdict::Granted(opened.ok_or(StepError::Misuse("what opened the action no longer does"))?)
            }
            Verdict::Denied(denial) => Verdict::Denied(denial),
            Verdict::Refused(refusal) => Verdict::Refused(refusal),
            Verdict::Malformed => Verdict::Malformed,
            Verdict::NotEnrolled => Verdict::NotEnrolled,
        })
    }
}
