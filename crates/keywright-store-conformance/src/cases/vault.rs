//! The vault: edits, reads, and what an erase and a conflict do to it.

use std::sync::Arc;

use keywright_store::{CipherId, Mark, Revision, Row, RowMarks, VaultWrite, Which, Write};

use super::loads::odd_bodies;
use crate::backend::Handles;
use crate::site::{LONG_AGO, Site, Watch, checked, draw, edit, next, put, row, slot, stage_id, together, vault};
use crate::violation::{Violation, holds};

pub(super) fn marks(rows: &[Row]) -> Vec<RowMarks> {
    rows.iter().map(|row| row.marks).collect()
}

/// An edit inserts, replaces and deletes, and does nothing else. Deleting an absent row is not an
/// error. Notes and marks are written with the texts.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn vault_edits_apply(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let root = site.land(Some(root), vault(edit([1, 2, 3].map(|id| row(id, 1, "a")).to_vec()))?).await?;
    let delete = vec![CipherId([2; 16]), CipherId([77; 16])];
    let write = VaultWrite::Edit { put: vec![row(4, 2, "b"), row(3, 2, "b")], delete };
    let root = site.land(Some(root), vault(write)?).await?;
    let right = vec![row(1, 1, "a"), row(3, 2, "b"), row(4, 2, "b")];
    let seen = site.rows().await?;
    holds!(seen == right, Vault, "after an edit, the vault holds {seen:?}");
    let twice = site.batch(Some(root), vault(edit(vec![row(5, 1, "a"), row(5, 2, "b")]))?)?;
    holds!(site.is_refused(twice, true).await?, Vault, "an edit that puts one id twice was applied");
    holds!(site.rows().await? == right, AllOrNothing, "a refused edit changed the vault");
    holds!(site.root().await? == Some(root), AllOrNothing, "a refused edit moved the root");
    // A note alone: its mark and bytes change, and the text's stay.
    let noted =
        Row { note: "other".into(), marks: RowMarks { note: Mark([9; 16]), ..row(1, 1, "a").marks }, ..row(1, 1, "a") };
    site.land(Some(root), vault(edit(vec![noted.clone()]))?).await?;
    let seen = site.rows().await?;
    holds!(seen.first() == Some(&noted), Notes, "an edit of a note left {seen:?}");
    Ok(())
}

/// Manifest and read are sorted by id and agree. A request for some ids returns those that exist,
/// with the marks of all rows if requested. A missing vault is an empty one.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn vault_reads_are_sorted(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    holds!(site.rows().await?.is_empty(), Vault, "no vault has rows");
    let shuffled = [200, 3, 0x80, 1, 0x7f, 0, 0xff].map(|id| row(id, id, vec![id])).to_vec();
    let root = site.land(Some(root), vault(edit(shuffled.clone()))?).await?;
    let mut sorted = shuffled;
    sorted.sort_by_key(Row::id);
    let all = site.read(Which::All).await?;
    holds!(all.rows == sorted, Vault, "a read of all gives {all:?}");
    let manifest = store.needs_vault(0)?.manifest(&site.account).await?;
    holds!(manifest.rows == marks(&sorted), Vault, "the manifest lists {:?}", manifest.rows);
    holds!(manifest.root == Some(root), Vault, "the manifest has the root {:?}", manifest.root);
    let ids = [0xff, 2, 1, 0x80].map(|id| CipherId([id; 16]));
    for with_marks in [false, true] {
        let some = site.read(Which::Ids { ids: &ids, with_marks }).await?;
        let right = [1, 0x80, 0xff].map(|id| row(id, id, vec![id]));
        holds!(some.rows == right, Vault, "of four ids, one unknown, a read gives {some:?}");
        holds!(some.root == Some(root), Vault, "a read of ids has the root {:?}", some.root);
        let right = with_marks.then(|| marks(&sorted));
        holds!(some.marks == right, Vault, "a read of ids (with marks: {with_marks}) has the marks {:?}", some.marks);
        let none = site.read(Which::Ids { ids: &[], with_marks }).await?;
        holds!(none.rows.is_empty(), Vault, "a read of no ids gives {none:?}");
        holds!(none.marks == right, Vault, "a read of no ids (with marks: {with_marks}) has other marks");
    }
    Ok(())
}

/// A vault's rows are returned byte for byte, texts and notes, after an edit, a swap and the
/// promotion of a stage.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn vault_bodies_survive(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let rows = |mark| -> Vec<Row> {
        let odd = (0..).zip(odd_bodies());
        odd.map(|(id, body)| Row { note: body.iter().rev().copied().collect(), ..row(id, mark, body) }).collect()
    };
    let root = site.land(Some(root), vault(edit(rows(1)))?).await?;
    holds!(site.rows().await? == rows(1), Bytes, "rows of an edit came back changed");
    let root = site.land(Some(root), vault(VaultWrite::Swap { rows: rows(2) })?).await?;
    holds!(site.rows().await? == rows(2), Bytes, "rows of a swap came back changed");
    site.stage(7, rows(3), LONG_AGO).await?;
    let promote = VaultWrite::Promote { stage: stage_id(7), rows: checked(&rows(3)) };
    site.land(Some(root), vault(promote)?).await?;
    holds!(site.rows().await? == rows(3), Bytes, "rows of a stage came back changed");
    Ok(())
}

