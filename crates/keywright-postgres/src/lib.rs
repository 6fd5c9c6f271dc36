//! Keywright's backend for several servers: PostgreSQL, one commit as one statement.
//!
//! It keeps the promises of `keywright-store`'s port, and nothing more. It makes no decision, never
//! opens a sealed body, and never retries by itself. Any number of servers may use one database.
//! `docs/postgres.md` is the guide: roles, encryption, pooler, failover, and many nodes.
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SystemEntropy};
//! use keywright_postgres::PostgresStore;
//! use keywright_store::Driver;
//!
//! let store = Arc::new(PostgresStore::open("postgres://keywright@db.internal/accounts?sslmode=verify-full").await?);
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let driver = Driver::builder(store, keyring).build()?;
//! driver.ensure_account(&AccountId::new("user-1")?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it guarantees
//! - **A commit is one statement**, the call of one function, in one round trip: one
//!   compare-and-set of the account's root, with everything else that the commit writes, a whole
//!   vault included. Nothing is held between two statements.
//! - **A commit that was acknowledged is on the server's disk**, even if the role has
//!   `synchronous_commit=off`, and on the standby where the server waits for one. A server with
//!   `fsync=off` is refused.
//! - **A load sees every commit acknowledged before it began**, in a single snapshot. A standby is
//!   refused: when the store is opened, and in every load, check and commit.
//! - **Only what certainly was not written is refused.** An error that rolled the statement back
//!   (a full disk, a lock that was not to be had, a read-only server) is
//!   [`Rejected`](keywright_store::CommitError::Rejected). A lost connection, a server that shuts
//!   down, and an answer that does not come in time are
//!   [`Unknown`](keywright_store::CommitError::Unknown); the driver then finds out, or denies. The
//!   sources downcast to [`Fault`], whose [`FaultKind`] reports what to do.
//! - **Neither `search_path`, encoding nor collation matters.** Keys are bytes, every name has its
//!   schema, and so has every operator.
//! - **The role that serves needs SELECT and EXECUTE** ([`Builder::serve`]); it cannot write to a
//!   table except through the functions. Another role owns and migrates them.
//! - **The newest version wins.** A database is migrated to it in one transaction, by one process.
//!   One of a newer version is refused and left unchanged ([`OpenError`]).
//! - **Every key, and every statement that a request waits for, begins with the partition**, so the
//!   tables can be distributed by it ([`Builder::distribute`]).
//! - **A batch that only checks writes nothing**: it is one read of the root's revision.
//!
//! # What it does not guarantee
//! - With asynchronous replication, a failover loses the last commits: spent codes and counted
//!   failures come back. And an old primary that is still reachable answers as if nothing had
//!   happened. Fence it before the new one serves.
//! - An operator who cancels a commit while it waits for a synchronous standby
//!   (`pg_cancel_backend`) makes the server report success, though the standby may not have it.
//!   Never cancel the sessions of this crate; terminate them, which is reported as unknown.
//! - Whoever can write to the tables can put a whole account back to an earlier state.
//!
//! # Foreign types
//! The public API contains [`sqlx::postgres::PgConnectOptions`], [`sqlx::PgConnection`] and
//! [`sqlx::Error`]. The version in use is re-exported here as [`sqlx`]. The store needs Tokio.
//!
//! # Features
//! - `tls` (default): encrypted connections, by rustls with the certificate authorities of the
//!   system. Without it, an address with `sslmode=require` is an error.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod call;
mod fault;
mod link;
mod pool;
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
