//! Every rollback, move, removal and insertion of a single row in a populated vault and its stages
//! is detected at the next use, by a server that keeps running, and is never repaired silently.

use std::collections::BTreeSet;

use keywright_core::AccountId;
use keywright_rekey::events::VAULT_DAMAGED;
use keywright_rekey::{Edit, EditOutcome, Swap, SwapOutcome, VaultError, VaultPolicy, Vaults};
use keywright_store::{CipherId, Draft, Which};

use crate::forger::{FileRow, Forger};
use crate::world::{World, body, id, put, submission, text};

/// Two accounts with a history.
struct Forgery {
    forger: Forger,
    /// The past states of the first account's vault, oldest first.
    past: Vec<Vec<FileRow>>,
    /// The present vaults of the two accounts.
    vaults: [Vec<FileRow>; 2],
}

fn accounts() -> [AccountId; 2] {
    ["user-1", "user-2"].map(|name| AccountId::new(name).unwrap())
}

fn of(world: &World, account: &AccountId) -> World {
    world.of(account.clone())
}

async fn edit(world: &World, puts: &[(u32, &str)], deletes: &[u32], generation: u32) -> EditOutcome {
    let texts: Vec<String> = puts.iter().map(|_| text(generation, 1)).collect();
    let put = puts.iter().zip(&texts).map(|((number, note), text)| put(id(*number), text, note)).collect();
    let delete = deletes.iter().map(|&number| id(number)).collect();
    let vaults = world.server();
    vaults.edit(&world.account, &Edit::new(put, delete), world.key_epoch().await).await.unwrap()
}

