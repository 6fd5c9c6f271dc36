//! The list of flaws: what each breaks, which case detects it, and the anomaly that the case shows.

use crate::violation::Promise;

macro_rules! flaws {
    ($($(#[doc = $doc:literal])+ $flaw:ident: $case:literal, $promise:ident, $anomaly:literal;)+) => {
        /// One broken rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Flaw {
            $($(#[doc = $doc])+ $flaw,)+
        }

        impl Flaw {
            /// Every flaw.
            pub const ALL: &[Self] = &[$(Self::$flaw,)+];

            /// Returns the case that detects the flaw, and the promise that the case finds broken.
            #[must_use]
            pub const fn caught_by(self) -> (&'static str, Promise) {
                match self {
                    $(Self::$flaw => ($case, Promise::$promise),)+
                }
            }

            /// Returns what happens to a user of a store with this flaw.
            #[must_use]
            pub const fn anomaly(self) -> &'static str {
                match self {
                    $(Self::$flaw => $anomaly,)+
                }
            }
        }
    };
}

flaws! {
    // The guard.
    /// The guard is compared outside the transaction that writes: read, but not locked.
    ComparesOutside: "one_of_32_tasks_wins", OneWinner, "one code is granted to many";
    /// The guard is compared and the batch is written under a lock of this handle only.
    LocksPerHandle: "one_of_two_handles_wins", OneWinner, "two servers grant one code";
    /// Only creations are not locked, because there is no row yet that a `SELECT … FOR UPDATE`
    /// could lock.
    CreatesUnlocked: "one_of_32_makes_the_root", OneWinner, "two registrations of one account both succeed";
    /// Only the records that a batch writes are compared, as under snapshot isolation.
    ComparesWrittenRows: "write_skew_on_presences_is_impossible", OneWinner, "two grants that exclude each other both pass";
    /// Only rows that existed are compared, without a lock on gaps.
    OverlooksInserts: "write_skew_on_absences_is_impossible", OneWinner, "two that each rest on the other's absence both pass";
    /// `UPDATE … WHERE partition = ?`: the last writer wins.
    IgnoresTheGuard: "root_guard_holds", Guard, "an older state overwrites a newer one";
    /// "There must be no root" is not compared.
    AbsentMeansAny: "absent_root_guard_holds", Guard, "an account is made twice, the second over the first";
    /// A batch without a write always succeeds.
    NeverChecks: "checks_hold_exactly_when_guards_do", Guard, "a session that was ended is still granted";
    /// Whether the root is still the same is judged by its body.
    ComparesBodies: "revived_root_refuses_an_old_guard", NoReuse, "what was changed and changed back passes an old guard";
    /// A handle's memory of a root outlives the sweep of its partition.
    RemembersSweptRoots: "swept_partition_refuses_an_old_guard", NoReuse, "a swept registration is written to";
    /// Roots are shown under a different revision than they were put under.
    ShowsOtherRevisions: "root_lies_under_the_batchs_revision", Revision, "a lost reply cannot be settled";
    /// Partitions are compared without regard to case.
    FoldsCase: "partitions_are_independent", Partitions, "`alice` and `Alice` share one account";
    /// Putting only the root does not count as a change.
    FencesDoNotCount: "commit_after_a_fence_never_lands", Fence, "a commit that was settled as lost lands later";
    /// A batch is acknowledged once its guard was compared, and is written a little later.
    AcknowledgesBeforeWriting: "commit_in_flight_never_passes_a_fence", Fence, "a commit lands after an acknowledged fence";

    // All or nothing.
    /// A conflict has written the first half of its batch.
    WritesHalfOnConflict: "conflict_writes_nothing", AllOrNothing, "a denied request has an effect";
    /// A conflict appends its events.
    TellsConflicts: "conflict_appends_no_event", Events, "the log tells of what never happened";
    /// Deletions are not applied.
    IgnoresDeletes: "every_part_of_a_write_lands", AllOrNothing, "what was removed is still there";
    /// `INSERT … ON CONFLICT DO NOTHING`: an existing record is not replaced.
    InsertsOnly: "puts_and_deletes_are_blind", Blind, "a spent code is not marked as spent";
    /// Every fifth batch is acknowledged but not written.
    AcknowledgesUnwritten: "acknowledged_commits_are_there", Acknowledged, "an acknowledged change is not there";
    /// A batch is written in two steps, and dropping the future leaves the first.
    WritesInSteps: "dropped_commit_is_whole_or_nothing", Dropped, "a client that hangs up leaves half a change";
    /// Records are put after the root, in a separate transaction.
    PutsAfterTheRoot: "erase_beats_32_creators", Erase, "a token made beside an erasure survives it";
    /// Batches are acknowledged before they are durable.
    AcknowledgesBeforeDurable: "acknowledged_commits_survive_a_kill", Durable, "a code is granted again after a crash";

    // Loads.
    /// A load reads slot by slot, without a snapshot.
    LoadsInSteps: "loads_are_one_snapshot", Snapshot, "a step decides on a state that never was";
    /// The second handle loads from a lagging replica.
    LoadsFromAReplica: "loads_see_acknowledged_commits", Acknowledged, "a spent code looks unspent";
    /// A batch without a write is answered by a lagging replica.
    ChecksOnAReplica: "checks_see_acknowledged_commits", Acknowledged, "an ended session is granted";
    /// A load omits what is due for a sweep, by the store's own clock.
    FiltersExpired: "loads_never_filter_by_age", NoFilter, "a clock of the database decides what is valid";
    /// A load returns the slots in the order of its index, not of the request.
    AnswersInIndexOrder: "loads_keep_the_order", Order, "a record is taken for another";
    /// Bodies end at the first NUL.
    CutsAtNul: "bodies_survive", Bytes, "a record no longer opens";
    /// Bodies go through a lossy conversion to text.
    BodiesAreText: "bodies_survive", Bytes, "a record no longer opens";

    // Events.
    /// Events are parsed as JSON values and written out again.
    ReformatsEvents: "events_come_back_as_they_were", Events, "the log no longer verifies";
    /// Events are listed by their moment.
    PagesByMoment: "events_are_paged_newest_first", EventPages, "the log no longer verifies";
    /// The root of a page is read after its events.
    PagesInSteps: "event_pages_carry_their_root", EventPages, "a sound log looks damaged";
    /// Every seventh batch loses its events.
    LosesEvents: "events_are_never_lost", Events, "a change leaves no trace";
    /// `INSERT OR REPLACE` of events.
    ReplacesEvents: "taken_event_number_is_rejected", EventNumbers, "the log is rewritten";
    /// The newest number is a count.
    CountsEvents: "newest_is_the_highest_number", Newest, "a sound log looks damaged, or a damaged one sound";
    /// Forgetting the old end of one chain also forgets that of the other.
    ForgetsBothChains: "forget_drops_the_old_end_alone", Forget, "denials crowd out changes";
    /// Rows without a root are never reported.
    NeverSeesOrphans: "rows_without_root_are_reported", LostRoot, "who drops a root gets a fresh account";
    /// Only records count as further rows.
    OverlooksStages: "stages_need_a_root", LostRoot, "an upload outlives its account";

    // Erase.
    /// An erase spares records that expire.
    ErasesWhatLasts: "erase_drops_what_it_does_not_put", Erase, "a session outlives its account";
    /// An erase runs after the puts of its batch.
    ErasesItsOwnPuts: "erase_drops_what_it_does_not_put", Erase, "what an erasure keeps is lost";
    /// An erase drops the events too.
    ErasesEvents: "erase_keeps_the_events", Events, "an intruder erases his traces";
    /// An erase is not under the guard.
    ErasesBeforeTheGuard: "erase_in_conflict_drops_nothing", AllOrNothing, "a denied erasure has an effect";
    /// An erase removes every partition whose key starts with the same characters.
    ErasesByPrefix: "erase_keeps_other_partitions", Partitions, "one account's erasure empties another";

    // The vault.
    /// An edit drops the rows that it does not name.
    EditsReplaceTheVault: "vault_edits_apply", Vault, "ciphers are lost";
    /// A manifest is not sorted.
    ListsUnsorted: "vault_reads_are_sorted", Vault, "a check of the cover fails, or passes";
    /// Texts end at the first NUL.
    TextsEndAtNul: "vault_bodies_survive", Bytes, "a cipher no longer opens";
    /// The root of a manifest is read after its rows.
    ListsInSteps: "vault_reads_carry_their_root", Snapshot, "a sound vault looks damaged";
    /// A vault's change is not under the guard.
    EditsBeforeTheGuard: "vault_conflict_writes_nothing", AllOrNothing, "a denied edit has an effect";
    /// An erase leaves the ciphers.
    ErasesNoCiphers: "erase_drops_the_vault", Erase, "ciphers outlive their account";
    /// An erase leaves the stages.
    ErasesNoStages: "erase_drops_the_vault", Erase, "ciphers outlive their account";
    /// A swap leaves rows that it does not name.
    SwapsLetRowsStand: "swap_covers_exactly", ExactCover, "a cipher under the old key can never be read again";
    /// A swap writes the notes of its rows as well.
    SwapsTakeNotes: "notes_outlive_a_swap", Notes, "an application's notes are lost";
    /// A swap is visible half done.
    SwapsInSteps: "swap_is_never_seen_half", Snapshot, "a client reads a vault of two keys";
    /// A swap is not under the guard.
    SwapsUnguarded: "one_of_edit_and_swap_wins", OneWinner, "a swap overwrites an edit unseen";
    /// Each part of a stage replaces those before it.
    StagesReplace: "stages_are_upserts", Stages, "an upload in parts loses all but the last";
    /// A stage is kept whether or not the partition has a root.
    StagesAnywhere: "stages_need_a_root", Stages, "an upload that comes late locks the account that it was for";
    /// A page of a stage's texts starts one row late.
    SkipsTextsBetweenPages: "staged_texts_are_what_was_staged", Stages, "a stage that is sound is never promoted";
    /// The texts of a stage are those that the vault has under the same ids.
    ShowsTextsOfTheVault: "staged_texts_are_what_was_staged", Stages, "a text that was altered in its stage is promoted unseen";
    /// The texts of a stage are those of another stage of the account.
    ShowsTextsOfOtherStages: "staged_texts_are_what_was_staged", Stages, "a text that was altered in its stage is promoted unseen";
    /// A stage that is to be dropped remains.
    UnstagesNothing: "unstage_drops_a_stage", Stages, "stages grow without bound";
    /// A stage's first part decides when the stage is removed.
    StagesGoByTheirFirstPart: "stages_are_swept_by_the_horizon", Sweep, "an upload is swept while it goes on";
    /// A partition that is swept leaves its ciphers.
    SweepsLeaveTheVault: "swept_partition_takes_its_vault", Sweep, "rows lie in a partition without a root for ever";
    /// A promotion moves whatever is in the stage.
    PromotesWhateverLiesThere: "promote_moves_what_was_checked", Checked, "a late part replaces a text that was checked";
    /// A promotion is not required to cover the vault exactly.
    PromotesUncovered: "promote_covers_exactly", ExactCover, "a cipher under the old key can never be read again";

    // Upkeep.
    /// The horizon equals the clock.
    HorizonJumps: "horizon_moves_a_day_a_round", Horizon, "a clock ahead by ten years sweeps everything";
    /// The horizon stays where a clock that ran ahead moved it.
    HorizonStaysAhead: "horizon_comes_back_with_the_clock", Horizon, "a clock that once ran ahead sweeps what is alive for days";
    /// The first horizon equals the clock, whatever events exist.
    HorizonStartsNow: "horizon_starts_at_the_newest_event", Horizon, "the first round of a clock ahead deletes the log";
    /// A sweep uses the database's clock.
    SweepsByClock: "sweep_drops_what_lies_before_the_horizon", Sweep, "a clock ahead by ten years sweeps everything";
    /// A sweep drops records that have no expiry.
    SweepsWhatLasts: "sweep_keeps_what_does_not_expire", Sweep, "a second factor is gone";
    /// A sweep ignores its limit.
    SweepsUnlimited: "sweep_keeps_to_its_limit", Sweep, "a sweep holds up the store";
    /// A record keeps the expiry of its first put.
    KeepsTheFirstExpiry: "last_put_decides_the_expiry", Sweep, "a session in use is swept";
    /// A sweep chooses in one statement and deletes in the next.
    SweepsInSteps: "sweep_judges_as_it_deletes", Sweep, "a record that was put to last is swept";
    /// A sweep of a partition removes only the root.
    SweepsRootsAlone: "partitions_are_swept_whole", Sweep, "rows lie in a partition without a root for ever";
    /// A commit that keeps its partition does not take the expiry back.
    KeepsThePartitionsExpiry: "kept_partition_is_not_swept", Sweep, "an account that was verified is swept";
    /// A partition's expiry is stored as it is given, wherever the horizon is.
    TakesAnyExpiry: "late_partition_is_kept_a_day", Sweep, "a fence is swept while what it fences may still arrive";
    /// The same when the partition is created. When it is written again, the horizon counts.
    CreatesWithAnyExpiry: "late_partition_is_kept_a_day", Sweep, "a fence is swept while what it fences may still arrive";
    /// Events are forgotten by their age alone.
    ForgetsOutOfTheMiddle: "old_events_are_forgotten", Forget, "the log no longer verifies";
    /// Events are forgotten from the new end.
    ForgetsTheNewEnd: "old_events_are_forgotten", Forget, "an intruder's traces go first";
    /// The newest event of a chain is forgotten with the others.
    ForgetsTheNewest: "newest_event_is_never_forgotten", Forget, "an account that was quiet for long is damaged";
    /// Due partitions are not sorted.
    DueUnsorted: "due_partitions_are_found", Due, "a busy account starves the others";
    /// A partition that is due at exactly this moment is not found.
    DueMisses: "due_partitions_are_found", Due, "due work waits for the next round";
    /// A partition's due moment is written only once.
    DueOnce: "due_moment_is_the_last_commits", Due, "due work is never done, or looked for in vain";
    /// Partitions are listed in the order of a language's collation, not of bytes.
    ListsByCollation: "partitions_are_paged_in_order", Listing, "a page skips an account";
    /// Only those slots of a partition that have no id are listed.
    ListsSingleSlots: "slots_are_paged_in_order", Listing, "a session that somebody has added to the database is not found";
    /// The root of a list of slots is read after the slots.
    ListsSlotsInSteps: "slots_carry_their_root", Snapshot, "a sound account looks damaged";

    // Hooks.
    /// A lost reply is reported as rejected.
    RejectsLostReplies: "lost_reply_is_unknown", Unknown, "a change that happened is reported as refused";
    /// A commit whose reply was lost is retried, and conflicts with itself.
    RetriesByItself: "lost_reply_is_unknown", Unknown, "a change that happened is reported as a conflict";
    /// A `COMMIT` that fails is reported as rejected.
    RejectsFailedCommits: "commit_error_is_unknown", Unknown, "a change that happened is reported as refused";
    /// A commit that arrives late is applied without comparing its guard.
    DeliversUnguarded: "held_commit_never_lands_after_a_fence", Fence, "a commit that was settled as lost lands later";
    /// A batch that fails inside a host's transaction leaves its puts in it.
    LeavesPutsInTheHost: "host_transaction_is_whole_or_nothing", HostTransaction, "a denied request has an effect";
}

/// The cases for which no flaw was made, each with a flaw that it detects as well.
pub const ALSO_CAUGHT: &[(&str, Flaw, Promise)] = &[
    ("one_of_32_threads_wins", Flaw::ComparesOutside, Promise::OneWinner),
    ("drivers_run_on_both_handles", Flaw::ComparesOutside, Promise::OneWinner),
    ("lost_reply_is_settled", Flaw::RetriesByItself, Promise::Unknown),
    ("histories_are_strictly_serialisable", Flaw::ComparesOutside, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::LocksPerHandle, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::IgnoresTheGuard, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::NeverChecks, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::LoadsInSteps, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::LoadsFromAReplica, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::ChecksOnAReplica, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::WritesHalfOnConflict, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::AcknowledgesUnwritten, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::ErasesEvents, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::ForgetsBothChains, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::EditsBeforeTheGuard, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::ErasesNoCiphers, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::SwapsTakeNotes, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::SwapsUnguarded, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::PromotesUncovered, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::ListsInSteps, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::SweepsInSteps, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::SweepsWhatLasts, Promise::Serialisable),
    ("histories_are_strictly_serialisable", Flaw::KeepsTheFirstExpiry, Promise::Serialisable),
];
