//! A model of Keywright's storage core, searched exhaustively with `stateright`.
//!
//! Everything that Keywright promises about races and lost replies rests on one construction: load
//! one snapshot, run a pure step, commit by one compare-and-set of the partition's root, and only
//! then release the outcome. This crate searches every history of that construction, within
//! bounds, for one that breaks a promise.
//!
//! ```text
//! cargo run --release -p keywright-model            # the small configurations
//! cargo run --release -p keywright-model -- --full  # the full ones: a few minutes
//! ```
//!
//! The full configurations have 34 million states between them; on two cores they take less than
//! five minutes. Within their bounds they are complete: nothing is sampled.
//! Visited states are told apart by 64-bit fingerprints, so the chance that a collision hides one
//! is about one in a hundred thousand.
//!
//! # What happens in a history
//! Two or three drivers act on one partition that holds a one-time code, a counter of changes, a
//! session that may expire and the head of a vault ([`step::Act`]). Meanwhile:
//! - replies are lost, and the store applies the commit at once, later or never, fences included;
//! - commits conflict, with another or for no reason, and drivers are restarted in the middle;
//! - days pass, clocks are ahead or behind, expired rows and whole partitions are swept;
//! - the account is created, registered, verified and erased;
//! - the vault is edited, and rows are staged beside it, unguarded, and promoted;
//! - a backend may load in two reads, and a step may find that it needs a further slot.
//!
//! A reply lost *before* the write is a held commit that never lands; lost *after* the write, one
//! that lands at once. So a single transition, [`model::Action::Lose`], stands for all of them.
//!
//! # What must hold
//! The nine promises are [`properties::Promise`]. An onlooker's ledger books what each landed
//! commit amounts to, one after the other; every state is compared with it.
//!
//! # What is shared with the real code
//! A lost reply is settled by [`keywright_store::settle::settle`] itself. What a root remembers is
//! kept in [`recent::Recent`], because a search has to reach its bound within a few commits: two or
//! three here, sixteen in `keywright_store::Recent`; a test compares them. Opening, deciding,
//! pruning, fencing and the store are written anew, over numbers in place of sealed bodies;
//! `tests/same_histories` leads them and the real `Driver` and `MemoryStore` through the same random
//! histories, and compares root, rows, expiries, the numbers of the log, the vault with its head and
//! its stage, every batch and every answer after each step. Time counts in days.
//!
//! # What it assumes
//! - A store keeps its contract: a commit is one atomic compare-and-set.
//! - No statement of a commit lives longer than a minute, a driver settles within seconds, and the
//!   horizon does not move forward twice within an hour. So when it has, nothing is under way
//!   that was sent before ([`Bug::StatementOutlivesSweep`](bugs::Bug::StatementOutlivesSweep) shows
//!   what happens otherwise).
//! - While the clock of the *upkeep* is ahead, and the horizon with it, expiring records may go
//!   early. Nothing else may. When that clock is set right the horizon comes back with it. A
//!   driver's clock may be days ahead or behind.
//! - A driver may have heard of the store's horizon at any time before, or never; it is told again
//!   after rounds of upkeep. What it does not know, the store does: a partition that is put with an
//!   expiry is kept for a day beyond the horizon ([`Bug::ExpiryAsGiven`](bugs::Bug::ExpiryAsGiven)
//!   shows what happens otherwise).
//!
//! Epochs are left out: they ride in the same root under the same guard. So is what is inside of events and ciphers: an
//! event is its number in one chain, a vault one state that its head vouches for.
//!
//! # Seeded faults
//! A search that finds nothing must be one that would find something. Each fault of [`bugs::Bug`]
//! breaks the promises named here, in the configuration that [`configs::seeded`] gives:
//!
//! | fault | what breaks |
//! |---|---|
//! | `NoFence` | a settled attempt lands after all; a step lands twice; what was refused lands |
//! | `SilentFence` | the same by a second driver, whose loaded revision is remembered and its own is not; "unknown" too early |
//! | `SettleByAbsence` | as `NoFence` |
//! | `ShortRecent` | "unknown" is told although the root should remember (it is never wrong: what matters is *which* end is forgotten) |
//! | `RecentDropsNewest` | a landed attempt is taken as never landed |
//! | `SweepInTwoStatements` | a record that was kept for good meanwhile is deleted: an integrity error; a verified account is swept |
//! | `PruneAndPut` | the record that the batch puts is deleted: an acknowledged change is gone, or an integrity error |
//! | `EraseTakesPuts` | the record that the erase itself puts is gone: an integrity error |
//! | `PruneByOwnClock` | a session that has not expired is gone |
//! | `PruneLeavesRow` | a row that the root does not name: an integrity error |
//! | `NoSecondLook` | an integrity error in an honest history, by a load in two reads |
//! | `BlindSecondLook` | the same, by two of them |
//! | `Replica` | a grant on a session that has been ended and acknowledged |
//! | `CreationWithoutFence` | a creation lands twice, or after it was refused |
//! | `StatementOutlivesSweep` | a creation that was fenced lands after the sweep of the fence |
//! | `BlankRootByOwnClock` | the same at once, where a driver's clock is behind the horizon |
//! | `ExpiryAsGiven` | the same, by a driver that has not heard of the horizon |
//! | `KeepsOldRows` | a code is granted twice, a change is lost |
//! | `EventNumberReused` | a landed change leaves no trace in the log |
//! | `EventBeforeTheGuard` | the log tells of what never landed; the next load is an integrity error |
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
