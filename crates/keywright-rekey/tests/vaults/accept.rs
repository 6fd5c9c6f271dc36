//! Damage is confirmed by a second read, reported once an hour, and accepted by an operator who
//! knows of it.

use std::sync::Arc;

use keywright_core::AccountId;
use keywright_rekey::events::{VAULT_ACCEPTED, VAULT_DAMAGED};
use keywright_rekey::{Acceptance, Edit, EditOutcome, Swap, Unreadable, VaultError};
use keywright_store::Which;

use crate::forger::{FileRow, Forger};
use crate::shadow::{Shadow, Trick};
use crate::world::{World, id, put, read_text, text};

fn shadow() -> (World, Arc<Shadow>) {
    let (shadow, store) = Shadow::new();
    (World::over(store), shadow)
}

/// A backend that reads in two steps occasionally returns half of another commit.
#[tokio::test]
async fn one_look_is_not_believed() {
    let (world, shadow) = shadow();
    let vaults = world.register(4).await;
    for tricks in [vec![Trick::Lost], vec![Trick::LostElsewhere; 15], vec![Trick::Lost, Trick::LostElsewhere]] {
        shadow.next(tricks.clone());
        let contents = vaults.read(&world.account, Which::All).await.unwrap().unwrap();
        assert_eq!(contents.ciphers.len(), 4);
        shadow.next(tricks.clone());
        assert_eq!(vaults.manifest(&world.account).await.unwrap().rows().len(), 4);
        shadow.next(tricks.clone());
        let ids = [id(0)];
        let single = Which::Ids { ids: &ids, with_marks: false };
        assert_eq!(vaults.read(&world.account, single).await.unwrap().unwrap().ciphers.len(), 1);
        shadow.next(tricks);
        assert!(vaults.existing(&world.account, &ids).await.unwrap().unwrap().contains(id(0)));
    }
    assert_eq!(world.damage.damages(), 0);
    assert_eq!(world.times(&VAULT_DAMAGED).await, 0);
}

/// Rows under another root than the head's are no evidence against the vault, however often they
/// occur.
#[tokio::test]
async fn rows_of_another_root_are_no_damage() {
    let (world, shadow) = shadow();
    let vaults = world.register(4).await;
    shadow.always(Some(Trick::LostElsewhere));
    assert!(matches!(vaults.read(&world.account, Which::All).await, Err(VaultError::Restless)));
    assert!(matches!(vaults.manifest(&world.account).await, Err(VaultError::Restless)));
    // Rows that agree with the head are the head's, whatever happened at the same time.
    shadow.always(Some(Trick::Elsewhere));
    assert!(vaults.read(&world.account, Which::All).await.is_ok());
    shadow.always(None);
    assert_eq!(world.damage.damages(), 0);
    assert_eq!(world.times(&VAULT_DAMAGED).await, 0);
    world.check().await;
}

#[tokio::test]
async fn damage_is_told_once_an_hour() {
    let (world, shadow) = shadow();
    let vaults = world.register(4).await;
    shadow.always(Some(Trick::Lost));
    let mut denied = 0;
    for (second, told) in [(0, 1), (1, 1), (3_599, 1), (3_600, 2), (7_199, 2), (7_200, 3), (100, 4), (101, 4)] {
        world.clock.set(world.at(second));
        for _ in 0..3 {
            assert!(matches!(vaults.read(&world.account, Which::All).await, Err(VaultError::Damaged)));
            denied += 1;
        }
        assert_eq!(world.times(&VAULT_DAMAGED).await, told, "{second}");
        assert_eq!(world.damage.damages(), denied, "an operator hears of each");
    }
    assert_eq!(world.event(&VAULT_DAMAGED).await.text("part"), Some("vault"));
    shadow.always(None);
    world.check().await;
}

async fn accept(world: &World, unreadable: Unreadable) -> Acceptance {
    world.server().accept_damaged(&world.account, unreadable).await.unwrap()
}

/// An accepted vault is a vault like any other.
async fn works(world: &World, ciphers: usize) {
    let vaults = world.server();
    assert_eq!(world.check().await.ciphers.len(), ciphers);
    let (generation, new) = (world.generation().await, text(1, 8));
    let edit = Edit::new(vec![put(id(40), &new, "new")], vec![id(0)]);
    let edited = vaults.edit(&world.account, &edit, world.key_epoch().await).await.unwrap();
    assert!(
        matches!(edited, EditOutcome::Done { count, .. } if count == u64::try_from(ciphers).unwrap()),
        "{edited:?}"
    );
    world.check().await;
    assert!(matches!(world.change(&vaults, generation + 1).await.unwrap(), Swap::Done { .. }));
    world.check().await;
}

