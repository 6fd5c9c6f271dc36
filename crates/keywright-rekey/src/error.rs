//! The errors of this crate, grouped by what the caller does next. A refusal is an outcome, not an
//! error.

use keywright_core::{EntropyError, SealError};
use keywright_store::{CipherId, CommitError, LoadError, StepError, TransactError};

/// An error of the vault service: an operation failed before its outcome was decided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The store, the clock or the generator failed, or the account is busy.
    /// [`TransactError::Unknown`] means that a change **may** have happened: advise the user to try
    /// both passwords, and never report that it was refused.
    #[error(transparent)]
    Transact(#[from] TransactError),
    /// The vault could not be read. Nothing was changed.
    #[error("the vault cannot be read")]
    Load(#[source] LoadError),
    /// Rows could not be stored beside the vault. **The vault is unchanged**, even if the cause is
    /// [`CommitError::Unknown`]: rows that may have been stored are swept, or replaced when the
    /// operation is repeated.
    #[error("the ciphers could not be staged")]
    Stage(#[source] CommitError),
    /// The rows of the vault do not match the count and digest in its head: one was deleted, added,
    /// altered, or replaced by an older version. Nothing of the vault is returned until an operator
    /// has dealt with it ([`Vaults::accept_damaged`](crate::Vaults::accept_damaged)).
    #[error("the rows of the vault and its head disagree: a row was lost, altered, added or put back")]
    Damaged,
    /// A cipher does not open, because it is damaged, was moved from another place, or belongs to
    /// another key. It is never treated as absent. Like [`Damaged`](Self::Damaged), this is a case
    /// for an operator.
    #[error("the cipher {0:?} does not open")]
    Open(CipherId),
    /// The account was changed repeatedly while its vault was read. Try again.
    #[error("the vault changes too quickly to be read")]
    Restless,
    /// A text could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl VaultError {
    /// Whether a change **may** have happened.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Transact(TransactError::Unknown(_)))
    }

    /// Whether the error means that stored data is damaged, lost or altered, so that an operator
    /// must deal with it.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        match self {
            Self::Damaged | Self::Open(_) => true,
            Self::Load(LoadError::Corrupt(_)) => true,
            Self::Transact(error) => error.is_damage(),
            _ => false,
        }
    }
}

impl From<StepError> for VaultError {
    fn from(error: StepError) -> Self {
        Self::Transact(TransactError::Step(error))
    }
}

impl From<EntropyError> for VaultError {
    fn from(error: EntropyError) -> Self {
        Self::Transact(TransactError::Entropy(error))
    }
}
