//! What happens around the step of every endpoint: first, due work that earlier requests have left
//! is done; then the step runs and is committed; then the work is done that this commit made due.
//! (*Due work* is what the host must do after a commit; see [`keywright_store::due`].) The host's
//! methods are called outside of any commit, so they may use the driver on the same account.
//!
//! Notices left by other requests are not sent here. Unknown clients can cause them, and the
//! owner's request would have to wait for a slow mail server. Only [`finish_due`] sends them.

use std::future::Future;

use keywright_core::AccountId;
use keywright_store::due::{self, Attempt, DUE, DueTask, DueWork, OnFailure};
use keywright_store::{Draft, Driver, Partition, Receipt, Release, SlotName, StepError, TransactError, WrongReceipt};

use crate::error::{DueError, HostError};

/// How the failure of a task affects requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the three weights that a task has")]
pub enum Weight {
    /// The request that made the task due tries it; after that only [`finish_due`] does. No other
    /// request waits for it, and no request fails because of it. Example: a notice.
    Later,
    /// The request whose commit made the task due fails with it. Example: ending an app token.
    Required,
    /// Like [`Required`](Self::Required), and until the task is done, the account's other requests
    /// to this protocol are answered as busy. If the other protocols must be blocked too, as by an
    /// erasure, add the task as [blocking](keywright_store::due::NewTask::blocking).
    Blocking,
}

/// The due work of a protocol, and how to do it.
pub trait HostWork: Sync {
    /// Returns the weight of a task by its name, or `None` for a task of another protocol, which is
    /// left to its owner.
    fn weight(&self, name: &str) -> Option<Weight>;

    /// Does a task. It must be idempotent.
    fn work(&self, account: &AccountId, task: &DueTask) -> impl Future<Output = Result<(), HostError>> + Send;
}

/// The result of one run of the framed step. `after` is what was read of the account's due work
/// once the step had run.
enum Run<T, A> {
    Due(Vec<DueTask>),
    /// For so many seconds.
    Blocked(u64),
    Done {
        value: T,
        after: A,
    },
}

impl<T: Release, A> Release for Run<T, A> {
    type Released = Run<T::Released, A>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Due(tasks) => Run::Due(tasks),
            Self::Blocked(seconds) => Run::Blocked(seconds),
            Self::Done { value, after } => Run::Done { value: value.release(receipt)?, after },
        })
    }
}

/// Runs an endpoint's step on one account. First it does whatever is still due, except notices;
/// then it runs and commits the step; then it does what that commit made due, except for tasks
/// whose claims the step has given up ([`due::put_back`]), which any later caller may claim.
/// `slots` are the slots that the step needs; [`DUE`] is added.
///
/// # Errors
/// Returns [`DueError`] if the store failed, or if the host failed at work that this request needs.
/// What was committed remains committed, and its work is tried again later. If the store fails
/// after the step was committed, the error is [`TransactError::Unknown`], so that the change is not
/// reported as refused.
pub async fn run<W, T>(
    driver: &Driver,
    account: &AccountId,
    host: &W,
    slots: &[SlotName],
    step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
) -> Result<T::Released, DueError>
where
    W: HostWork,
    T: Release + Send,
{
    let made = |draft: &mut Draft<'_>, before: &[DueTask]| {
        let (mut due, now) = (due::pending(draft)?, draft.now());
        let is_new = |task: &DueTask| before.iter().all(|old| old.id != task.id);
        due.retain(|task| host.weight(&task.name).is_some() && is_new(task) && !task.is_free(now));
        Ok(due)
    };
    let (value, made) = commit(driver, account, host, slots, step, made).await?;
    finish_own(driver, account, host, made.unwrap_or_default()).await?;
    Ok(value)
}

