//! Swaps cover the vault exactly, leave notes alone, and are never seen half done.

use std::sync::Arc;

use keywright_store::{CipherId, ClientNonce, Mark, Revision, Row, RowMarks, VaultWrite, Which};

use crate::backend::Handles;
use crate::site::{LONG_AGO, Site, Watch, checked, edit, next, row, stage_id, together, vault};
use crate::violation::{Violation, holds};

/// A swap is applied exactly if its ids are those that the account has: none missing, none extra,
/// none twice. A refused swap changes nothing.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn swap_covers_exactly(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let old = [1, 2, 3].map(|id| row(id, 1, "old")).to_vec();
    let root = site.land(Some(root), vault(edit(old.clone()))?).await?;
    // An id of another account counts as unknown.
    let (other, other_root) = Site::made(&store).await?;
    other.land(Some(other_root), vault(edit(vec![row(9, 1, "foreign")]))?).await?;
    for ids in [&[1, 2][..], &[], &[1, 2, 3, 4], &[1, 2, 9], &[1, 2, 2], &[1, 2, 3, 3], &[4, 5, 6]] {
        let rows: Vec<Row> = ids.iter().map(|&id| row(id, 2, "new")).collect();
        let twice = (1..ids.len()).any(|end| ids.iter().skip(end).any(|id| ids.iter().take(end).any(|had| had == id)));
        let batch = site.batch(Some(root), vault(VaultWrite::Swap { rows })?)?;
        let refused = site.is_refused(batch, twice).await?;
        holds!(refused, ExactCover, "a swap of {ids:?} over [1, 2, 3] was applied");
        let seen = site.rows().await?;
        holds!(seen == old, ExactCover, "the refused swap of {ids:?} left {seen:?}");
        holds!(site.root().await? == Some(root), AllOrNothing, "a refused swap moved the root");
    }
    let new = [3, 1, 2].map(|id| row(id, 2, "new")).to_vec();
    let root = site.land(Some(root), vault(VaultWrite::Swap { rows: new })?).await?;
    let seen = site.rows().await?;
    holds!(seen == [1, 2, 3].map(|id| row(id, 2, "new")), Vault, "a swap left {seen:?}");
    holds!(other.rows().await? == [row(9, 1, "foreign")], Partitions, "a swap changed another account's vault");
    // An empty vault is covered by an empty swap.
    let delete = [1, 2, 3].map(|id| CipherId([id; 16])).to_vec();
    let root = site.land(Some(root), vault(VaultWrite::Edit { put: Vec::new(), delete })?).await?;
    site.land(Some(root), vault(VaultWrite::Swap { rows: Vec::new() })?).await?;
    Ok(())
}

/// Only edits write an application's note beside a cipher, and the note's mark. A swap and a
/// promotion leave the existing notes, whatever their own rows contain. The text, its mark and the
/// nonce change.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn notes_outlive_a_swap(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let noted = |text: u8, note: u8| Row {
        marks: RowMarks {
            id: CipherId([1; 16]),
            text: Mark([text; 16]),
            note: Mark([note; 16]),
            nonce: ClientNonce([text; 16]),
        },
        text: vec![text].into(),
        note: vec![note].into(),
    };
    let root = site.land(Some(root), vault(edit(vec![noted(1, 1)]))?).await?;
    let root = site.land(Some(root), vault(edit(vec![noted(2, 2)]))?).await?;
    let seen = site.rows().await?;
    holds!(seen == [noted(2, 2)], Notes, "after an edit, the vault holds {seen:?}");
    let root = site.land(Some(root), vault(VaultWrite::Swap { rows: vec![noted(3, 3)] })?).await?;
    let seen = site.rows().await?;
    holds!(seen == [noted(3, 2)], Notes, "after a swap, the vault holds {seen:?}");
    site.stage(1, vec![noted(4, 4)], LONG_AGO).await?;
    let promote = VaultWrite::Promote { stage: stage_id(1), rows: checked(&[noted(4, 4)]) };
    site.land(Some(root), vault(promote)?).await?;
    let ids = [CipherId([1; 16])];
    let seen = site.read(Which::Ids { ids: &ids, with_marks: true }).await?;
    holds!(seen.rows == [noted(4, 2)], Notes, "after a promotion, the vault holds {:?}", seen.rows);
    holds!(seen.marks == Some(vec![noted(4, 2).marks]), Notes, "after a promotion, the marks are {:?}", seen.marks);
    Ok(())
}

