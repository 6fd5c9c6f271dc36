//! Stages are filled in parts, promoted as they were checked, dropped, or swept.

use keywright_store::{CipherId, CommitError, Mark, Row, StagedText, VaultWrite, Write};

use crate::backend::Handles;
use crate::site::{LONG_AGO, Site, checked, edit, leads, meet, next, pause, row, stage_id, vault};
use crate::violation::{Violation, holds};

/// A stage is filled in parts, in any order, with any repetition, through both handles. An unknown
/// stage is empty. Staged rows are not in the vault.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn stages_are_upserts(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let root = site.land(Some(root), vault(edit(vec![row(1, 1, "old")]))?).await?;
    let unknown = site.staged(1).await?;
    holds!(unknown.is_empty(), Stages, "an unknown stage holds {unknown:?}");
    let parts = [
        vec![row(3, 1, "c"), row(1, 1, "a")],
        vec![row(2, 1, "b")],
        vec![row(3, 1, "c"), row(1, 1, "a")],
        vec![row(1, 2, "A")],
        Vec::new(),
    ];
    for part in parts {
        site.stage(1, part, LONG_AGO).await?;
    }
    site.stage(2, vec![row(8, 8, "other")], LONG_AGO).await?;
    let right = checked(&[row(1, 2, "A"), row(2, 1, "b"), row(3, 1, "c")]);
    let staged = site.staged(1).await?;
    holds!(staged == right, Stages, "a stage filled in parts holds {staged:?}");
    let texts = site.staged_texts(1).await?;
    let right: Vec<StagedText> =
        [row(1, 2, "A"), row(2, 1, "b"), row(3, 1, "c")].into_iter().map(staged_text).collect();
    holds!(texts == right, Stages, "a stage filled in parts holds {texts:?}");
    let rows = site.rows().await?;
    holds!(rows == [row(1, 1, "old")], Stages, "what was only staged is in the vault: {rows:?}");
    holds!(site.root().await? == Some(root), Stages, "a stage moved the root");
    let twice = vec![row(5, 1, "a"), row(5, 2, "b")];
    let refused = store.needs_vault(0)?.stage(&site.account, stage_id(3), twice, LONG_AGO).await;
    holds!(refused.is_err(), Stages, "rows that name one id twice were staged");
    Ok(())
}

/// The texts of a stage are those that were staged in it last, byte for byte and under their marks,
/// whatever the vault and other stages hold under the same ids. They are read in pages of any size,
/// from any start.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn staged_texts_are_what_was_staged(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let (other, other_root) = Site::made(&store).await?;
    let old: Vec<Row> = (1..=7).map(|id| row(id, 1, format!("old {id}"))).collect();
    site.land(Some(root), vault(edit(old.clone()))?).await?;
    other.land(Some(other_root), vault(edit(old))?).await?;
    let new: Vec<Row> = (1..=7).map(|id| row(id, 2, [&[0, 0xff, id, 0][..], b"new"].concat())).collect();
    for (stage, mark) in [(2, 3), (1, 4), (3, 5)] {
        site.stage(stage, (1..=7).map(|id| row(id, mark, format!("{stage} {id}"))).collect(), LONG_AGO).await?;
    }
    other.stage(1, (1..=7).map(|id| row(id, 6, format!("another's {id}"))).collect(), LONG_AGO).await?;
    // In two parts, the later one first.
    site.stage(1, new.iter().skip(3).cloned().collect(), LONG_AGO).await?;
    site.stage(1, new.iter().take(3).cloned().collect(), LONG_AGO).await?;
    let all: Vec<StagedText> = new.iter().cloned().map(staged_text).collect();
    for limit in [1, 2, 3, 6, 7, 8, 100] {
        let mut read: Vec<StagedText> = Vec::new();
        loop {
            let after = read.last().map(|text| text.id);
            let vault = store.needs_vault(read.len())?;
            let page = vault.staged_texts(&site.account, stage_id(1), after, limit).await?;
            holds!(page.len() <= limit as usize, Stages, "a page of {limit} has {} texts", page.len());
            if page.is_empty() {
                break;
            }
            read.extend(page);
            holds!(read.len() <= all.len(), Stages, "pages of {limit} show a text twice: {read:?}");
        }
        holds!(read == all, Stages, "pages of {limit} show {read:?}");
    }
    // Starts at an id that does not exist, and before the first id.
    for (after, skipped) in [([0; 16], 0), ([3; 16], 3), ([4; 16].map(|byte: u8| byte ^ 0x80), 7), ([0xff; 16], 7)] {
        let page = store.needs_vault(1)?.staged_texts(&site.account, stage_id(1), Some(CipherId(after)), 100).await?;
        let right = all.get(skipped..).unwrap_or_default();
        holds!(page == right, Stages, "behind {after:?} are {page:?}");
    }
    let vault = store.needs_vault(0)?;
    let none = vault.staged_texts(&site.account, stage_id(1), None, 0).await?;
    holds!(none.is_empty(), Stages, "a page of 0 has {} texts", none.len());
    let unknown = vault.staged_texts(&site.account, stage_id(9), None, 100).await?;
    holds!(unknown.is_empty(), Stages, "an unknown stage has {unknown:?}");
    vault.unstage(&site.account, stage_id(1)).await.map_err(Violation::Commit)?;
    let dropped = store.needs_vault(1)?.staged_texts(&site.account, stage_id(1), None, 100).await?;
    holds!(dropped.is_empty(), Stages, "a stage that was dropped has {dropped:?}");
    Ok(())
}

