//! Adding and removing devices.

use keywright_core::{Client, Event, EventKind, SessionId};
use keywright_store::{Draft, StepError, Tentative};

use super::active::{Added, MatchContext, is_name, seconds_off};
use super::code::{TotpVerifier, TypedCode};
use super::device::{DeviceId, ImportedDevice, PendingDevice};
use super::parameters::Parameters;
use super::secret::TotpSecret;
use crate::attested::state::{AttestedFactor, AttestedFactors};
use crate::events;
use crate::outcome::{
    ClockOffset, DeviceFault, DeviceImport, EnrolOutcome, EnrolmentOutcome, EnrolmentStart, RenameOutcome,
};
use crate::policy::{ENROLMENT_DRIFT_SECONDS, ENROLMENT_TRIES};
use crate::recovery;
use crate::session::session_digest;
use crate::state::{Factors, Pending};
use crate::step::{TwoFactorSteps, changed_by, move_epochs};

/// The label of the digest that stands for the session that began an enrolment.
const SESSION_LABEL: &[u8] = b"keywright/v1/twofactor.enrolment";

/// The result of comparing an enrolment code with its own device.
enum Comparison {
    /// The code is correct; `after` is the step after the one that matched.
    Right {
        after: u64,
    },
    /// The code is correct, but its step is spent.
    Spent,
    ClockOff(ClockOffset),
    Wrong,
}

/// Enrolment and removal of devices.
impl TwoFactorSteps {
    /// Begins the enrolment of a device, which may replace another. Everything that is active stays
    /// active until a code of the new device is confirmed. If an enrolment is pending already, it
    /// becomes void, whichever session began it.
    ///
    /// Only the same `session` can confirm the enrolment, and only until an epoch moves.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then no new enrolment is
    /// pending.
    pub fn begin_enrolment_in(
        &self,
        draft: &mut Draft<'_>,
        session: SessionId,
        name: &str,
        replaces: Option<DeviceId>,
    ) -> Result<EnrolmentStart<Tentative<PendingDevice>>, StepError> {
        let session = session_digest(SESSION_LABEL, session);
        let mut factors = Factors::read(draft)?;
        if !is_name(name) {
            return Ok(EnrolmentStart::BadName);
        }
        match replaces {
            Some(id) if factors.device(id).is_none() => return Ok(EnrolmentStart::UnknownDevice),
            None if factors.devices.len() >= self.policy.devices => return Ok(EnrolmentStart::TooManyDevices),
            _ => {}
        }
        let secret = TotpSecret::random(draft.entropy())?;
        let (made, epochs, parameters) = (draft.now(), draft.root()?.epochs(), self.policy.parameters);
        // The event is emitted once for as long as an enrolment is pending, so beginning over and
        // over does not fill the log.
        let was_pending = match &factors.pending {
            Some(pending) => pending.is_live(draft)?,
            None => false,
        };
        let expires = made.plus(self.policy.pending_seconds);
        let shown = PendingDevice { secret: secret.duplicate(), parameters, expires };
        factors.pending =
            Some(Pending { name: name.into(), replaces, session, secret, parameters, made, expires, epochs, wrong: 0 });
        factors.put(draft)?;
        if !was_pending {
            draft.event(&events::FACTOR_PENDING);
        }
        Ok(EnrolmentStart::Begun(draft.tentative(shown)))
    }

