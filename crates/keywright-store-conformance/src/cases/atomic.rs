//! Batches apply whole or not at all, and an acknowledged batch is visible.

use std::task::{Context, Waker};

use keywright_core::EventChain;
use keywright_store::{Revision, SlotName, Write};

use crate::backend::Handles;
use crate::site::{
    LONG_AGO, SINGLE, Site, denial, draw, event, leads, meet, next, pause, put, put_until, puts, slot, together,
};
use crate::violation::{Violation, holds};

/// A write with something in every part of a store of records.
fn everything(first: u64) -> Result<Write, Violation> {
    Ok(Write {
        purge_after: Some(LONG_AGO),
        due_at: Some(LONG_AGO),
        put: vec![put(slot(1), "changed"), put(slot(3), "new"), put_until(SINGLE, "expires", LONG_AGO)],
        delete: vec![slot(2), slot(9)],
        events: vec![event(first), event(first.saturating_add(1)), denial(first)],
        forget: vec![(EventChain::Changes, first)],
        ..next()?
    })
}

const SLOTS: [SlotName; 5] = [slot(1), slot(2), slot(3), slot(9), SINGLE];

async fn filled(store: &Handles) -> Result<(Site, Revision), Violation> {
    let site = Site::bare(store)?;
    let put = vec![put(slot(1), "a"), put(slot(2), "b")];
    let root = site.land(None, Write { put, events: vec![event(1), denial(1)], ..next()? }).await?;
    Ok((site, root))
}

/// A conflict writes nothing: no root, no record, no deletion, no hint. With an erase, it drops
/// nothing either.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn conflict_writes_nothing(store: Handles) -> Result<(), Violation> {
    for erase in [false, true] {
        for expect in [Some(draw()?), None] {
            let (site, root) = filled(&store).await?;
            let before = site.load(&SLOTS).await?;
            let landed = site.commit(expect, Write { erase, events: Vec::new(), ..everything(2)? }).await?;
            holds!(!landed, Guard, "a batch that expects {expect:?} was applied to a root at {root:?}");
            let after = site.load(&SLOTS).await?;
            holds!(after == before, AllOrNothing, "a conflict (erase: {erase}) turned {before:?} into {after:?}");
            let due = store.upkeep(0).due(LONG_AGO, 100).await?;
            holds!(!due.contains(&site.account), AllOrNothing, "a conflict noted when the partition is due");
        }
    }
    Ok(())
}

/// A conflict appends no event, and forgets none.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn conflict_appends_no_event(store: Handles) -> Result<(), Violation> {
    let (site, _) = filled(&store).await?;
    for expect in [Some(draw()?), None] {
        let landed = site.commit(expect, everything(2)?).await?;
        holds!(!landed, Guard, "a batch that expects {expect:?} was applied");
        for chain in EventChain::ALL {
            let listed = site.numbers(chain).await?;
            holds!(listed == [1], Events, "after a conflict, the log of one event lists {listed:?}");
        }
        let newest = site.load(&[]).await?.newest;
        holds!((newest.changes, newest.denials) == (1, 1), Events, "after a conflict, the newest are {newest:?}");
    }
    Ok(())
}

/// Each part of a write is applied with its root: puts, deletions, events, and forgotten events.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn every_part_of_a_write_lands(store: Handles) -> Result<(), Violation> {
    let (site, root) = filled(&store).await?;
    let revision = site.land(Some(root), everything(2)?).await?;
    let seen = site.load(&SLOTS).await?;
    holds!(seen.root.map(|root| root.revision) == Some(revision), AllOrNothing, "the root of a write did not land");
    let bodies: Vec<Option<&[u8]>> = seen.records.iter().map(Option::as_deref).collect();
    let right: [Option<&[u8]>; 5] = [Some(b"changed"), None, Some(b"new"), None, Some(b"expires")];
    holds!(bodies == right, AllOrNothing, "after a write, the records are {bodies:?}");
    let (changes, denials) = (site.numbers(EventChain::Changes).await?, site.numbers(EventChain::Denials).await?);
    let right = changes == [3, 2] && denials == [2, 1];
    holds!(right, AllOrNothing, "after a write that forgets one change, the logs list {changes:?} and {denials:?}");
    let due = store.upkeep(1).due(LONG_AGO, 100).await?;
    holds!(due == [site.account], AllOrNothing, "a write's due moment did not land");
    Ok(())
}

