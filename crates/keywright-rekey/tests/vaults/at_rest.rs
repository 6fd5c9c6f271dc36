//! What lies in the store: no text, and nothing that opens anywhere else.

use keywright_core::AccountId;
use keywright_rekey::{AtRest, Edit, EditOutcome, SEALED_OVERHEAD, Swap, VaultError, VaultPolicy};
use keywright_store::{CipherId, Row, Which};

use crate::forger::{FileRow, Forger};
use crate::site::{Site, id, put, read_text, text};

async fn raw(site: &Site) -> Vec<Row> {
    site.store.read(&site.partition(), Which::All).await.unwrap().rows
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A text of which every 16 bytes are easily found.
fn telling(generation: u32) -> String {
    format!("{}{}", text(generation, 0), "5ec2e75ec2e75ec2".repeat(20))
}

#[tokio::test]
async fn a_body_holds_no_byte_run_of_the_text_or_the_note() {
    for site in Site::both() {
        let vaults = site.register(0).await;
        let secret = telling(1);
        let note = "the note is secret too";
        let write = Edit::new(vec![put(id(1), &secret, note)], Vec::new());
        assert!(matches!(
            vaults.edit(&site.account, &write, site.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
        for swapped in [false, true] {
            if swapped {
                assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
            }
            for row in raw(&site).await {
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
    let site = Site::over(store);
    let vaults = site.register(0).await;
    let secret = telling(1);
    let write = Edit::new(vec![put(id(1), &secret, "the note is secret too")], Vec::new());
    assert!(matches!(
        vaults.edit(&site.account, &write, site.key_epoch().await).await.unwrap(),
        EditOutcome::Done { .. }
    ));
    let sealed = site.sealed(&vaults, 2).await;
    let _ = vaults.stage(sealed, site.at(60)).await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(std::fs::read(path.with_extension("db-wal")).unwrap());
    assert!(contains(&bytes, &id(1).0), "the row is there");
    for secret in ["5ec2e75ec2e7", "note is secret", &secret[..24]] {
        assert!(!contains(&bytes, secret.as_bytes()), "{secret}");
    }
}

/// With its marks in place, so that the digest has nothing to say: each body opens as its own part of its own cipher only.
#[tokio::test]
async fn a_body_opens_at_its_own_place_only() {
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register(3).await;
    let other = Site { account: AccountId::new("user-2").unwrap(), ..site.clone() };
    other.register(3).await;
    let (ours, theirs) = (forger.rows(&site.account), forger.rows(&other.account));
    let denied = async |row: FileRow, at: CipherId, what: &str| {
        let good = forger.rows(&site.account);
        forger.put(&row);
        for which in [Which::All, Which::Ids { ids: &[at], with_marks: false }] {
            let error = vaults.read(&site.account, which).await.unwrap_err();
            assert!(matches!(error, VaultError::Open(is) if is == at), "{what}: {error:?}");
        }
        good.iter().for_each(|row| forger.put(row));
        site.check().await;
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
    // A text of before an edit, or of before a swap, is not the one that the mark names.
    let edited = text(1, 7);
    let write = Edit::new(vec![put(id(0), &edited, "another note")], Vec::new());
    assert!(matches!(
        vaults.edit(&site.account, &write, site.key_epoch().await).await.unwrap(),
        EditOutcome::Done { .. }
    ));
    let after = forger.rows(&site.account);
    denied(FileRow { text: ours[0].text.clone(), ..after[0].clone() }, id(0), "a text of before an edit").await;
    denied(FileRow { note: ours[0].note.clone(), ..after[0].clone() }, id(0), "a note of before an edit").await;
    assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    let after = forger.rows(&site.account);
    denied(FileRow { text: ours[1].text.clone(), ..after[1].clone() }, id(1), "a text of before a swap").await;
}

#[tokio::test]
async fn texts_as_sent_and_sealed_ones_are_readable_beside_each_other() {
    for site in Site::both() {
        let clear = VaultPolicy::default().with_at_rest(AtRest::AsSent);
        let vaults = site.register(2).await;
        let edited = text(1, 3);
        let write = Edit::new(vec![put(id(1), &edited, "note")], Vec::new());
        assert!(matches!(
            site.server_with(clear).edit(&site.account, &write, site.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
        let rows = raw(&site).await;
        assert_eq!((rows[0].text[0], rows[1].text[0]), (1, 0));
        assert_eq!(&rows[1].text[SEALED_OVERHEAD..], edited.as_bytes());
        assert!(!contains(&rows[1].note, b"note"), "a note is sealed always");
        assert_eq!(site.check().await.ciphers[1].text(), edited);
        // A swap under either policy writes all of them its own way.
        assert!(matches!(site.change(&site.server_with(clear), 2).await.unwrap(), Swap::Done { .. }));
        assert!(raw(&site).await.iter().all(|row| row.text[0] == 0));
        assert_eq!(read_text(site.check().await.ciphers[1].text()), (2, 3));
        assert!(matches!(site.change(&vaults, 3).await.unwrap(), Swap::Done { .. }));
        assert!(raw(&site).await.iter().all(|row| row.text[0] == 1));
        site.check().await;
    }
}

/// A text that lies as it was sent is readable, and bound to its place all the same.
#[tokio::test]
async fn a_text_as_sent_cannot_be_exchanged_in_the_store() {
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register_with(VaultPolicy::default().with_at_rest(AtRest::AsSent), 3).await;
    let rows = forger.rows(&site.account);
    let flipped = |at: usize| {
        let mut text = rows[0].text.clone();
        text[at] ^= 1;
        text
    };
    let end = rows[0].text.len() - 1;
    for text in [rows[1].text.clone(), flipped(1), flipped(14), flipped(40), flipped(end), vec![0], vec![0; 20]] {
        forger.put(&FileRow { text, ..rows[0].clone() });
        assert!(matches!(vaults.read(&site.account, Which::All).await, Err(VaultError::Open(at)) if at == id(0)));
    }
    forger.put(&rows[0]);
    site.check().await;
    // Once a swap has sealed all of them, a text as sent is a forgery.
    assert!(matches!(site.change(&site.server(), 2).await.unwrap(), Swap::Done { .. }));
    let sealed = forger.rows(&site.account);
    forger.put(&FileRow { text: rows[0].text.clone(), ..sealed[0].clone() });
    assert!(matches!(vaults.read(&site.account, Which::All).await, Err(VaultError::Open(at)) if at == id(0)));
}

/// Neither a nonce nor a mark comes again.
#[tokio::test]
async fn no_two_bodies_share_a_nonce_or_a_mark() {
    let site = Site::memory();
    let vaults = site.register(700).await;
    let mut seen = std::collections::BTreeSet::new();
    for generation in 2..5 {
        assert!(matches!(site.change(&vaults, generation).await.unwrap(), Swap::Done { .. }));
        for row in raw(&site).await {
            assert!(seen.insert(row.text[1..13].to_vec()));
            assert!(seen.insert(row.marks.text.0.to_vec()));
        }
    }
}
