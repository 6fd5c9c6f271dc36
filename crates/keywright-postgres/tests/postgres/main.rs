//! The conformance suite, and what it does not show: roles, servers of every kind, faults, migrations, costs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

mod conformance;
mod costs;
mod faults;
mod migrations;
mod proxy;
mod roles;
mod servers;
mod tls;
mod within;
mod world;