/// Like [`run`], but does not do the work that the step makes due. The step must add its tasks
/// unclaimed ([`due::put_back`]), so that another worker can claim them. Also returns whether any
/// unclaimed work of this protocol is due, from this commit or an earlier one.
///
/// # Errors
/// Returns [`DueError`], as [`run`] does.
pub async fn run_deferred<W, T>(
    driver: &Driver,
    account: &AccountId,
    host: &W,
    slots: &[SlotName],
    step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
) -> Result<(T::Released, bool), DueError>
where
    W: HostWork,
    T: Release + Send,
{
    let is_left = |draft: &mut Draft<'_>, _: &[DueTask]| {
        Ok(draft.exists() && due::has_unclaimed(draft, |name| host.weight(name).is_some())?)
    };
    let (value, is_left) = commit(driver, account, host, slots, step, is_left).await?;
    Ok((value, is_left.unwrap_or(false)))
}

/// Does the due work that must be done first, then runs the step and commits it. Once the step has
/// run, `after` reads the account's due work; it receives the tasks that were due before. It is not
/// called if the account does not exist.
async fn commit<W, T, A>(
    driver: &Driver,
    account: &AccountId,
    host: &W,
    slots: &[SlotName],
    mut step: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    mut after: impl FnMut(&mut Draft<'_>, &[DueTask]) -> Result<A, StepError> + Send,
) -> Result<(T::Released, Option<A>), DueError>
where
    W: HostWork,
    T: Release + Send,
    A: Send,
{
    let partition = Partition::account(account);
    let slots: Vec<SlotName> = std::iter::once(DUE.name()).chain(slots.iter().copied()).collect();
    let is_needed = |name: &str| is_needed(host, name);
    loop {
        let run = driver.run(&partition, &slots, |draft| {
            if !draft.exists() {
                // The step itself decides what a missing account means.
                return Ok(Run::Done { value: step(draft)?, after: None });
            }
            if due::has_unclaimed(draft, is_needed)? {
                return due::claim(draft, is_needed).map(Run::Due);
            }
            let before = due::pending(draft)?;
            let blocks = |task: &DueTask| task.is_blocking() || host.weight(&task.name) == Some(Weight::Blocking);
            let now = draft.now();
            if let Some(seconds) = before.iter().filter(|task| blocks(task)).map(|task| task.retry_after(now)).max() {
                return Ok(Run::Blocked(seconds));
            }
            let value = step(draft)?;
            Ok(Run::Done { value, after: Some(after(draft, &before)?) })
        });
        match run.await? {
            Run::Due(tasks) => {
                run_due(driver, account, host, &tasks, Weight::Blocking).await?;
            }
            // The data of an earlier account is still being erased: nothing may be stored until
            // that is done.
            Run::Blocked(retry_after) => return Err(DueError::Blocked { retry_after }),
            Run::Done { value, after } => return Ok((value, after)),
        }
    }
}

/// Does the work that a request's own commit made due. Work that the request needs comes first; a
/// failed notice never makes the request fail.
async fn finish_own<W: HostWork>(
    driver: &Driver,
    account: &AccountId,
    host: &W,
    made: Vec<DueTask>,
) -> Result<(), DueError> {
    let (needed, notices): (Vec<_>, Vec<_>) = made.into_iter().partition(|task| is_needed(host, &task.name));
    let worked = run_due(driver, account, host, &needed, Weight::Required).await;
    if let Err(error) = run_due(driver, account, host, &notices, Weight::Required).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "a change was committed, but its notices are still due"
        );
    }
    match worked {
        Ok(_) => Ok(()),
        Err(DueError::Transact(error @ TransactError::Unknown(_))) => Err(error.into()),
        // The step is committed, so "busy", or any other error that reports that nothing was
        // written, would be false.
        Err(DueError::Transact(error)) => Err(TransactError::Unknown(error.into()).into()),
        Err(error) => Err(error),
    }
}

/// Whether requests wait for a task, and the request that made it due fails with it.
fn is_needed<W: HostWork>(host: &W, name: &str) -> bool {
    host.weight(name).is_some_and(|weight| weight > Weight::Later)
}

