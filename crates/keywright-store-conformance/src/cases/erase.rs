//! An erase removes everything except what its own batch puts and the events, even against
//! concurrent writers.

use keywright_core::EventChain;
use keywright_store::{Revision, SlotName, Write};

use crate::backend::Handles;
use crate::site::{LONG_AGO, SINGLE, Site, denial, draw, event, next, pause, put, put_until, puts, slot, together};
use crate::violation::{Violation, holds};

const SLOTS: [SlotName; 7] = [slot(0), slot(1), slot(2), slot(3), slot(0x80), slot(0xff), SINGLE];

/// Fills a partition with permanent and expiring records. Returns the root's revision.
async fn fill(site: &Site) -> Result<Revision, Violation> {
    let lasting = SLOTS.iter().map(|&slot| put(slot, "a"));
    let put: Vec<_> = lasting.filter(|put| put.slot != slot(3)).chain([put_until(slot(3), "a", LONG_AGO)]).collect();
    site.land(None, Write { put, events: vec![event(1), denial(1)], ..next()? }).await
}

async fn left(site: &Site) -> Result<Vec<SlotName>, Violation> {
    let seen = site.load(&SLOTS).await?;
    Ok(SLOTS.into_iter().zip(seen.records).filter_map(|(slot, body)| body.map(|_| slot)).collect())
}

/// An erase drops every record that its batch does not put, including expiring ones. It keeps those
/// that its batch puts, even where they existed before, and even where the batch deletes them as
/// well.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn erase_drops_what_it_does_not_put(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let root = fill(&site).await?;
    let write = Write { erase: true, delete: vec![slot(0)], ..puts(vec![put(slot(1), "kept"), put(slot(7), "new")])? };
    let root = site.land(Some(root), write).await?;
    let left = left(&site).await?;
    holds!(left == [slot(1)], Erase, "after an erase that keeps {}, these are left: {left:?}", slot(1));
    for (slot, body) in [(slot(1), "kept"), (slot(7), "new")] {
        let seen = site.one(slot).await?;
        holds!(seen.as_deref() == Some(body.as_bytes()), Erase, "{slot}, which the erase itself puts, holds {seen:?}");
    }
    // The erased partition can be used like any other. A second erase leaves the root alone.
    let root = site.land(Some(root), puts(vec![put(slot(2), "after")])?).await?;
    let root = site.land(Some(root), Write { erase: true, ..next()? }).await?;
    let seen = site.load(&SLOTS).await?;
    holds!(seen.records.iter().all(Option::is_none), Erase, "records outlived a second erase");
    holds!(seen.root.is_some_and(|seen| seen.revision == root), Erase, "an erase took its own root along");
    Ok(())
}

/// An erase keeps the events and adds its own. Later events have greater numbers.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn erase_keeps_the_events(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let root = fill(&site).await?;
    let root = site.land(Some(root), Write { erase: true, events: vec![event(2)], ..next()? }).await?;
    site.land(Some(root), Write { events: vec![event(3), denial(2)], ..next()? }).await?;
    let seen = (site.numbers(EventChain::Changes).await?, site.numbers(EventChain::Denials).await?);
    holds!(seen == (vec![3, 2, 1], vec![2, 1]), Events, "after an erase, the logs list {seen:?}");
    let newest = site.load(&[]).await?.newest;
    holds!((newest.changes, newest.denials) == (3, 2), Events, "after an erase, the newest are {newest:?}");
    Ok(())
}

/// An erase whose guard fails erases nothing.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn erase_in_conflict_drops_nothing(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let root = fill(&site).await?;
    let before = site.load(&SLOTS).await?;
    for expect in [None, Some(draw()?)] {
        let landed = site.commit(expect, Write { erase: true, ..next()? }).await?;
        holds!(!landed, Guard, "an erase that expects {expect:?} was applied to a root at {root:?}");
        holds!(site.load(&SLOTS).await? == before, AllOrNothing, "an erase in conflict dropped or changed something");
    }
    Ok(())
}

/// An erase touches no other partition.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn erase_keeps_other_partitions(store: Handles) -> Result<(), Violation> {
    // The name of one begins with the name of the other, so a comparison by prefix would be
    // noticed.
    let erased = Site::named(&store, "erase")?;
    let others = [Site::named(&store, "erase-not")?, Site::named(&store, "eras")?, Site::named(&store, "ERASE")?];
    let root = fill(&erased).await?;
    let mut before = Vec::new();
    for other in &others {
        fill(other).await?;
        before.push(other.load(&SLOTS).await?);
    }
    erased.land(Some(root), Write { erase: true, ..next()? }).await?;
    for (other, before) in others.iter().zip(before) {
        holds!(other.load(&SLOTS).await? == before, Partitions, "an erase changed {:?}", other.account);
    }
    Ok(())
}

/// How many records a creator makes at most before it stops waiting for the erase.
const RECORDS: u8 = 8;

/// An erase against 32 creators on two handles, 6 times. Whatever was made on a root before the
/// erase's own is removed, however late it arrives.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn erase_beats_32_creators(store: Handles) -> Result<(), Violation> {
    for _ in 0..6 {
        let (site, _) = Site::made(&store).await?;
        let made = together(33, |number| {
            let site = site.clone();
            async move { if number == 32 { erase_soon(&site).await.map(|()| 0) } else { create(&site, number).await } }
        })
        .await?;
        let made: usize = made.into_iter().sum();
        let all: Vec<SlotName> = (0..32).flat_map(|task| (0..RECORDS).map(move |round| created(task, round))).collect();
        let survivors = site.count(&all).await?;
        holds!(survivors == 0, Erase, "{survivors} of {made} records made before an erase survived it");
    }
    Ok(())
}

fn created(task: usize, round: u8) -> SlotName {
    let mut id = [round; 16];
    id[..8].copy_from_slice(&task.to_be_bytes());
    SlotName::new(slot(0).kind(), Some(id))
}

/// The body that shows creators that they are too late.
const ERASED: &[u8] = b"erased";

/// Puts records until the root is that of an erase. Returns how many were applied.
async fn create(site: &Site, task: usize) -> Result<usize, Violation> {
    let mut made = 0;
    while made < RECORDS {
        let Some(root) = site.load_through(task, &[]).await?.root else {
            return Err(Violation::suite("the root went away"));
        };
        if *root.body == *ERASED {
            break;
        }
        let write = puts(vec![put(created(task, made), "survivor")])?;
        made = made.saturating_add(u8::from(site.commit_through(task, site.batch(Some(root.revision), write)?).await?));
        pause(1).await;
    }
    Ok(made.into())
}

async fn erase_soon(site: &Site) -> Result<(), Violation> {
    // Lets some creators write before it and some after.
    pause(8).await;
    loop {
        let Some(root) = site.load_through(1, &[]).await?.root else {
            return Err(Violation::suite("the root went away"));
        };
        let write = Write { erase: true, ..Write::root(draw()?, ERASED.into()) };
        if site.commit_through(1, site.batch(Some(root.revision), write)?).await? {
            return Ok(());
        }
    }
}
