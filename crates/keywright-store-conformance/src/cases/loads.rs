//! Loads return exact bytes in the requested order, from one current snapshot, without a filter.

use std::sync::Arc;

use keywright_core::EventChain;
use keywright_store::{Revision, SlotName, Snapshot, Write};

use crate::backend::Handles;
use crate::site::{LONG_AGO, SINGLE, Site, Watch, draw, event, next, pause, put, put_until, puts, slot, together};
use crate::violation::{Violation, holds};

/// Bodies that a text column, a length limit or a C string would corrupt.
pub(super) fn odd_bodies() -> Vec<Vec<u8>> {
    let counting = || (0..=u8::MAX).cycle();
    vec![
        Vec::new(),
        vec![0],
        vec![0xff],
        b"before\0after".to_vec(),
        b"trailing \n\r\n\0".to_vec(),
        vec![0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf0, 0x28, 0x8c, 0xbc],
        "\u{feff}e\u{301}\u{e9}".as_bytes().to_vec(),
        counting().take(255).collect(),
        counting().take(4_096).collect(),
        counting().take(1 << 20).collect(),
    ]
}

/// Bodies are returned byte for byte, for records and for the root: 0, 1, 255, 4096 bytes and 1
/// MiB, with NULs, and not valid UTF-8.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn bodies_survive(store: Handles) -> Result<(), Violation> {
    let (site, mut root) = Site::made(&store).await?;
    for (id, body) in (0..).zip(odd_bodies()) {
        let write = Write { put: vec![put(slot(id), body.clone())], ..Write::root(draw()?, body.clone().into()) };
        root = site.land(Some(root), write).await?;
        let seen = site.load(&[slot(id)]).await?;
        let of_root = seen.root.as_ref().map(|root| &*root.body);
        holds!(of_root == Some(&*body), Bytes, "{} bytes of a root came back as {of_root:.40?}", body.len());
        let of_record = seen.records.first().and_then(Option::as_deref);
        holds!(of_record == Some(&*body), Bytes, "{} bytes of a record came back as {of_record:.40?}", body.len());
    }
    for (id, body) in (0..).zip(odd_bodies()) {
        let seen = site.one(slot(id)).await?;
        holds!(seen.as_deref() == Some(&*body), Bytes, "{} bytes changed later", body.len());
    }
    Ok(())
}

/// A load returns the slots in the order of the request, absent ones included, together with the
/// root. A load of no slots returns the root alone.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn loads_keep_the_order(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let odd = (0..100).filter(|id| id % 2 == 1);
    let root = site.land(Some(root), puts(odd.map(|id| put(slot(id), vec![id])).collect())?).await?;
    let forwards: Vec<u8> = (0..100).collect();
    let backwards: Vec<u8> = (0..100).rev().collect();
    let shuffled: Vec<u8> = (0..100_u16).filter_map(|id| u8::try_from(id.wrapping_mul(37) % 100).ok()).collect();
    for ids in [forwards, backwards, shuffled] {
        let slots: Vec<SlotName> = ids.iter().map(|&id| slot(id)).collect();
        let seen = site.load(&slots).await?;
        for (id, body) in ids.iter().zip(seen.records) {
            let right = (id % 2 == 1).then(|| vec![*id]);
            holds!(body.as_deref() == right.as_deref(), Order, "in the place of {} lies {body:?}", slot(*id));
        }
        holds!(seen.root.is_some_and(|seen| seen.revision == root), Order, "a load of 100 slots has another root");
    }
    let nothing = site.load(&[]).await?;
    holds!(nothing.records.is_empty(), Order, "a load of no slots has records");
    holds!(nothing.root.is_some(), Order, "a load of no slots has no root");
    Ok(())
}

/// The slots that a writer always puts together.
const WATCHED: [SlotName; 4] = [slot(1), slot(2), slot(0xfe), SINGLE];