/// Dropping a stage removes its rows, and no other stage. Dropping an unknown stage, or one twice,
/// is not an error. The id can be used again.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn unstage_drops_a_stage(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let (other, _) = Site::made(&store).await?;
    let root = site.land(Some(root), vault(edit(vec![row(1, 1, "old")]))?).await?;
    site.stage(1, vec![row(1, 2, "new")], LONG_AGO).await?;
    site.stage(2, vec![row(1, 2, "new")], LONG_AGO).await?;
    other.stage(1, vec![row(1, 2, "new")], LONG_AGO).await?;
    for (handle, stage) in [1, 1, 9].into_iter().enumerate() {
        let dropped = store.needs_vault(handle)?.unstage(&site.account, stage_id(stage)).await;
        dropped.map_err(Violation::Commit)?;
    }
    let staged = site.staged(1).await?;
    holds!(staged.is_empty(), Stages, "a dropped stage still holds {staged:?}");
    let promote = VaultWrite::Promote { stage: stage_id(1), rows: checked(&[row(1, 2, "new")]) };
    holds!(!site.commit(Some(root), vault(promote)?).await?, Checked, "a dropped stage was promoted");
    let kept = (site.staged(2).await?.len(), other.staged(1).await?.len());
    holds!(kept == (1, 1), Stages, "to drop a stage left {kept:?} of 1 row of another and 1 of another account's");
    site.stage(1, vec![row(3, 3, "again")], LONG_AGO).await?;
    let staged = site.staged(1).await?;
    holds!(staged == checked(&[row(3, 3, "again")]), Stages, "a stage filled anew holds {staged:?}");
    Ok(())
}

/// A partition without a root accepts no stage, whether it never had a root or was swept, because a
/// stage would be a row without a root. In a partition with a root, a stage is a row like any
/// other, and a load reports it.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn stages_need_a_root(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let refuse = async |what: &str| -> Result<(), Violation> {
        for handle in [0, 1] {
            let staged =
                store.needs_vault(handle)?.stage(&site.account, stage_id(1), vec![row(1, 1, "a")], LONG_AGO).await;
            let refused = matches!(staged, Err(CommitError::Conflict));
            holds!(refused, Stages, "a stage in a partition {what} met {staged:?}");
        }
        let seen = site.load(&[]).await?;
        holds!(!seen.has_rows && seen.root.is_none(), Stages, "a refused stage left rows in a partition {what}");
        let listed = store.upkeep(0).partitions(None, 10).await?;
        holds!(!listed.contains(&site.account), Listing, "a partition {what} is listed for a refused stage");
        Ok(())
    };
    refuse("without a root").await?;
    let root = site.land(None, next()?).await?;
    let report = async |what: &str, right: bool| -> Result<(), Violation> {
        let seen = site.load(&[]).await?.has_rows;
        holds!(seen == right, LostRoot, "beside a root and {what}, a load says of further rows: {seen}");
        Ok(())
    };
    report("nothing else", false).await?;
    site.stage(1, vec![row(1, 1, "a")], LONG_AGO).await?;
    report("a stage", true).await?;
    store.needs_vault(1)?.unstage(&site.account, stage_id(1)).await.map_err(Violation::Commit)?;
    report("a stage that was dropped", false).await?;
    site.land(Some(root), Write { purge_after: Some(LONG_AGO.minus(1)), ..next()? }).await?;
    site.move_horizon(LONG_AGO).await?;
    site.sweep(100).await?;
    refuse("that was swept").await
}