    /// Checks the enrolment code. It is never charged; a correct one makes the device active and
    /// spends its step. A session other than the one that began the enrolment has none pending.
    ///
    /// The window is that of every later use, so the next code of a device that is enrolled is
    /// accepted. `client` becomes known to the guess ledger if no earlier device is left.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then the enrolment stays
    /// pending.
    pub fn confirm_enrolment_in(
        &self,
        draft: &mut Draft<'_>,
        session: SessionId,
        code: &str,
        client: Client,
    ) -> Result<EnrolmentOutcome, StepError> {
        draft.acts_for(client);
        let session = session_digest(SESSION_LABEL, session);
        let mut factors = Factors::read(draft)?;
        let Some(mut pending) = factors.pending.take().filter(|pending| pending.is_of(&session)) else {
            return Ok(EnrolmentOutcome::NonePending);
        };
        if !pending.is_live(draft)? {
            // The pending secret is of no more use, so it is removed. Only the first attempt
            // writes.
            factors.put(draft)?;
            return Ok(EnrolmentOutcome::NonePending);
        }
        let parameters = pending.parameters;
        let Some(typed) = TypedCode::parse(code).filter(|typed| typed.digits() == parameters.digits()) else {
            return Ok(EnrolmentOutcome::Malformed);
        };
        let context = MatchContext::of_enrolment(draft, &self.policy);
        let after = match compare(&pending.secret, &parameters, &typed, &context, 0) {
            Comparison::Right { after } => after,
            other => {
                // The person who enrols has seen the secret and need not guess, so a few attempts
                // are enough.
                pending.wrong = pending.wrong.saturating_add(1);
                factors.pending = Some(pending).filter(|pending| pending.wrong < ENROLMENT_TRIES);
                factors.put(draft)?;
                return Ok(match other {
                    Comparison::ClockOff(offset) => EnrolmentOutcome::ClockOff(offset),
                    _ => EnrolmentOutcome::Wrong,
                });
            }
        };
        let origin = factors.replaced_by(pending.replaces.as_slice(), &self.origin);
        let replaced = pending.replaces.is_some_and(|id| factors.remove(id));
        if factors.devices.len() >= self.policy.devices {
            return Ok(EnrolmentOutcome::TooManyDevices);
        }
        if factors.devices.is_empty() {
            factors.renew(draft, &changed_by(&self.policy, client))?;
        }
        // The code may match other devices too, and must be spent for all of them.
        let matches = factors.compare(&typed, &context);
        factors.advance(&matches, &context);
        let id = factors.new_id(draft)?;
        let added = Added { at: context.now, origin };
        factors.add(id, pending.name, pending.secret, parameters, added, after);
        factors.put(draft)?;
        move_epochs(draft, &self.policy)?;
        emit(draft, if replaced { &events::FACTOR_REPLACED } else { &events::FACTOR_ADDED }, id);
        Ok(EnrolmentOutcome::Active(id))
    }

    /// Adds an active device whose secret another system made, to migrate an account from that
    /// system. Codes of this secret that were spent in this account before stay spent, even if the
    /// device has been removed since. Import an account only once: after an erasure, nothing is
    /// remembered.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is added.
    pub fn import_device_in(&self, draft: &mut Draft<'_>, device: &ImportedDevice) -> Result<DeviceImport, StepError> {
        let mut factors = Factors::read(draft)?;
        let parameters = device.parameters.unwrap_or(self.policy.parameters);
        let fault = self.fault(draft, device, &parameters).or_else(|| {
            if factors.devices.len() >= self.policy.devices {
                Some(DeviceFault::TooManyDevices)
            } else if factors.clashes(&device.secret, &parameters) {
                // A pending device cannot clash: its secret is drawn at random, and an import voids
                // the enrolment.
                Some(DeviceFault::OtherParameters)
            } else {
                None
            }
        });
        if let Some(fault) = fault {
            return Ok(DeviceImport::NotTaken(fault));
        }
        if factors.devices.is_empty() {
            factors.renew(draft, &[])?;
        }
        let id = factors.new_id(draft)?;
        let added = Added { at: draft.now(), origin: self.origin.clone() };
        factors.add(id, device.name.clone(), device.secret.duplicate(), parameters, added, device.next);
        factors.put(draft)?;
        move_epochs(draft, &self.policy)?;
        emit(draft, &events::FACTOR_ADDED, id);
        Ok(DeviceImport::Imported(id))
    }

