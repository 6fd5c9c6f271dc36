//! An attacker who writes to the database but has no key of the keyring. Whatever one row is put
//! back, moved, dropped, added or altered, the next use of it either is an error that denies, or
//! shows the truth. Nothing crashes, and nothing is silently repaired. What remains possible is
//! listed in `docs/security.md` § 3: rolling back a whole account, losing what expires, and cutting
//! the old end of a log.
//!
//! Vaults are tested where their heads are, in `keywright-rekey`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

mod attack;
mod audit;
mod events;
mod exceptions;
mod records;
mod roots;
mod world;
