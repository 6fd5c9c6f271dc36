//! The shop on hyper, as a real process.

acceptance::suite!(env!("CARGO_BIN_EXE_shop-hyper"));
