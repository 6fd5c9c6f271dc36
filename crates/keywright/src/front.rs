//! The front door itself: services, and the few acts that belong to none of them.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use keywright_core::{AccountId, Client, EventChain, SecretName, SecurityEvent, UnixSeconds};
use keywright_store::guess::LEDGER;
use keywright_store::{AccountCreation, Driver, Erasure, EventCursor, EventPage, TransactError, guess};

use crate::housekeeping::{Housekeeping, Pace};
use crate::port::Store;

/// A store, opened with its keyring. Cheap to clone; one per server.
#[derive(Clone)]
pub struct Keywright {
    driver: Driver,
    store: Arc<dyn Store>,
    pace: Arc<Mutex<Pace>>,
}

impl Keywright {
    /// `horizon`: where the store's stands.
    pub(crate) fn new(driver: Driver, store: Arc<dyn Store>, horizon: Option<UnixSeconds>) -> Self {
        Self { driver, store, pace: Arc::new(Mutex::new(Pace::new(Instant::now(), horizon))) }
    }

    /// Makes an account's records: call it at sign-up, and for accounts from before Keywright at their first request. The
    /// services never do that by themselves, because to them a missing account is lost data. Calling it again is harmless.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn ensure_account(&self, account: &AccountId) -> Result<AccountCreation, TransactError> {
        self.driver.ensure_account(account).await
    }

    /// Drops everything that is kept about an account but its security log, and voids whatever was made for it.
    ///
    /// # Errors
    /// [`TransactError`]; after [`TransactError::Unknown`] it may be erased. Call it again.
    pub async fn erase_account(&self, account: &AccountId) -> Result<Erasure, TransactError> {
        self.driver.erase_account(account).await
    }

    /// The client that came with `credential`, for the services that judge its guesses: the bytes of its app token or login
    /// token, or where a request carries none, of its network (an IPv4 address, an IPv6 /64). Once it has passed a secret it
    /// is known there, and no stranger's failures hold it up.
    #[must_use]
    pub fn client(&self, account: &AccountId, credential: &[u8]) -> Client {
        Client::credential(self.driver.client_tag(account, credential))
    }

    /// The password challenge.
    #[cfg(feature = "challenge")]
    #[must_use]
    pub fn challenges(&self) -> keywright_challenge::Challenges {
        keywright_challenge::Challenges::new(self.driver.clone())
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
    /// [`TwoFactorPolicyError`](keywright_twofactor::TwoFactorPolicyError) if the policy's codes are too easy to guess.
    #[cfg(feature = "nextcloud")]
    pub fn nextcloud<H: keywright_nextcloud::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_nextcloud::NextcloudPolicy,
    ) -> Result<keywright_nextcloud::Nextcloud<H>, keywright_twofactor::TwoFactorPolicyError> {
        keywright_nextcloud::Nextcloud::new(self.driver.clone(), host, policy)
    }

    /// Time-based codes, recovery codes and step-up, with the default policy.
    ///
    /// # Errors
    /// [`TwoFactorPolicyError`](keywright_twofactor::TwoFactorPolicyError) if the server's ledger policy lets too many guesses
    /// at codes of six digits through; with the default one this does not happen.
    #[cfg(feature = "twofactor")]
    pub fn two_factor(&self) -> Result<keywright_twofactor::TwoFactor, keywright_twofactor::TwoFactorPolicyError> {
        keywright_twofactor::TwoFactor::new(self.driver.clone(), keywright_twofactor::TwoFactorPolicy::default())
    }

    /// The two-factor wire of Rocket.Chat around a host.
    ///
    /// # Errors
    /// [`TwoFactorPolicyError`](keywright_twofactor::TwoFactorPolicyError) if the policy's codes are too easy to guess.
    #[cfg(feature = "rocketchat")]
    pub fn rocketchat<H: keywright_rocketchat::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_rocketchat::RocketChatPolicy,
    ) -> Result<keywright_rocketchat::RocketChat<H>, keywright_twofactor::TwoFactorPolicyError> {
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

    /// A page of an account's security log of one chain, newest first and verified, from the newest on or from where an
    /// earlier page ended.
    ///
    /// # Errors
    /// [`TransactError`]; damage if an event was altered, dropped or added.
    pub async fn events(
        &self,
        account: &AccountId,
        chain: EventChain,
        cursor: Option<&EventCursor>,
        limit: u32,
    ) -> Result<EventPage, TransactError> {
        self.driver.events(account, chain, cursor, limit).await
    }

    /// The newest events of an account, changes and denials, newest first and verified, at most `limit`.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub async fn recent_events(&self, account: &AccountId, limit: u32) -> Result<Vec<SecurityEvent>, TransactError> {
        self.driver.recent_events(account, limit).await
    }

    /// Lifts waits and limits of all secrets of an account: an **operator's** act, after seeing to it that it is the owner who
    /// asks. Returns the secrets of which there was anything to lift.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn unlock(&self, account: &AccountId) -> Result<Vec<SecretName>, TransactError> {
        self.driver.transact(&account.into(), &[LEDGER.name()], guess::unlock_all).await
    }

    /// What runs apart from requests.
    #[must_use]
    pub fn housekeeping(&self) -> Housekeeping {
        Housekeeping::new(self.driver.clone(), self.store.clone(), Arc::clone(&self.pace))
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

keywright_core::redacted_debug!(Keywright { store, .. });
