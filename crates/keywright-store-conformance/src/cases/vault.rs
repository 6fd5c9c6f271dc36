//! The vault: sorted, whole, swapped all at once or not at all.

use std::sync::Arc;

use keywright_store::{CipherId, CommitError, Expect, Manifest, Mark, Revision, Row, Slot, VaultWrite, Which};

use crate::site::{LONG_AGO, Site, Watch, at, host, put, row, stage_id, together};
use crate::violation::holds;
use crate::{Backend, Violation};

fn entries(rows: &[Row]) -> Vec<(CipherId, Mark)> {
    rows.iter().map(|row| (row.id, row.mark)).collect()
}

fn put_rows(put: Vec<Row>) -> VaultWrite {
    VaultWrite::Edit { put, delete: Vec::new() }
}

/// Manifest and read are sorted by id and agree; a list of ids gives those that exist; no vault is an empty one.
///
/// # Errors
/// What was broken.
pub async fn vault_reads_are_sorted(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let none = store.manifest(&site.account).await?;
    holds!(none == Manifest { head: None, entries: Vec::new() }, Vault, "no vault has the manifest {none:?}");
    holds!(store.read(&site.account, Which::All).await?.is_empty(), Vault, "no vault has rows");
    let shuffled = [200, 3, 0x80, 1, 0x7f, 0, 0xff].map(|id| row(id, id, vec![id])).to_vec();
    let head = site.edit(root, Expect::Absent, put_rows(shuffled.clone())).await?;
    let mut sorted = shuffled;
    sorted.sort_by_key(|row| row.id);
    let all = store.read(&site.account, Which::All).await?;
    holds!(all == sorted, Vault, "a read of all gives {all:?}");
    let manifest = store.manifest(&site.account).await?;
    holds!(manifest.entries == entries(&sorted), Vault, "the manifest lists {:?}", manifest.entries);
    let seen = manifest.head.map(|head| head.revision);
    holds!(seen == Some(head), Vault, "the manifest's head lies under {seen:?}");
    let ids = [0xff, 2, 1, 0x80].map(|id| CipherId([id; 16]));
    let some = store.read(&site.account, Which::Ids(&ids)).await?;
    let right = [1, 0x80, 0xff].map(|id| row(id, id, vec![id]));
    holds!(some == right, Vault, "of four ids, one unknown, a read gives {some:?}");
    let none = store.read(&site.account, Which::Ids(&[])).await?;
    holds!(none.is_empty(), Vault, "a read of no ids gives {none:?}");
    Ok(())
}

/// An edit inserts, replaces and deletes, and nothing else; to delete what is not there is no error.
///
/// # Errors
/// What was broken.
pub async fn vault_edits_apply(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let head = site.edit(root, Expect::Absent, put_rows([1, 2, 3].map(|id| row(id, 1, "a")).to_vec())).await?;
    let delete = vec![CipherId([2; 16]), CipherId([77; 16])];
    let edit = VaultWrite::Edit { put: vec![row(3, 2, "b"), row(4, 2, "b")], delete };
    let head = site.edit(root, at(head), edit).await?;
    let right = [row(1, 1, "a"), row(3, 2, "b"), row(4, 2, "b")];
    let seen = store.read(&site.account, Which::All).await?;
    holds!(seen == right, Vault, "after an edit, the vault holds {seen:?}");
    let landed = site.store.commit(site.vault_batch(root, at(head), put_rows(vec![row(5, 1, "a"), row(5, 2, "b")]))?);
    let refused = matches!(landed.await, Err(CommitError::Conflict | CommitError::Rejected(_)));
    holds!(refused, Vault, "an edit that puts one id twice was not refused");
    let seen = store.read(&site.account, Which::All).await?;
    holds!(seen == right, AllOrNothing, "a refused edit changed the vault to {seen:?}");
    Ok(())
}

