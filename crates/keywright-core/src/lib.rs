//! The foundation of Keywright: time, randomness, types for secrets, encrypted records, security
//! events, and the guess ledger, which limits how many wrong guesses are checked against a secret.
//!
//! This crate computes; it never stores anything, sleeps, spawns a task or uses a network.
//! Functions take the time and a source of randomness as parameters. The system's clock and random
//! number generator are reached only through [`SystemClock`] and [`SystemEntropy`], which a server
//! creates and passes in.
//!
//! ```
//! use keywright_core::{Keyring, SealContext, SystemEntropy, UnixSeconds};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keyring = Keyring::generate(&SystemEntropy)?;
//! let revision = [7; 16]; // identifies the commit that writes the record
//! let place = SealContext::new(b"user-1", "challenge", revision);
//! let sealed = keyring.seal(&SystemEntropy, &place, 1, b"hello")?;
//! assert_eq!(keyring.open(&place, &sealed)?.1.as_slice(), b"hello");
//!
//! // The ciphertext is bound to the account, the record's name and the revision. Moved to another account,
//! // it does not open.
//! assert!(keyring.open(&SealContext::new(b"user-2", "challenge", revision), &sealed).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`AccountId`], [`UnixSeconds`], [`Clock`] and [`Entropy`] are the parameters that every other
//!   crate takes.
//! - [`SecretBytes`], [`SecretVec`] and [`SecretString`] hold secrets. They are boxed, wiped on
//!   drop, redacted in `Debug`, and compared in constant time.
//! - [`redacted_debug!`] implements `Debug` for a type that holds a secret.
//! - [`Keyring`] encrypts and authenticates the contents of records, which the documentation calls
//!   *sealing* them. It also derives the keys of index values, by which a record is looked up
//!   without storing the name or secret that it belongs to. Index keys stay the same when the
//!   sealing keys are replaced. `docs/security.md` §§ 1–2 define the formats.
//! - [`SecurityEvent`] records what happened to an account. It is typed and contains no secrets.
//! - [`ledger`] limits how many wrong guesses are checked against a secret.
//! - [`typed`] removes white space and hyphens from text that people type, such as codes.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod account;
mod entropy;
mod event;
mod key_id;
mod keyring;
pub mod ledger;
mod name;
mod plain;
mod redact;
mod seal;
mod secret;
mod session;
mod store_id;
mod time;
pub mod typed;
mod wrap;

pub use account::{AccountId, AccountIdError};
pub use entropy::{Entropy, EntropyError, LocalRng, SharedRng, SystemEntropy, below, random_bytes};
pub use event::{
    Event, EventChain, EventFormatError, EventKind, EventValue, MAX_FIELD_BYTES, SecurityEvent, Severity, chain_head,
};
pub use key_id::KeyId;
pub use keyring::{IndexKey, KeySource, KeySourceError, Keyring, KeyringError, KeyringFileError, Opened};
pub use ledger::{
    Admission, AdmittedAttempt, Attempt, Charge, Client, ClientAdmission, ClientMark, ClientTag, DenialKind,
    DenialReport, Generation, GuessLedger, GuessOdds, LedgerPolicy, LedgerPolicyBuilder, LedgerPolicyError,
    LockoutSummary, MAX_SECRETS, PendingGuess, Refusal, SecretKind, SecretName, Strength, UnreportedDenials,
};
pub use name::{ActionName, NameError, Purpose};
pub use plain::PlainBytes;
pub use rand_core;
pub use seal::{OpenError, SEAL_OVERHEAD, SealBuffer, SealContext, SealError, append_lp};
pub use secret::{SecretBytes, SecretString, SecretVec, WrongLength};
pub use session::SessionId;
pub use store_id::{StoreId, StoreIdError};
pub use time::{Clock, ClockError, ManualClock, SystemClock, TimeError, UnixSeconds};
pub use wrap::{WrapError, WrapKey};
