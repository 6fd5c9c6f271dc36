//! [`Keywright`] itself: access to the services, and the few operations that belong to none of
//! them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use keywright_core::{AccountId, Client, EventChain, EventKind, SecurityEvent, StoreId, UnixSeconds};
use keywright_store::names::Names;
use keywright_store::{AccountCreation, Driver, Erasure, EventCursor, EventPage, Network, TransactError};

use crate::housekeeping::Housekeeping;
use crate::pace::Pace;
use keywright_store::Store;

/// A store, opened with its keyring. It is cheap to clone; a server needs one.
#[derive(Clone)]
pub struct Keywright {
    driver: Driver,
    store: Arc<dyn Store>,
    store_id: StoreId,
    keyring_file: Option<PathBuf>,
    pace: Arc<Mutex<Pace>>,
    #[cfg(feature = "twofactor")]
    two_factor: keywright_twofactor::TwoFactor,
    event_kinds: Arc<[&'static EventKind]>,
}

/// What [`Builder::open`](crate::Builder::open) has opened.
pub(crate) struct Opened {
    pub(crate) driver: Driver,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) store_id: StoreId,
    /// The store's present horizon.
    pub(crate) horizon: Option<UnixSeconds>,
    /// The file in which the keyring is, if it is in one.
    pub(crate) keyring_file: Option<PathBuf>,
    #[cfg(feature = "twofactor")]
    pub(crate) two_factor: keywright_twofactor::TwoFactor,
    pub(crate) event_kinds: Arc<[&'static EventKind]>,
}

impl Keywright {
    pub(crate) fn new(opened: Opened) -> Self {
        Self {
            driver: opened.driver,
            store: opened.store,
            store_id: opened.store_id,
            keyring_file: opened.keyring_file,
            pace: Arc::new(Mutex::new(Pace::new(Instant::now(), opened.horizon))),
            #[cfg(feature = "twofactor")]
            two_factor: opened.two_factor,
            event_kinds: opened.event_kinds,
        }
    }

    /// Returns the file in which the keyring is, if it is in one that this process may change.
    pub(crate) fn keyring_path(&self) -> Option<&Path> {
        self.keyring_file.as_deref()
    }

    /// Creates the security records of an account. Call it at sign-up, and at the first request of
    /// an account that existed before the server used Keywright. The services never do this by
    /// themselves, because they treat a missing account as lost data. Calling it again is harmless.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the account could not be created.
    pub async fn ensure_account(&self, account: &AccountId) -> Result<AccountCreation, TransactError> {
        self.driver.ensure_account(account).await
    }

    /// Erases everything about an account except its security log and its due work, makes its
    /// sessions and tokens void, and frees its names (the addresses of LibrePass).
    ///
    /// # Errors
    /// Returns [`TransactError`] if the account was not erased. After [`TransactError::Unknown`] it
    /// may be erased; call this again.
    pub async fn erase_account(&self, account: &AccountId) -> Result<Erasure, TransactError> {
        Names::new(self.driver.clone()).erase_account(account).await
    }

    /// Returns the sender of a request as the services take it, to count its wrong guesses.
    /// `credential` is the bytes of the app token, the login token or the device cookie of the
    /// request: a random value that the server gave this client, and that stays the same when it
    /// signs in again. Once a client has entered a secret correctly, it is known for this secret,
    /// and the wrong guesses of unknown clients do not delay it. The security log names it by its
    /// [mark](Client::mark). An empty credential is none: the client is unknown, so that those
    /// without a cookie do not become one known client together.
    ///
    /// With the feature `web`, `device_cookie` makes such a cookie. For a request without such a value see [`network_client`](Self::network_client).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use keywright::{AccountId, Keyring, Keywright, MemoryStore, SystemEntropy};
    /// # let keywright = Keywright::builder(MemoryStore::new()).keyring(Keyring::generate(&SystemEntropy)?).open().await?;
    /// # let (alice, bob) = (AccountId::new("alice")?, AccountId::new("bob")?);
    /// let client = keywright.client(&alice, b"the device cookie");
    /// assert_eq!(client, keywright.client(&alice, b"the device cookie")); // in every request
    /// assert_ne!(client.mark(), keywright.client(&bob, b"the device cookie").mark()); // nothing links accounts
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn client(&self, account: &AccountId, credential: &[u8]) -> Client {
        // Nobody becomes a network by naming it in a cookie.
        if credential.is_empty() || Network::is_named_by(credential) {
            return Client::unknown();
        }
        Client::credential(self.driver.client_tag(account, credential))
    }

