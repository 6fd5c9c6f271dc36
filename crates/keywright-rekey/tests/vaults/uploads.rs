//! A vault that arrives in parts.

use std::sync::Arc;

use keywright_core::AccountId;
use keywright_rekey::{Edit, EditOutcome, Fault, PartOutcome, Swap, UploadStart, Vaults};
use keywright_sqlite::SqliteStore;
use keywright_store::{CipherId, StageId};

use crate::site::{CLIENT_SLOTS, Site, body, id, put, set_key, submission, text};

const LIFE: u64 = 600;

async fn begin(site: &Site, vaults: &Vaults) -> StageId {
    match vaults.begin_upload(&site.account, None, site.at(LIFE)).await.unwrap() {
        UploadStart::Begun { upload, .. } => upload,
        other => panic!("{other:?}"),
    }
}

/// A part of a re-encryption to `generation`: the ciphers of these numbers.
fn part(generation: u32, numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    body(numbers.into_iter().map(|number| (id(number), text(generation, 0))))
}

async fn keep(site: &Site, vaults: &Vaults, upload: StageId, part: &[u8]) -> PartOutcome {
    vaults.put_part(&site.account, upload, &submission(part)).await.unwrap()
}

async fn finish(site: &Site, vaults: &Vaults, upload: StageId, generation: u32) -> Swap<()> {
    vaults.finish_upload(&site.account, upload, CLIENT_SLOTS, |draft| set_key(draft, generation)).await.unwrap()
}

