//! The suite that every Keywright storage backend runs, and sabotaged stores that prove it bites.
//!
//! A backend promises little: one guard holds, a batch applies whole or not at all, a read is one
//! snapshot that includes what was acknowledged. All that Keywright promises about races and lost
//! replies rests on that little, so here it is tried: one case per promise, each with a name and a
//! typed [`Violation`] that says what was broken.
//!
//! This crate is for tests. It stores nothing, serves nobody, and must never be a dependency of a running server.
//!
//! # Test your own backend
//! Make a fresh, empty store per call, and open it twice, as two servers would. One test does it all:
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_store::MemoryStore;
//! use keywright_store_conformance::{Handles, Part, Suite};
//!
//! let suite = Suite::new(async || {
//!     let store = Arc::new(MemoryStore::new());
//!     Handles::new(Arc::clone(&store), store) // add a guard if something must outlive it: `(handles, directory)`
//! });
//! let report = suite.run()?;
//! println!("{report}");
//! // Without hooks, these parts are not proven: nobody may say yet that this store passes.
//! let not_proven = [
//!     Part::LostReplies, Part::FailedCommits, Part::LateCommits,
//!     Part::LostRoots, Part::HostTransactions, Part::Durability,
//! ];
//! report.assert_passes_but(&not_proven);
//! # Ok(())
//! # }
//! ```
//! A backend without a vault uses [`Handles::without_vault`] and leaves [`Part::Vault`] unproven.
//!
//! # Prove the rest
//! What the port cannot bring about is a hook: implement [`Fixture`] for a type of your own, and offer what you can.
//!
//! | part | hook | what it takes |
//! |---|---|---|
//! | lost replies, failed commits, late commits | [`FaultHooks`] | a cut between the backend's last line and the database |
//! | lost roots | [`LostRootHook`] | one `DELETE` past the port |
//! | host transactions | [`HostHook`] | load and apply on a transaction that the host holds |
//! | durability | [`CrashHook`] | a command that opens the store; see [`crash`] |
//!
//! # Map
//! - [`Suite`], [`cases`], [`Report`]: what is tried, and what came of it. A case can be run alone, by its name.
//! - [`history`]: random concurrent histories, checked for strict serialisability. `KEYWRIGHT_HISTORIES` says how many.
//! - [`FaultStore`]: wraps any store and fails on purpose: for tests of what is built on a store.
//! - [`glass`]: a sound store whose rows lie open: for tests of what somebody can do who writes the database.
//! - [`sabotage`]: stores with one broken rule each, and the table of what each case shows.
//!
//! # What it cannot see
//! The loss of power: a kill of the process leaves what the operating system holds. A replica that
//! takes over after a failover. A race that this machine did not bring about. A pass says that no
//! violation was seen, and a part that was not run is not proven.
#![forbid(unsafe_code)]

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

pub use backend::{Backend, Handles};
pub use case::Case;
pub use fault::{Fault, FaultStore, LoadFault, Odds, Tally};
pub use fixture::Fixture;
pub use hooks::{CrashHook, FaultHooks, Hook, HostEnd, HostHook, LostRootHook};
pub use report::Report;
pub use suite::Suite;
pub use verdict::{CaseVerdict, Part, PartVerdict};
pub use violation::{Promise, Violation};