    /// Returns the sender of a request that presents no credential of its own, identified by the
    /// network from which it comes: an IPv4 address, or the upper half of an IPv6 address. The
    /// protocols' clients are known by the same network. The security log does not name it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use keywright::{AccountId, Keyring, Keywright, MemoryStore, SystemEntropy};
    /// # let keywright = Keywright::builder(MemoryStore::new()).keyring(Keyring::generate(&SystemEntropy)?).open().await?;
    /// # let account = AccountId::new("user-1")?;
    /// # let address = std::net::Ipv4Addr::new(192, 0, 2, 7);
    /// let client = keywright.network_client(&account, address.into());
    /// assert!(client.tag().is_some() && client.mark().is_none());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn network_client(&self, account: &AccountId, address: IpAddr) -> Client {
        Client::network(self.driver.client_tag(account, &Network::of(address).credential()))
    }

    /// Returns the cookie that stays on the device from the values of a request's `Cookie` headers, or
    /// a new one if there is none. Send it with the answer to a log-in.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use keywright::{AccountId, Keyring, Keywright, MemoryStore, SystemEntropy};
    /// # let keywright = Keywright::builder(MemoryStore::new()).keyring(Keyring::generate(&SystemEntropy)?).open().await?;
    /// # let account = AccountId::new("user-1")?;
    /// let device = keywright.device_cookie(["session=5f0c"])?; // in axum `headers.get_all("cookie")`
    /// let client = keywright.client(&account, device.as_bytes());
    /// assert!(client.tag().is_some());
    /// assert!(device.to_set_cookie().starts_with("__Host-device=")); // the answer's `Set-Cookie`
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`EntropyError`](keywright_core::EntropyError) if there is no cookie and the generator
    /// fails.
    #[cfg(feature = "web")]
    pub fn device_cookie(
        &self,
        cookies: impl IntoIterator<Item: AsRef<[u8]>>,
    ) -> Result<keywright_tower::DeviceCookie, keywright_core::EntropyError> {
        keywright_tower::DeviceCookie::read_or_draw(cookies, &**self.driver.entropy())
    }

    /// Returns the service for password challenges.
    #[cfg(feature = "challenge")]
    #[must_use]
    pub fn challenges(&self) -> keywright_challenge::Challenges {
        keywright_challenge::Challenges::new(self.driver.clone())
    }

    /// Returns the service for confirming destructive actions, with the default policy.
    #[cfg(feature = "confirm")]
    #[must_use]
    pub fn confirmations(&self) -> keywright_confirm::Confirmations {
        self.confirmations_with(keywright_confirm::ConfirmPolicy::default())
    }

    /// Returns the service for confirming destructive actions, with the server's own policy.
    #[cfg(feature = "confirm")]
    #[must_use]
    pub fn confirmations_with(&self, policy: keywright_confirm::ConfirmPolicy) -> keywright_confirm::Confirmations {
        keywright_confirm::Confirmations::new(self.driver.clone(), policy)
    }

    /// Returns the account protocol of Nextcloud Passwords, with the host's methods behind it.
    ///
    /// # Errors
    /// Returns [`TwoFactorPolicyError`](keywright_twofactor::TwoFactorPolicyError) if the policy's
    /// codes are too easy to guess.
    #[cfg(feature = "nextcloud")]
    pub fn nextcloud<H: keywright_nextcloud::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_nextcloud::NextcloudPolicy,
    ) -> Result<keywright_nextcloud::Nextcloud<H>, keywright_twofactor::TwoFactorPolicyError> {
        keywright_nextcloud::Nextcloud::new(self.driver.clone(), host, policy)
    }

    /// Returns the two-factor service: time-based codes, recovery codes and step-up. Its policy is the one that was given to
    /// [`Builder::two_factor_policy`](crate::Builder::two_factor_policy), or the default.
    #[cfg(feature = "twofactor")]
    #[must_use]
    pub fn two_factor(&self) -> keywright_twofactor::TwoFactor {
        self.two_factor.clone()
    }

    /// Returns a two-factor service with another policy than that of
    /// [`two_factor`](Self::two_factor).
    ///
    /// # Errors
    /// Returns [`TwoFactorPolicyError`](keywright_twofactor::TwoFactorPolicyError) if the server's
    /// ledger policy allows too many guesses at codes with the policy's digits, window and devices.
    #[cfg(feature = "twofactor")]
    pub fn two_factor_with(
        &self,
        policy: keywright_twofactor::TwoFactorPolicy,
    ) -> Result<keywright_twofactor::TwoFactor, keywright_twofactor::TwoFactorPolicyError> {
        keywright_twofactor::TwoFactor::new(self.driver.clone(), policy)
    }

    /// Returns the two-factor protocol of Rocket.Chat, with the host's methods behind it.
    ///
    /// # Errors
    /// Returns [`TwoFactorPolicyError`](keywright_twofactor::TwoFactorPolicyError) if the policy's
    /// codes are too easy to guess.
    #[cfg(feature = "rocketchat")]
    pub fn rocketchat<H: keywright_rocketchat::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_rocketchat::RocketChatPolicy,
    ) -> Result<keywright_rocketchat::RocketChat<H>, keywright_twofactor::TwoFactorPolicyError> {
        keywright_rocketchat::RocketChat::new(self.driver.clone(), host, policy)
    }

    /// Returns the service for password vaults, with the default policy.
    #[cfg(feature = "rekey")]
    #[must_use]
    pub fn vaults(&self) -> keywright_rekey::Vaults {
        self.vaults_with(keywright_rekey::VaultPolicy::default())
    }

    /// Returns the service for password vaults, with the server's own policy.
    #[cfg(feature = "rekey")]
    #[must_use]
    pub fn vaults_with(&self, policy: keywright_rekey::VaultPolicy) -> keywright_rekey::Vaults {
        keywright_rekey::Vaults::new(self.driver.clone(), self.store.clone(), policy)
    }

    /// Returns the account protocol of LibrePass, with the host's methods behind it. Creates the
    /// server's key pair in a store that has none.
    ///
    /// # Errors
    /// Returns [`OpenError`](keywright_librepass::OpenError) if the protocol cannot be served.
    #[cfg(feature = "librepass")]
    pub async fn librepass<H: keywright_librepass::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_librepass::LibrePassPolicy,
    ) -> Result<keywright_librepass::LibrePass<H>, keywright_librepass::OpenError> {
        keywright_librepass::LibrePass::open(self.driver.clone(), self.store.clone(), host, policy).await
    }

    /// Returns the pages and the JSON API on which the owner of an account manages its security, with
    /// the host's methods behind them.
    ///
    /// # Errors
    /// Returns [`SelfServicePolicyError`](keywright_selfservice::SelfServicePolicyError) if the
    /// policy's codes are too easy to guess.
    #[cfg(feature = "selfservice")]
    pub fn selfservice<H: keywright_selfservice::Host>(
        &self,
        host: Arc<H>,
        policy: keywright_selfservice::SelfServicePolicy,
    ) -> Result<keywright_selfservice::SelfService<H>, keywright_selfservice::SelfServicePolicyError> {
        keywright_selfservice::SelfService::new(self.driver.clone(), host, policy)
    }

    /// Returns a page of an account's security log of one chain, newest first and verified. It
    /// begins at the newest event, or where an earlier page ended.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the log cannot be read. It reports damage if an event was
    /// altered, dropped or added.
    pub async fn events(
        &self,
        account: &AccountId,
        chain: EventChain,
        cursor: Option<&EventCursor>,
        limit: u32,
    ) -> Result<EventPage, TransactError> {
        self.driver.events(account, chain, cursor, limit).await
    }

    /// Returns the newest events of an account, changes and denials, newest first and verified, at
    /// most `limit`.
    ///
    /// # Errors
    /// Returns the errors of [`events`](Self::events).
    pub async fn recent_events(&self, account: &AccountId, limit: u32) -> Result<Vec<SecurityEvent>, TransactError> {
        self.driver.recent_events(account, limit).await
    }

    /// Returns the kinds of events whose texts are known.
    pub(crate) const fn event_kinds(&self) -> &Arc<[&'static EventKind]> {
        &self.event_kinds
    }

    /// Returns the maintenance of the store.
    #[must_use]
    pub fn housekeeping(&self) -> Housekeeping {
        Housekeeping::new(self.driver.clone(), self.store.clone(), Arc::clone(&self.pace))
    }

    /// Returns the driver, which runs steps. Use it for the host's own records, and for services
    /// with another policy.
    #[must_use]
    pub const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// Returns the store's id, which its keyring names. A keyring file that can be written is given
    /// it by [`open`](crate::Builder::open); add it to a keyring from elsewhere.
    #[must_use]
    pub const fn store_id(&self) -> StoreId {
        self.store_id
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

keywright_core::redacted_debug!(Keywright { store, .. });
