//! The service: `…_in` composes into a caller's draft, the bare names run it.

#[cfg(feature = "std")]
use core::fmt;

#[cfg(feature = "std")]
use keywright_core::AccountId;
use keywright_core::{DeviceTag, Refusal, UnixSeconds};
use keywright_store::{Draft, Slot, StepError, Tentative};
#[cfg(feature = "std")]
use keywright_store::{Driver, Partition, Receipt};

use crate::action::{Action, Binding, Confirmed, place};
use crate::code::{CancelToken, MailedCode, TypedCode, Wait};
#[cfg(feature = "std")]
use crate::error::ConfirmError;
use crate::outcome::{Confirmation, Sending, Waiting};
use crate::policy::ConfirmPolicy;
#[cfg(feature = "std")]
use crate::step::Grant;
use crate::{mailed, step};

/// The slots that these steps read: name them to the driver and it loads them in one go.
pub const SLOTS: &[Slot] = &[Slot::Confirmations, Slot::Ledger];

/// The pure transitions with a policy. [`Confirmations`] runs them on a store.
///
/// In all of them `session` is an opaque identity of 1 to [`MAX_SESSION`](crate::MAX_SESSION) bytes that the wire knows
/// the caller by. What was asked for in one session is confirmed in no other. A value of another length is
/// [`StepError::Misuse`].
///
/// At most one confirmation is pending for an (action, session): asking again, in any style, voids the earlier one.
/// Choose **one** style for an action; which one is the server's decision, not the client's.
#[derive(Debug, Clone, Default)]
pub struct ConfirmSteps {
    policy: ConfirmPolicy,
}

impl ConfirmSteps {
    /// Steps under a policy.
    #[must_use]
    pub const fn new(policy: ConfirmPolicy) -> Self {
        Self { policy }
    }

