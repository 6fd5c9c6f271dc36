//! Moving users in from other systems, and out again.
#![forbid(unsafe_code)]
#![expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a panic in a test is a failed test")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod codes;
mod hashed;
mod lines;
mod many;
mod support;
mod users;
