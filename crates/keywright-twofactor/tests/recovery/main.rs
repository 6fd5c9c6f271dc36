//! Recovery codes over real stores. Test names contain the requirement that they check.
#![forbid(unsafe_code)]
#![expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a panic in a test is a failed test")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod faults;
mod life;
mod limits;
mod model;
mod races;
mod vectors;
mod world;