/// Does the work that an account's commits made due and that a crash or a failing host has left
/// undone, notices included. Returns how many tasks were done. With `at_start`, pauses and the
/// claims of earlier processes are ignored. Set it only when a server starts and no other process
/// uses the store.
///
/// # Errors
/// Returns [`DueError`] if the store or the host failed; the work is tried again later.
pub async fn finish_due<W: HostWork>(
    driver: &Driver,
    account: &AccountId,
    host: &W,
    at_start: bool,
) -> Result<usize, DueError> {
    let partition = Partition::account(account);
    let work = DueWork::new(driver, &partition);
    let is_own = |name: &str| host.weight(name).is_some();
    let tasks = if at_start { work.claim_now(is_own).await? } else { work.claim(is_own).await? };
    run_due(driver, account, host, &tasks, Weight::Later).await
}

/// Does the work of [`finish_due`] that no request may fail for, unless the host does it in its own
/// time. A failure is logged, and the work stays due.
pub async fn finish_quietly<W: HostWork>(driver: &Driver, account: &AccountId, host: &W, left_to_host: bool) {
    if left_to_host {
        return;
    }
    if let Err(error) = finish_due(driver, account, host, false).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "work for the host stays due");
    }
}

/// Does what is still due, except notices, for a request whose step may run only once that work is
/// done. Returns how many tasks were done.
///
/// # Errors
/// Returns [`DueError`] if the store or the host failed; the work is tried again later.
pub async fn finish_needed<W: HostWork>(driver: &Driver, account: &AccountId, host: &W) -> Result<usize, DueError> {
    let partition = Partition::account(account);
    let tasks = DueWork::new(driver, &partition).claim(|name| is_needed(host, name)).await?;
    run_due(driver, account, host, &tasks, Weight::Required).await
}

/// Does claimed tasks and removes them from the list. A task below `required` that fails is
/// postponed; the failure of any other task ends the run.
async fn run_due<W: HostWork>(
    driver: &Driver,
    account: &AccountId,
    host: &W,
    tasks: &[DueTask],
    required: Weight,
) -> Result<usize, DueError> {
    if tasks.is_empty() {
        return Ok(0);
    }
    let partition = Partition::account(account);
    let attempt = |task| async move {
        match host.work(account, task).await {
            Ok(()) => Ok(Attempt::Done),
            Err(error) if host.weight(&task.name).is_none_or(|weight| weight < required) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(task = task.name, failures = task.failures, error, "work for the host is still due");
                Ok(Attempt::Later)
            }
            Err(error) => Err(error.of_due_work()),
        }
    };
    let on_failure = if required == Weight::Later { OnFailure::GoOn } else { OnFailure::Stop };
    let worked = DueWork::new(driver, &partition).run(tasks, on_failure, attempt).await?;
    if let Some(fault) = &worked.unreleased {
        tracing::warn!(error = fault as &dyn std::error::Error, "a claim on due work could not be released");
    }
    Ok(worked.result()?)
}

#[cfg(test)]
mod tests {
    use std::ops::Deref;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use keywright_store::MemoryStore;
    use keywright_store::due::NewTask;
    use keywright_store_conformance::{Fault, FaultStore};

    use super::*;

    struct World {
        base: keywright_testing::World,
        fails: AtomicBool,
        tried: AtomicUsize,
        done: AtomicUsize,
    }

    impl Deref for World {
        type Target = keywright_testing::World;

        fn deref(&self) -> &Self::Target {
            &self.base
        }
    }

    impl HostWork for World {
        fn weight(&self, name: &str) -> Option<Weight> {
            match name {
                "test/erase" => Some(Weight::Blocking),
                "test/end" => Some(Weight::Required),
                "test/notice" => Some(Weight::Later),
                _ => None,
            }
        }