/// Six ciphers, replaced, deleted, inserted, swapped, and edited again.
async fn forgery() -> Forgery {
    let forger = Forger::new();
    let world = forger.world();
    let [ours, theirs] = accounts();
    let vaults = world.register(6).await;
    let mut past = vec![forger.rows(&ours)];
    assert!(matches!(edit(&world, &[(0, "note 0"), (6, "new")], &[5], 1).await, EditOutcome::Done { count: 6, .. }));
    past.push(forger.rows(&ours));
    assert!(matches!(world.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    past.push(forger.rows(&ours));
    assert!(matches!(edit(&world, &[(0, "third"), (1, "second")], &[], 2).await, EditOutcome::Done { .. }));
    past.push(forger.rows(&ours));
    let other = of(&world, &theirs);
    other.register(6).await;
    assert!(matches!(other.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    let vaults = [forger.rows(&ours), forger.rows(&theirs)];
    Forgery { forger, past, vaults }
}

/// One manipulation of the file: a description, and the rows to write and to drop.
struct Deed {
    what: String,
    put: Vec<FileRow>,
    drop: Vec<FileRow>,
}

impl Deed {
    fn put(what: String, row: FileRow) -> Self {
        Self { what, put: vec![row], drop: Vec::new() }
    }

    fn commit(&self, forger: &Forger) {
        self.drop.iter().for_each(|row| forger.drop_row(row));
        self.put.iter().for_each(|row| forger.put(row));
    }

    fn undo(&self, forger: &Forger, forgery: &Forgery) {
        let all = || forgery.vaults.iter().flatten();
        for put in &self.put {
            if !all().any(|row| (&row.partition, &row.id) == (&put.partition, &put.id)) {
                forger.drop_row(put);
            }
        }
        all().for_each(|row| forger.put(row));
    }
}

/// Every way to put parts of one row in place of another's.
fn mixtures(there: &FileRow, other: &FileRow) -> Vec<(&'static str, FileRow)> {
    let row = |change: fn(&mut FileRow, &FileRow)| {
        let mut row = there.clone();
        change(&mut row, other);
        row
    };
    vec![
        (
            "all of it",
            row(|row, other| {
                *row = FileRow { partition: row.partition.clone(), id: row.id.clone(), ..other.clone() };
            }),
        ),
        (
            "text and mark",
            row(|row, other| {
                row.text.clone_from(&other.text);
                row.text_mark.clone_from(&other.text_mark);
                row.nonce.clone_from(&other.nonce);
            }),
        ),
        (
            "note and mark",
            row(|row, other| {
                row.note.clone_from(&other.note);
                row.note_mark.clone_from(&other.note_mark);
            }),
        ),
        ("text alone", row(|row, other| row.text.clone_from(&other.text))),
        ("note alone", row(|row, other| row.note.clone_from(&other.note))),
        (
            "both bodies",
            row(|row, other| {
                row.text.clone_from(&other.text);
                row.note.clone_from(&other.note);
            }),
        ),
        ("the text's mark alone", row(|row, other| row.text_mark.clone_from(&other.text_mark))),
        ("the note's mark alone", row(|row, other| row.note_mark.clone_from(&other.note_mark))),
        (
            "both marks",
            row(|row, other| {
                row.text_mark.clone_from(&other.text_mark);
                row.note_mark.clone_from(&other.note_mark);
            }),
        ),
    ]
}

/// Every manipulation of one row, with full knowledge of the past.
fn deeds(forgery: &Forgery) -> Vec<Deed> {
    let [ours, theirs] = &forgery.vaults;
    let mut deeds = Vec::new();
    let name = |row: &FileRow| row.id.last().copied().unwrap_or_default();
    for there in ours {
        deeds.push(Deed {
            what: format!("row {} is dropped", name(there)),
            put: Vec::new(),
            drop: vec![there.clone()],
        });
        let older = forgery.past.iter().enumerate().flat_map(|(age, rows)| {
            rows.iter()
                .filter(|row| row.id == there.id && *row != there)
                .map(move |row| (format!("of state {age}"), row))
        });
        let elsewhere = ours.iter().filter(|row| row.id != there.id).map(|row| ("of another id".to_owned(), row));
        let foreign = theirs.iter().map(|row| ("of another account".to_owned(), row));
        for (from, other) in older.chain(elsewhere).chain(foreign) {
            for (part, row) in mixtures(there, other) {
                if row != *there {
                    deeds.push(Deed::put(format!("row {}: {part} {from}", name(there)), row));
                }
            }
        }
        // To an id that the vault does not have, and to another account: a copy, or the row itself.
        let moved = FileRow { id: id(77).0.to_vec(), ..there.clone() };
        let abroad = FileRow { partition: theirs[0].partition.clone(), ..there.clone() };
        for (place, row) in [("a new id", moved), ("another account", abroad)] {
            deeds.push(Deed::put(format!("row {} is copied to {place}", name(there)), row.clone()));
            let what = format!("row {} is moved to {place}", name(there));
            deeds.push(Deed { what, put: vec![row], drop: vec![there.clone()] });
        }
    }
    // Deleted rows are put back.
    for (age, rows) in forgery.past.iter().enumerate() {
        for row in rows.iter().filter(|row| ours.iter().all(|there| there.id != row.id)) {
            deeds.push(Deed::put(format!("the deleted row {} of state {age} comes back", name(row)), row.clone()));
        }
    }
    deeds
}

fn marks(rows: &[FileRow]) -> BTreeSet<[&[u8]; 3]> {
    rows.iter().map(|row| [&row.id[..], &row.text_mark, &row.note_mark]).collect()
}

fn is_damage<T: std::fmt::Debug>(result: Result<T, VaultError>, what: &str) {
    let error = result.expect_err(what);
    assert!(error.is_damage(), "{what}: {error:?}");
}

/// Every use of a vault whose rows are not those of its head is denied.
async fn denies_everything(vaults: &Vaults, world: &World, what: &str) {
    let account = &world.account;
    is_damage(vaults.read(account, Which::All).await, what);
    is_damage(vaults.manifest(account).await, what);
    let sent = body([(id(0), text(9, 9))]);
    is_damage(vaults.plan(account, &submission(&sent), None).await, what);
    is_damage(vaults.swap(account, &submission(&sent), None, &[], |_| Ok(())).await, what);
    for number in [0, 1, 5, 77] {
        let ids = [id(number)];
        is_damage(vaults.read(account, Which::Ids { ids: &ids, with_marks: false }).await, what);
        is_damage(vaults.existing(account, &ids).await, what);
        let new = text(2, 2);
        let edit = Edit::new(vec![put(ids[0], &new, "")], Vec::new());
        is_damage(vaults.edit(account, &edit, world.key_epoch().await).await, what);
    }
}

/// If bodies of a vault were altered under their marks, every operation that opens them is denied:
/// reads, and edits of these ciphers, which would overwrite them unseen.
async fn denies_reads(vaults: &Vaults, world: &World, altered: &[CipherId], what: &str) {
    let error = vaults.read(&world.account, Which::All).await.expect_err(what);
    assert!(matches!(error, VaultError::Open(id) if altered.contains(&id)), "{what}: {error:?}");
    for id in altered {
        is_damage(vaults.read(&world.account, Which::Ids { ids: &[*id], with_marks: false }).await, what);
        is_damage(vaults.existing(&world.account, &[*id]).await, what);
        let new = text(2, 2);
        for edit in [Edit::new(vec![put(*id, &new, "")], Vec::new()), Edit::new(Vec::new(), vec![*id])] {
            is_damage(vaults.edit(&world.account, &edit, world.key_epoch().await).await, what);
        }
    }
}

#[tokio::test]
async fn every_row_that_is_put_back_moved_dropped_or_added_is_noticed() {
    let forgery = forgery().await;
    let deeds = deeds(&forgery);
    assert!(deeds.len() > 500, "{} deeds", deeds.len());
    let world = forgery.forger.world();
    for (number, deed) in deeds.iter().enumerate() {
        // Each is in an hour of its own.
        world.clock.set(world.at(4_000 * u64::try_from(number).unwrap()));
        deed.commit(&forgery.forger);
        let mut noticed = 0;
        for (account, good) in accounts().iter().zip(&forgery.vaults) {
            let world = of(&world, account);
            let vaults = world.server();
            let tampered = forgery.forger.rows(account);
            if tampered == *good {
                world.check().await;
                continue;
            }
            noticed += 1;
            let alarms = world.damage.damages();
            if marks(&tampered) == marks(good) {
                let altered = good.iter().zip(&tampered).filter(|(good, tampered)| good != tampered);
                let altered: Vec<_> = altered.map(|(row, _)| CipherId(row.id.clone().try_into().unwrap())).collect();
                denies_reads(&vaults, &world, &altered, &deed.what).await;
            } else {
                denies_everything(&vaults, &world, &deed.what).await;
            }
            assert!(world.damage.damages() >= alarms + 2, "{}: the operator is told each time", deed.what);
            assert_eq!(world.told_now(&VAULT_DAMAGED).await, 1, "{}: once", deed.what);
            assert_eq!(forgery.forger.rows(account), tampered, "{}: nothing is repaired", deed.what);
        }
        assert!(noticed > 0, "{}", deed.what);
        deed.undo(&forgery.forger, &forgery);
    }
    for account in &accounts() {
        of(&world, account).check().await;
    }
}

/// Rows are put back, dropped or added between the check of a submission and its commit.
#[tokio::test]
async fn what_happens_between_check_and_commit_is_noticed_too() {
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register(4).await;
    let old = forger.rows(&world.account);
    let note = Edit::new(Vec::new(), vec![id(3)]);
    assert!(matches!(
        vaults.edit(&world.account, &note, world.key_epoch().await).await.unwrap(),
        EditOutcome::Done { .. }
    ));
    assert!(matches!(edit(&world, &[(0, "second"), (1, "second")], &[], 1).await, EditOutcome::Done { .. }));
    let good = forger.rows(&world.account);
    for what in ["an old note", "a dropped row", "a row that comes back"] {
        let sealed = match world.sealed(&vaults, 2).await {
            sealed if sealed.len() == 3 => sealed,
            other => panic!("{other:?}"),
        };
        match what {
            "an old note" => {
                let (note, note_mark) = (old[0].note.clone(), old[0].note_mark.clone());
                forger.put(&FileRow { note, note_mark, ..good[0].clone() });
            }
            "a dropped row" => forger.drop_row(&good[1]),
            _ => forger.put(&old[3]),
        }
        let step = |draft: &mut Draft<'_>| vaults.steps().swap_in(draft, &sealed);
        let swapped = vaults.driver().transact(&world.partition(), &[], step).await;
        // The store checks the cover; a note is not read, and is left unchanged.
        let done = matches!(swapped, Ok(SwapOutcome::Done { .. }));
        assert_eq!(done, what == "an old note", "{what}: {swapped:?}");
        is_damage(vaults.read(&world.account, Which::All).await, what);
        is_damage(vaults.plan(&world.account, &submission(&body([])), None).await, what);
        if done {
            // The texts are new; with the original note the vault is complete.
            let (note, note_mark) = (good[0].note.clone(), good[0].note_mark.clone());
            forger.put(&FileRow { note, note_mark, ..forger.rows(&world.account)[0].clone() });
            assert!(vaults.read(&world.account, Which::All).await.is_ok());
            continue;
        }
        forger.rows(&world.account).iter().filter(|row| row.id == id(3).0).for_each(|row| forger.drop_row(row));
        break;
    }
}

/// In a large vault, reads and edits of single ciphers leave the comparison to the next full read.
/// An edit never makes a damaged vault valid.
#[tokio::test]
async fn in_a_large_vault_an_edit_does_not_repair_what_it_did_not_see() {
    for what in ["replaced", "beside", "dropped", "added"] {
        let forger = Forger::new();
        let world = forger.world();
        let policy = VaultPolicy::builder().checked_with_single_reads(2).build().unwrap();
        let vaults = world.register_with(policy, 4).await;
        let old = forger.rows(&world.account);
        assert!(matches!(edit(&world, &[(0, "second")], &[], 1).await, EditOutcome::Done { .. }));
        match what {
            "dropped" => forger.drop_row(&old[0]),
            "added" => forger.put(&FileRow { id: id(9).0.to_vec(), ..old[1].clone() }),
            _ => forger.put(&old[0]),
        }
        let number = if what == "beside" { 1 } else { 0 };
        let (ids, new) = ([id(number)], text(1, 4));
        assert!(vaults.read(&world.account, Which::Ids { ids: &ids, with_marks: false }).await.is_ok(), "{what}");
        let change = Edit::new(vec![put(ids[0], &new, "third")], vec![id(9)]);
        let edited = vaults.edit(&world.account, &change, world.key_epoch().await).await;
        if what == "added" {
            // The row to be deleted does not open in its place.
            is_damage(edited, what);
        } else {
            assert!(matches!(edited, Ok(EditOutcome::Done { .. })), "{what}: {edited:?}");
        }
        is_damage(vaults.read(&world.account, Which::All).await, what);
        is_damage(vaults.read(&world.account, Which::Ids { ids: &ids, with_marks: true }).await, what);
        is_damage(vaults.manifest(&world.account).await, what);
        // A server whose policy requires the comparison denies immediately.
        is_damage(world.server().existing(&world.account, &ids).await, what);
    }
}

/// A body is altered under its mark, where nothing else is compared: an edit is denied, and the
/// head's count of bytes is unchanged.
#[tokio::test]
async fn in_a_large_vault_an_edit_overwrites_nothing_that_was_altered() {
    let forger = Forger::new();
    let world = forger.world();
    let vaults = world.register_with(VaultPolicy::builder().checked_with_single_reads(2).build().unwrap(), 4).await;
    let good = forger.rows(&world.account);
    let altered = |change: fn(&mut FileRow)| {
        let mut row = good[0].clone();
        change(&mut row);
        row
    };
    let new = text(1, 4);
    let edits = || [Edit::new(vec![put(id(0), &new, "")], Vec::new()), Edit::new(Vec::new(), vec![id(0)])];
    for row in [
        altered(|row| row.text.extend_from_slice(&[0; 1_000])),
        altered(|row| row.text.truncate(10)),
        altered(|row| *row.text.last_mut().unwrap() ^= 1),
        altered(|row| row.note.push(0)),
    ] {
        forger.put(&row);
        for edit in edits() {
            let edited = vaults.edit(&world.account, &edit, world.key_epoch().await).await;
            assert!(matches!(edited, Err(VaultError::Open(broken)) if broken == id(0)), "{edited:?}");
        }
        // It does not detect damage in what it does not read.
        let beside = Edit::new(vec![put(id(1), &new, "")], Vec::new());
        assert!(matches!(
            vaults.edit(&world.account, &beside, world.key_epoch().await).await.unwrap(),
            EditOutcome::Done { count: 4, .. }
        ));
        assert_eq!(forger.rows(&world.account)[0], row);
        forger.put(&good[0]);
    }
    for edit in edits() {
        assert!(matches!(
            vaults.edit(&world.account, &edit, world.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
    }
    world.check().await;
}
