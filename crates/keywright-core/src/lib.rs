//! The pure floor of Keywright: time, entropy, secrets, sealed records, security events and the guess ledger.
//!
//! This crate decides and seals; it never stores, sleeps, spawns or talks to a network. It reads the clock and the
//! operating system's generator only through [`SystemClock`] and [`SystemEntropy`], which the outermost layer passes in.
//!
//! ```
//! use keywright_core::{Keyring, SealContext, SystemEntropy, UnixSeconds};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keyring = Keyring::generate(&SystemEntropy)?;
//! let place = SealContext::new(b"user-1", "challenge", 1);
//! let sealed = keyring.seal(&SystemEntropy, &place, b"hello")?;
//! assert_eq!(keyring.open(&place, &sealed)?.as_slice(), b"hello");
//!
//! // The account and the slot are authenticated: a body moved to another account does not open.
//! assert!(keyring.open(&SealContext::new(b"user-2", "challenge", 1), &sealed).is_err());
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`AccountId`], [`UnixSeconds`], [`Clock`], [`Entropy`]: what every other crate takes as parameters.
//! - [`SecretBytes`], [`SecretVec`], [`SecretString`]: boxed, wiped on drop, redacted, compared in constant time.
//! - [`Keyring`]: seals record bodies and keys the few stable index values. `security.md` §§ 1–2 fix the bytes.
//! - [`SecurityEvent`]: what happened, typed, without secrets.
//! - [`ledger`]: how many wrong guesses a secret survives.
//!
//! # Features
//! `std` (default): the system clock and generator, and keyring files. Without it the crate needs only `alloc`.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod account;
mod entropy;
mod event;
mod keyring;
pub mod ledger;
mod seal;
mod secret;
mod time;
mod wrap;

pub use account::{AccountId, AccountIdError};
pub use entropy::{Entropy, EntropyError, LocalRng, below, random_bytes};
#[cfg(feature = "std")]
pub use entropy::{SharedRng, SystemEntropy};
pub use event::{EventKind, Reason, SecurityEvent};
pub use keyring::{IndexKey, KeyId, Keyring, KeyringError};
#[cfg(feature = "std")]
pub use keyring::{KeyringFileError, Opened};
pub use ledger::{
    Admission, Charge, DeviceTag, Door, GuessLedger, GuessOdds, Lane, LedgerPolicy, LedgerPolicyBuilder,
    LedgerPolicyError, Refusal, Strength,
};
pub use rand_core;
pub use seal::{OpenError, SEAL_OVERHEAD, SealContext, SealError, append_lp};
pub use secret::{SecretBytes, SecretString, SecretVec, WrongLength};
#[cfg(feature = "std")]
pub use time::SystemClock;
pub use time::{Clock, ClockError, ManualClock, TimeError, UnixSeconds};
pub use wrap::{WrapError, WrapKey};