/// A stage is removed with its rows once its moment lies before the horizon. Each part that is
/// staged moves the moment for all parts. A sweep that races with a part which keeps the stage
/// alive leaves that part's rows.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn stages_are_swept_by_the_horizon(store: Handles) -> Result<(), Violation> {
    let (site, _) = Site::made(&store).await?;
    site.stage(1, vec![row(1, 1, "a"), row(2, 1, "a")], LONG_AGO.minus(1)).await?;
    site.stage(2, vec![row(1, 1, "a")], LONG_AGO).await?;
    site.stage(3, vec![row(1, 1, "a")], LONG_AGO.minus(1)).await?;
    site.stage(3, vec![row(2, 1, "a")], LONG_AGO.plus(1)).await?;
    site.stage(4, vec![row(1, 1, "a")], LONG_AGO.plus(1)).await?;
    site.stage(4, vec![row(2, 1, "a")], LONG_AGO.minus(1)).await?;
    let early = site.sweep(100).await?;
    holds!(early == 0, Sweep, "without a horizon a sweep dropped {early} stages");
    site.move_horizon(LONG_AGO).await?;
    site.sweep(100).await?;
    let mut left = Vec::new();
    for stage in 1..=4 {
        left.push(site.staged(stage).await?.len());
    }
    holds!(left == [0, 1, 2, 0], Sweep, "of four stages, two of them due, a sweep left {left:?} rows");
    for round in 0..40 {
        site.stage(5, vec![row(1, 1, "a")], LONG_AGO.minus(1)).await?;
        let (lead, delay) = leads(round);
        let (sweeper, stager) = (site.clone(), site.clone());
        let sweep = async move {
            pause(lead).await;
            sweeper.sweep(100).await
        };
        let stage = async move {
            pause(delay).await;
            stager.stage(5, vec![row(2, 2, "b")], LONG_AGO.plus(1)).await
        };
        meet(sweep, stage).await?;
        let staged = site.staged(5).await?;
        let there = staged.contains(&(CipherId([2; 16]), Mark([2; 16])));
        holds!(there, Sweep, "a sweep took rows that were staged to last beside it");
        store.needs_vault(0)?.unstage(&site.account, stage_id(5)).await.map_err(Violation::Commit)?;
    }
    Ok(())
}

/// When a partition is swept, its ciphers and stages are removed too, including stages that are not
/// due.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn swept_partition_takes_its_vault(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let write = Write { purge_after: Some(LONG_AGO.minus(1)), ..vault(edit(vec![row(1, 1, "a")]))? };
    site.land(None, write).await?;
    site.stage(1, vec![row(1, 1, "a")], LONG_AGO.plus(1_000_000)).await?;
    site.move_horizon(LONG_AGO).await?;
    site.sweep(100).await?;
    let seen = site.load(&[]).await?;
    holds!(seen.root.is_none(), Sweep, "a partition that is due was not swept");
    holds!(!seen.has_rows, Sweep, "a partition was swept and left rows behind");
    let left = (site.rows().await?.len(), site.staged(1).await?.len());
    holds!(left == (0, 0), Sweep, "a partition was swept and left {left:?} ciphers and staged rows");
    Ok(())
}

