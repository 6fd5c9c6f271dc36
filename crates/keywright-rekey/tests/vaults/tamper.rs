//! Every single-row rollback, move, drop and insert over a populated vault and its stages: noticed at the next use, by a
//! server that goes on, and never repaired without a word.

use std::collections::BTreeSet;

use keywright_core::AccountId;
use keywright_rekey::events::VAULT_DAMAGED;
use keywright_rekey::{Edit, EditOutcome, Swap, SwapOutcome, VaultError, VaultPolicy, Vaults};
use keywright_store::{CipherId, Draft, Which};

use crate::forger::{FileRow, Forger};
use crate::site::{Site, body, id, put, submission, text};

/// Two accounts with a history.
struct World {
    forger: Forger,
    /// Of the first account, oldest first: what its vault has been.
    past: Vec<Vec<FileRow>>,
    /// The vaults of the two accounts as they are.
    vaults: [Vec<FileRow>; 2],
}

fn accounts() -> [AccountId; 2] {
    ["user-1", "user-2"].map(|name| AccountId::new(name).unwrap())
}

fn of(site: &Site, account: &AccountId) -> Site {
    Site { account: account.clone(), ..site.clone() }
}

async fn edit(site: &Site, puts: &[(u32, &str)], deletes: &[u32], generation: u32) -> EditOutcome {
    let texts: Vec<String> = puts.iter().map(|_| text(generation, 1)).collect();
    let put = puts.iter().zip(&texts).map(|((number, note), text)| put(id(*number), text, note)).collect();
    let delete = deletes.iter().map(|&number| id(number)).collect();
    let vaults = site.server();
    vaults.edit(&site.account, &Edit::new(put, delete), site.key_epoch().await).await.unwrap()
}