#[tokio::test]
async fn parts_in_any_order_repeated_and_overlapping_make_the_vault() {
    for site in Site::both() {
        let vaults = site.register(25).await;
        let upload = begin(&site, &vaults).await;
        for numbers in [20..25, 0..10, 5..15, 0..10, 10..20] {
            let ciphers = numbers.len();
            assert_eq!(keep(&site, &vaults, upload, &part(2, numbers)).await, PartOutcome::Kept { ciphers });
            assert_eq!(site.check_swaps().await, 0, "nothing of it is the vault yet");
        }
        let ids: Vec<CipherId> = (0..25).map(id).collect();
        assert_eq!(vaults.uploaded(&site.account, upload).await.unwrap(), Some(ids));
        assert!(matches!(finish(&site, &vaults, upload, 2).await, Swap::Done { ciphers: 25, .. }));
        assert_eq!(site.check_swaps().await, 1);
        assert_eq!(site.generation().await, 2);
        // It is spent.
        assert!(matches!(finish(&site, &vaults, upload, 3).await, Swap::Nothing));
        assert_eq!(keep(&site, &vaults, upload, &part(3, 0..2)).await, PartOutcome::Void);
        assert_eq!(vaults.uploaded(&site.account, upload).await.unwrap(), None);
        site.check().await;
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_a_crash_at_every_part() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    // Each time a server that knows nothing but the file and the keyring.
    let restart = || Site::over(Arc::new(SqliteStore::open(&path).unwrap()));
    let parts = || (0..6_u32).map(|part| part * 4..part * 4 + 4);
    restart().register(24).await;
    for crashes_after in 0..=6_usize {
        let generation = u32::try_from(crashes_after).unwrap() + 2;
        let upload = {
            let site = restart();
            let vaults = site.server();
            let upload = begin(&site, &vaults).await;
            for numbers in parts().take(crashes_after) {
                assert!(matches!(
                    keep(&site, &vaults, upload, &part(generation, numbers)).await,
                    PartOutcome::Kept { .. }
                ));
            }
            upload
        };
        let site = restart();
        let vaults = site.server();
        let there = vaults.uploaded(&site.account, upload).await.unwrap().unwrap();
        assert_eq!(there.len(), crashes_after * 4, "what was kept is kept");
        // The client asks what is there, repeats the last part, which may have been lost, and sends the rest.
        for numbers in parts().skip(crashes_after.saturating_sub(1)) {
            assert!(matches!(keep(&site, &vaults, upload, &part(generation, numbers)).await, PartOutcome::Kept { .. }));
        }
        assert!(matches!(finish(&site, &vaults, upload, generation).await, Swap::Done { .. }));
        drop((site, vaults));
        let site = restart();
        site.check().await;
        assert_eq!(site.generation().await, generation);
    }
}

#[tokio::test]
async fn the_finish_checks_what_a_single_submission_would_be_checked_for() {
    for site in Site::both() {
        let vaults = site.register(6).await;
        let upload = begin(&site, &vaults).await;
        let refused = async |fault: Fault, count: usize| {
            let outcome = finish(&site, &vaults, upload, 2).await;
            let Swap::Refused(difference) = outcome else { panic!("{outcome:?}") };
            assert_eq!(difference.count(fault), count, "{difference:?}");
        };
        refused(Fault::Missing, 6).await;
        let _ = keep(&site, &vaults, upload, &part(2, 0..4)).await;
        refused(Fault::Missing, 2).await;
        // One left as it is, two under one nonce: each in another part.
        let old = site.contents().await.ciphers[4].text().to_owned();
        let _ = keep(&site, &vaults, upload, &body([(id(4), old)])).await;
        refused(Fault::Unchanged, 1).await;
        let same = text(2, 0);
        let _ = keep(&site, &vaults, upload, &body([(id(4), same.clone())])).await;
        let _ = keep(&site, &vaults, upload, &body([(id(5), same)])).await;
        refused(Fault::ReusedNonce, 2).await;
        let _ = keep(&site, &vaults, upload, &part(2, 4..6)).await;
        assert_eq!(site.check_swaps().await, 0);
        assert!(matches!(finish(&site, &vaults, upload, 2).await, Swap::Done { .. }));
    }
}

/// Nothing limits how often parts are put, so what they keep is limited by the vault.
#[tokio::test]
async fn a_part_with_a_cipher_that_the_vault_has_not_is_not_kept() {
    for site in Site::both() {
        let vaults = site.register(6).await;
        let upload = begin(&site, &vaults).await;
        for numbers in [vec![0, 77, 78], vec![77]] {
            let unknown = numbers.iter().filter(|number| **number > 5).count();
            let outcome = keep(&site, &vaults, upload, &part(2, numbers)).await;
            let PartOutcome::Refused(difference) = outcome else { panic!("{outcome:?}") };
            assert_eq!(difference.count(Fault::Unknown), unknown);
        }
        assert_eq!(vaults.uploaded(&site.account, upload).await.unwrap(), Some(Vec::new()));
        // A vault that has changed since is another matter.
        let text = text(1, 1);
        let edit = Edit::new(vec![put(id(6), &text, "note 6")], Vec::new());
        let done = vaults.edit(&site.account, &edit, site.key_epoch().await).await;
        assert!(matches!(done.unwrap(), EditOutcome::Done { .. }));
        assert_eq!(keep(&site, &vaults, upload, &part(2, [6])).await, PartOutcome::Void);
    }
}

/// What a new upload replaces is gone at once.
#[tokio::test]
async fn of_many_uploads_that_were_begun_one_is_kept() {
    for site in Site::both() {
        let vaults = site.register(6).await;
        let mut uploads = Vec::new();
        for _ in 0..4 {
            let upload = begin(&site, &vaults).await;
            assert!(matches!(keep(&site, &vaults, upload, &part(2, 0..6)).await, PartOutcome::Kept { .. }));
            uploads.push(upload);
        }
        let last = uploads.pop().unwrap();
        for upload in uploads {
            assert!(site.store.staged(&site.partition(), upload).await.unwrap().is_empty());
        }
        assert!(matches!(finish(&site, &vaults, last, 2).await, Swap::Done { .. }));
        site.check().await;
    }
}

#[tokio::test]
async fn a_faulty_part_is_refused_whole() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        let upload = begin(&site, &vaults).await;
        let twice = body([(id(0), text(2, 0)), (id(1), text(2, 0)), (id(0), text(2, 0))]);
        let bad = body([(id(0), text(2, 0)), (id(1), "zz".repeat(30))]);
        for (part, fault) in [(twice, Fault::Duplicate), (bad, Fault::MalformedText)] {
            let PartOutcome::Refused(difference) = keep(&site, &vaults, upload, &part).await else { panic!() };
            assert_eq!((difference.count(fault), difference.faults().count()), (1, 1));
            assert_eq!(vaults.uploaded(&site.account, upload).await.unwrap(), Some(Vec::new()));
        }
    }
}

