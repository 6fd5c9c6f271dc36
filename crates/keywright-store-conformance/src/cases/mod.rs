//! The cases, one for each promise. Each takes two handles of a **fresh, empty** store, and can be
//! called alone inside a Tokio runtime with more than one thread. Cases that need a hook take the
//! fixture.

mod atomic;
mod erase;
mod events;
mod forced;
mod guards;
mod histories;
mod horizon;
mod listing;
mod loads;
mod races;
mod stages;
mod swaps;
mod sweep;
mod vault;

pub use atomic::{
    acknowledged_commits_are_there, commit_after_a_fence_never_lands, commit_in_flight_never_passes_a_fence,
    conflict_appends_no_event, conflict_writes_nothing, dropped_commit_is_whole_or_nothing,
    every_part_of_a_write_lands, puts_and_deletes_are_blind,
};
pub use erase::{
    erase_beats_32_creators, erase_drops_what_it_does_not_put, erase_in_conflict_drops_nothing,
    erase_keeps_other_partitions, erase_keeps_the_events,
};
pub use events::{
    event_pages_carry_their_root, events_are_never_lost, events_are_paged_newest_first, events_come_back_as_they_were,
    forget_drops_the_old_end_alone, newest_is_the_highest_number, taken_event_number_is_rejected,
};
pub use forced::{
    acknowledged_commits_survive_a_kill, commit_error_is_unknown, held_commit_never_lands_after_a_fence,
    host_transaction_is_whole_or_nothing, lost_reply_is_settled, lost_reply_is_unknown, rows_without_root_are_reported,
};
pub use guards::{
    absent_root_guard_holds, checks_hold_exactly_when_guards_do, partitions_are_independent,
    revived_root_refuses_an_old_guard, root_guard_holds, root_lies_under_the_batchs_revision,
};
pub use histories::histories_are_strictly_serialisable;
pub use horizon::{
    horizon_comes_back_with_the_clock, horizon_moves_a_day_a_round, horizon_starts_at_the_newest_event,
    newest_event_is_never_forgotten, old_events_are_forgotten,
};
pub use listing::{
    drivers_run_on_both_handles, due_moment_is_the_last_commits, due_partitions_are_found,
    partitions_are_paged_in_order, slots_are_paged_in_order, slots_carry_their_root,
};
pub use loads::{
    bodies_survive, checks_see_acknowledged_commits, loads_are_one_snapshot, loads_keep_the_order,
    loads_never_filter_by_age, loads_see_acknowledged_commits,
};
pub use races::{
    one_of_32_makes_the_root, one_of_32_tasks_wins, one_of_32_threads_wins, one_of_two_handles_wins,
    write_skew_on_absences_is_impossible, write_skew_on_presences_is_impossible,
};
pub use stages::{
    promote_covers_exactly, promote_moves_what_was_checked, staged_texts_are_what_was_staged,
    stages_are_swept_by_the_horizon, stages_are_upserts, stages_need_a_root, swept_partition_takes_its_vault,
    unstage_drops_a_stage,
};
pub use swaps::{notes_outlive_a_swap, one_of_edit_and_swap_wins, swap_covers_exactly, swap_is_never_seen_half};
pub use sweep::{
    kept_partition_is_not_swept, last_put_decides_the_expiry, late_partition_is_kept_a_day, partitions_are_swept_whole,
    sweep_drops_what_lies_before_the_horizon, sweep_judges_as_it_deletes, sweep_keeps_to_its_limit,
    sweep_keeps_what_does_not_expire, swept_partition_refuses_an_old_guard,
};
pub use vault::{
    erase_drops_the_vault, vault_bodies_survive, vault_conflict_writes_nothing, vault_edits_apply,
    vault_reads_are_sorted, vault_reads_carry_their_root,
};
