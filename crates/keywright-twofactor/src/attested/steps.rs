//! The transitions of attested factors.

use keywright_core::{ActionName, Client, Event, Purpose, SessionId};
use keywright_store::{Draft, StepError, Tentative};

use super::challenge::{self, AssertionChallenge, Enrols, Use};
use super::factor::{Assertion, AttestedEnrolment, MAX_ATTESTED_DATA, MAX_ATTESTED_FACTORS};
use super::method::AttestedMethod;
use super::state::{AttestedFactor, AttestedFactors};
use crate::events;
use crate::outcome::{Denial, EnrolmentStart, Method, Proven, VerifyOutcome};
use crate::recovery::code::Liveness;
use crate::recovery::set::RecoveryCodes;
use crate::state::Factors;
use crate::step::{TwoFactorSteps, move_epochs};
use crate::step_up::proof::StepUp;
use crate::totp::active::is_name;

/// Attested factors: what the host checks itself.
impl TwoFactorSteps {
    /// Begins the enrolment of an attested factor and issues its challenge: 32 random bytes, or
    /// `given`, if the host's library draws its own. Only the same `session` can confirm the
    /// enrolment, within [`ASSERTION_SECONDS`](super::ASSERTION_SECONDS) and only until an epoch
    /// moves.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is pending.
    /// Returns [`StepError::Misuse`] for a method that the policy does not register, and for a
    /// `given` challenge of fewer than 16 or more than 1,024 bytes.
    pub fn begin_attested_in(
        &self,
        draft: &mut Draft<'_>,
        session: SessionId,
        method: AttestedMethod,
        name: &str,
        given: Option<&[u8]>,
    ) -> Result<EnrolmentStart<Tentative<AssertionChallenge>>, StepError> {
        if self.policy.step_up().registered(method.name()) != Some(method) {
            return Err(StepError::Misuse("the policy does not register this attested method"));
        }
        if !is_name(name) {
            return Ok(EnrolmentStart::BadName);
        }
        if AttestedFactors::read(draft)?.factors.len() >= MAX_ATTESTED_FACTORS {
            return Ok(EnrolmentStart::TooManyDevices);
        }
        let enrols = Enrols { method: method.name().into(), strength: method.strength(), name: name.into() };
        let issued = challenge::issue(draft, session, Use::Enrol, given, Some(enrols))?;
        Ok(EnrolmentStart::Begun(draft.tentative(issued)))
    }

    /// Adds an attested factor whose answer to the challenge of its enrolment the host has checked.
    /// `data` is what the host needs to check the factor later. If the account has no live set of
    /// recovery codes, the same commit makes one.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is added.
    /// Returns [`StepError::Misuse`] if `data` is longer than
    /// [`MAX_ATTESTED_DATA`](super::MAX_ATTESTED_DATA).
    pub fn confirm_attested_in(
        &self,
        draft: &mut Draft<'_>,
        session: SessionId,
        challenge: &[u8],
        data: &[u8],
        client: Client,
    ) -> Result<AttestedEnrolment<Tentative<RecoveryCodes>>, StepError> {
        check_data(data)?;
        draft.acts_for(client);
        let Some(Some(enrols)) = challenge::redeem(draft, session, Use::Enrol, challenge)? else {
            return Ok(AttestedEnrolment::NonePending);
        };
        let mut attested = AttestedFactors::read(draft)?;
        if attested.factors.len() >= MAX_ATTESTED_FACTORS {
            return Ok(AttestedEnrolment::TooManyFactors);
        }
        let device = Factors::read(draft)?.new_id(draft)?;
        if attested.find(device).is_some() {
            return Err(StepError::Entropy(keywright_core::EntropyError));
        }
        let Enrols { method, strength, name } = enrols;
        let event = Event::new(&events::ATTESTED_ADDED).with("device", device.to_string().as_str());
        let event = event.with("method", method.as_str());
        let added = draft.now();
        attested.factors.push(AttestedFactor { id: device, method, strength, name, added, data: data.to_vec() });
        attested.put(draft)?;
        move_epochs(draft, &self.policy)?;
        draft.event(event);
        let recovery_codes = if self.has_recovery_in(draft)? {
            None
        } else {
            Some(self.make_recovery_in(draft, Liveness::Now, client)?)
        };
        Ok(AttestedEnrolment::Active { device, recovery_codes })
    }