/// A writer always puts a root, four records and an event at once. No load through the other handle
/// shows two of its states.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn loads_are_one_snapshot(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let root = site.land(None, generation(1)?).await?;
    let watch = Arc::new(Watch::default());
    together(5, |number| {
        let (site, watch) = (site.clone(), Arc::clone(&watch));
        async move {
            if number == 0 {
                let result = write_often(&site, root, &watch).await;
                watch.end();
                return result;
            }
            let mut asked = WATCHED;
            while watch.look() {
                asked.rotate_left(1);
                let seen = site.load_through(number, &asked).await?;
                holds!(is_one(&seen), Snapshot, "one load shows {seen:?}, which were never there together");
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

/// A root, records and an event that all carry the same number.
fn generation(number: u64) -> Result<Write, Violation> {
    let body = number.to_be_bytes().to_vec();
    let put = WATCHED.iter().map(|&slot| put(slot, body.clone())).collect();
    Ok(Write { put, events: vec![event(number)], ..Write::root(draw()?, body.into()) })
}

fn is_one(seen: &Snapshot) -> bool {
    let Some(root) = &seen.root else { return false };
    let newest = seen.newest.changes.to_be_bytes();
    *root.body == newest && seen.records.iter().all(|body| body.as_deref() == Some(&newest))
}

async fn write_often(site: &Site, mut root: Revision, watch: &Watch) -> Result<(), Violation> {
    for number in 2..u64::MAX {
        if number >= 200 && watch.looks() >= 800 {
            break;
        }
        root = site.land(Some(root), generation(number)?).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A load that starts after a reply sees what was acknowledged, through the other handle too. A
/// load is never answered by a lagging replica, or from the memory of a handle.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn loads_see_acknowledged_commits(store: Handles) -> Result<(), Violation> {
    let (site, mut root) = Site::made(&store).await?;
    for round in 0..60_u8 {
        let (writer, reader) = (usize::from(round), usize::from(round).wrapping_add(1));
        let write = puts(vec![put(slot(1), vec![round])])?;
        let revision = write.revision;
        let landed = site.commit_through(writer, site.batch(Some(root), write)?).await?;
        holds!(landed, Guard, "a batch whose guard holds was a conflict");
        root = revision;
        let seen = site.load_through(reader, &[slot(1)]).await?;
        let there = seen.root.map(|root| root.revision);
        holds!(there == Some(root), Acknowledged, "after the reply of {root:?}, the other handle shows {there:?}");
        let body = seen.records.first().and_then(Option::as_deref);
        holds!(body == Some(&[round]), Acknowledged, "after a reply, the other handle shows an older record");
    }
    Ok(())
}

/// A batch without a write is answered from acknowledged state, through either handle. A grant that
/// changes nothing rests on this alone.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn checks_see_acknowledged_commits(store: Handles) -> Result<(), Violation> {
    let (site, mut root) = Site::made(&store).await?;
    for round in 0..60_usize {
        let write = next()?;
        let (old, new) = (root, write.revision);
        let landed = site.commit_through(round, site.batch(Some(root), write)?).await?;
        holds!(landed, Guard, "a batch whose guard holds was a conflict");
        root = new;
        for handle in [round.wrapping_add(1), round] {
            for (expect, right) in [(old, false), (new, true)] {
                let check = keywright_store::Batch::check(site.account.clone(), Some(expect));
                let said = site.commit_through(handle, check).await?;
                holds!(said == right, Acknowledged, "after the reply of {new:?}, a check of {expect:?} says {said}");
            }
        }
    }
    ended_sessions_are_seen(&store).await
}

/// The same beside a writer: if a check reported that a root is still current, this was true at
/// some moment during the check.
async fn ended_sessions_are_seen(store: &Handles) -> Result<(), Violation> {
    for round in 0..60 {
        let (site, root) = Site::made(store).await?;
        let asked = {
            let site = site.clone();
            tokio::spawn(async move {
                pause(round % 5).await;
                // This was acknowledged before the check started, so the check must fail.
                let seen = site.load_through(round, &[]).await?.root.map(|seen| seen.revision);
                let ended = seen != Some(root);
                Ok::<_, Violation>((ended, site.still(Some(root)).await?))
            })
        };
        pause(round % 4).await;
        site.land(Some(root), next()?).await?;
        let (ended, stands) = asked.await.map_err(Violation::suite)??;
        holds!(!(ended && stands), Acknowledged, "a check says that a root stands which was seen to be replaced");
    }
    Ok(())
}

/// A record whose `purge_after` is long past is loaded like any other until a sweep drops it, and
/// so is a record of a partition whose own is. The caller owns the clock.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn loads_never_filter_by_age(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let slots = [slot(1), slot(2), SINGLE];
    let put = slots.iter().map(|&slot| put_until(slot, "old", LONG_AGO)).collect();
    let write = Write { put, purge_after: Some(LONG_AGO), events: vec![event(1)], ..next()? };
    let root = site.land(None, write).await?;
    let seen = site.load(&slots).await?;
    let there = seen.records.iter().flatten().count();
    holds!(there == slots.len(), NoFilter, "{there} of {} records that are due for a sweep are loaded", slots.len());
    holds!(
        seen.root.is_some_and(|seen| seen.revision == root),
        NoFilter,
        "a root that is due for a sweep is not loaded"
    );
    holds!(!site.commit(None, next()?).await?, NoFilter, "a root that is due for a sweep was taken for absent");
    let events = site.numbers(EventChain::Changes).await?;
    holds!(events == [1], NoFilter, "a partition that is due for a sweep lists the events {events:?}");
    holds!(site.still(Some(root)).await?, NoFilter, "a root that is due for a sweep no longer stands");
    Ok(())
}
