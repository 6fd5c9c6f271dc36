//! A store that fails on purpose: lost replies, late deliveries, conflicts, failing loads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{
    Batch, BoxFuture, CipherId, CommitError, EventNumber, LoadError, Manifest, Mark, Partition, RecordStore, Rows,
    SlotName, Snapshot, StageId, StagedText, StoredEvents, StoredSlots, Upkeep, VaultRows, VaultStore, Which,
};

use crate::random::SplitMix;

/// The fault of one commit.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a script is a few of them")]
pub enum Fault {
    /// No fault: the commit reaches the store, and the store's own reply is returned.
    None,
    /// Returns `Conflict`. The commit never reaches the store.
    Conflict,
    /// Returns `Rejected`. The commit never reaches the store.
    Rejected,
    /// Returns `Unknown`. The commit never reaches the store.
    LostBefore,
    /// Returns `Unknown`. The commit reaches the store, but the store's reply is lost.
    LostAfter,
    /// Returns `Unknown`, as if `COMMIT` itself had failed. The commit is rolled back.
    CommitFailed,
    /// Returns `Unknown`. The commit is held until [`FaultStore::deliver`].
    Held,
    /// Another server is faster: its batch reaches the store first, and then this commit does.
    Overtaken(Batch),
}

/// The fault of one load of records.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a script is a few of them")]
pub enum LoadFault {
    /// No fault.
    None,
    /// Returns `Failed`. The load never reaches the store.
    Fails,
    /// The load never returns, and never reaches the store.
    Hangs,
    /// The load is answered. Before the answer is used, another server's batch reaches the store.
    Then(Batch),
    /// The load is answered. Before the answer is used, every held commit is delivered.
    ThenDelivers,
}

/// How often each fault happens in random mode, in 1/1000 of the calls that it can happen to. The
/// odds of a commit may add up to at most 1,000; anything beyond that has no effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Odds {
    /// For a commit: [`Fault::Conflict`].
    pub conflict: u16,
    /// For a commit: [`Fault::Rejected`].
    pub rejected: u16,
    /// For a commit: [`Fault::LostBefore`].
    pub lost_before: u16,
    /// For a commit: [`Fault::LostAfter`].
    pub lost_after: u16,
    /// For a commit: [`Fault::Held`].
    pub held: u16,
    /// For a load: [`LoadFault::Fails`].
    pub load_fails: u16,
    /// For a load or commit: the oldest held commit is delivered just before or just after it.
    pub delivery: u16,
    /// For a load or commit: other tasks run before it.
    pub pause: u16,
}

impl Odds {
    const NONE: Self =
        Self { conflict: 0, rejected: 0, lost_before: 0, lost_after: 0, held: 0, load_fails: 0, delivery: 0, pause: 0 };

    /// Every commit is [`Fault::Rejected`], as on a disk that is full.
    pub const FULL: Self = Self { rejected: 1_000, ..Self::NONE };

    /// Every commit is [`Fault::LostBefore`].
    pub const SILENT: Self = Self { lost_before: 1_000, ..Self::NONE };

    /// Every load fails.
    pub const UNREADABLE: Self = Self { load_fails: 1_000, ..Self::NONE };
}

/// Counts of the calls that went through a [`FaultStore`] so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Commits that were requested, with and without a fault.
    pub commits: u64,
    /// Commits that the store applied, including those delivered late.
    pub landed: u64,
    /// Loads of records.
    pub loads: u64,
}

#[derive(Default)]
struct Script {
    commits: VecDeque<Fault>,
    loads: VecDeque<LoadFault>,
    held: VecDeque<Batch>,
    random: Option<(SplitMix, Odds)>,
    tally: Tally,
    noted: Option<Vec<(Partition, Vec<SlotName>)>>,
    stages: Vec<(Partition, StageId)>,
}

/// Wraps a store and makes its commits and loads fail, as scripted or at random.
///
/// It promises:
/// - A scripted fault happens to exactly one call, in the order of the script. Without a script and
///   odds, nothing fails.
/// - A commit reaches the store at most once, whole and unchanged, or is [`Held`](Fault::Held)
///   until it is delivered.
/// - `Conflict` and `Rejected` are returned only for a commit that was not and will not be written.
///   `Unknown` is returned for any.
/// - The same seed, odds and sequence of calls produce the same faults. The seed is not secret, and
///   the generator is not a secure one.
///
/// Only [`load`](RecordStore::load) and [`commit`](RecordStore::commit) fail. All other calls are
/// passed on.
///
/// ```
/// use std::sync::Arc;
/// use keywright_core::AccountId;
/// use keywright_store::{Batch, CommitError, MemoryStore, Partition, RecordStore, Revision, Write};
/// use keywright_store_conformance::{Fault, FaultStore};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let store = FaultStore::new(Arc::new(MemoryStore::new()));
/// let account = Partition::account(&AccountId::new("user-1")?);
/// let write = Write::root(Revision::from_bytes([1; 16]), "sealed".into());
/// let batch = Batch::new(account.clone(), None, write)?;
///
/// store.next_commit(Fault::Held);
/// assert!(matches!(store.commit(batch).await, Err(CommitError::Unknown(_))));
/// assert_eq!(store.load(&account, &[]).await?.root, None);
/// assert!(matches!(store.deliver().await, Some(Ok(()))));
/// assert!(store.load(&account, &[]).await?.root.is_some());
/// # Ok(())
/// # })
/// # }
/// ```
pub struct FaultStore<S: ?Sized> {
    script: Mutex<Script>,
    inner: Arc<S>,
}