/// Records are put whether or not they existed, and deleted whether or not they exist. The root is
/// the only guard.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn puts_and_deletes_are_blind(store: Handles) -> Result<(), Violation> {
    let (site, mut root) = Site::made(&store).await?;
    for body in ["first", "second", ""] {
        root = site.land(Some(root), puts(vec![put(slot(1), body), put(SINGLE, body)])?).await?;
        for slot in [slot(1), SINGLE] {
            let seen = site.one(slot).await?;
            holds!(seen.as_deref() == Some(body.as_bytes()), Blind, "{body:?} was put and {seen:?} lies in {slot}");
        }
    }
    for _ in 0..2 {
        root = site.land(Some(root), Write { delete: vec![slot(1), slot(7)], ..next()? }).await?;
        holds!(site.one(slot(1)).await?.is_none(), Blind, "a deleted record is still there");
    }
    holds!(site.one(SINGLE).await?.is_some(), Blind, "a deletion took another record along");
    site.land(Some(root), puts(vec![put(slot(1), "again")])?).await?;
    holds!(site.one(slot(1)).await?.as_deref() == Some(b"again"), Blind, "a deleted record cannot be put again");
    Ok(())
}

/// What was acknowledged through one handle is visible through both from the moment of the reply
/// on, and stays visible.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn acknowledged_commits_are_there(store: Handles) -> Result<(), Violation> {
    let sites = together(8, |_| {
        let store = store.clone();
        async move {
            let (site, mut root) = Site::made(&store).await?;
            for id in 0..16 {
                root = site.land(Some(root), puts(vec![put(slot(id), vec![id])])?).await?;
                let seen = site.root().await?;
                holds!(seen == Some(root), Acknowledged, "after the reply, the root lies under {seen:?}");
            }
            Ok((site, root))
        }
    })
    .await?;
    for (site, root) in sites {
        let slots: Vec<SlotName> = (0..16).map(slot).collect();
        let seen = site.load(&slots).await?;
        let count = seen.records.iter().flatten().count();
        holds!(count == 16, Acknowledged, "of 16 acknowledged records, {count} are there");
        holds!(seen.root.is_some_and(|seen| seen.revision == root), Acknowledged, "an acknowledged root is not there");
    }
    Ok(())
}

/// A commit whose future was dropped, before or after it was first polled, has been applied whole
/// or never is: not in part, and not after a fence.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn dropped_commit_is_whole_or_nothing(store: Handles) -> Result<(), Violation> {
    let slots: Vec<SlotName> = (0..6).map(slot).collect();
    for round in 0..32_usize {
        let (site, root) = Site::made(&store).await?;
        let write = Write { events: vec![event(1)], ..puts(slots.iter().map(|&slot| put(slot, "all")).collect())? };
        let revision = write.revision;
        {
            let mut commit = store.records(round).commit(site.batch(Some(root), write)?);
            let mut context = Context::from_waker(Waker::noop());
            for _ in 0..round % 4 {
                if commit.as_mut().poll(&mut context).is_ready() {
                    break;
                }
            }
        }
        pause(round % 3).await;
        let fence = fence(&site, round.wrapping_add(1)).await?;
        let first = site.load(&slots).await?;
        let landed = first.records.iter().flatten().count();
        let whole = landed == slots.len() && first.newest.changes == 1;
        let nothing = landed == 0 && first.newest.changes == 0;
        holds!(whole || nothing, Dropped, "{landed} of {} records of a dropped commit landed", slots.len());
        pause(2).await;
        let later = site.load(&slots).await?;
        holds!(later == first, Dropped, "a dropped commit ({revision:?}) landed after the fence {fence:?}");
    }
    Ok(())
}

