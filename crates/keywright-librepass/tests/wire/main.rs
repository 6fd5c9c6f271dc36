//! The protocol from the outside: requests in, answers out, on a memory store and on SQLite.
#![forbid(unsafe_code)]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a panic in a test is a failed test")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod bad_input;
#[cfg(feature = "client")]
mod change_batches;
#[cfg(feature = "client")]
mod change_clicks;
#[cfg(feature = "client")]
mod change_crash;
#[cfg(feature = "client")]
mod change_email;
#[cfg(feature = "client")]
mod change_hostile;
#[cfg(feature = "client")]
mod change_interleavings;
#[cfg(feature = "client")]
mod change_password;
#[cfg(feature = "client")]
mod change_races;
#[cfg(feature = "client")]
mod change_stages;
#[cfg(feature = "client")]
mod change_vectors;
mod ciphers;
mod collections;
mod confirm_login;
#[cfg(feature = "client")]
mod damage;
mod delete;
mod enumeration;
mod guesses;
mod hashed;
mod links;
#[cfg(feature = "client")]
mod loads;
mod log_in;
mod mails;
mod passkeys;
mod races;
mod registration;
mod routing;
mod second_factor;
mod secrets;
mod support;
mod tokens;
#[cfg(feature = "tower")]
mod tower;
mod two_factor;
#[cfg(feature = "client")]
mod vaults;
mod waiting;
#[cfg(feature = "client")]
mod waits;
#[cfg(feature = "client")]
mod ways_in;
#[cfg(feature = "client")]
mod ways_in_changes;
#[cfg(feature = "client")]
mod ways_in_codes;
