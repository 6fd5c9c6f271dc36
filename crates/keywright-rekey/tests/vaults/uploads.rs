//! A vault that arrives in parts.

use std::sync::Arc;

use keywright_core::AccountId;
use keywright_rekey::{Edit, EditOutcome, Fault, PartOutcome, Swap, UploadStart, Vaults};
use keywright_sqlite::SqliteStore;
use keywright_store::{CipherId, StageId};

use keywright_testing::Epoch;

use crate::world::{CLIENT_SLOTS, World, body, id, put, set_key, submission, text};

const LIFE: u64 = 600;

async fn begin(world: &World, vaults: &Vaults) -> StageId {
    match vaults.begin_upload(&world.account, None, world.at(LIFE)).await.unwrap() {
        UploadStart::Begun { upload, .. } => upload,
        other => panic!("{other:?}"),
    }
}

/// A part of a re-encryption to `generation`: the ciphers of these numbers.
fn part(generation: u32, numbers: impl IntoIterator<Item = u32>) -> Vec<u8> {
    body(numbers.into_iter().map(|number| (id(number), text(generation, 0))))
}

async fn keep(world: &World, vaults: &Vaults, upload: StageId, part: &[u8]) -> PartOutcome {
    vaults.put_part(&world.account, upload, &submission(part)).await.unwrap()
}

async fn finish(world: &World, vaults: &Vaults, upload: StageId, generation: u32) -> Swap<()> {
    vaults.finish_upload(&world.account, upload, CLIENT_SLOTS, |draft| set_key(draft, generation)).await.unwrap()
}