    /// The policy.
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
        session: &[u8],
    ) -> Result<Tentative<TypedCode>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        step::ask_code(draft, &self.policy, &binding)
    }

    /// Judges a code that was typed back, exactly as typed: nothing is trimmed, case matters. Any text that is not the
    /// code is a wrong try, and the fifth kills the code. In a session that asked for none nothing is counted.
    ///
    /// # Errors
    /// [`StepError`]; nothing is counted. [`StepError::GuessInHostTransaction`] in a spending draft.
    pub fn confirm_code_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: A,
        session: &[u8],
        typed: &str,
    ) -> Result<Confirmation<Tentative<Confirmed<A>>>, StepError> {
        let binding = Binding::of(draft, &action, session)?;
        let outcome = step::confirm_code(draft, &self.policy, &binding, typed)?;
        Ok(outcome.map(|grant| grant.map(|()| Confirmed::new(binding.account, action))))
    }

    /// Begins a wait of random length, from now on, in the place of one that is pending.
    ///
    /// # Errors
    /// [`StepError`]; nothing is pending that was not before.
    pub fn begin_wait_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: &[u8],
    ) -> Result<Tentative<Wait>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        step::begin_wait(draft, &self.policy, &binding)
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
        session: &[u8],
    ) -> Result<Waiting<Tentative<Confirmed<A>>, Tentative<Wait>>, StepError> {
        let binding = Binding::of(draft, &action, session)?;
        Ok(match step::confirm_wait(draft, &self.policy, &binding)? {
            Waiting::Granted(grant) => Waiting::Granted(grant.map(|()| Confirmed::new(binding.account, action))),
            Waiting::Begun(wait) => Waiting::Begun(wait),
        })
    }

    /// Asks for a code to be mailed. Asking again sends a fresh code, which voids the one before, and gives back neither
    /// tries nor mails. For requests of a caller who is logged in.
    ///
    /// # Errors
    /// [`StepError`]; nothing is sent or counted.
    pub fn ask_mailed_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: &[u8],
    ) -> Result<Sending<Tentative<MailedCode>>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        mailed::ask(draft, &self.policy, &binding)
    }

    /// Sends a fresh code for what [`ask_mailed_in`](Self::ask_mailed_in) started, for a request **without** login:
    /// that of a session, or without one the newest of the action. `None` if nothing is pending or no mail may go out
    /// now; the wire answers the same in every case. Such requests get a part of the day's mails only
    /// ([`RESENDS_PER_DAY`](crate::policy::RESENDS_PER_DAY)), and the fresh code ends when the one before would have.
    ///
    /// # Errors
    /// [`StepError`]; nothing is sent or counted.
    pub fn resend_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        session: Option<&[u8]>,
    ) -> Result<Option<Tentative<MailedCode>>, StepError> {
        let place = session.map(place::<A>).transpose()?;
        mailed::resend(draft, &self.policy, A::NAME, place.as_ref())
    }

    /// Whether [`resend_in`](Self::resend_in) would send, or has something to put right after the clock went back. Changes
    /// nothing: for a look before a turn is taken, so that those who ask without login do not fill the account's queue.
    ///
    /// # Errors
    /// [`StepError`]; nothing is to be sent.
    pub fn may_resend_in<A: Action>(&self, draft: &mut Draft<'_>, session: Option<&[u8]>) -> Result<bool, StepError> {
        let place = session.map(place::<A>).transpose()?;
        mailed::may_resend(draft, &self.policy, A::NAME, place.as_ref())
    }

    /// Judges a mailed code. A wrong one is charged to the door of mailed codes and to this confirmation; anything but
    /// six ASCII digits is no guess, and is neither counted nor stored. `tag` names the credential the caller came
    /// with.
    ///
    /// # Errors
    /// [`StepError`]; nothing is charged.
    pub fn confirm_mailed_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: A,
        session: &[u8],
        typed: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Confirmation<Tentative<Confirmed<A>>>, StepError> {
        let binding = Binding::of(draft, &action, session)?;
        let outcome = mailed::confirm(draft, &self.policy, &binding, typed, tag)?;
        Ok(outcome.map(|grant| grant.map(|()| Confirmed::new(binding.account, action))))
    }

    /// When the mailed code ends that is pending for this very action in this session; `None` if none is.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn mailed_pending_in<A: Action>(
        &self,
        draft: &mut Draft<'_>,
        action: &A,
        session: &[u8],
    ) -> Result<Option<UnixSeconds>, StepError> {
        let binding = Binding::of(draft, action, session)?;
        mailed::pending(draft, &binding)
    }

    /// What every mailed code is refused with now, to be answered before one is looked at: for a wire that tells of a wait
    /// first. Begins a wait anew, once, after the clock went back.
    ///
    /// # Errors
    /// [`StepError`]; the caller denies.
    pub fn mailed_refused_in(
        &self,
        draft: &mut Draft<'_>,
        tag: Option<DeviceTag>,
    ) -> Result<Option<Refusal>, StepError> {
        mailed::refused(draft, &self.policy, tag)
    }

    /// Withdraws the pending confirmation that a token belongs to. Gives whether there was one; a wrong token changes
    /// nothing. Call it on POST only: mail scanners follow every link.
    ///
    /// # Errors
    /// [`StepError`]; nothing is withdrawn.
    pub fn cancel_in(&self, draft: &mut Draft<'_>, token: &CancelToken) -> Result<bool, StepError> {
        step::cancel(draft, token)
    }
}

/// The steps over a store. See [`ConfirmSteps`] for what each does.
#[cfg(feature = "std")]
#[derive(Clone)]
pub struct Confirmations {
    driver: Driver,
    steps: ConfirmSteps,
}

#[cfg(feature = "std")]
impl Confirmations {
    /// A service over a driver.
    #[must_use]
    pub const fn new(driver: Driver, policy: ConfirmPolicy) -> Self {
        Self { driver, steps: ConfirmSteps::new(policy) }
    }

