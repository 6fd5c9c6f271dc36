//! Damage is looked at twice, told once an hour, and accepted by an operator who knows of it.

use std::sync::Arc;

use keywright_core::AccountId;
use keywright_rekey::events::{VAULT_ACCEPTED, VAULT_DAMAGED};
use keywright_rekey::{Acceptance, Edit, EditOutcome, Swap, Unreadable, VaultError};
use keywright_store::Which;

use crate::forger::{FileRow, Forger};
use crate::shadow::{Shadow, Trick};
use crate::site::{Site, id, put, read_text, text};

fn shadow() -> (Site, Arc<Shadow>) {
    let shadow = Arc::new(Shadow::default());
    (Site::over(Arc::clone(&shadow) as _), shadow)
}

/// A backend that reads in two steps shows half of another's commit once in a while.
#[tokio::test]
async fn one_look_is_not_believed() {
    let (site, shadow) = shadow();
    let vaults = site.register(4).await;
    for tricks in [vec![Trick::Lost], vec![Trick::LostElsewhere; 15], vec![Trick::Lost, Trick::LostElsewhere]] {
        shadow.next(tricks.clone());
        let contents = vaults.read(&site.account, Which::All).await.unwrap().unwrap();
        assert_eq!(contents.ciphers.len(), 4);
        shadow.next(tricks.clone());
        assert_eq!(vaults.manifest(&site.account).await.unwrap().rows().len(), 4);
        shadow.next(tricks.clone());
        let ids = [id(0)];
        let single = Which::Ids { ids: &ids, with_marks: false };
        assert_eq!(vaults.read(&site.account, single).await.unwrap().unwrap().ciphers.len(), 1);
        shadow.next(tricks);
        assert!(vaults.existing(&site.account, &ids).await.unwrap().unwrap().contains(id(0)));
    }
    assert_eq!(site.damage.count(), 0);
    assert_eq!(site.times(&VAULT_DAMAGED).await, 0);
}

/// Rows of another root than the head's say nothing against the vault, however often they come.
#[tokio::test]
async fn rows_of_another_root_are_no_damage() {
    let (site, shadow) = shadow();
    let vaults = site.register(4).await;
    shadow.always(Some(Trick::LostElsewhere));
    assert!(matches!(vaults.read(&site.account, Which::All).await, Err(VaultError::Restless)));
    assert!(matches!(vaults.manifest(&site.account).await, Err(VaultError::Restless)));
    // Rows that agree with the head are the head's, whatever happened beside them.
    shadow.always(Some(Trick::Elsewhere));
    assert!(vaults.read(&site.account, Which::All).await.is_ok());
    shadow.always(None);
    assert_eq!(site.damage.count(), 0);
    assert_eq!(site.times(&VAULT_DAMAGED).await, 0);
    site.check().await;
}

#[tokio::test]
async fn damage_is_told_once_an_hour() {
    let (site, shadow) = shadow();
    let vaults = site.register(4).await;
    shadow.always(Some(Trick::Lost));
    let mut denied = 0;
    for (second, told) in [(0, 1), (1, 1), (3_599, 1), (3_600, 2), (7_199, 2), (7_200, 3), (100, 4), (101, 4)] {
        site.clock.set(site.at(second));
        for _ in 0..3 {
            assert!(matches!(vaults.read(&site.account, Which::All).await, Err(VaultError::Damaged)));
            denied += 1;
        }
        assert_eq!(site.times(&VAULT_DAMAGED).await, told, "{second}");
        assert_eq!(site.damage.count(), denied, "an operator hears of each");
    }
    assert_eq!(site.event(&VAULT_DAMAGED).await.text("part"), Some("vault"));
    shadow.always(None);
    site.check().await;
}

async fn accept(site: &Site, unreadable: Unreadable) -> Acceptance {
    site.server().accept_damaged(&site.account, unreadable).await.unwrap()
}

/// What was accepted is a vault like any other.
async fn works(site: &Site, ciphers: usize) {
    let vaults = site.server();
    assert_eq!(site.check().await.ciphers.len(), ciphers);
    let (generation, new) = (site.generation().await, text(1, 8));
    let edit = Edit::new(vec![put(id(40), &new, "new")], vec![id(0)]);
    let edited = vaults.edit(&site.account, &edit, site.key_epoch().await).await.unwrap();
    assert!(
        matches!(edited, EditOutcome::Done { count, .. } if count == u64::try_from(ciphers).unwrap()),
        "{edited:?}"
    );
    site.check().await;
    assert!(matches!(site.change(&vaults, generation + 1).await.unwrap(), Swap::Done { .. }));
    site.check().await;
}