/// How many ciphers the readers watch.
const WATCHED: u16 = 400;

fn generation(number: u8) -> Vec<Row> {
    let id = |n: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        CipherId(id)
    };
    let marks =
        |n| RowMarks { id: id(n), text: Mark([number; 16]), note: Mark([7; 16]), nonce: ClientNonce([number; 16]) };
    (0..WATCHED).map(|n| Row { marks: marks(n), text: vec![number; 40].into(), note: bytes::Bytes::new() }).collect()
}

/// Readers watch through both handles while a vault is swapped again and again, every third time by
/// a promotion. In each manifest and each read, they see one whole generation.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn swap_is_never_seen_half(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let root = site.land(Some(root), vault(edit(generation(0)))?).await?;
    let watch = Arc::new(Watch::default());
    together(4, |number| {
        let (site, watch) = (site.clone(), Arc::clone(&watch));
        async move {
            if number == 0 {
                let result = swap_often(&site, root, &watch).await;
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

async fn swap_often(site: &Site, mut root: Revision, watch: &Watch) -> Result<(), Violation> {
    for (round, number) in (0_u32..).zip((1..=u8::MAX).cycle()) {
        if round >= 24 && watch.looks() >= 100 {
            break;
        }
        let rows = generation(number);
        let change = if number.is_multiple_of(3) {
            site.stage(number, rows.clone(), LONG_AGO).await?;
            VaultWrite::Promote { stage: stage_id(number), rows: checked(&rows) }
        } else {
            VaultWrite::Swap { rows }
        };
        root = site.land(Some(root), vault(change)?).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn look(site: &Site, handle: usize) -> Result<(), Violation> {
    let vault = site.handles.needs_vault(handle)?;
    let manifest = vault.manifest(&site.account).await?.rows;
    let whole = manifest.len() == usize::from(WATCHED);
    holds!(whole, Snapshot, "a manifest lists {} of {WATCHED} ciphers", manifest.len());
    let mark = manifest.first().map(|row| row.text);
    let others = manifest.iter().filter(|row| Some(row.text) != mark).count();
    holds!(others == 0, Snapshot, "a manifest lists {others} ciphers of another generation than the first");
    let rows = vault.read(&site.account, Which::All).await?.rows;
    let mark = rows.first().map(|row| row.marks.text);
    let mixed =
        rows.iter().any(|row| Some(row.marks.text) != mark || row.text.first() != mark.map(|m| m.0[0]).as_ref());
    holds!(!mixed && rows.len() == usize::from(WATCHED), Snapshot, "a read shows a half-swapped vault");
    Ok(())
}

/// Of an edit and a swap on one root, through two handles, exactly one is applied, 20 times.
/// Neither silently overwrites the other.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn one_of_edit_and_swap_wins(store: Handles) -> Result<(), Violation> {
    for _ in 0..20 {
        let (site, root) = Site::made(&store).await?;
        let root = site.land(Some(root), vault(edit(vec![row(1, 0, "old")]))?).await?;
        let wins = together(2, |number| {
            let site = site.clone();
            async move {
                let rows = vec![row(1, 1, "swapped")];
                let edited = vec![row(1, 2, "edited")];
                let change = if number == 0 { VaultWrite::Swap { rows } } else { edit(edited) };
                let write = || vault(change.clone());
                Ok((number, site.contend(number, Some(root), write).await?.is_some()))
            }
        })
        .await?;
        let won: Vec<usize> = wins.iter().filter(|(_, won)| *won).map(|(number, _)| *number).collect();
        holds!(won.len() == 1, OneWinner, "of an edit and a swap, {} landed", won.len());
        let swapped = vec![row(1, 1, "swapped")];
        let edited = vec![row(1, 2, "edited")];
        let right = if won == [0] { swapped } else { edited };
        let seen = site.rows().await?;
        holds!(seen == right, OneWinner, "after a race of edit and swap, the vault holds {seen:?}");
        holds!(!site.commit(Some(root), next()?).await?, OneWinner, "the root that they raced for still stands");
    }
    Ok(())
}
