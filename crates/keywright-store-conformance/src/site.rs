//! Where a case works: one partition of one store behind two handles, and the operations that every
//! case uses.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use bytes::Bytes;
use keywright_core::{AccountId, EventChain, SystemEntropy, UnixSeconds, chain_head, random_bytes};
use keywright_store::slot::KindName;
use keywright_store::{
    Batch, CipherId, ClientNonce, CommitError, EventNumber, Mark, Partition, Put, Revision, Row, RowMarks, SlotName,
    Snapshot, StageId, StagedText, StoredEvent, VaultRows, VaultWrite, Which, Write,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::backend::Handles;
use crate::violation::{Violation, holds};

/// A moment long before the present of any clock that a backend could read.
pub(crate) const LONG_AGO: UnixSeconds = UnixSeconds::EPOCH.plus(1_000_000);

/// How often a racer retries after a conflict that no other racer explains. Some databases report
/// such conflicts.
const PATIENCE: u32 = 256;

/// One partition behind both handles.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) handles: Handles,
    pub(crate) account: Partition,
    uses: Arc<AtomicUsize>,
}

pub(crate) fn draw() -> Result<Revision, Violation> {
    Ok(Revision::draw()?)
}

/// A slot of a family, identified by a number.
pub(crate) const fn slot(id: u8) -> SlotName {
    SlotName::new(KindName::new("case"), Some([id; 16]))
}

/// A slot without an id.
pub(crate) const SINGLE: SlotName = SlotName::new(KindName::new("single"), None);

pub(crate) fn put(slot: SlotName, body: impl Into<Bytes>) -> Put {
    Put { slot, body: body.into(), purge_after: None }
}

pub(crate) fn put_until(slot: SlotName, body: impl Into<Bytes>, purge_after: UnixSeconds) -> Put {
    Put { slot, body: body.into(), purge_after: Some(purge_after) }
}

/// A write of the root under a fresh revision, with a body that belongs to that revision alone.
pub(crate) fn next() -> Result<Write, Violation> {
    let revision = draw()?;
    Ok(Write::root(revision, body_of(revision)))
}

/// The body of a root that [`next`] makes.
pub(crate) fn body_of(revision: Revision) -> Bytes {
    Bytes::copy_from_slice(&revision.to_bytes())
}

/// A write that puts these records.
pub(crate) fn puts(put: Vec<Put>) -> Result<Write, Violation> {
    Ok(Write { put, ..next()? })
}

/// A write that changes the vault.
pub(crate) fn vault(vault: VaultWrite) -> Result<Write, Violation> {
    Ok(Write { vault: Some(vault), ..next()? })
}

pub(crate) fn edit(put: Vec<Row>) -> VaultWrite {
    VaultWrite::Edit { put, delete: Vec::new() }
}