#[tokio::test]
async fn rows_that_are_gone_or_older_are_accepted_as_they_are() {
    for what in ["gone", "older", "added"] {
        let forger = Forger::new();
        let site = forger.site();
        let vaults = site.register(4).await;
        let old = forger.rows(&site.account);
        let new = text(1, 5);
        let edit = Edit::new(vec![put(id(1), &new, "new")], vec![id(3)]);
        let edited = vaults.edit(&site.account, &edit, site.key_epoch().await).await.unwrap();
        let EditOutcome::Done { head, count: 3 } = edited else { panic!("{edited:?}") };
        let before = vaults.existing(&site.account, &[id(2)]).await.unwrap().unwrap();
        assert_eq!(before.head(), head);
        let ciphers = match what {
            "gone" => {
                forger.drop_row(&old[2]);
                2
            }
            "older" => {
                forger.put(&old[1]);
                3
            }
            _ => {
                forger.put(&old[3]);
                4
            }
        };
        assert!(vaults.read(&site.account, Which::All).await.is_err(), "{what}");
        let accepted = Acceptance::Accepted { ciphers, counted: 3, dropped: Vec::new() };
        assert_eq!(accept(&site, Unreadable::Report).await, accepted, "{what}");
        let event = site.event(&VAULT_ACCEPTED).await;
        assert_eq!((event.count("ciphers"), event.count("dropped")), (Some(ciphers), Some(0)));
        let contents = site.check().await;
        assert_ne!(contents.head.revision, head, "plans of before are stale");
        let value = |number: u32| {
            contents.ciphers.iter().find(|cipher| cipher.id() == id(number)).map(|cipher| read_text(cipher.text()).1)
        };
        assert_eq!(value(1), Some(if what == "older" { 0 } else { 5 }), "{what}");
        assert_eq!(accept(&site, Unreadable::Drop).await, Acceptance::Undamaged);
        works(&site, usize::try_from(ciphers).unwrap()).await;
        // Damage of another day is told anew.
        forger.drop_row(&forger.rows(&site.account)[0]);
        assert!(vaults.read(&site.account, Which::All).await.is_err(), "{what}");
        assert_eq!(site.times(&VAULT_DAMAGED).await, 2, "{what}");
    }
}

#[tokio::test]
async fn what_does_not_open_is_dropped_only_where_that_is_said() {
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register(4).await;
    let other = Site { account: AccountId::new("user-2").unwrap(), ..site.clone() };
    other.register(4).await;
    let (ours, theirs) = (forger.rows(&site.account), forger.rows(&other.account));
    // A text of another cipher, and a whole row of another account.
    forger.put(&FileRow { text: ours[0].text.clone(), ..ours[1].clone() });
    forger.put(&FileRow { partition: ours[0].partition.clone(), id: id(9).0.to_vec(), ..theirs[2].clone() });
    let tampered = forger.rows(&site.account);
    let unreadable = vec![id(1), id(9)];
    assert_eq!(accept(&site, Unreadable::Report).await, Acceptance::Unreadable(unreadable.clone()));
    assert_eq!(forger.rows(&site.account), tampered, "nothing is changed");
    assert!(vaults.read(&site.account, Which::All).await.is_err());
    let accepted = Acceptance::Accepted { ciphers: 3, counted: 4, dropped: unreadable };
    assert_eq!(accept(&site, Unreadable::Drop).await, accepted);
    assert_eq!(site.event(&VAULT_ACCEPTED).await.count("dropped"), Some(2));
    works(&site, 3).await;
    other.check().await;
}

/// A row in a form in which no store writes one is damage like any other: told, denied, and dropped by an operator.
#[tokio::test]
async fn a_row_of_an_unknown_form_is_told_and_dropped() {
    for columns in ["text_mark = x'00'", "note_mark = 'sixteen letters!'", "nonce = 7", "text = 'text'", "id = x'0102'"]
    {
        let forger = Forger::new();
        let site = forger.site();
        let vaults = site.register(4).await;
        forger.spoil(&forger.rows(&site.account)[2], columns);
        let read = vaults.read(&site.account, Which::All).await;
        assert!(matches!(read, Err(VaultError::Damaged | VaultError::Open(_))), "{columns}: {read:?}");
        assert_eq!(site.times(&VAULT_DAMAGED).await, 1, "{columns}");
        assert_eq!(site.damage.count(), 1, "{columns}");
        let Acceptance::Unreadable(unreadable) = accept(&site, Unreadable::Report).await else { panic!("{columns}") };
        let [dropped] = unreadable[..] else { panic!("{columns}: {unreadable:?}") };
        assert_eq!(dropped == id(2), !columns.starts_with("id"), "{columns}");
        let accepted = Acceptance::Accepted { ciphers: 3, counted: 4, dropped: unreadable };
        assert_eq!(accept(&site, Unreadable::Drop).await, accepted, "{columns}");
        works(&site, 3).await;
    }
}

#[tokio::test]
async fn nothing_is_accepted_where_nothing_is_wrong() {
    for site in Site::both() {
        let vaults = site.register(4).await;
        let (head, events) = (site.check().await.head, site.events().await);
        assert_eq!(accept(&site, Unreadable::Drop).await, Acceptance::Undamaged);
        assert_eq!((site.check().await.head, site.events().await), (head, events));
        let none = AccountId::new("no-vault").unwrap();
        vaults.driver().ensure_account(&none).await.unwrap();
        assert_eq!(vaults.accept_damaged(&none, Unreadable::Drop).await.unwrap(), Acceptance::NoVault);
        let nobody = AccountId::new("nobody").unwrap();
        assert!(vaults.accept_damaged(&nobody, Unreadable::Drop).await.is_err());
    }
}
