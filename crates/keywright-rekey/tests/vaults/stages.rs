//! The rows of a stage are tampered with: what was held is not promoted any more, and what does not open is denied.

use keywright_core::AccountId;
use keywright_rekey::events::VAULT_DAMAGED;
use keywright_rekey::{Coverage, Fault, HoldOutcome, PartOutcome, Swap, UploadStart, Vaults};
use keywright_store::{Draft, StageId};

use crate::forger::{FileStaged, Forger};
use crate::site::{CLIENT_SLOTS, Site, body, id, set_key, submission, text};

const LIFE: u64 = 600;
const CIPHERS: u32 = 5;

async fn hold(site: &Site, vaults: &Vaults, generation: u32) -> StageId {
    let sealed = site.sealed(vaults, generation).await;
    let staged = vaults.stage(sealed, site.at(LIFE)).await.unwrap();
    let step = |draft: &mut Draft<'_>| vaults.steps().hold_in(draft, &staged);
    assert_eq!(vaults.driver().transact(&site.partition(), &[], step).await.unwrap(), HoldOutcome::Held);
    staged.stage()
}

async fn promote(site: &Site, vaults: &Vaults, generation: u32) -> Swap<()> {
    vaults.promote(&site.account, CLIENT_SLOTS, |draft| set_key(draft, generation)).await.unwrap()
}

/// A file with two vaults; the first account holds a vault, and has the rows of one that it held before.
struct World {
    forger: Forger,
    held: Vec<FileStaged>,
    before: Vec<FileStaged>,
    foreign: Vec<FileStaged>,
}

async fn world() -> World {
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register(CIPHERS).await;
    let other = Site { account: AccountId::new("user-2").unwrap(), ..site.clone() };
    other.register(CIPHERS).await;
    hold(&other, &vaults, 2).await;
    let before = hold(&site, &vaults, 2).await;
    let held = hold(&site, &vaults, 3).await;
    let of = |stage: StageId| move |row: &FileStaged| row.stage == stage.0;
    let (ours, foreign) = (forger.staged(&site.account), forger.staged(&other.account));
    let held = ours.iter().filter(|row| of(held)(row)).cloned().collect();
    let before = ours.iter().filter(|row| of(before)(row)).cloned().collect();
    World { forger, held, before, foreign }
}

/// What was done to the held stage: rows to drop, then rows to put.
struct Deed {
    what: String,
    drop: Vec<FileStaged>,
    put: Vec<FileStaged>,
    /// Whether ids and marks are as they were, so that only opening a text can tell.
    same_marks: bool,
}

fn deeds(World { held, before, foreign, .. }: &World) -> Vec<Deed> {
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
    let world = world().await;
    for deed in deeds(&world) {
        let forger = world.forger.copy();
        deed.drop.iter().for_each(|row| forger.drop_staged(row));
        deed.put.iter().for_each(|row| forger.put_staged(row));
        let site = forger.site();
        let (vaults, what) = (site.server(), &deed.what);
        assert!(matches!(vaults.covered(&site.account).await.unwrap(), Coverage::Uncovered(_)), "{what}");
        assert_eq!(site.times(&VAULT_DAMAGED).await, 1, "{what}");
        assert_eq!(site.event(&VAULT_DAMAGED).await.text("part"), Some("held"), "{what}");
        assert!(site.damage.count() > 0, "{what}");
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Void), "{what}");
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Nothing), "{what}: it is dropped");
        // The vault itself was never in doubt.
        assert_eq!(site.check_swaps().await, 0, "{what}");
        hold(&site, &vaults, 4).await;
        assert!(matches!(promote(&site, &vaults, 4).await, Swap::Done { .. }), "{what}");
        site.check().await;
    }
    let site = world.forger.site();
    assert!(matches!(promote(&site, &site.server(), 3).await, Swap::Done { .. }), "as it was held");
    site.check().await;
}

