//! Test support shared by the Keywright crates.
//!
//! A [`World`] holds what a test needs: a store, a keyring, a clock that stands still, a generator
//! that returns the same numbers every time, a driver over them, and an account. A crate's own
//! tests wrap it, add the services that they test, and deref to it. This crate is never published,
//! and is only ever a dev-dependency.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! use keywright_store::{CommitError, Partition};
//! use keywright_testing::{Heard, HookedStore, Secrets, World};
//!
//! // One account on a store in memory, with an observer that records its events.
//! let (store, heard) = (HookedStore::memory(), Heard::new());
//! let world = World::builder().store(store.clone()).observer(heard.clone()).build().await;
//! assert_eq!(heard.kinds(), ["account_created"]);
//!
//! // The store fails on request.
//! store.before_writes(|_| async { Err(CommitError::Rejected("full".into())) });
//! assert!(world.driver.ensure_account(&World::id("user-2")).await.is_err());
//! store.clear();
//!
//! // Registers a secret, and checks that the stored data does not contain it.
//! let secrets = Secrets::new();
//! secrets.plant([1; 32]);
//! secrets.are_absent_from("the store", &world.dump().await);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Map
//! - [`World`]: store, keyring, clock, entropy, driver and accounts, and the operations on them
//!   that tests need.
//! - [`HookedStore`]: any store, with closures before, after and instead of its calls, and calls
//!   that can be held up.
//! - [`PlainHashes`]: a verifier of imported hashes, which counts and can be busy.
//! - [`Heard`]: an observer that records what it receives. [`Outbox`]: catches mails.
//! - [`Secrets`]: searches for leaked secrets. [`CapturedLog`]: captures the log (feature `log`).
//! - [`postgres`](mod@postgres): PostgreSQL clusters to throw away, and the conformance suite on them
//!   (feature `postgres`).
//! - `tower`: calls a `tower::Service` with bodies that misbehave (feature `tower`).
//! - [`process`]: runs a program in its own folder, and a server on a free port; [`shifted`]: with a clock
//!   that is off. [`smtp`]: a mail server that misbehaves.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
#![expect(clippy::missing_panics_doc, reason = "what cannot be done fails the test")]

mod hashes;
mod heard;
mod hold;
mod hooked;
#[cfg(feature = "log")]
mod log;
mod outbox;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod process;
mod secrets;
pub mod shifted;
pub mod smtp;
#[cfg(feature = "tower")]
pub mod tower;
mod world;

#[doc(no_inline)]
pub use keywright_store::Store;

pub use hashes::PlainHashes;
pub use heard::Heard;
pub use hold::Hold;
pub use hooked::{Call, HookedStore, Reply};
#[cfg(feature = "log")]
pub use log::CapturedLog;
pub use outbox::{Outbox, OutboxDown};
pub use secrets::Secrets;
pub use world::{Epoch, Row, SeededRng, World, WorldBuilder, at, keyring, seeded};
