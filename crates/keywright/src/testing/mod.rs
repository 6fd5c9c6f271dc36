//! Support for the tests of a server that uses Keywright.
//!
//! A test brings its own time ([`ManualClock`](crate::ManualClock)), its own authenticator
//! ([`VirtualAuthenticator`]) and a place for the mails that it sends ([`CaughtMail`]), and
//! [`race`] shows that a request which is sent many times at once is granted once.
//!
//! ```
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use keywright::testing::{VirtualAuthenticator, race};
//! use keywright::twofactor::{Enrolment, EnrolmentStart, VerifyOutcome};
//! use keywright::{
//!     AccountId, Keyring, Keywright, ManualClock, MemoryStore, Purpose, SessionId, SystemEntropy, UnixSeconds,
//! };
//!
//! let clock = Arc::new(ManualClock::new(UnixSeconds::new(1_700_000_000)?));
//! let keyring = Keyring::generate(&SystemEntropy)?;
//! let keywright = Keywright::builder(MemoryStore::new()).keyring(keyring).clock(clock.clone()).open().await?;
//! let account = AccountId::new("user-1")?;
//! keywright.ensure_account(&account).await?;
//!
//! let two_factor = keywright.two_factor();
//! let (session, client) = (SessionId::new("session-1"), keywright.client(&account, b"the cookie of the device"));
//! let begun = two_factor.begin(&account, session, "phone").await?;
//! let EnrolmentStart::Begun(pending) = begun else { panic!("full") };
//! let phone = VirtualAuthenticator::of(&pending)?;
//! let code = phone.code(&clock);
//! let confirmed = two_factor.confirm(&account, session, &code, client).await?;
//! assert!(matches!(confirmed, Enrolment::Active { .. }));
//!
//! // Sixteen tabs send the same code at once: one is let in.
//! let code = phone.code(&clock);
//! let outcomes = race(16, || {
//!     let (two_factor, account, code) = (two_factor.clone(), account.clone(), code.clone());
//!     async move { two_factor.verify_totp(&account, &code, &Purpose::new("login"), client).await }
//! })
//! .await;
//! let granted = outcomes.iter().filter(|outcome| matches!(outcome, Ok(VerifyOutcome::Granted(_)))).count();
//! assert_eq!(granted, 1);
//! # Ok(())
//! # }
//! ```

mod authenticator;
mod mail;
mod race;

pub use authenticator::{AuthenticatorError, VirtualAuthenticator};
pub use mail::{CaughtMail, MailDown};
pub use race::race;
