//! Doing due work: claim a task, do it, then remove it, or give up the claim if it failed. No lock
//! on the partition is held meanwhile.

use super::list::{DUE, DueTask};
use super::{claim, claim_again, claim_now, complete, put_back, release};
use crate::draft::Draft;
use crate::driver::{Driver, TransactError};
use crate::partition::Partition;
use crate::step_error::StepError;

/// Does an account's due work. A claim keeps other servers from doing the same task. Claiming,
/// removing and giving up a task are commits of their own, and the work itself is done between
/// them.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::sync::Arc;
/// # use keywright_core::{AccountId, Keyring, SystemEntropy};
/// # use keywright_store::{Driver, MemoryStore, Partition};
/// use keywright_store::due::{self, Attempt, DUE, DueWork, NewTask, OnFailure};
///
/// # futures_lite::future::block_on(async {
/// # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
/// # let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).build()?;
/// let account = AccountId::new("user-1")?;
/// driver.ensure_account(&account).await?;
/// let account = Partition::account(&account);
/// let task = driver.transact(&account, &[DUE.name()], |draft| {
///     // The task is claimed: the process that commits it does it.
///     due::add(draft, NewTask::new("example/greet", b"hello".to_vec()))
/// }).await?;
///
/// let work = DueWork::new(&driver, &account);
/// let mut said = Vec::new();
/// let done = work.run(&[task], OnFailure::Stop, |task| {
///     said.push(task.detail.clone());
///     async { Ok::<_, &str>(Attempt::Done) }
/// }).await?;
/// assert_eq!(done.done, 1);
/// assert_eq!(said, [b"hello"]);
/// assert!(work.claim(|name| name == "example/greet").await?.is_empty());
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct DueWork<'a> {
    driver: &'a Driver,
    partition: &'a Partition,
}

/// The result of one attempt at a task that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// The task is done and can be removed.
    Done,
    /// The task failed, but the ones after it may go on. It is tried again after a pause.
    Later,
}

/// What happens to the other tasks when one has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// None of them is tried. All tasks after it are returned immediately.
    Stop,
    /// They are tried nevertheless.
    GoOn,
}

/// The result of working on claimed tasks.
#[derive(Debug)]
#[non_exhaustive]
#[must_use]
pub struct WorkReport<E> {
    /// How many tasks were done and removed.
    pub done: usize,
    /// The last failure. Its task is still due.
    pub failure: Option<E>,
    /// Why a claim could not be given up, if so. Other workers must wait until it expires.
    pub unreleased: Option<TransactError>,
}

impl<E> WorkReport<E> {
    /// Returns how many tasks were done, if none has failed.
    ///
    /// # Errors
    /// Returns the last failure.
    pub fn result(self) -> Result<usize, E> {
        self.failure.map_or(Ok(self.done), Err)
    }
}

impl<'a> DueWork<'a> {
    /// Creates a worker for one account.
    #[must_use]
    pub const fn new(driver: &'a Driver, partition: &'a Partition) -> Self {
        Self { driver, partition }
    }

    /// Commits a [`claim`](claim()) on the caller's own tasks that are unclaimed and past their
    /// pause.
    ///
    /// # Errors
    /// Returns the errors of [`Driver::run`].
    pub async fn claim(&self, own: impl Fn(&str) -> bool + Sync) -> Result<Vec<DueTask>, TransactError> {
        self.commit(|draft| claim(draft, &own)).await
    }

    /// Commits a [`claim_now`] on all of the caller's own tasks. This is for the start of a server
    /// that has the store to itself, where every earlier claim is a dead process's.
    ///
    /// # Errors
    /// Returns the errors of [`Driver::run`].
    pub async fn claim_now(&self, own: impl Fn(&str) -> bool + Sync) -> Result<Vec<DueTask>, TransactError> {
        self.commit(|draft| claim_now(draft, &own)).await
    }

    /// Does tasks that the caller has claimed, the oldest first, and removes each once it is done.
    /// `work` must be idempotent. It is called outside of any commit and may use the driver on the
    /// same account.
    ///
    /// # Errors
    /// Returns the errors of [`Driver::run`] if a task that is done cannot be removed. It is then
    /// done once more later.
    pub async fn run<'t, E, F>(
        &self,
        claimed: &'t [DueTask],
        on_failure: OnFailure,
        mut work: impl FnMut(&'t DueTask) -> F,
    ) -> Result<WorkReport<E>, TransactError>
    where
        F: Future<Output = Result<Attempt, E>>,
    {
        let mut report = WorkReport { done: 0, failure: None, unreleased: None };
        let mut left = claimed;
        while let Some((task, rest)) = left.split_first() {
            left = rest;
            // The tasks before may have taken long. A claim that others no longer respect is
            // renewed, or the task is given up.
            let held = if task.claim_is_old(self.driver.clock().now()?) {
                match self.commit(|draft| claim_again(draft, task)).await? {
                    Some(held) => held,
                    None => continue,
                }
            } else {
                task.clone()
            };
            match work(task).await {
                Ok(Attempt::Done) => {
                    if let Err(error) = self.commit(|draft| complete(draft, &held)).await {
                        report.unreleased = self.commit(|draft| put_back(draft, rest)).await.err();
                        return Err(error);
                    }
                    report.done = report.done.saturating_add(1);
                    continue;
                }
                Ok(Attempt::Later) => {}
                Err(failure) => report.failure = Some(failure),
            }
            let released = self.commit(|draft| release(draft, std::slice::from_ref(&held))).await;
            report.unreleased = released.err().or(report.unreleased);
            if report.failure.is_some() && on_failure == OnFailure::Stop {
                if !rest.is_empty() {
                    let returned = self.commit(|draft| put_back(draft, rest)).await;
                    report.unreleased = returned.err().or(report.unreleased);
                }
                break;
            }
        }
        Ok(report)
    }

    async fn commit<T, F>(&self, step: F) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        self.driver.transact(self.partition, &[DUE.name()], step).await
    }
}
