//! Shared set-up of the benches.

pub mod rekey;
pub mod turns;
