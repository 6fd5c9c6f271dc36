//! Erase: everything but what its own batch writes, against whoever is writing.

use std::sync::Arc;

use keywright_store::{Expect, Revision, Slot, VaultWrite, Which};

use crate::site::{LONG_AGO, Site, at, check, host, put, put_until, row, stage_id, together};
use crate::violation::holds;
use crate::{Backend, Violation};

/// Fills an account with one record of each shape, ciphers and a stage. Gives the root's revision.
async fn fill(site: &Site) -> Result<Revision, Violation> {
    let root = site.make().await?;
    let writes = slots().map(|slot| put(slot, Expect::Absent, "a")).collect();
    site.write(root, writes).await?;
    site.write(root, vec![put_until(host(2), Expect::Absent, "swept", LONG_AGO)]).await?;
    let rows = vec![row(1, 1, "a"), row(2, 1, "b")];
    site.edit(root, Expect::Absent, VaultWrite::Edit { put: rows.clone(), delete: Vec::new() }).await?;
    site.store.stage(&site.account, stage_id(1), rows, LONG_AGO).await.map_err(Violation::Commit)?;
    Ok(root)
}

fn slots() -> impl Iterator<Item = Slot> {
    let named = [Slot::Ledger, Slot::Due, Slot::Challenge, Slot::Confirmations, Slot::Keychain, Slot::Sessions];
    let numbered = [Slot::Session([0; 16]), Slot::Session([0xff; 16]), host(0), host(1), host(0xff)];
    named.into_iter().chain(numbered)
}

async fn left(site: &Site) -> Result<Vec<Slot>, Violation> {
    let mut asked: Vec<Slot> = slots().collect();
    asked.extend([host(2), Slot::VaultHead]);
    let loaded = site.load(&asked).await?;
    Ok(asked.into_iter().zip(loaded).filter_map(|(slot, stored)| stored.map(|_| slot)).collect())
}

/// An erase drops every record that its batch does not write, and keeps those that it puts. It deletes too.
///
/// # Errors
/// What was broken.
pub async fn erase_drops_what_it_does_not_write(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let root = fill(&site).await?;
    let Some(kept) = site.revision(host(1)).await? else { return Err(Violation::suite("a record is missing")) };
    let writes = vec![
        put(Slot::Root, at(root), "erased"),
        put(host(1), at(kept), "kept"),
        keywright_store::Write { slot: host(0), expect: at(kept), effect: keywright_store::Effect::Delete },
        put(host(7), Expect::Absent, "new"),
        check(host(8), Expect::Absent),
    ];
    let revision = site.land(site.batch(writes)?.with_erase()?).await?;
    let left = left(&site).await?;
    holds!(left == [host(1)], Erase, "after an erase that keeps {:?}, these are left: {left:?}", host(1));
    for (slot, body) in [(Slot::Root, "erased"), (host(1), "kept"), (host(7), "new")] {
        let written = site.one(slot).await?.is_some_and(|s| s.revision == revision && *s.body == *body.as_bytes());
        holds!(written, Erase, "{slot:?}, which the erase itself puts, is not there");
    }
    Ok(())
}

/// An erase whose guard fails erases nothing.
///
/// # Errors
/// What was broken.
pub async fn erase_in_conflict_drops_nothing(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let root = fill(&site).await?;
    let before = left(&site).await?;
    let writes = vec![put(Slot::Root, at(root), "erased"), put(host(0), Expect::Absent, "conflict")];
    let landed = site.commit(site.batch(writes)?.with_erase()?).await?;
    holds!(!landed, Guards, "an erase was applied although a guard fails");
    holds!(left(&site).await? == before, AllOrNothing, "an erase in conflict dropped records");
    let rows = store.read(&site.account, Which::All).await?.len();
    holds!(rows == 2, AllOrNothing, "an erase in conflict left {rows} of 2 ciphers");
    let staged = store.staged(&site.account, stage_id(1)).await?.len();
    holds!(staged == 2, AllOrNothing, "an erase in conflict left {staged} of 2 staged rows");
    Ok(())
}

