//! The shop on axum, as a real process.

acceptance::suite!(env!("CARGO_BIN_EXE_shop-axum"));
