//! Two-factor authentication: TOTP, recovery codes and step-up, each code accepted at most once.
//!
//! The crate verifies time-based codes (TOTP) of up to five named devices per account, and recovery
//! codes, which come in sets. *Step-up* means that a logged-in session authenticates again before a
//! sensitive action; rules determine which methods authorize which action. A correct code yields a
//! proof value, which the function that performs the action takes as an argument. This crate never
//! accesses a store, sends mail, checks a password or reads a clock itself. Its operations are pure
//! functions, called *steps*, which the [`Driver`](keywright_store::Driver) of `keywright-store`
//! runs and commits. It implements no hash either: it uses `hmac`, `sha1` and `sha2`, and the tests
//! compare each code with that of `totp-rs`.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Clock, Keyring, SystemClock, SystemEntropy};
//! # use keywright_store::{Driver, MemoryStore};
//! use keywright_core::{Client, Purpose, SessionId};
//! use keywright_twofactor::{Enrolment, EnrolmentStart, TwoFactor, TwoFactorPolicy, VerifyOutcome};
//!
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let builder = Driver::builder(Arc::new(MemoryStore::new()), keyring);
//! # let driver = builder.slots(keywright_twofactor::SLOT_KINDS).build()?;
//! # let account = AccountId::new("user-1")?;
//! # driver.ensure_account(&account).await?;
//! # let app = |secret: &[u8]| totp_rs::Builder::new().with_secret(secret).build();
//! # let now = SystemClock.now()?.get();
//! # let token = b"app token";
//! // The sender of the request, identified by its credential or else by its network.
//! let client = Client::credential(driver.client_tag(&account, token));
//! let two_factor = TwoFactor::new(driver, TwoFactorPolicy::default())?;
//!
//! // Made from any bytes that identify the session in every request. Only their hash is kept.
//! let session = SessionId::new("session-1");
//! // The first factor requires that the password was checked a moment ago. Later changes require a `StepUp`.
//! let EnrolmentStart::Begun(pending) = two_factor.begin(&account, session, "phone").await? else { panic!("full") };
//! let uri = pending.uri("ACME Co", "john.doe@example.com")?; // shown once, as text or QR code
//! # assert!(uri.expose().starts_with("otpauth://totp/ACME%20Co:john.doe%40example.com?secret="));
//! # let app = app(pending.secret().expose()).map_err(|error| format!("{error:?}"))?;
//! # let code = app.generate(now - 30).to_string();
//! let confirmed = two_factor.confirm(&account, session, &code, client).await?;
//! assert!(matches!(confirmed, Enrolment::Active { recovery_codes: Some(_), .. })); // shown once, too
//!
//! # let code = app.generate(now).to_string();
//! let login = Purpose::new("login");
//! match two_factor.verify(&account, &code, &login, client).await? {
//!     VerifyOutcome::Granted(proof) => println!("{} is here", proof.account()),
//!     VerifyOutcome::Refused(wait) => println!("not checked; try again in {} s", wait.retry_after()),
//!     VerifyOutcome::Denied(_) | VerifyOutcome::Malformed | VerifyOutcome::NotEnrolled => println!("no"),
//! }
//! // The same code is not accepted again.
//! assert!(matches!(two_factor.verify(&account, &code, &login, client).await?, VerifyOutcome::Denied(_)));
//! # Ok(())
//! # }
//! ```
//!
//! # What an attacker can and cannot do
//! - However many requests carry the same code, to however many servers, one is granted: the commit
//!   that grants it also marks the time step or the recovery code as used. A code is denied if it
//!   was used or if its time step lies before one that was used. That also holds when the clock
//!   goes back, when the device is removed and imported again, and when another device has the same
//!   secret. A secret cannot be imported twice under different parameters.
//! - The [guess ledger](keywright_core::ledger), which counts and limits wrong guesses, treats all
//!   devices as one secret. Wrong guesses lead to waits and finally to a lockout, through whichever
//!   endpoint they come. A right guess shortens the waits, but the long-term count of wrong guesses
//!   falls only with time. A service whose codes could be guessed within a year with a probability
//!   above 1 % cannot be constructed.
//! - A wrong code and a used code look the same to the client; only the security log distinguishes
//!   them. Malformed text is neither checked nor counted, and nothing is written.
//! - A typed code is compared, as a number, with the code of every time step in every device's
//!   window. The comparison does not stop at the first match.
//! - A device that the owner had remembered skips the second factor of a log-in, and nothing else.
//!   Its token is random, of 256 bits, and stored as a keyed digest within a sealed record, so
//!   neither a reader nor a writer of the database can make one. Any change of a credential or
//!   factor makes it void.
//! - Beginning an enrolment changes nothing that is active, so a stolen session cannot use it to
//!   switch a factor off. Only the session that began an enrolment can confirm it, so no other
//!   login can add the device by guessing its code.
//! - By default, a change of factors ends all other logins: it changes the account's credential
//!   epoch, a number to which logins are bound (`docs/decisions.md` 6).
//! - The database without the keyring reveals no secret. **With the keyring, all time-based codes
//!   can be computed**, because the server must know the secret to check a code.
//!
//! # What an owner can rely on
//! - **A device that can be enrolled can log in.** Enrolment accepts codes in the same window as
//!   every later use. A code that is correct for another time is refused, together with the number
//!   of seconds by which the device's clock is off ([`ClockOffset`]). At log-in such a code counts
//!   as wrong, and an event reports the offset to the owner.
//! - **Used time steps are remembered for each secret.** If a device was used while a server's
//!   clock ran ahead, the device's codes are refused until the corrected clock has caught up. The
//!   log and [`DeviceInfo::refused_until`] report this, and no other device is affected. For the
//!   sixteen most recently removed secrets, too, the last used time step is remembered.
//! - Codes may be typed with any blanks and hyphens ([`typed`]).
//! - A client that has entered a correct code before (a *known* client) is not delayed by anybody
//!   else's wrong guesses. If those have locked out all other clients, an owner with a new client
//!   can still log in as follows:
//!
//! | secret | what locks it | what still works for the owner |
//! |---|---|---|
//! | [`TOTP`] | fifty wrong codes from unknown clients | a known client; a recovery code ([`TwoFactorSteps::admit_totp_in`]); a step-up in another session ([`ADMIT_CLIENT`]); the operator ([`TwoFactor::unlock`]) |
//! | [`RECOVERY`], 64 bits and more | nothing; a wait lasts at most an hour | every wait ends by itself |
//! | [`RECOVERY`], Rocket.Chat's 46 bits, and imported codes of any length | fifty wrong codes from unknown clients | a known client; a step-up in another session; the operator |
//!
//! The tests in `tests/twofactor/ways_in.rs` exercise each of these ways. An owner who presents no
//! credential and uses the same network as the attacker counts as the same client.
//!
//! # For hosts
//! - The *host* is the server program that uses this crate. If a function of the host itself acts
//!   on a [`StepUp`], it must check in the commit that acts that the proof [is still
//!   valid](StepUp::is_valid_in).
//! - The methods of [`TwoFactor`] that change an account's factors take a [`StepUp`] for
//!   [`CHANGE_FACTORS`] by value, or a [`FactorChange`] for the first factor, and check in the
//!   commit that it is still valid. The steps of [`TwoFactorSteps`], whose names end in `_in` and
//!   which can be combined with others in one [`Draft`](keywright_store::Draft), do not check this.
//!   Their caller must have checked an authorization in the same draft, or act for the operator.
//!   The imports do not check it either, because they are meant for accounts that are migrated from
//!   another system. Notify the owner of every change.
//! - [`import`] moves users of another system in, with what they have, and out again.
//! - Removing the last device clears the ledger's count of guesses at time-based codes, and
//!   removing a set of recovery codes clears the count of guesses at those. A client that was known
//!   stays known. The client that makes the change becomes known by its credential and, if the
//!   change ends other logins, also by its network. Therefore pass a
//!   [`Client`](keywright_core::Client) that has both.
//! - Removing the last device removes the recovery codes in the same commit.
//! - A host can bring second factors of its own, such as passkeys ([`AttestedMethod`]). It checks
//!   them with a library of its choice; this crate keeps what is enrolled, issues the challenges,
//!   ranks the methods in the rules, and accepts each checked answer once. Their enrolment takes a
//!   [`FactorChange`] like that of a device, and moves the same epochs. A log-in of the
//!   host asks [`Enrolled::requires_second_factor`], not only for devices. The clients of the wire protocols cannot
//!   present these factors: there, a recovery code stands in for them, and the password or token
//!   alone is refused (`docs/decisions.md` 237).
//! - Some protocols treat mailed codes ([`Method::Mailed`]) and the password ([`Method::Password`])
//!   as second factors. They are not, and a rule that accepts them protects its action less.
//! - [`TotpVerifier`] and [`recovery::CodeSet`] are the pure parts, for a host with its own kind of
//!   store. Such a host must itself ensure that each code is accepted once and that guesses are
//!   limited.
//! - A policy change applies to new devices; enrolled devices keep their algorithm, digits and
//!   step.
//! - Where a rule allows it, a session's step-up is remembered for a while, in one record per
//!   session. An account has at most sixteen of these records; one more replaces the oldest.
//!
//! # Requirements met
//! RFC 4226 § 4 R6, §§ 5.3, 5.4, 7.2–7.5; RFC 6238 § 3 R5 and R6, §§ 4.2, 5.1, 5.2, 6 (the drift of
//! a device's clock is reported, but its window is not shifted); NIST SP 800-63B-4 §§ 3.1.2.1,
//! 3.1.2.2, 3.1.4.1, 3.1.4.2, 3.2.2, 3.2.7, 3.2.12; OWASP ASVS 5.0 2.3.1, 2.3.4, 6.5.1, 6.5.3,
//! 6.5.4, 6.5.5 ([`TwoFactorPolicy::asvs`]), 6.5.6, 6.5.8, 6.6.3, 7.4.3 (for logins that Keywright
//! stores; the host must end those that it stores itself), 11.2.4, 15.4.2, 16.2.5; OWASP
//! Transaction Authorization 2.2, 2.8, 2.9. Left to the host: notices (ASVS 6.3.7) and the step-up
//! before a change (7.5.1). Not met: the configurable T0 of RFC 6238 § 4.2, which no app supports.
//!
//! # Features
//! - `json`: imported and exported users as lines of JSON.
//! - `qr`: renders otpauth URIs as QR codes, in SVG and PNG.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attested;
mod enrolled;
mod error;
pub mod events;
pub mod import;
mod migration;
mod origin;
mod outcome;
pub mod policy;
#[cfg(feature = "qr")]
pub mod qr;
pub mod recovery;
mod remembered;
mod service;
mod session;
mod state;
mod step;
mod step_up;
mod totp;
mod uri;

