//! Reads what other systems keep of their users' second factors, and what their recovery codes were
//! hashed with. The formats are rebuilt from the public descriptions and sources of those systems;
//! `docs/moving.md` states which, and what to watch for.
#![forbid(unsafe_code)]

pub mod formats;
mod verifier;

pub use verifier::Hashes;
