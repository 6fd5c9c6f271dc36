//! The whole of it: every domain and every wire over one store, behind the front door.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
#![expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "small numbers of a test")]

mod bare_store;
mod fence;
mod host;
mod kinds;
mod log;
mod tampering;
mod world;
mod year;
