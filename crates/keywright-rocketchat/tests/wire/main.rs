//! The protocol on its wire: what real clients send, what attackers send, and what each gets.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod account;
mod bad_input;
mod busy;
mod challenges;
mod credit;
mod demands;
mod digits;
mod email;
mod enrolment;
mod faults;
mod guesses;
mod hashed;
mod loads;
mod locks;
mod login;
mod passkeys;
mod password;
mod races;
mod resets;
mod secrets;
mod support;
#[cfg(feature = "tower")]
mod tower;
mod vectors;
mod waits;
mod ways_in;
