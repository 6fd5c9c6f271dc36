//! The suite that every Keywright storage backend runs, and sabotaged stores that prove it bites.
//!
//! A backend promises little: guards hold, a batch applies whole or not at all, a read is one snapshot. All that Keywright
//! promises about races and lost replies rests on that little, so here it is tried: one case per promise, each with a
//! name and a typed [`Violation`] that says what was broken.
//!
//! This crate is for tests. It stores nothing, serves nobody, and must never be a dependency of a running server.
//!
//! # Test your own backend
//! A fresh, empty store per call, in an `Arc`; add a guard if something must outlive it: `(Arc::new(store), directory)`.
//! ```
//! # mod tests_of_a_backend {
//! // tests/conformance.rs, the whole file
//! use std::sync::Arc;
//! use keywright_store::MemoryStore;
//!
//! keywright_store_conformance::suite!(async || Arc::new(MemoryStore::new()));
//! # }
//!
//! // Or all at once, for a report of your own:
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_store::MemoryStore;
//! let failed = keywright_store_conformance::suite::run_all(async || Arc::new(MemoryStore::new()))?;
//! assert!(failed.is_empty(), "{failed:#?}");
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//! - [`suite!`], [`suite`](mod@suite), [`cases`]: what is tried. A case can be called alone.
//! - [`FaultHooks`]: lost replies, failed commits, a host's transaction: what a backend must help to bring about. Run
//!   with [`suite::run_forced`].
//! - [`FaultStore`]: wraps any store and fails on purpose, by script or at random: for tests of what is built on a store.
//! - [`sabotage`]: stores with one broken rule each. Look there to see what a case is for.
//!
//! # What it cannot see
//! Durability across a crash or a power cut, isolation between processes, a replica that lags, a failover. A pass says
//! that no violation was seen, under the races that this machine gave it.
#![forbid(unsafe_code)]

mod backend;
pub mod cases;
mod fault;
mod hooks;
pub mod sabotage;
mod site;
#[macro_use]
pub mod suite;
mod violation;

pub use backend::{Backend, Fixture};
pub use fault::{Fault, FaultStore, LoadFault, Odds, Tally};
pub use hooks::{FaultHooks, Hook, HostEnd, Outcome};
pub use violation::{Promise, Violation};