/// A swap lands exactly if its ids are those that the account owns: none missing, none extra, none twice. A refused one
/// changes nothing.
///
/// # Errors
/// What was broken.
pub async fn swap_covers_exactly(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let old = [1, 2, 3].map(|id| row(id, 1, "old")).to_vec();
    let mut head = site.edit(root, Expect::Absent, put_rows(old.clone())).await?;
    // An id of another account is as unknown as any.
    let (other, other_root) = Site::made(&store).await?;
    other.edit(other_root, Expect::Absent, put_rows(vec![row(9, 1, "foreign")])).await?;
    for ids in [&[1, 2][..], &[], &[1, 2, 3, 4], &[1, 2, 9], &[1, 2, 2], &[1, 2, 3, 3], &[4, 5, 6]] {
        let rows: Vec<Row> = ids.iter().map(|&id| row(id, 2, "new")).collect();
        let result = store.commit(site.vault_batch(root, at(head), VaultWrite::Swap { rows: rows.clone() })?).await;
        let twice = (1..ids.len()).any(|end| ids.iter().skip(end).any(|id| ids.iter().take(end).any(|had| had == id)));
        let refused = match result {
            Err(CommitError::Conflict) => true,
            Err(CommitError::Rejected(_)) => twice,
            _ => false,
        };
        holds!(refused, ExactCover, "a swap of {ids:?} over [1, 2, 3] was not refused as it should");
        let seen = store.read(&site.account, Which::All).await?;
        holds!(seen == old, ExactCover, "the refused swap of {ids:?} left {seen:?}");
        holds!(site.revision(Slot::VaultHead).await? == Some(head), AllOrNothing, "a refused swap moved the head");
    }
    let new = [3, 1, 2].map(|id| row(id, 2, "new")).to_vec();
    head = site.edit(root, at(head), VaultWrite::Swap { rows: new }).await?;
    let seen = store.read(&site.account, Which::All).await?;
    holds!(seen == [1, 2, 3].map(|id| row(id, 2, "new")), Vault, "a swap left {seen:?}");
    let foreign = store.read(&other.account, Which::All).await?;
    holds!(foreign == [row(9, 1, "foreign")], Partitions, "a swap changed another account's vault");
    // An empty vault is covered by an empty swap.
    let delete = [1, 2, 3].map(|id| CipherId([id; 16])).to_vec();
    head = site.edit(root, at(head), VaultWrite::Edit { put: Vec::new(), delete }).await?;
    site.edit(root, at(head), VaultWrite::Swap { rows: Vec::new() }).await?;
    Ok(())
}

/// An application's note beside a cipher is written by edits alone: a swap and a promoted stage, whatever their rows say,
/// leave the one that is there.
///
/// # Errors
/// What was broken.
pub async fn notes_outlive_a_swap(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let noted = |mark, body: &'static str, meta: &'static str| Row { meta: meta.into(), ..row(1, mark, body) };
    let head = site.edit(root, Expect::Absent, put_rows(vec![noted(1, "a", "first")])).await?;
    let head = site.edit(root, at(head), put_rows(vec![noted(2, "b", "second")])).await?;
    let seen = store.read(&site.account, Which::All).await?;
    holds!(seen == [noted(2, "b", "second")], Notes, "after an edit, the vault holds {seen:?}");
    let head = site.edit(root, at(head), VaultWrite::Swap { rows: vec![noted(3, "c", "")] }).await?;
    let seen = store.read(&site.account, Which::All).await?;
    holds!(seen == [noted(3, "c", "second")], Notes, "after a swap, the vault holds {seen:?}");
    let stage = stage_id(1);
    store.stage(&site.account, stage, vec![noted(4, "d", "fourth")], LONG_AGO).await.map_err(Violation::Commit)?;
    site.edit(root, at(head), VaultWrite::Promote { stage }).await?;
    let ids = [CipherId([1; 16])];
    let seen = store.read(&site.account, Which::Ids(&ids)).await?;
    holds!(seen == [noted(4, "d", "second")], Notes, "after a promotion, the vault holds {seen:?}");
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
    let row = |n| Row { id: id(n), mark: Mark([number; 16]), body: vec![number; 40].into(), meta: bytes::Bytes::new() };
    (0..WATCHED).map(row).collect()
}

