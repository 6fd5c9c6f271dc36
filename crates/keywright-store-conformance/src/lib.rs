//! The test suite that every Keywright storage backend runs, and deliberately broken stores that
//! prove that the suite finds faults.
//!
//! A backend implements the traits of `keywright-store`. It must promise only a few things: a batch
//! applies if and only if the root has the expected revision, it applies as a whole or not at all,
//! and a read is one snapshot that includes every acknowledged commit. All guarantees of Keywright
//! about races and lost replies rest on these promises. The suite tests each of them with cases. A
//! case has a name, and returns a typed [`Violation`] that states which promise was broken.
//!
//! This crate is for tests. A running server must never depend on it.
//!
//! # Test your own backend
//! Make a fresh, empty store for each call, and open it twice, as two servers would. One test runs
//! everything:
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_store::MemoryStore;
//! use keywright_store_conformance::{Handles, Part, Suite};
//!
//! let suite = Suite::new(async || {
//!     let store = Arc::new(MemoryStore::new());
//!     // If the store needs something as long as it is open, return that too: `(handles, directory)`.
//!     Handles::new(Arc::clone(&store), store)
//! });
//! let report = suite.run()?;
//! println!("{report}");
//! // These parts need hooks (see below). Until they are tested, the store has not passed the whole suite.
//! let not_proven = [
//!     Part::LostReplies, Part::FailedCommits, Part::LateCommits,
//!     Part::LostRoots, Part::HostTransactions, Part::Durability,
//! ];
//! report.assert_passes_but(&not_proven);
//! # Ok(())
//! # }
//! ```
//! For a backend without a vault, use [`Handles::without_vault`] and add [`Part::Vault`] to the
//! parts that are not proven.
//!
//! # Prove the rest
//! Some situations cannot be brought about through the storage traits, so they need hooks.
//! Implement [`Fixture`] for a type of your own, and offer the hooks that you can.
//!
//! | part | hook | what it takes |
//! |---|---|---|
//! | the reply to a commit is lost, a `COMMIT` fails, a commit arrives late | [`FaultHooks`] | a way to inject faults between the backend's code and the database |
//! | rows remain without their root | [`LostRootHook`] | one `DELETE` that bypasses the traits |
//! | batches are applied inside a transaction of the server program | [`HostHook`] | functions that load and apply on an open transaction |
//! | the process is killed, and the store is opened again | [`CrashHook`] | a command that opens the store; see [`crash`] |
//!
//! # Map
//! - [`Suite`], [`cases`], [`Report`]: what is tested, and the results. A case can be run alone, by
//!   its name.
//! - [`history`]: random concurrent histories, checked for strict serialisability.
//!   `KEYWRIGHT_HISTORIES` sets their number.
//! - [`FaultStore`]: wraps any store and fails on purpose, for tests of code that is built on a
//!   store.
//! - [`glass`]: a correct store whose rows a test can read and change, for tests of what somebody
//!   with write access to the database can do.
//! - [`sabotage`]: stores that each break one rule, and the table of what each case detects.
//!
//! # What it cannot detect
//! The suite cannot detect a loss of power, because after a kill of the process the operating
//! system still holds what was written. It cannot detect faults of a replica that takes over after
//! a failover, or a race that did not happen on this machine. A pass means that no violation was
//! seen. A part that was not run is not proven.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod case;
pub mod cases;
pub mod crash;
mod fault;
mod fixture;
pub mod glass;
pub mod history;
mod hooks;
mod random;
mod report;
pub mod sabotage;
mod site;
pub mod suite;
mod verdict;
mod violation;

pub use backend::Handles;
pub use case::Case;
pub use fault::{Fault, FaultStore, LoadFault, Odds, Tally};
pub use fixture::Fixture;
pub use hooks::{CrashHook, FaultHooks, Hook, HostEnd, HostHook, LostRootHook, run_host_transaction};
pub use report::Report;
pub use suite::Suite;
pub use verdict::{CaseVerdict, Part, PartVerdict};
pub use violation::{Promise, Violation};
