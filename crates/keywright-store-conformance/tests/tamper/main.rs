//! Somebody who writes the database but has no key of the keyring: whatever one row he puts back,
//! moves, drops, adds or alters, the next use of it is an error that denies, or shows what is true.
//! Nothing crashes, and nothing is mended in silence. What is left to him is what `docs/security.md` § 3
//! says: a whole account, the loss of what expires, and the old end of a log.
//!
//! Vaults are tried where their heads are: in `keywright-rekey`.

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
