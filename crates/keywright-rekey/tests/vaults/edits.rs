//! Ordinary edits are counted correctly, fenced and limited.

use keywright_rekey::{CreateOutcome, Edit, EditOutcome, Existing, Swap, VaultPolicy, Vaults};
use keywright_store::{CipherId, Draft, StepError, TransactError, Which};

use crate::world::{World, id, put, text};

async fn edit(vaults: &Vaults, world: &World, puts: &[u32], deletes: &[u32]) -> EditOutcome {
    let texts: Vec<String> = puts.iter().map(|_| text(1, 0)).collect();
    let put = puts.iter().zip(&texts).map(|(&number, text)| put(id(number), text, "")).collect();
    let delete = deletes.iter().map(|&number| id(number)).collect();
    vaults.edit(&world.account, &Edit::new(put, delete), world.key_epoch().await).await.unwrap()
}

#[tokio::test]
async fn the_limit_counts_what_the_vault_has_after() {
    for world in World::both() {
        let vaults = world.register_with(VaultPolicy::builder().most_ciphers(5).build().unwrap(), 3).await;
        let done = |outcome: EditOutcome, count: u64| {
            assert!(matches!(outcome, EditOutcome::Done { count: is, .. } if is == count), "{outcome:?}")
        };
        done(edit(&vaults, &world, &[3, 4], &[]).await, 5);
        // At the limit, a cipher may be replaced by the same or by another one.
        done(edit(&vaults, &world, &[0, 1, 2, 3, 4], &[]).await, 5);
        assert_eq!(edit(&vaults, &world, &[5], &[]).await, EditOutcome::Full { limit: 5 });
        assert_eq!(
            edit(&vaults, &world, &[5], &[9]).await,
            EditOutcome::Full { limit: 5 },
            "deleting nothing frees nothing"
        );
        assert_eq!(
            edit(&vaults, &world, &[5, 0], &[0]).await,
            EditOutcome::Full { limit: 5 },
            "an id in both lists is put"
        );
        done(edit(&vaults, &world, &[5], &[0, 0]).await, 5);
        done(edit(&vaults, &world, &[], &[1, 2, 77]).await, 3);
        assert_eq!(edit(&vaults, &world, &[6, 6], &[]).await, EditOutcome::Twice);
        world.check().await;
        // A lower limit keeps the present ciphers and lets the vault shrink.
        let vaults = world.server_with(VaultPolicy::builder().most_ciphers(1).build().unwrap());
        assert_eq!(edit(&vaults, &world, &[8], &[]).await, EditOutcome::Full { limit: 1 });
        done(edit(&vaults, &world, &[3], &[4]).await, 2);
        world.check().await;
    }
}

