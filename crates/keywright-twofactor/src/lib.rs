//! Two-factor authentication: TOTP, recovery codes and step-up, each code accepted at most once.
//!
//! Time-based codes of up to five named devices, recovery codes in sets, and a rule for each action that says which of
//! them opens it. A right code leads to a proof value that the function which acts takes. This crate never stores,
//! mails, checks a password or reads a clock itself, and has no hash of its own: `hmac`, `sha1` and `sha2` compute, and the
//! tests compare each code with that of `totp-rs`.
//!
//! ```
//! # #[cfg(feature = "std")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Keyring, SystemClock, SystemEntropy, Clock};
//! # use keywright_store::{Driver, MemoryStore, Partition};
//! use keywright_twofactor::{Beginning, Confirming, Leave, TwoFactor, TwoFactorPolicy, Verdict};
//!
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let driver = Driver::new(Arc::new(MemoryStore::new()), keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
//! # let account = AccountId::new("user-1")?;
//! # driver.transact(&Partition::account(&account), &[], |draft| draft.create_account()).await?;
//! # let app = |secret: &[u8]| totp_rs::Builder::new().with_secret(secret).build();
//! # let now = SystemClock.now()?.get();
//! let two_factor = TwoFactor::new(driver, TwoFactorPolicy::default());
//! let leave = Leave::first_factor(account.clone(), b"session-1"); // later: a `StepUp`
//! let Beginning::Begun(pending) = two_factor.begin_enrolment(leave, "phone", None).await? else { panic!("full") };
//! let uri = pending.uri("ACME Co", "john.doe@example.com")?; // shown once, as text or QR code
//! # assert!(uri.expose().starts_with("otpauth://totp/ACME%20Co:john.doe%40example.com?secret="));
//! # let app = app(pending.secret().expose()).map_err(|error| format!("{error:?}"))?;
//! # let code = app.generate(now - 30).to_string();
//! assert!(matches!(two_factor.confirm_enrolment(&account, b"session-1", &code).await?, Confirming::Active(_)));
//!
//! # let code = app.generate(now).to_string();
//! match two_factor.verify_totp(&account, &code, "login", None).await? {
//!     Verdict::Granted(proof) => println!("{} is here", proof.account()),
//!     Verdict::Refused(wait) => println!("not looked at; try again in {} s", wait.retry_after()),
//!     _ => println!("no"),
//! }
//! assert!(matches!(two_factor.verify_totp(&account, &code, "login", None).await?, Verdict::Denied(_))); // once
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! # What an attacker meets
//! - Of any number of requests with one code, on any number of servers, one is granted: the step or code is spent by the
//!   commit that grants. A code that was used, or whose step lies before one that was, is denied also when the clock
//!   goes back, when the device is removed and imported again, and when another device has the same secret. Under other
//!   parameters a secret is not imported twice.
//! - All devices are one door of the guess ledger: wrong guesses wait, then lock, whichever endpoint they come through,
//!   and no success clears the load. A policy whose codes would be found with more than 1 % a year does not build.
//! - Wrong and used look the same outside; the security log tells them apart. What is no code by its form is not looked
//!   at, not counted, not written.
//! - A digit string is compared as a number, with every step of every window, without early exit.
//! - Beginning an enrolment changes nothing that is active, so a stolen session cannot switch a factor off that way. Only
//!   the session that began it can confirm it: no other login puts a device on the account by finding its code.
//! - The database without the keyring shows no secret. **With it, all time-based codes can be computed**: the server must
//!   know the secret to check a code.
//!
//! # For hosts
//! - What [`TwoFactor`] changes of an account's factors takes a [`StepUp`] for [`CHANGE_FACTORS`] by value, or the [`Leave`]
//!   for the first one, and looks in the commit whether it still holds. The steps that compose (`…_in`) do not ask: who
//!   calls them has taken a proof of what is enrolled in the same draft, or acts as the operator; and so do the imports,
//!   which are for seeding. Tell the owner of every change.
//! - With the last device the guesses at it are forgotten, and with a set of recovery codes those at it: a lock does not
//!   outlive its secret.
//! - Removing the last device removes the recovery codes in the same commit.
//! - [`Method::Mailed`] and [`Method::Password`] are what some protocols call a second factor. They are none; a rule that
//!   takes them weakens the action it opens.
//! - When strangers have locked the door of time-based codes, a recovery code unlocks it:
//!   [`TwoFactorSteps::unlock_totp_in`].
//! - [`TotpVerifier`] and [`recovery::CodeSet`] are the pure parts, for a host with a store of its own kind; then "once"
//!   and the limit of guesses are the host's to keep.
//! - A policy change holds for new devices; enrolled ones keep their algorithm, digits and step.
//!
//! # Requirements met
//! RFC 4226 § 4 R6, §§ 5.3, 5.4, 7.2–7.5; RFC 6238 § 3 R5 and R6, §§ 4.2, 5.1, 5.2, 6 (drift is told, not learned); NIST SP
//! 800-63B-4 §§ 3.1.2.1, 3.1.2.2, 3.1.4.1, 3.1.4.2, 3.2.2, 3.2.7, 3.2.12; OWASP ASVS 5.0 2.3.1, 2.3.4, 6.5.1, 6.5.3, 6.5.4,
//! 6.5.5 ([`TwoFactorPolicy::asvs`]), 6.5.6, 6.5.8, 6.6.3, 11.2.4, 15.4.2, 16.2.5; OWASP Transaction Authorization 2.2, 2.8, 2.9.
//! Left to the host: notices (ASVS 6.3.7), ending other sessions (7.4.3), the step-up before a change (7.5.1). Not met:
//! RFC 6238 § 4.2's configurable T0, which no app has.
//!
//! # Features
//! - `std` (default): the service, [`TwoFactor`]. Without it the crate has [`TwoFactorSteps`] and needs only `alloc`.
//! - `qr`: otpauth URIs as QR codes, SVG and PNG (needs `std` through the `qrcode` crate).
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "std")]
mod error;
mod leave;
mod outcome;
pub mod policy;
#[cfg(feature = "qr")]
pub mod qr;
pub mod recovery;
#[cfg(feature = "std")]
mod run;
mod service;
mod state;
mod step;
mod step_up;
mod step_up_policy;
mod totp;
mod uri;

#[cfg(feature = "std")]
pub use error::TwoFactorError;
pub use leave::{CHANGE_FACTORS, Leave};
pub use outcome::{Denial, Method, Proven, Verdict};
pub use policy::{ENROLMENT_TRIES, Once, TwoFactorPolicy, TwoFactorPolicyBuilder, TwoFactorPolicyError};
#[cfg(feature = "std")]
pub use run::TwoFactor;
pub use service::{SLOTS, TwoFactorSteps};
pub use step_up::{Attested, Demand, MAX_SESSION, StepUp, StepUps};
pub use step_up_policy::{Rule, StepUpPolicy, StepUpPolicyError};
pub use totp::{
    Algorithm, Beginning, Confirming, DeviceId, DeviceIdError, DeviceInfo, Enrolled, Enrolling, Parameters,
    ParametersError, PendingDevice, SecretError, TotpCheck, TotpSecret, TotpVerifier, Window,
};
pub use uri::{KeyUri, UriError};