    /// The steps, to compose with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &ConfirmSteps {
        &self.steps
    }

    /// Asks for a code to be shown and typed back.
    ///
    /// # Errors
    /// [`ConfirmError`]; there is no code to show.
    pub async fn ask_code<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: &[u8],
    ) -> Result<TypedCode, ConfirmError> {
        let (code, receipt) = self.run(account, |draft| self.steps.ask_code_in(draft, action, session)).await?;
        Ok(code.release(&receipt)?)
    }

    /// Judges a code that was typed back.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing is granted.
    pub async fn confirm_code<A: Action>(
        &self,
        account: &AccountId,
        action: A,
        session: &[u8],
        typed: &str,
    ) -> Result<Confirmation<Confirmed<A>>, ConfirmError> {
        let step = |draft: &mut Draft<'_>| {
            let binding = Binding::of(draft, &action, session)?;
            step::confirm_code(draft, &self.steps.policy, &binding, typed)
        };
        let (outcome, receipt) = self.run(account, step).await?;
        prove(account, action, outcome, &receipt)
    }

    /// Begins a wait of random length.
    ///
    /// # Errors
    /// [`ConfirmError`]; no wait was begun.
    pub async fn begin_wait<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: &[u8],
    ) -> Result<Wait, ConfirmError> {
        let (wait, receipt) = self.run(account, |draft| self.steps.begin_wait_in(draft, action, session)).await?;
        Ok(wait.release(&receipt)?)
    }

    /// Confirms after a wait, or begins a new one. The caller has checked the password.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing is granted.
    pub async fn confirm_wait<A: Action>(
        &self,
        account: &AccountId,
        action: A,
        session: &[u8],
    ) -> Result<Waiting<Confirmed<A>>, ConfirmError> {
        let step = |draft: &mut Draft<'_>| {
            let binding = Binding::of(draft, &action, session)?;
            step::confirm_wait(draft, &self.steps.policy, &binding)
        };
        let (outcome, receipt) = self.run(account, step).await?;
        Ok(match outcome {
            Waiting::Granted(grant) => {
                grant.release(&receipt)?;
                Waiting::Granted(Confirmed::new(account.clone(), action))
            }
            Waiting::Begun(wait) => Waiting::Begun(wait.release(&receipt)?),
        })
    }

    /// Asks for a code to be mailed, on behalf of a caller who is logged in.
    ///
    /// # Errors
    /// [`ConfirmError`]; there is nothing to mail.
    pub async fn ask_mailed<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: &[u8],
    ) -> Result<Sending<MailedCode>, ConfirmError> {
        let (sending, receipt) = self.run(account, |draft| self.steps.ask_mailed_in(draft, action, session)).await?;
        Ok(match sending {
            Sending::Send(code) => Sending::Send(code.release(&receipt)?),
            Sending::NotYet { retry_after } => Sending::NotYet { retry_after },
            Sending::Exhausted { retry_after } => Sending::Exhausted { retry_after },
        })
    }

    /// Sends a fresh code for what [`ask_mailed`](Self::ask_mailed) started, for a request without login.
    ///
    /// # Errors
    /// [`ConfirmError`]; there is nothing to mail, and the wire answers as if there were.
    pub async fn resend<A: Action>(
        &self,
        account: &AccountId,
        session: Option<&[u8]>,
    ) -> Result<Option<MailedCode>, ConfirmError> {
        let (mail, receipt) = self.run(account, |draft| self.steps.resend_in::<A>(draft, session)).await?;
        Ok(mail.map(|mail| mail.release(&receipt)).transpose()?)
    }

    /// Judges a mailed code. `tag` names the credential the caller came with.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing is granted.
    pub async fn confirm_mailed<A: Action>(
        &self,
        account: &AccountId,
        action: A,
        session: &[u8],
        typed: &str,
        tag: Option<DeviceTag>,
    ) -> Result<Confirmation<Confirmed<A>>, ConfirmError> {
        let step = |draft: &mut Draft<'_>| {
            let binding = Binding::of(draft, &action, session)?;
            mailed::confirm(draft, &self.steps.policy, &binding, typed, tag)
        };
        let (outcome, receipt) = self.run(account, step).await?;
        prove(account, action, outcome, &receipt)
    }

    /// Withdraws the pending confirmation that a token belongs to. Gives whether there was one. Call it on POST only.
    ///
    /// # Errors
    /// [`ConfirmError`]; on [`TransactError::Unknown`](keywright_store::TransactError::Unknown) it may be withdrawn.
    pub async fn cancel(&self, account: &AccountId, token: &CancelToken) -> Result<bool, ConfirmError> {
        let (cancelled, _) = self.run(account, |draft| self.steps.cancel_in(draft, token)).await?;
        Ok(cancelled)
    }

    async fn run<T: Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<(T, Receipt), ConfirmError> {
        Ok(self.driver.transact(&Partition::account(account), SLOTS, step).await?)
    }
}

/// Makes the proof, with the receipt of the commit that granted it. The action stays with the caller until then, so that
/// a step that runs again needs no copy of it.
#[cfg(feature = "std")]
fn prove<A: Action>(
    account: &AccountId,
    action: A,
    outcome: Confirmation<Grant>,
    receipt: &Receipt,
) -> Result<Confirmation<Confirmed<A>>, ConfirmError> {
    Ok(match outcome {
        Confirmation::Granted(grant) => {
            grant.release(receipt)?;
            Confirmation::Granted(Confirmed::new(account.clone(), action))
        }
        Confirmation::Denied(denial) => Confirmation::Denied(denial),
        Confirmation::Refused(refusal) => Confirmation::Refused(refusal),
    })
}

#[cfg(feature = "std")]
impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmations").field("steps", &self.steps).finish_non_exhaustive()
    }
}
