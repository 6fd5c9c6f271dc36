//! A model of Keywright's storage core, searched exhaustively with `stateright`.
//!
//! Everything that Keywright promises about races and lost replies rests on one construction: load
//! one snapshot, run a pure step, commit by one compare-and-set of the partition's root, and only
//! then release the outcome. This crate models that construction and searches every sequence of
//! events (a *history*), within bounds, for one that breaks a promise. The documentation of
//! `keywright-store` defines the terms that are used here. This crate is for tests: no other crate
//! depends on it, and it never accesses a real store.
//!
//! ```
//! use keywright_model::{model::Config, run::run, step::Act};
//!
//! // Two drivers redeem a one-time code. One reply may be lost.
//! let config = Config { name: "codes", acts: vec![(Act::Redeem, 2)], losses: 1, ..Config::default() };
//! let report = run(config, 1);
//! assert!(report.broken.is_empty() && report.unique > 10, "{report}");
//! ```
//!
//! On the command line, `model` searches the configurations of [`configs`]:
//!
//! ```text
//! cargo run --release -p keywright-model            # the small configurations
//! cargo run --release -p keywright-model -- --full  # the full ones: a few minutes
//! ```
//!
//! The full configurations have 34 million states in total. On two cores they take less than five
//! minutes. Within their bounds they are complete: nothing is sampled. Visited states are
//! distinguished by 64-bit fingerprints, so the chance that a collision hides a state is about one
//! in a hundred thousand.
//!
//! # What happens in a history
//! Two or three drivers act on one partition. It holds a one-time code, a counter of changes, a
//! session that may expire, and the head of a vault ([`step::Act`]). Meanwhile:
//! - replies are lost, and the store applies the commit at once, later or never. The same can
//!   happen to a *fence*, a commit by which a driver makes sure that an earlier commit can no
//!   longer apply;
//! - commits conflict, with another or for no reason, and drivers are restarted in the middle;
//! - days pass, clocks are ahead or behind, expired rows and whole partitions are swept;
//! - the account is created, registered, verified and erased;
//! - the vault is edited; rows are stored beside it without a comparison of the root (*staged*),
//!   and later replace it (they are *promoted*);
//! - a backend may load in two reads, and a step may find that it needs a further slot.
//!
//! In the model, a commit whose reply is lost becomes a *held* commit. If the reply was lost before
//! the write, the held commit is never applied; if it was lost after the write, the held commit is
//! applied at once. So a single transition, [`model::Action::Lose`], covers both.
//!
//! # What must hold
//! The nine promises are [`properties::Promise`]. The model keeps a list of what each applied
//! commit meant, in order, and compares every state with this list.
//!
//! # What is shared with the real code
//! After a lost reply, a driver must find out (*settle*) whether its commit was applied. The model
//! calls the real function for this, [`keywright_store::settle::settle`]. The list of recent
//! commits in a root is [`recent::Recent`], a copy of `keywright_store::Recent` with a smaller
//! bound: two or three instead of sixteen, so that a search reaches it within a few commits. A test
//! compares the two. The rest of the driver (opening records, running the step, pruning expired
//! records, fencing) and the store are written again, with numbers in place of encrypted records.
//! `tests/same_histories` runs them and the real `Driver` and `MemoryStore` through the same random
//! histories, and compares root, rows, expiries, the numbers of the log, the vault with its head
//! and its stage, every batch and every answer after each step. Time is counted in days.
//!
//! # What it assumes
//! - A store keeps its contract: a commit is one atomic compare-and-set.
//! - No statement of a commit lives longer than a minute, a driver settles within seconds, and the
//!   horizon does not move forward twice within an hour. So once it has moved twice, nothing that
//!   was sent before is still in flight
//!   ([`Bug::StatementOutlivesSweep`](bugs::Bug::StatementOutlivesSweep) shows what happens
//!   otherwise).
//! - While the clock of the *upkeep* is ahead, and the horizon with it, expiring records may be
//!   removed early. Nothing else may. When that clock is corrected, the horizon comes back with it.
//!   A driver's clock may be days ahead or behind.
//! - A driver may have learned of the store's horizon at any earlier time, or never; it learns of
//!   it again after rounds of upkeep. The store itself always knows it: a partition that is put
//!   with an expiry is kept for a day beyond the horizon
//!   ([`Bug::ExpiryAsGiven`](bugs::Bug::ExpiryAsGiven) shows what happens otherwise).
//!
//! Epochs are left out, because they are part of the same root under the same guard. The contents
//! of events and ciphers are left out too: an event is its number in one chain, and a vault is one
//! state, which is compared with the state that its head contains.
//!
//! # Seeded faults
//! A search that finds nothing must be able to find something. Each fault of [`bugs::Bug`] breaks
//! the promises named here, in the configuration that [`configs::seeded`] returns:
//!
//! | fault | what breaks |
//! |---|---|
//! | `NoFence` | an attempt that was settled as never applied is applied after all; a step is applied twice; a refused change is applied |
//! | `SilentFence` | as `NoFence`, if the root still remembers the revision that a second driver loaded, but not the revision that it committed; an outcome is "unknown" although it could be determined |
//! | `SettleByAbsence` | as `NoFence` |
//! | `ShortRecent` | an outcome is "unknown" although the root should remember the commit (the outcome is never wrong, because only the oldest commits are forgotten) |
//! | `RecentDropsNewest` | an applied attempt is settled as never applied |
//! | `SweepInTwoStatements` | a record that was meanwhile kept permanently is deleted: an integrity error; a verified account is swept |
//! | `PruneAndPut` | the record that the batch puts is deleted: an acknowledged change is lost, or an integrity error |
//! | `EraseTakesPuts` | the record that the erase itself puts is missing: an integrity error |
//! | `PruneByOwnClock` | a session that has not expired is missing |
//! | `PruneLeavesRow` | a row that the root does not name: an integrity error |
//! | `NoSecondLook` | an integrity error although nobody altered the data, if a load consists of two reads |
//! | `BlindSecondLook` | as `NoSecondLook`, after two such loads |
//! | `Replica` | a grant on a session whose end was acknowledged |
//! | `CreationWithoutFence` | a creation is applied twice, or after it was refused |
//! | `StatementOutlivesSweep` | a creation that was fenced is applied after the sweep of the fence |
//! | `BlankRootByOwnClock` | as `StatementOutlivesSweep`, but without delay, if a driver's clock is behind the horizon |
//! | `ExpiryAsGiven` | as `StatementOutlivesSweep`, if a driver does not know of the horizon |
//! | `KeepsOldRows` | a code is granted twice, a change is lost |
//! | `EventNumberReused` | an applied change leaves no trace in the log |
//! | `EventBeforeTheGuard` | the log contains a change that was never applied; the next load is an integrity error |
//! | `PromotesOtherBase` | an edit that came after the staging is overwritten |
//! | `PromotionForgetsHead` | the vault differs from what its head contains: an integrity error |
#![expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "all numbers are bounded by the configuration, and a model that panics is a proof that fails"
)]
#![expect(clippy::exhaustive_enums, reason = "unpublished: whoever matches is in this workspace")]

mod attempt;
pub mod bugs;
pub mod configs;
pub mod coverage;
pub mod driver;
pub mod model;
pub mod normal;
mod promise;
pub mod properties;
pub mod recent;
pub mod run;
mod search;
pub mod step;
mod store;
mod sweep;
pub mod world;
