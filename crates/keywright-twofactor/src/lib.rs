//! Two-factor authentication: TOTP, recovery codes and step-up, each code accepted at most once.
//!
//! Time-based codes of up to five named devices, recovery codes in sets, and a rule for each action that says which of
//! them opens it. A right code leads to a proof value that the function which acts takes. This crate never stores,
//! mails, checks a password or reads a clock itself, and has no hash of its own: `hmac`, `sha1` and `sha2` compute, and the
//! tests compare each code with that of `totp-rs`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Clock, Keyring, SystemClock, SystemEntropy};
//! # use keywright_store::{Driver, MemoryStore};
//! use keywright_core::Client;
//! use keywright_twofactor::{EnrolmentStart, EnrolmentOutcome, FactorChange, TwoFactor, TwoFactorPolicy, VerifyOutcome};
//!
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let builder = Driver::builder(Arc::new(MemoryStore::new()), keyring);
//! # let driver = builder.slots(keywright_twofactor::SLOT_KINDS).build()?;
//! # let account = AccountId::new("user-1")?;
//! # driver.ensure_account(&account).await?;
//! # let app = |secret: &[u8]| totp_rs::Builder::new().with_secret(secret).build();
//! # let now = SystemClock.now()?.get();
//! # let token = b"app token";
//! // Who sends the request: by the credential it presents, or else by its network.
//! let client = Client::credential(driver.client_tag(&account, token));
//! let two_factor = TwoFactor::new(driver, TwoFactorPolicy::default())?;
//!
//! // The password was checked a moment ago. Later changes take a `StepUp` in its place.
//! let change = FactorChange::first_factor(account.clone(), b"session-1");
//! let EnrolmentStart::Begun(pending) = two_factor.begin_enrolment(change, "phone", None).await? else { panic!("full") };
//! let uri = pending.uri("ACME Co", "john.doe@example.com")?; // shown once, as text or QR code
//! # assert!(uri.expose().starts_with("otpauth://totp/ACME%20Co:john.doe%40example.com?secret="));
//! # let app = app(pending.secret().expose()).map_err(|error| format!("{error:?}"))?;
//! # let code = app.generate(now - 30).to_string();
//! let (confirmed, codes) =
//!     two_factor.confirm_enrolment_with_codes(&account, b"session-1", &code, client).await?;
//! assert!(matches!(confirmed, EnrolmentOutcome::Active(_)) && codes.is_some());
//!
//! # let code = app.generate(now).to_string();
//! match two_factor.verify_totp(&account, &code, "login", client).await? {
//!     VerifyOutcome::Granted(proof) => println!("{} is here", proof.account()),
//!     VerifyOutcome::Refused(wait) => println!("not looked at; try again in {} s", wait.retry_after()),
//!     VerifyOutcome::Denied(_) | VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled => println!("no"),
//! }
//! assert!(matches!(two_factor.verify_totp(&account, &code, "login", client).await?, VerifyOutcome::Denied(_))); // once
//! # Ok(())
//! # }
//! ```
//!
//! # What an attacker meets
//! - Of any number of requests with one code, on any number of servers, one is granted: the step or code is spent by the
//!   commit that grants. A code that was used, or whose step lies before one that was, is denied also when the clock
//!   goes back, when the device is removed and imported again, and when another device has the same secret. Under other
//!   parameters a secret is not imported twice.
//! - All devices are one secret of the guess ledger: wrong guesses wait, and are shut out at last, whichever endpoint they
//!   come through, and no success clears the level. A service whose codes would be found with more than 1 % a year does not
//!   build.
//! - Wrong and used look the same outside; the security log distinguishes them. Malformed text is not looked at, not
//!   counted, not written.
//! - A digit string is compared as a number, with every step of every window, without early exit.
//! - Beginning an enrolment changes nothing that is active, so a stolen session cannot switch a factor off that way. Only
//!   the session that began it can confirm it: no other login puts a device on the account by finding its code.
//! - By default a change of factors ends all other logins: it moves the credential epoch.
//! - The database without the keyring shows no secret. **With it, all time-based codes can be computed**: the server must
//!   know the secret to check a code.
//!
//! # What an owner can rely on
//! - **A device that enrols can log in.** Enrolling codes are judged in the window of every later use; a right code of
//!   another time is refused with the number of seconds that the device's clock is off ([`ClockOffset`]). At log-in such a
//!   code is wrong, and an event says so to the owner.
//! - **A spent step belongs to its secret.** A server's clock that once ran ahead leaves a device refused that was used
//!   then; the log and [`DeviceInfo::refused_until`] say so, and no other device is touched. The last steps of the sixteen
//!   secrets that were removed last are remembered.
//! - Codes are typed with any blanks and hyphens ([`typed`]).
//! - Nobody else's wrong guesses hold up a client that passed before. An owner on a new one has these ways in:
//!
//! | secret | what shuts it | ways in |
//! |---|---|---|
//! | [`TOTP`] | fifty wrong codes of unknown clients | a known client; a recovery code ([`TwoFactorSteps::admit_totp_in`]); a proof from another session ([`ADMIT_CLIENT`]); the operator ([`TwoFactor::unlock`]) |
//! | [`RECOVERY`], 64 bits and more | nothing: it waits, an hour at most | time |
//! | [`RECOVERY`], Rocket.Chat's 46 bits | fifty wrong codes of unknown clients | a known client; a proof from another session; the operator |
//!
//! `tests/twofactor/ways_in.rs` walks each of them. An owner on the very network that guesses, and without a credential of
//! their own, shares its tries.
//!
//! # For hosts
//! - What a host's own function does by a [`StepUp`] asks in its commit whether that [still holds](StepUp::is_valid_in).
//! - What [`TwoFactor`] changes of an account's factors takes a [`StepUp`] for [`CHANGE_FACTORS`] by value, or a
//!   [`FactorChange`] for the first one, and looks in the commit whether it is still valid. The steps that compose (`…_in`)
//!   do not ask: whoever calls them has an authorization in the same draft, or acts as the operator; and so do the imports,
//!   which are for seeding. Tell the owner of every change.
//! - With the last device the guesses at it are forgotten, and with a set of recovery codes those at it; clients that were
//!   known stay known, and whoever makes the change is known from the start: by its credential, and by its network too
//!   where the change ends logins. Pass the [`Client`](keywright_core::Client) with both.
//! - Removing the last device removes the recovery codes in the same commit.
//! - [`Method::Mailed`] and [`Method::Password`] are what some protocols call a second factor. They are none; a rule that
//!   takes them weakens the action it opens.
//! - [`TotpVerifier`] and [`recovery::CodeSet`] are the pure parts, for a host with a store of its own kind; then "once"
//!   and the limit of guesses are the host's to keep.
//! - A policy change holds for new devices; enrolled ones keep their algorithm, digits and step.
//! - A session's step-up is remembered in a record of its own, sixteen at once; one more takes the place of the oldest.
//!
//! # Requirements met
//! RFC 4226 § 4 R6, §§ 5.3, 5.4, 7.2–7.5; RFC 6238 § 3 R5 and R6, §§ 4.2, 5.1, 5.2, 6 (drift is reported, not learned); NIST
//! SP 800-63B-4 §§ 3.1.2.1, 3.1.2.2, 3.1.4.1, 3.1.4.2, 3.2.2, 3.2.7, 3.2.12; OWASP ASVS 5.0 2.3.1, 2.3.4, 6.5.1, 6.5.3,
//! 6.5.4, 6.5.5 ([`TwoFactorPolicy::asvs`]), 6.5.6, 6.5.8, 6.6.3, 7.4.3 (logins of ours; the host ends its own), 11.2.4,
//! 15.4.2, 16.2.5; OWASP Transaction Authorization 2.2, 2.8, 2.9. Left to the host: notices (ASVS 6.3.7), the step-up before a
//! change (7.5.1). Not met: RFC 6238 § 4.2's configurable T0, which no app has.
//!
//! # Features
//! - `qr`: otpauth URIs as QR codes, SVG and PNG.
#![forbid(unsafe_code)]

