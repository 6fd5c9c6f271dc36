//! Sabotaged stores: each a memory store with one broken rule, to prove that the suite bites, and to show an author what
//! each case is for.
//!
//! ```
//! use std::sync::Arc;
//! use keywright_store_conformance::sabotage::{Flaw, SabotagedStore};
//!
//! let flaw = Flaw::IgnoresChecks;
//! let (case, promise) = flaw.caught_by();
//! let seen = keywright_store_conformance::suite::run(case, async || Arc::new(SabotagedStore::new(flaw)));
//! assert_eq!(seen.unwrap_err().promise(), Some(promise));
//! ```

mod commits;
mod reads;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keywright_core::UnixSeconds;
use keywright_store::{EventId, MemoryStore, Partition, Revision, Row, Slot};

use crate::Promise;

/// One broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// A guard that rides on a mere check is not looked at.
    IgnoresChecks,
    /// `UPDATE … WHERE slot = ?`, without the revision.
    IgnoresRevisions,
    /// `INSERT … ON CONFLICT DO UPDATE`.
    ReplacesPresent,
    /// The root's guard is not looked at.
    IgnoresRoot,
    /// Guards compare a version that begins anew when a record is made again.
    ReusesVersions,
    /// Loads show another revision than the batch's.
    ShowsOtherRevisions,
    /// Guards are checked first and the batch written later, without a lock between.
    ChecksThenWrites,
    /// A conflict has written the first half of its batch.
    WritesHalf,
    /// A conflict appends its events.
    TellsConflicts,
    /// Each seventh batch loses its events.
    LosesEvents,
    /// An erase drops the events too.
    ErasesEvents,
    /// Each fifth batch is acknowledged and not written.
    AcknowledgesUnwritten,
    /// A batch is written in two steps; a dropped future leaves the first.
    CommitsInSteps,
    /// A load reads slot by slot, without a snapshot.
    LoadsTorn,
    /// A load leaves out what is due for a sweep.
    FiltersExpired,
    /// Bodies end at the first NUL.
    CutsAtNul,
    /// Bodies go through a lossy UTF-8 conversion.
    BodiesAreText,
    /// Names of accounts are compared without regard to case.
    FoldsCase,
    /// An erase leaves the ciphers.
    ErasesNoCiphers,
    /// An erase does not lock the account: what is made while it runs survives.
    ErasesUnlocked,
    /// A swap is not held to exact cover.
    SwapsUncovered,
    /// A swap is visible half done.
    SwapsInSteps,
    /// A swap writes the notes of its rows too.
    SwapsTakeNotes,
    /// A stage that is to be dropped stays.
    UnstagesNothing,
    /// A manifest's head and entries are of two snapshots.
    ManifestTorn,
    /// A manifest is not sorted.
    ManifestUnsorted,
    /// A sweep drops records that have no `purge_after`.
    SweepsUnhinted,
    /// A sweep takes no notice of its limit.
    SweepsUnlimited,
    /// A scan leaves out the first record of each further page.
    ScanSkips,
}

impl Flaw {
    /// Every one.
    pub const ALL: [Self; 29] = [
        Self::IgnoresChecks,
        Self::IgnoresRevisions,
        Self::ReplacesPresent,
        Self::IgnoresRoot,
        Self::ReusesVersions,
        Self::ShowsOtherRevisions,
        Self::ChecksThenWrites,
        Self::WritesHalf,
        Self::TellsConflicts,
        Self::LosesEvents,
        Self::ErasesEvents,
        Self::AcknowledgesUnwritten,
        Self::CommitsInSteps,
        Self::LoadsTorn,
        Self::FiltersExpired,
        Self::CutsAtNul,
        Self::BodiesAreText,
        Self::FoldsCase,
        Self::ErasesNoCiphers,
        Self::ErasesUnlocked,
        Self::SwapsUncovered,
        Self::SwapsInSteps,
        Self::SwapsTakeNotes,
        Self::UnstagesNothing,
        Self::ManifestTorn,
        Self::ManifestUnsorted,
        Self::SweepsUnhinted,
        Self::SweepsUnlimited,
        Self::ScanSkips,
    ];

