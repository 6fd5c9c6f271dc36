//! Tampering with the rows of a stage: the held vault can no longer be promoted, and what does not
//! open is denied.

use keywright_core::AccountId;
use keywright_rekey::events::VAULT_DAMAGED;
use keywright_rekey::{Coverage, Fault, HoldOutcome, PartOutcome, Swap, UploadStart, Vaults};
use keywright_store::{Draft, StageId};

use crate::forger::{FileStaged, Forger};
use crate::world::{CLIENT_SLOTS, World, body, id, set_key, submission, text};

const LIFE: u64 = 600;
const CIPHERS: u32 = 5;

async fn hold(world: &World, vaults: &Vaults, generation: u32) -> StageId {
    let sealed = world.sealed(vaults, generation).await;
    let staged = vaults.stage(sealed, world.at(LIFE)).await.unwrap();
    let step = |draft: &mut Draft<'_>| vaults.steps().hold_in(draft, &staged);
    assert_eq!(vaults.driver().transact(&world.partition(), &[], step).await.unwrap(), HoldOutcome::Held);
    staged.stage()
}

async fn promote(world: &World, vaults: &Vaults, generation: u32) -> Swap<()> {
    vaults.promote(&world.account, CLIENT_SLOTS, |draft| set_key(draft, generation)).await.unwrap()
}

/// A file with two vaults; the first account holds a vault, and has the rows of one that it held before.
struct Forgery {
    forger: Forger,
    held: Vec<FileStaged>,
    before: Vec<FileStaged>,
    foreign: Vec<FileStaged>,
}

async fn forgery() -> Forgery {
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register(CIPHERS).await;
    let other = world.of(AccountId::new("user-2").unwrap());
    other.register(CIPHERS).await;
    hold(&other, &vaults, 2).await;
    let before = hold(&world, &vaults, 2).await;
    let held = hold(&world, &vaults, 3).await;
    let of = |stage: StageId| move |row: &FileStaged| row.stage == stage.0;
    let (ours, foreign) = (forger.staged(&world.account), forger.staged(&other.account));
    let held = ours.iter().filter(|row| of(held)(row)).cloned().collect();
    let before = ours.iter().filter(|row| of(before)(row)).cloned().collect();
    Forgery { forger, held, before, foreign }
}

/// A manipulation of the held stage: rows to drop, then rows to put.
struct Deed {
    what: String,
    drop: Vec<FileStaged>,
    put: Vec<FileStaged>,
    /// Whether ids and marks are unchanged, so that only opening a text can reveal it.
    same_marks: bool,
}

fn deeds(Forgery { held, before, foreign, .. }: &Forgery) -> Vec<Deed> {
    let mut deeds = Vec::new();
    for (at, there) in held.iter().enumerate() {
        let mut deed = |what: &str, drop: Option<&FileStaged>, put: Option<FileStaged>, same_marks: bool| {
            let (drop, put) = (drop.into_iter().cloned().collect(), put.into_iter().collect());
            deeds.push(Deed { what: format!("row {at}: {what}"), drop, put, same_marks });
        };
        deed("dropped", Some(there), None, false);
        let place = |other: &FileStaged| FileStaged {
            partition: there.partition.clone(),
            stage: there.stage.clone(),
            id: there.id.clone(),
            ..other.clone()
        };
        let next = &held[(at + 1) % held.len()];
        for (from, other) in
            [("another id", next), ("an earlier stage", &before[at]), ("another account", &foreign[at])]
        {
            deed(&format!("all of {from}"), None, Some(place(other)), false);
            let text = FileStaged { text: other.text.clone(), ..there.clone() };
            deed(&format!("the text of {from}"), None, Some(text), true);
            let mark = FileStaged { text_mark: other.text_mark.clone(), ..there.clone() };
            deed(&format!("the mark of {from}"), None, Some(mark), false);
        }
        let elsewhere = FileStaged { id: id(77).0.to_vec(), ..there.clone() };
        deed("moved to another id", Some(there), Some(elsewhere.clone()), false);
        deed("copied to another id", None, Some(elsewhere), false);
        let abroad = FileStaged { stage: before[at].stage.clone(), ..there.clone() };
        deed("moved to another stage", Some(there), Some(abroad), false);
    }
    deeds
}

#[tokio::test]
async fn what_was_held_is_promoted_as_it_was_held_or_not_at_all() {
    let forgery = forgery().await;
    for deed in deeds(&forgery) {
        let forger = forgery.forger.copy();
        deed.drop.iter().for_each(|row| forger.drop_staged(row));
        deed.put.iter().for_each(|row| forger.put_staged(row));
        let world = forger.world();
        let (vaults, what) = (world.server(), &deed.what);
        assert!(matches!(vaults.covered(&world.account).await.unwrap(), Coverage::Uncovered(_)), "{what}");
        assert_eq!(world.times(&VAULT_DAMAGED).await, 1, "{what}");
        assert_eq!(world.event(&VAULT_DAMAGED).await.text("part"), Some("held"), "{what}");
        assert!(world.damage.damages() > 0, "{what}");
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Void), "{what}");
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Nothing), "{what}: it is dropped");
        // The current vault was never in doubt.
        assert_eq!(world.check_swaps().await, 0, "{what}");
        hold(&world, &vaults, 4).await;
        assert!(matches!(promote(&world, &vaults, 4).await, Swap::Done { .. }), "{what}");
        world.check().await;
    }
    let world = forgery.forger.world();
    assert!(matches!(promote(&world, &world.server(), 3).await, Swap::Done { .. }), "as it was held");
    world.check().await;
}

