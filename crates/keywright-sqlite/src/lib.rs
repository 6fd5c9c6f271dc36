//! A storage backend for Keywright in one SQLite file. One thread writes, and commits waiting
//! changes together; several threads read.
//!
//! It implements the backend traits of `keywright-store`. It never makes a security decision, never
//! decrypts a record, never retries by itself, and never blocks a thread of the async runtime. It
//! is for a server on one machine, with any async runtime.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("accounts.db");
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SystemEntropy};
//! use keywright_sqlite::SqliteStore;
//! use keywright_store::Driver;
//!
//! let store = Arc::new(SqliteStore::open(&path)?);
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let driver = Driver::builder(store, keyring).build()?;
//! let account = AccountId::new("user-1")?;
//! # futures_lite::future::block_on(async {
//! driver.ensure_account(&account).await?;
//! assert_eq!(driver.recent_events(&account, 10).await?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # drop(driver);
//! # Ok(())
//! # }
//! ```
//!
//! # What it guarantees
//! - **A commit that was acknowledged is on the disk.** The log is written ahead (WAL) and
//!   synchronised before any outcome is returned (`synchronous=FULL`). A killed process or a power
//!   cut loses nothing acknowledged and leaves no batch half written, provided that the drive keeps
//!   what it reports as synchronised.
//! - **A failing disk** is reported as an error, and never loses a grant. If a write fails before
//!   `COMMIT`, everything is rolled back and the error is
//!   [`Rejected`](keywright_store::CommitError::Rejected), and so it is if `COMMIT` finds no space
//!   for the log. If `COMMIT` itself fails otherwise, every batch of the transaction that wrote
//!   something gets the error
//!   [`Unknown`](keywright_store::CommitError::Unknown); the driver then finds out by further reads
//!   whether the batch was applied, or denies the request. The source of each error is a [`Fault`],
//!   whose [`FaultKind`] reports whether the disk is full, locked, read-only or broken. A full disk
//!   loses nothing: reading continues, and so does writing once there is space.
//! - **A load sees every commit acknowledged before it began**, in a single snapshot.
//! - **Waiting commits are committed together**, in one transaction with one synchronisation. Each
//!   has its own result: one that conflicts writes nothing, and if SQLite fails inside one batch,
//!   the others are committed without it.
//! - **Files are migrated when they are opened**, to the newest version of the tables, in one
//!   transaction. A file of a newer version, of another program, or from before the first release
//!   is refused and left unchanged ([`OpenError`]).
//! - **A file that is deleted or replaced stops the store.** Every transaction and every load
//!   checks whether the file at the path is still the one that was opened. Every transaction also
//!   checks this for the write-ahead log and its index. If one of them was deleted or replaced,
//!   nothing more is committed or loaded ([`FaultKind::FileReplaced`]); the result of a commit at
//!   that moment is unknown. Call [`check_files`](SqliteStore::check_files) in a health check.
//!   Another process that writes to the same file does not count as a replacement. On a system
//!   without inodes, only the presence of the files is checked.
//! - **The content of the file is not trusted.** This crate's connections fire no trigger and read
//!   no view. If a table, index, trigger or view has one of this crate's names but differs from
//!   what this crate creates, the file is refused: when it is opened or restored, and in a host's
//!   transaction ([`FaultKind::AlteredSchema`]). Listings and sweeps skip a malformed row, and
//!   report it in the log. A malformed root or record denies only its own account, and a malformed
//!   entry of a vault is reported as one that cannot be decrypted.
//! - **A new file is accessible only to its owner** (mode 0600 on Unix), and so are its log and its
//!   copies. An existing file keeps its permissions.
//! - **A batch that changes nothing is not written to disk.** Such a batch only checks the revision
//!   of the root. A reading thread does this, on a snapshot that has every acknowledged commit.
//!
//! # What it does not guarantee
//! Throughput does not grow with the number of processes. Several processes on one machine may open
//! one file, but each commit takes SQLite's own lock. A commit that does not get the lock within
//! the busy timeout is rejected, and writes nothing. The file must never be on a network file
//! system.
//!
//! # Copies
//! [`backup_to`](SqliteStore::backup_to) copies the file while the server runs;
//! [`restore`](SqliteStore::restore) brings a copy back. Never copy the file alone by other means
//! while it is in use, because the newest commits are in its log. Never put a copy beside the log
//! of another file, because SQLite would apply it.
//!
//! A copy contains some data that is not encrypted: the names of partitions and slots, the security
//! events, and ids. If you restore an old copy, codes that were spent since then can be used once
//! more, and guesses that were counted since then are forgotten.
//!
//! # A host's own tables
//! The *host* is the server program that uses this crate. Its own tables may be in the same file
//! ([`Builder::adopt`]). This crate uses the tables whose names begin with `keywright_`, and the
//! file's `application_id` and `user_version`. The host must not put an index or trigger on these
//! tables. With a [`SqliteTransaction`], [`Driver::within`](keywright_store::Driver::within)
//! applies a change of Keywright's records inside the host's own transaction on that file. A proof
//! that was granted before is then marked as used if and only if the host's changes are committed.
//!
//! # Types of other crates in the public API
//! The public API contains [`rusqlite::Transaction`] and [`rusqlite::Error`]. A program links only
//! one SQLite, so this crate accepts a wide range of versions of `rusqlite`, and Cargo picks the
//! one that fits the rest of the program. The version in use is re-exported here as [`rusqlite`].
//! SQLite itself is compiled in.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod apply;
mod backup;
mod change;
mod connect;
mod fault;
mod inbox;
#[cfg(test)]
mod lossy;
mod port;
mod raw;
mod read;
mod rows;
mod schema;
mod store;
mod ticket;
mod upkeep;
mod vault;
mod watch;
mod within;
mod writer;

pub use backup::BackupError;
pub use fault::{Fault, FaultKind, OpenError};
pub use rusqlite;
pub use store::{Builder, SqliteStore};
pub use within::SqliteTransaction;