    /// The case meant for it, and the promise that the case finds broken.
    #[must_use]
    pub const fn caught_by(self) -> (&'static str, Promise) {
        match self {
            Self::IgnoresChecks => ("check_guards_hold", Promise::Guards),
            Self::IgnoresRevisions => ("revision_guards_hold", Promise::Guards),
            Self::ReplacesPresent => ("absent_guards_hold", Promise::Guards),
            Self::IgnoresRoot => ("commit_after_a_fence_never_lands", Promise::Fence),
            Self::ReusesVersions => ("recreated_record_refuses_an_old_guard", Promise::NoReuse),
            Self::ShowsOtherRevisions => ("revision_is_the_batchs", Promise::Revision),
            Self::ChecksThenWrites => ("one_of_32_tasks_wins", Promise::OneWinner),
            Self::WritesHalf => ("conflict_writes_nothing", Promise::AllOrNothing),
            Self::TellsConflicts => ("conflict_appends_no_event", Promise::Events),
            Self::LosesEvents => ("events_are_never_lost", Promise::Events),
            Self::ErasesEvents => ("events_outlive_an_erase", Promise::Events),
            Self::AcknowledgesUnwritten => ("acknowledged_commits_are_there", Promise::Acknowledged),
            Self::CommitsInSteps => ("dropped_commit_is_whole_or_nothing", Promise::Dropped),
            Self::LoadsTorn => ("loads_are_one_snapshot", Promise::Snapshot),
            Self::FiltersExpired => ("loads_never_filter_by_age", Promise::NoFilter),
            Self::CutsAtNul | Self::BodiesAreText => ("bodies_survive", Promise::Bytes),
            Self::FoldsCase => ("partitions_are_independent", Promise::Partitions),
            Self::ErasesNoCiphers => ("erase_drops_the_vault", Promise::Erase),
            Self::ErasesUnlocked => ("erase_beats_32_creators", Promise::Erase),
            Self::SwapsUncovered => ("swap_covers_exactly", Promise::ExactCover),
            Self::SwapsTakeNotes => ("notes_outlive_a_swap", Promise::Notes),
            Self::UnstagesNothing => ("unstage_drops_a_stage", Promise::Stages),
            Self::SwapsInSteps | Self::ManifestTorn => ("swap_is_never_seen_half", Promise::Snapshot),
            Self::ManifestUnsorted => ("vault_reads_are_sorted", Promise::Vault),
            Self::SweepsUnhinted => ("sweep_keeps_records_without_a_hint", Promise::Sweep),
            Self::SweepsUnlimited => ("sweep_keeps_to_its_limit", Promise::Sweep),
            Self::ScanSkips => ("scan_meets_every_record_once", Promise::Scan),
        }
    }
}

/// What a flaw needs to remember, beside the tables.
#[derive(Default)]
struct Notes {
    /// Per slot: the version of each revision it ever had.
    versions: HashMap<(Partition, Slot), HashMap<Revision, u64>>,
    hints: HashMap<(Partition, Slot), Option<UnixSeconds>>,
    ciphers_left: HashMap<Partition, Vec<Row>>,
    erased_events: HashMap<Partition, EventId>,
    commits: u64,
    reads: u64,
}

/// A memory store with one broken rule. For tests of the suite; never for data.
pub struct SabotagedStore {
    inner: MemoryStore,
    flaw: Flaw,
    notes: Mutex<Notes>,
    /// Makes what a flaw does in several steps one step, except where the flaw is that it is not.
    gate: tokio::sync::Mutex<()>,
}

impl SabotagedStore {
    /// An empty one.
    #[must_use]
    pub fn new(flaw: Flaw) -> Self {
        Self { inner: MemoryStore::new(), flaw, notes: Mutex::default(), gate: tokio::sync::Mutex::new(()) }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SabotagedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SabotagedStore({:?})", self.flaw)
    }
}
