//! A backend without a vault.

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, Partition, RecordStore, Rows,
    SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows, VaultStore, Which,
};

/// Wraps a store that cannot store vaults, for use where a store with vaults is required.
/// Challenges, confirmations and two-factor authentication work on it. Every vault operation fails
/// with the error "this store keeps no vaults", and writes nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use keywright::{AccountId, Keyring, Keywright, MemoryStore, NoVault, SystemEntropy};
///
/// # type YourStore = MemoryStore;
/// // Yours implements `RecordStore` and `Upkeep`: ten methods, none of them about vaults.
/// let store = NoVault(YourStore::new());
/// let keywright = Keywright::builder(store).keyring(Keyring::generate(&SystemEntropy)?).open().await?;
/// keywright.ensure_account(&AccountId::new("user-1")?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[expect(clippy::exhaustive_structs, reason = "a transparent wrapper")]
pub struct NoVault<S>(pub S);

/// A vault operation was tried on a store without vaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this store keeps no vaults")]
pub(crate) struct KeepsNone;

impl<S: RecordStore> RecordStore for NoVault<S> {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        self.0.load(partition, slots)
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        if batch.write().is_some_and(|write| write.vault.is_some()) {
            return Box::pin(std::future::ready(Err(CommitError::Rejected(KeepsNone.into()))));
        }
        self.0.commit(batch)
    }

    fn commit_until<'a>(&'a self, batch: Batch, limit: BoxFuture<'a, ()>) -> BoxFuture<'a, Result<(), CommitError>> {
        if batch.write().is_some_and(|write| write.vault.is_some()) {
            return self.commit(batch);
        }
        self.0.commit_until(batch, limit)
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        self.0.events(partition, chain, before, limit)
    }
}

impl<S: RecordStore> VaultStore for NoVault<S> {
    fn manifest<'a>(&'a self, _: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(std::future::ready(Err(LoadError::Failed(KeepsNone.into()))))
    }

    fn read<'a>(&'a self, _: &'a Partition, _: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        Box::pin(std::future::ready(Err(LoadError::Failed(KeepsNone.into()))))
    }

    fn stage<'a>(
        &'a self,
        _: &'a Partition,
        _: StageId,
        _: Rows,
        _: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(std::future::ready(Err(CommitError::Rejected(KeepsNone.into()))))
    }

    fn unstage<'a>(&'a self, _: &'a Partition, _: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(std::future::ready(Err(CommitError::Rejected(KeepsNone.into()))))
    }

    fn staged<'a>(&'a self, _: &'a Partition, _: StageId) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        Box::pin(std::future::ready(Err(LoadError::Failed(KeepsNone.into()))))
    }

    fn staged_texts<'a>(
        &'a self,
        _: &'a Partition,
        _: StageId,
        _: Option<CipherId>,
        _: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        Box::pin(std::future::ready(Err(LoadError::Failed(KeepsNone.into()))))
    }
}

impl<S: Upkeep> Upkeep for NoVault<S> {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        self.0.horizon()
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        self.0.move_horizon(now)
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.sweep(limit)
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.0.forget_events(age, limit)
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.0.due(before, limit)
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.0.partitions(after, limit)
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        self.0.slots(partition, after, limit)
    }
}