#[tokio::test]
async fn a_change_of_what_it_rests_on_voids_it() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        for what in ["edit", "epoch", "time", "another"] {
            let upload = begin(&site, &vaults).await;
            assert_eq!(keep(&site, &vaults, upload, &part(2, 0..3)).await, PartOutcome::Kept { ciphers: 3 });
            match what {
                "edit" => {
                    let new = text(1, 4);
                    let edit = Edit::new(vec![put(id(0), &new, "")], Vec::new());
                    assert!(matches!(
                        vaults.edit(&site.account, &edit, site.key_epoch().await).await.unwrap(),
                        EditOutcome::Done { .. }
                    ));
                }
                "epoch" => site.move_epoch(|draft| draft.move_credential_epoch()).await,
                "time" => site.clock.set(site.at(LIFE)),
                _ => drop(begin(&site, &vaults).await),
            }
            assert_eq!(keep(&site, &vaults, upload, &part(2, 0..3)).await, PartOutcome::Void, "{what}");
            assert!(matches!(finish(&site, &vaults, upload, 2).await, Swap::Nothing), "{what}");
            assert_eq!(site.check_swaps().await, 0);
            site.clock.set(site.at(0));
        }
    }
}

#[tokio::test]
async fn an_upload_is_for_the_vault_that_the_client_read_and_of_one_account() {
    let site = Site::memory();
    let vaults = site.register(2).await;
    let known = Some(site.contents().await.head.revision);
    assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    let begun = vaults.begin_upload(&site.account, known, site.at(LIFE)).await.unwrap();
    assert_eq!(begun, UploadStart::HeadMoved);
    let upload = begin(&site, &vaults).await;
    let other = Site { account: AccountId::new("user-2").unwrap(), ..site.clone() };
    other.register(2).await;
    assert_eq!(keep(&other, &vaults, upload, &part(3, 0..2)).await, PartOutcome::Void);
    assert!(matches!(finish(&other, &vaults, upload, 3).await, Swap::Nothing));
    // What is not checked whole is not promoted as a held vault is.
    let _ = keep(&site, &vaults, upload, &part(3, 0..2)).await;
    assert!(matches!(vaults.promote(&site.account, &[], |_| Ok(())).await.unwrap(), Swap::Nothing));
    site.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_finish_and_an_edit_one_wins() {
    for site in Site::both() {
        let (vaults, other) = (site.register(10).await, site.server());
        for generation in 2..30 {
            let upload = begin(&site, &vaults).await;
            let _ = keep(&site, &vaults, upload, &part(generation, 0..10)).await;
            let epoch = site.contents().await.head.key_epoch;
            let edited = text(site.generation().await, generation);
            let (one, two) = (site.clone(), site.clone());
            let (finishing, editing) = (vaults.clone(), other.clone());
            let finish = tokio::spawn(async move { finish(&one, &finishing, upload, generation).await });
            let edit = tokio::spawn(async move {
                let edit = Edit::new(vec![put(id(1), &edited, "")], Vec::new());
                editing.edit(&two.account, &edit, epoch).await.unwrap()
            });
            let (finish, edit) = (finish.await.unwrap(), edit.await.unwrap());
            let done = matches!(finish, Swap::Done { .. });
            assert_ne!(done, matches!(edit, EditOutcome::Done { .. }), "{finish:?} {edit:?}");
            site.check().await;
        }
    }
}
