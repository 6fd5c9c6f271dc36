//! A process that commits is killed at random moments. Every acknowledged commit must be there, none half.
//!
//! A killed process shows that nothing acknowledged was still in its memory, and that the log is recovered. It does not
//! show what a power cut does; that rests on `synchronous=FULL` and on the drive.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_lite::future::block_on;
use keywright_core::{SystemEntropy, below};
use keywright_sqlite::{SqliteStore, rusqlite};
use keywright_store::RecordStore;

use crate::records::{account, moments, number, numbered};

const FILE: &str = "KEYWRIGHT_CRASH_TEST_FILE";
const ACCOUNTS: usize = 4;
const KILLS: u32 = 60;

/// Not a test by itself: what the test below starts and kills.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let store = Arc::new(SqliteStore::builder(path).readers(1).open().unwrap());
    let commit_for_ever = |store: Arc<SqliteStore>, task: usize| {
        block_on(async {
            loop {
                let (before, last) = number(&*store, &account(task)).await.unzip();
                let next = last.unwrap_or(0) + 1;
                store.commit(numbered(&account(task), before, next)).await.unwrap();
                // One write of a whole line; nobody reads it any more once the parent is gone.
                if writeln!(std::io::stdout().lock(), "ack {task} {next}").is_err() {
                    return;
                }
            }
        });
    };
    std::thread::scope(|scope| {
        for task in 0..ACCOUNTS {
            let store = Arc::clone(&store);
            scope.spawn(move || commit_for_ever(store, task));
        }
    });
}

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_process_loses_nothing_it_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let mut acknowledged: BTreeMap<usize, u64> = BTreeMap::new();
    for kill in 0..KILLS {
        let mut child = start(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // Every tenth dies while it starts, the first while it makes the file.
        let lives_for = if kill % 10 == 0 { 0 } else { below(&SystemEntropy, 24).unwrap() };
        let mut acks = 0;
        while acks < lives_for {
            let is_ack = note(&mut lines, &mut acknowledged).expect("the child lives");
            acks += u32::from(is_ack);
        }
        // Somewhere inside the next commits, of some milliseconds each.
        for _ in 0..below(&SystemEntropy, 3_000_000).unwrap() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        // What stands in the pipe was acknowledged before it died.
        while note(&mut lines, &mut acknowledged).is_some() {}
        child.wait().unwrap();
        block_on(check(&path, &mut acknowledged));
    }
    assert!(acknowledged.values().sum::<u64>() > u64::from(KILLS), "it did commit: {acknowledged:?}");
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}

/// Reads a whole line; notes it if it acknowledges a commit. `None` at the end.
fn note(lines: &mut impl BufRead, acknowledged: &mut BTreeMap<usize, u64>) -> Option<bool> {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    let line = line.strip_suffix('\n')?;
    // The test harness writes its own words before the first.
    let Some((_, ack)) = line.split_once("ack ") else { return Some(false) };
    let (task, number) = ack.split_once(' ').unwrap();
    acknowledged.insert(task.parse().unwrap(), number.parse().unwrap());
    Some(true)
}

async fn check(path: &Path, acknowledged: &mut BTreeMap<usize, u64>) {
    let store = SqliteStore::builder(path).readers(1).open().unwrap();
    for task in 0..ACCOUNTS {
        let promised = acknowledged.get(&task).copied().unwrap_or(0);
        let found = number(&store, &account(task)).await.map_or(0, |(_, number)| number);
        assert!((promised..=promised.saturating_add(1)).contains(&found), "{found} found, {promised} acknowledged");
        // One that landed without its acknowledgement has been seen now, and may not go either.
        acknowledged.insert(task, found);
        let told = moments(&store, &account(task)).await;
        assert_eq!(told, (1..=found).rev().collect::<Vec<_>>(), "one event with each change, none without");
    }
}
