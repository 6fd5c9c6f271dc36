//! A store on which other servers are faster, and replies are lost, at a moment that a test
//! chooses.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use keywright_store::{Batch, CommitError, Draft, Driver, Partition, RecordStore as _, Shortage, SlotName, StepError};
use keywright_store_conformance::glass::{GlassStore, Rows};
use keywright_testing::HookedStore;

/// What another server does meanwhile.
type Step = fn(&mut Draft<'_>) -> Result<(), StepError>;

/// What happens to one commit.
#[derive(Clone)]
pub(crate) enum Loss {
    /// Another server's step is committed first.
    Overtaken(Step),
    /// The commit is applied, then so many steps of another server are, then its reply is lost.
    After(u32, Step),
    /// So many steps of another server are applied, and the commit itself is lost.
    Before(u32, Step),
    /// The commit is applied, the rows are changed without the driver, and its reply is lost.
    AfterThen(fn(&mut Rows)),
    /// The store is busy, and takes the commit back.
    Busy,
    /// No reply ever comes. The value is whether the commit is applied.
    Hangs(bool),
}

/// Between a driver and its store.
pub(crate) struct Between {
    store: Arc<GlassStore>,
    other: Driver,
    account: Partition,
    script: Mutex<VecDeque<Loss>>,
    pub(crate) commits: Mutex<u32>,
}

impl Between {
    pub(crate) fn new(store: Arc<GlassStore>, other: Driver, account: Partition) -> Arc<Self> {
        Arc::new(Self { store, other, account, script: Mutex::default(), commits: Mutex::default() })
    }

    pub(crate) fn next(&self, loss: Loss) {
        self.script.lock().unwrap().push_back(loss);
    }

    async fn others(&self, count: u32, step: Step) {
        let slots: Vec<SlotName> = self.other.slots_of(&self.account).await.unwrap_or_default();
        for _ in 0..count {
            self.other.transact(&self.account, &slots, step).await.unwrap();
        }
    }

    async fn commit_so(&self, batch: Batch) -> Result<(), CommitError> {
        *self.commits.lock().unwrap() += 1;
        let loss = self.script.lock().unwrap().pop_front();
        match loss {
            None => return self.store.commit(batch).await,
            Some(Loss::Overtaken(step)) => {
                self.others(1, step).await;
                return self.store.commit(batch).await;
            }
            Some(Loss::After(count, step)) => {
                self.store.commit(batch).await.unwrap();
                self.others(count, step).await;
            }
            Some(Loss::Before(count, step)) => self.others(count, step).await,
            Some(Loss::AfterThen(change)) => {
                self.store.commit(batch).await.unwrap();
                self.store.edit(change);
            }
            Some(Loss::Busy) => return Err(CommitError::Rejected(Shortage::Busy.into())),
            Some(Loss::Hangs(lands)) => {
                if lands {
                    self.store.commit(batch).await.unwrap();
                }
                std::future::pending().await
            }
        }
        Err(CommitError::Unknown("lost on purpose".into()))
    }
}

/// A step of another server that touches only the root of ours.
pub(crate) fn counts(draft: &mut Draft<'_>) -> Result<(), StepError> {
    crate::count(draft).map(drop)
}

impl Between {
    /// Returns the store.
    pub(crate) fn store(self: &Arc<Self>) -> Arc<HookedStore<GlassStore>> {
        let (store, between) = (HookedStore::new(Arc::clone(&self.store)), Arc::clone(self));
        store.instead_of_commit(move |batch| {
            let between = Arc::clone(&between);
            async move { between.commit_so(batch).await }
        });
        store
    }
}

impl crate::World {
    /// A server on a store of this kind.
    pub(crate) fn between(&self) -> (Driver, Arc<Between>) {
        let between = Between::new(Arc::clone(&self.glass), self.calm(), self.partition.clone());
        (self.driver_on(between.store()), between)
    }
}