use keywright_store::SlotKind;

pub use attested::{
    ASSERTION_SECONDS, Assertion, AssertionChallenge, AttestedEnrolment, AttestedInfo, AttestedMethod,
    MAX_ATTESTED_DATA, MAX_ATTESTED_FACTORS, MAX_ATTESTED_METHODS, MAX_CHALLENGE_BYTES, MIN_CHALLENGE_BYTES, Strength,
};
pub use enrolled::Enrolled;
pub use error::TwoFactorError;
pub use keywright_core::{ActionName, Purpose, SessionId, typed};
pub use origin::{Origin, RequiredFactors};
pub use outcome::{
    ClockOffset, Denial, DeviceFault, DeviceImport, EnrolOutcome, Enrolment, EnrolmentOutcome, EnrolmentStart, Method,
    Proven, RenameOutcome, VerifyOutcome,
};
pub use policy::{ENROLMENT_TRIES, Once, TwoFactorPolicy, TwoFactorPolicyBuilder, TwoFactorPolicyError};
pub use recovery::RECOVERY;
pub use remembered::{Recognized, RememberedDevice, RememberedId, RememberedIdError, TrustToken};
pub use service::TwoFactor;
pub use state::TOTP;
pub use step::{CodeKind, RECOVERY_SLOTS, SLOTS, TOTP_SLOTS, TwoFactorSteps};
pub use step_up::{
    ADMIT_CLIENT, Attested, CHANGE_FACTORS, Demand, FactorChange, Rule, StepUp, StepUpPolicy, StepUpPolicyBuilder,
    StepUpPolicyError, StepUps,
};
#[cfg(feature = "qr")]
pub use totp::EnrolmentQrError;
pub use totp::{
    Algorithm, DeviceId, DeviceIdError, DeviceInfo, ImportedDevice, Parameters, ParametersError, PendingDevice,
    SecretError, TotpCheck, TotpSecret, TotpVerifier, Window,
};
pub use uri::{KeyUri, UriError};

/// The kinds of slots that this crate declares, to be passed to the driver's builder.
pub const SLOT_KINDS: &[SlotKind] = &[
    state::FACTORS.kind(),
    recovery::RECOVERY_CODES.kind(),
    attested::state::ATTESTED.kind(),
    attested::challenge::CHALLENGES.kind(),
    recovery::imported::IMPORTED.kind(),
    step_up::STEP_UPS.kind(),
    remembered::state::REMEMBERED.kind(),
];
