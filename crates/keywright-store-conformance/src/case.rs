//! The list of cases, and how each is run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keywright_store::BoxFuture;

use crate::backend::Handles;
use crate::cases;
use crate::fixture::Fixture;
use crate::history::plan::Plan;
use crate::verdict::{CaseVerdict, Part};
use crate::violation::{PATIENCE, Violation};

/// A case that is running.
type Running<T> = BoxFuture<'static, Result<T, Violation>>;

#[derive(Clone, Copy)]
enum Run {
    Plain(fn(Handles) -> Running<()>),
    Histories(fn(Handles, Plan) -> Running<()>),
    Hooked(fn(Arc<dyn Fixture>) -> Running<CaseVerdict>),
}

/// One case of the suite.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    part: Part,
    run: Run,
}

impl Case {
    /// Returns the case's name, which is the name of its function in [`cases`].
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the part that the case belongs to.
    #[must_use]
    pub const fn part(&self) -> Part {
        self.part
    }

    /// Runs the case on a fixture of its own.
    pub(crate) async fn verdict(&self, fixture: Arc<dyn Fixture>, plan: &Plan) -> CaseVerdict {
        let handles = fixture.handles();
        if self.part == Part::Vault && handles.vault(0).is_none() {
            return CaseVerdict::NotProven;
        }
        let case = async {
            match self.run {
                Run::Plain(run) => run(handles).await.map(|()| CaseVerdict::Passed),
                Run::Histories(run) => run(handles, *plan).await.map(|()| CaseVerdict::Passed),
                Run::Hooked(run) => run(Arc::clone(&fixture)).await,
            }
        };
        match tokio::time::timeout(Duration::from_secs(PATIENCE), case).await {
            Ok(result) => result.unwrap_or_else(CaseVerdict::Failed),
            Err(_) => CaseVerdict::Failed(Violation::Hung(PATIENCE)),
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({}: {})", self.part, self.name)
    }
}

/// Returns the case with this name.
#[must_use]
pub fn find(name: &str) -> Option<Case> {
    all().iter().find(|case| case.name == name).copied()
}

macro_rules! registry {
    ($($kind:ident $part:ident { $($case:ident),+ $(,)? })+) => {
        &[$($(Case {
            name: stringify!($case),
            part: Part::$part,
            run: registry!(@$kind $case),
        }),+),+]
    };
    (@plain $case:ident) => { Run::Plain(|handles| Box::pin(cases::$case(handles))) };
    (@histories $case:ident) => { Run::Histories(|handles, plan| Box::pin(cases::$case(handles, plan))) };
    (@hooked $case:ident) => { Run::Hooked(|fixture| Box::pin(async move { cases::$case(&*fixture).await })) };
}

/// Returns every case, in the order of a run.
#[must_use]
pub const fn all() -> &'static [Case] {
    registry! {
        plain Records {
            root_guard_holds,
            absent_root_guard_holds,
            checks_hold_exactly_when_guards_do,
            revived_root_refuses_an_old_guard,
            root_lies_under_the_batchs_revision,
            partitions_are_independent,
            conflict_writes_nothing,
            conflict_appends_no_event,
            every_part_of_a_write_lands,
            puts_and_deletes_are_blind,
            acknowledged_commits_are_there,
            dropped_commit_is_whole_or_nothing,
            commit_after_a_fence_never_lands,
            commit_in_flight_never_passes_a_fence,
            one_of_32_tasks_wins,
            one_of_32_threads_wins,
            one_of_32_makes_the_root,
            one_of_two_handles_wins,
            write_skew_on_presences_is_impossible,
            write_skew_on_absences_is_impossible,
            bodies_survive,
            loads_keep_the_order,
            loads_are_one_snapshot,
            loads_see_acknowledged_commits,
            checks_see_acknowledged_commits,
            loads_never_filter_by_age,
            events_come_back_as_they_were,
            events_are_paged_newest_first,
            event_pages_carry_their_root,
            events_are_never_lost,
            taken_event_number_is_rejected,
            newest_is_the_highest_number,
            forget_drops_the_old_end_alone,
            erase_drops_what_it_does_not_put,
            erase_keeps_the_events,
            erase_in_conflict_drops_nothing,
            erase_keeps_other_partitions,
            erase_beats_32_creators,
        }
        plain Upkeep {
            horizon_moves_a_day_a_round,
            horizon_comes_back_with_the_clock,
            horizon_starts_at_the_newest_event,
            sweep_drops_what_lies_before_the_horizon,
            sweep_keeps_what_does_not_expire,
            sweep_keeps_to_its_limit,
            last_put_decides_the_expiry,
            sweep_judges_as_it_deletes,
            partitions_are_swept_whole,
            kept_partition_is_not_swept,
            late_partition_is_kept_a_day,
            swept_partition_refuses_an_old_guard,
            old_events_are_forgotten,
            newest_event_is_never_forgotten,
            due_partitions_are_found,
            due_moment_is_the_last_commits,
            partitions_are_paged_in_order,
            slots_are_paged_in_order,
            slots_carry_their_root,
            drivers_run_on_both_handles,
        }
        histories Histories {
            histories_are_strictly_serialisable,
        }
        plain Vault {
            vault_edits_apply,
            vault_reads_are_sorted,
            vault_bodies_survive,
            vault_reads_carry_their_root,
            vault_conflict_writes_nothing,
            erase_drops_the_vault,
            swap_covers_exactly,
            notes_outlive_a_swap,
            swap_is_never_seen_half,
            one_of_edit_and_swap_wins,
            stages_are_upserts,
            staged_texts_are_what_was_staged,
            unstage_drops_a_stage,
            stages_need_a_root,
            stages_are_swept_by_the_horizon,
            swept_partition_takes_its_vault,
            promote_moves_what_was_checked,
            promote_covers_exactly,
        }
        hooked LostReplies {
            lost_reply_is_unknown,
            lost_reply_is_settled,
        }
        hooked FailedCommits {
            commit_error_is_unknown,
        }
        hooked LateCommits {
            held_commit_never_lands_after_a_fence,
        }
        hooked LostRoots {
            rows_without_root_are_reported,
        }
        hooked HostTransactions {
            host_transaction_is_whole_or_nothing,
        }
        hooked Durability {
            acknowledged_commits_survive_a_kill,
        }
    }
}
