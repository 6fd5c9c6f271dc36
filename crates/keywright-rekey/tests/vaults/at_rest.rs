//! What lies in the store: no text, and nothing that opens anywhere else.

use keywright_core::AccountId;
use keywright_rekey::{AtRest, Edit, Editing, SEALED_OVERHEAD, Swap, VaultError, VaultPolicy};
use keywright_store::{Batch, CipherId, Effect, Expect, Revision, Row, Slot, VaultWrite, Which, Write};

use crate::site::{Site, id, put, read_text, text};

/// Writes rows as somebody can who has the database and no keyring: the head's same body under a new revision.
pub(crate) async fn overwrite(site: &Site, rows: Vec<Row>) {
    let slots = [Slot::Root, Slot::VaultHead];
    let stored = site.store.load(&site.partition(), &slots).await.unwrap();
    let writes = slots.into_iter().zip(stored).map(|(slot, stored)| {
        let stored = stored.unwrap();
        let put = Effect::Put { body: stored.body, purge_after: None };
        let effect = if slot == Slot::Root { Effect::Check } else { put };
        Write { slot, expect: Expect::Revision(stored.revision), effect }
    });
    let revision = Revision::random(&keywright_core::SystemEntropy).unwrap();
    let batch = Batch::new(site.partition(), revision, writes.collect()).unwrap();
    let batch = batch.with_vault(VaultWrite::Edit { put: rows, delete: Vec::new() }).unwrap();
    site.store.commit(batch).await.unwrap();
}

async fn raw(site: &Site) -> Vec<Row> {
    site.store.read(&site.partition(), Which::All).await.unwrap()
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
        assert!(matches!(vaults.edit(&site.account, &write, 1).await.unwrap(), Editing::Done { .. }));
        for swapped in [false, true] {
            if swapped {
                assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
            }
            for row in raw(&site).await {
                assert_eq!(row.body[0], 1);
                for part in secret.as_bytes().windows(8) {
                    assert!(!contains(&row.body, part));
                    assert!(!contains(&row.body, &hex::decode(part).unwrap()), "nor its bytes");
                }
                assert_eq!(row.meta.len(), note.len() + SEALED_OVERHEAD);
                assert!(note.as_bytes().windows(4).all(|part| !contains(&row.meta, part)));
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
    assert!(matches!(vaults.edit(&site.account, &write, 1).await.unwrap(), Editing::Done { .. }));
    let sealed = site.sealed(&vaults, 2).await;
    let _ = vaults.stage(sealed, site.at(60)).await.unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(std::fs::read(path.with_extension("db-wal")).unwrap());
    assert!(contains(&bytes, &id(1).0), "the row is there");
    for secret in ["5ec2e75ec2e7", "note is secret", &secret[..24]] {
        assert!(!contains(&bytes, secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn a_row_opens_at_its_own_place_only() {
    let site = Site::memory();
    let vaults = site.register(3).await;
    let other = Site { account: AccountId::new("user-2").unwrap(), ..site.clone() };
    other.register(3).await;
    let (ours, theirs) = (raw(&site).await, raw(&other).await);
    let denied = async |rows: Vec<Row>, at: CipherId, what: &str| {
        let good = raw(&site).await;
        overwrite(&site, rows).await;
        let error = vaults.read(&site.account, Which::All).await.unwrap_err();
        assert!(matches!(error, VaultError::Open(is) if is == at), "{what}: {error:?}");
        let error = vaults.read(&site.account, Which::Ids(&[at])).await.unwrap_err();
        assert!(matches!(error, VaultError::Open(_)), "{what}");
        overwrite(&site, good).await;
        site.check().await;
    };
    denied(vec![Row { body: ours[1].body.clone(), ..ours[0].clone() }], id(0), "a body moved to another id").await;
    denied(vec![Row { meta: ours[1].meta.clone(), ..ours[0].clone() }], id(0), "a note moved to another id").await;
    denied(vec![theirs[2].clone()], id(2), "a row of another account").await;
    denied(vec![Row { body: ours[0].meta.clone(), ..ours[0].clone() }], id(0), "a note in the text's place").await;
    denied(vec![Row { body: [0, b'a', b'b'][..].to_vec().into(), ..ours[1].clone() }], id(1), "a text as sent").await;
    for damage in [0, 1, 12, 13, ours[1].body.len() - 1] {
        let mut body = ours[1].body.to_vec();
        body[damage] ^= 0x40;
        denied(vec![Row { body: body.into(), ..ours[1].clone() }], id(1), "a flipped bit").await;
    }
    for body in [&b""[..], &[1], &[1; 28], &[2; 60]] {
        denied(vec![Row { body: body.to_vec().into(), ..ours[1].clone() }], id(1), "no body").await;
    }
    // A body of before the swap does not open after it: its key is gone.
    assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    denied(vec![ours[0].clone()], id(0), "an old row put back").await;
}

#[tokio::test]
async fn texts_as_sent_and_sealed_ones_are_readable_beside_each_other() {
    for site in Site::both() {
        let clear = VaultPolicy::default().with_at_rest(AtRest::AsSent);
        let vaults = site.register(2).await;
        let edited = text(1, 3);
        let write = Edit::new(vec![put(id(1), &edited, "note")], Vec::new());
        assert!(matches!(site.server_with(clear).edit(&site.account, &write, 1).await.unwrap(), Editing::Done { .. }));
        let rows = raw(&site).await;
        assert_eq!((rows[0].body[0], rows[1].body[0]), (1, 0));
        assert_eq!(&rows[1].body[1..], edited.as_bytes());
        assert!(!contains(&rows[1].meta, b"note"), "a note is sealed always");
        assert_eq!(site.check().await.ciphers[1].text(), edited);
        // A swap under either policy writes all of them its own way.
        assert!(matches!(site.change(&site.server_with(clear), 2).await.unwrap(), Swap::Done { .. }));
        assert!(raw(&site).await.iter().all(|row| row.body[0] == 0));
        assert_eq!(read_text(site.check().await.ciphers[1].text()), (2, 3));
        assert!(matches!(site.change(&vaults, 3).await.unwrap(), Swap::Done { .. }));
        assert!(raw(&site).await.iter().all(|row| row.body[0] == 1));
        // From then on a text as sent is a forgery.
        let mut forged = raw(&site).await.remove(1);
        forged.body = [&[0], text(3, 9).as_bytes()].concat().into();
        overwrite(&site, vec![forged]).await;
        assert!(matches!(vaults.read(&site.account, Which::All).await, Err(VaultError::Open(_))));
    }
}

#[tokio::test]
async fn no_two_bodies_share_a_nonce() {
    let site = Site::memory();
    let vaults = site.register(700).await;
    let mut seen = std::collections::BTreeSet::new();
    for generation in 2..5 {
        assert!(matches!(site.change(&vaults, generation).await.unwrap(), Swap::Done { .. }));
        for row in raw(&site).await {
            assert!(seen.insert(row.body[1..13].to_vec()));
        }
    }
}