/// A promotion is applied only if the stage holds exactly the rows that were checked. It is refused
/// if a part came late, was staged twice with different texts, or is missing. A refused promotion
/// leaves the stage.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn promote_moves_what_was_checked(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let old = vec![row(1, 1, "old"), row(2, 1, "old")];
    let root = site.land(Some(root), vault(edit(old.clone()))?).await?;
    let new = vec![row(1, 2, "new"), row(2, 2, "new")];
    let promote = |rows: &[Row]| vault(VaultWrite::Promote { stage: stage_id(1), rows: checked(rows) });
    let refuse = async |what: &str, checked: &[Row]| -> Result<(), Violation> {
        let landed = site.commit(Some(root), promote(checked)?).await?;
        holds!(!landed, Checked, "a stage {what} was promoted");
        let seen = site.rows().await?;
        holds!(seen == old, Checked, "a refused promotion left {seen:?}");
        holds!(site.root().await? == Some(root), AllOrNothing, "a refused promotion moved the root");
        Ok(())
    };
    refuse("that is not there", &new).await?;
    refuse("that is not there, checked as empty,", &[]).await?;
    site.stage(1, vec![row(1, 2, "new")], LONG_AGO).await?;
    refuse("of which a part is missing", &new).await?;
    site.stage(1, vec![row(2, 3, "other")], LONG_AGO).await?;
    refuse("with another text than was checked", &new).await?;
    site.stage(1, vec![row(2, 2, "new"), row(3, 2, "late")], LONG_AGO).await?;
    refuse("with a row that came late", &new).await?;
    store.needs_vault(0)?.unstage(&site.account, stage_id(1)).await.map_err(Violation::Commit)?;
    site.stage(1, new.clone(), LONG_AGO).await?;
    refuse("of which a part was checked", &[row(1, 2, "new")]).await?;
    let staged = site.staged(1).await?;
    holds!(staged == checked(&new), Stages, "refused promotions left the stage {staged:?}");
    // A part that arrives twice unchanged has no effect.
    site.stage(1, vec![row(1, 2, "new")], LONG_AGO).await?;
    site.land(Some(root), promote(&new)?).await?;
    let seen = site.rows().await?;
    holds!(seen == new, Checked, "a promotion left {seen:?}");
    let staged = site.staged(1).await?;
    holds!(staged.is_empty(), Stages, "a promoted stage still holds {staged:?}");
    Ok(())
}

/// A promotion covers exactly the ciphers that the account has, as a swap does.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn promote_covers_exactly(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let old = vec![row(1, 1, "old"), row(2, 1, "old")];
    let root = site.land(Some(root), vault(edit(old.clone()))?).await?;
    for (stage, ids) in (1..).zip([&[1][..], &[1, 2, 3], &[1, 3], &[3, 4]]) {
        let rows: Vec<Row> = ids.iter().map(|&id| row(id, 2, "new")).collect();
        site.stage(stage, rows.clone(), LONG_AGO).await?;
        let write = vault(VaultWrite::Promote { stage: stage_id(stage), rows: checked(&rows) })?;
        holds!(!site.commit(Some(root), write).await?, ExactCover, "a stage of {ids:?} was promoted over [1, 2]");
        let seen = site.rows().await?;
        holds!(seen == old, ExactCover, "the refused promotion of {ids:?} left {seen:?}");
        holds!(site.staged(stage).await?.len() == ids.len(), Stages, "a refused promotion left half of its stage");
    }
    // An edit between the check and the promotion moves the root, so the guard refuses what the
    // cover alone would admit.
    let new = vec![row(1, 2, "new"), row(2, 2, "new")];
    site.stage(9, new.clone(), LONG_AGO).await?;
    let promote = || vault(VaultWrite::Promote { stage: stage_id(9), rows: checked(&new) });
    let moved = site.land(Some(root), vault(edit(vec![row(1, 5, "edited")]))?).await?;
    holds!(!site.commit(Some(root), promote()?).await?, Guard, "a promotion passed an edit");
    site.land(Some(moved), promote()?).await?;
    Ok(())
}

fn staged_text(row: Row) -> StagedText {
    StagedText { id: row.id(), mark: row.marks.text, text: row.text }
}
