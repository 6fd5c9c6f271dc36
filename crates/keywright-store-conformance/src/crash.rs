//! What a process writes until it is killed, and what must be present afterwards.
//!
//! A backend's test names a command that runs [`child`] on its store. Usually this is the test's
//! own binary.
//!
//! ```no_run
//! # use keywright_store_conformance::{Handles, crash};
//! # // Stands for a backend that opens the files at `place`.
//! # async fn open(_place: &std::path::Path) -> Handles {
//! #     Handles::shared(std::sync::Arc::new(keywright_store::MemoryStore::new()))
//! # }
//! const PLACE: &str = "STORE_UNDER_TEST";
//!
//! #[test]
//! fn crash_child() {
//!     // Does nothing unless the suite has started this process.
//!     if let Some(place) = std::env::var_os(PLACE) {
//!         crash::child(async || open(place.as_ref()).await).unwrap();
//!     }
//! }
//!
//! // In `CrashHook::kill_and_reopen`:
//! # async fn kill(place: &std::path::Path, acknowledged: usize) -> Result<(), keywright_store::BoxError> {
//! let mut command = crash::this_test("crash_child")?;
//! command.env(PLACE, place);
//! let acknowledged = crash::kill_process(command, acknowledged).await?;
//! let crashed = crash::Crashed { acknowledged, handles: open(place).await };
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use keywright_core::{AccountId, EventChain, UnixSeconds};
use keywright_store::{Batch, BoxError, Partition, Revision, Row, SlotName, VaultWrite, Which, Write};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::backend::Handles;
use crate::site::{LONG_AGO, Site, event, put, row, slot};
use crate::violation::{Violation, holds};

/// The number of partitions that a process writes to at once.
pub const PARTITIONS: usize = 4;

/// The number of slots, and of ciphers, that a partition's writes cycle through.
const SLOTS: u8 = 8;

/// What remains after a kill.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "hooks make it")]
pub struct Crashed {
    /// The number of the last acknowledged commit of each partition, or `None` if the process had
    /// not started on it.
    pub acknowledged: [Option<u64>; PARTITIONS],
    /// The store, opened again as a server opens it at its start.
    pub handles: Handles,
}