#[tokio::test]
async fn rows_that_are_gone_or_older_are_accepted_as_they_are() {
    for what in ["gone", "older", "added"] {
        let forger = Forger::new();
        let world = forger.world();
        let vaults = world.register(4).await;
        let old = forger.rows(&world.account);
        let new = text(1, 5);
        let edit = Edit::new(vec![put(id(1), &new, "new")], vec![id(3)]);
        let edited = vaults.edit(&world.account, &edit, world.key_epoch().await).await.unwrap();
        let EditOutcome::Done { head, count: 3 } = edited else { panic!("{edited:?}") };
        let before = vaults.existing(&world.account, &[id(2)]).await.unwrap().unwrap();
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
        assert!(vaults.read(&world.account, Which::All).await.is_err(), "{what}");
        let accepted = Acceptance::Accepted { ciphers, counted: 3, dropped: Vec::new() };
        assert_eq!(accept(&world, Unreadable::Report).await, accepted, "{what}");
        let event = world.event(&VAULT_ACCEPTED).await;
        assert_eq!((event.count("ciphers"), event.count("dropped")), (Some(ciphers), Some(0)));
        let contents = world.check().await;
        assert_ne!(contents.head.revision, head, "plans of before are stale");
        let value = |number: u32| {
            contents.ciphers.iter().find(|cipher| cipher.id() == id(number)).map(|cipher| read_text(cipher.text()).1)
        };
        assert_eq!(value(1), Some(if what == "older" { 0 } else { 5 }), "{what}");
        assert_eq!(accept(&world, Unreadable::Drop).await, Acceptance::Undamaged);
        works(&world, usize::try_from(ciphers).unwrap()).await;
        // Damage on another day is reported again.
        forger.drop_row(&forger.rows(&world.account)[0]);
        assert!(vaults.read(&world.account, Which::All).await.is_err(), "{what}");
        assert_eq!(world.times(&VAULT_DAMAGED).await, 2, "{what}");
    }
}

#[tokio::test]
async fn what_does_not_open_is_dropped_only_where_that_is_said() {
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register(4).await;
    let other = world.of(AccountId::new("user-2").unwrap());
    other.register(4).await;
    let (ours, theirs) = (forger.rows(&world.account), forger.rows(&other.account));
    // A text of another cipher, and a whole row of another account.
    forger.put(&FileRow { text: ours[0].text.clone(), ..ours[1].clone() });
    forger.put(&FileRow { partition: ours[0].partition.clone(), id: id(9).0.to_vec(), ..theirs[2].clone() });
    let tampered = forger.rows(&world.account);
    let unreadable = vec![id(1), id(9)];
    assert_eq!(accept(&world, Unreadable::Report).await, Acceptance::Unreadable(unreadable.clone()));
    assert_eq!(forger.rows(&world.account), tampered, "nothing is changed");
    assert!(vaults.read(&world.account, Which::All).await.is_err());
    let accepted = Acceptance::Accepted { ciphers: 3, counted: 4, dropped: unreadable };
    assert_eq!(accept(&world, Unreadable::Drop).await, accepted);
    assert_eq!(world.event(&VAULT_ACCEPTED).await.count("dropped"), Some(2));
    works(&world, 3).await;
    other.check().await;
}

/// A row in a form that no store writes is damage like any other: it is reported, denied, and
/// dropped by an operator.
#[tokio::test]
async fn a_row_of_an_unknown_form_is_told_and_dropped() {
    for columns in ["text_mark = x'00'", "note_mark = 'sixteen letters!'", "nonce = 7", "text = 'text'", "id = x'0102'"]
    {
        let forger = Forger::new();
        let world = forger.world();
        let vaults = world.register(4).await;
        forger.spoil(&forger.rows(&world.account)[2], columns);
        let read = vaults.read(&world.account, Which::All).await;
        assert!(matches!(read, Err(VaultError::Damaged | VaultError::Open(_))), "{columns}: {read:?}");
        assert_eq!(world.times(&VAULT_DAMAGED).await, 1, "{columns}");
        assert_eq!(world.damage.damages(), 1, "{columns}");
        let Acceptance::Unreadable(unreadable) = accept(&world, Unreadable::Report).await else { panic!("{columns}") };
        let [dropped] = unreadable[..] else { panic!("{columns}: {unreadable:?}") };
        assert_eq!(dropped == id(2), !columns.starts_with("id"), "{columns}");
        let accepted = Acceptance::Accepted { ciphers: 3, counted: 4, dropped: unreadable };
        assert_eq!(accept(&world, Unreadable::Drop).await, accepted, "{columns}");
        works(&world, 3).await;
    }
}

#[tokio::test]
async fn nothing_is_accepted_where_nothing_is_wrong() {
    for world in World::both() {
        let vaults = world.register(4).await;
        let (head, events) = (world.check().await.head, world.events().await);
        assert_eq!(accept(&world, Unreadable::Drop).await, Acceptance::Undamaged);
        assert_eq!((world.check().await.head, world.events().await), (head, events));
        let none = AccountId::new("no-vault").unwrap();
        vaults.driver().ensure_account(&none).await.unwrap();
        assert_eq!(vaults.accept_damaged(&none, Unreadable::Drop).await.unwrap(), Acceptance::NoVault);
        let nobody = AccountId::new("nobody").unwrap();
        assert!(vaults.accept_damaged(&nobody, Unreadable::Drop).await.is_err());
    }
}
