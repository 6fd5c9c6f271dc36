//! The pages and the JSON API, through the tower service, as a browser without script uses them.
#![cfg(feature = "tower")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic in a test is a failed test"
)]

mod api;
mod attacks;
mod browser;
mod confirm;
mod enrol;
mod factors;
mod forms;
mod hashed;
mod headers;
mod host;
mod pages;
mod recovery;