fn revision(partition: usize, number: u64) -> Revision {
    let mut bytes = [0xc4; 16];
    bytes[..8].copy_from_slice(&partition.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Revision::from_bytes(bytes)
}

fn number_of(revision: Revision) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = revision.to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn expected(partition: usize, number: u64) -> Option<Revision> {
    (number > 0).then(|| revision(partition, number))
}

fn place(number: u64) -> u8 {
    u8::try_from(number.checked_rem(SLOTS.into()).unwrap_or(0)).unwrap_or(0)
}

/// The commit with this number. It depends only on its partition and number, so that the check
/// afterwards knows what was written.
fn write(partition: usize, number: u64, has_vault: bool) -> Write {
    let body = format!("{partition}/{number}").into_bytes();
    let at = place(number);
    let change = VaultWrite::Edit { put: vec![row(at, at, body.clone())], delete: Vec::new() };
    Write {
        erase: number.is_multiple_of(29),
        put: vec![put(slot(at), body.clone())],
        delete: vec![slot(place(number.wrapping_add(3)))],
        events: vec![event(number)],
        vault: has_vault.then_some(change),
        ..Write::root(revision(partition, number), body.into())
    }
}

fn site(handles: &Handles, partition: usize) -> Result<Site, Violation> {
    Ok(Site::of(handles, Partition::account(&AccountId::new(format!("crash-{partition}"))?)))
}

/// Returns the commit with this number to one of the partitions, as [`write_until_killed`] makes it
/// on a store without a vault. A journal can be replayed from it. Its revision is the partition and
/// the number, as eight bytes big endian each.
///
/// # Errors
/// None for numbers from 1 on. The commit expects the revision of the one before it.
pub fn batch(partition: usize, number: u64) -> Result<Batch, Violation> {
    let account = Partition::account(&AccountId::new(format!("crash-{partition}"))?);
    Ok(Batch::new(account, expected(partition, number.saturating_sub(1)), write(partition, number, false))?)
}

/// Commits to all partitions at once, through both handles, one after the other in each, without
/// end. Calls `acknowledged` at each reply, and once for the number at which each partition starts,
/// which the store has kept from an earlier process.
///
/// # Errors
/// A [`Violation`] if the store fails.
pub async fn write_until_killed(
    handles: Handles,
    acknowledged: impl Fn(usize, u64) + Send + Sync + 'static,
) -> Result<(), Violation> {
    let acknowledged = Arc::new(acknowledged);
    let mut tasks = JoinSet::new();
    for partition in 0..PARTITIONS {
        let (site, acknowledged) = (site(&handles, partition)?, Arc::clone(&acknowledged));
        let has_vault = handles.vault(0).is_some();
        tasks.spawn(async move {
            let root = site.load_through(partition, &[]).await?.root;
            let mut number = root.map_or(0, |root| number_of(root.revision));
            acknowledged(partition, number);
            loop {
                let expect = expected(partition, number);
                number = number.saturating_add(1);
                let batch = site.batch(expect, write(partition, number, has_vault))?;
                let landed = site.commit_through(partition, batch).await?;
                holds!(landed, Guard, "a batch whose guard holds was a conflict");
                acknowledged(partition, number);
                tokio::task::yield_now().await;
            }
        });
    }
    match tasks.join_next().await {
        Some(ended) => ended.map_err(Violation::suite)?,
        None => Ok(()),
    }
}

/// What a partition holds after so many commits.
fn replay(partition: usize, number: u64, has_vault: bool) -> (BTreeMap<SlotName, Vec<u8>>, Vec<Row>) {
    let (mut records, mut rows) = (BTreeMap::new(), BTreeMap::new());
    for number in 1..=number {
        let write = write(partition, number, has_vault);
        if write.erase {
            records.clear();
            rows.clear();
        }
        for slot in write.delete {
            records.remove(&slot);
        }
        records.extend(write.put.into_iter().map(|put| (put.slot, put.body.to_vec())));
        if let Some(VaultWrite::Edit { put, .. }) = write.vault {
            rows.extend(put.into_iter().map(|row| (row.id(), row)));
        }
    }
    (records, rows.into_values().collect())
}

/// Compares the store with what was acknowledged, where `before` was stored before the process
/// started. Returns how many commits each partition holds.
pub(crate) async fn verify(crashed: &Crashed, before: [u64; PARTITIONS]) -> Result<[u64; PARTITIONS], Violation> {
    let mut there = before;
    let has_vault = crashed.handles.vault(0).is_some();
    let slots: Vec<SlotName> = (0..SLOTS).map(slot).collect();
    for (partition, (acknowledged, there)) in crashed.acknowledged.iter().zip(&mut there).enumerate() {
        let acknowledged = acknowledged.unwrap_or(*there);
        let site = site(&crashed.handles, partition)?;
        let seen = site.load(&slots).await?;
        let number = seen.root.as_ref().map_or(0, |root| number_of(root.revision));
        let kept = number >= acknowledged;
        holds!(kept, Durable, "{acknowledged} commits were acknowledged before the kill, {number} are there");
        let in_flight = number.saturating_sub(acknowledged);
        holds!(in_flight <= 1, Durable, "after {acknowledged} acknowledged commits, one by one, {number} are there");
        let (records, rows) = replay(partition, number, has_vault);
        let found = slots.iter().zip(&seen.records).filter_map(|(slot, body)| Some((*slot, body.as_ref()?.to_vec())));
        let whole = found.eq(records) && seen.newest.changes == number;
        holds!(whole, Durable, "after a kill, commit {number} is there in part: {seen:?}");
        let events = site.numbers(EventChain::Changes).await?;
        let all = events.iter().copied().eq((1..=number).rev());
        holds!(all, Durable, "after a kill, {} of {number} events are there", events.len());
        if has_vault {
            let read = site.read(Which::All).await?;
            holds!(read.rows == rows, Durable, "after a kill, the vault of commit {number} is there in part");
        }
        *there = number;
    }
    // The store continues to work, and what was in flight is settled by now.
    let moment: UnixSeconds = LONG_AGO;
    crashed.handles.upkeep(0).due(moment, 1).await?;
    Ok(there)
}

const WORD: &str = "keywright-acknowledged";

/// What the other process runs: opens the store and writes until it is killed, or until nobody
/// reads its output any more.
///
/// # Errors
/// A [`Violation`] if the store fails, or if no runtime can be started.
pub fn child(open: impl AsyncFnOnce() -> Handles) -> Result<(), Violation> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Violation::suite)?;
    runtime.block_on(async {
        write_until_killed(open().await, |partition, number| {
            let mut out = std::io::stdout().lock();
            // The test harness may have started a line of its own.
            let written = write!(out, "\n{WORD} {partition} {number}\n").and_then(|()| out.flush());
            if written.is_err() {
                std::process::exit(0);
            }
        })
        .await
    })
}

/// Returns a command that runs one test of this test binary, by its exact name, and nothing else.
///
/// # Errors
/// An error if the binary cannot be found.
pub fn this_test(name: &str) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", name, "--nocapture", "--test-threads", "1"]);
    Ok(command)
}

/// Kills its process when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // The process may have ended by itself. Then there is nothing to kill, and `wait` reports
        // the exit.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process that runs [`child`], waits for so many acknowledged commits, and kills it
/// without warning (`SIGKILL`). Returns the last acknowledged number of each partition.
///
/// # Errors
/// An error if the process cannot be started, or ends by itself.
pub async fn kill_process(mut command: Command, acknowledged: usize) -> Result<[Option<u64>; PARTITIONS], BoxError> {
    let mut process = Killed(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let output = process.0.stdout.take().ok_or("the process has no output")?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let reader = std::thread::Builder::new().spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(acknowledged) = parse(&line)
                && sender.send(acknowledged).is_err()
            {
                break;
            }
        }
    })?;
    let mut last: [Option<u64>; PARTITIONS] = [None; PARTITIONS];
    let mut count = 0_usize;
    let mut note = |(partition, number): (usize, u64), count: &mut usize| {
        if let Some(last) = last.get_mut(partition) {
            // The first number is where the partition starts.
            *count = count.saturating_add(usize::from(last.is_some()));
            *last = Some(number);
        }
    };
    while count < acknowledged {
        let next = receiver.recv().await.ok_or("the process ended before it was killed")?;
        note(next, &mut count);
    }
    drop(process);
    // Replies that were reported before the kill count too.
    while let Some(next) = receiver.recv().await {
        note(next, &mut count);
    }
    reader.join().map_err(|_| "the reader of the process's output failed")?;
    Ok(last)
}

fn parse(line: &str) -> Option<(usize, u64)> {
    let (partition, number) = line.strip_prefix(WORD)?.trim().split_once(' ')?;
    Some((partition.parse().ok()?, number.parse().ok()?))
}
