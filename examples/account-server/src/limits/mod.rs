//! Request limits, one file for each way of counting. They save work; secrets are protected by the
//! guess ledger.

pub(crate) mod caller;
pub(crate) mod fixed_window;
pub(crate) mod per_network;
pub(crate) mod per_user;
pub(crate) mod refusals;
pub(crate) mod slow_work;
pub(crate) mod token_bucket;