/// An event of a chain at a moment. Its bytes name its chain and number.
pub(crate) fn event_at(chain: EventChain, number: EventNumber, at: UnixSeconds) -> StoredEvent {
    let json = format!(r#"{{"kind":"case","chain":{},"number":{number}}}"#, chain.number());
    // The store does not know what came before the event, so any 32 bytes serve.
    let prev = chain_head(&[0x5a; 32], number, at, json.as_bytes());
    StoredEvent { chain, number, at, json: json.into(), prev }
}

pub(crate) fn event(number: EventNumber) -> StoredEvent {
    event_at(EventChain::Changes, number, LONG_AGO)
}

pub(crate) fn denial(number: EventNumber) -> StoredEvent {
    event_at(EventChain::Denials, number, LONG_AGO)
}

/// A cipher. The note's mark and bytes depend on the id alone, so that a swap, which keeps notes,
/// leaves what a test compares with.
pub(crate) fn row(id: u8, mark: u8, text: impl Into<Bytes>) -> Row {
    let marks = RowMarks {
        id: CipherId([id; 16]),
        text: Mark([mark; 16]),
        note: Mark([id ^ 0x80; 16]),
        nonce: ClientNonce([mark ^ 0xff; 16]),
    };
    Row { marks, text: text.into(), note: vec![id, 0, 0xff].into() }
}

pub(crate) const fn stage_id(id: u8) -> StageId {
    StageId([id; 16])
}

/// What a promotion names: the id and text mark of each row.
pub(crate) fn checked(rows: &[Row]) -> Vec<(CipherId, Mark)> {
    rows.iter().map(|row| (row.marks.id, row.marks.text)).collect()
}

impl Site {
    /// A partition of the case's own, without a root.
    pub(crate) fn bare(handles: &Handles) -> Result<Self, Violation> {
        let id = hex::encode(random_bytes::<8>(&SystemEntropy)?);
        Self::named(handles, &format!("account-{id}"))
    }

    pub(crate) fn named(handles: &Handles, id: &str) -> Result<Self, Violation> {
        Ok(Self::of(handles, Partition::account(&AccountId::new(id)?)))
    }

    pub(crate) fn of(handles: &Handles, account: Partition) -> Self {
        Self { handles: handles.clone(), account, uses: Arc::default() }
    }

    /// A partition of the case's own with a root, and the root's revision.
    pub(crate) async fn made(handles: &Handles) -> Result<(Self, Revision), Violation> {
        let site = Self::bare(handles)?;
        let root = site.land(None, next()?).await?;
        Ok((site, root))
    }

    /// The number of the next handle. Commits go through the two alternately.
    fn next_handle(&self) -> usize {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn batch(&self, expect: Option<Revision>, write: Write) -> Result<Batch, Violation> {
        Ok(Batch::new(self.account.clone(), expect, write)?)
    }

    /// Commits through a handle. Returns whether the batch was applied.
    pub(crate) async fn commit_through(&self, handle: usize, batch: Batch) -> Result<bool, Violation> {
        match self.handles.records(handle).commit(batch).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(Violation::Commit(error)),
        }
    }

    /// Commits. Returns whether the batch was applied.
    pub(crate) async fn commit(&self, expect: Option<Revision>, write: Write) -> Result<bool, Violation> {
        let batch = self.batch(expect, write)?;
        self.commit_through(self.next_handle(), batch).await
    }

    /// Commits a batch that must be refused as a conflict or, if `rejected_too`, as rejected.
    pub(crate) async fn is_refused(&self, batch: Batch, rejected_too: bool) -> Result<bool, Violation> {
        match self.handles.records(self.next_handle()).commit(batch).await {
            Ok(()) => Ok(false),
            Err(CommitError::Conflict) => Ok(true),
            Err(CommitError::Rejected(_)) if rejected_too => Ok(true),
            Err(error) => Err(Violation::Commit(error)),
        }
    }

    /// Commits a batch that must be applied. Returns the root's new revision.
    pub(crate) async fn land(&self, expect: Option<Revision>, write: Write) -> Result<Revision, Violation> {
        let revision = write.revision;
        let landed = self.commit(expect, write).await?;
        holds!(landed, Guard, "a batch whose guard holds was a conflict");
        Ok(revision)
    }

    /// Checks whether the root still has a revision.
    pub(crate) async fn still(&self, expect: Option<Revision>) -> Result<bool, Violation> {
        self.commit_through(self.next_handle(), Batch::check(self.account.clone(), expect)).await
    }

    /// Loads through a handle.
    pub(crate) async fn load_through(&self, handle: usize, slots: &[SlotName]) -> Result<Snapshot, Violation> {
        let snapshot = self.handles.records(handle).load(&self.account, slots).await?;
        let count = snapshot.records.len();
        holds!(count == slots.len(), Order, "asked for {} slots, the store answered with {count}", slots.len());
        Ok(snapshot)
    }

    /// Loads through both handles, which must agree. For use while nothing writes.
    pub(crate) async fn load(&self, slots: &[SlotName]) -> Result<Snapshot, Violation> {
        let (first, second) = (self.load_through(0, slots).await?, self.load_through(1, slots).await?);
        holds!(first == second, Acknowledged, "two handles of one store show {first:?} and {second:?}");
        Ok(first)
    }

    pub(crate) async fn one(&self, slot: SlotName) -> Result<Option<Bytes>, Violation> {
        Ok(self.load(&[slot]).await?.records.into_iter().next().flatten())
    }

    /// Returns the root's revision, read through both handles.
    pub(crate) async fn root(&self) -> Result<Option<Revision>, Violation> {
        Ok(self.load(&[]).await?.root.map(|root| root.revision))
    }

    /// Returns how many of these slots hold a record.
    pub(crate) async fn count(&self, slots: &[SlotName]) -> Result<usize, Violation> {
        Ok(self.load(slots).await?.records.iter().flatten().count())
    }

    /// Returns all events of a chain, newest first.
    pub(crate) async fn events(&self, chain: EventChain) -> Result<Vec<StoredEvent>, Violation> {
        let page = self.handles.records(self.next_handle()).events(&self.account, chain, None, u32::MAX).await?;
        Ok(page.events)
    }

    /// Returns the numbers of all events of a chain, newest first.
    pub(crate) async fn numbers(&self, chain: EventChain) -> Result<Vec<EventNumber>, Violation> {
        Ok(self.events(chain).await?.iter().map(|event| event.number).collect())
    }

    /// Returns every row of the vault, read through both handles, which must agree.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>, Violation> {
        Ok(self.read(Which::All).await?.rows)
    }

    pub(crate) async fn read(&self, which: Which<'_>) -> Result<VaultRows, Violation> {
        let first = self.handles.needs_vault(0)?.read(&self.account, which).await?;
        let second = self.handles.needs_vault(1)?.read(&self.account, which).await?;
        holds!(first == second, Acknowledged, "two handles of one vault show {first:?} and {second:?}");
        Ok(first)
    }

    pub(crate) async fn stage(&self, stage: u8, rows: Vec<Row>, purge_after: UnixSeconds) -> Result<(), Violation> {
        let vault = self.handles.needs_vault(self.next_handle())?;
        vault.stage(&self.account, stage_id(stage), rows, purge_after).await.map_err(Violation::Commit)
    }

    pub(crate) async fn staged(&self, stage: u8) -> Result<Vec<(CipherId, Mark)>, Violation> {
        Ok(self.handles.needs_vault(self.next_handle())?.staged(&self.account, stage_id(stage)).await?)
    }

    /// Returns the texts of a stage, read in pages of two.
    pub(crate) async fn staged_texts(&self, stage: u8) -> Result<Vec<StagedText>, Violation> {
        let mut texts: Vec<StagedText> = Vec::new();
        loop {
            let after = texts.last().map(|text| text.id);
            let store = self.handles.needs_vault(self.next_handle())?;
            let page = store.staged_texts(&self.account, stage_id(stage), after, 2).await?;
            let ascends = page.iter().map(|text| text.id).is_sorted_by(|a, b| a < b)
                && page.first().is_none_or(|first| after.is_none_or(|after| first.id > after));
            holds!(ascends && page.len() <= 2, Stages, "behind {after:?}, two texts of a stage were read as {page:?}");
            if page.is_empty() {
                return Ok(texts);
            }
            texts.extend(page);
        }
    }

    /// Moves the store's horizon, a day a round, until it is at `moment`.
    pub(crate) async fn move_horizon(&self, moment: UnixSeconds) -> Result<(), Violation> {
        for _ in 0..PATIENCE {
            let upkeep = self.handles.upkeep(self.next_handle());
            if upkeep.move_horizon(moment).await.map_err(Violation::Commit)? >= moment {
                return Ok(());
            }
        }
        holds!(false, Horizon, "the horizon does not reach a moment near the one at which it started");
        Ok(())
    }

    pub(crate) async fn sweep(&self, limit: u32) -> Result<u64, Violation> {
        self.handles.upkeep(self.next_handle()).sweep(limit).await.map_err(Violation::Commit)
    }

    /// Tries to apply what `write` makes on a root, for as long as the root has that revision.
    /// Returns the new revision if it was applied.
    pub(crate) async fn contend(
        &self,
        handle: usize,
        expect: Option<Revision>,
        write: impl Fn() -> Result<Write, Violation>,
    ) -> Result<Option<Revision>, Violation> {
        for _ in 0..PATIENCE {
            let write = write()?;
            let revision = write.revision;
            if self.commit_through(handle, self.batch(expect, write)?).await? {
                return Ok(Some(revision));
            }
            let now = self.load_through(handle, &[]).await?.root.map(|root| root.revision);
            if now != expect {
                return Ok(None);
            }
        }
        Err(Violation::suite("a racer met nothing but conflicts, though the root it rests on never changed"))
    }
}

