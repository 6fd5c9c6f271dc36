//! The shop on rocket, as a real process.

acceptance::suite!(env!("CARGO_BIN_EXE_shop-rocket"));
