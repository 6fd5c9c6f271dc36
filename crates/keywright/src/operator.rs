//! What an operator does to one account.

use keywright_core::{AccountId, Event, EventKind, SecretName, Severity};
use keywright_store::guess::LEDGER;
use keywright_store::{Draft, TransactError, guess};

use crate::keywright::Keywright;

/// An operator ended all sessions and tokens of an account.
pub static SESSIONS_ENDED_BY_OPERATOR: EventKind =
    EventKind::change("sessions_ended_by_operator", Severity::Notice, "an operator ended all sessions and tokens");

impl Keywright {
    /// Clears the waits and limits of all secrets of an account. Only an **operator** may do this,
    /// after verifying that the owner has requested it. Returns the secrets for which there was
    /// anything to clear.
    ///
    /// # Errors
    /// Returns [`TransactError`] if nothing was cleared, or if that is unknown.
    pub async fn unlock(&self, account: &AccountId) -> Result<Vec<SecretName>, TransactError> {
        self.driver().transact(&account.into(), &[LEDGER.name()], guess::unlock_all).await
    }

    /// Makes all sessions, tokens, step-ups and pending confirmations of an account void. Passwords
    /// and second factors stay, so the owner can log in again. Login tokens that the host checks
    /// itself are not affected.
    ///
    /// # Errors
    /// Returns [`TransactError`] if nothing was ended, or if that is unknown. Call it again then.
    pub async fn end_sessions(&self, account: &AccountId) -> Result<(), TransactError> {
        let step = |draft: &mut Draft<'_>| {
            draft.move_credential_epoch()?;
            draft.event(Event::new(&SESSIONS_ENDED_BY_OPERATOR));
            Ok(())
        };
        self.driver().transact(&account.into(), &[], step).await
    }
}
