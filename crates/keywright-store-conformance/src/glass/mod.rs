//! A correct store in memory whose rows a test can read and change, for tests of what somebody can
//! do who writes to the database but has no key.
//!
//! ```
//! use std::sync::Arc;
//! use keywright_core::{AccountId, Keyring, SystemEntropy};
//! use keywright_store::{Damage, Driver, Partition, StepError, TransactError};
//! use keywright_store_conformance::glass::GlassStore;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let store = Arc::new(GlassStore::new());
//! let driver = Driver::builder(store.clone(), Arc::new(Keyring::generate(&SystemEntropy)?)).build()?;
//! let account = AccountId::new("user-1")?;
//! driver.ensure_account(&account).await?;
//!
//! store.edit(|rows| rows.roots.clear());
//! let seen = driver.ensure_account(&account).await;
//! assert!(matches!(seen, Err(TransactError::Step(StepError::Damaged(Damage::Orphans)))));
//! # Ok(())
//! # })
//! # }
//! ```

pub(crate) mod rows;

use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxError, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, Partition, RecordStore,
    Rows as VaultWriteRows, SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows,
    VaultStore, Which,
};

pub use rows::{RecordRow, RootRow, Rows, StageRows};

use crate::backend::Handles;
use crate::fixture::Fixture;
use crate::hooks::LostRootHook;

/// A store in memory whose rows anybody can read and write.
#[derive(Default)]
pub struct GlassStore {
    rows: Mutex<Rows>,
}

impl GlassStore {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a copy of all rows, to inspect or to put back later.
    #[must_use]
    pub fn rows(&self) -> Rows {
        self.open().clone()
    }

    /// Changes rows without going through the storage traits.
    pub fn edit<T>(&self, change: impl FnOnce(&mut Rows) -> T) -> T {
        change(&mut self.open())
    }

    fn open(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

keywright_core::redacted_debug!(GlassStore);

impl RecordStore for GlassStore {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(ready(Ok(self.open().load(partition, slots))))
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(ready(self.open().apply(batch)))
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        Box::pin(ready(Ok(self.open().page(partition, chain, before, limit))))
    }
}

impl VaultStore for GlassStore {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(ready(Ok(self.open().manifest(account))))
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        Box::pin(ready(Ok(self.open().read(account, which))))
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: VaultWriteRows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(ready(self.open().stage(account, stage, rows, purge_after)))
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        self.open().stages.remove(&(account.clone(), stage));
        Box::pin(ready(Ok(())))
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        Box::pin(ready(Ok(self.open().staged(account, stage))))
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        Box::pin(ready(Ok(self.open().staged_texts(account, stage, after, limit))))
    }
}

impl Upkeep for GlassStore {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        Box::pin(ready(Ok(self.open().horizon)))
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        Box::pin(ready(Ok(self.open().move_horizon(now))))
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(ready(Ok(self.open().sweep(limit))))
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(ready(Ok(self.open().forget_events(age, limit))))
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(ready(Ok(self.open().due(before, limit))))
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(ready(Ok(self.open().page_partitions(after.as_ref(), limit))))
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        Box::pin(ready(Ok(self.open().page_slots(partition, after, limit))))
    }
}

impl LostRootHook for Arc<GlassStore> {
    fn lose_root<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<(), BoxError>> {
        self.edit(|rows| rows.roots.remove(partition));
        Box::pin(ready(Ok(())))
    }
}

impl Fixture for Arc<GlassStore> {
    fn handles(&self) -> Handles {
        Handles::shared(Self::clone(self))
    }

    fn lost_roots(&self) -> Option<&dyn LostRootHook> {
        Some(self)
    }
}