    /// Replaces all devices with one whose secret the client supplies, in one step. A code of the
    /// new device proves it and is spent for every purpose. For wire protocols in which the client
    /// draws the secret (LibrePass). The recovery codes stay as they are: make new ones in the same
    /// draft.
    ///
    /// The code is not charged, because a client that supplies the secret has nothing to guess.
    /// `client` is known to the guess ledger from the start.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing changed.
    pub fn enrol_in(
        &self,
        draft: &mut Draft<'_>,
        device: &ImportedDevice,
        code: &str,
        client: Client,
    ) -> Result<EnrolOutcome, StepError> {
        draft.acts_for(client);
        let parameters = device.parameters.unwrap_or(self.policy.parameters);
        if let Some(fault) = self.fault(draft, device, &parameters) {
            return Ok(EnrolOutcome::NotTaken(fault));
        }
        let Some(typed) = TypedCode::parse(code).filter(|typed| typed.digits() == parameters.digits()) else {
            return Ok(EnrolOutcome::Malformed);
        };
        let mut factors = Factors::read(draft)?;
        let context = MatchContext::of_enrolment(draft, &self.policy);
        let next = device.next.max(factors.first_unspent(&device.secret, &parameters));
        let after = match compare(&device.secret, &parameters, &typed, &context, next) {
            Comparison::Right { after } => after,
            Comparison::Spent => return Ok(EnrolOutcome::Spent),
            Comparison::ClockOff(offset) => return Ok(EnrolOutcome::ClockOff(offset)),
            Comparison::Wrong => return Ok(EnrolOutcome::Wrong),
        };
        // The old devices may show the code too (if they have the same secret), and it must be
        // spent for all of them.
        let matches = factors.compare(&typed, &context);
        factors.advance(&matches, &context);
        let ids: Vec<DeviceId> = factors.devices.iter().map(|device| device.id).collect();
        let replaced = !ids.is_empty();
        let origin = factors.replaced_by(&ids, &self.origin);
        for id in ids {
            factors.remove(id);
        }
        factors.pending = None;
        factors.renew(draft, &changed_by(&self.policy, client))?;
        let id = factors.new_id(draft)?;
        let added = Added { at: context.now, origin };
        factors.add(id, device.name.clone(), device.secret.duplicate(), parameters, added, after);
        factors.put(draft)?;
        move_epochs(draft, &self.policy)?;
        emit(draft, if replaced { &events::FACTOR_REPLACED } else { &events::FACTOR_ADDED }, id);
        Ok(EnrolOutcome::Active(id))
    }

    /// Removes a device or an attested factor. Removing the last one also removes the recovery codes.
    /// Returns whether the device existed.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is removed.
    pub fn remove_device_in(&self, draft: &mut Draft<'_>, device: DeviceId, client: Client) -> Result<bool, StepError> {
        draft.acts_for(client);
        let mut factors = Factors::read(draft)?;
        if !factors.remove(device) {
            return self.remove_attested(draft, &factors, device, client);
        }
        emit(draft, &events::FACTOR_REMOVED, device);
        self.finish_removal(draft, factors, client)?;
        Ok(true)
    }

    /// Renames a device or an attested factor. No session ends and no proof becomes void, because
    /// the same secrets authenticate the account as before.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then the name stays.
    pub fn rename_device_in(
        &self,
        draft: &mut Draft<'_>,
        device: DeviceId,
        name: &str,
    ) -> Result<RenameOutcome, StepError> {
        if !is_name(name) {
            return Ok(RenameOutcome::BadName);
        }
        let mut factors = Factors::read(draft)?;
        let mut attested = AttestedFactors::read(draft)?;
        if let Some(found) = factors.devices.iter_mut().find(|own| own.id == device) {
            found.rename(name);
            factors.put(draft)?;
        } else if let Some(found) = attested.factors.iter_mut().find(|own| own.id == device) {
            found.name = name.into();
            attested.put(draft)?;
        } else {
            return Ok(RenameOutcome::UnknownDevice);
        }
        emit(draft, &events::FACTOR_RENAMED, device);
        Ok(RenameOutcome::Renamed)
    }

    /// Removes all devices and attested factors, any pending enrolment, and the recovery codes. The
    /// switch of mailed codes stays as it is. Returns whether there was anything to remove.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is removed.
    pub fn remove_all_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<bool, StepError> {
        draft.acts_for(client);
        let mut factors = Factors::read(draft)?;
        let pending = factors.pending.take().is_some();
        let ids: Vec<DeviceId> = factors.devices.iter().map(|device| device.id).collect();
        for id in &ids {
            factors.remove(*id);
            emit(draft, &events::FACTOR_REMOVED, *id);
        }
        let attested = std::mem::take(&mut AttestedFactors::read(draft)?.factors);
        if !attested.is_empty() {
            attested.iter().for_each(|factor| emit_attested_removal(draft, factor));
            AttestedFactors::default().put(draft)?;
            move_epochs(draft, &self.policy)?;
        }
        if ids.is_empty() {
            if pending {
                factors.put(draft)?;
            }
            return Ok(recovery::step::remove(draft, &self.policy, client)? || pending || !attested.is_empty());
        }
        self.finish_removal(draft, factors, client)?;
        Ok(true)
    }