    /// Issues a challenge that an enrolled factor is to answer: 32 random bytes, or `given`, if the
    /// host's library draws its own. It is valid for this session and purpose, for
    /// [`ASSERTION_SECONDS`](super::ASSERTION_SECONDS) and until an epoch moves, and replaces one
    /// that was pending for both.
    ///
    /// An account has at most eight pending challenges; one more replaces the oldest. A host that
    /// issues them to strangers, before any password was checked, should limit how many a network
    /// can request.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then there is no challenge.
    /// Returns [`StepError::Misuse`] for a `given` challenge of fewer than 16 or more than 1,024
    /// bytes.
    pub fn challenge_in(
        &self,
        draft: &mut Draft<'_>,
        session: SessionId,
        purpose: &Purpose,
        given: Option<&[u8]>,
    ) -> Result<Tentative<AssertionChallenge>, StepError> {
        let issued = challenge::issue(draft, session, Use::Prove(purpose.as_str()), given, None)?;
        Ok(draft.tentative(issued))
    }

    /// Redeems the challenge of an assertion that the host has checked. Of any number of requests
    /// with the same assertion, one is granted. The outcome is [`VerifyOutcome::Denied`] if the
    /// challenge was not issued for this session and purpose, was redeemed before, or is void, and
    /// [`VerifyOutcome::NotEnrolled`] if the account has no such factor or the policy does not
    /// register its method. Nothing is charged, because there is nothing to guess.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is granted.
    /// Returns [`StepError::Misuse`] if the factor's new data is too long.
    pub fn verify_assertion_in(
        &self,
        draft: &mut Draft<'_>,
        assertion: &Assertion,
        session: SessionId,
        purpose: &Purpose,
    ) -> Result<VerifyOutcome<Tentative<Proven>>, StepError> {
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        let mut attested = AttestedFactors::read(draft)?;
        let Some(method) = self.method_of(&attested, assertion) else { return Ok(VerifyOutcome::NotEnrolled) };
        let usage = Use::Prove(purpose.as_str());
        if challenge::redeem(draft, session, usage, &assertion.challenge)?.is_none() {
            let event = Event::new(&events::ASSERTION_DENIED).with("purpose", purpose.as_str());
            draft.event(event.with("device", assertion.factor.to_string().as_str()));
            return Ok(VerifyOutcome::Denied(Denial { charge: None }));
        }
        if let Some(data) = &assertion.data {
            check_data(data)?;
            for factor in attested.factors.iter_mut().filter(|factor| factor.id == assertion.factor) {
                factor.data.clone_from(data);
            }
            attested.put(draft)?;
        }
        let event = Event::new(&events::ASSERTION_ACCEPTED).with("purpose", purpose.as_str());
        draft.event(event.with("device", assertion.factor.to_string().as_str()));
        let proven = Proven::new(account, Method::Attested(method), purpose.clone(), draft.root()?.epochs());
        Ok(VerifyOutcome::Granted(draft.tentative(proven)))
    }

    /// Steps up with an assertion that the host has checked. The challenge must have been issued
    /// with the action's name as its purpose. If the factor's method does not authorize the action,
    /// the challenge is not redeemed and the outcome is [`VerifyOutcome::NotEnrolled`].
    ///
    /// # Errors
    /// The errors are those of [`verify_assertion_in`](Self::verify_assertion_in).
    pub fn step_up_assertion_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        assertion: &Assertion,
    ) -> Result<VerifyOutcome<Tentative<StepUp>>, StepError> {
        let attested = AttestedFactors::read(draft)?;
        let method = self.method_of(&attested, assertion).map(Method::Attested);
        let permitted = match method {
            Some(method) => self.step_ups().permits_in(draft, action, method)?,
            None => false,
        };
        if !permitted {
            return Ok(VerifyOutcome::NotEnrolled);
        }
        let verdict = self.verify_assertion_in(draft, assertion, session, &action.clone().into())?;
        self.step_up_by(draft, action, session, verdict)
    }

    /// Returns the registered method of the factor that made an assertion.
    fn method_of(&self, attested: &AttestedFactors, assertion: &Assertion) -> Option<AttestedMethod> {
        self.policy.step_up().registered(&attested.find(assertion.factor)?.method)
    }
}

fn check_data(data: &[u8]) -> Result<(), StepError> {
    if data.len() <= MAX_ATTESTED_DATA {
        Ok(())
    } else {
        Err(StepError::Misuse("the data of an attested factor is too long"))
    }
}
