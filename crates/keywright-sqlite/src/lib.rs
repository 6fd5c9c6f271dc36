//! Keywright's embedded backend: one SQLite file, one writer with group commit, readers beside it.
//!
//! It keeps what the port of `keywright-store` promises, and nothing more: it never decides, never opens a sealed body,
//! never retries by itself, never blocks an executor's thread. For a server of one machine, with any async runtime.
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
//! - **A commit that was acknowledged is on the disk.** The log is written ahead (WAL) and synchronised before any
//!   outcome goes out (`synchronous=FULL`). A killed process or a power cut loses nothing acknowledged and leaves no
//!   batch half there, provided that the drive keeps what it says it has synchronised.
//! - **A failing disk** shows as an error, never as a lost grant. Before `COMMIT`, all is rolled back and
//!   [`Rejected`](keywright_store::CommitError::Rejected). From `COMMIT` itself it is
//!   [`Unknown`](keywright_store::CommitError::Unknown), for every batch of the group that wrote: the driver then finds
//!   out, or denies. The sources downcast to [`Fault`], whose [`FaultKind`] says whether the disk is full, locked, read-only
//!   or broken. A full disk loses nothing: reading goes on, and writing too once there is room.
//! - **A load sees every commit acknowledged before it began**, and one snapshot only.
//! - **Commits that wait are committed together**, in one transaction with one synchronisation. Each has its own verdict:
//!   a conflict has written nothing, and if SQLite fails inside one batch, the others are done without it.
//! - **The newest version wins**: a file is brought forward in one transaction when it is opened; a file of a newer
//!   version, of another program, or from before the first release is refused untouched ([`OpenError`]).
//! - **A file that is deleted or replaced stops the store.** Every group of commits and every load looks whether the path
//!   still leads to the file that was opened, with its log and the log's index. If not, nothing more is committed or
//!   loaded ([`FaultKind::FileReplaced`]); what was committed in that moment is unknown. Ask
//!   [`check_files`](SqliteStore::check_files) in a health check. Another process that writes the same file is no such
//!   thing. Where the system has no inodes, presence alone is looked at.
//! - **The file is input.** Our connections fire no trigger and read no view. A file whose tables, indexes, triggers or views
//!   with names of ours are not those that this crate makes is refused when it is opened or restored, and in a host's
//!   transaction ([`FaultKind::AlteredSchema`]). A row of a form that this crate never writes is passed over by listings and
//!   sweeps, and named in the log; a root or a record like that denies its account alone, and a cipher like that reads as
//!   one that does not open.
//! - **A new file is its owner's alone** (mode 0600 on Unix), and so are its log and its copies. An existing file keeps its
//!   permissions.
//! - **A batch that only checks costs no synchronisation**: a reader answers it, from a snapshot that has every
//!   acknowledged commit.
//!
//! # What it does not
//! Several processes may open one file on one machine: each commit takes SQLite's own lock, and who does not get it
//! within the busy timeout is rejected with nothing written. It is no way to scale, and never on a network file system.
//!
//! # Copies
//! [`backup_to`](SqliteStore::backup_to) copies the file while the server runs; [`restore`](SqliteStore::restore) brings a
//! copy back. Never copy the file alone by other means while it is in use: the newest commits are in its log. And never
//! put a copy beside the log of another file: SQLite would apply it.
//!
//! A copy carries all that the port keeps in clear: partitions, slots, events, ids. Put an old copy back, and spent codes
//! and counted guesses are back too.
//!
//! # A host's own tables
//! may lie in the same file ([`Builder::adopt`]); ours begin with `keywright_`, and `application_id` and `user_version`
//! are ours, and no index or trigger of the host's may lie on our tables. With a [`SqliteTransaction`], [`Driver::within`](keywright_store::Driver::within) spends a proof inside the
//! host's own transaction there.
//!
//! # Foreign types
//! The public API names [`rusqlite::Transaction`] and [`rusqlite::Error`]. One program links one SQLite, so this crate
//! takes a wide range of versions of `rusqlite`, and Cargo picks the one that goes with the rest of the program; the
//! version in use is [`rusqlite`] here. SQLite itself is compiled in.
#![forbid(unsafe_code)]

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
