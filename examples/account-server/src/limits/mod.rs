//! Limits of requests, one file for each way of counting. They save work; what protects secrets is the guess ledger.

pub(crate) mod caller;
pub(crate) mod fixed_window;
pub(crate) mod per_user;
pub(crate) mod token_bucket;
