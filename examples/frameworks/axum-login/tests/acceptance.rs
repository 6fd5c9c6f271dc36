//! Sign-in and step-up with sessions of tower-sessions, as a real process.

acceptance::sign_in_suite!(env!("CARGO_BIN_EXE_shop-axum-login"));
