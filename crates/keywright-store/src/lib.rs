//! The storage port of Keywright: guarded records, the draft, the driver, and a memory store.
//!
//! A security decision is a pure step over a draft of one account's records. The driver loads the records, runs the
//! step, commits what it leaves in one conditional batch, and only then lets the outcome out. So whatever a step grants
//! is granted at most once, by one server or by a hundred, on any store that keeps the port's few promises.
//!
//! This crate never decides anything itself, never verifies a secret, and hands a backend only sealed bodies.
//!
//! ```
//! # #[cfg(feature = "std")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SystemClock, SystemEntropy};
//! use keywright_store::{Driver, MemoryStore, Partition, Record, Slot};
//! use serde::{Deserialize, Serialize};
//!
//! /// A voucher that may be redeemed once.
//! #[derive(Serialize, Deserialize)]
//! struct Voucher { spent: bool }
//! impl Record for Voucher { const SCHEMA: u16 = 1; }
//!
//! # futures_lite::future::block_on(async {
//! let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! let driver = Driver::new(Arc::new(MemoryStore::new()), keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
//! let account = Partition::account(&AccountId::new("user-1")?);
//! let slot = Slot::Host([0; 16]);
//! driver.transact(&account, &[slot], |draft| {
//!     draft.create_account()?;
//!     draft.put(slot, &Voucher { spent: false }, None)
//! }).await?;
//!
//! let redeem = async || {
//!     let (granted, receipt) = driver.transact(&account, &[slot], |draft| {
//!         match draft.read::<Voucher>(slot)? {
//!             Some(Voucher { spent: false }) => {
//!                 draft.put(slot, &Voucher { spent: true }, None)?; // a spent state, never a mere delete
//!                 Ok(Some(draft.tentative("ten coins")))
//!             }
//!             _ => Ok(None),
//!         }
//!     }).await?;
//!     // Only the commit's receipt releases it.
//!     Ok::<_, Box<dyn std::error::Error>>(granted.map(|coins| coins.release(&receipt)).transpose()?)
//! };
//! assert_eq!(redeem().await?, Some("ten coins"));
//! assert_eq!(redeem().await?, None);
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(feature = "std"))]
//! # fn main() {}
//! ```
//!
//! # Map
//! - [`RecordStore`], [`VaultStore`], [`Upkeep`]: what a backend implements. `keywright-store-conformance` tests it.
//! - [`Draft`], [`Record`], [`Tentative`], [`Receipt`]: what a step sees.
//! - `Driver`, `MemoryStore` (feature `std`): what runs it.
//! - [`Root`], [`due`]: the records every account has. [`guess`]: the one way a guess is looked at.
//! - [`names`]: unique names, without a commit that crosses partitions.
//!
//! # What it does not promise
//! A store that replicates asynchronously can revive a spent code after a failover. Who can write the database without
//! the keyring can put back an old row of the same slot, or delete a whole account.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod batch;
mod draft;
#[cfg(feature = "std")]
mod driver;
pub mod due;
pub mod guess;
#[cfg(feature = "std")]
mod lanes;
#[cfg(feature = "std")]
mod memory;
pub mod names;
mod partition;
mod port;
mod record;
mod root;
mod vault;

pub use batch::{Batch, BatchError, Effect, Expect, Revision, Stored, Write};
pub use draft::{Draft, Judged, Loaded, Receipt, StepError, Tentative, WrongReceipt};
#[cfg(feature = "std")]
pub use driver::{Driver, MAX_RERUNS, MAX_WAITING, TransactError};
pub use due::{DueList, DueTask};
#[cfg(feature = "std")]
pub use lanes::Turn;
#[cfg(feature = "std")]
pub use memory::MemoryStore;
pub use partition::{Partition, Slot, UnknownPartition, UnknownSlot};
pub use port::{BoxError, BoxFuture, CommitError, EventId, LoadError, RecordStore, Scanned, Upkeep, VaultStore};
pub use record::{Record, RecordError, secret_field};
pub use root::{Epochs, Root};
pub use vault::{CipherId, Manifest, Mark, Row, Rows, StageId, VaultWrite, Which};