/// A vault's rows, whose mark is the first byte of the root that they were written with.
fn generation(revision: Revision) -> Vec<Row> {
    let [first, ..] = revision.to_bytes();
    (0..WATCHED).map(|id| row(id, first, vec![first; 40])).collect()
}

const WATCHED: u8 = 24;

/// A writer puts all rows again with each root. No manifest and no read through the other handle,
/// whether of the whole vault or of some ids with all marks, shows the rows of one state with the
/// root of another.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn vault_reads_carry_their_root(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let watch = Arc::new(Watch::default());
    let first = next()?;
    let rows = generation(first.revision);
    let root = site.land(None, Write { vault: Some(edit(rows)), ..first }).await?;
    together(4, |number| {
        let (site, watch) = (site.clone(), Arc::clone(&watch));
        async move {
            if number == 0 {
                let result = rewrite_often(&site, root, &watch).await;
                watch.end();
                return result;
            }
            while watch.look() {
                look(&site, number).await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

async fn rewrite_often(site: &Site, mut root: Revision, watch: &Watch) -> Result<(), Violation> {
    for round in 0..u32::MAX {
        if round >= 60 && watch.looks() >= 200 {
            break;
        }
        let write = next()?;
        let rows = generation(write.revision);
        // Alternates between an edit and a swap.
        let change = if round % 2 == 0 { edit(rows) } else { VaultWrite::Swap { rows } };
        root = site.land(Some(root), Write { vault: Some(change), ..write }).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn look(site: &Site, handle: usize) -> Result<(), Violation> {
    let vault = site.handles.needs_vault(handle)?;
    let expected = |root: Option<Revision>| root.map(generation).unwrap_or_default();
    let manifest = vault.manifest(&site.account).await?;
    let right = marks(&expected(manifest.root));
    holds!(manifest.rows == right, Snapshot, "a manifest shows rows that were never there with its root");
    let all = vault.read(&site.account, Which::All).await?;
    holds!(all.rows == expected(all.root), Snapshot, "a read shows rows that were never there with its root");
    let ids = [CipherId([3; 16])];
    let one = vault.read(&site.account, Which::Ids { ids: &ids, with_marks: true }).await?;
    let generation = expected(one.root);
    let own = one.rows.first() == generation.get(3) && one.marks == Some(marks(&generation));
    holds!(own, Snapshot, "a read of one row shows marks that were never there with its root");
    Ok(())
}

/// A conflict leaves the vault as it was, whether the root's guard fails or the cover of a swap.
/// The rest of such a batch is not applied either.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn vault_conflict_writes_nothing(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let root = site.land(Some(root), vault(edit(vec![row(1, 1, "a"), row(2, 1, "b")]))?).await?;
    let before = (site.rows().await?, site.load(&[slot(1)]).await?);
    let swap = || VaultWrite::Swap { rows: vec![row(1, 9, "x"), row(2, 9, "y")] };
    let uncovered = || VaultWrite::Swap { rows: vec![row(1, 9, "x")] };
    let unknown = VaultWrite::Promote { stage: stage_id(1), rows: checked(&before.0) };
    let refused = [
        (Some(draw()?), edit(vec![row(1, 9, "x")])),
        (None, swap()),
        (Some(draw()?), swap()),
        (Some(root), uncovered()),
        (Some(root), unknown),
    ];
    for (number, (expect, change)) in refused.into_iter().enumerate() {
        let write = Write { put: vec![put(slot(1), "x")], events: vec![crate::site::event(1)], ..vault(change)? };
        let landed = site.commit(expect, write).await?;
        holds!(!landed, Guard, "vault batch {number} was applied");
        let after = (site.rows().await?, site.load(&[slot(1)]).await?);
        holds!(after == before, AllOrNothing, "the conflict of vault batch {number} changed something");
    }
    Ok(())
}

/// An erase drops the ciphers and the stages. A vault edit in the same batch starts with an empty
/// vault. Other accounts keep theirs.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn erase_drops_the_vault(store: Handles) -> Result<(), Violation> {
    let filled = async || -> Result<(Site, Revision), Violation> {
        let (site, root) = Site::made(&store).await?;
        let rows = vec![row(1, 1, "a"), row(2, 1, "b")];
        let root = site.land(Some(root), vault(edit(rows.clone()))?).await?;
        site.stage(1, rows, LONG_AGO).await?;
        Ok((site, root))
    };
    let (other, _) = filled().await?;
    for change in [None, Some(edit(vec![row(9, 9, "new")]))] {
        let (site, root) = filled().await?;
        let right = if change.is_some() { vec![row(9, 9, "new")] } else { Vec::new() };
        site.land(Some(root), Write { erase: true, vault: change, ..next()? }).await?;
        let left = site.rows().await?;
        holds!(left == right, Erase, "after an erase, the vault holds {left:?}");
        let manifest = store.needs_vault(1)?.manifest(&site.account).await?.rows.len();
        holds!(manifest == right.len(), Erase, "after an erase, the manifest lists {manifest} rows");
        let staged = site.staged(1).await?;
        holds!(staged.is_empty(), Erase, "{} staged rows outlived an erase", staged.len());
    }
    let kept = (other.rows().await?.len(), other.staged(1).await?.len());
    holds!(kept == (2, 2), Partitions, "an erase left another account {kept:?} of 2 ciphers and 2 staged rows");
    Ok(())
}
