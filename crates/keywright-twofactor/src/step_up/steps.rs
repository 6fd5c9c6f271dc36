//! The transitions of step-up.

use keywright_core::{ActionName, Event, SessionId};
use keywright_store::{Draft, SlotName, StepError, Tentative};

use super::grant::CHANGE_FACTORS;
use super::policy::{StepUpPolicy, rank, rank_of};
use super::proof::{Attested, Demand, StepUp};
use super::state::SessionWindow;
use crate::attested::state::AttestedFactors;
use crate::events;
use crate::outcome::{Method, Proven};
use crate::recovery;
use crate::state::Factors;

/// The steps of step-up, under a policy. [`TwoFactorSteps`](crate::TwoFactorSteps) combines them
/// with the verification of codes.
#[derive(Debug, Clone, Default)]
pub struct StepUps {
    policy: StepUpPolicy,
}

impl StepUps {
    /// Creates the steps under a policy.
    #[must_use]
    pub const fn new(policy: StepUpPolicy) -> Self {
        Self { policy }
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &StepUpPolicy {
        &self.policy
    }

    /// Returns the slot of a session's step-up record, to be passed to the driver.
    #[must_use]
    pub fn slot(session: SessionId) -> SlotName {
        SessionWindow::slot(session).name()
    }

    /// Returns what an action requires now. `password` is whether the account has a login password
    /// that the host can check.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is authorized.
    pub fn demand_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        password: bool,
    ) -> Result<Demand<Tentative<StepUp>>, StepError> {
        let rule = self.policy.rule_of(action);
        let slot = SessionWindow::slot(session);
        let methods = self.admissible(draft, action, password.then_some(Method::Password))?;
        if methods.is_empty() {
            return Ok(Demand::NothingEnrolled);
        }
        if let Some(seconds) = rule.fresh_seconds()
            && let Some(window) = SessionWindow::live(draft, slot)?
        {
            let now = draft.now();
            if let Some(method) = methods.iter().copied().find(|method| window.has_fresh(*method, now, seconds)) {
                return Ok(Demand::Remembered(self.proof(draft, action, session, method, true)?));
            }
        }
        Ok(Demand::Required(methods))
    }

    /// Whether a method authorizes an action for this account. Call this before a code is checked,
    /// because a code that authorizes nothing should not be spent.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn permits_in(&self, draft: &mut Draft<'_>, action: &ActionName, method: Method) -> Result<bool, StepError> {
        // A caller that presents the password has one.
        let password = Some(Method::Password).filter(|_| method == Method::Password);
        Ok(self.admissible(draft, action, password)?.contains(&method))
    }

    /// Turns a factor that was verified in this draft into one step-up. Returns `None` if its
    /// method does not authorize the action. The code must have been verified with the action's
    /// name as its purpose.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is authorized.
    /// Returns [`StepError::Misuse`] for a code of another purpose.
    pub fn grant_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        proven: Tentative<Proven>,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        let factor = proven.peek(draft)?;
        if factor.purpose().as_str() != action.as_str() {
            return Err(StepError::Misuse("the code was verified for a purpose other than this action"));
        }
        let method = factor.method();
        // What was proven in this draft was enrolled, even if it is not any more: the last recovery
        // code is spent by now.
        self.open(draft, action, session, method, Some(method))
    }

    /// Turns what the host has checked into a step-up: a password, or a mailed code that was
    /// confirmed. Call this only if it was correct. Returns `None` if its method does not authorize
    /// the action: a password never replaces an enrolled factor.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is authorized.
    pub fn attest_in(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        attested: Attested,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        let method = attested.into();
        let in_hand = Some(method).filter(|_| attested == Attested::Password);
        self.open(draft, action, session, method, in_hand)
    }

    /// Forgets what a session has proven: for log-out, or when the session's id changes. Returns
    /// whether anything was remembered.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then the record stays.
    pub fn forget_in(&self, draft: &mut Draft<'_>, session: SessionId) -> Result<bool, StepError> {
        let slot = SessionWindow::slot(session);
        let there = draft.read(slot)?.is_some();
        if there {
            draft.delete(slot)?;
        }
        Ok(there)
    }

    fn open(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        method: Method,
        in_hand: Option<Method>,
    ) -> Result<Option<Tentative<StepUp>>, StepError> {
        let (rule, slot) = (self.policy.rule_of(action), SessionWindow::slot(session));
        if !self.admissible(draft, action, in_hand)?.contains(&method) {
            return Ok(None);
        }
        if rule.fresh_seconds().is_some() {
            SessionWindow::remember(draft, slot, method)?;
        }
        draft.event(Event::new(&events::STEP_UP_GRANTED).with("action", action.as_str()));
        self.proof(draft, action, session, method, false).map(Some)
    }

    /// Returns the methods that authorize an action for the draft's account, strongest first.
    /// `in_hand` counts as enrolled.
    fn admissible(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        in_hand: Option<Method>,
    ) -> Result<Vec<Method>, StepError> {
        let enrolled = Enrolments::read(draft)?;
        // The policy of a wire protocol may not know what the host has enrolled. Its rules cannot
        // name it, so the password would replace it.
        let unknown = enrolled.attested.factors.iter().any(|one| self.policy.registered(&one.method).is_none());
        let has = |method| match method {
            Method::Password => in_hand == Some(method) && !unknown,
            _ => enrolled.has(method) || in_hand == Some(method),
        };
        let listed = self.policy.rule_of(action).admissible(has);
        // A weaker proof would be refused when the change is made, after a code was spent for it
        // (`docs/decisions.md` 240).
        Ok(listed.filter(|method| *action != CHANGE_FACTORS || self.is_strongest(&enrolled, *method)).collect())
    }

    /// Whether nothing that the account has enrolled is stronger than a method. A recovery code
    /// stands in for what is lost.
    fn is_strongest(&self, enrolled: &Enrolments, method: Method) -> bool {
        if method == Method::Recovery {
            return true;
        }
        let own = [Method::Totp, Method::Recovery, Method::Mailed].into_iter().filter(|method| enrolled.has(*method));
        let attested =
            enrolled.attested.factors.iter().map(|one| {
                rank_of(self.policy.registered(&one.method).map_or(one.strength, |method| method.strength()))
            });
        own.map(rank).chain(attested).all(|other| rank(method) >= other)
    }

    fn proof(
        &self,
        draft: &mut Draft<'_>,
        action: &ActionName,
        session: SessionId,
        method: Method,
        remembered: bool,
    ) -> Result<Tentative<StepUp>, StepError> {
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        let strongest = self.is_strongest(&Enrolments::read(draft)?, method);
        let epochs = draft.root()?.epochs();
        let proof = StepUp { account, action: action.clone(), session, method, remembered, strongest, epochs };
        Ok(draft.tentative(proof))
    }
}

/// What an account has enrolled, apart from the password.
struct Enrolments {
    totp: bool,
    recovery: bool,
    mailed: bool,
    attested: AttestedFactors,
}

impl Enrolments {
    fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        let factors = Factors::read(draft)?;
        let recovery = recovery::step::live(draft)?.is_some_and(|live| live.remaining() > 0);
        let attested = AttestedFactors::read(draft)?;
        Ok(Self { totp: !factors.devices.is_empty(), recovery, mailed: factors.email, attested })
    }

    fn has(&self, method: Method) -> bool {
        match method {
            Method::Totp => self.totp,
            Method::Recovery => self.recovery,
            Method::Mailed => self.mailed,
            Method::Password => false,
            Method::Attested(method) => self.attested.has(method.name()),
        }
    }
}
