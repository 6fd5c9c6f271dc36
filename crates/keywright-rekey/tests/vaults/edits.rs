//! Ordinary edits: counted right, fenced, limited.

use keywright_rekey::{CreateOutcome, Edit, EditOutcome, Existing, Swap, VaultPolicy, Vaults};
use keywright_store::{CipherId, Draft, StepError, TransactError, Which};

use crate::site::{Site, id, put, text};

async fn edit(vaults: &Vaults, site: &Site, puts: &[u32], deletes: &[u32]) -> EditOutcome {
    let texts: Vec<String> = puts.iter().map(|_| text(1, 0)).collect();
    let put = puts.iter().zip(&texts).map(|(&number, text)| put(id(number), text, "")).collect();
    let delete = deletes.iter().map(|&number| id(number)).collect();
    vaults.edit(&site.account, &Edit::new(put, delete), site.key_epoch().await).await.unwrap()
}

#[tokio::test]
async fn the_limit_counts_what_the_vault_has_after() {
    for site in Site::both() {
        let vaults = site.register_with(VaultPolicy::default().with_most_ciphers(5).unwrap(), 3).await;
        let done = |outcome: EditOutcome, count: u64| {
            assert!(matches!(outcome, EditOutcome::Done { count: is, .. } if is == count), "{outcome:?}")
        };
        done(edit(&vaults, &site, &[3, 4], &[]).await, 5);
        // At the limit: own ciphers may be replaced, and one may take another's place.
        done(edit(&vaults, &site, &[0, 1, 2, 3, 4], &[]).await, 5);
        assert_eq!(edit(&vaults, &site, &[5], &[]).await, EditOutcome::Full { limit: 5 });
        assert_eq!(
            edit(&vaults, &site, &[5], &[9]).await,
            EditOutcome::Full { limit: 5 },
            "deleting nothing frees nothing"
        );
        assert_eq!(
            edit(&vaults, &site, &[5, 0], &[0]).await,
            EditOutcome::Full { limit: 5 },
            "an id in both lists is put"
        );
        done(edit(&vaults, &site, &[5], &[0, 0]).await, 5);
        done(edit(&vaults, &site, &[], &[1, 2, 77]).await, 3);
        assert_eq!(edit(&vaults, &site, &[6, 6], &[]).await, EditOutcome::Twice);
        site.check().await;
        // A lower limit keeps what is there, and lets it shrink.
        let vaults = site.server_with(VaultPolicy::default().with_most_ciphers(1).unwrap());
        assert_eq!(edit(&vaults, &site, &[8], &[]).await, EditOutcome::Full { limit: 1 });
        done(edit(&vaults, &site, &[3], &[4]).await, 2);
        site.check().await;
    }
}

#[tokio::test]
async fn a_device_of_an_older_key_epoch_is_fenced() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        let before = site.key_epoch().await;
        assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        let stale = text(1, 1);
        let write = Edit::new(vec![put(id(0), &stale, "")], Vec::new());
        assert_eq!(vaults.edit(&site.account, &write, before).await.unwrap(), EditOutcome::Fenced);
        site.check().await;
        let fresh = text(2, 1);
        let write = Edit::new(vec![put(id(0), &fresh, "")], Vec::new());
        assert!(matches!(
            vaults.edit(&site.account, &write, site.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
        site.check().await;
    }
}

async fn run(vaults: &Vaults, site: &Site, edit: &Edit<'_>, existing: &Existing) -> Result<EditOutcome, TransactError> {
    let key_epoch = site.key_epoch().await;
    let step = |draft: &mut Draft<'_>| vaults.steps().edit_in(draft, edit, existing, key_epoch);
    vaults.driver().transact(&site.partition(), &[], step).await
}

#[tokio::test]
async fn an_edit_rests_on_what_was_looked_up() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        let (first, second) = (text(1, 1), text(1, 2));
        let one = Edit::new(vec![put(id(0), &first, "")], Vec::new());
        let two = Edit::new(vec![put(id(0), &second, "")], Vec::new());
        let existing = vaults.existing(&site.account, &one.ids()).await.unwrap().unwrap();
        assert!(existing.contains(id(0)) && !existing.contains(id(1)), "only what was asked about is known");
        assert!(matches!(run(&vaults, &site, &one, &existing).await.unwrap(), EditOutcome::Done { .. }));
        assert_eq!(run(&vaults, &site, &two, &existing).await.unwrap(), EditOutcome::HeadMoved);
        let existing = vaults.existing(&site.account, &[id(1)]).await.unwrap().unwrap();
        let error = run(&vaults, &site, &two, &existing).await.unwrap_err();
        assert!(matches!(error, TransactError::Step(StepError::Misuse(_))), "{error:?}");
        // A read knows as well, and so does a long list.
        let contents =
            vaults.read(&site.account, Which::Ids { ids: &[id(0), id(50)], with_marks: false }).await.unwrap().unwrap();
        assert!(matches!(run(&vaults, &site, &two, &contents.existing()).await.unwrap(), EditOutcome::Done { .. }));
        let ids: Vec<CipherId> = (0..100).map(id).collect();
        let existing = vaults.existing(&site.account, &ids).await.unwrap().unwrap();
        assert!(existing.contains(id(2)) && !existing.contains(id(3)));
        assert_eq!(existing.head(), site.contents().await.head.revision);
    }
}

