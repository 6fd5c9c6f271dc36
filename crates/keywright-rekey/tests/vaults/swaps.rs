//! All ciphers or none are swapped, and nothing that was written in the meantime is overwritten.

use keywright_rekey::events::VAULT_SWAPPED;
use keywright_rekey::{
    CipherList, Edit, EditOutcome, Fault, Hex, Limits, PartOutcome, Submission, Swap, SwapOutcome, UploadStart,
    VAULT_SLOT, VaultError,
};
use keywright_store::{CipherId, Draft, StepError, TransactError, Which};
use serde::de::DeserializeSeed;

use crate::world::{CLIENT_SLOTS, World, anew, body, id, put, read_text, set_key, submission, text};

#[tokio::test]
async fn a_swap_replaces_texts_moves_the_epochs_and_leaves_notes() {
    for world in World::both() {
        let vaults = world.register(20).await;
        let before = world.check().await;
        let epochs = async || {
            let look = |draft: &mut Draft<'_>| draft.root();
            let root = world.server().driver().observe(&world.partition(), &[], look).await.unwrap();
            (root.credential_epoch, root.key_epoch, root.factor_epoch)
        };
        let (credential, key, factor) = epochs().await;
        let Swap::Done { head, ciphers, .. } = world.change(&vaults, 2).await.unwrap() else { panic!() };
        let after = world.check().await;
        assert_eq!((after.head.revision, ciphers, after.head.count), (head, 20, 20));
        assert_ne!(before.head.revision, head);
        assert_eq!(epochs().await, (credential.wrapping_add(1), key.wrapping_add(1), factor));
        assert_eq!(after.head.key_epoch, key.wrapping_add(1));
        for (old, new) in before.ciphers.iter().zip(&after.ciphers) {
            assert_eq!((old.id(), old.note()), (new.id(), new.note()));
            assert_ne!((old.text(), old.nonce()), (new.text(), new.nonce()));
        }
        assert_eq!(world.events().await[0], "vault_swapped");
        assert_eq!(world.event(&VAULT_SWAPPED).await.count("ciphers"), Some(20));
    }
}

#[tokio::test]
async fn an_empty_vault_is_swapped_too() {
    for world in World::both() {
        let vaults = world.register(0).await;
        assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { ciphers: 0, .. }));
        assert_eq!(world.check_swaps().await, 1);
    }
}

#[tokio::test]
async fn what_does_not_cover_the_vault_changes_nothing() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let texts = |ids: &[u32]| body(ids.iter().map(|&number| (id(number), text(2, 0))));
        for (ids, fault) in
            [(&[0, 1][..], Fault::Missing), (&[0, 1, 2, 3], Fault::Unknown), (&[0, 1, 2, 2], Fault::Duplicate)]
        {
            let body = texts(ids);
            let refused = vaults.swap(&world.account, &submission(&body), None, &[], |_| Ok(())).await.unwrap();
            let Swap::Refused(difference) = refused else { panic!("{refused:?}") };
            assert!(difference.count(fault) > 0, "{difference:?}");
        }
        assert_eq!(world.check_swaps().await, 0);
        assert_eq!(world.generation().await, 1);
    }
}

/// What another client does between the check and the commit.
async fn meanwhile(what: &str, world: &World) {
    let vaults = world.server();
    let (new, edited) = (text(1, 5), text(1, 9));
    let edit = match what {
        "edit" => Edit::new(vec![put(id(0), &edited, "edited")], Vec::new()),
        "insert" => Edit::new(vec![put(id(99), &new, "new")], Vec::new()),
        "delete" => Edit::new(Vec::new(), vec![id(2)]),
        _ => {
            assert!(matches!(world.change(&vaults, 7).await.unwrap(), Swap::Done { .. }));
            return;
        }
    };
    assert!(matches!(
        vaults.edit(&world.account, &edit, world.key_epoch().await).await.unwrap(),
        EditOutcome::Done { .. }
    ));
}

