//! Shared set-up of the benches.

pub mod interleaved;
pub mod process;
pub mod rekey;
