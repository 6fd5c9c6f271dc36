//! The cases, one promise each. Every one takes a **fresh, empty** store and may be called alone, inside a Tokio runtime
//! with more than one thread. The four of [`FaultHooks`](crate::FaultHooks) take those instead.

mod atomic;
mod erase;
mod events;
mod forced;
mod guards;
mod loads;
mod races;
mod upkeep;
mod vault;

pub use atomic::{
    acknowledged_commits_are_there, commit_after_a_fence_never_lands, conflict_appends_no_event,
    conflict_leaves_the_vault, conflict_writes_nothing, dropped_commit_is_whole_or_nothing, partitions_are_independent,
};
pub use erase::{
    erase_beats_32_creators, erase_drops_the_vault, erase_drops_what_it_does_not_write,
    erase_in_conflict_drops_nothing, erase_keeps_other_accounts,
};
pub use events::{
    events_are_listed_newest_first, events_are_never_lost, events_come_back_as_they_were, events_outlive_an_erase,
};
pub use forced::{
    commit_error_is_unknown, held_commit_never_lands_after_a_fence, host_transaction_is_whole_or_nothing,
    lost_reply_is_unknown,
};
pub use guards::{
    absent_guards_hold, check_guards_hold, recreated_record_refuses_an_old_guard, revision_guards_hold,
    revision_is_the_batchs, root_guards_hold,
};
pub use loads::{
    bodies_survive, loads_are_one_snapshot, loads_keep_the_order, loads_never_filter_by_age, vault_bodies_survive,
};
pub use races::{
    one_of_32_makes_the_root, one_of_32_tasks_wins, one_of_32_threads_wins, one_of_two_mutual_absences_wins,
};
pub use upkeep::{
    old_events_are_forgotten, scan_meets_every_record_once, store_serves_a_driver, sweep_drops_what_is_due,
    sweep_keeps_records_without_a_hint, sweep_keeps_to_its_limit,
};
pub use vault::{
    notes_outlive_a_swap, one_of_edit_and_swap_wins, promote_covers_exactly, stages_are_upserts, swap_covers_exactly,
    swap_is_never_seen_half, unstage_drops_a_stage, vault_edits_apply, vault_reads_are_sorted,
};
