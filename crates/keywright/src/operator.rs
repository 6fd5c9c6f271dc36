//! What an operator does to one account.

use keywright_core::{AccountId, Event, EventKind, SecretName, Severity};
use keywright_store::guess::LEDGER;
use keywright_store::{Draft, Erasure, TransactError, guess};

use crate::keywright::Keywright;

/// An operator ended all sessions and tokens of an account.
pub static SESSIONS_ENDED_BY_OPERATOR: EventKind =
    EventKind::change("sessions_ended_by_operator", Severity::Notice, "an operator ended all sessions and tokens");

/// What an **operator** may do to one account, for an owner who is locked out or has lost something.
/// Nothing here checks an authorization: call it only after verifying who asks, and tell the owner.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use keywright::{AccountId, Erasure, Keyring, Keywright, MemoryStore, SystemEntropy};
/// # let keywright = Keywright::builder(MemoryStore::new()).keyring(Keyring::generate(&SystemEntropy)?).open().await?;
/// # let account = AccountId::new("user-1")?;
/// # keywright.ensure_account(&account).await?;
/// let operator = keywright.operator();
/// let lifted = operator.unlock(&account).await?; // waits and limits that wrong guesses caused
/// assert!(lifted.is_empty());
/// operator.end_sessions(&account).await?; // a stolen laptop
/// # #[cfg(feature = "twofactor")]
/// assert!(!operator.reset_two_factor(&account).await?); // a lost phone; here there was no factor
/// assert_eq!(operator.erase_account(&account).await?, Erasure::Erased);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Operator {
    keywright: Keywright,
}

impl Keywright {
    /// Returns what an operator does to one account.
    #[must_use]
    pub fn operator(&self) -> Operator {
        Operator::new(self.clone())
    }
}

impl Operator {
    pub(crate) const fn new(keywright: Keywright) -> Self {
        Self { keywright }
    }

    /// Clears the waits and limits of all secrets of an account. Returns the secrets for which there
    /// was anything to clear.
    ///
    /// # Errors
    /// Returns [`TransactError`] if nothing was cleared, or if that is unknown.
    pub async fn unlock(&self, account: &AccountId) -> Result<Vec<SecretName>, TransactError> {
        self.keywright.driver().named("operator").transact(&account.into(), &[LEDGER.name()], guess::unlock_all).await
    }

    /// Makes all sessions, tokens, step-ups and pending confirmations of an account void. Passwords and second factors stay, so the owner can log in again. Login tokens
    /// that the host checks itself are not affected.
    ///
    /// # Errors
    /// Returns [`TransactError`] if nothing was ended, or if that is unknown. Call it again then.
    pub async fn end_sessions(&self, account: &AccountId) -> Result<(), TransactError> {
        let step = |draft: &mut Draft<'_>| {
            draft.move_credential_epoch()?;
            draft.event(Event::new(&SESSIONS_ENDED_BY_OPERATOR));
            Ok(())
        };
        self.keywright.driver().named("operator").transact(&account.into(), &[], step).await
    }

    /// Removes every second factor of an account: devices, recovery codes and mailed codes. It is
    /// for an owner who has lost all of them and has proven their identity in some other way.
    /// Returns whether there was anything to remove.
    ///
    /// # Errors
    /// Returns [`TwoFactorError`](keywright_twofactor::TwoFactorError) if nothing was removed, or if
    /// that is unknown. Call it again then.
    #[cfg(feature = "twofactor")]
    pub async fn reset_two_factor(&self, account: &AccountId) -> Result<bool, keywright_twofactor::TwoFactorError> {
        self.keywright.two_factor().disable(account).await
    }

    /// Erases everything about an account except its security log and its due work. See
    /// [`Keywright::erase_account`].
    ///
    /// # Errors
    /// Returns [`TransactError`] if the account was not erased. After [`TransactError::Unknown`] it
    /// may be erased; call this again.
    pub async fn erase_account(&self, account: &AccountId) -> Result<Erasure, TransactError> {
        self.keywright.erase_account(account).await
    }
}
