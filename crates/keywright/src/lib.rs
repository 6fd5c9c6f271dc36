//! Account security for Rust servers, over your own storage: a password challenge, confirmation of
//! destructive actions, second factors, the re-encryption of whole password vaults, and the HTTP
//! protocols of existing clients. Each grant (a redeemed code, an opened session, a confirmed
//! action) happens at most once, on any store, under any race or crash.
//!
//! This crate is the entry point. It opens a store together with its keyring, the file with the
//! encryption keys, and provides the services ([`Keywright`]). It never spawns a task and never
//! binds a port. It does not manage users: your server decides when an account is created.
//!
//! ```
//! # #[cfg(feature = "testing")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use keywright::testing::VirtualAuthenticator;
//! # use keywright::{Clock, SystemClock, UnixSeconds};
//! # let folder = tempfile::tempdir()?;
//! # let (database, keyring) = (folder.path().join("accounts.sqlite"), folder.path().join("keyring.toml"));
//! use keywright::twofactor::{Enrolment, EnrolmentStart, VerifyOutcome};
//! use keywright::{AccountId, Keywright, Purpose, SessionId, sqlite::SqliteStore};
//!
//! let keywright = Keywright::builder(SqliteStore::open(&database)?).keyring_file(&keyring).open().await?;
//! let account = AccountId::new("42")?; // the primary key of your user
//! keywright.ensure_account(&account).await?; // at sign-up
//!
//! // The user sets up an authenticator app: show the text as a QR code.
//! let (two_factor, session) = (keywright.two_factor(), SessionId::new("the session's cookie"));
//! let EnrolmentStart::Begun(pending) = two_factor.begin(&account, session, "phone").await? else {
//!     return Err("five devices are the most".into());
//! };
//! println!("{}", pending.uri("ACME", "alice@example.com")?.expose());
//! # let (app, now) = (VirtualAuthenticator::of(&pending)?, SystemClock.now()?);
//! # let typed = app.code_at(UnixSeconds::new(now.get() - 30)?);
//!
//! // The app shows a code, and the user types it.
//! let client = keywright.client(&account, b"a cookie that stays on this device");
//! let enrolment = two_factor.confirm(&account, session, &typed, client).await?;
//! assert!(matches!(enrolment, Enrolment::Active { recovery_codes: Some(_), .. })); // show them once
//! # let typed = app.code_at(now);
//!
//! // At each log-in, after the password. Of any number of requests with one code, one is granted.
//! match two_factor.verify(&account, &typed, &Purpose::new("login"), client).await? {
//!     VerifyOutcome::Granted(proof) => println!("start a session of {}", proof.account()),
//!     VerifyOutcome::Refused(wait) => println!("too many wrong codes; again in {} s", wait.retry_after()),
//!     _ => println!("wrong code"),
//! }
//! # assert!(matches!(two_factor.verify(&account, &typed, &Purpose::new("login"), client).await?, VerifyOutcome::Denied(_)));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "testing"))]
//! # fn main() {}
//! ```
//!
//! The next example is a deletion that must be confirmed. The function that deletes requires a
//! proof, and only a confirmation creates one.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use keywright::{AccountId, Keyring, Keywright, MemoryStore, SystemEntropy};
//! # let keywright = Keywright::builder(MemoryStore::new()).keyring(Keyring::generate(&SystemEntropy)?).open().await?;
//! # let account = AccountId::new("user-1")?;
//! # keywright.ensure_account(&account).await?;
//! use keywright::SessionId;
//! use keywright::confirm::{Action, Confirmation, Confirmed};
//!
//! struct DeleteVault { vault: String }
//! impl Action for DeleteVault {
//!     const NAME: &'static str = "vault.delete";
//!     fn target(&self) -> &str { &self.vault }
//!     fn parameters(&self) -> Vec<u8> { Vec::new() }
//! }
//! fn delete_vault(proof: Confirmed<DeleteVault>) -> String {
//!     let (account, action) = proof.into_parts();
//!     format!("vault {} of {account} is gone", action.vault)
//! }
//!
//! let session = SessionId::new("session-1"); // whatever identifies it in every request
//! let action = || DeleteVault { vault: "7".into() };
//! let shown = keywright.confirmations().begin_code(&account, &action(), session).await?;
//! # let typed = shown.expose();
//! // … the page shows it, the user types it back:
//! match keywright.confirmations().confirm_code(&account, action(), session, typed).await? {
//!     Confirmation::Granted(proof) => assert_eq!(delete_vault(proof), "vault 7 of user-1 is gone"),
//!     _ => println!("wrong code, or too late"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The guide (module `guide`, in a documentation that is built with all features) has a page for each
//! task, beginning with two-factor authentication.
//!
//! # In a server
//! HTTP servers drop a handler's future when its client disconnects. A commit that is under way
//! still takes effect, but what should follow it (notifying the observer, sending a mail) is lost
//! or delayed. To prevent this, a middleware can run each request as a task of its own:
//! `tokio::spawn(next.run(request)).await`. The documentation of `keywright-wire` has an example,
//! and `account-server`, the reference server in the repository, does it too.
//!
//! # The life of an account
//! This example creates an account and erases it. An observer is notified of its security events.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use keywright::{Keyring, MemoryStore, SystemEntropy};
//! # let (store, keyring) = (MemoryStore::new(), Keyring::generate(&SystemEntropy)?);
//! use std::sync::Arc;
//! use keywright::store::{Partition, StepError};
//! use keywright::{AccountCreation, AccountId, Erasure, Keywright, Observer, SecurityEvent};
//!
//! /// Writes the events to the log. A real server can also count them and mail the owner.
//! #[derive(Debug)]
//! struct SecurityLog;
//! impl Observer for SecurityLog {
//!     fn event(&self, account: &AccountId, event: &SecurityEvent) {
//!         println!("{account}: {}", event.kind()); // called after the event was committed
//!     }
//!     fn damage(&self, partition: &Partition, error: &StepError) {
//!         eprintln!("look at {partition:?}: {error}"); // stored data was lost or altered: investigate
//!     }
//! }
//!
//! let keywright = Keywright::builder(store).keyring(keyring).observer(Arc::new(SecurityLog)).open().await?;
//! let account = AccountId::new("user-1")?;
//! assert_eq!(keywright.ensure_account(&account).await?, AccountCreation::Created); // at sign-up
//! assert_eq!(keywright.erase_account(&account).await?, Erasure::Erased); // its security events are kept for 400 days
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`Keywright`] and [`Builder`] open a store, create the services, and read what happened to an
//!   account ([`Activity`]). [`Operator`] unlocks accounts that wrong guesses have locked, and helps
//!   owners who have lost their second factors.
//! - [`Keys`] rotates and retires the keys of a store.
//! - [`Housekeeping`] is the maintenance of a store (deleting what has expired, for example) and a
//!   check of everything that is stored.
//! - [`challenge`](mod@challenge), [`confirm`](mod@confirm) and `twofactor` check secrets and
//!   codes.
//! - `rekey` keeps whole vaults and re-encrypts all of a vault or nothing.
//! - `nextcloud`, `rocketchat` and `librepass` are the wire protocols of clients.
//! - `web` and `tower` connect it with a server's own routes.
//! - `selfservice` has the pages on which the owner of an account manages its security.
//! - [`sqlite`](mod@sqlite) and [`MemoryStore`] are storage backends. [`mod@store`] has the traits
//!   to implement for a backend of your own.
//! - [`mod@core`] contains time, randomness, secrets, the keyring, and the guess ledger, which
//!   limits how many wrong guesses are checked against a secret.
//!
//! # Features
//! Whoever calls a method of a feature that is not enabled is told so by the compiler, with the name
//! of the feature:
//!
//! | Feature | What it adds | On [`Keywright`] |
//! |---|---|---|
//! | `challenge` (default) | the password challenge | `challenges` |
//! | `confirm` (default) | confirmations of destructive actions | `confirmations`, `confirmations_with` |
//! | `sqlite` (default) | the SQLite backend, [`sqlite`](mod@sqlite) | |
//! | `twofactor` (default) | time-based codes, recovery codes and step-up | `two_factor`, `two_factor_with` |
//! | `qr` | QR codes of enrolments; enables `twofactor` | |
//! | `json` | imported and exported users as lines of JSON; enables `twofactor` | |
//! | `rekey` | password vaults and their re-encryption | `vaults`, `vaults_with` |
//! | `nextcloud` | the protocol of Nextcloud Passwords | `nextcloud` |
//! | `rocketchat` | the protocol of Rocket.Chat | `rocketchat` |
//! | `librepass` | the protocol of LibrePass | `librepass` |
//! | `selfservice` | pages and a JSON API for the owner of an account | `selfservice` |
//! | `web` | outcomes as answers of a server's own routes, and step-up, in any framework; enables `twofactor` | |
//! | `tower` | these protocols and pages as `tower::Service`, and a layer for step-up; enables `web` | |
//! | `axum` | the proof of a step-up as an extractor of axum, and refusals as its responses; enables `tower` | |
//! | `testing` | support for a server's tests: an authenticator, caught mails, races; enables `twofactor` | |
//! | `metrics` | counters, gauges and timings for the recorder of the crate `metrics` that the program installs, as listed in `keywright::metrics` | |
//! | `client` | the client half of the challenge, and of `rekey` and `librepass` if they are enabled | |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The example of the README, compiled and run as a doctest.
#[cfg(all(doctest, feature = "sqlite", feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;