    /// Removes an attested factor, beside these devices.
    fn remove_attested(
        &self,
        draft: &mut Draft<'_>,
        factors: &Factors,
        device: DeviceId,
        client: Client,
    ) -> Result<bool, StepError> {
        let mut attested = AttestedFactors::read(draft)?;
        let Some(gone) = attested.remove(device) else { return Ok(false) };
        emit_attested_removal(draft, &gone);
        attested.put(draft)?;
        move_epochs(draft, &self.policy)?;
        if attested.is_empty() && factors.devices.is_empty() {
            recovery::step::remove(draft, &self.policy, client)?;
        }
        Ok(true)
    }

    /// Completes the removal of a device.
    fn finish_removal(&self, draft: &mut Draft<'_>, mut factors: Factors, client: Client) -> Result<(), StepError> {
        let last = factors.devices.is_empty();
        if last {
            // The guesses were at secrets that are gone; a limit that outlived them would lock out
            // the owner of the next one.
            factors.renew(draft, &changed_by(&self.policy, client))?;
        }
        factors.put(draft)?;
        move_epochs(draft, &self.policy)?;
        if last && AttestedFactors::read(draft)?.is_empty() {
            recovery::step::remove(draft, &self.policy, client)?;
        }
        Ok(())
    }

    /// Returns why the policy does not accept a device, regardless of what else the account has.
    fn fault(&self, draft: &Draft<'_>, device: &ImportedDevice, parameters: &Parameters) -> Option<DeviceFault> {
        if is_name(&device.name) && !self.policy.takes(&device.secret) {
            return Some(DeviceFault::ShortSecret);
        }
        self.fault_of_any(draft, device, parameters)
    }

    /// Like [`fault`](Self::fault), but for a device whose secret may be shorter than the policy
    /// requires, because its owner uses it already.
    pub(crate) fn fault_of_any(
        &self,
        draft: &Draft<'_>,
        device: &ImportedDevice,
        parameters: &Parameters,
    ) -> Option<DeviceFault> {
        if !is_name(&device.name) {
            Some(DeviceFault::Name)
        } else if self.policy.guards(parameters, draft.ledger_policy()).is_err() {
            Some(DeviceFault::Guessable)
        } else {
            None
        }
    }
}

/// Compares an enrolment code with its own device, whose first unspent step is `next`.
fn compare(
    secret: &TotpSecret,
    parameters: &Parameters,
    typed: &TypedCode,
    context: &MatchContext,
    next: u64,
) -> Comparison {
    let present = parameters.step_at(context.now);
    let next = next.max(context.after_fence(parameters));
    let found = TotpVerifier::by_totp_rs(secret, *parameters).judge(typed, present, context.window, next);
    if bool::from(found.fresh) {
        return Comparison::Right { after: found.after };
    }
    if found.after != 0 {
        return Comparison::Spent;
    }
    let codes = TotpVerifier::new(secret, *parameters);
    match seconds_off(&codes, parameters, typed, context, ENROLMENT_DRIFT_SECONDS) {
        Some(seconds) => Comparison::ClockOff(ClockOffset { seconds }),
        None => Comparison::Wrong,
    }
}

fn emit_attested_removal(draft: &mut Draft<'_>, gone: &AttestedFactor) {
    let event = Event::new(&events::ATTESTED_REMOVED).with("device", gone.id.to_string().as_str());
    draft.event(event.with("method", gone.method.as_str()));
}

fn emit(draft: &mut Draft<'_>, kind: &'static EventKind, device: DeviceId) {
    draft.event(Event::new(kind).with("device", device.to_string().as_str()));
}
