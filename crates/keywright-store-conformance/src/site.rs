//! Where a case works: one partition of one store, and the few things that every case does there.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bytes::Bytes;
use keywright_core::{AccountId, SecurityEvent, SystemEntropy, UnixSeconds, random_bytes};
use keywright_store::{
    Batch, CipherId, CommitError, Effect, EventId, Expect, Mark, Partition, Revision, Row, Slot, StageId, Stored,
    VaultWrite, Write,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::violation::holds;
use crate::{Backend, Violation};

/// A moment long before any clock that a backend could read.
pub(crate) const LONG_AGO: UnixSeconds = UnixSeconds::EPOCH.plus(1_000);

/// How often a racer tries again after a conflict that nobody else explains: some databases give such ones.
const PATIENCE: u32 = 256;

#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) store: Arc<dyn Backend>,
    pub(crate) account: Partition,
}

pub(crate) fn draw() -> Result<Revision, Violation> {
    Ok(Revision::random(&SystemEntropy)?)
}

pub(crate) const fn host(id: u8) -> Slot {
    Slot::Host([id; 16])
}

pub(crate) const fn at(revision: Revision) -> Expect {
    Expect::Revision(revision)
}

pub(crate) const fn check(slot: Slot, expect: Expect) -> Write {
    Write { slot, expect, effect: Effect::Check }
}

pub(crate) const fn delete(slot: Slot, expect: Expect) -> Write {
    Write { slot, expect, effect: Effect::Delete }
}

pub(crate) fn put(slot: Slot, expect: Expect, body: impl Into<Bytes>) -> Write {
    Write { slot, expect, effect: Effect::Put { body: body.into(), purge_after: None } }
}

pub(crate) fn put_until(slot: Slot, expect: Expect, body: impl Into<Bytes>, purge_after: UnixSeconds) -> Write {
    Write { slot, expect, effect: Effect::Put { body: body.into(), purge_after: Some(purge_after) } }
}

/// The note beside a cipher: one per id, so that a swap, which keeps notes, leaves what a test compares with.
fn meta_of(id: u8) -> Bytes {
    vec![id, 0, 0xff].into()
}

pub(crate) fn row(id: u8, mark: u8, body: impl Into<Bytes>) -> Row {
    Row { id: CipherId([id; 16]), mark: Mark([mark; 16]), body: body.into(), meta: meta_of(id) }
}

pub(crate) const fn stage_id(id: u8) -> StageId {
    StageId([id; 16])
}

impl Site {
    /// A partition of its own, without a root record.
    pub(crate) fn bare(store: &Arc<dyn Backend>) -> Result<Self, Violation> {
        let id = hex::encode(random_bytes::<8>(&SystemEntropy)?);
        Self::named(store, &format!("account-{id}"))
    }

    pub(crate) fn named(store: &Arc<dyn Backend>, id: &str) -> Result<Self, Violation> {
        Ok(Self { store: Arc::clone(store), account: Partition::account(&AccountId::new(id)?) })
    }

    /// A partition of its own with a root record, and the root's revision.
    pub(crate) async fn made(store: &Arc<dyn Backend>) -> Result<(Self, Revision), Violation> {
        let site = Self::bare(store)?;
        let root = site.make().await?;
        Ok((site, root))
    }

    /// Puts the first root record.
    pub(crate) async fn make(&self) -> Result<Revision, Violation> {
        self.land(self.batch(vec![put(Slot::Root, Expect::Absent, "root")])?).await
    }

    /// A batch of these writes under a fresh revision.
    pub(crate) fn batch(&self, writes: Vec<Write>) -> Result<Batch, Violation> {
        Ok(Batch::new(self.account.clone(), draw()?, writes)?)
    }

    /// Commits; gives whether the batch landed.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<bool, Violation> {
        match self.store.commit(batch).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(Violation::Commit(error)),
        }
    }

    /// Commits what must land. Gives its revision.
    pub(crate) async fn land(&self, batch: Batch) -> Result<Revision, Violation> {
        let revision = batch.revision();
        let landed = self.commit(batch).await?;
        holds!(landed, Guards, "a batch whose guards all hold was a conflict");
        Ok(revision)
    }

    /// Commits these writes beside a check of the root.
    pub(crate) async fn write(&self, root: Revision, writes: Vec<Write>) -> Result<Revision, Violation> {
        self.land(self.beside(root, writes)?).await
    }

    /// A batch of these writes beside a check of the root.
    pub(crate) fn beside(&self, root: Revision, mut writes: Vec<Write>) -> Result<Batch, Violation> {
        writes.push(check(Slot::Root, at(root)));
        self.batch(writes)
    }

    /// Commits a vault write, moving the head. Gives the head's new revision.
    pub(crate) async fn edit(&self, root: Revision, head: Expect, vault: VaultWrite) -> Result<Revision, Violation> {
        let batch = self.vault_batch(root, head, vault)?;
        self.land(batch).await
    }

    pub(crate) fn vault_batch(&self, root: Revision, head: Expect, vault: VaultWrite) -> Result<Batch, Violation> {
        Ok(self.beside(root, vec![put(Slot::VaultHead, head, "head")])?.with_vault(vault)?)
    }

    pub(crate) async fn load(&self, slots: &[Slot]) -> Result<Vec<Option<Stored>>, Violation> {
        let stored = self.store.load(&self.account, slots).await?;
        holds!(stored.len() == slots.len(), Order, "asked for {} slots, got {}", slots.len(), stored.len());
        Ok(stored)
    }

    pub(crate) async fn one(&self, slot: Slot) -> Result<Option<Stored>, Violation> {
        Ok(self.load(&[slot]).await?.into_iter().next().flatten())
    }

    pub(crate) async fn revision(&self, slot: Slot) -> Result<Option<Revision>, Violation> {
        Ok(self.one(slot).await?.map(|stored| stored.revision))
    }

    pub(crate) async fn events(&self) -> Result<Vec<(EventId, SecurityEvent)>, Violation> {
        Ok(self.store.events(&self.account, None, u32::MAX).await?)
    }

    /// Tries to land what `batch` makes, for as long as `slot` still has the revision `old`. Gives whether it did.
    pub(crate) async fn contend(
        &self,
        slot: Slot,
        old: Option<Revision>,
        batch: impl Fn() -> Result<Batch, Violation>,
    ) -> Result<Option<Revision>, Violation> {
        for _ in 0..PATIENCE {
            let batch = batch()?;
            let revision = batch.revision();
            if self.commit(batch).await? {
                return Ok(Some(revision));
            }
            if self.revision(slot).await? != old {
                return Ok(None);
            }
        }
        Err(Violation::suite("a racer met nothing but conflicts, though the record it rests on never changed"))
    }
}

/// Runs `count` tasks that all start at once; the first error ends it.
pub(crate) async fn together<T, F>(count: u8, task: impl Fn(u8) -> F) -> Result<Vec<T>, Violation>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Violation>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(usize::from(count)));
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

/// Lets a writer go on until the readers have looked often enough, and the readers until the writer is done: on a busy
/// machine either could else be over before the other begins.
#[derive(Default)]
pub(crate) struct Watch {
    over: AtomicBool,
    looks: AtomicU32,
}

impl Watch {
    /// Counts one look; whether there is still something to see.
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
