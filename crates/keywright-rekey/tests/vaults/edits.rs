//! Ordinary edits: counted right, fenced, limited.

use keywright_rekey::{Creating, Edit, Editing, Existing, Swap, VaultError, VaultPolicy, Vaults};
use keywright_store::{CipherId, Draft, StepError, TransactError, Which};

use crate::site::{Site, id, put, text};

async fn edit(vaults: &Vaults, site: &Site, puts: &[u32], deletes: &[u32]) -> Editing {
    let texts: Vec<String> = puts.iter().map(|_| text(1, 0)).collect();
    let put = puts.iter().zip(&texts).map(|(&number, text)| put(id(number), text, "")).collect();
    let delete = deletes.iter().map(|&number| id(number)).collect();
    vaults.edit(&site.account, &Edit::new(put, delete), 1).await.unwrap()
}

#[tokio::test]
async fn the_limit_counts_what_the_vault_has_after() {
    for site in Site::both() {
        let vaults = site.register_with(VaultPolicy::default().with_most_ciphers(5).unwrap(), 3).await;
        let done = |outcome: Editing, count: u64| {
            assert!(matches!(outcome, Editing::Done { count: is, .. } if is == count), "{outcome:?}")
        };
        done(edit(&vaults, &site, &[3, 4], &[]).await, 5);
        // At the limit: own ciphers may be replaced, and one may take another's place.
        done(edit(&vaults, &site, &[0, 1, 2, 3, 4], &[]).await, 5);
        assert_eq!(edit(&vaults, &site, &[5], &[]).await, Editing::Full { limit: 5 });
        assert_eq!(
            edit(&vaults, &site, &[5], &[9]).await,
            Editing::Full { limit: 5 },
            "deleting nothing frees nothing"
        );
        assert_eq!(edit(&vaults, &site, &[5, 0], &[0]).await, Editing::Full { limit: 5 }, "an id in both lists is put");
        done(edit(&vaults, &site, &[5], &[0, 0]).await, 5);
        done(edit(&vaults, &site, &[], &[1, 2, 77]).await, 3);
        assert_eq!(edit(&vaults, &site, &[6, 6], &[]).await, Editing::Twice);
        site.check().await;
        // A lower limit keeps what is there, and lets it shrink.
        let vaults = site.server_with(VaultPolicy::default().with_most_ciphers(1).unwrap());
        assert_eq!(edit(&vaults, &site, &[8], &[]).await, Editing::Full { limit: 1 });
        done(edit(&vaults, &site, &[3], &[4]).await, 2);
        site.check().await;
    }
}

#[tokio::test]
async fn a_device_of_an_older_key_epoch_is_fenced() {
    for site in Site::both() {
        let vaults = site.register(3).await;
        assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
        let stale = text(1, 1);
        let write = Edit::new(vec![put(id(0), &stale, "")], Vec::new());
        assert_eq!(vaults.edit(&site.account, &write, 1).await.unwrap(), Editing::Fenced);
        site.check().await;
        let fresh = text(2, 1);
        let write = Edit::new(vec![put(id(0), &fresh, "")], Vec::new());
        assert!(matches!(vaults.edit(&site.account, &write, 2).await.unwrap(), Editing::Done { .. }));
        site.check().await;
    }
}

async fn run(vaults: &Vaults, site: &Site, edit: &Edit<'_>, existing: &Existing) -> Result<Editing, TransactError> {
    let step = |draft: &mut Draft<'_>| vaults.steps().edit_in(draft, edit, existing, 1);
    Ok(vaults.driver().transact(&site.partition(), &[], step).await?.0)
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
        assert!(matches!(run(&vaults, &site, &one, &existing).await.unwrap(), Editing::Done { .. }));
        assert_eq!(run(&vaults, &site, &two, &existing).await.unwrap(), Editing::HeadMoved);
        let existing = vaults.existing(&site.account, &[id(1)]).await.unwrap().unwrap();
        let error = run(&vaults, &site, &two, &existing).await.unwrap_err();
        assert!(matches!(error, TransactError::Step(StepError::Misuse(_))), "{error:?}");
        // A read knows as well, and so does a long list, which is answered from the manifest.
        let contents = vaults.read(&site.account, Which::Ids(&[id(0), id(50)])).await.unwrap().unwrap();
        assert!(matches!(run(&vaults, &site, &two, &contents.existing()).await.unwrap(), Editing::Done { .. }));
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
        assert_eq!(vaults.create(&site.account).await.unwrap(), Creating::Exists);
        let (short, long) = (text(1, 3), format!("{}{}", text(1, 4), "aB".repeat(30_000)));
        let write = Edit::new(vec![put(id(2), &long, "ünï\0code"), put(id(1), &short, "")], Vec::new());
        let Editing::Done { head, count: 2 } = vaults.edit(&site.account, &write, 1).await.unwrap() else { panic!() };
        let contents = site.check().await;
        assert_eq!(contents.head.revision, head);
        let read: Vec<_> = contents.ciphers.iter().map(|cipher| (cipher.id(), cipher.text(), cipher.note())).collect();
        assert_eq!(read, [(id(1), &*short, &b""[..]), (id(2), &*long, "ünï\0code".as_bytes())]);
        let shown = format!("{contents:?} {write:?} {vaults:?}");
        assert!(!shown.contains(&short) && !shown.contains("code"), "{shown}");
    }
}

#[tokio::test]
async fn a_row_that_is_gone_or_damaged_is_said_to_be_so() {
    let site = Site::memory();
    let vaults = site.register(2).await;
    // Somebody who can write the database, and has no keyring.
    let mut rows = site.store.read(&site.partition(), Which::All).await.unwrap();
    let moved = rows[1].body.clone();
    rows[0].body = moved;
    crate::at_rest::overwrite(&site, rows).await;
    let error = vaults.read(&site.account, Which::All).await.unwrap_err();
    assert!(matches!(error, VaultError::Open(at) if at == id(0)), "{error:?}");
}
