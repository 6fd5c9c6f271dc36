//! Deliberately broken stores: each is a store in memory with one broken rule. They prove that the
//! suite finds faults, and show an author what each case is for.
//!
//! ```
//! use keywright_store_conformance::sabotage::{Flaw, Sabotaged};
//! use keywright_store_conformance::{Suite, CaseVerdict};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let flaw = Flaw::IgnoresTheGuard;
//! let (case, promise) = flaw.caught_by();
//! let CaseVerdict::Failed(violation) = Suite::new(async || Sabotaged::new(flaw)).run_case(case)? else {
//!     panic!("{flaw:?} was not caught");
//! };
//! assert_eq!(violation.promise(), Some(promise));
//! # Ok(())
//! # }
//! ```
//!
//! # What each case detects
#![doc = include_str!("table.md")]

mod commits;
mod flaws;
mod forced;
mod reads;
mod steps;
mod twists;
mod upkeep;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use keywright_store::{Batch, Partition, Revision, SlotName};

pub use flaws::{ALSO_CAUGHT, Flaw};

use crate::backend::Handles;
use crate::fixture::Fixture;
use crate::glass::rows::Rows;
use crate::hooks::{CrashHook, FaultHooks, HostHook, LostRootHook};

/// What a flaw needs to remember, in addition to the tables.
#[derive(Default)]
struct Notes {
    /// All bodies that roots ever had.
    bodies: HashMap<Revision, Bytes>,
    /// A version of each revision that some changes do not increase.
    versions: HashMap<Revision, u64>,
    /// The slots that each batch of a partition wrote, with whether they existed before.
    log: HashMap<Partition, Vec<Logged>>,
    /// The root that each partition had last.
    last: HashMap<Partition, Revision>,
    commits: u64,
    reads: u64,
}

struct Logged {
    revision: Revision,
    wrote: Vec<(SlotName, bool)>,
}

/// The fault of the next commit.
#[derive(Debug, Clone, Copy)]
enum Armed {
    LostBefore,
    LostAfter,
    CommitFails,
    Held,
}

/// What both handles share: the database.
#[derive(Default)]
struct Shared {
    rows: Mutex<Rows>,
    /// What a replica shows: the state before the last commit.
    replica: Mutex<Rows>,
    /// What would be present after a crash.
    disk: Mutex<Rows>,
    notes: Mutex<Notes>,
    armed: Mutex<Option<Armed>>,
    held: Mutex<Option<Batch>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One handle of a store with one broken rule.
struct SabotagedStore {
    flaw: Flaw,
    /// The handle's number, 0 or 1.
    number: usize,
    shared: Arc<Shared>,
    /// A lock that the other handle does not see.
    gate: tokio::sync::Mutex<()>,
    /// Whether the process that holds it is still alive.
    alive: Arc<AtomicBool>,
}

impl SabotagedStore {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        lock(&self.shared.rows)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.shared.notes)
    }
}

impl fmt::Debug for SabotagedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SabotagedStore({:?}, handle {})", self.flaw, self.number)
    }
}

/// A store in memory with one broken rule, opened twice, with all hooks. For tests of the suite,
/// never for data.
pub struct Sabotaged {
    flaw: Flaw,
    shared: Arc<Shared>,
    handles: Handles,
}

impl Sabotaged {
    /// Creates an empty store.
    #[must_use]
    pub fn new(flaw: Flaw) -> Self {
        let shared = Arc::new(Shared::default());
        let handles = open(flaw, &shared, &Arc::new(AtomicBool::new(true)));
        Self { flaw, shared, handles }
    }
}

/// Opens two handles, as one process holds them for as long as it lives.
fn open(flaw: Flaw, shared: &Arc<Shared>, alive: &Arc<AtomicBool>) -> Handles {
    let handle = |number| {
        let (shared, alive) = (Arc::clone(shared), Arc::clone(alive));
        Arc::new(SabotagedStore { flaw, number, shared, gate: tokio::sync::Mutex::new(()), alive })
    };
    Handles::new(handle(0), handle(1))
}

impl fmt::Debug for Sabotaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sabotaged({:?})", self.flaw)
    }
}

impl Fixture for Sabotaged {
    fn handles(&self) -> Handles {
        self.handles.clone()
    }

    fn faults(&self) -> Option<&dyn FaultHooks> {
        Some(self)
    }

    fn host(&self) -> Option<&dyn HostHook> {
        Some(self)
    }

    fn lost_roots(&self) -> Option<&dyn LostRootHook> {
        Some(self)
    }

    fn crash(&self) -> Option<&dyn CrashHook> {
        Some(self)
    }
}