/// Runs `count` tasks that all start at once. The first error ends the run.
pub(crate) async fn together<T, F>(count: usize, task: impl Fn(usize) -> F) -> Result<Vec<T>, Violation>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Violation>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (start, work) = (Arc::clone(&start), task(number));
        tasks.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    let mut results = Vec::new();
    while let Some(done) = tasks.join_next().await {
        results.push(done.map_err(Violation::suite)??);
    }
    Ok(results)
}

/// Runs two tasks that start at once, on threads of the runtime.
pub(crate) async fn meet<A, B>(
    first: impl Future<Output = Result<A, Violation>> + Send + 'static,
    second: impl Future<Output = Result<B, Violation>> + Send + 'static,
) -> Result<(A, B), Violation>
where
    A: Send + 'static,
    B: Send + 'static,
{
    let start = Arc::new(Barrier::new(2));
    let other = Arc::clone(&start);
    let first = tokio::spawn(async move {
        start.wait().await;
        first.await
    });
    let second = tokio::spawn(async move {
        other.wait().await;
        second.await
    });
    let (first, second) = (first.await, second.await);
    Ok((first.map_err(Violation::suite)??, second.map_err(Violation::suite)??))
}

/// Two numbers of yields, different in each round, that two racing tasks wait before they start.
pub(crate) const fn leads(round: usize) -> (usize, usize) {
    (round % 7, (round / 7) % 11)
}

/// Lets other tasks run.
pub(crate) async fn pause(turns: usize) {
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Lets a writer continue until the readers have read often enough, and the readers until the
/// writer is done. On a busy machine, one of them could otherwise finish before the other starts.
#[derive(Default)]
pub(crate) struct Watch {
    over: AtomicBool,
    looks: AtomicU32,
}

impl Watch {
    /// Counts one read. Returns whether there is still something to see.
    pub(crate) fn look(&self) -> bool {
        self.looks.fetch_add(1, Ordering::SeqCst);
        !self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn looks(&self) -> u32 {
        self.looks.load(Ordering::SeqCst)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}