#[tokio::test]
async fn a_change_between_check_and_commit_is_never_overwritten() {
    for what in ["edit", "insert", "delete", "swap"] {
        for world in World::both() {
            let vaults = world.register(4).await;
            let sealed = world.sealed(&vaults, 2).await;
            meanwhile(what, &world).await;
            let step = |draft: &mut Draft<'_>| {
                let outcome = vaults.steps().swap_in(draft, &sealed)?;
                if matches!(outcome, SwapOutcome::Done { .. }) {
                    set_key(draft, 2)?;
                }
                Ok(outcome)
            };
            let outcome = vaults.driver().transact(&world.partition(), &[], step).await.unwrap();
            assert_eq!(outcome, SwapOutcome::HeadMoved, "{what}");
            let contents = world.check().await;
            match what {
                "edit" => assert_eq!(read_text(contents.ciphers[0].text()), (1, 9)),
                "insert" => assert_eq!(contents.ciphers.len(), 5),
                "delete" => assert_eq!(contents.ciphers.len(), 3),
                _ => assert_eq!(world.generation().await, 7),
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_read_before_is_stale_and_one_of_which_nothing_is_known_is_held_to_the_cover() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let old = world.contents().await;
        meanwhile("edit", &world).await;
        let known = Some(old.head.revision);
        let Swap::Refused(difference) = world.change_from(&vaults, &old, known, 2).await.unwrap() else { panic!() };
        assert_eq!(difference.count(Fault::Stale), 1);
        assert!(matches!(world.change_from(&vaults, &old, None, 2).await.unwrap(), Swap::Done { .. }));
        world.check().await;
    }
}

/// Two servers compete for many rounds. One of them wins each, and the vault is under one key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_swaps_at_once_one_wins() {
    for world in World::both() {
        let servers = [world.register(30).await, world.server()];
        for round in 1..=25 {
            let contents = std::sync::Arc::new(world.contents().await);
            let tasks = [0, 1].map(|number| {
                let (world, vaults, contents) = (world.clone(), servers[number].clone(), contents.clone());
                let generation = round * 10 + u32::try_from(number).unwrap();
                tokio::spawn(async move {
                    let known = Some(contents.head.revision);
                    (generation, world.change_from(&vaults, &contents, known, generation).await.unwrap())
                })
            });
            let mut won = Vec::new();
            for task in tasks {
                let (generation, outcome) = task.await.unwrap();
                match outcome {
                    Swap::Done { .. } => won.push(generation),
                    Swap::HeadMoved | Swap::Refused(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            world.check().await;
            assert_eq!(won, [world.generation().await]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_swap_and_an_edit_at_once_one_wins() {
    for world in World::both() {
        let servers = [world.register(30).await, world.server()];
        for round in 2..=40 {
            let contents = world.contents().await;
            let (generation, epoch) = (world.generation().await, contents.head.key_epoch);
            let edited = text(generation, round);
            let (swapper, editor) = (world.clone(), world.clone());
            let [swapping, editing] = servers.clone();
            let swap = tokio::spawn(async move {
                let known = Some(contents.head.revision);
                swapper.change_from(&swapping, &contents, known, round).await.unwrap()
            });
            let edit = tokio::spawn(async move {
                let edit = Edit::new(vec![put(id(3), &edited, "edited")], Vec::new());
                editing.edit(&editor.account, &edit, epoch).await.unwrap()
            });
            let (swap, edit) = (swap.await.unwrap(), edit.await.unwrap());
            let (swapped, wrote) = (matches!(swap, Swap::Done { .. }), matches!(edit, EditOutcome::Done { .. }));
            assert!(!(swapped && wrote), "one of them did not see the other: {swap:?} {edit:?}");
            assert!(swapped || wrote, "{swap:?} {edit:?}");
            let contents = world.check().await;
            if wrote {
                assert_eq!(read_text(contents.ciphers[3].text()).1, round, "the edit is not overwritten");
            }
        }
    }
}

#[tokio::test]
async fn a_swap_is_of_one_account_and_one_vault() {
    let world = World::memory();
    let vaults = world.register(2).await;
    let sealed = world.sealed(&vaults, 2).await;
    let other = world.of(keywright_core::AccountId::new("user-2").unwrap());
    other.register(2).await;
    let step = |draft: &mut Draft<'_>| vaults.steps().swap_in(draft, &sealed);
    let refused = vaults.driver().transact(&other.partition(), &[VAULT_SLOT], step).await.unwrap_err();
    assert!(matches!(refused, TransactError::Step(StepError::Misuse(_))), "{refused:?}");
    other.check().await;
    // Foreign ids are unknown ids, whoever owns them.
    let foreign = body([(id(0), text(2, 0)), (id(1), text(2, 0)), (CipherId([9; 16]), text(2, 0))]);
    let Swap::Refused(difference) =
        vaults.swap(&world.account, &submission(&foreign), None, &[], |_| Ok(())).await.unwrap()
    else {
        panic!()
    };
    assert_eq!(difference.ids(Fault::Unknown), [CipherId([9; 16])]);
}

#[tokio::test]
async fn an_account_without_a_vault_swaps_nothing() {
    let world = World::memory();
    let vaults = world.server();
    let step = |draft: &mut Draft<'_>| draft.create_account();
    vaults.driver().transact(&world.partition(), &[], step).await.unwrap();
    let none = body([]);
    let outcome = vaults.swap(&world.account, &submission(&none), None, &[], |_| Ok(())).await.unwrap();
    assert!(matches!(outcome, Swap::HeadMoved), "{outcome:?}");
    assert!(vaults.read(&world.account, Which::All).await.unwrap().is_none());
    assert!(vaults.existing(&world.account, &[id(1)]).await.unwrap().is_none());
    // An account without any records is an error, never a first vault.
    let nobody = keywright_core::AccountId::new("nobody").unwrap();
    let error = vaults.head(&nobody).await.unwrap_err();
    assert!(matches!(error, VaultError::Transact(TransactError::Step(StepError::NoAccount))), "{error:?}");
}

#[tokio::test]
async fn the_callers_own_step_falls_with_the_swap() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let body = anew(&world.contents().await, 2);
        let failed: Result<Swap<()>, _> =
            vaults.swap(&world.account, &submission(&body), None, &[], |_| Err::<(), _>(StepError::Crypto)).await;
        assert!(matches!(failed, Err(VaultError::Transact(TransactError::Step(StepError::Crypto)))));
        assert_eq!(world.check_swaps().await, 0);
    }
}

/// Reads a batch under a limit below the length of any text.
fn low(body: &[u8]) -> Submission<'_> {
    let limits = Limits::builder().max_text(60).build().unwrap();
    CipherList::new(body, limits, &Hex).deserialize(&mut serde_json::Deserializer::from_slice(body)).unwrap()
}

/// `docs/decisions.md` 62: a vault that came in under a higher limit can be re-encrypted, at once or in parts.
#[tokio::test]
async fn under_a_lowered_limit_a_text_may_be_as_long_as_the_one_that_it_replaces() {
    for world in World::both() {
        let vaults = world.register(4).await;
        let longer = |number: u32| (id(number), format!("{}00", text(2, number)));
        let mut texts: Vec<_> = (0..3).map(|number| (id(number), text(2, number))).collect();
        texts.push(longer(3));
        let batch = body(texts);
        let batch = low(&batch);
        assert_eq!(batch.faults().count(Fault::MalformedText), 4, "by itself each is too long");
        let swap = vaults.swap(&world.account, &batch, None, CLIENT_SLOTS, |draft| set_key(draft, 2)).await.unwrap();
        let Swap::Refused(difference) = swap else { panic!() };
        assert_eq!((difference.count(Fault::MalformedText), difference.ids(Fault::MalformedText)), (1, &[id(3)][..]));
        // Nor does a cipher that the vault does not have.
        let batch = body((0..5).map(|number| (id(number), text(2, number))));
        let swap = vaults.swap(&world.account, &low(&batch), None, CLIENT_SLOTS, |draft| set_key(draft, 2)).await;
        let Swap::Refused(difference) = swap.unwrap() else { panic!() };
        let faults: Vec<Fault> = difference.faults().collect();
        assert_eq!(faults, [Fault::Unknown, Fault::MalformedText]);

        let batch = anew(&world.contents().await, 2);
        let swap = vaults.swap(&world.account, &low(&batch), None, CLIENT_SLOTS, |draft| set_key(draft, 2)).await;
        assert!(matches!(swap.unwrap(), Swap::Done { ciphers: 4, .. }));
        world.check().await;

        let UploadStart::Begun { upload, .. } = vaults.begin_upload(&world.account, None, world.at(600)).await.unwrap()
        else {
            panic!()
        };
        let part = body([longer(0)]);
        let kept = vaults.put_part(&world.account, upload, &low(&part)).await.unwrap();
        assert!(matches!(kept, PartOutcome::Refused(_)), "{kept:?}");
        let part = anew(&world.contents().await, 3);
        let kept = vaults.put_part(&world.account, upload, &low(&part)).await.unwrap();
        assert!(matches!(kept, PartOutcome::Kept { ciphers: 4 }), "{kept:?}");
        let finished = vaults.finish_upload(&world.account, upload, CLIENT_SLOTS, |draft| set_key(draft, 3)).await;
        assert!(matches!(finished.unwrap(), Swap::Done { .. }));
        world.check().await;
    }
}