/// Six ciphers, replaced, deleted, inserted, swapped, and edited again.
async fn world() -> World {
    let forger = Forger::new();
    let site = forger.site();
    let [ours, theirs] = accounts();
    let vaults = site.register(6).await;
    let mut past = vec![forger.rows(&ours)];
    assert!(matches!(edit(&site, &[(0, "note 0"), (6, "new")], &[5], 1).await, EditOutcome::Done { count: 6, .. }));
    past.push(forger.rows(&ours));
    assert!(matches!(site.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    past.push(forger.rows(&ours));
    assert!(matches!(edit(&site, &[(0, "third"), (1, "second")], &[], 2).await, EditOutcome::Done { .. }));
    past.push(forger.rows(&ours));
    let other = of(&site, &theirs);
    other.register(6).await;
    assert!(matches!(other.change(&vaults, 2).await.unwrap(), Swap::Done { .. }));
    let vaults = [forger.rows(&ours), forger.rows(&theirs)];
    World { forger, past, vaults }
}

/// One thing that somebody did to the file, in words and as rows to write and to drop.
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

    fn undo(&self, forger: &Forger, world: &World) {
        let all = || world.vaults.iter().flatten();
        for put in &self.put {
            if !all().any(|row| (&row.partition, &row.id) == (&put.partition, &put.id)) {
                forger.drop_row(put);
            }
        }
        all().for_each(|row| forger.put(row));
    }
}

/// Every way to put parts of one row in the place of another's.
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

/// Everything that can be done with one row, whatever is known of the past.
fn deeds(world: &World) -> Vec<Deed> {
    let [ours, theirs] = &world.vaults;
    let mut deeds = Vec::new();
    let name = |row: &FileRow| row.id.last().copied().unwrap_or_default();
    for there in ours {
        deeds.push(Deed {
            what: format!("row {} is dropped", name(there)),
            put: Vec::new(),
            drop: vec![there.clone()],
        });
        let older = world.past.iter().enumerate().flat_map(|(age, rows)| {
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
        // To an id that the vault has not, and to another account: a copy, or the row itself.
        let moved = FileRow { id: id(77).0.to_vec(), ..there.clone() };
        let abroad = FileRow { partition: theirs[0].partition.clone(), ..there.clone() };
        for (place, row) in [("a new id", moved), ("another account", abroad)] {
            deeds.push(Deed::put(format!("row {} is copied to {place}", name(there)), row.clone()));
            let what = format!("row {} is moved to {place}", name(there));
            deeds.push(Deed { what, put: vec![row], drop: vec![there.clone()] });
        }
    }
    // What was deleted comes back.
    for (age, rows) in world.past.iter().enumerate() {
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

/// Every use of a vault whose rows are not those of its head denies.
async fn denies_everything(vaults: &Vaults, site: &Site, what: &str) {
    let account = &site.account;
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
        is_damage(vaults.edit(account, &edit, site.key_epoch().await).await, what);
    }
}

/// Of a vault whose bodies were altered under their marks, what opens them denies: reads, and edits of these ciphers, which
/// would overwrite them unseen.
async fn denies_reads(vaults: &Vaults, site: &Site, altered: &[CipherId], what: &str) {
    let error = vaults.read(&site.account, Which::All).await.expect_err(what);
    assert!(matches!(error, VaultError::Open(id) if altered.contains(&id)), "{what}: {error:?}");
    for id in altered {
        is_damage(vaults.read(&site.account, Which::Ids { ids: &[*id], with_marks: false }).await, what);
        is_damage(vaults.existing(&site.account, &[*id]).await, what);
        let new = text(2, 2);
        for edit in [Edit::new(vec![put(*id, &new, "")], Vec::new()), Edit::new(Vec::new(), vec![*id])] {
            is_damage(vaults.edit(&site.account, &edit, site.key_epoch().await).await, what);
        }
    }
}

#[tokio::test]
async fn every_row_that_is_put_back_moved_dropped_or_added_is_noticed() {
    let world = world().await;
    let deeds = deeds(&world);
    assert!(deeds.len() > 500, "{} deeds", deeds.len());
    let site = world.forger.site();
    for (number, deed) in deeds.iter().enumerate() {
        // Each in an hour of its own.
        site.clock.set(site.at(4_000 * u64::try_from(number).unwrap()));
        deed.commit(&world.forger);
        let mut noticed = 0;
        for (account, good) in accounts().iter().zip(&world.vaults) {
            let site = of(&site, account);
            let vaults = site.server();
            let tampered = world.forger.rows(account);
            if tampered == *good {
                site.check().await;
                continue;
            }
            noticed += 1;
            let alarms = site.damage.count();
            if marks(&tampered) == marks(good) {
                let altered = good.iter().zip(&tampered).filter(|(good, tampered)| good != tampered);
                let altered: Vec<_> = altered.map(|(row, _)| CipherId(row.id.clone().try_into().unwrap())).collect();
                denies_reads(&vaults, &site, &altered, &deed.what).await;
            } else {
                denies_everything(&vaults, &site, &deed.what).await;
            }
            assert!(site.damage.count() >= alarms + 2, "{}: the operator is told each time", deed.what);
            assert_eq!(site.told_now(&VAULT_DAMAGED).await, 1, "{}: once", deed.what);
            assert_eq!(world.forger.rows(account), tampered, "{}: nothing is repaired", deed.what);
        }
        assert!(noticed > 0, "{}", deed.what);
        deed.undo(&world.forger, &world);
    }
    for account in &accounts() {
        of(&site, account).check().await;
    }
}

/// Rows are put back, dropped or added between the check of a submission and its commit.
#[tokio::test]
async fn what_happens_between_check_and_commit_is_noticed_too() {
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register(4).await;
    let old = forger.rows(&site.account);
    let note = Edit::new(Vec::new(), vec![id(3)]);
    assert!(matches!(
        vaults.edit(&site.account, &note, site.key_epoch().await).await.unwrap(),
        EditOutcome::Done { .. }
    ));
    assert!(matches!(edit(&site, &[(0, "second"), (1, "second")], &[], 1).await, EditOutcome::Done { .. }));
    let good = forger.rows(&site.account);
    for what in ["an old note", "a dropped row", "a row that comes back"] {
        let sealed = match site.sealed(&vaults, 2).await {
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
        let swapped = vaults.driver().transact(&site.partition(), &[], step).await;
        // The cover is the store's to check; a note is not looked at, and stays.
        let done = matches!(swapped, Ok(SwapOutcome::Done { .. }));
        assert_eq!(done, what == "an old note", "{what}: {swapped:?}");
        is_damage(vaults.read(&site.account, Which::All).await, what);
        is_damage(vaults.plan(&site.account, &submission(&body([])), None).await, what);
        if done {
            // The texts are new; with the note that was there the vault is whole.
            let (note, note_mark) = (good[0].note.clone(), good[0].note_mark.clone());
            forger.put(&FileRow { note, note_mark, ..forger.rows(&site.account)[0].clone() });
            assert!(vaults.read(&site.account, Which::All).await.is_ok());
            continue;
        }
        forger.rows(&site.account).iter().filter(|row| row.id == id(3).0).for_each(|row| forger.drop_row(row));
        break;
    }
}

/// In a large vault single reads and edits leave the comparison to the next full read. An edit there never makes it good.
#[tokio::test]
async fn in_a_large_vault_an_edit_does_not_repair_what_it_did_not_see() {
    for what in ["replaced", "beside", "dropped", "added"] {
        let forger = Forger::new();
        let site = forger.site();
        let policy = VaultPolicy::default().with_checked_single_reads(2);
        let vaults = site.register_with(policy, 4).await;
        let old = forger.rows(&site.account);
        assert!(matches!(edit(&site, &[(0, "second")], &[], 1).await, EditOutcome::Done { .. }));
        match what {
            "dropped" => forger.drop_row(&old[0]),
            "added" => forger.put(&FileRow { id: id(9).0.to_vec(), ..old[1].clone() }),
            _ => forger.put(&old[0]),
        }
        let number = if what == "beside" { 1 } else { 0 };
        let (ids, new) = ([id(number)], text(1, 4));
        assert!(vaults.read(&site.account, Which::Ids { ids: &ids, with_marks: false }).await.is_ok(), "{what}");
        let change = Edit::new(vec![put(ids[0], &new, "third")], vec![id(9)]);
        let edited = vaults.edit(&site.account, &change, site.key_epoch().await).await;
        if what == "added" {
            // The row that it is to delete does not open in its place.
            is_damage(edited, what);
        } else {
            assert!(matches!(edited, Ok(EditOutcome::Done { .. })), "{what}: {edited:?}");
        }
        is_damage(vaults.read(&site.account, Which::All).await, what);
        is_damage(vaults.read(&site.account, Which::Ids { ids: &ids, with_marks: true }).await, what);
        is_damage(vaults.manifest(&site.account).await, what);
        // A server whose policy compares more denies at once.
        is_damage(site.server().existing(&site.account, &ids).await, what);
    }
}

/// A body that was altered under its mark, where nothing else is compared: an edit denies, and the head's count of bytes
/// stays what it was.
#[tokio::test]
async fn in_a_large_vault_an_edit_overwrites_nothing_that_was_altered() {
    let forger = Forger::new();
    let site = forger.site();
    let vaults = site.register_with(VaultPolicy::default().with_checked_single_reads(2), 4).await;
    let good = forger.rows(&site.account);
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
            let edited = vaults.edit(&site.account, &edit, site.key_epoch().await).await;
            assert!(matches!(edited, Err(VaultError::Open(broken)) if broken == id(0)), "{edited:?}");
        }
        // What it does not touch, it does not see.
        let beside = Edit::new(vec![put(id(1), &new, "")], Vec::new());
        assert!(matches!(
            vaults.edit(&site.account, &beside, site.key_epoch().await).await.unwrap(),
            EditOutcome::Done { count: 4, .. }
        ));
        assert_eq!(forger.rows(&site.account)[0], row);
        forger.put(&good[0]);
    }
    for edit in edits() {
        assert!(matches!(
            vaults.edit(&site.account, &edit, site.key_epoch().await).await.unwrap(),
            EditOutcome::Done { .. }
        ));
    }
    site.check().await;
}