#[tokio::test]
async fn parts_in_any_order_repeated_and_overlapping_make_the_vault() {
    for world in World::both() {
        let vaults = world.register(25).await;
        let upload = begin(&world, &vaults).await;
        for numbers in [20..25, 0..10, 5..15, 0..10, 10..20] {
            let ciphers = numbers.len();
            assert_eq!(keep(&world, &vaults, upload, &part(2, numbers)).await, PartOutcome::Kept { ciphers });
            assert_eq!(world.check_swaps().await, 0, "nothing of it is the vault yet");
        }
        let ids: Vec<CipherId> = (0..25).map(id).collect();
        assert_eq!(vaults.uploaded(&world.account, upload).await.unwrap(), Some(ids));
        assert!(matches!(finish(&world, &vaults, upload, 2).await, Swap::Done { ciphers: 25, .. }));
        assert_eq!(world.check_swaps().await, 1);
        assert_eq!(world.generation().await, 2);
        // The upload is spent.
        assert!(matches!(finish(&world, &vaults, upload, 3).await, Swap::Nothing));
        assert_eq!(keep(&world, &vaults, upload, &part(3, 0..2)).await, PartOutcome::Void);
        assert_eq!(vaults.uploaded(&world.account, upload).await.unwrap(), None);
        world.check().await;
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_a_crash_at_every_part() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.db");
    // Each time, a server that has only the file and the keyring.
    let restart = || World::over(Arc::new(SqliteStore::open(&path).unwrap()));
    let parts = || (0..6_u32).map(|part| part * 4..part * 4 + 4);
    restart().register(24).await;
    for crashes_after in 0..=6_usize {
        let generation = u32::try_from(crashes_after).unwrap() + 2;
        let upload = {
            let world = restart();
            let vaults = world.server();
            let upload = begin(&world, &vaults).await;
            for numbers in parts().take(crashes_after) {
                assert!(matches!(
                    keep(&world, &vaults, upload, &part(generation, numbers)).await,
                    PartOutcome::Kept { .. }
                ));
            }
            upload
        };
        let world = restart();
        let vaults = world.server();
        let there = vaults.uploaded(&world.account, upload).await.unwrap().unwrap();
        assert_eq!(there.len(), crashes_after * 4, "what was kept is kept");
        // The client requests what is there, repeats the last part, which may have been lost, and
        // sends the rest.
        for numbers in parts().skip(crashes_after.saturating_sub(1)) {
            assert!(matches!(
                keep(&world, &vaults, upload, &part(generation, numbers)).await,
                PartOutcome::Kept { .. }
            ));
        }
        assert!(matches!(finish(&world, &vaults, upload, generation).await, Swap::Done { .. }));
        drop((world, vaults));
        let world = restart();
        world.check().await;
        assert_eq!(world.generation().await, generation);
    }
}

#[tokio::test]
async fn the_finish_checks_what_a_single_submission_would_be_checked_for() {
    for world in World::both() {
        let vaults = world.register(6).await;
        let upload = begin(&world, &vaults).await;
        let refused = async |fault: Fault, count: usize| {
            let outcome = finish(&world, &vaults, upload, 2).await;
            let Swap::Refused(difference) = outcome else { panic!("{outcome:?}") };
            assert_eq!(difference.count(fault), count, "{difference:?}");
        };
        refused(Fault::Missing, 6).await;
        let _ = keep(&world, &vaults, upload, &part(2, 0..4)).await;
        refused(Fault::Missing, 2).await;
        // One text is unchanged, and two have one nonce, each in another part.
        let old = world.contents().await.ciphers[4].text().to_owned();
        let _ = keep(&world, &vaults, upload, &body([(id(4), old)])).await;
        refused(Fault::Unchanged, 1).await;
        let same = text(2, 0);
        let _ = keep(&world, &vaults, upload, &body([(id(4), same.clone())])).await;
        let _ = keep(&world, &vaults, upload, &body([(id(5), same)])).await;
        refused(Fault::ReusedNonce, 2).await;
        let _ = keep(&world, &vaults, upload, &part(2, 4..6)).await;
        assert_eq!(world.check_swaps().await, 0);
        assert!(matches!(finish(&world, &vaults, upload, 2).await, Swap::Done { .. }));
    }
}

/// The number of parts is not limited, so the vault limits what they store.
#[tokio::test]
async fn a_part_with_a_cipher_that_the_vault_has_not_is_not_kept() {
    for world in World::both() {
        let vaults = world.register(6).await;
        let upload = begin(&world, &vaults).await;
        for numbers in [vec![0, 77, 78], vec![77]] {
            let unknown = numbers.iter().filter(|number| **number > 5).count();
            let outcome = keep(&world, &vaults, upload, &part(2, numbers)).await;
            let PartOutcome::Refused(difference) = outcome else { panic!("{outcome:?}") };
            assert_eq!(difference.count(Fault::Unknown), unknown);
        }
        assert_eq!(vaults.uploaded(&world.account, upload).await.unwrap(), Some(Vec::new()));
        // A vault that has changed since is a different case.
        let text = text(1, 1);
        let edit = Edit::new(vec![put(id(6), &text, "note 6")], Vec::new());
        let done = vaults.edit(&world.account, &edit, world.key_epoch().await).await;
        assert!(matches!(done.unwrap(), EditOutcome::Done { .. }));
        assert_eq!(keep(&world, &vaults, upload, &part(2, [6])).await, PartOutcome::Void);
    }
}

/// The rows that a new upload replaces are removed immediately.
#[tokio::test]
async fn of_many_uploads_that_were_begun_one_is_kept() {
    for world in World::both() {
        let vaults = world.register(6).await;
        let mut uploads = Vec::new();
        for _ in 0..4 {
            let upload = begin(&world, &vaults).await;
            assert!(matches!(keep(&world, &vaults, upload, &part(2, 0..6)).await, PartOutcome::Kept { .. }));
            uploads.push(upload);
        }
        let last = uploads.pop().unwrap();
        for upload in uploads {
            assert!(world.store.staged(&world.partition(), upload).await.unwrap().is_empty());
        }
        assert!(matches!(finish(&world, &vaults, last, 2).await, Swap::Done { .. }));
        world.check().await;
    }
}

#[tokio::test]
async fn a_faulty_part_is_refused_whole() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let upload = begin(&world, &vaults).await;
        let twice = body([(id(0), text(2, 0)), (id(1), text(2, 0)), (id(0), text(2, 0))]);
        let bad = body([(id(0), text(2, 0)), (id(1), "zz".repeat(30))]);
        for (part, fault) in [(twice, Fault::Duplicate), (bad, Fault::MalformedText)] {
            let PartOutcome::Refused(difference) = keep(&world, &vaults, upload, &part).await else { panic!() };
            assert_eq!((difference.count(fault), difference.faults().count()), (1, 1));
            assert_eq!(vaults.uploaded(&world.account, upload).await.unwrap(), Some(Vec::new()));
        }
    }
}

