//! The steps over a store. What each does is documented on [`ConfirmSteps`].

use std::fmt;

use keywright_core::{AccountId, Client, SessionId};
use keywright_store::{Draft, Driver, Partition, Release, StepError};

use crate::action::{Action, Binding, Confirmed};
use crate::code::{CancelToken, MailedCode, TypedCode, Wait};
use crate::error::ConfirmError;
use crate::outcome::{Confirmation, SendOutcome, WaitOutcome};
use crate::policy::ConfirmPolicy;
use crate::step::{ConfirmSteps, SLOTS};
use crate::{mailed, typed, wait};

/// Confirmations over a store. See [`ConfirmSteps`] for what each act does, and what `session` is.
#[derive(Clone)]
pub struct Confirmations {
    driver: Driver,
    steps: ConfirmSteps,
}

// The steps that grant are run below `ConfirmSteps`, so that the action stays here until the commit: a step that runs again
// needs no copy of it.
impl Confirmations {
    /// Returns a service over a driver.
    #[must_use]
    pub const fn new(driver: Driver, policy: ConfirmPolicy) -> Self {
        Self { driver, steps: ConfirmSteps::new(policy) }
    }

    /// Returns the steps, to compose with others in one draft.
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
        session: SessionId,
    ) -> Result<TypedCode, ConfirmError> {
        self.run(account, |draft| self.steps.ask_code_in(draft, action, session)).await
    }

    /// Judges a code that was typed back.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing is granted.
    pub async fn confirm_code<A: Action>(
        &self,
        account: &AccountId,
        action: A,
        session: SessionId,
        typed: &str,
    ) -> Result<Confirmation<Confirmed<A>>, ConfirmError> {
        let step = |draft: &mut Draft<'_>| {
            let binding = Binding::of(draft, &action, session)?;
            typed::confirm(draft, self.steps.policy(), &binding, typed)
        };
        Ok(self.run(account, step).await?.map(|()| Confirmed::new(account.clone(), action)))
    }

    /// Begins a wait of random length.
    ///
    /// # Errors
    /// [`ConfirmError`]; no wait was begun.
    pub async fn begin_wait<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: SessionId,
    ) -> Result<Wait, ConfirmError> {
        self.run(account, |draft| self.steps.begin_wait_in(draft, action, session)).await
    }

    /// Confirms after a wait, or begins a new one. The caller has checked the password.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing is granted.
    pub async fn confirm_wait<A: Action>(
        &self,
        account: &AccountId,
        action: A,
        session: SessionId,
    ) -> Result<WaitOutcome<Confirmed<A>>, ConfirmError> {
        let step = |draft: &mut Draft<'_>| {
            let binding = Binding::of(draft, &action, session)?;
            wait::confirm(draft, self.steps.policy(), &binding)
        };
        Ok(self.run(account, step).await?.map(|()| Confirmed::new(account.clone(), action)))
    }

    /// Asks for a code to be mailed, on behalf of a caller who is logged in.
    ///
    /// # Errors
    /// [`ConfirmError`]; there is nothing to mail.
    pub async fn ask_mailed<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: SessionId,
    ) -> Result<SendOutcome<MailedCode>, ConfirmError> {
        self.run(account, |draft| self.steps.ask_mailed_in(draft, action, session)).await
    }

    /// Sends a fresh code for what [`ask_mailed`](Self::ask_mailed) started, for a request without login.
    ///
    /// # Errors
    /// [`ConfirmError`]; there is nothing to mail, and the wire answers as if there were.
    pub async fn resend<A: Action>(
        &self,
        account: &AccountId,
        session: Option<SessionId>,
    ) -> Result<Option<MailedCode>, ConfirmError> {
        self.run(account, |draft| self.steps.resend_in::<A>(draft, session)).await
    }

    /// Judges a mailed code. `client` is the credential that the caller came with.
    ///
    /// # Errors
    /// [`ConfirmError`]; nothing is granted.
    pub async fn confirm_mailed<A: Action>(
        &self,
        account: &AccountId,
        action: A,
        session: SessionId,
        typed: &str,
        client: Client,
    ) -> Result<Confirmation<Confirmed<A>>, ConfirmError> {
        let step = |draft: &mut Draft<'_>| {
            let binding = Binding::of(draft, &action, session)?;
            mailed::confirm(draft, self.steps.policy(), &binding, typed, client)
        };
        Ok(self.run(account, step).await?.map(|()| Confirmed::new(account.clone(), action)))
    }

    /// Withdraws the pending confirmation that a token belongs to. Returns whether there was one. Call it on POST only.
    ///
    /// # Errors
    /// [`ConfirmError`]; on [`TransactError::Unknown`](keywright_store::TransactError::Unknown) it may be withdrawn.
    pub async fn cancel(&self, account: &AccountId, token: &CancelToken) -> Result<bool, ConfirmError> {
        self.run(account, |draft| self.steps.cancel_in(draft, token)).await
    }

    async fn run<T: Release + Send>(
        &self,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, ConfirmError> {
        Ok(self.driver.run(&Partition::account(account), SLOTS, step).await?)
    }
}

impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmations").field("steps", &self.steps).finish_non_exhaustive()
    }
}
