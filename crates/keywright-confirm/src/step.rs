//! The operations as steps, which can be composed with others in one draft.

use keywright_core::{Client, Event, Refusal, SessionId, UnixSeconds};
use keywright_store::{Draft, SlotName, StepError, Tentative, guess};

use crate::action::{Action, Binding, Confirmed, place};
use crate::code::{CancelToken, MailedCode, TypedCode, Wait};
use crate::context::{Context, Grant};
use crate::events::CONFIRMATION_CANCELLED;
use crate::outcome::{Confirmation, SendOutcome, WaitOutcome};
use crate::policy::ConfirmPolicy;
use crate::state::{COUNTS, PENDING};
use crate::{mailed, typed, wait};

/// The slots that these steps read. Pass them to the driver, so that they are loaded together.
pub const SLOTS: &[SlotName] = &[PENDING.name(), COUNTS.name(), guess::LEDGER.name()];

/// The slots that an action which erases the account should keep ([`Draft::erase`]): the counts, so
/// that the day's count of mails is not lost.
pub const KEEP_ON_ERASE: &[SlotName] = &[COUNTS.name()];

/// The operations of this crate as pure steps over a draft, under a policy.
/// [`Confirmations`](crate::Confirmations) runs them on a store.
///
/// A confirmation that was begun in one session cannot be completed in another.
///
/// At most one confirmation is pending for each action in each session: beginning another, in any
/// style, makes the earlier one void. Choose **one** style for an action. The server must decide
/// which one, not the client.
#[derive(Debug, Clone, Default)]
pub struct ConfirmSteps {
    policy: ConfirmPolicy,
}

impl ConfirmSteps {
    /// Creates the steps under a policy.
    #[must_use]
    pub const fn new(policy: ConfirmPolicy) -> Self {
        Self { policy }
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &ConfirmPolicy {
        &self.policy
    }

    /// Begins a confirmation by a code that is shown and typed back. The code is always a new one
    /// with its own attempts, and it makes the previous one void.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written or the generator fails; then
    /// no new confirmation is pending.
    pub fn begin_code_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<Tentative<TypedCode>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        typed::ask(draft, &self.policy, &binding)
    }

