#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod fault;
mod rows;
mod store;
mod upkeep;
mod within;

pub use fault::{Fault, OpenError};
pub use store::ShopStore;
pub use within::ShopTransaction;

/// The statements that make the tables, which a shop runs with its other migrations.
pub const SCHEMA: &str = include_str!("../schema.sql");