mod activity;
mod builder;
mod check;
mod error;
// Pages only: part of the documentation and of the doctests with all features, and of no program.
#[cfg(all(
    any(doc, doctest),
    feature = "axum",
    feature = "challenge",
    feature = "confirm",
    feature = "librepass",
    feature = "nextcloud",
    feature = "qr",
    feature = "rocketchat",
    feature = "selfservice",
    feature = "sqlite",
    feature = "testing",
))]
pub mod guide;
mod housekeeping;
mod key_note;
mod key_sources;
mod keys;
mod keywright;
mod kinds;
mod measure;
#[cfg(feature = "metrics")]
pub mod metrics;
#[doc(hidden)]
pub mod missing;
mod no_vault;
mod operator;
mod pace;
mod scan;
mod slots;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "web")]
pub mod web;

pub use keywright_core as core;
pub use keywright_store as store;

#[cfg(feature = "challenge")]
pub use keywright_challenge as challenge;
#[cfg(feature = "confirm")]
pub use keywright_confirm as confirm;
#[cfg(feature = "librepass")]
pub use keywright_librepass as librepass;
#[cfg(feature = "nextcloud")]
pub use keywright_nextcloud as nextcloud;
#[cfg(feature = "rekey")]
pub use keywright_rekey as rekey;
#[cfg(feature = "rocketchat")]
pub use keywright_rocketchat as rocketchat;
#[cfg(feature = "selfservice")]
pub use keywright_selfservice as selfservice;
#[cfg(feature = "sqlite")]
pub use keywright_sqlite as sqlite;
#[cfg(feature = "tower")]
pub use keywright_tower as tower;
#[cfg(feature = "twofactor")]
pub use keywright_twofactor as twofactor;

pub use activity::Activity;
pub use builder::Builder;
pub use check::{Checked, Damaged, Fault};
pub use error::StartError;
pub use housekeeping::{
    Cursor, Due, DueCursor, DueScan, Horizon, Housekeeping, HousekeepingError, Resealed, Retirement,
};
pub use keys::{Keys, KeysError, Reseal, SETTLED};
pub use keywright::Keywright;
pub use keywright_core::{
    AccountId, AccountIdError, ActionName, Client, ClientMark, Clock, Entropy, Event, EventChain, EventKind,
    Generation, KeyId, KeySource, KeySourceError, Keyring, KeyringFileError, LedgerPolicy, ManualClock, Purpose,
    SecretBytes, SecretKind, SecretString, SecretVec, SecurityEvent, SessionId, SharedRng, StoreId, StoreIdError,
    SystemClock, SystemEntropy, UnixSeconds,
};
pub use keywright_store::{
    AccountCreation, Driver, Erasure, EventCursor, EventPage, MemoryStore, Observer, SlotKind, Store, TransactError,
};
pub use no_vault::NoVault;
pub use operator::{Operator, SESSIONS_ENDED_BY_OPERATOR};
pub use pace::HORIZON_PAUSE;
pub use slots::slot_kinds;