/// Rows that were checked, and others that lie there when it is committed.
#[tokio::test]
async fn a_stage_that_changes_between_check_and_commit_conflicts() {
    let world = world().await;
    for deed in deeds(&world).into_iter().filter(|deed| !deed.same_marks) {
        let forger = world.forger.copy();
        let site = forger.site();
        let vaults = site.server();
        let Coverage::Covered(checked) = vaults.covered(&site.account).await.unwrap() else { panic!() };
        deed.drop.iter().for_each(|row| forger.drop_staged(row));
        deed.put.iter().for_each(|row| forger.put_staged(row));
        let step = |draft: &mut Draft<'_>| vaults.steps().promote_in(draft, &checked);
        let error = vaults.driver().transact(&site.partition(), &[], step).await.unwrap_err();
        assert!(matches!(error, keywright_store::TransactError::Busy), "{}: {error:?}", deed.what);
        assert_eq!(site.check_swaps().await, 0, "{}", deed.what);
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Void), "{}", deed.what);
    }
}

/// Parts of an upload are not guarded, so nothing says what they must be; what they are not is told at the finish, or
/// when they are opened.
#[tokio::test]
async fn an_upload_takes_no_row_that_was_moved_dropped_or_added() {
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register(CIPHERS).await;
    let part = |generation: u32| body((0..CIPHERS).map(|number| (id(number), text(generation, 0))));
    hold(&site, &vaults, 9).await;
    let held = forger.staged(&site.account);
    let until = site.at(LIFE);
    let UploadStart::Begun { upload, .. } = vaults.begin_upload(&site.account, None, until).await.unwrap() else {
        panic!()
    };
    let part = part(2);
    let kept = vaults.put_part(&site.account, upload, &submission(&part)).await.unwrap();
    assert!(matches!(kept, PartOutcome::Kept { .. }));
    let rows = forger.staged(&site.account);
    let finish =
        async || vaults.finish_upload(&site.account, upload, CLIENT_SLOTS, |draft| set_key(draft, 2)).await.unwrap();
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
    // Two whose ids, marks and nonces are in order: only their texts tell.
    let of_another_stage = FileStaged { stage: rows[1].stage.clone(), ..held[1].clone() };
    let text_alone = FileStaged { text: held[1].text.clone(), ..rows[1].clone() };
    for forged in [of_another_stage, text_alone] {
        let forger = forger.copy();
        forger.put_staged(&forged);
        let site = forger.site();
        let vaults = site.server();
        let finish = || vaults.finish_upload(&site.account, upload, CLIENT_SLOTS, |draft| set_key(draft, 2));
        assert!(matches!(finish().await.unwrap(), Swap::Void));
        assert_eq!(site.event(&VAULT_DAMAGED).await.text("part"), Some("held"));
        assert!(site.damage.count() > 0);
        assert!(matches!(finish().await.unwrap(), Swap::Nothing), "it is dropped");
        assert_eq!(site.check_swaps().await, 0, "the vault is as it was");
    }
    forger.put_staged(&rows[1]);
    assert!(matches!(finish().await, Swap::Done { .. }), "as it was put");
    site.check().await;
}

/// What no store writes into the columns of a staged row.
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

/// A row of an unknown form voids its stage, and nothing else: no answer is an error, and the next stage is promoted.
#[tokio::test]
async fn a_held_row_that_cannot_be_read_voids_what_is_held_alone() {
    let world = world().await;
    for columns in SPOILT {
        let forger = world.forger.copy();
        let site = forger.site();
        let vaults = site.server();
        let Coverage::Covered(checked) = vaults.covered(&site.account).await.unwrap() else { panic!() };
        forger.spoil_staged(&world.held[2], columns);
        // Beside the commit it is a conflict: the stage is not what was checked.
        let step = |draft: &mut Draft<'_>| vaults.steps().promote_in(draft, &checked);
        let error = vaults.driver().transact(&site.partition(), &[], step).await.unwrap_err();
        assert!(matches!(error, keywright_store::TransactError::Busy), "{columns}: {error:?}");
        assert_eq!(site.check_swaps().await, 0, "{columns}");
        assert!(matches!(vaults.covered(&site.account).await.unwrap(), Coverage::Uncovered(_)), "{columns}");
        assert_eq!(site.event(&VAULT_DAMAGED).await.text("part"), Some("held"), "{columns}");
        assert!(site.damage.count() > 0, "{columns}");
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Void), "{columns}");
        assert!(matches!(promote(&site, &vaults, 3).await, Swap::Nothing), "{columns}: it is dropped");
        assert_eq!(site.check_swaps().await, 0, "{columns}");
        hold(&site, &vaults, 4).await;
        assert!(matches!(promote(&site, &vaults, 4).await, Swap::Done { .. }), "{columns}");
        site.check().await;
    }
}

