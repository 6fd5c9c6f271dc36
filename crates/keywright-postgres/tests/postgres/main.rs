//! The conformance suite, and what it does not show: roles, servers of every kind, faults, migrations, costs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod conformance;
mod costs;
mod faults;
mod migrations;
mod refusals;
mod roles;
mod servers;
mod tls;
mod within;
mod world;
