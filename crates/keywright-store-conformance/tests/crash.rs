//! The part of the suite that kills a process, on a store that is a journal of what was committed:
//! written through, or not.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a panic in a test is a failed test"
)]

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use keywright_store::{Batch, BoxError, BoxFuture, CommitError, MemoryStore, RecordStore as _, Upkeep as _};
use keywright_store_conformance::crash::{self, Crashed};
use keywright_store_conformance::{CrashHook, Fixture, Handles, Part, Promise, Suite};
use keywright_testing::HookedStore;

const PLACE: &str = "KEYWRIGHT_CRASH_JOURNAL";
const BUFFERED: &str = "KEYWRIGHT_CRASH_BUFFERED";

/// Memory, and a file with a line for each commit of the suite's own workload, whose batches follow
/// from their numbers. With `buffered`, lines stay in a buffer of this process, as with
/// `synchronous_commit = off`.
async fn journal(place: &Path, buffered: bool) -> Arc<HookedStore<MemoryStore>> {
    let file = OpenOptions::new().create(true).append(true).open(place).unwrap();
    let text = std::fs::read_to_string(place).unwrap();
    // A kill may cut the last line short, which was not acknowledged.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    file.set_len(whole.try_into().unwrap()).unwrap();
    let memory = Arc::new(MemoryStore::new());
    for line in text[..whole].lines() {
        let (partition, number) = line.split_once(' ').unwrap();
        let batch = crash::batch(partition.parse().unwrap(), number.parse().unwrap()).unwrap();
        memory.commit(batch).await.unwrap();
    }
    let (store, file) = (HookedStore::new(Arc::clone(&memory)), Arc::new(Mutex::new(BufWriter::new(file))));
    store.instead_of_commit(move |batch| {
        let (memory, file) = (Arc::clone(&memory), Arc::clone(&file));
        async move { commit_now(&memory, &file, buffered, batch) }
    });
    store
}

fn commit_now(
    memory: &MemoryStore,
    file: &Mutex<BufWriter<File>>,
    buffered: bool,
    batch: Batch,
) -> Result<(), CommitError> {
    let revision = batch.write().map(|write| write.revision.to_bytes()).unwrap_or_default();
    // Under the lock, so that the journal has the order of the commits.
    let mut file = file.lock().unwrap();
    futures_lite::future::block_on(memory.commit(batch))?;
    let half = |at: usize| u64::from_be_bytes(revision[at..at + 8].try_into().unwrap());
    let written = writeln!(file, "{} {}", half(0), half(8));
    written.and_then(|()| if buffered { Ok(()) } else { file.flush() }).map_err(|e| CommitError::Unknown(e.into()))
}

/// The test that the suite starts and kills. Without its variable, it checks once more that the
/// journal plays back.
#[test]
fn crash_child() {
    let Some(place) = std::env::var_os(PLACE) else {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("journal");
        std::fs::write(&place, "0 1\n1 1\n0 2\n").unwrap();
        let store = futures_lite::future::block_on(journal(&place, false));
        let listed = futures_lite::future::block_on(store.partitions(None, 10)).unwrap();
        assert_eq!(listed.len(), 2);
        return;
    };
    let buffered = std::env::var_os(BUFFERED).is_some();
    let open = async || {
        let store = journal(place.as_ref(), buffered).await;
        Handles::without_vault(Arc::clone(&store), store)
    };
    crash::child(open).unwrap();
}

struct Site {
    directory: tempfile::TempDir,
    buffered: bool,
}

impl Site {
    fn place(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    async fn open(&self) -> Handles {
        let store = journal(&self.place(), self.buffered).await;
        Handles::without_vault(Arc::clone(&store), store)
    }
}

impl Fixture for Site {
    fn handles(&self) -> Handles {
        futures_lite::future::block_on(self.open())
    }

    fn crash(&self) -> Option<&dyn CrashHook> {
        Some(self)
    }
}

impl CrashHook for Site {
    fn kill_and_reopen(&self, acknowledged: usize) -> BoxFuture<'_, Result<Crashed, BoxError>> {
        Box::pin(async move {
            let mut command = crash::this_test("crash_child")?;
            command.env(PLACE, self.place());
            if self.buffered {
                command.env(BUFFERED, "1");
            }
            let acknowledged = crash::kill_process(command, acknowledged).await?;
            Ok(Crashed { acknowledged, handles: self.open().await })
        })
    }
}

fn suite(buffered: bool) -> Suite<impl AsyncFn() -> Site> {
    Suite::new(async move || Site { directory: tempfile::tempdir().unwrap(), buffered })
}

#[test]
fn a_journal_that_is_written_through_survives() {
    let report = suite(false).run_parts(&[Part::Durability]).unwrap();
    let passed = report.part(Part::Durability) == keywright_store_conformance::PartVerdict::Passed;
    assert!(passed, "{report}");
}

#[test]
fn a_journal_that_is_left_in_a_buffer_is_caught() {
    let report = suite(true).run_parts(&[Part::Durability]).unwrap();
    let broken: Vec<_> = report.failed().map(|(_, violation)| violation.promise()).collect();
    assert_eq!(broken, [Some(Promise::Durable)], "{report}");
}
