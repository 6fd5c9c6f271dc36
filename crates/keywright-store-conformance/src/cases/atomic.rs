//! All or nothing, partitions apart, and what was acknowledged is there.

use std::sync::Arc;
use std::task::{Context, Waker};

use keywright_core::{EventKind, SecurityEvent};
use keywright_store::{Batch, Expect, Revision, Slot, VaultWrite, Write};

use crate::site::{LONG_AGO, Site, at, check, draw, host, put, row, together};
use crate::violation::holds;
use crate::{Backend, Violation};

/// Five puts of new slots, of which the one at `failing` rests on a record that is not there.
fn puts_with_a_failing_guard(failing: u8) -> Result<Vec<Write>, Violation> {
    let mut writes = Vec::new();
    for id in 0..5 {
        let expect = if id == failing { at(draw()?) } else { Expect::Absent };
        writes.push(put(host(id), expect, "half"));
    }
    Ok(writes)
}

/// One guard that fails, first, in the middle or last: no record of the batch is written, the root's included.
///
/// # Errors
/// What was broken.
pub async fn conflict_writes_nothing(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for failing in 0..5 {
        let (site, root) = Site::made(&store).await?;
        let mut writes = puts_with_a_failing_guard(failing)?;
        writes.push(put(Slot::Root, at(root), "moved"));
        let landed = site.commit(site.batch(writes)?).await?;
        holds!(!landed, Guards, "a batch whose guard {failing} fails was applied");
        let slots: Vec<Slot> = (0..5).map(host).collect();
        let left = site.load(&slots).await?.iter().flatten().count();
        holds!(left == 0, AllOrNothing, "a conflict at write {failing} of 5 left {left} records");
        holds!(site.revision(Slot::Root).await? == Some(root), AllOrNothing, "a conflict moved the root");
    }
    Ok(())
}

/// A conflict appends no event.
///
/// # Errors
/// What was broken.
pub async fn conflict_appends_no_event(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for failing in [0, 4] {
        let (site, root) = Site::made(&store).await?;
        let event = SecurityEvent::new(LONG_AGO, EventKind::KeychainSet);
        let batch = site.beside(root, puts_with_a_failing_guard(failing)?)?.with_events(vec![event]);
        holds!(!site.commit(batch).await?, Guards, "a batch whose guard {failing} fails was applied");
        let left = site.events().await?.len();
        holds!(left == 0, Events, "a conflict appended {left} events");
    }
    Ok(())
}

/// A conflict leaves the vault as it was: whether the head's guard fails, another's, or the swap's cover.
///
/// # Errors
/// What was broken.
pub async fn conflict_leaves_the_vault(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let edit = |mark| VaultWrite::Edit { put: vec![row(1, mark, "a"), row(2, mark, "b")], delete: Vec::new() };
    let head = site.edit(root, Expect::Absent, edit(1)).await?;
    let before = store.manifest(&site.account).await?;
    let swap = VaultWrite::Swap { rows: vec![row(1, 9, "x"), row(2, 9, "y")] };
    let uncovered = VaultWrite::Swap { rows: vec![row(1, 9, "x")] };
    let refused = [
        site.vault_batch(root, at(draw()?), edit(9))?,
        site.vault_batch(root, Expect::Absent, swap.clone())?,
        site.vault_batch(draw()?, at(head), swap)?,
        site.vault_batch(root, at(head), uncovered)?,
    ];
    for (number, batch) in refused.into_iter().enumerate() {
        let event = SecurityEvent::new(LONG_AGO, EventKind::KeychainSet);
        let landed = site.commit(batch.with_events(vec![event])).await?;
        holds!(!landed, Guards, "vault batch {number} was applied although a guard fails");
        let after = store.manifest(&site.account).await?;
        holds!(after == before, AllOrNothing, "the conflict of vault batch {number} changed the vault");
    }
    holds!(site.events().await?.is_empty(), Events, "a conflict on the vault appended an event");
    Ok(())
}

