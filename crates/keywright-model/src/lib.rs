//! A model of Keywright's storage core, searched exhaustively with `stateright`.
//!
//! Everything that Keywright promises about races and lost replies rests on one construction: load
//! one snapshot, run a pure step, commit by one compare-and-set of the partition's root, and only
//! then release the outcome. This crate models that construction and searches every sequence of
//! events (a *history*), within bounds, for one that breaks a promise. It is for tests: no other
//! crate depends on it, and it never accesses a real store.
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
//! - replies are lost, and the store applies the commit at once, later or never, fences included;
//! - commits conflict, with another or for no reason, and drivers are restarted in the middle;
//! - days pass, clocks are ahead or behind, expired rows and whole partitions are swept;
//! - the account is created, registered, verified and erased;
//! - the vault is edited, and rows are staged beside it, unguarded, and promoted;
//! - a backend may load in two reads, and a step may find that it needs a further slot.
//!
//! A reply lost *before* the write is a held commit that is never applied. One lost *after* the
//! write is a held commit that is applied at once. So a single transition, [`model::Action::Lose`],
//! covers both.
//!
//! # What must hold
//! The nine promises are [`properties::Promise`]. An observer's ledger records the meaning of each
//! applied commit in order, and every state is compared with it.
//!
//! # What is shared with the real code
//! A lost reply is settled by [`keywright_store::settle::settle`] itself. What a root remembers is
//! kept in [`recent::Recent`], because a search has to reach its bound within a few commits: the
//! bound is two or three here, and sixteen in `keywright_store::Recent`. A test compares the two.
//! Opening, deciding, pruning, fencing and the store are written again, over numbers in place of
//! sealed bodies. `tests/same_histories` runs them and the real `Driver` and `MemoryStore` through
//! the same random histories, and compares root, rows, expiries, the numbers of the log, the vault
//! with its head and its stage, every batch and every answer after each step. Time is counted in
//! days.
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
//! state that its head vouches for.
//!
//! # Seeded faults
//! A search that finds nothing must be able to find something. Each fault of [`bugs::Bug`] breaks
//! the promises named here, in the configuration that [`configs::seeded`] returns:
//!
//! | fault | what breaks |
//! |---|---|
//! | `NoFence` | an attempt that was settled as never applied is applied after all; a step is applied twice; a refused change is applied |
//! | `SilentFence` | the same, by a second driver whose loaded revision is remembered while its own is not; "unknown" too early |
//! | `SettleByAbsence` | as `NoFence` |
//! | `ShortRecent` | the answer is "unknown" although the root should remember (it is never wrong: what matters is *which* end is forgotten) |
//! | `RecentDropsNewest` | an applied attempt is settled as never applied |
//! | `SweepInTwoStatements` | a record that was meanwhile kept permanently is deleted: an integrity error; a verified account is swept |
//! | `PruneAndPut` | the record that the batch puts is deleted: an acknowledged change is lost, or an integrity error |
//! | `EraseTakesPuts` | the record that the erase itself puts is missing: an integrity error |
//! | `PruneByOwnClock` | a session that has not expired is missing |
//! | `PruneLeavesRow` | a row that the root does not name: an integrity error |
//! | `NoSecondLook` | an integrity error in an honest history, by a load in two reads |
//! | `BlindSecondLook` | the same, by two of them |
//! | `Replica` | a grant on a session whose end was acknowledged |
//! | `CreationWithoutFence` | a creation is applied twice, or after it was refused |
//! | `StatementOutlivesSweep` | a creation that was fenced is applied after the sweep of the fence |
//! | `BlankRootByOwnClock` | the same at once, where a driver's clock is behind the horizon |
//! | `ExpiryAsGiven` | the same, by a driver that does not know of the horizon |
//! | `KeepsOldRows` | a code is granted twice, a change is lost |
//! | `EventNumberReused` | an applied change leaves no trace in the log |
//! | `EventBeforeTheGuard` | the log contains a change that was never applied; the next load is an integrity error |
//! | `PromotesOtherBase` | an edit that came after the staging is overwritten |
//! | `PromotionForgetsHead` | the vault is not the one that its head vouches for: an integrity error |
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
