//! Shared set-up of the benches.

pub mod delay;
pub mod interleaved;
pub mod process;
pub mod rekey;
