//! Confirmations over a memory store. Test names contain the requirement that they check.
#![forbid(unsafe_code)]
#![expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a panic in a test is a failed test")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod cancel;
mod clock;
mod events;
mod loads;
mod mailed;
mod model;
mod races;
mod secrets;
mod storage;
mod support;
mod typed;
mod void;
mod wait;
