//! The PWDv1r1 password challenge, server and client half: the server never sees the password.
//!
//! A client turns a password and three salts into a secret of 64 characters ([`Deriver`], [`DeriverPool`]); the server
//! stores nothing that the secret can be checked against without opening a sealed record. This crate never logs, never
//! reads a clock and draws randomness only from the [`Entropy`](keywright_core::Entropy) it is given.
//!
//! ```
//! # #[cfg(all(feature = "client", feature = "std"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use keywright_challenge::{DeriverPool, Proof, Salts};
//! use keywright_core::SystemEntropy;
//!
//! // The client: a new challenge, and later the same secret from the salts that the server gives back.
//! let pool = DeriverPool::default();
//! let (salts, secret) = pool.create("correct horse battery staple", &SystemEntropy)?;
//! let again = pool.derive("correct horse battery staple", &salts.as_strs())?;
//! assert!(again.ct_eq(&secret));
//!
//! // The server: takes only what it could use, before anything is compared.
//! assert_eq!(Salts::parse(&salts.as_strs())?, salts);
//! assert!(Proof::from_client("too short").is_err());
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "client", feature = "std")))]
//! # fn main() {}
//! ```
//!
//! # Features
//! - `std` (default): the service, and [`DeriverPool`].
//! - `client` (default): key derivation, Argon2id with 64 MiB. A server does not need it.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "std")]
mod error;
mod policy;
mod salts;
mod secret;
mod service;
mod state;
mod step;

#[cfg(feature = "client")]
pub use client::{CreateError, DeriveError, Deriver, MAX_PASSWORD_UNITS, MEMORY_BYTES, MIN_PASSWORD_UNITS};
#[cfg(all(feature = "client", feature = "std"))]
pub use client::{DeriverPool, MAX_DEFAULT_CONCURRENCY};
#[cfg(feature = "std")]
pub use error::ChallengeError;
pub use policy::ChallengePolicy;
pub use salts::{Salts, SaltsError};
pub use secret::{ChallengeSecret, Proof, SECRET_BYTES, SecretError};
pub use service::ChallengeSteps;
#[cfg(feature = "std")]
pub use service::Challenges;
pub use state::UserKey;
pub use step::{Caller, Keys, Setting, Verification};