/// The rows are checked, and others are stored at the time of the commit.
#[tokio::test]
async fn a_stage_that_changes_between_check_and_commit_conflicts() {
    let forgery = forgery().await;
    for deed in deeds(&forgery).into_iter().filter(|deed| !deed.same_marks) {
        let forger = forgery.forger.copy();
        let world = forger.world();
        let vaults = world.server();
        let Coverage::Covered(checked) = vaults.covered(&world.account).await.unwrap() else { panic!() };
        deed.drop.iter().for_each(|row| forger.drop_staged(row));
        deed.put.iter().for_each(|row| forger.put_staged(row));
        let step = |draft: &mut Draft<'_>| vaults.steps().promote_in(draft, &checked);
        let error = vaults.driver().transact(&world.partition(), &[], step).await.unwrap_err();
        assert!(matches!(error, keywright_store::TransactError::Busy), "{}: {error:?}", deed.what);
        assert_eq!(world.check_swaps().await, 0, "{}", deed.what);
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Void), "{}", deed.what);
    }
}

/// Parts of an upload are not guarded, so nothing determines what they must be. Damage is reported
/// at the finish, or when they are opened.
#[tokio::test]
async fn an_upload_takes_no_row_that_was_moved_dropped_or_added() {
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register(CIPHERS).await;
    let part = |generation: u32| body((0..CIPHERS).map(|number| (id(number), text(generation, 0))));
    hold(&world, &vaults, 9).await;
    let held = forger.staged(&world.account);
    let until = world.at(LIFE);
    let UploadStart::Begun { upload, .. } = vaults.begin_upload(&world.account, None, until).await.unwrap() else {
        panic!()
    };
    let part = part(2);
    let kept = vaults.put_part(&world.account, upload, &submission(&part)).await.unwrap();
    assert!(matches!(kept, PartOutcome::Kept { .. }));
    let rows = forger.staged(&world.account);
    let finish =
        async || vaults.finish_upload(&world.account, upload, CLIENT_SLOTS, |draft| set_key(draft, 2)).await.unwrap();
    let refused = async |what: &str, fault: Fault| {
        let outcome = finish().await;
        let Swap::Refused(difference) = outcome else { panic!("{what}: {outcome:?}") };
        assert!(difference.count(fault) > 0, "{what}: {difference:?}");
    };
    forger.drop_staged(&rows[1]);
    refused("dropped", Fault::Missing).await;
    forger.put_staged(&FileStaged { id: id(77).0.to_vec(), ..rows[1].clone() });
    refused("moved", Fault::Unknown).await;
    forger.drop_staged(&FileStaged { id: id(77).0.to_vec(), ..rows[1].clone() });
    forger.put_staged(&FileStaged { id: rows[1].id.clone(), ..rows[2].clone() });
    refused("moved over another", Fault::ReusedNonce).await;
    // Two texts whose ids, marks and nonces are in order: only opening them reveals it.
    let of_another_stage = FileStaged { stage: rows[1].stage.clone(), ..held[1].clone() };
    let text_alone = FileStaged { text: held[1].text.clone(), ..rows[1].clone() };
    for forged in [of_another_stage, text_alone] {
        let forger = forger.copy();
        forger.put_staged(&forged);
        let world = forger.world();
        let vaults = world.server();
        let finish = || vaults.finish_upload(&world.account, upload, CLIENT_SLOTS, |draft| set_key(draft, 2));
        assert!(matches!(finish().await.unwrap(), Swap::Void));
        assert_eq!(world.event(&VAULT_DAMAGED).await.text("part"), Some("held"));
        assert!(world.damage.damages() > 0);
        assert!(matches!(finish().await.unwrap(), Swap::Nothing), "it is dropped");
        assert_eq!(world.check_swaps().await, 0, "the vault is as it was");
    }
    forger.put_staged(&rows[1]);
    assert!(matches!(finish().await, Swap::Done { .. }), "as it was put");
    world.check().await;
}

/// Values that no store writes into the columns of a staged row.
const SPOILT: [&str; 11] = [
    "text = 7",
    "text = 'text'",
    "nonce = x'00'",
    "nonce = 'nonce'",
    "nonce = zeroblob(17)",
    "text_mark = x''",
    "text_mark = 1.5",
    "text_mark = zeroblob(16)",
    "id = x'77'",
    "id = 'id'",
    "id = zeroblob(17)",
];