mod error;
pub mod events;
mod migration;
mod outcome;
pub mod policy;
#[cfg(feature = "qr")]
pub mod qr;
pub mod recovery;
mod service;
mod session;
mod state;
mod step;
mod step_up;
mod totp;
mod uri;

use keywright_store::SlotKind;

pub use error::TwoFactorError;
pub use keywright_core::{ActionName, Purpose, SessionId, typed};
pub use outcome::{
    ClockOffset, Denial, DeviceFault, DeviceImport, EnrolOutcome, EnrolmentOutcome, EnrolmentStart, Method, Proven,
    VerifyOutcome,
};
pub use policy::{ENROLMENT_TRIES, Once, TwoFactorPolicy, TwoFactorPolicyBuilder, TwoFactorPolicyError};
pub use recovery::RECOVERY;
pub use service::TwoFactor;
pub use state::TOTP;
pub use step::{CodeKind, RECOVERY_SLOTS, SLOTS, TOTP_SLOTS, TwoFactorSteps};
pub use step_up::{
    ADMIT_CLIENT, Attested, CHANGE_FACTORS, Demand, FactorChange, Rule, StepUp, StepUpPolicy, StepUpPolicyError,
    StepUps,
};
pub use totp::{
    Algorithm, DeviceId, DeviceIdError, DeviceInfo, Enrolled, ImportedDevice, Parameters, ParametersError,
    PendingDevice, SecretError, TotpCheck, TotpSecret, TotpVerifier, Window,
};
pub use uri::{KeyUri, UriError};

/// The kinds of slots that this crate declares, for the driver's builder.
pub const SLOT_KINDS: &[SlotKind] = &[state::FACTORS.kind(), recovery::RECOVERY_CODES.kind(), step_up::STEP_UPS.kind()];
