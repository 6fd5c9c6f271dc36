//! The protocol on its wire: what real clients send, what attackers send, and what each gets.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, reason = "a panic in a test is a failed test")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod attacks;
mod bad_input;
mod busy;
mod challenge;
mod faults;
mod first_contact;
mod guesses;
mod loads;
mod races;
mod reset_code;
mod reset_wait;
mod secrets;
mod sessions;
mod shapes;
mod support;
#[cfg(feature = "tower")]
mod tower;
mod two_factor;
mod waits;
mod ways_in;
mod ways_in_proofs;