/// A row of an unknown form voids its stage, and nothing else: no call returns an error, and the
/// next stage is promoted.
#[tokio::test]
async fn a_held_row_that_cannot_be_read_voids_what_is_held_alone() {
    let forgery = forgery().await;
    for columns in SPOILT {
        let forger = forgery.forger.copy();
        let world = forger.world();
        let vaults = world.server();
        let Coverage::Covered(checked) = vaults.covered(&world.account).await.unwrap() else { panic!() };
        forger.spoil_staged(&forgery.held[2], columns);
        // At the commit it is a conflict: the stage is not the one that was checked.
        let step = |draft: &mut Draft<'_>| vaults.steps().promote_in(draft, &checked);
        let error = vaults.driver().transact(&world.partition(), &[], step).await.unwrap_err();
        assert!(matches!(error, keywright_store::TransactError::Busy), "{columns}: {error:?}");
        assert_eq!(world.check_swaps().await, 0, "{columns}");
        assert!(matches!(vaults.covered(&world.account).await.unwrap(), Coverage::Uncovered(_)), "{columns}");
        assert_eq!(world.event(&VAULT_DAMAGED).await.text("part"), Some("held"), "{columns}");
        assert!(world.damage.damages() > 0, "{columns}");
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Void), "{columns}");
        assert!(matches!(promote(&world, &vaults, 3).await, Swap::Nothing), "{columns}: it is dropped");
        assert_eq!(world.check_swaps().await, 0, "{columns}");
        hold(&world, &vaults, 4).await;
        assert!(matches!(promote(&world, &vaults, 4).await, Swap::Done { .. }), "{columns}");
        world.check().await;
    }
}

/// The same for an upload: the client learns that it is void, discards it and stages again, or it
/// sends the one row again.
#[tokio::test]
async fn an_uploaded_row_that_cannot_be_read_voids_its_upload_alone() {
    let part = |generation: u32| body((0..CIPHERS).map(|number| (id(number), text(generation, 0))));
    let begin = async |world: &World, vaults: &Vaults, generation: u32| {
        let UploadStart::Begun { upload, .. } =
            vaults.begin_upload(&world.account, None, world.at(LIFE)).await.unwrap()
        else {
            panic!()
        };
        let part = part(generation);
        let kept = vaults.put_part(&world.account, upload, &submission(&part)).await.unwrap();
        assert!(matches!(kept, PartOutcome::Kept { .. }));
        upload
    };
    let finish = async |world: &World, vaults: &Vaults, upload, generation| {
        let then = |draft: &mut Draft<'_>| set_key(draft, generation);
        vaults.finish_upload(&world.account, upload, CLIENT_SLOTS, then).await.unwrap()
    };
    let original = Forger::new();
    let world = original.world();
    let upload = begin(&world, &world.register(CIPHERS).await, 2).await;
    let rows = original.staged(&world.account);
    for columns in SPOILT {
        let forger = original.copy();
        let world = forger.world();
        let vaults = world.server();
        forger.spoil_staged(&rows[1], columns);
        let arrived = vaults.uploaded(&world.account, upload).await.unwrap().unwrap();
        assert_eq!(arrived, [0, 2, 3, 4].map(id), "{columns}: it did not arrive");
        if !columns.starts_with("id") {
            let again = forger.copy();
            let world = again.world();
            let vaults = world.server();
            let part = part(2);
            let kept = vaults.put_part(&world.account, upload, &submission(&part)).await.unwrap();
            assert!(matches!(kept, PartOutcome::Kept { .. }), "{columns}");
            assert!(matches!(finish(&world, &vaults, upload, 2).await, Swap::Done { .. }), "{columns}: put again");
            world.check().await;
        }
        assert!(matches!(finish(&world, &vaults, upload, 2).await, Swap::Void), "{columns}");
        assert_eq!(world.event(&VAULT_DAMAGED).await.text("part"), Some("held"), "{columns}");
        assert!(world.damage.damages() > 0, "{columns}");
        assert!(matches!(finish(&world, &vaults, upload, 2).await, Swap::Nothing), "{columns}: it is dropped");
        assert!(forger.staged(&world.account).is_empty(), "{columns}: and its rows with it");
        assert_eq!(world.check_swaps().await, 0, "{columns}: the vault is as it was");
        let next = begin(&world, &vaults, 3).await;
        assert!(matches!(finish(&world, &vaults, next, 3).await, Swap::Done { .. }), "{columns}");
        world.check().await;
    }
}

/// There are more texts than are opened together: the forged one is found wherever it is.
#[tokio::test]
async fn every_text_of_a_large_stage_is_opened() {
    const MANY: u32 = 1_201;
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register(MANY).await;
    hold(&world, &vaults, 2).await;
    let rows = forger.staged(&world.account);
    let last = rows.len() - 1;
    for at in [0, 499, 500, 501, 999, 1_000, last] {
        let forger = forger.copy();
        let other = &rows[if at == last { 0 } else { at + 1 }];
        forger.put_staged(&FileStaged { text: other.text.clone(), ..rows[at].clone() });
        let world = forger.world();
        assert!(matches!(promote(&world, &world.server(), 2).await, Swap::Void), "row {at}");
    }
    assert!(matches!(promote(&world, &vaults, 2).await, Swap::Done { .. }));
    world.check().await;
}