/// Puts the root again, whatever its revision is. Returns the new revision.
async fn fence(site: &Site, handle: usize) -> Result<Revision, Violation> {
    loop {
        let Some(root) = site.load_through(handle, &[]).await?.root else {
            return Err(Violation::suite("the root went away"));
        };
        let write = next()?;
        let revision = write.revision;
        if site.commit_through(handle, site.batch(Some(root.revision), write)?).await? {
            return Ok(revision);
        }
    }
}

/// A batch made on the root before a fence is a conflict after the fence, whatever it writes. This
/// keeps a lost commit that is still in flight from being applied late.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn commit_after_a_fence_never_lands(store: Handles) -> Result<(), Violation> {
    let (site, root) = filled(&store).await?;
    let held = [puts(vec![put(slot(3), "late")])?, next()?, everything(2)?, Write { erase: true, ..next()? }];
    let fence = fence(&site, 0).await?;
    for (number, write) in held.into_iter().enumerate() {
        let landed = site.commit(Some(root), write).await?;
        holds!(!landed, Fence, "held batch {number} landed after the fence");
    }
    holds!(!site.still(Some(root)).await?, Fence, "a check answered that the root before the fence still stands");
    holds!(site.root().await? == Some(fence), Fence, "a held batch moved the root");
    holds!(site.count(&SLOTS).await? == 2, Fence, "a held batch wrote or dropped a record");

    // The first commit of a partition is fenced by a first root.
    let site = Site::bare(&store)?;
    let fence = site.land(None, next()?).await?;
    let landed = site.commit(None, puts(vec![put(slot(1), "late")])?).await?;
    holds!(!landed && site.root().await? == Some(fence), Fence, "a held creation landed after the fence");
    Ok(())
}

/// How often a commit races with a fence.
const MEETINGS: usize = 200;

/// A commit is in flight through one handle while a fence is written through the other. Exactly one
/// of the two is applied. Once the fence is acknowledged, no reader sees the commit, then or later.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn commit_in_flight_never_passes_a_fence(store: Handles) -> Result<(), Violation> {
    for round in 0..MEETINGS {
        let (site, root) = Site::made(&store).await?;
        let (lead, delay) = leads(round);
        let fence = next()?;
        let fence_revision = fence.revision;
        let (in_flight, batch) = (site.clone(), site.batch(Some(root), puts(vec![put(slot(1), "in flight")])?)?);
        let (fencing, fence) = (site.clone(), site.batch(Some(root), fence)?);
        let commit = async move {
            pause(lead).await;
            in_flight.commit_through(round, batch).await
        };
        let fence = async move {
            pause(delay).await;
            let fenced = fencing.commit_through(round.wrapping_add(1), fence).await?;
            // Read once the fence is acknowledged, whatever has become of the commit by then.
            Ok((fenced, fencing.load_through(round, &[slot(1)]).await?))
        };
        let (landed, (fenced, seen)) = meet(commit, fence).await?;
        holds!(fenced != landed, Fence, "of a commit and a fence on one root, both or neither landed ({landed})");
        let later = site.load(&[slot(1)]).await?;
        if fenced {
            for seen in [&seen, &later] {
                let there = seen.root.as_ref().map(|root| root.revision);
                holds!(
                    there == Some(fence_revision),
                    Fence,
                    "after an acknowledged fence the root lies under {there:?}"
                );
                holds!(seen.records == [None], Fence, "a commit in flight landed after an acknowledged fence");
            }
        } else {
            holds!(later.records.iter().all(Option::is_some), Fence, "a commit that beat the fence is not there");
        }
    }
    Ok(())
}
