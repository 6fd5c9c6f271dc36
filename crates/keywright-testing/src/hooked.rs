//! A store with closures around its calls, and calls that can be held up.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, MemoryStore, Partition,
    RecordStore, Rows, SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows,
    VaultStore, Which,
};

use crate::hold::Hold;
use keywright_store::Store;

/// A call, before it reaches the store.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_enums, reason = "the calls of the storage port")]
pub enum Call<'c> {
    /// A read of the root and of some records.
    Load(&'c Partition, &'c [SlotName]),
    /// A commit.
    Commit(&'c Batch),
    /// A read of events.
    Events(&'c Partition, EventChain),
    /// A read of the vault's marks.
    Manifest(&'c Partition),
    /// A read of the vault's rows.
    Read(&'c Partition, Which<'c>),
    /// Rows that are added to a stage.
    Stage(&'c Partition, StageId),
    /// A stage that is dropped.
    Unstage(&'c Partition, StageId),
    /// A read of a stage's marks.
    Staged(&'c Partition, StageId),
    /// A read of a stage's texts.
    StagedTexts(&'c Partition, StageId),
    /// A read of the horizon.
    Horizon,
    /// A move of the horizon to this moment.
    MoveHorizon(UnixSeconds),
    /// A sweep of expired rows.
    Sweep,
    /// The removal of events that are older than this many seconds.
    ForgetEvents(u64),
    /// A search for partitions that are due at this moment.
    Due(UnixSeconds),
    /// A list of partitions.
    Partitions,
    /// A list of a partition's slots.
    Slots(&'c Partition),
}

/// A reply of the store, before the caller receives it. A hook can change it.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "the calls of the storage port")]
pub enum Reply<'r> {
    /// The reply to a load: what was requested, and what was found.
    Load(&'r Partition, &'r [SlotName], &'r mut Result<Snapshot, LoadError>),
    /// The reply to a commit.
    Commit(&'r mut Result<(), CommitError>),
    /// The reply to a read of events.
    Events(&'r mut Result<StoredEvents, LoadError>),
    /// The reply to a read of the vault's marks.
    Manifest(&'r mut Result<Manifest, LoadError>),
    /// The reply to a read of the vault's rows: which were requested, and what was found.
    Read(Which<'r>, &'r mut Result<VaultRows, LoadError>),
    /// The reply to staging rows, or to dropping a stage.
    Stage(&'r mut Result<(), CommitError>),
    /// The reply to a read of a stage's marks.
    Staged(&'r mut Result<Vec<(CipherId, Mark)>, LoadError>),
    /// The reply to a read of a stage's texts.
    StagedTexts(&'r mut Result<Vec<StagedText>, LoadError>),
    /// The reply to a read of the horizon.
    Horizon(&'r mut Result<Option<UnixSeconds>, LoadError>),
    /// The reply to a move of the horizon.
    MoveHorizon(&'r mut Result<UnixSeconds, CommitError>),
    /// The reply to a sweep, or to the removal of old events: how many were dropped.
    Dropped(&'r mut Result<u64, CommitError>),
    /// The reply to a search for due partitions.
    Due(&'r mut Result<Vec<Partition>, LoadError>),
    /// The reply to a list of partitions.
    Partitions(&'r mut Result<Vec<Partition>, LoadError>),
    /// The reply to a list of a partition's slots.
    Slots(&'r mut Result<StoredSlots, LoadError>),
}

type Before<E> = Arc<dyn Fn(Call<'_>) -> BoxFuture<'static, Result<(), E>> + Send + Sync>;
type After = Arc<dyn Fn(Reply<'_>) + Send + Sync>;
type InsteadOfLoad =
    Arc<dyn Fn(Partition, Vec<SlotName>) -> BoxFuture<'static, Result<Snapshot, LoadError>> + Send + Sync>;
type InsteadOfCommit = Arc<dyn Fn(Batch) -> BoxFuture<'static, Result<(), CommitError>> + Send + Sync>;
type Wanted = Box<dyn Fn(Call<'_>) -> bool + Send>;

#[derive(Default)]
struct Hooks {
    reads: Vec<Before<LoadError>>,
    writes: Vec<Before<CommitError>>,
    after: Vec<After>,
    load: Option<InsteadOfLoad>,
    commit: Option<InsteadOfCommit>,
    /// How many matching calls pass first, which calls match, and where the next one waits.
    holds: Vec<(usize, Wanted, Arc<Hold>)>,
}

/// Wraps any store with hooks: closures that run before, after or instead of its calls. Without
/// hooks, every call passes.
///
/// Hooks of one kind run in the order in which they were added. A hook that fails keeps the call
/// from the store. To wait or to count, use a closure over the state that this needs. To deliver
/// something to the store itself, use a closure over the store.
pub struct HookedStore<S: ?Sized = dyn Store> {
    hooks: Mutex<Hooks>,
    inner: Arc<S>,
}

impl HookedStore<MemoryStore> {
    /// Wraps a new store in memory.
    #[must_use]
    pub fn memory() -> Arc<Self> {
        Self::new(Arc::default())
    }
}

impl<S: ?Sized> HookedStore<S> {
    /// Wraps a store, without any hook yet.
    #[must_use]
    pub fn new(inner: Arc<S>) -> Arc<Self> {
        Arc::new(Self { hooks: Mutex::default(), inner })
    }

    /// Returns the wrapped store, which is what another server sees.
    #[must_use]
    pub const fn inner(&self) -> &Arc<S> {
        &self.inner
    }

    /// Adds a hook that runs before every read. If it fails, its error is the reply.
    pub fn before_reads<F>(&self, hook: impl Fn(Call<'_>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), LoadError>> + Send + 'static,
    {
        self.hooks().reads.push(Arc::new(move |call| Box::pin(hook(call))));
    }

    /// Adds a hook that runs before every write. If it fails, its error is the reply.
    pub fn before_writes<F>(&self, hook: impl Fn(Call<'_>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), CommitError>> + Send + 'static,
    {
        self.hooks().writes.push(Arc::new(move |call| Box::pin(hook(call))));
    }

    /// Adds a hook that sees every reply of the store and may change it. It does not run if an
    /// earlier hook has failed.
    pub fn after(&self, hook: impl Fn(Reply<'_>) + Send + Sync + 'static) {
        self.hooks().after.push(Arc::new(hook));
    }

    /// Adds a hook that sees what every load found and may change it.
    pub fn after_loads(&self, hook: impl Fn(&Partition, &[SlotName], &mut Snapshot) + Send + Sync + 'static) {
        self.after(move |reply| {
            if let Reply::Load(partition, slots, Ok(snapshot)) = reply {
                hook(partition, slots, snapshot);
            }
        });
    }

    /// Adds a hook that runs instead of every load.
    pub fn instead_of_load<F>(&self, hook: impl Fn(Partition, Vec<SlotName>) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Snapshot, LoadError>> + Send + 'static,
    {
        self.hooks().load = Some(Arc::new(move |partition, slots| Box::pin(hook(partition, slots))));
    }

    /// Adds a hook that runs instead of every commit.
    pub fn instead_of_commit<F>(&self, hook: impl Fn(Batch) -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), CommitError>> + Send + 'static,
    {
        self.hooks().commit = Some(Arc::new(move |batch| Box::pin(hook(batch))));
    }

    /// Holds up one call: the first that matches `wanted` after `others` matching ones. Holding
    /// happens before all hooks.
    pub fn hold(&self, others: usize, wanted: impl Fn(Call<'_>) -> bool + Send + 'static) -> Arc<Hold> {
        let hold = Arc::<Hold>::default();
        self.hooks().holds.push((others, Box::new(wanted), Arc::clone(&hold)));
        hold
    }

    /// Holds up one load: the first after `others`.
    pub fn hold_load(&self, others: usize) -> Arc<Hold> {
        self.hold(others, |call| matches!(call, Call::Load(..)))
    }

    /// Holds up the next commit.
    pub fn hold_commit(&self) -> Arc<Hold> {
        self.hold(0, |call| matches!(call, Call::Commit(_)))
    }

    /// Holds up the next commit of a partition.
    pub fn hold_commit_of(&self, partition: Partition) -> Arc<Hold> {
        self.hold(0, move |call| matches!(call, Call::Commit(batch) if *batch.partition() == partition))
    }

    /// Removes every hook. Calls that are held up remain so.
    pub fn clear(&self) {
        *self.hooks() = Hooks::default();
    }

    fn hooks(&self) -> MutexGuard<'_, Hooks> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn is_held(&self, call: Call<'_>) {
        let held = {
            let mut hooks = self.hooks();
            let mut held = None;
            for (number, (others, wanted, _)) in hooks.holds.iter_mut().enumerate() {
                if wanted(call) {
                    match others.checked_sub(1) {
                        Some(fewer) => *others = fewer,
                        None => held = held.or(Some(number)),
                    }
                }
            }
            held.map(|number| hooks.holds.remove(number).2)
        };
        if let Some(hold) = held {
            hold.wait().await;
        }
    }

    async fn reads(&self, call: Call<'_>) -> Result<(), LoadError> {
        self.is_held(call).await;
        let hooks = self.hooks().reads.clone();
        for hook in hooks {
            hook(call).await?;
        }
        Ok(())
    }

    async fn writes(&self, call: Call<'_>) -> Result<(), CommitError> {
        self.is_held(call).await;
        let hooks = self.hooks().writes.clone();
        for hook in hooks {
            hook(call).await?;
        }
        Ok(())
    }

    /// Shows a reply to the hooks.
    fn seen<T>(&self, mut answer: T, reply: impl Fn(&mut T) -> Reply<'_>) -> T {
        let hooks = self.hooks().after.clone();
        for hook in hooks {
            hook(reply(&mut answer));
        }
        answer
    }
}

impl<S: fmt::Debug + ?Sized> fmt::Debug for HookedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HookedStore").field(&self.inner).finish()
    }
}

impl<S: RecordStore + ?Sized> RecordStore for HookedStore<S> {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Load(partition, slots)).await?;
            let instead = self.hooks().load.clone();
            let mut answer = match instead {
                Some(instead) => instead(partition.clone(), slots.to_vec()).await,
                None => self.inner.load(partition, slots).await,
            };
            let hooks = self.hooks().after.clone();
            hooks.iter().for_each(|hook| hook(Reply::Load(partition, slots, &mut answer)));
            answer
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            self.writes(Call::Commit(&batch)).await?;
            let instead = self.hooks().commit.clone();
            let answer = match instead {
                Some(instead) => instead(batch).await,
                None => self.inner.commit(batch).await,
            };
            self.seen(answer, |answer| Reply::Commit(answer))
        })
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Events(partition, chain)).await?;
            let answer = self.inner.events(partition, chain, before, limit).await;
            self.seen(answer, |answer| Reply::Events(answer))
        })
    }
}

impl<S: VaultStore + ?Sized> VaultStore for HookedStore<S> {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Manifest(account)).await?;
            let answer = self.inner.manifest(account).await;
            self.seen(answer, |answer| Reply::Manifest(answer))
        })
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Read(account, which)).await?;
            let mut answer = self.inner.read(account, which).await;
            let hooks = self.hooks().after.clone();
            hooks.iter().for_each(|hook| hook(Reply::Read(which, &mut answer)));
            answer
        })
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            self.writes(Call::Stage(account, stage)).await?;
            let answer = self.inner.stage(account, stage, rows, purge_after).await;
            self.seen(answer, |answer| Reply::Stage(answer))
        })
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        Box::pin(async move {
            self.writes(Call::Unstage(account, stage)).await?;
            let answer = self.inner.unstage(account, stage).await;
            self.seen(answer, |answer| Reply::Stage(answer))
        })
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Staged(account, stage)).await?;
            let answer = self.inner.staged(account, stage).await;
            self.seen(answer, |answer| Reply::Staged(answer))
        })
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        Box::pin(async move {
            self.reads(Call::StagedTexts(account, stage)).await?;
            let answer = self.inner.staged_texts(account, stage, after, limit).await;
            self.seen(answer, |answer| Reply::StagedTexts(answer))
        })
    }
}

impl<S: Upkeep + ?Sized> Upkeep for HookedStore<S> {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Horizon).await?;
            let answer = self.inner.horizon().await;
            self.seen(answer, |answer| Reply::Horizon(answer))
        })
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        Box::pin(async move {
            self.writes(Call::MoveHorizon(now)).await?;
            let answer = self.inner.move_horizon(now).await;
            self.seen(answer, |answer| Reply::MoveHorizon(answer))
        })
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            self.writes(Call::Sweep).await?;
            let answer = self.inner.sweep(limit).await;
            self.seen(answer, |answer| Reply::Dropped(answer))
        })
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        Box::pin(async move {
            self.writes(Call::ForgetEvents(age)).await?;
            let answer = self.inner.forget_events(age, limit).await;
            self.seen(answer, |answer| Reply::Dropped(answer))
        })
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Due(before)).await?;
            let answer = self.inner.due(before, limit).await;
            self.seen(answer, |answer| Reply::Due(answer))
        })
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Partitions).await?;
            let answer = self.inner.partitions(after, limit).await;
            self.seen(answer, |answer| Reply::Partitions(answer))
        })
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        Box::pin(async move {
            self.reads(Call::Slots(partition)).await?;
            let answer = self.inner.slots(partition, after, limit).await;
            self.seen(answer, |answer| Reply::Slots(answer))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::World;

    #[tokio::test]
    async fn hooks_run_before_after_and_instead_until_they_are_cleared() {
        let (store, loads) = (HookedStore::memory(), Arc::new(AtomicUsize::new(0)));
        let world = World::builder().store(store.clone()).build().await;
        let partition = world.partition();
        let before = store.load(&partition, &[]).await.unwrap();
        let counts = Arc::clone(&loads);
        store.before_reads(move |call| {
            counts.fetch_add(usize::from(matches!(call, Call::Load(..))), Ordering::SeqCst);
            async { Ok(()) }
        });
        store.after_loads(|_, _, snapshot| snapshot.root = None);
        assert_eq!(store.load(&partition, &[]).await.unwrap().root, None);
        assert!(store.horizon().await.is_ok());
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        store.instead_of_load(|_, _| async { Err(LoadError::Failed("no".into())) });
        store.instead_of_commit(|_| async { Err(CommitError::Conflict) });
        assert!(matches!(store.load(&partition, &[]).await, Err(LoadError::Failed(_))));
        store.clear();
        assert_eq!(store.load(&partition, &[]).await.unwrap(), before);
    }

    #[tokio::test]
    async fn a_held_call_waits_and_the_others_pass() {
        let store = HookedStore::memory();
        let world = World::builder().store(store.clone()).build().await;
        let partition = world.partition();
        let hold = store.hold_load(1);
        assert!(store.load(&partition, &[]).await.is_ok());
        let held = tokio::spawn({
            let (store, partition) = (Arc::clone(&store), partition.clone());
            async move { store.load(&partition, &[]).await }
        });
        hold.reached().await;
        assert!(store.load(&partition, &[]).await.is_ok());
        assert!(!held.is_finished());
        hold.release();
        assert!(held.await.unwrap().is_ok());
    }
}
