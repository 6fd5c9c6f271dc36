//! The shop on poem, as a real process.

acceptance::suite!(env!("CARGO_BIN_EXE_shop-poem"));