impl<S: RecordStore + ?Sized> FaultStore<S> {
    /// Wraps a store, without any fault so far.
    #[must_use]
    pub fn new(inner: Arc<S>) -> Self {
        Self { script: Mutex::default(), inner }
    }

    /// Returns the wrapped store, which is what another server sees.
    #[must_use]
    pub const fn inner(&self) -> &Arc<S> {
        &self.inner
    }

    /// Adds a fault to the script of commits.
    pub fn next_commit(&self, fault: Fault) {
        self.script().commits.push_back(fault);
    }

    /// Adds a fault to the script of loads.
    pub fn next_load(&self, fault: LoadFault) {
        self.script().loads.push_back(fault);
    }

    /// From now on, calls without a scripted fault fail at random.
    pub fn randomise(&self, seed: u64, odds: Odds) {
        self.script().random = Some((SplitMix::new(seed), odds));
    }

    /// From now on nothing fails. Held commits stay held.
    pub fn calm(&self) {
        let mut script = self.script();
        script.random = None;
        script.commits.clear();
        script.loads.clear();
    }

    /// Returns how many commits are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.script().held.len()
    }

    /// Delivers the oldest held commit. Returns the store's reply, which nobody was waiting for any
    /// more, or `None` if no commit is held.
    pub async fn deliver(&self) -> Option<Result<(), CommitError>> {
        let batch = self.script().held.pop_front()?;
        Some(self.reach(batch).await)
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.script().tally
    }

    /// From now on the slots of every load are noted. Earlier notes are dropped.
    pub fn note_loads(&self) {
        self.script().noted = Some(Vec::new());
    }

    /// Returns the slots of every load since [`note_loads`](Self::note_loads), including those of
    /// loads that failed.
    #[must_use]
    pub fn noted_loads(&self) -> Vec<Vec<SlotName>> {
        self.script().noted.iter().flatten().map(|(_, slots)| slots.clone()).collect()
    }

    /// Returns the noted loads that requested, from one partition, everything that the load right
    /// before them had requested and more, each with the load before it. The driver does this for
    /// an operation that did not name all its slots at once. A read followed by a commit with more
    /// slots looks the same.
    #[must_use]
    pub fn extra_rounds(&self) -> Vec<[Vec<SlotName>; 2]> {
        let script = self.script();
        let noted = script.noted.as_deref().unwrap_or_default();
        let mut extra = Vec::new();
        for ((of, first), (again, second)) in noted.iter().zip(noted.iter().skip(1)) {
            if of == again && second.len() > first.len() && second.starts_with(first) {
                extra.push([first.clone(), second.clone()]);
            }
        }
        extra
    }

    /// Returns every stage that was filled so far, including those that no longer exist. A stage
    /// that was filled in parts is listed once for each part.
    #[must_use]
    pub fn stages(&self) -> Vec<(Partition, StageId)> {
        self.script().stages.clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reach(&self, batch: Batch) -> Result<(), CommitError> {
        let result = self.inner.commit(batch).await;
        if result.is_ok() {
            let tally = &mut self.script().tally;
            tally.landed = tally.landed.saturating_add(1);
        }
        result
    }

    /// In random mode, may let other tasks run, or deliver a held commit.
    async fn unsettle(&self) {
        let (pause, delivery) = {
            let mut script = self.script();
            let Some((rng, odds)) = &mut script.random else { return };
            (rng.happens(odds.pause), rng.happens(odds.delivery))
        };
        if pause {
            tokio::task::yield_now().await;
        }
        if delivery {
            self.deliver().await;
        }
    }

    async fn commit_with(&self, fault: Fault, batch: Batch) -> Result<(), CommitError> {
        match fault {
            Fault::None => self.reach(batch).await,
            Fault::Conflict => Err(CommitError::Conflict),
            Fault::Rejected => Err(CommitError::Rejected("refused on purpose".into())),
            Fault::LostBefore => Err(lost()),
            Fault::CommitFailed => Err(CommitError::Unknown("COMMIT failed on purpose".into())),
            Fault::LostAfter => {
                // The reply is lost, whatever it is.
                let _ = self.reach(batch).await;
                Err(lost())
            }
            Fault::Held => {
                self.script().held.push_back(batch);
                Err(lost())
            }
            Fault::Overtaken(other) => {
                // It is for the test to check whether the other batch was applied.
                let _ = self.inner.commit(other).await;
                self.reach(batch).await
            }
        }
    }
}

fn lost() -> CommitError {
    CommitError::Unknown("the reply was lost on purpose".into())
}

