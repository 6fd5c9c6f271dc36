//! The conformance suite: two openings of one file, a real kill, real transactions of a host's, lost roots. And what of it
//! a store in memory can prove. Lost replies need a hand in the writer, so `src/lossy.rs` runs their parts.

#![expect(clippy::unwrap_used, reason = "a panic in a test is a failed test")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keywright_sqlite::rusqlite::{Connection, TransactionBehavior};
use keywright_sqlite::{SqliteStore, SqliteTransaction};
use keywright_store::{BoxError, BoxFuture, HostTransaction, Partition};
use keywright_store_conformance::crash::{self, Crashed};
use keywright_store_conformance::{CrashHook, Fixture, Handles, HostEnd, HostHook, LostRootHook, Part, Suite};

const PLACE: &str = "KEYWRIGHT_SQLITE_UNDER_TEST";

/// The parts that need replies to be lost: `src/lossy.rs` runs them.
const LOST: [Part; 3] = [Part::LostReplies, Part::FailedCommits, Part::LateCommits];

/// What a store in memory cannot show.
const NEEDS_A_FILE: [Part; 6] = [
    Part::LostReplies,
    Part::FailedCommits,
    Part::LateCommits,
    Part::LostRoots,
    Part::HostTransactions,
    Part::Durability,
];

/// Two openings of one file.
fn open(path: &Path) -> Handles {
    let handle = || Arc::new(SqliteStore::open(path).unwrap());
    Handles::new(handle(), handle())
}

/// A file of its own, opened twice.
struct File {
    handles: Handles,
    /// One more opening, by which a host's transaction finds the file.
    store: SqliteStore,
    directory: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        Self { handles: open(&path), store: SqliteStore::open(&path).unwrap(), directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store.db")
    }
}

impl Fixture for File {
    fn handles(&self) -> Handles {
        self.handles.clone()
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

impl HostHook for File {
    fn within(&self, end: HostEnd, work: &mut dyn FnMut(&mut dyn HostTransaction)) -> Result<(), BoxError> {
        let mut host = Connection::open(self.path())?;
        let transaction = host.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&mut SqliteTransaction::new(&self.store, &transaction));
        match end {
            HostEnd::Commit => transaction.commit()?,
            HostEnd::RollBack => transaction.rollback()?,
        }
        Ok(())
    }
}

impl LostRootHook for File {
    fn lose_root<'a>(&'a self, partition: &'a Partition) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let lost = Connection::open(self.path())?
                .execute("DELETE FROM keywright_roots WHERE partition = ?1", [partition.key()])?;
            if lost == 1 { Ok(()) } else { Err("there is no such root".into()) }
        })
    }
}

impl CrashHook for File {
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>> {
        Box::pin(async move {
            let path = self.directory.path().join("killed.db");
            let mut command = crash::this_test("crash_child")?;
            command.env(PLACE, &path);
            let acknowledged = crash::kill_process(command, acknowledged).await?;
            Ok(Crashed { acknowledged, handles: open(&path) })
        })
    }
}

#[test]
fn crash_child() {
    // Does nothing unless the suite has started this process.
    if let Some(place) = std::env::var_os(PLACE) {
        crash::child(async || open(place.as_ref())).unwrap();
    }
}

#[test]
fn a_file_passes() {
    Suite::new(async || File::new()).run().unwrap().assert_passes_but(&LOST);
}

#[test]
fn a_store_in_memory_passes_what_it_can_show() {
    let suite = Suite::new(async || Handles::shared(Arc::new(SqliteStore::open_in_memory().unwrap())));
    suite
        .run_parts(&[Part::Records, Part::Upkeep, Part::Histories, Part::Vault])
        .unwrap()
        .assert_passes_but(&NEEDS_A_FILE);
}