#[tokio::test]
async fn a_vault_is_made_once_and_reads_back_byte_for_byte() {
    for site in Site::both() {
        let vaults = site.register(0).await;
        assert_eq!(vaults.create(&site.account).await.unwrap(), CreateOutcome::Exists);
        let (short, long) = (text(1, 3), format!("{}{}", text(1, 4), "aB".repeat(30_000)));
        let write = Edit::new(vec![put(id(2), &long, "ünï\0code"), put(id(1), &short, "")], Vec::new());
        let EditOutcome::Done { head, count: 2 } =
            vaults.edit(&site.account, &write, site.key_epoch().await).await.unwrap()
        else {
            panic!()
        };
        let contents = site.check().await;
        assert_eq!(contents.head.revision, head);
        let read: Vec<_> = contents.ciphers.iter().map(|cipher| (cipher.id(), cipher.text(), cipher.note())).collect();
        assert_eq!(read, [(id(1), &*short, &b""[..]), (id(2), &*long, "ünï\0code".as_bytes())]);
        let shown = format!("{contents:?} {write:?} {vaults:?}");
        assert!(!shown.contains(&short) && !shown.contains("code"), "{shown}");
    }
}

/// `docs/decisions.md` 62: what goes in must come out again.
#[tokio::test]
async fn a_vault_is_not_filled_beyond_what_can_be_sent_in_one_piece() {
    for site in Site::both() {
        let size = u64::try_from(text(1, 0).len()).unwrap();
        // Room for four, each with 50 bytes beside its text.
        let limit = 4 * (size + 50);
        let vaults = site.register_with(VaultPolicy::default().with_sendable_size(limit, 50), 3).await;
        let refused = EditOutcome::TooLarge { limit };
        let put_one = async |number: u32, extra: usize, delete: &[u32]| {
            let text = format!("{}{}", text(1, 0), "ab".repeat(extra));
            let delete = delete.iter().map(|&number| id(number)).collect();
            let edit = Edit::new(vec![put(id(number), &text, "a note")], delete);
            vaults.edit(&site.account, &edit, site.key_epoch().await).await.unwrap()
        };
        assert_eq!(put_one(3, 1, &[]).await, refused);
        assert!(matches!(put_one(3, 0, &[]).await, EditOutcome::Done { count: 4, .. }));
        assert_eq!(put_one(4, 0, &[]).await, refused);
        assert_eq!(put_one(0, 1, &[]).await, refused, "a longer text in the place of a shorter");
        assert!(matches!(put_one(0, 0, &[]).await, EditOutcome::Done { count: 4, .. }));
        assert!(matches!(put_one(4, 1, &[0, 1]).await, EditOutcome::Done { count: 3, .. }));
        // A swap counts anew, and so does a lower limit; what is there already may stay, shrink, and be swapped.
        assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        assert!(matches!(put_one(4, 20, &[]).await, EditOutcome::Done { count: 3, .. }));
        assert_eq!(put_one(5, 0, &[]).await, refused);
        let lower = site.server_with(VaultPolicy::default().with_sendable_size(size, 50));
        let delete = Edit::new(Vec::new(), vec![id(4)]);
        let deleted = lower.edit(&site.account, &delete, site.key_epoch().await).await.unwrap();
        assert!(matches!(deleted, EditOutcome::Done { count: 2, .. }));
        assert!(matches!(site.change(&lower, 3).await.unwrap(), Swap::Done { .. }));
        assert!(matches!(put_one(4, 20, &[]).await, EditOutcome::Done { count: 3, .. }));
    }
}
