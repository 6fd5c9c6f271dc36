//! The transitions with a policy. They compose with others in one draft.

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

/// The slots that these steps read. Name them to the driver, and one load does.
pub const SLOTS: &[SlotName] = &[PENDING.name(), COUNTS.name(), guess::LEDGER.name()];

/// What an action that erases the account should keep
/// ([`Draft::erase`]): the counts, so that the day's mails survive.
pub const KEEP_ON_ERASE: &[SlotName] = &[COUNTS.name()];

/// The pure transitions with a policy. [`Confirmations`](crate::Confirmations) runs them on a store.
///
/// What was asked for in one session is confirmed in no other.
///
/// At most one confirmation is pending for an (action, session): asking again, in any style, voids the earlier one.
/// Choose **one** style for an action; which one is the server's decision, not the client's.
#[derive(Debug, Clone, Default)]
pub struct ConfirmSteps {
    policy: ConfirmPolicy,
}

impl ConfirmSteps {
    /// Returns the steps under a policy.
    #[must_use]
    pub const fn new(policy: ConfirmPolicy) -> Self {
        Self { policy }
    }

    /// Returns the policy.
    #[must_use]
    pub const fn policy(&self) -> &ConfirmPolicy {
        &self.policy
    }

    /// Asks for a code to be shown and typed back: always a new one, with tries of its own, which voids the one before.
    ///
    /// # Errors
    /// [`StepError`]; nothing is pending that was not before.
    pub fn ask_code_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<Tentative<TypedCode>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        typed::ask(draft, &self.policy, &binding)
    }

    /// Judges a code that was typed back. Blanks and hyphens of any kind, also missing ones, make no difference
    /// ([`typed`](keywright_core::typed)); case does. Any text that is not the code is a wrong try, and the fifth kills the
    /// code. In a session that asked for none nothing is counted.
    ///
    /// # Errors
    /// [`StepError`]; nothing is counted. [`StepError::GuessInHostTransaction`] in a spending draft.
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

    /// Begins a wait of random length, from now on, in the place of one that is pending.
    ///
    /// # Errors
    /// [`StepError`]; nothing is pending that was not before.
    pub fn begin_wait_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<Tentative<Wait>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        wait::begin(draft, &self.policy, &binding)
    }

    /// Confirms, if a wait is over and was not too long ago; else begins a new one from now. The caller has checked the
    /// password: call this only when it was right, so that a wrong one does no harm to a pending wait.
    ///
    /// # Errors
    /// [`StepError`]; the pending wait stays.
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

    /// Asks for a code to be mailed, for a caller who is logged in. Asking again sends a fresh code, which voids the one
    /// before, and gives back neither tries nor mails.
    ///
    /// # Errors
    /// [`StepError`]; nothing is sent or counted.
    pub fn ask_mailed_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<SendOutcome<Tentative<MailedCode>>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        mailed::ask(draft, &self.policy, &binding)
    }

    /// Sends a fresh code for what [`ask_mailed_in`](Self::ask_mailed_in) started, for a request **without** login:
    /// that of a session, or without one the newest of the action. Returns `None` if nothing is pending or no mail may go
    /// out now; the wire answers the same in every case. Such requests get a part of the day's mails only
    /// ([`RESENDS_PER_DAY`](crate::policy::RESENDS_PER_DAY)), and the fresh code ends when the one before would have.
    ///
    /// Without a mail it writes nothing, so those who ask without login neither queue nor hold anybody up.
    ///
    /// # Errors
    /// [`StepError`]; nothing is sent or counted.
    pub fn resend_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        session: Option<SessionId>,
    ) -> Result<Option<Tentative<MailedCode>>, StepError> {
        let place = session.map(place::<A>);
        mailed::resend(draft, &self.policy, A::NAME, place.as_ref())
    }

    /// Judges a mailed code. A wrong one is charged to [`MAILED_CODE`](crate::policy::MAILED_CODE) and to this
    /// confirmation; anything but six ASCII digits, with any blanks and hyphens, is no guess, and is neither counted nor
    /// stored.
    ///
    /// `client` is the credential that the caller came with. One that was right before is not held up by the wrong codes
    /// of others.
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged.
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

    /// Returns when the mailed code ends that is pending for this very action in this session, if one is.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn mailed_pending_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: SessionId,
    ) -> Result<Option<UnixSeconds>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        mailed::pending(draft, &binding)
    }

    /// Returns in how many seconds, at least `after`, a caller who asks for this very action has a code that is pending,
    /// or is sent one: for a wire that refuses for `after` seconds what could then only ask for a code, and would be
    /// refused once more. After the clock went back it begins a wait anew, once.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
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

    /// Returns what every mailed code of `client` is refused with now, if it is: for a wire that reports a wait before it
    /// looks at a code. After the clock went back it begins a wait anew, once.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn refuse_mailed_in(&self, draft: &mut Draft<'_>, client: Client) -> Result<Option<Refusal>, StepError> {
        mailed::refuse(draft, client)
    }

    /// Withdraws the pending confirmation that a token belongs to. Returns whether there was one; a wrong token changes
    /// nothing. Call it on POST only: mail scanners follow every link.
    ///
    /// # Errors
    /// [`StepError`]; nothing is withdrawn.
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