        async fn work(&self, account: &AccountId, _: &DueTask) -> Result<(), HostError> {
            // A host method may use the driver on the same account.
            self.driver.ensure_account(account).await.map_err(HostError::new)?;
            self.driver.transact(&account.into(), &[], |draft| draft.mark_seeded()).await.map_err(HostError::new)?;
            self.tried.fetch_add(1, Ordering::SeqCst);
            if self.fails.load(Ordering::SeqCst) {
                return Err(HostError::new("down"));
            }
            self.done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    async fn world() -> World {
        world_on(Arc::new(MemoryStore::new())).await
    }

    async fn world_on(store: Arc<dyn keywright_testing::Store>) -> World {
        let base = keywright_testing::World::builder().store(store).build().await;
        let (tried, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        World { base, fails: AtomicBool::new(false), tried, done }
    }

    impl World {
        async fn act(&self, task: &'static str) -> Result<(), DueError> {
            run(&self.driver, &self.account, self, &[], |draft| {
                due::add(draft, NewTask::new(task, Vec::new())).map(|_| ())
            })
            .await
        }

        async fn look(&self) -> Result<(), DueError> {
            run(&self.driver, &self.account, self, &[], |_| Ok(())).await
        }

        fn done(&self) -> usize {
            self.done.load(Ordering::SeqCst)
        }

        fn tried(&self) -> usize {
            self.tried.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn what_a_commit_makes_due_is_done_before_the_answer() {
        let world = world().await;
        for (at, task) in ["test/erase", "test/end", "test/notice"].into_iter().enumerate() {
            world.act(task).await.unwrap();
            assert_eq!(world.done(), at + 1);
        }
    }

    #[tokio::test]
    async fn a_failed_erasure_blocks_a_failed_notice_does_not() {
        let world = world().await;
        world.fails.store(true, Ordering::SeqCst);
        world.act("test/notice").await.unwrap();
        assert!(matches!(world.act("test/erase").await, Err(DueError::Host(_))));
        // During its pause, other requests are answered as busy; after it they try the task, and
        // fail with it. None of them tries the notice.
        assert!(matches!(world.look().await, Err(DueError::Blocked { .. })));
        world.clock.advance(2);
        assert!(matches!(world.look().await, Err(DueError::Host(_))));
        world.fails.store(false, Ordering::SeqCst);
        assert!(matches!(world.look().await, Err(DueError::Blocked { .. })), "the pause has grown");
        world.clock.advance(4);
        world.look().await.unwrap();
        assert_eq!((world.done(), world.tried()), (1, 4));
        assert_eq!(finish_due(&world.driver, &world.account, &world, false).await.unwrap(), 1);
        assert_eq!(world.done(), 2);
    }

    #[tokio::test]
    async fn what_is_left_to_others_is_reported_and_not_done() {
        let world = world().await;
        let leave = |draft: &mut Draft<'_>| {
            let task = due::add(draft, NewTask::new("test/notice", Vec::new()))?;
            due::put_back(draft, &[task])
        };
        let ((), is_left) = run_deferred(&world.driver, &world.account, &world, &[], leave).await.unwrap();
        assert_eq!((is_left, world.tried()), (true, 0));
        // Every step reports it until it is done.
        let look = async || run_deferred(&world.driver, &world.account, &world, &[], |_| Ok(())).await;
        assert!(matches!(look().await, Ok(((), true))));
        assert_eq!(finish_due(&world.driver, &world.account, &world, false).await.unwrap(), 1);
        assert!(matches!(look().await, Ok(((), false))));
        // Another protocol's blocking work holds up this step, as it does every step.
        let erase =
            |draft: &mut Draft<'_>| due::add(draft, NewTask::new("other/erase", Vec::new()).blocking()).map(drop);
        world.driver.transact(&(&world.account).into(), &[DUE.name()], erase).await.unwrap();
        assert!(matches!(look().await, Err(error) if error.is_busy()));
    }

    #[tokio::test]
    async fn what_others_left_to_be_told_no_request_tries() {
        let world = world().await;
        world.fails.store(true, Ordering::SeqCst);
        for _ in 0..10 {
            world.act("test/notice").await.unwrap();
        }
        world.clock.advance(3_600);
        let tried = world.tried();
        world.look().await.unwrap();
        assert_eq!(finish_needed(&world.driver, &world.account, &world).await.unwrap(), 0);
        assert_eq!(world.tried(), tried);
        // A request's own notice is neither delayed by the work that the request needs, nor ends
        // that work.
        assert!(matches!(world.act("test/end").await, Err(DueError::Host(_))));
        world.clock.advance(3_600);
        world.fails.store(false, Ordering::SeqCst);
        assert_eq!(finish_needed(&world.driver, &world.account, &world).await.unwrap(), 1);
        assert_eq!(finish_due(&world.driver, &world.account, &world, false).await.unwrap(), 10);
    }

    #[tokio::test]
    async fn what_a_step_puts_back_is_left_to_whoever_comes_next() {
        let world = world().await;
        let put_off = |draft: &mut Draft<'_>| {
            let task = due::add(draft, NewTask::new("test/notice", Vec::new()))?;
            due::put_back(draft, &[task])
        };
        run(&world.driver, &world.account, &world, &[], put_off).await.unwrap();
        world.look().await.unwrap();
        assert_eq!(world.tried(), 0);
        assert_eq!(finish_due(&world.driver, &world.account, &world, false).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_store_that_fails_after_the_commit_takes_back_no_answer() {
        for (fault, times) in [(Fault::Rejected, 1), (Fault::Conflict, 50)] {
            for (task, is_needed) in [("test/notice", false), ("test/end", true), ("test/erase", true)] {
                let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new())));
                let world = world_on(store.clone()).await;
                // The first commit is the step's, the second one this host's own; the third removes
                // the task.
                store.next_commit(Fault::None);
                store.next_commit(Fault::None);
                for _ in 0..times {
                    store.next_commit(fault.clone());
                }
                let acted = world.act(task).await;
                if is_needed {
                    // Not "busy", which would report that nothing was written.
                    assert!(matches!(acted, Err(DueError::Transact(TransactError::Unknown(_)))), "{task}: {acted:?}");
                } else {
                    acted.unwrap();
                }
                assert_eq!(world.done(), 1);
                store.calm();
            }
        }
    }

    /// A protocol that does not know the erasure does not serve the account while it lasts.
    #[tokio::test]
    async fn an_erasure_of_another_part_holds_up_every_protocol() {
        let world = world().await;
        let add = |draft: &mut Draft<'_>| {
            due::add(draft, NewTask::new("other/notice", Vec::new()))?;
            due::add(draft, NewTask::new("other/erase", Vec::new()).blocking())
        };
        let erasure = world.driver.transact(&(&world.account).into(), &[DUE.name()], add).await.unwrap();
        assert!(matches!(world.look().await, Err(DueError::Blocked { retry_after: 1 })));
        // Whoever erased is slow or dead: others take over when its claim has ended.
        world.clock.advance(10);
        assert!(matches!(world.look().await, Err(DueError::Blocked { retry_after: 80 })));
        let strike = |draft: &mut Draft<'_>| due::complete(draft, &erasure);
        assert!(world.driver.transact(&(&world.account).into(), &[DUE.name()], strike).await.unwrap());
        world.look().await.unwrap();
    }

    #[tokio::test]
    async fn a_start_passes_over_pauses_and_dead_claims() {
        let world = world().await;
        let add = |draft: &mut Draft<'_>| due::add(draft, NewTask::new("test/erase", Vec::new())).map(|_| ());
        // The task was claimed by a process that died.
        world.driver.transact(&(&world.account).into(), &[DUE.name()], add).await.unwrap();
        assert!(matches!(world.look().await, Err(DueError::Blocked { .. })));
        assert_eq!(finish_due(&world.driver, &world.account, &world, false).await.unwrap(), 0);
        assert_eq!(finish_due(&world.driver, &world.account, &world, true).await.unwrap(), 1);
        world.look().await.unwrap();
    }
}
