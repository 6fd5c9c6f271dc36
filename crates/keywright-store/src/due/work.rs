//! Working off what is due: claim, do, strike, and give back what failed.

use std::vec::Vec;

use super::{DueTask, claim, complete, release};
use crate::{Draft, Driver, Partition, Slot, StepError, TransactError, Turn};

/// An account's due work, as one server does it. The claims are what keeps others from it; a turn only adds that nobody
/// in this process meets the account meanwhile.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use keywright_core::{AccountId, Keyring, SystemClock, SystemEntropy};
/// # use keywright_store::{Driver, MemoryStore, Partition, Slot};
/// use keywright_store::due::{self, Attempt, DueWork, OnFailure};
///
/// # futures_lite::future::block_on(async {
/// # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
/// # let driver = Driver::new(Arc::new(MemoryStore::new()), keyring, Arc::new(SystemEntropy), Arc::new(SystemClock));
/// let account = Partition::account(&AccountId::new("user-1")?);
/// let (task, _) = driver.transact(&account, &[Slot::Due], |draft| {
///     draft.create_account()?;
///     due::add(draft, "example/greet", b"hello".to_vec()) // claimed: whoever commits it does it
/// }).await?;
///
/// let work = DueWork::unheld(&driver, &account);
/// let down = async |_: &_| Err("the mail server is down");
/// let worked = work.work_off(&[task], OnFailure::Stop, down).await?;
/// assert_eq!((worked.done, worked.failure), (0, Some("the mail server is down")));
///
/// // It was given back, so the next may try at once.
/// let claimed = work.claim(|name| name == "example/greet").await?;
/// let mut said = Vec::new();
/// let worked = work.work_off(&claimed, OnFailure::Stop, |task| {
///     said.push(task.detail.clone());
///     async { Ok::<_, &str>(Attempt::Done) }
/// }).await?;
/// assert_eq!(worked.done, 1);
/// assert_eq!(said, [b"hello"]);
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DueWork<'a> {
    driver: &'a Driver,
    place: Place<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Place<'a> {
    Held(&'a Turn),
    Unheld(&'a Partition),
}

/// What came of one attempt at a task that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// It is done: strike it.
    Done,
    /// It stays due under this claim, so it is tried again when that has run out and not by every request.
    Later,
}

/// What becomes of the other tasks when one has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// None of them is tried: it and all after it are given back.
    Stop,
    /// They are tried all the same; it alone is given back.
    GoOn,
}

/// What came of claimed tasks.
#[derive(Debug)]
#[non_exhaustive]
#[must_use]
pub struct Worked<E> {
    /// How many were done and struck.
    pub done: usize,
    /// The last failure; its task is still due.
    pub failure: Option<E>,
    /// Why claims could not be given back after [`OnFailure::Stop`]: whoever comes next must wait until they run out.
    pub unreleased: Option<TransactError>,
}

impl<E> Worked<E> {
    /// How many were done, if none has failed.
    ///
    /// # Errors
    /// The last failure.
    pub fn result(self) -> Result<usize, E> {
        self.failure.map_or(Ok(self.done), Err)
    }
}

impl<'a> DueWork<'a> {
    /// In a turn that is held throughout: no other request of this process meets the account before it is done.
    #[must_use]
    pub const fn held(driver: &'a Driver, turn: &'a Turn) -> Self {
        Self { driver, place: Place::Held(turn) }
    }

    /// In turns of its own, one for each commit: work that is slow holds up nobody else.
    #[must_use]
    pub const fn unheld(driver: &'a Driver, partition: &'a Partition) -> Self {
        Self { driver, place: Place::Unheld(partition) }
    }

    /// Commits a [`claim`](claim()) on the caller's own tasks that nobody is at.
    ///
    /// # Errors
    /// As [`Driver::transact`].
    pub async fn claim(&self, own: impl Fn(&str) -> bool + Sync) -> Result<Vec<DueTask>, TransactError> {
        self.commit(|draft| claim(draft, &own)).await
    }

    /// Does tasks that the caller has claimed, oldest first, and strikes each once it is done. `work` must be idempotent.
    ///
    /// # Errors
    /// As [`Driver::transact`], if a task cannot be struck, or given back with [`OnFailure::GoOn`]. The claims of what
    /// is left stay until they run out.
    pub async fn work_off<'t, E, F>(
        &self,
        claimed: &'t [DueTask],
        on_failure: OnFailure,
        mut work: impl FnMut(&'t DueTask) -> F,
    ) -> Result<Worked<E>, TransactError>
    where
        F: Future<Output = Result<Attempt, E>>,
    {
        let mut worked = Worked { done: 0, failure: None, unreleased: None };
        let mut left = claimed;
        while let Some((task, rest)) = left.split_first() {
            match work(task).await {
                Ok(Attempt::Done) => {
                    self.commit(|draft| complete(draft, task)).await?;
                    worked.done = worked.done.saturating_add(1);
                }
                Ok(Attempt::Later) => {}
                Err(failure) => {
                    worked.failure = Some(failure);
                    match on_failure {
                        OnFailure::Stop => {
                            worked.unreleased = self.commit(|draft| release(draft, left)).await.err();
                            return Ok(worked);
                        }
                        OnFailure::GoOn => self.commit(|draft| release(draft, core::slice::from_ref(task))).await?,
                    }
                }
            }
            left = rest;
        }
        Ok(worked)
    }

    async fn commit<T, F>(&self, step: F) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        let committed = match self.place {
            Place::Held(turn) => self.driver.transact_in(turn, &[Slot::Due], step).await,
            Place::Unheld(partition) => self.driver.transact(partition, &[Slot::Due], step).await,
        };
        committed.map(|(value, _)| value)
    }
}