#[tokio::test]
async fn a_change_of_what_it_rests_on_voids_it() {
    for world in World::both() {
        let vaults = world.register(3).await;
        for what in ["edit", "epoch", "time", "another"] {
            let upload = begin(&world, &vaults).await;
            assert_eq!(keep(&world, &vaults, upload, &part(2, 0..3)).await, PartOutcome::Kept { ciphers: 3 });
            match what {
                "edit" => {
                    let new = text(1, 4);
                    let edit = Edit::new(vec![put(id(0), &new, "")], Vec::new());
                    assert!(matches!(
                        vaults.edit(&world.account, &edit, world.key_epoch().await).await.unwrap(),
                        EditOutcome::Done { .. }
                    ));
                }
                "epoch" => world.move_epoch(Epoch::Credential).await,
                "time" => world.clock.set(world.at(LIFE)),
                _ => drop(begin(&world, &vaults).await),
            }
            assert_eq!(keep(&world, &vaults, upload, &part(2, 0..3)).await, PartOutcome::Void, "{what}");
            assert!(matches!(finish(&world, &vaults, upload, 2).await, Swap::Nothing), "{what}");
            assert_eq!(world.check_swaps().await, 0);
            world.clock.set(world.at(0));
        }
    }
}

#[tokio::test]
async fn an_upload_is_for_the_vault_that_the_client_read_and_of_one_account() {
    let world = World::memory();
    let vaults = world.register(2).await;
    let known = Some(world.contents().await.head.revision);
    assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    let begun = vaults.begin_upload(&world.account, known, world.at(LIFE)).await.unwrap();
    assert_eq!(begun, UploadStart::HeadMoved);
    let upload = begin(&world, &vaults).await;
    let other = world.of(AccountId::new("user-2").unwrap());
    other.register(2).await;
    assert_eq!(keep(&other, &vaults, upload, &part(3, 0..2)).await, PartOutcome::Void);
    assert!(matches!(finish(&other, &vaults, upload, 3).await, Swap::Nothing));
    // An upload that was not checked as a whole cannot be promoted like a held vault.
    let _ = keep(&world, &vaults, upload, &part(3, 0..2)).await;
    assert!(matches!(vaults.promote(&world.account, &[], |_| Ok(())).await.unwrap(), Swap::Nothing));
    world.check().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_finish_and_an_edit_one_wins() {
    for world in World::both() {
        let (vaults, other) = (world.register(10).await, world.server());
        for generation in 2..30 {
            let upload = begin(&world, &vaults).await;
            let _ = keep(&world, &vaults, upload, &part(generation, 0..10)).await;
            let epoch = world.contents().await.head.key_epoch;
            let edited = text(world.generation().await, generation);
            let (one, two) = (world.clone(), world.clone());
            let (finishing, editing) = (vaults.clone(), other.clone());
            let finish = tokio::spawn(async move { finish(&one, &finishing, upload, generation).await });
            let edit = tokio::spawn(async move {
                let edit = Edit::new(vec![put(id(1), &edited, "")], Vec::new());
                editing.edit(&two.account, &edit, epoch).await.unwrap()
            });
            let (finish, edit) = (finish.await.unwrap(), edit.await.unwrap());
            let done = matches!(finish, Swap::Done { .. });
            assert_ne!(done, matches!(edit, EditOutcome::Done { .. }), "{finish:?} {edit:?}");
            world.check().await;
        }
    }
}
