//! Errors of accounts.

use keywright::TransactError;
use keywright::core::EntropyError;
use keywright::nextcloud::{HostError, RefusedBy};
use keywright::store::LoadError;
use keywright::twofactor::TwoFactorPolicyError;

use crate::accounts::password::PasswordError;

/// After this time, in seconds, a network that has had too many slow hashes has some more.
const TOO_MANY_SECONDS: u64 = 10;

/// After this time, in seconds, a store that was busy may be free.
const BUSY_SECONDS: u64 = 1;

/// The limit on slow hashes of a network.
const HASHES_OF_NETWORK: RefusedBy = RefusedBy::new("hashes_of_network");

/// The accounts cannot be looked up or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsError {
    #[error(transparent)]
    Transact(#[from] TransactError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    #[error("{what} of `{name}` is in use by another account")]
    Taken { what: &'static str, name: String },
    #[error(transparent)]
    TwoFactorPolicy(#[from] TwoFactorPolicyError),
    #[error("an account id could not be made")]
    Id,
}

impl AccountsError {
    /// Converts the error to the one that a protocol's host returns before anything was checked or
    /// changed for the request. A store that is busy is asked again soon.
    pub(crate) fn into_host_error(self) -> HostError {
        match self {
            Self::Password(PasswordError::Busy(busy)) => busy.into(),
            Self::Password(PasswordError::TooManyHashes) => {
                HostError::busy(TOO_MANY_SECONDS).with_refused_by(HASHES_OF_NETWORK)
            }
            Self::Transact(error) if error.is_busy() => {
                HostError::busy(BUSY_SECONDS).with_refused_by(RefusedBy::STORE_BUSY)
            }
            error => HostError::new(error),
        }
    }

    /// Whether the stored data of an account is damaged, lost or altered, so that a retry does not
    /// help.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Transact(TransactError::Step(error)) => error.is_damage(),
            Self::Transact(TransactError::Load(LoadError::Corrupt(_))) => true,
            _ => false,
        }
    }
}
