//! The transitions of step-up.

use keywright_core::{ActionName, Event, SessionId};
use keywright_store::{Draft, SlotName, StepError, Tentative};

use super::policy::{Rule, StepUpPolicy};
use super::proof::{Attested, Demand, StepUp};
use super::state::SessionWindow;
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
        let methods = admissible(draft, rule, password.then_some(Method::Password))?;
        if methods.is_empty() {
            return Ok(Demand::NothingEnrolled);
        }
        if let Some(seconds) = rule.fresh_seconds()
            && let Some(window) = SessionWindow::live(draft, slot)?
        {
            let now = draft.now();
            if let Some(method) = methods.iter().copied().find(|method| window.has_fresh(*method, now, seconds)) {
                return Ok(Demand::Remembered(proof(draft, action, session, method, true)?));
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
        let rule = self.policy.rule_of(action);
        // A caller that presents the password has one.
        let password = Some(Method::Password).filter(|_| method == Method::Password);
        Ok(admissible(draft, rule, password)?.contains(&method))
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
        if !admissible(draft, rule, in_hand)?.contains(&method) {
            return Ok(None);
        }
        if rule.fresh_seconds().is_some() {
            SessionWindow::remember(draft, slot, method)?;
        }
        draft.event(Event::new(&events::STEP_UP_GRANTED).with("action", action.as_str()));
        proof(draft, action, session, method, false).map(Some)
    }
}

/// Returns the methods that authorize an action for the draft's account, strongest first. `in_hand`
/// counts as enrolled.
fn admissible(draft: &mut Draft<'_>, rule: &Rule, in_hand: Option<Method>) -> Result<Vec<Method>, StepError> {
    let factors = Factors::read(draft)?;
    let recovery = recovery::step::live(draft)?.0.is_some_and(|live| live.remaining() > 0);
    let enrolled = |method| match method {
        Method::Totp => !factors.devices.is_empty(),
        Method::Recovery => recovery,
        Method::Mailed => factors.email,
        Method::Password => false,
    };
    Ok(rule.admissible(|method| enrolled(method) || in_hand == Some(method)).collect())
}

fn proof(
    draft: &mut Draft<'_>,
    action: &ActionName,
    session: SessionId,
    method: Method,
    remembered: bool,
) -> Result<Tentative<StepUp>, StepError> {
    let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
    let epochs = draft.root()?.epochs();
    let proof = StepUp { account, action: action.clone(), session, method, remembered, epochs };
    Ok(draft.tentative(proof))
}