#[tokio::test]
async fn a_device_of_an_older_key_epoch_is_fenced() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let before = world.key_epoch().await;
        assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        let stale = text(1, 1);
        let write = Edit::new(vec![put(id(0), &stale, "")], Vec::new());
        assert_eq!(vaults.edit(&world.account, &write, before).await.unwrap(), EditOutcome::Fenced);
        world.check().await;
        let fresh = text(2, 1);
        let write = Edit::new(vec![put(id(0), &fresh, "")], Vec::new());
        assert!(matches!(
            vaults.edit(&world.account, &write, world.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
        world.check().await;
    }
}

async fn run(
    vaults: &Vaults,
    world: &World,
    edit: &Edit<'_>,
    existing: &Existing,
) -> Result<EditOutcome, TransactError> {
    let key_epoch = world.key_epoch().await;
    let step = |draft: &mut Draft<'_>| vaults.steps().edit_in(draft, edit, existing, key_epoch);
    vaults.driver().transact(&world.partition(), &[], step).await
}

#[tokio::test]
async fn an_edit_rests_on_what_was_looked_up() {
    for world in World::both() {
        let vaults = world.register(3).await;
        let (first, second) = (text(1, 1), text(1, 2));
        let one = Edit::new(vec![put(id(0), &first, "")], Vec::new());
        let two = Edit::new(vec![put(id(0), &second, "")], Vec::new());
        let existing = vaults.existing(&world.account, &one.ids()).await.unwrap().unwrap();
        assert!(existing.contains(id(0)) && !existing.contains(id(1)), "only what was asked about is known");
        assert!(matches!(run(&vaults, &world, &one, &existing).await.unwrap(), EditOutcome::Done { .. }));
        assert_eq!(run(&vaults, &world, &two, &existing).await.unwrap(), EditOutcome::HeadMoved);
        let existing = vaults.existing(&world.account, &[id(1)]).await.unwrap().unwrap();
        let error = run(&vaults, &world, &two, &existing).await.unwrap_err();
        assert!(matches!(error, TransactError::Step(StepError::Misuse(_))), "{error:?}");
        // A read also provides this, and so does a long list of ids.
        let contents = vaults
            .read(&world.account, Which::Ids { ids: &[id(0), id(50)], with_marks: false })
            .await
            .unwrap()
            .unwrap();
        assert!(matches!(run(&vaults, &world, &two, &contents.existing()).await.unwrap(), EditOutcome::Done { .. }));
        let ids: Vec<CipherId> = (0..100).map(id).collect();
        let existing = vaults.existing(&world.account, &ids).await.unwrap().unwrap();
        assert!(existing.contains(id(2)) && !existing.contains(id(3)));
        assert_eq!(existing.head(), world.contents().await.head.revision);
    }
}

#[tokio::test]
async fn a_vault_is_made_once_and_reads_back_byte_for_byte() {
    for world in World::both() {
        let vaults = world.register(0).await;
        assert_eq!(vaults.create(&world.account).await.unwrap(), CreateOutcome::Exists);
        let (short, long) = (text(1, 3), format!("{}{}", text(1, 4), "aB".repeat(30_000)));
        let write = Edit::new(vec![put(id(2), &long, "ünï\0code"), put(id(1), &short, "")], Vec::new());
        let EditOutcome::Done { head, count: 2 } =
            vaults.edit(&world.account, &write, world.key_epoch().await).await.unwrap()
        else {
            panic!()
        };
        let contents = world.check().await;
        assert_eq!(contents.head.revision, head);
        let read: Vec<_> = contents.ciphers.iter().map(|cipher| (cipher.id(), cipher.text(), cipher.note())).collect();
        assert_eq!(read, [(id(1), &*short, &b""[..]), (id(2), &*long, "ünï\0code".as_bytes())]);
        let shown = format!("{contents:?} {write:?} {vaults:?}");
        assert!(!shown.contains(&short) && !shown.contains("code"), "{shown}");
    }
}

/// `docs/decisions.md` 62: a vault must remain small enough to be sent again.
#[tokio::test]
async fn a_vault_is_not_filled_beyond_what_can_be_sent_in_one_piece() {
    for world in World::both() {
        let size = u64::try_from(text(1, 0).len()).unwrap();
        // There is room for four ciphers, each with 50 bytes in addition to its text.
        let limit = 4 * (size + 50);
        let vaults = world.register_with(VaultPolicy::builder().sendable_size(limit, 50).build().unwrap(), 3).await;
        let refused = EditOutcome::TooLarge { limit };
        let put_one = async |number: u32, extra: usize, delete: &[u32]| {
            let text = format!("{}{}", text(1, 0), "ab".repeat(extra));
            let delete = delete.iter().map(|&number| id(number)).collect();
            let edit = Edit::new(vec![put(id(number), &text, "a note")], delete);
            vaults.edit(&world.account, &edit, world.key_epoch().await).await.unwrap()
        };
        assert_eq!(put_one(3, 1, &[]).await, refused);
        assert!(matches!(put_one(3, 0, &[]).await, EditOutcome::Done { count: 4, .. }));
        assert_eq!(put_one(4, 0, &[]).await, refused);
        assert_eq!(put_one(0, 1, &[]).await, refused, "a longer text in the place of a shorter");
        assert!(matches!(put_one(0, 0, &[]).await, EditOutcome::Done { count: 4, .. }));
        assert!(matches!(put_one(4, 1, &[0, 1]).await, EditOutcome::Done { count: 3, .. }));
        // A swap counts from the start. Under a lower limit, a vault may stay as it is, shrink, and
        // be swapped.
        assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        assert!(matches!(put_one(4, 20, &[]).await, EditOutcome::Done { count: 3, .. }));
        assert_eq!(put_one(5, 0, &[]).await, refused);
        let lower = world.server_with(VaultPolicy::builder().sendable_size(size, 50).build().unwrap());
        let delete = Edit::new(Vec::new(), vec![id(4)]);
        let deleted = lower.edit(&world.account, &delete, world.key_epoch().await).await.unwrap();
        assert!(matches!(deleted, EditOutcome::Done { count: 2, .. }));
        assert!(matches!(world.change(&lower, 3).await.unwrap(), Swap::Done { .. }));
        assert!(matches!(put_one(4, 20, &[]).await, EditOutcome::Done { count: 3, .. }));
    }
}