/// The same slots, ciphers and stages in two partitions are different ones, however alike the partitions' names are.
///
/// # Errors
/// What was broken.
pub async fn partitions_are_independent(store: Arc<dyn Backend>) -> Result<(), Violation> {
    // Case, trailing blanks, accents written two ways, and what SQL patterns and paths would take for more than text.
    let names =
        ["alice", "Alice", "alice ", " alice", "al%ce", "al_ce", "alice/", "../alice", "caf\u{e9}", "cafe\u{301}"];
    let names = names.iter().chain(&["'; --", "\u{fffd}", "a\u{10ffff}", "s/", "n/"]);
    let mut sites = Vec::new();
    for (number, name) in (0_u8..).zip(names) {
        let site = Site::named(&store, name)?;
        let here = site.load(&[Slot::Root, host(1)]).await?;
        holds!(here.iter().all(Option::is_none), Partitions, "{name:?} is not empty before its first write");
        let root = site.make().await?;
        let event = SecurityEvent::new(LONG_AGO.plus(u64::from(number)), EventKind::AccountCreated);
        let write = put(host(1), Expect::Absent, vec![number]);
        let revision = site.land(site.beside(root, vec![write])?.with_events(vec![event])).await?;
        let edit = VaultWrite::Edit { put: vec![row(1, number, vec![number])], delete: Vec::new() };
        site.edit(root, Expect::Absent, edit).await?;
        store
            .stage(&site.account, crate::site::stage_id(1), vec![row(1, number, "staged")], LONG_AGO)
            .await
            .map_err(Violation::Commit)?;
        sites.push((number, site, revision));
    }
    for (number, site, revision) in sites {
        let name = &site.account;
        let stored = site.one(host(1)).await?;
        let own = stored.is_some_and(|stored| stored.revision == revision && *stored.body == [number]);
        holds!(own, Partitions, "the record of {name:?} was changed from another partition");
        let events = site.events().await?;
        let at: Vec<u64> = events.iter().map(|(_, event)| event.at.since(LONG_AGO)).collect();
        holds!(at == [u64::from(number)], Partitions, "{name:?} lists the events {at:?}");
        let rows = store.read(&site.account, keywright_store::Which::All).await?;
        holds!(rows == [row(1, number, vec![number])], Partitions, "the vault of {name:?} holds {rows:?}");
        let staged = store.staged(&site.account, crate::site::stage_id(1)).await?;
        let own = staged.iter().all(|(_, mark)| *mark == keywright_store::Mark([number; 16])) && staged.len() == 1;
        holds!(own, Partitions, "the stage of {name:?} holds {staged:?}");
    }
    Ok(())
}

/// What was acknowledged is there, for every reader, from the moment of the reply on; and later too.
///
/// # Errors
/// What was broken.
pub async fn acknowledged_commits_are_there(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let written = together(16, |_| {
        let store = Arc::clone(&store);
        async move {
            let (site, root) = Site::made(&store).await?;
            let mut last = Vec::new();
            for id in 0..16 {
                let revision = site.write(root, vec![put(host(id), Expect::Absent, vec![id])]).await?;
                let seen = site.revision(host(id)).await?;
                holds!(seen == Some(revision), Acknowledged, "after the reply, {:?} lies under {seen:?}", host(id));
                last.push(revision);
            }
            Ok((site, last))
        }
    })
    .await?;
    for (site, last) in written {
        let slots: Vec<Slot> = (0..16).map(host).collect();
        let seen: Vec<Option<Revision>> =
            site.load(&slots).await?.iter().map(|s| s.as_ref().map(|s| s.revision)).collect();
        let right = last.iter().copied().map(Some).eq(seen.iter().copied());
        holds!(right, Acknowledged, "of 16 acknowledged records, {} are there", seen.iter().flatten().count());
    }
    Ok(())
}

/// A commit whose future was dropped, before or after it was first polled, has landed whole or never lands at all: not
/// in part, and not after a fence.
///
/// # Errors
/// What was broken.
pub async fn dropped_commit_is_whole_or_nothing(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for round in 0..32_u8 {
        let (site, root) = Site::made(&store).await?;
        let slots: Vec<Slot> = (0..6).map(host).collect();
        let batch = site.beside(root, slots.iter().map(|&slot| put(slot, Expect::Absent, "all")).collect())?;
        let revision = batch.revision();
        {
            let mut commit = site.store.commit(batch);
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..round.min(3) {
                if commit.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
        }
        let fence = fence(&site).await?;
        holds!(fence != revision, Dropped, "a fence carries the revision of another batch");
        let first = site.load(&slots).await?;
        let landed = first.iter().flatten().filter(|stored| stored.revision == revision).count();
        holds!(landed == 0 || landed == slots.len(), Dropped, "{landed} of {} records landed", slots.len());
        tokio::task::yield_now().await;
        holds!(site.load(&slots).await? == first, Dropped, "a dropped commit landed after a fence");
    }
    Ok(())
}

/// Moves the root, whatever its revision is. Gives the new one.
async fn fence(site: &Site) -> Result<Revision, Violation> {
    let again = |root: Revision| -> Result<Batch, Violation> { site.batch(vec![put(Slot::Root, at(root), "fence")]) };
    loop {
        let Some(root) = site.revision(Slot::Root).await? else {
            return Err(Violation::suite("the root record went away"));
        };
        let batch = again(root)?;
        let revision = batch.revision();
        if site.commit(batch).await? {
            return Ok(revision);
        }
    }
}

/// A batch made under the root before a fence is a conflict after it, whatever it writes: how a lost commit that was
/// still on its way is kept from landing late.
///
/// # Errors
/// What was broken.
pub async fn commit_after_a_fence_never_lands(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let held = [
        site.beside(root, vec![put(host(1), Expect::Absent, "late")])?,
        site.beside(root, vec![check(host(1), Expect::Absent)])?,
        site.batch(vec![put(Slot::Root, at(root), "late")])?,
        site.batch(vec![put(Slot::Root, at(root), "late")])?.with_erase()?,
    ];
    let fence = fence(&site).await?;
    for (number, batch) in held.into_iter().enumerate() {
        let landed = site.commit(batch).await?;
        holds!(!landed, Fence, "held batch {number} landed after the fence");
    }
    holds!(site.revision(Slot::Root).await? == Some(fence), Fence, "a held batch moved the root");
    holds!(site.one(host(1)).await?.is_none(), Fence, "a held batch wrote a record");
    Ok(())
}