/// Readers watch while a vault is swapped again and again: by manifest and by read, each sees one generation, whole, and
/// the manifest's head is that generation's.
///
/// # Errors
/// What was broken.
pub async fn swap_is_never_seen_half(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let head = vec![put(Slot::VaultHead, Expect::Absent, vec![0])];
    let first = site.land(site.beside(root, head)?.with_vault(put_rows(generation(0)))?).await?;
    let watch = Arc::new(Watch::default());
    together(4, |number| {
        let (site, watch) = (site.clone(), Arc::clone(&watch));
        async move {
            if number == 0 {
                let result = swap_often(&site, root, first, &watch).await;
                watch.end();
                return result;
            }
            while watch.look() {
                look(&site).await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

async fn swap_often(site: &Site, root: Revision, first: Revision, watch: &Watch) -> Result<(), Violation> {
    let mut head = first;
    for (round, number) in (0_u32..).zip((1..=u8::MAX).cycle()) {
        if round >= 24 && watch.looks() >= 120 {
            break;
        }
        let rows = generation(number);
        // Every third by way of a stage.
        let vault = if number.is_multiple_of(3) {
            let stage = stage_id(number);
            site.store.stage(&site.account, stage, rows, LONG_AGO).await.map_err(Violation::Commit)?;
            VaultWrite::Promote { stage }
        } else {
            VaultWrite::Swap { rows }
        };
        let writes = vec![put(Slot::VaultHead, at(head), vec![number])];
        head = site.land(site.beside(root, writes)?.with_vault(vault)?).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn look(site: &Site) -> Result<(), Violation> {
    let manifest = site.store.manifest(&site.account).await?;
    let head = manifest.head.and_then(|head| head.body.first().copied()).unwrap_or(u8::MAX);
    let whole = manifest.entries.len() == usize::from(WATCHED);
    holds!(whole, Snapshot, "a manifest lists {} of {WATCHED} ciphers", manifest.entries.len());
    let others = manifest.entries.iter().filter(|(_, mark)| *mark != Mark([head; 16])).count();
    holds!(others == 0, Snapshot, "a manifest with head {head} lists {others} ciphers of another generation");
    let rows = site.store.read(&site.account, Which::All).await?;
    let mark = rows.first().map(|row| row.mark);
    let mixed = rows.iter().any(|row| Some(row.mark) != mark || row.body.first() != mark.map(|m| m.0[0]).as_ref());
    holds!(!mixed && rows.len() == usize::from(WATCHED), Snapshot, "a read shows a half-swapped vault");
    Ok(())
}

/// A stage is filled in parts, in any order, repeated at will; an unknown one is empty. What was staged is not in the
/// vault.
///
/// # Errors
/// What was broken.
pub async fn stages_are_upserts(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    site.edit(root, Expect::Absent, put_rows(vec![row(1, 1, "old")])).await?;
    let unknown = store.staged(&site.account, stage_id(1)).await?;
    holds!(unknown.is_empty(), Stages, "an unknown stage holds {unknown:?}");
    let parts = [
        vec![row(3, 1, "c"), row(1, 1, "a")],
        vec![row(2, 1, "b")],
        vec![row(3, 1, "c"), row(1, 1, "a")],
        vec![row(1, 2, "A")],
        Vec::new(),
    ];
    for part in parts {
        store.stage(&site.account, stage_id(1), part, LONG_AGO).await.map_err(Violation::Commit)?;
    }
    store.stage(&site.account, stage_id(2), vec![row(8, 8, "other")], LONG_AGO).await.map_err(Violation::Commit)?;
    let right = entries(&[row(1, 2, "A"), row(2, 1, "b"), row(3, 1, "c")]);
    let staged = store.staged(&site.account, stage_id(1)).await?;
    holds!(staged == right, Stages, "a stage filled in parts holds {staged:?}");
    let rows = store.read(&site.account, Which::All).await?;
    holds!(rows == [row(1, 1, "old")], Stages, "what was only staged is in the vault: {rows:?}");
    let twice = vec![row(5, 1, "a"), row(5, 2, "b")];
    let refused = store.stage(&site.account, stage_id(3), twice, LONG_AGO).await;
    holds!(refused.is_err(), Stages, "rows that name one id twice were staged");
    Ok(())
}

/// A stage that is dropped is gone with its rows, and no other one is; to drop an unknown one, or one twice, is no error.
/// Its id may be filled again.
///
/// # Errors
/// What was broken.
pub async fn unstage_drops_a_stage(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let (other, _) = Site::made(&store).await?;
    let head = site.edit(root, Expect::Absent, put_rows(vec![row(1, 1, "old")])).await?;
    let kept = [(&site.account, stage_id(2)), (&other.account, stage_id(1))];
    for (account, stage) in [(&site.account, stage_id(1))].into_iter().chain(kept) {
        store.stage(account, stage, vec![row(1, 2, "new")], LONG_AGO).await.map_err(Violation::Commit)?;
    }
    for stage in [stage_id(1), stage_id(1), stage_id(9)] {
        store.unstage(&site.account, stage).await.map_err(Violation::Commit)?;
    }
    let staged = store.staged(&site.account, stage_id(1)).await?;
    holds!(staged.is_empty(), Stages, "a dropped stage still holds {staged:?}");
    let promote = site.vault_batch(root, at(head), VaultWrite::Promote { stage: stage_id(1) })?;
    holds!(!site.commit(promote).await?, ExactCover, "a dropped stage was promoted");
    for (account, stage) in kept {
        let staged = store.staged(account, stage).await?.len();
        holds!(staged == 1, Stages, "to drop a stage left {staged} of 1 rows of another");
    }
    store.stage(&site.account, stage_id(1), vec![row(3, 3, "again")], LONG_AGO).await.map_err(Violation::Commit)?;
    let staged = store.staged(&site.account, stage_id(1)).await?;
    holds!(staged == entries(&[row(3, 3, "again")]), Stages, "a stage filled anew holds {staged:?}");
    Ok(())
}

/// A promoted stage replaces the vault under the same exact cover as a swap, and goes with it. A refused one stays.
///
/// # Errors
/// What was broken.
pub async fn promote_covers_exactly(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let old = vec![row(1, 1, "old"), row(2, 1, "old")];
    let head = site.edit(root, Expect::Absent, put_rows(old.clone())).await?;
    let stage = stage_id(1);
    let promote = || site.vault_batch(root, at(head), VaultWrite::Promote { stage });
    holds!(!site.commit(promote()?).await?, ExactCover, "an unknown stage was promoted over a vault of two");
    store.stage(&site.account, stage, vec![row(1, 2, "new")], LONG_AGO).await.map_err(Violation::Commit)?;
    holds!(!site.commit(promote()?).await?, ExactCover, "a stage of one was promoted over a vault of two");
    let seen = store.read(&site.account, Which::All).await?;
    holds!(seen == old, ExactCover, "a refused promotion left {seen:?}");
    let staged = store.staged(&site.account, stage).await?.len();
    holds!(staged == 1, Stages, "a refused promotion left {staged} of 1 staged rows");
    store.stage(&site.account, stage, vec![row(2, 2, "new")], LONG_AGO).await.map_err(Violation::Commit)?;
    site.land(promote()?).await?;
    let seen = store.read(&site.account, Which::All).await?;
    holds!(seen == [row(1, 2, "new"), row(2, 2, "new")], Vault, "a promotion left {seen:?}");
    let staged = store.staged(&site.account, stage).await?;
    holds!(staged.is_empty(), Stages, "a promoted stage still holds {staged:?}");
    Ok(())
}

/// An edit that guards the former head conflicts after a swap: it is never overwritten unseen, nor does it overwrite.
///
/// # Errors
/// What was broken.
pub async fn one_of_edit_and_swap_wins(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for _ in 0..20 {
        let (site, root) = Site::made(&store).await?;
        let old = site.edit(root, Expect::Absent, put_rows(vec![row(1, 0, "old")])).await?;
        let wins = together(2, |number| {
            let site = site.clone();
            async move {
                let rows = vec![row(1, 1, "swapped")];
                let edit = vec![row(1, 2, "edited"), row(2, 2, "edited")];
                let vault = if number == 0 { VaultWrite::Swap { rows } } else { put_rows(edit) };
                let batch = || site.vault_batch(root, at(old), vault.clone());
                Ok((number, site.contend(Slot::VaultHead, Some(old), batch).await?))
            }
        })
        .await?;
        let won: Vec<u8> = wins.iter().filter(|(_, win)| win.is_some()).map(|(number, _)| *number).collect();
        holds!(won.len() == 1, OneWinner, "of an edit and a swap, {} landed", won.len());
        let swapped = [row(1, 1, "swapped")].to_vec();
        let edited = [row(1, 2, "edited"), row(2, 2, "edited")].to_vec();
        let right = if won == [0] { swapped } else { edited };
        let seen = store.read(&site.account, Which::All).await?;
        holds!(seen == right, OneWinner, "after a race of edit and swap, the vault holds {seen:?}");
    }
    let (site, root) = Site::made(&store).await?;
    site.write(root, vec![put(host(1), Expect::Absent, "a")]).await?;
    Ok(())
}
