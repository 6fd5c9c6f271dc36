//! The list of cases, and what runs them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use keywright_store::BoxFuture;

use crate::{Backend, FaultHooks, Fixture, Outcome, Violation, cases};

/// How long one case may take, in seconds. The slowest needs a few on a memory store; more than this is a deadlock.
pub const PATIENCE: u64 = 120;

/// How many threads of the runtime work on a case: more than one, so that tasks truly race.
const WORKERS: usize = 4;

type Run = fn(Arc<dyn Backend>) -> BoxFuture<'static, Result<(), Violation>>;

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    run: Run,
}

impl Case {
    /// The case's name: that of its function in [`cases`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Runs it on a fresh, empty store, inside a Tokio runtime with more than one thread and a clock.
    ///
    /// # Errors
    /// [`Violation`], which says what was broken; [`Violation::Hung`] after [`PATIENCE`] seconds.
    pub async fn run(&self, store: Arc<dyn Backend>) -> Result<(), Violation> {
        match tokio::time::timeout(Duration::from_secs(PATIENCE), (self.run)(store)).await {
            Ok(result) => result,
            Err(_) => Err(Violation::Hung(PATIENCE)),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

/// Every case.
#[must_use]
pub fn all() -> &'static [Case] {
    crate::suite!(@registry)
}

/// The case of this name.
#[must_use]
pub fn find(name: &str) -> Option<Case> {
    all().iter().find(|case| case.name == name).copied()
}

/// Runs every case, each on a store of its own, in a runtime of its own. Gives the failed ones; none is a pass.
///
/// # Errors
/// [`Violation::Suite`] if no runtime can be started.
pub fn run_all<F, X>(factory: F) -> Result<Vec<(Case, Violation)>, Violation>
where
    F: AsyncFn() -> X,
    X: Fixture,
{
    let runtime = runtime()?;
    let mut failed = Vec::new();
    for case in all() {
        if let Err(violation) = runtime.block_on(on_fresh(case, factory())) {
            failed.push((*case, violation));
        }
    }
    Ok(failed)
}

/// Runs one case by name, in a runtime of its own: what [`suite!`](crate::suite!) makes tests of.
///
/// # Errors
/// [`Violation`].
pub fn run<F, X>(name: &str, factory: F) -> Result<(), Violation>
where
    F: AsyncFnOnce() -> X,
    X: Fixture,
{
    let case = find(name).ok_or_else(|| Violation::suite("there is no case of this name"))?;
    runtime()?.block_on(on_fresh(&case, factory()))
}

async fn on_fresh<X: Fixture>(case: &Case, fixture: impl Future<Output = X>) -> Result<(), Violation> {
    // Held to the end: it may own the directory that the store lives in.
    let fixture = fixture.await;
    case.run(fixture.store()).await
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Violation> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().map_err(Violation::suite)
}

/// Runs the four cases that need [`FaultHooks`], in a runtime of its own. Gives each one's name and
/// what came of it, so that a backend's test can say which it skips.
///
/// # Errors
/// [`Violation`] of the first case that fails.
pub fn run_forced<F, H>(factory: F) -> Result<Vec<(&'static str, Outcome)>, Violation>
where
    F: AsyncFn() -> H,
    H: FaultHooks,
{
    runtime()?.block_on(async {
        let mut outcomes = Vec::new();
        outcomes.push(("lost_reply_is_unknown", cases::lost_reply_is_unknown(&factory().await).await?));
        outcomes.push(("commit_error_is_unknown", cases::commit_error_is_unknown(&factory().await).await?));
        let held = cases::held_commit_never_lands_after_a_fence(&factory().await).await?;
        outcomes.push(("held_commit_never_lands_after_a_fence", held));
        let within = cases::host_transaction_is_whole_or_nothing(&factory().await).await?;
        outcomes.push(("host_transaction_is_whole_or_nothing", within));
        Ok(outcomes)
    })
}

/// Makes a `#[test]` of every case.
///
/// Takes an async closure, or an async function, that makes a fresh, empty store: an `Arc` of it, or an `Arc` and
/// whatever must outlive it. It is called once per test.
///
/// ```
/// # mod conformance {
/// use std::sync::Arc;
/// use keywright_store::MemoryStore;
///
/// keywright_store_conformance::suite!(async || Arc::new(MemoryStore::new()));
/// # }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! suite {
    (@registry) => { $crate::suite! { @list registry () } };
    (@list $mode:ident $argument:expr) => {
        $crate::suite! { @$mode $argument;
            check_guards_hold,
            revision_guards_hold,
            absent_guards_hold,
            root_guards_hold,
            revision_is_the_batchs,
            recreated_record_refuses_an_old_guard,
            conflict_writes_nothing,
            conflict_appends_no_event,
            conflict_leaves_the_vault,
            partitions_are_independent,
            acknowledged_commits_are_there,
            dropped_commit_is_whole_or_nothing,
            commit_after_a_fence_never_lands,
            one_of_32_tasks_wins,
            one_of_32_threads_wins,
            one_of_32_makes_the_root,
            one_of_two_mutual_absences_wins,
            bodies_survive,
            loads_keep_the_order,
            loads_are_one_snapshot,
            loads_never_filter_by_age,
            events_are_listed_newest_first,
            events_come_back_as_they_were,
            events_are_never_lost,
            events_outlive_an_erase,
            erase_drops_what_it_does_not_write,
            erase_in_conflict_drops_nothing,
            erase_drops_the_vault,
            erase_keeps_other_accounts,
            erase_beats_32_creators,
            vault_reads_are_sorted,
            vault_edits_apply,
            vault_bodies_survive,
            swap_covers_exactly,
            swap_is_never_seen_half,
            notes_outlive_a_swap,
            stages_are_upserts,
            unstage_drops_a_stage,
            promote_covers_exactly,
            one_of_edit_and_swap_wins,
            sweep_drops_what_is_due,
            sweep_keeps_records_without_a_hint,
            sweep_keeps_to_its_limit,
            old_events_are_forgotten,
            scan_meets_every_record_once,
            store_serves_a_driver,
        }
    };
    (@registry $argument:expr; $($case:ident,)*) => {
        &[$($crate::suite::Case {
            name: stringify!($case),
            run: |store| Box::pin($crate::cases::$case(store)),
        }),*]
    };
    (@tests $factory:expr; $($case:ident,)*) => {$(
        #[test]
        fn $case() -> ::core::result::Result<(), $crate::Violation> {
            $crate::suite::run(stringify!($case), $factory)
        }
    )*};
    ($factory:expr) => { $crate::suite! { @list tests $factory } };
}
