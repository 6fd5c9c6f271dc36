//! Keywright's backend for several servers: PostgreSQL.
#![forbid(unsafe_code)]

mod call;
mod fault;
mod link;
mod port;
mod read;
mod schema;
mod statements;
mod store;
mod upkeep;
mod within;
mod write;

pub use fault::{Fault, FaultKind, OpenError};
pub use sqlx;
pub use store::{Builder, PostgresStore};
pub use within::PostgresTransaction;