impl Script {
    fn commit(&mut self) -> Fault {
        self.tally.commits = self.tally.commits.saturating_add(1);
        if let Some(fault) = self.commits.pop_front() {
            return fault;
        }
        let Some((rng, odds)) = &mut self.random else { return Fault::None };
        let faults = [
            (odds.conflict, Fault::Conflict),
            (odds.rejected, Fault::Rejected),
            (odds.lost_before, Fault::LostBefore),
            (odds.lost_after, Fault::LostAfter),
            (odds.held, Fault::Held),
        ];
        let mut drawn = rng.per_mille();
        for (odds, fault) in faults {
            match drawn.checked_sub(odds) {
                None => return fault,
                Some(rest) => drawn = rest,
            }
        }
        Fault::None
    }

    fn load(&mut self, partition: &Partition, slots: &[SlotName]) -> LoadFault {
        self.tally.loads = self.tally.loads.saturating_add(1);
        if let Some(noted) = &mut self.noted {
            noted.push((partition.clone(), slots.to_vec()));
        }
        if let Some(fault) = self.loads.pop_front() {
            return fault;
        }
        let fails = self.random.as_mut().is_some_and(|(rng, odds)| rng.happens(odds.load_fails));
        if fails { LoadFault::Fails } else { LoadFault::None }
    }
}

keywright_core::redacted_debug!(impl[S: RecordStore + ?Sized] FaultStore<S> { inner, .. });

impl<S: RecordStore + ?Sized> RecordStore for FaultStore<S> {
    fn load<'a>(
        &'a self,
        partition: &'a Partition,
        slots: &'a [SlotName],
    ) -> BoxFuture<'a, Result<Snapshot, LoadError>> {
        Box::pin(async move {
            let fault = self.script().load(partition, slots);
            self.unsettle().await;
            if matches!(fault, LoadFault::Fails) {
                return Err(LoadError::Failed("a load failed on purpose".into()));
            }
            if matches!(fault, LoadFault::Hangs) {
                return std::future::pending().await;
            }
            let stored = self.inner.load(partition, slots).await;
            match fault {
                LoadFault::Then(batch) => drop(self.inner.commit(batch).await),
                LoadFault::ThenDelivers => while self.deliver().await.is_some() {},
                LoadFault::None | LoadFault::Fails | LoadFault::Hangs => self.unsettle().await,
            }
            stored
        })
    }

    fn commit(&self, batch: Batch) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(async move {
            let fault = self.script().commit();
            self.unsettle().await;
            let result = self.commit_with(fault, batch).await;
            self.unsettle().await;
            result
        })
    }

    fn events<'a>(
        &'a self,
        partition: &'a Partition,
        chain: EventChain,
        before: Option<EventNumber>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredEvents, LoadError>> {
        self.inner.events(partition, chain, before, limit)
    }
}

impl<S: VaultStore + ?Sized> VaultStore for FaultStore<S> {
    fn manifest<'a>(&'a self, account: &'a Partition) -> BoxFuture<'a, Result<Manifest, LoadError>> {
        self.inner.manifest(account)
    }

    fn read<'a>(&'a self, account: &'a Partition, which: Which<'a>) -> BoxFuture<'a, Result<VaultRows, LoadError>> {
        self.inner.read(account, which)
    }

    fn stage<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        rows: Rows,
        purge_after: UnixSeconds,
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        self.script().stages.push((account.clone(), stage));
        self.inner.stage(account, stage, rows, purge_after)
    }

    fn unstage<'a>(&'a self, account: &'a Partition, stage: StageId) -> BoxFuture<'a, Result<(), CommitError>> {
        self.inner.unstage(account, stage)
    }

    fn staged<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
    ) -> BoxFuture<'a, Result<Vec<(CipherId, Mark)>, LoadError>> {
        self.inner.staged(account, stage)
    }

    fn staged_texts<'a>(
        &'a self,
        account: &'a Partition,
        stage: StageId,
        after: Option<CipherId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StagedText>, LoadError>> {
        self.inner.staged_texts(account, stage, after, limit)
    }
}

impl<S: RecordStore + Upkeep + ?Sized> Upkeep for FaultStore<S> {
    fn horizon(&self) -> BoxFuture<'_, Result<Option<UnixSeconds>, LoadError>> {
        self.inner.horizon()
    }

    fn move_horizon(&self, now: UnixSeconds) -> BoxFuture<'_, Result<UnixSeconds, CommitError>> {
        self.inner.move_horizon(now)
    }

    fn sweep(&self, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.sweep(limit)
    }

    fn forget_events(&self, age: u64, limit: u32) -> BoxFuture<'_, Result<u64, CommitError>> {
        self.inner.forget_events(age, limit)
    }

    fn due(&self, before: UnixSeconds, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.inner.due(before, limit)
    }

    fn partitions(&self, after: Option<Partition>, limit: u32) -> BoxFuture<'_, Result<Vec<Partition>, LoadError>> {
        self.inner.partitions(after, limit)
    }

    fn slots<'a>(
        &'a self,
        partition: &'a Partition,
        after: Option<SlotName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<StoredSlots, LoadError>> {
        self.inner.slots(partition, after, limit)
    }
}
