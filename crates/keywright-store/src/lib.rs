//! The storage layer of Keywright: the traits that a backend implements, the driver that commits
//! each change with one compare-and-set, and a store in memory.
//!
//! A security decision (is this code right, and unused?) is written as a pure function, called a
//! step, over the records of one account. The driver loads the records, runs the step, and commits
//! the result by one compare-and-set of the account's root record. Only then does it return the
//! outcome. Whatever a step grants is therefore granted at most once, by one server or by a
//! hundred, on any store that implements the traits as documented.
//!
//! This crate makes no security decision itself and never verifies a secret. It passes record
//! bodies to a backend only after encrypting them.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SystemEntropy};
//! use keywright_store::{Driver, MemoryStore, Partition, Record, Slot};
//! use serde::{Deserialize, Serialize};
//!
//! /// A voucher that may be redeemed once.
//! #[derive(Serialize, Deserialize)]
//! struct Voucher { spent: bool }
//! impl Record for Voucher { const SCHEMA: u16 = 1; }
//! const VOUCHER: Slot<Voucher> = Slot::lasting("voucher");
//!
//! # futures_lite::future::block_on(async {
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(&[VOUCHER.kind()]).build()?;
//! let account = AccountId::new("user-1")?;
//! driver.ensure_account(&account).await?; // at sign-up
//! let account = Partition::account(&account);
//! driver.transact(&account, &[VOUCHER.name()], |draft| draft.put(VOUCHER, &Voucher { spent: false })).await?;
//!
//! let redeem = async || {
//!     // A tentative value is released only after the commit.
//!     driver.run(&account, &[VOUCHER.name()], |draft| match draft.read(VOUCHER)? {
//!         Some(Voucher { spent: false }) => {
//!             draft.put(VOUCHER, &Voucher { spent: true })?; // not deleted: that would look like "never issued"
//!             Ok(Some(draft.tentative("ten coins")))
//!         }
//!         _ => Ok(None),
//!     }).await
//! };
//! assert_eq!(redeem().await?, Some("ten coins"));
//! assert_eq!(redeem().await?, None);
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Terms
//! - A *partition* is what one commit can change: the records of one account, of one unique name
//!   (see [`names`]), or of the server itself.
//! - A *slot* is the named place of one *record* in a partition. The crate that owns a record
//!   declares its slot as a constant.
//! - The *root* of a partition is a record of its own. It lists all other records, and its
//!   *revision*, 128 random bits that are drawn for each commit, is the only thing that a commit
//!   compares.
//! - A *step* is a pure, synchronous function over a *draft*: the records of one partition as they
//!   were loaded, and the changes that the step has staged. The driver may run a step several
//!   times.
//! - A *batch* is what a finished draft writes. A backend applies all of it or nothing.
//! - An *epoch* is a number in the root. An epoch *moves* when a commit changes the number. What was
//!   made in the earlier epoch (a session, for example) is void from then on.
//! - The *horizon* of a store is a time. Rows that expired before it may be deleted, whatever a
//!   server's clock shows. Deleting them is called a *sweep*.
//! - An account's security *events* form two *chains*, one of changes and one of denials, in which
//!   each event is linked to the one before it by a hash.
//! - *Due work* is what the host (the server program that uses Keywright) must still do after a
//!   commit, such as sending a mail.
//!
//! # Map
//! - [`RecordStore`], [`VaultStore`] and [`Upkeep`] are the traits that a backend implements.
//!   `keywright-store-conformance` tests it.
//! - [`Slot`], [`SlotFamily`] and [`Record`] are what a crate declares to keep something in an
//!   account.
//! - [`Draft`], [`Tentative`] and [`Release`] are what a step reads and writes.
//! - [`Driver`] and [`Observer`] run steps. [`MemoryStore`] is a store in memory.
//! - [`guess`] checks a guess at a secret under the guess ledger's limits. Every crate that checks
//!   a secret uses it.
//! - [`hashed`] checks a guess at a code of which another system kept a slow hash, with the host's
//!   verifier.
//! - [`due`] is the work that the host must do after a commit.
//! - [`names`] keeps names unique without a commit that crosses partitions.
//!
//! # Seen in operation
//! - Each operation of the driver is a `tracing` span of the target `keywright::operation`, at the
//!   level DEBUG, with its [name](Driver::named), partition, outcome, conflicts and reruns.
//! - Each security event is a `tracing` event of the target `keywright::security` after its commit:
//!   INFO for a change, WARN for a denial.
//! - The feature `metrics` counts operations and measures the store, for the recorder of the crate
//!   `metrics` that the program installs. The module `metrics` lists the names.
//!
//! # What the root proves
//! The root record is the account's encrypted and authenticated table of contents. It lists every
//! record with the revision under which it was written, and the newest hash of each of the two
//! event logs. Suppose that somebody can write to the database but lacks the keyring. If they
//! delete, add or move a record, or replace it by an older version, the next request that uses this
//! record detects it and is denied.
//!
//! # What a store cannot prevent
//! A store that replicates asynchronously can revive a spent code after a failover. Somebody who
//! can write to the database without the keyring can replace a **whole** account by an earlier
//! state of it, or delete it as a whole.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod contents;
mod draft;
mod driver;
pub mod due;
mod events;
mod first_of;
pub mod guess;
pub mod hashed;
mod inside;
mod loaded;
mod locks;
mod memory;
#[cfg(feature = "metrics")]
pub mod metrics;
pub mod names;
mod network;
mod nonces;
mod partition;
mod port;
#[doc(hidden)]
pub mod probe;
mod record;
mod release;
mod revision;
mod root;
pub mod settle;
pub mod slot;
mod slots;
mod step_error;
mod vault;
mod verifier;
mod wanted;
mod within;
mod within_async;

pub use batch::{Batch, BatchError, EventNumber, Put, Stored, StoredEvent, Write};
pub use draft::{ACCOUNT_CREATED, ACCOUNT_ERASED, ACCOUNT_SEEDED, Draft, Judged};
pub use driver::{
    AccountCreation, COMMIT_SECONDS, Driver, DriverBuilder, EVENTS_KEPT, Erasure, EventCursor, EventPage, LOAD_SECONDS,
    MAX_RERUNS, MAX_WAITING, MAX_WAITING_UNKNOWN, Observer, Timer, TransactError,
};
pub use events::EVENT_KINDS;
pub use first_of::first_of;
pub use locks::Standing;
pub use memory::MemoryStore;
pub use network::Network;
pub use partition::{Partition, UnknownPartition};
pub use port::{
    BoxError, BoxFuture, CommitError, HORIZON_STEP, LoadError, Newest, RecordStore, Shortage, Snapshot, Store,
    StoredEvents, StoredSlots, Upkeep, VaultStore,
};
pub use record::{Record, RecordError, secret_field};
pub use release::{Plain, Receipt, Release, Tentative, WrongReceipt};
pub use revision::{RECENT, Recent, Revision};
pub use root::{Epochs, MAX_CHANGES, MAX_DENIALS, MAX_ROOT_BYTES, Root};
pub use slot::{Full, Members, Slot, SlotFamily, SlotKind, SlotKinds, SlotKindsError, SlotName};
pub use slots::SLOT_KINDS;
pub use step_error::{Damage, StepError};
pub use vault::{
    CipherId, ClientNonce, Manifest, Mark, Row, RowMarks, Rows, StageId, StagedText, VaultRows, VaultWrite, Which,
};
pub use within::{HostTransaction, Spent, WithinError};
pub use within_async::{AsyncHostTransaction, GrantError, HostOutcome};
