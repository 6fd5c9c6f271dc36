//! Unique names: races, crashes at every step, lost replies. On the memory store and on SQLite.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

mod faults;
mod provisional;
mod races;
mod schedules;
mod steps;
mod waits;
mod world;
