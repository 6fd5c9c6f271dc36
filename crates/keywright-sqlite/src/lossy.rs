//! Lost replies, failing `COMMIT`s and late commits, simulated in the writer itself, at its
//! `COMMIT`: below everything in this crate that handles a reply. It also runs the parts of the
//! conformance suite that need them, over two openings of one file.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keywright_store::{Batch, BoxFuture, CommitError, RecordStore};
use keywright_store_conformance::{FaultHooks, Fixture, Handles, Hook, Part, Suite};
use rusqlite::{Connection, ffi};

use crate::SqliteStore;
use crate::change::{Change, Task};
use crate::read::run;

/// What happens at the next `COMMIT` of a batch.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The `COMMIT` never runs.
    LostBefore,
    /// The `COMMIT` is done, but its reply is lost.
    LostAfter,
    /// The `COMMIT` is delayed until it is delivered.
    Held,
}

/// A writer's fault point.
#[derive(Debug, Default)]
struct Point {
    next: Mutex<Option<Fate>>,
    held: Mutex<Option<Batch>>,
}

thread_local! {
    /// The point of this thread's writer.
    static POINT: RefCell<Option<Arc<Point>>> = const { RefCell::new(None) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The writer's `COMMIT`.
pub(crate) fn commit(connection: &Connection, tasks: &[Task]) -> Result<(), rusqlite::Error> {
    let batch = tasks.iter().find_map(|task| match &task.change {
        Change::Commit(batch) => Some(batch),
        _ => None,
    });
    let point = POINT.with_borrow(Option::clone);
    let (Some(batch), Some(point)) = (batch, point) else { return run(connection, "COMMIT") };
    match lock(&point.next).take() {
        None => return run(connection, "COMMIT"),
        Some(Fate::LostBefore) => {}
        Some(Fate::LostAfter) => run(connection, "COMMIT")?,
        Some(Fate::Held) => *lock(&point.held) = Some(batch.clone()),
    }
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None))
}

/// A file, opened twice; the first opening has a fault point.
struct Lossy {
    first: Arc<SqliteStore>,
    second: Arc<SqliteStore>,
    point: Arc<Point>,
    _directory: tempfile::TempDir,
}

impl Lossy {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = || Arc::new(SqliteStore::open(directory.path().join("store.db")).unwrap());
        let (first, second) = (open(), open());
        let point = Arc::new(Point::default());
        let installed = Arc::clone(&point);
        let install = move |_: &Connection| POINT.set(Some(Arc::clone(&installed)));
        first.change(Change::Meanwhile(Box::new(install))).await.unwrap();
        Self { first, second, point, _directory: directory }
    }

    fn arm(&self, fate: Fate) -> Hook {
        *lock(&self.point.next) = Some(fate);
        Hook::Armed
    }
}

impl Fixture for Lossy {
    fn handles(&self) -> Handles {
        Handles::new(Arc::clone(&self.first), Arc::clone(&self.second))
    }

    fn faults(&self) -> Option<&dyn FaultHooks> {
        Some(self)
    }
}

impl FaultHooks for Lossy {
    fn lose_next_reply(&self, landed: bool) -> Hook {
        self.arm(if landed { Fate::LostAfter } else { Fate::LostBefore })
    }

    fn fail_next_commit(&self) -> Hook {
        self.arm(Fate::LostBefore)
    }

    fn hold_next_commit(&self) -> Hook {
        self.arm(Fate::Held)
    }

    fn deliver(&self) -> BoxFuture<'_, Option<Result<(), CommitError>>> {
        let held = lock(&self.point.held).take();
        Box::pin(async move {
            match held {
                Some(batch) => Some(self.first.commit(batch).await),
                None => None,
            }
        })
    }
}

/// The parts that need lost replies.
const LOST: [Part; 3] = [Part::LostReplies, Part::FailedCommits, Part::LateCommits];

/// The others, which `tests/conformance.rs` runs.
const ELSEWHERE: [Part; 7] = [
    Part::Records,
    Part::Upkeep,
    Part::Histories,
    Part::Vault,
    Part::LostRoots,
    Part::HostTransactions,
    Part::Durability,
];

#[test]
fn a_file_passes_where_replies_are_lost() {
    Suite::new(Lossy::new).run_parts(&LOST).unwrap().assert_passes_but(&ELSEWHERE);
}
