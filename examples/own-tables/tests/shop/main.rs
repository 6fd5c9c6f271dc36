//! The conformance suite over the shop's tables, and the shop's own row in one transaction with a record.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

mod conformance;
mod costs;
mod passwords;
mod refusals;
