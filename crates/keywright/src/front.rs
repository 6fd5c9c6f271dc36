//! The front door itself: services, and the few acts that belong to none of them.

use std::fmt;
use std::sync::Arc;

use keywright_core::{AccountId, Door, SecurityEvent};
use keywright_store::{Driver, EventId, LoadError, Partition, Slot, StepError, TransactError, guess};

use crate::{Builder, Housekeeping, Store};

/// A store, opened with its keyring. Cheap to clone; one per server.
#[derive(Clone)]
pub struct Keywright {
    driver: Driver,
    store: Arc<dyn Store>,
}

impl Keywright {
    /// Begins to open a store.
    #[must_use]
    pub fn builder(store: impl Store + 'static) -> Builder {
        Builder::new(Arc::new(store))
    }

    /// Begins to open a store that the caller goes on using.
    #[must_use]
    pub fn builder_shared(store: Arc<dyn Store>) -> Builder {
        Builder::new(store)
    }

    pub(crate) fn new(driver: Driver, store: Arc<dyn Store>) -> Self {
        Self { driver, store }
    }

    /// Makes an account's records: call it at sign-up. The services never do that by themselves, because to them a
    /// missing account is lost data.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn create_account(&self, account: &AccountId) -> Result<Creation, TransactError> {
        let made = self.driver.transact(&account.into(), &[], |draft| draft.create_account().map(|_| ())).await;
        match made {
            Ok(_) => Ok(Creation::Created),
            Err(TransactError::Step(StepError::AccountExists)) => Ok(Creation::AlreadyExists),
            Err(error) => Err(error),
        }
    }

    /// The password challenge, with the default policy.
    #[cfg(feature = "challenge")]
    #[must_use]
    pub fn challenges(&self) -> keywright_challenge::Challenges {
        keywright_challenge::Challenges::new(self.driver.clone(), keywright_challenge::ChallengePolicy::default())
    }

    /// Confirmation of destructive actions, with the default policy.
    #[cfg(feature = "confirm")]
    #[must_use]
    pub fn confirmations(&self) -> keywright_confirm::Confirmations {
        keywright_confirm::Confirmations::new(self.driver.clone(), keywright_confirm::ConfirmPolicy::default())
    }

    /// The account protocol of Nextcloud Passwords around a host.
    ///
    /// # Errors
    /// [`KeyringError`](keywright_core::KeyringError) if a key cannot be derived, which does not happen.
    #[cfg(feature = "nextcloud")]
    pub fn nextcloud<H: keywright_nextcloud::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_nextcloud::NextcloudPolicy,
    ) -> Result<keywright_nextcloud::Nextcloud<H>, keywright_core::KeyringError> {
        keywright_nextcloud::Nextcloud::new(self.driver.clone(), host, policy)
    }

    /// Time-based codes, recovery codes and step-up, with the default policy.
    #[cfg(feature = "twofactor")]
    #[must_use]
    pub fn two_factor(&self) -> keywright_twofactor::TwoFactor {
        keywright_twofactor::TwoFactor::new(self.driver.clone(), keywright_twofactor::TwoFactorPolicy::default())
    }

    /// The two-factor wire of Rocket.Chat around a host.
    ///
    /// # Errors
    /// [`KeyringError`](keywright_core::KeyringError) if a key cannot be derived, which does not happen.
    #[cfg(feature = "rocketchat")]
    pub fn rocketchat<H: keywright_rocketchat::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_rocketchat::RocketChatPolicy,
    ) -> Result<keywright_rocketchat::RocketChat<H>, keywright_core::KeyringError> {
        keywright_rocketchat::RocketChat::new(self.driver.clone(), host, policy)
    }

    /// Vaults of ciphers, read, edited and re-encrypted whole, with the default policy.
    #[cfg(feature = "rekey")]
    #[must_use]
    pub fn vaults(&self) -> keywright_rekey::Vaults {
        keywright_rekey::Vaults::new(self.driver.clone(), self.store.clone(), keywright_rekey::VaultPolicy::default())
    }

    /// The account protocol of LibrePass around a host. Makes the server's key pair in a store that has none.
    ///
    /// # Errors
    /// [`OpenError`](keywright_librepass::OpenError).
    #[cfg(feature = "librepass")]
    pub async fn librepass<H: keywright_librepass::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_librepass::LibrePassPolicy,
    ) -> Result<keywright_librepass::LibrePass<H>, keywright_librepass::OpenError> {
        keywright_librepass::LibrePass::open(self.driver.clone(), self.store.clone(), host, policy).await
    }

    /// An account's security log, newest first: those before `before`, at most `limit`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn events(
        &self,
        account: &AccountId,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<(EventId, SecurityEvent)>, LoadError> {
        self.store.events(&Partition::account(account), before, limit).await
    }

    /// Lifts waits and lock of a door: an **operator's** act, after seeing to it that it is the owner who asks. Gives
    /// whether there was anything to lift.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn unlock(&self, account: &AccountId, door: Door) -> Result<bool, TransactError> {
        let unlocked =
            self.driver.transact(&account.into(), &[Slot::Ledger], |draft| guess::unlock(draft, door)).await?;
        Ok(unlocked.0)
    }

    /// What runs apart from requests.
    #[must_use]
    pub fn housekeeping(&self) -> Housekeeping {
        Housekeeping::new(self.driver.clone(), self.store.clone())
    }

    /// Runs steps: for records of the host's own, and for services with another policy.
    #[must_use]
    pub const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

impl fmt::Debug for Keywright {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keywright").field("store", &self.store).finish_non_exhaustive()
    }
}

/// What [`Keywright::create_account`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Creation {
    /// The records were made now.
    Created,
    /// They were there; nothing changed.
    AlreadyExists,
}
