//! The async service, which runs the steps on a store. [`ConfirmSteps`] documents what each does.

use keywright_core::{AccountId, Client, SessionId};
use keywright_store::{Draft, Driver, Partition, Release, StepError};

use crate::action::{Action, Binding, Confirmed};
use crate::code::{CancelToken, MailedCode, TypedCode, Wait};
use crate::error::ConfirmError;
use crate::outcome::{Confirmation, SendOutcome, WaitOutcome};
use crate::policy::ConfirmPolicy;
use crate::step::{ConfirmSteps, SLOTS};
use crate::{mailed, typed, wait};

/// The confirmation service, which runs the steps on a store. See [`ConfirmSteps`] for what each
/// method does, and for what `session` is.
#[derive(Clone)]
pub struct Confirmations {
    driver: Driver,
    steps: ConfirmSteps,
}

// The granting steps are called below the level of `ConfirmSteps`, so that the action stays here
// until the commit and a step that runs again needs no copy of it.
impl Confirmations {
    /// Creates a service over a driver.
    #[must_use]
    pub const fn new(driver: Driver, policy: ConfirmPolicy) -> Self {
        Self { driver, steps: ConfirmSteps::new(policy) }
    }

    /// Returns the steps, to be composed with others in one draft.
    #[must_use]
    pub const fn steps(&self) -> &ConfirmSteps {
        &self.steps
    }

    /// Begins a confirmation by a code that is shown and typed back. Returns the code.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy; then there is no code to show.
    pub async fn begin_code<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: SessionId,
    ) -> Result<TypedCode, ConfirmError> {
        self.run("confirm.begin_code", account, |draft| self.steps.begin_code_in(draft, action, session)).await
    }

    /// Checks a code that was typed back.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy; then nothing is granted.
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
        Ok(self.run("confirm.confirm_code", account, step).await?.map(|()| Confirmed::new(account.clone(), action)))
    }

    /// Begins a wait of random length.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy; then no wait was begun.
    pub async fn begin_wait<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: SessionId,
    ) -> Result<Wait, ConfirmError> {
        self.run("confirm.begin_wait", account, |draft| self.steps.begin_wait_in(draft, action, session)).await
    }

    /// Confirms after a wait, or begins a new one. The caller must have checked the password.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy; then nothing is granted.
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
        Ok(self.run("confirm.confirm_wait", account, step).await?.map(|()| Confirmed::new(account.clone(), action)))
    }

    /// Begins a confirmation by a mailed code, for a caller who is logged in. Returns the code to
    /// be mailed, if a mail may be sent now.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy; then there is nothing to mail.
    pub async fn begin_mailed<A: Action>(
        &self,
        account: &AccountId,
        action: &A,
        session: SessionId,
    ) -> Result<SendOutcome<MailedCode>, ConfirmError> {
        self.run("confirm.begin_mailed", account, |draft| self.steps.begin_mailed_in(draft, action, session)).await
    }

    /// Sends a new code for what [`begin_mailed`](Self::begin_mailed) started, for a request
    /// without login.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy. Then there is nothing to mail, and the client must get the same answer as if there
    /// were.
    pub async fn resend<A: Action>(
        &self,
        account: &AccountId,
        session: Option<SessionId>,
    ) -> Result<Option<MailedCode>, ConfirmError> {
        self.run("confirm.resend", account, |draft| self.steps.resend_in::<A>(draft, session)).await
    }

    /// Checks a mailed code. `client` identifies the credential that the caller presented.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy; then nothing is granted.
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
        Ok(self.run("confirm.confirm_mailed", account, step).await?.map(|()| Confirmed::new(account.clone(), action)))
    }

    /// Withdraws the pending confirmation to which a token belongs. Returns whether there was one.
    /// Call it on POST only.
    ///
    /// # Errors
    /// Returns a [`ConfirmError`] if the store, the clock or the generator fails or the account is
    /// busy. After [`TransactError::Unknown`](keywright_store::TransactError::Unknown) the
    /// confirmation may have been withdrawn.
    pub async fn cancel(&self, account: &AccountId, token: &CancelToken) -> Result<bool, ConfirmError> {
        self.run("confirm.cancel", account, |draft| self.steps.cancel_in(draft, token)).await
    }

    async fn run<T: Release + Send>(
        &self,
        operation: &'static str,
        account: &AccountId,
        step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    ) -> Result<T::Released, ConfirmError> {
        Ok(self.driver.named(operation).run(&Partition::account(account), SLOTS, step).await?)
    }
}

keywright_core::redacted_debug!(Confirmations { steps, .. });
