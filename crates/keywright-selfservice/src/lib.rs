//! Pages and a JSON API with which the owner of an account manages its security.
//!
//! The owner sees what happened in the account, sets up authenticator apps, renames and removes
//! them and every other factor, makes recovery codes, ends sessions, cancels a pending change of address, and confirms what cannot be
//! undone. The pages are rendered on the server, in English and German, and work without script.
//! [`SelfService`] takes an `http::Request` with its whole body; with the feature `tower` it is a
//! `tower::Service`, which axum and every other framework that supports tower mounts. Your server
//! supplies a [`Host`]: who is logged in, the check of the password, and its own sessions.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use http::request::Parts;
//! use http::{HeaderValue, Request};
//! use keywright_core::{AccountId, Client, SecretString, SessionId};
//! use keywright_selfservice::queue::Requester;
//! use keywright_selfservice::{Caller, Host, HostError, SelfService, SelfServicePolicy};
//! use keywright_store::Driver;
//!
//! struct MyServer { driver: Driver }
//!
//! impl Host for MyServer {
//!     async fn caller(&self, head: &Parts) -> Result<Option<Caller>, HostError> {
//!         // Look up the session of the request's cookie in your own table.
//!         let Some(cookie) = head.headers.get("cookie") else { return Ok(None) };
//!         let account = AccountId::new("user-1").map_err(HostError::new)?;
//!         let client = Client::credential(self.driver.client_tag(&account, cookie.as_bytes()));
//!         Ok(Some(Caller::new(account, SessionId::new(cookie), client, "alice")))
//!     }
//!     async fn check_password(&self, _: &Caller, password: &SecretString, _: &Requester) -> Result<bool, HostError> {
//!         Ok(password.expose() == "correct horse") // your own hash, in a queue
//!     }
//!     async fn end_other_sessions(&self, _: &Caller, _epoch: u64) -> Result<(), HostError> {
//!         Ok(()) // end them in your own table
//!     }
//!     async fn sign_out(&self, _: &Caller) -> Result<Option<HeaderValue>, HostError> {
//!         Ok(Some(HeaderValue::from_static("session=; Max-Age=0")))
//!     }
//! }
//!
//! # let keyring = Arc::new(keywright_core::Keyring::generate(&keywright_core::SystemEntropy)?);
//! # let store = Arc::new(keywright_store::MemoryStore::new());
//! # let slots = [keywright_twofactor::SLOT_KINDS, keywright_confirm::SLOT_KINDS].concat();
//! # let driver = Driver::builder(store, keyring).slots(&slots).build()?;
//! # driver.ensure_account(&AccountId::new("user-1")?).await?;
//! let policy = SelfServicePolicy::builder("Example").base("/account/").build()?;
//! let pages = SelfService::new(driver.clone(), Arc::new(MyServer { driver }), policy)?;
//! let request = Request::get("/account/").header("cookie", "session=5f0c").body("")?;
//! assert_eq!(pages.handle(request).await.status(), 200);
//! // With axum: a route for each of `Endpoint::ALL`. `Router::nest_service` strips the prefix that the pages expect;
//! // `keywright::tower::PrefixLayer` puts it back.
//! # Ok(())
//! # }
//! ```
//!
//! # What the pages guarantee
//! - A change of factors requires the strongest factor that is enrolled, or a recovery code, and
//!   otherwise the password, on the same form. Where codes by mail are the strongest and the host
//!   mails them ([`Host::mail_address`]), it is one of those; where it is a factor that the host
//!   checks, the host has the session step up for
//!   [`CHANGE_FACTORS`](keywright_twofactor::CHANGE_FACTORS) before, under a rule that remembers it. Every guess is counted by the account's guess ledger, the password included,
//!   whichever endpoint it comes through. A refusal states when to try again.
//! - Every form contains a token that is bound to the session, and a request that a browser marks as
//!   coming from another site is refused (`docs/decisions.md` 222).
//! - No page loads anything from elsewhere, and no page has a style or script of its own: the
//!   content security policy forbids both. Answers are not cached, and send no referrer.
//! - What an owner typed is escaped wherever it is shown, and no secret is in an address. Keys and
//!   recovery codes are shown once.
//!
//! # For hosts
//! - Run each request to its end even if the client disconnects
//!   ([`keywright_wire`](keywright_wire#clients-that-disconnect)).
//! - The session's cookie should be `HttpOnly`, `SameSite=Lax` and, over TLS, `Secure`.
//! - A host that compares passwords slowly should use [`queue`], and return
//!   [`HostError::busy`] when it is full.
//! - Link texts and colours: [`Texts`], [`SelfServicePolicyBuilder::style`] and [`Host::frame`].
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod act;
mod answer;
mod api;
mod assets;
mod context;
mod endpoints;
mod host;
mod html;
mod policy;
mod request;
mod service;
mod texts;

pub use act::password::LOGIN_PASSWORD;
pub use act::sessions::SESSIONS_ENDED;
pub use host::{
    Caller, ConfirmStyle, Frame, Host, HostAction, LinkAdmits, OwnerAction, PendingAddress, RememberedBrowser,
};
pub use keywright_wire::{Decoys, HostError, Network, queue};
pub use policy::{SelfServicePolicy, SelfServicePolicyBuilder, SelfServicePolicyError};
pub use request::{Endpoint, is_cross_site};
pub use service::SelfService;
pub use texts::{English, German, Text, Texts};
