//! A process that changes a vault of 10,000 ciphers is killed at random times. Either the old vault
//! with the old key is found afterwards or the new vault with the new key, and nothing in between.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_lite::future::block_on;
use keywright_core::{SystemEntropy, below};
use keywright_rekey::{CipherList, Hex, Limits, Swap};
use keywright_sqlite::{SqliteStore, rusqlite};
use serde::de::DeserializeSeed;

use crate::world::{CLIENT_SLOTS, World, anew, set_key};

const FILE: &str = "KEYWRIGHT_REKEY_CRASH_TEST_FILE";
const CIPHERS: u32 = 10_000;
const KILLS: u32 = 30;

fn world(path: &Path) -> World {
    World::over(Arc::new(SqliteStore::builder(path).readers(1).open().unwrap()))
}

fn say(words: &str) {
    // Nobody reads the output any more once the parent is gone.
    let _ = writeln!(std::io::stdout().lock(), "{words}");
}

/// This is not a test by itself: the test below starts and kills it. It changes the vault again and
/// again, and announces each commit before and after it.
#[test]
fn child() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let world = world(Path::new(&path));
    let vaults = world.server();
    block_on(async {
        let contents = world.contents().await;
        let mut known = contents.head.revision;
        let first = world.generation().await + 1;
        for generation in first.. {
            let body = anew(&contents, generation);
            let submission = CipherList::new(&body, Limits::default(), &Hex)
                .deserialize(&mut serde_json::Deserializer::from_slice(&body))
                .unwrap();
            let swap = vaults.swap(&world.account, &submission, Some(known), CLIENT_SLOTS, |draft| {
                say(&format!("try {generation}"));
                set_key(draft, generation)
            });
            let Swap::Done { head, .. } = swap.await.unwrap() else { panic!() };
            known = head;
            say(&format!("ack {generation}"));
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

/// The next line of the child's own; `None` at its end.
fn next(lines: &mut impl BufRead) -> Option<(bool, u32)> {
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let line = line.strip_suffix('\n')?;
        for (word, acknowledged) in [("try ", false), ("ack ", true)] {
            if let Some((_, number)) = line.split_once(word) {
                return Some((acknowledged, number.parse().unwrap()));
            }
        }
    }
}

#[test]
fn a_killed_change_leaves_the_old_vault_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let _ = block_on(world(&path).register(CIPHERS));
    let (mut acknowledged, mut cut) = (1, 0);
    for kill in 0..KILLS {
        let mut child = start(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        // The child is killed in its first change, or in a later one.
        let (mut tried, mut left) = (acknowledged, below(&SystemEntropy, 3).unwrap());
        while let Some((is_ack, number)) = next(&mut lines) {
            if is_ack {
                acknowledged = number;
                continue;
            }
            tried = number;
            if left == 0 {
                break;
            }
            left -= 1;
        }
        // The kill falls somewhere inside the commit of some tens of milliseconds, or the next
        // change.
        for _ in 0..below(&SystemEntropy, 40_000_000).unwrap() / (1 + kill % 4) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        while let Some((is_ack, number)) = next(&mut lines) {
            *(if is_ack { &mut acknowledged } else { &mut tried }) = number;
        }
        child.wait().unwrap();
        let world = world(&path);
        let (contents, generation) = block_on(async { (world.check().await, world.generation().await) });
        assert_eq!(contents.head.count, u64::from(CIPHERS));
        assert!(
            (acknowledged..=tried).contains(&generation),
            "{generation}: {acknowledged} acknowledged, {tried} tried"
        );
        assert!(tried <= acknowledged + 1);
        cut += u32::from(generation < tried);
        acknowledged = generation;
    }
    assert!(cut > 0, "no change was cut off");
    let file = rusqlite::Connection::open(&path).unwrap();
    assert_eq!(file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(), "ok");
}
