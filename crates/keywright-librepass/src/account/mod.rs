//! The stored state of an account, and its steps.

pub(crate) mod claim;
pub(crate) mod collections;
pub(crate) mod credential;
pub(crate) mod guard;
pub(crate) mod mails;
pub(crate) mod pending;
pub(crate) mod tokens;
pub(crate) mod unlock;
pub(crate) mod waiting;