/// An erase drops the ciphers and the stages; a vault edit in the same batch begins with an empty vault.
///
/// # Errors
/// What was broken.
pub async fn erase_drops_the_vault(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let root = fill(&site).await?;
    site.land(site.batch(vec![put(Slot::Root, at(root), "erased")])?.with_erase()?).await?;
    let manifest = store.manifest(&site.account).await?;
    holds!(manifest.head.is_none(), Erase, "the vault's head outlived an erase");
    holds!(manifest.entries.is_empty(), Erase, "{} ciphers outlived an erase", manifest.entries.len());
    let rows = store.read(&site.account, Which::All).await?;
    holds!(rows.is_empty(), Erase, "{} ciphers can be read after an erase", rows.len());
    let staged = store.staged(&site.account, stage_id(1)).await?;
    holds!(staged.is_empty(), Erase, "{} staged rows outlived an erase", staged.len());

    let site = Site::bare(&store)?;
    let root = fill(&site).await?;
    let Some(head) = site.revision(Slot::VaultHead).await? else { return Err(Violation::suite("a head is missing")) };
    let writes = vec![put(Slot::Root, at(root), "erased"), put(Slot::VaultHead, at(head), "new head")];
    let edit = VaultWrite::Edit { put: vec![row(9, 9, "new")], delete: Vec::new() };
    site.land(site.batch(writes)?.with_erase()?.with_vault(edit)?).await?;
    let rows = store.read(&site.account, Which::All).await?;
    holds!(rows == [row(9, 9, "new")], Erase, "an erase with one new cipher left {rows:?}");
    Ok(())
}

/// An erase touches no other account.
///
/// # Errors
/// What was broken.
pub async fn erase_keeps_other_accounts(store: Arc<dyn Backend>) -> Result<(), Violation> {
    // The one's name begins with the other's: a prefix is no partition.
    let sites = ["erase", "erase-not", "eras"].map(|name| Site::named(&store, name));
    let [erased, longer, shorter] = sites;
    let (erased, others) = (erased?, [longer?, shorter?]);
    let root = fill(&erased).await?;
    for other in &others {
        fill(other).await?;
    }
    let before = left(&erased).await?;
    erased.land(erased.batch(vec![put(Slot::Root, at(root), "erased")])?.with_erase()?).await?;
    for other in &others {
        let name = &other.account;
        holds!(left(other).await? == before, Partitions, "an erase dropped records of {name:?}");
        let rows = store.read(name, Which::All).await?.len();
        let staged = store.staged(name, stage_id(1)).await?.len();
        holds!(rows == 2 && staged == 2, Partitions, "{name:?} has {rows} of 2 ciphers, {staged} of 2 staged rows");
    }
    Ok(())
}

/// How many records a creator makes at most before it gives up waiting for the erase.
const RECORDS: u8 = 24;

/// An erase against 32 creators, 6 times. Whatever was made under the old root is gone, whenever it was made.
///
/// # Errors
/// What was broken.
pub async fn erase_beats_32_creators(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for _ in 0..6 {
        let (site, root) = Site::made(&store).await?;
        let made = together(33, |number| {
            let site = site.clone();
            async move {
                if number == 32 { erase_soon(&site, root).await.map(|()| 0) } else { create(&site, root, number).await }
            }
        })
        .await?;
        let made: u32 = made.into_iter().sum();
        let all: Vec<Slot> = (0..32).flat_map(|task| (0..RECORDS).map(move |turn| created(task, turn))).collect();
        let survivors = site.load(&all).await?.iter().flatten().count();
        holds!(survivors == 0, Erase, "{survivors} of {made} records made under the old root survived an erase");
        let mut after = None;
        loop {
            let page = store.scan(after, 200).await?;
            let Some(last) = page.last() else { break };
            after = Some((last.partition.clone(), last.slot));
            let strays = page.iter().filter(|met| met.partition == site.account && met.slot != Slot::Root).count();
            holds!(strays == 0, Erase, "a scan meets {strays} records that survived an erase");
        }
    }
    Ok(())
}

fn created(task: u8, turn: u8) -> Slot {
    let mut id = [turn; 16];
    id[0] = task;
    if turn.is_multiple_of(2) { Slot::Host(id) } else { Slot::Session(id) }
}

async fn create(site: &Site, root: Revision, task: u8) -> Result<u32, Violation> {
    let mut made = 0;
    for turn in 0..RECORDS {
        let slot = created(task, turn);
        let batch = || site.beside(root, vec![put(slot, Expect::Absent, "survivor")]);
        if site.contend(Slot::Root, Some(root), batch).await?.is_none() {
            break;
        }
        made = u32::saturating_add(made, 1);
        tokio::task::yield_now().await;
    }
    Ok(made)
}

async fn erase_soon(site: &Site, root: Revision) -> Result<(), Violation> {
    // Some creators are to be before it and some after.
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
    let batch = || Ok(site.batch(vec![put(Slot::Root, at(root), "erased")])?.with_erase()?);
    let won = site.contend(Slot::Root, Some(root), batch).await?;
    holds!(won.is_some(), Erase, "an erase was a conflict although nobody moved the root");
    Ok(())
}