/// The same for an upload: the client hears that it is void, discards it and stages again; or puts the one row again.
#[tokio::test]
async fn an_uploaded_row_that_cannot_be_read_voids_its_upload_alone() {
    let part = |generation: u32| body((0..CIPHERS).map(|number| (id(number), text(generation, 0))));
    let begin = async |site: &Site, vaults: &Vaults, generation: u32| {
        let UploadStart::Begun { upload, .. } = vaults.begin_upload(&site.account, None, site.at(LIFE)).await.unwrap()
        else {
            panic!()
        };
        let part = part(generation);
        let kept = vaults.put_part(&site.account, upload, &submission(&part)).await.unwrap();
        assert!(matches!(kept, PartOutcome::Kept { .. }));
        upload
    };
    let finish = async |site: &Site, vaults: &Vaults, upload, generation| {
        let then = |draft: &mut Draft<'_>| set_key(draft, generation);
        vaults.finish_upload(&site.account, upload, CLIENT_SLOTS, then).await.unwrap()
    };
    let original = Forger::new();
    let site = original.site();
    let upload = begin(&site, &site.register(CIPHERS).await, 2).await;
    let rows = original.staged(&site.account);
    for columns in SPOILT {
        let forger = original.copy();
        let site = forger.site();
        let vaults = site.server();
        forger.spoil_staged(&rows[1], columns);
        let arrived = vaults.uploaded(&site.account, upload).await.unwrap().unwrap();
        assert_eq!(arrived, [0, 2, 3, 4].map(id), "{columns}: it did not arrive");
        if !columns.starts_with("id") {
            let again = forger.copy();
            let site = again.site();
            let vaults = site.server();
            let part = part(2);
            let kept = vaults.put_part(&site.account, upload, &submission(&part)).await.unwrap();
            assert!(matches!(kept, PartOutcome::Kept { .. }), "{columns}");
            assert!(matches!(finish(&site, &vaults, upload, 2).await, Swap::Done { .. }), "{columns}: put again");
            site.check().await;
        }
        assert!(matches!(finish(&site, &vaults, upload, 2).await, Swap::Void), "{columns}");
        assert_eq!(site.event(&VAULT_DAMAGED).await.text("part"), Some("held"), "{columns}");
        assert!(site.damage.count() > 0, "{columns}");
        assert!(matches!(finish(&site, &vaults, upload, 2).await, Swap::Nothing), "{columns}: it is dropped");
        assert!(forger.staged(&site.account).is_empty(), "{columns}: and its rows with it");
        assert_eq!(site.check_swaps().await, 0, "{columns}: the vault is as it was");
        let next = begin(&site, &vaults, 3).await;
        assert!(matches!(finish(&site, &vaults, next, 3).await, Swap::Done { .. }), "{columns}");
        site.check().await;
    }
}

/// More texts than are opened at once: the forged one is found wherever it lies.
#[tokio::test]
async fn every_text_of_a_large_stage_is_opened() {
    const MANY: u32 = 1_201;
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register(MANY).await;
    hold(&site, &vaults, 2).await;
    let rows = forger.staged(&site.account);
    let last = rows.len() - 1;
    for at in [0, 499, 500, 501, 999, 1_000, last] {
        let forger = forger.copy();
        let other = &rows[if at == last { 0 } else { at + 1 }];
        forger.put_staged(&FileStaged { text: other.text.clone(), ..rows[at].clone() });
        let site = forger.site();
        assert!(matches!(promote(&site, &site.server(), 2).await, Swap::Void), "row {at}");
    }
    assert!(matches!(promote(&site, &vaults, 2).await, Swap::Done { .. }));
    site.check().await;
}
