//! The shop on actix-web, as a real process.

acceptance::suite!(env!("CARGO_BIN_EXE_shop-actix-web"));