    /// Checks a code that was typed back. Blanks and hyphens of any kind make no difference, nor
    /// does their absence ([`typed`](keywright_core::typed)); case does. Any text that is not the
    /// code is a wrong attempt, and the fifth invalidates the code. In a session that requested no
    /// code, nothing is counted.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is counted.
    /// Returns [`StepError::GuessInHostTransaction`] in a draft of a host's transaction.
    pub fn confirm_code_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: A,
        session: SessionId,
        typed: &str,
    ) -> Result<Confirmation<Tentative<Confirmed<A>>>, StepError> {
        let binding = Binding::of(draft, &action, session)?;
        let outcome = typed::confirm(draft, &self.policy, &binding, typed)?;
        Ok(outcome.map(|grant| prove(grant, binding, action)))
    }

    /// Begins a wait of random length from now on, which replaces one that is pending.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written or the generator fails; then
    /// no new confirmation is pending.
    pub fn begin_wait_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<Tentative<Wait>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        wait::begin(draft, &self.policy, &binding)
    }

    /// Confirms if a wait is over and has not been over for too long; otherwise begins a new one
    /// from now. The caller must have checked the password and call this only if it was correct, so
    /// that a wrong one does not affect a pending wait.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then the pending wait stays.
    pub fn confirm_wait_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: A,
        session: SessionId,
    ) -> Result<WaitOutcome<Tentative<Confirmed<A>>, Tentative<Wait>>, StepError> {
        let binding = Binding::of(draft, &action, session)?;
        let outcome = wait::confirm(draft, &self.policy, &binding)?;
        Ok(outcome.map(|grant| prove(grant, binding, action)))
    }

    /// Begins a confirmation by a mailed code, for a caller who is logged in. If one is pending
    /// already, a new code is sent and the previous one is void, but neither its attempts nor its
    /// mails are counted anew.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is sent or
    /// counted.
    pub fn begin_mailed_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<SendOutcome<Tentative<MailedCode>>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        mailed::ask(draft, &self.policy, &binding)
    }

    /// Sends a new code for what [`begin_mailed_in`](Self::begin_mailed_in) started, for a request
    /// **without** login. The confirmation is that of the given session, or without one the newest
    /// of the action. Returns `None` if nothing is pending or no mail may be sent now; the client
    /// must get the same answer in every case. Such requests get only a part of the day's mails
    /// ([`RESENDS_PER_DAY`](crate::policy::RESENDS_PER_DAY)), and the new code expires when the
    /// previous one would have.
    ///
    /// If no mail is sent, this writes nothing, so requests without login neither queue nor delay
    /// other requests.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is sent or
    /// counted.
    pub fn resend_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        session: Option<SessionId>,
    ) -> Result<Option<Tentative<MailedCode>>, StepError> {
        let place = session.map(place::<A>);
        mailed::resend(draft, &self.policy, A::NAME, place.as_ref())
    }

    /// Checks a mailed code. A wrong one is charged to [`MAILED_CODE`](crate::policy::MAILED_CODE)
    /// and to this confirmation. Anything but six ASCII digits, with any blanks and hyphens, is not
    /// a guess, and is neither counted nor stored.
    ///
    /// `client` identifies the credential that the caller presented. A client that has entered a
    /// correct code before is not delayed by the wrong codes of others.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is charged.
    pub fn confirm_mailed_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: A,
        session: SessionId,
        typed: &str,
        client: Client,
    ) -> Result<Confirmation<Tentative<Confirmed<A>>>, StepError> {
        let binding = Binding::of(draft, &action, session)?;
        let outcome = mailed::confirm(draft, &self.policy, &binding, typed, client)?;
        Ok(outcome.map(|grant| prove(grant, binding, action)))
    }

    /// Returns when the mailed code expires that is pending for exactly this action in this
    /// session, if there is one.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn mailed_pending_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<Option<UnixSeconds>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        mailed::pending(draft, &binding)
    }

    /// Returns after how many seconds, at least `after`, a caller who requests a code for exactly
    /// this action has one pending or can be sent one. This is for a wire protocol that refuses a
    /// request for `after` seconds: when the client tries again, it may need a code, and should not
    /// be refused once more. If the clock went back, this corrects the stored times.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn mailed_ready_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
        after: u64,
    ) -> Result<u64, StepError> {
        let binding = Binding::of(draft, action, session)?;
        mailed::ready(draft, &self.policy, &binding, after)
    }

    /// Returns the refusal that every mailed code of `client` gets now, if any. This is for a wire
    /// protocol that reports a wait before it checks a code. If the clock went back, this corrects
    /// the stored times.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read; the caller must deny.
    pub fn refuse_mailed_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<Option<Refusal>, StepError> {
        mailed::refuse(draft, client)
    }

    /// Withdraws the pending confirmation that a token belongs to. Returns whether there was one; a
    /// wrong token changes nothing. Call this on POST only, because mail scanners follow every
    /// link.
    ///
    /// # Errors
    /// Returns a [`StepError`] if a record cannot be read or written; then nothing is withdrawn.
    pub fn cancel_in(&self, draft: &mut Draft<'_>, token: &CancelToken) -> Result<bool, StepError> {
        let mut context = Context::read(draft)?;
        let Some(action) = context.list.cancel(&context.now, token) else { return Ok(false) };
        context.put(draft)?;
        draft.event(Event::new(&CONFIRMATION_CANCELLED).with("action", action.as_str()));
        Ok(true)
    }
}

fn prove<A: Action>(grant: Grant, binding: Binding, action: A) -> Tentative<Confirmed<A>> {
    grant.map(|()| Confirmed::new(binding.account, action))
}
