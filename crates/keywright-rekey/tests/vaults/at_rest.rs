//! The stored form: it has no text, and no body that opens anywhere else.

use keywright_core::AccountId;
use keywright_rekey::{AtRest, Edit, EditOutcome, SEALED_OVERHEAD, Swap, VaultError, VaultPolicy};
use keywright_store::{CipherId, Row, Which};

use crate::forger::{FileRow, Forger};
use crate::world::{World, id, put, read_text, text};

async fn raw(world: &World) -> Vec<Row> {
    world.store.read(&world.partition(), Which::All).await.unwrap().rows
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A text of which any 16 bytes are easily found.
fn telling(generation: u32) -> String {
    format!("{}{}", text(generation, 0), "5ec2e75ec2e75ec2".repeat(20))
}

#[tokio::test]
async fn a_body_holds_no_byte_run_of_the_text_or_the_note() {
    for world in World::both() {
        let vaults = world.register(0).await;
        let secret = telling(1);
        let note = "the note is secret too";
        let write = Edit::new(vec![put(id(1), &secret, note)], Vec::new());
        assert!(matches!(
            vaults.edit(&world.account, &write, world.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
        for swapped in [false, true] {
            if swapped {
                assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
            }
            for row in raw(&world).await {
                assert_eq!(row.text[0], 1);
                for part in secret.as_bytes().windows(8) {
                    assert!(!contains(&row.text, part));
                    assert!(!contains(&row.text, &hex::decode(part).unwrap()), "nor its bytes");
                }
                assert_eq!(row.note.len(), note.len() + SEALED_OVERHEAD);
                assert!(note.as_bytes().windows(4).all(|part| !contains(&row.note, part)));
            }
        }
    }
}

#[tokio::test]
async fn a_file_holds_no_text() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    let store = std::sync::Arc::new(keywright_sqlite::SqliteStore::open(&path).unwrap());
    let world = World::over(store);
    let vaults = world.register(0).await;
    let secret = telling(1);
    let write = Edit::new(vec![put(id(1), &secret, "the note is secret too")], Vec::new());
    assert!(matches!(
        vaults.edit(&world.account, &write, world.key_epoch().await).await.unwrap(),
        EditOutcome::Done { .. }
    ));
    let sealed = world.sealed(&vaults, 2).await;
    let _ = vaults.stage(sealed, world.at(60)).await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(std::fs::read(path.with_extension("db-wal")).unwrap());
    assert!(contains(&bytes, &id(1).0), "the row is there");
    for secret in ["5ec2e75ec2e7", "note is secret", &secret[..24]] {
        assert!(!contains(&bytes, secret.as_bytes()), "{secret}");
    }
}

/// The marks are in place, so the digest detects nothing: each body opens only as its own part of
/// its own cipher.
#[tokio::test]
async fn a_body_opens_at_its_own_place_only() {
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register(3).await;
    let other = world.of(AccountId::new("user-2").unwrap());
    other.register(3).await;
    let (ours, theirs) = (forger.rows(&world.account), forger.rows(&other.account));
    let denied = async |row: FileRow, at: CipherId, what: &str| {
        let good = forger.rows(&world.account);
        forger.put(&row);
        for which in [Which::All, Which::Ids { ids: &[at], with_marks: false }] {
            let error = vaults.read(&world.account, which).await.unwrap_err();
            assert!(matches!(error, VaultError::Open(is) if is == at), "{what}: {error:?}");
        }
        good.iter().for_each(|row| forger.put(row));
        world.check().await;
    };
    let with_text = |at: usize, text: &[u8]| FileRow { text: text.to_vec(), ..ours[at].clone() };
    let with_note = |at: usize, note: &[u8]| FileRow { note: note.to_vec(), ..ours[at].clone() };
    denied(with_text(0, &ours[1].text), id(0), "a text moved to another id").await;
    denied(with_note(0, &ours[1].note), id(0), "a note moved to another id").await;
    denied(with_text(2, &theirs[2].text), id(2), "a text of another account").await;
    denied(with_note(2, &theirs[2].note), id(2), "a note of another account").await;
    denied(with_text(0, &ours[0].note), id(0), "a note in the text's place").await;
    denied(with_note(0, &ours[0].text), id(0), "a text in the note's place").await;
    let sent = [&[0; 29][..], b"ab"].concat();
    denied(with_text(1, &sent), id(1), "a text as sent").await;
    for damage in [0, 1, 12, 13, ours[1].text.len() - 1] {
        let mut text = ours[1].text.clone();
        text[damage] ^= 0x40;
        denied(with_text(1, &text), id(1), "a flipped bit").await;
    }
    for body in [&b""[..], &[1], &[1; 28], &[2; 60]] {
        denied(with_text(1, body), id(1), "no body").await;
        denied(with_note(1, body), id(1), "no body").await;
    }
    // A text from before an edit or a swap is not the one to which the mark belongs.
    let edited = text(1, 7);
    let write = Edit::new(vec![put(id(0), &edited, "another note")], Vec::new());
    assert!(matches!(
        vaults.edit(&world.account, &write, world.key_epoch().await).await.unwrap(),
        EditOutcome::Done { .. }
    ));
    let after = forger.rows(&world.account);
    denied(FileRow { text: ours[0].text.clone(), ..after[0].clone() }, id(0), "a text of before an edit").await;
    denied(FileRow { note: ours[0].note.clone(), ..after[0].clone() }, id(0), "a note of before an edit").await;
    assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    let after = forger.rows(&world.account);
    denied(FileRow { text: ours[1].text.clone(), ..after[1].clone() }, id(1), "a text of before a swap").await;
}

#[tokio::test]
async fn texts_as_sent_and_sealed_ones_are_readable_beside_each_other() {
    for world in World::both() {
        let clear = VaultPolicy::builder().at_rest(AtRest::AsSent).build().unwrap();
        let vaults = world.register(2).await;
        let edited = text(1, 3);
        let write = Edit::new(vec![put(id(1), &edited, "note")], Vec::new());
        assert!(matches!(
            world.server_with(clear).edit(&world.account, &write, world.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
        let rows = raw(&world).await;
        assert_eq!((rows[0].text[0], rows[1].text[0]), (1, 0));
        assert_eq!(&rows[1].text[SEALED_OVERHEAD..], edited.as_bytes());
        assert!(!contains(&rows[1].note, b"note"), "a note is sealed always");
        assert_eq!(world.check().await.ciphers[1].text(), edited);
        // A swap under either policy writes all of them in the form of that policy.
        assert!(matches!(world.change(&world.server_with(clear), 2).await.unwrap(), Swap::Done { .. }));
        assert!(raw(&world).await.iter().all(|row| row.text[0] == 0));
        assert_eq!(read_text(world.check().await.ciphers[1].text()), (2, 3));
        assert!(matches!(world.change(&vaults, 3).await.unwrap(), Swap::Done { .. }));
        assert!(raw(&world).await.iter().all(|row| row.text[0] == 1));
        world.check().await;
    }
}

/// A text stored as it was sent is readable, but still bound to its place.
#[tokio::test]
async fn a_text_as_sent_cannot_be_exchanged_in_the_store() {
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register_with(VaultPolicy::builder().at_rest(AtRest::AsSent).build().unwrap(), 3).await;
    let rows = forger.rows(&world.account);
    let flipped = |at: usize| {
        let mut text = rows[0].text.clone();
        text[at] ^= 1;
        text
    };
    let end = rows[0].text.len() - 1;
    for text in [rows[1].text.clone(), flipped(1), flipped(14), flipped(40), flipped(end), vec![0], vec![0; 20]] {
        forger.put(&FileRow { text, ..rows[0].clone() });
        assert!(matches!(vaults.read(&world.account, Which::All).await, Err(VaultError::Open(at)) if at == id(0)));
    }
    forger.put(&rows[0]);
    world.check().await;
    // Once a swap has sealed all of them, a text as sent is a forgery.
    assert!(matches!(world.change(&world.server(), 2).await.unwrap(), Swap::Done { .. }));
    let sealed = forger.rows(&world.account);
    forger.put(&FileRow { text: rows[0].text.clone(), ..sealed[0].clone() });
    assert!(matches!(vaults.read(&world.account, Which::All).await, Err(VaultError::Open(at)) if at == id(0)));
}

/// No nonce and no mark is repeated.
#[tokio::test]
async fn no_two_bodies_share_a_nonce_or_a_mark() {
    let world = World::memory();
    let vaults = world.register(700).await;
    let mut seen = std::collections::BTreeSet::new();
    for generation in 2..5 {
        assert!(matches!(world.change(&vaults, generation).await.unwrap(), Swap::Done { .. }));
        for row in raw(&world).await {
            assert!(seen.insert(row.text[1..13].to_vec()));
            assert!(seen.insert(row.marks.text.0.to_vec()));
        }
    }
}
