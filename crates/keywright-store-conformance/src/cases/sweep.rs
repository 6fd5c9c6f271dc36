//! Sweeps drop what lies before the horizon at the moment of deletion, and nothing else.

use keywright_core::EventChain;
use keywright_store::{Batch, HORIZON_STEP, Revision, SlotName, Write};

use crate::backend::Handles;
use crate::site::{LONG_AGO, SINGLE, Site, event, leads, meet, next, pause, put, put_until, puts, slot};
use crate::violation::{Violation, holds};

/// A sweep drops the records whose `purge_after` lies before the horizon. Those at the horizon or
/// later stay, whatever any clock shows. Without a horizon, nothing is dropped.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn sweep_drops_what_lies_before_the_horizon(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let moments = [LONG_AGO.minus(1), LONG_AGO, LONG_AGO.plus(1), LONG_AGO.minus(900_000)];
    let put: Vec<_> = (1..).zip(moments).map(|(id, due)| put_until(slot(id), "a", due)).collect();
    let slots: Vec<SlotName> = put.iter().map(|put| put.slot).collect();
    let root = site.land(Some(root), puts(put)?).await?;
    // All of them have expired by the clock of any machine.
    let early = site.sweep(100).await?;
    holds!(early == 0, Sweep, "without a horizon a sweep dropped {early} records");
    holds!(site.count(&slots).await? == 4, Sweep, "without a horizon a sweep dropped records");
    site.move_horizon(LONG_AGO).await?;
    let dropped = site.sweep(100).await?;
    let seen = site.load(&slots).await?;
    let left: Vec<bool> = seen.records.iter().map(Option::is_some).collect();
    holds!(left == [false, true, true, false], Sweep, "of four records, 1 and 4 due, a sweep left {left:?}");
    holds!(dropped == 2, Sweep, "a sweep of two records says that it dropped {dropped}");
    holds!(seen.root.is_some_and(|seen| seen.revision == root), Sweep, "a sweep of records moved the root");
    Ok(())
}

/// A record without an expiry, a partition without one, and events are never swept.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn sweep_keeps_what_does_not_expire(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let put = vec![put(slot(1), "lasts"), put(SINGLE, "lasts"), put_until(slot(2), "a", LONG_AGO.minus(1))];
    site.land(Some(root), Write { put, events: vec![event(1)], ..next()? }).await?;
    site.move_horizon(LONG_AGO.plus(5)).await?;
    site.move_horizon(LONG_AGO.plus(10 * 86_400)).await?;
    for _ in 0..3 {
        site.sweep(100).await?;
    }
    let seen = site.load(&[slot(1), SINGLE, slot(2)]).await?;
    let left: Vec<bool> = seen.records.iter().map(Option::is_some).collect();
    holds!(left == [true, true, false], Sweep, "of two records that last and one that is due, a sweep left {left:?}");
    holds!(seen.root.is_some(), Sweep, "a sweep took a root that does not expire");
    holds!(seen.newest.changes == 1, Sweep, "a sweep took an event");
    Ok(())
}

/// A sweep drops no more than its limit, and returns how many it dropped. Further sweeps drop the
/// rest.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn sweep_keeps_to_its_limit(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let slots: Vec<SlotName> = (0..10).map(slot).collect();
    let put = slots.iter().map(|&slot| put_until(slot, "a", LONG_AGO.minus(1))).collect();
    site.land(Some(root), puts(put)?).await?;
    site.move_horizon(LONG_AGO).await?;
    for (limit, right, left) in [(0, 0, 10), (3, 3, 7), (4, 4, 3), (100, 3, 0), (100, 0, 0)] {
        let dropped = site.sweep(limit).await?;
        holds!(dropped == right, Sweep, "at a limit of {limit}, a sweep says that it dropped {dropped}, not {right}");
        let seen = site.count(&slots).await?;
        holds!(seen == left, Sweep, "at a limit of {limit}, a sweep left {seen} records, not {left}");
    }
    Ok(())
}

/// The last put of a record decides when it is removed, whether the expiry was extended, shortened,
/// taken back, or added later.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn last_put_decides_the_expiry(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let (due, later) = (Some(LONG_AGO.minus(1)), Some(LONG_AGO.plus(1)));
    let histories = [(due, later), (later, due), (due, None), (None, due)];
    let with = |slot, purge_after| keywright_store::Put { purge_after, ..put(slot, "a") };
    let slots: Vec<SlotName> = (0..4).map(slot).collect();
    let first = slots.iter().zip(histories).map(|(&slot, (first, _))| with(slot, first)).collect();
    let root = site.land(Some(root), puts(first)?).await?;
    let last = slots.iter().zip(histories).map(|(&slot, (_, last))| with(slot, last)).collect();
    site.land(Some(root), puts(last)?).await?;
    site.move_horizon(LONG_AGO).await?;
    site.sweep(100).await?;
    let seen = site.load(&slots).await?;
    let left: Vec<bool> = seen.records.iter().map(Option::is_some).collect();
    holds!(left == [true, false, true, false], Sweep, "extended, shortened, taken back, given: a sweep left {left:?}");
    Ok(())
}

/// How often a sweep races with a commit.
const MEETINGS: usize = 154;

/// A sweep races with a put through the other handle that takes the record's expiry back.
/// Afterwards the record is present, whichever came first, because a sweep judges a record as it is
/// when it deletes it.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn sweep_judges_as_it_deletes(store: Handles) -> Result<(), Violation> {
    let (site, mut root) = Site::made(&store).await?;
    site.move_horizon(LONG_AGO).await?;
    for round in 0..MEETINGS {
        root = site.land(Some(root), puts(vec![put_until(slot(1), "due", LONG_AGO.minus(1))])?).await?;
        let write = puts(vec![put(slot(1), "lasts")])?;
        let revision = write.revision;
        let landed = beside_a_sweep(&site, round, site.batch(Some(root), write)?).await?;
        holds!(landed, Guard, "a sweep of records made a commit conflict");
        root = revision;
        let seen = site.one(slot(1)).await?;
        holds!(seen.as_deref() == Some(b"lasts"), Sweep, "a sweep took a record that was put to last beside it");
    }
    Ok(())
}

/// Runs a commit through one handle beside a sweep through the other. Returns whether the commit
/// was applied.
async fn beside_a_sweep(site: &Site, round: usize, batch: Batch) -> Result<bool, Violation> {
    let (lead, delay) = leads(round);
    let (sweeper, committer) = (site.clone(), site.clone());
    let sweep = async move {
        pause(lead).await;
        sweeper.handles.upkeep(round.wrapping_add(1)).sweep(100).await.map_err(Violation::Commit)
    };
    let commit = async move {
        pause(delay).await;
        committer.commit_through(round, batch).await
    };
    meet(sweep, commit).await.map(|(_, landed)| landed)
}

async fn expiring(store: &Handles, due: keywright_core::UnixSeconds) -> Result<(Site, Revision), Violation> {
    let site = Site::bare(store)?;
    let put = vec![put(slot(1), "lasts"), put_until(slot(2), "a", LONG_AGO.plus(1_000)), put(SINGLE, "a")];
    let root = site.land(None, Write { purge_after: Some(due), put, events: vec![event(1)], ..next()? }).await?;
    Ok((site, root))
}

/// A partition whose own expiry lies before the horizon is dropped with everything in it: root,
/// permanent records, events. A partition at the horizon or later stays whole.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn partitions_are_swept_whole(store: Handles) -> Result<(), Violation> {
    let (gone, _) = expiring(&store, LONG_AGO.minus(1)).await?;
    let (stays, root) = expiring(&store, LONG_AGO).await?;
    gone.move_horizon(LONG_AGO).await?;
    let dropped = gone.sweep(100).await?;
    holds!(dropped == 1, Sweep, "a sweep of one partition says that it dropped {dropped}");
    let slots = [slot(1), slot(2), SINGLE];
    let seen = gone.load(&slots).await?;
    holds!(seen.root.is_none(), Sweep, "a partition that is due was not swept");
    let empty = seen.records.iter().all(Option::is_none) && seen.newest.changes == 0;
    holds!(empty && !seen.has_rows, Sweep, "a partition was swept and left {seen:?}");
    let events = gone.numbers(EventChain::Changes).await?;
    holds!(events.is_empty(), Sweep, "a partition was swept and left the events {events:?}");
    let seen = stays.load(&slots).await?;
    let whole = seen.records.iter().all(Option::is_some) && seen.newest.changes == 1;
    let own = seen.root.is_some_and(|seen| seen.revision == root);
    holds!(whole && own, Sweep, "a partition that is due at the horizon was swept, or in part");
    let listed = store.upkeep(0).partitions(None, 100).await?;
    holds!(listed == [stays.account], Sweep, "after a sweep, these partitions are listed: {listed:?}");
    Ok(())
}

/// Each commit sets again when its partition expires, and a commit that sets no expiry keeps the
/// partition. A sweep that races with such a commit either drops the whole partition, so that the
/// commit is a conflict, or drops nothing.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn kept_partition_is_not_swept(store: Handles) -> Result<(), Violation> {
    let (site, root) = expiring(&store, LONG_AGO.minus(1)).await?;
    // Made before there is a horizon, because a horizon would keep partitions that are made behind
    // it. Each round is due a second after the last.
    let mut due = LONG_AGO.plus(10);
    let mut meetings = Vec::new();
    for _ in 0..MEETINGS {
        meetings.push(expiring(&store, due).await?);
        due = due.plus(1);
    }
    let (other, extended) = expiring(&store, LONG_AGO.minus(1)).await?;
    let root = site.land(Some(root), next()?).await?;
    other.land(Some(extended), Write { purge_after: Some(LONG_AGO.plus(1)), ..next()? }).await?;
    site.move_horizon(LONG_AGO).await?;
    site.sweep(100).await?;
    holds!(site.root().await? == Some(root), Sweep, "a partition was swept by an expiry that was taken back");
    holds!(other.root().await?.is_some(), Sweep, "a partition was swept by an expiry that was extended");
    let slots = [slot(1), slot(2), SINGLE];
    let mut horizon = LONG_AGO.plus(10);
    for (round, (site, root)) in meetings.into_iter().enumerate() {
        horizon = horizon.plus(1);
        site.move_horizon(horizon).await?;
        let batch = site.batch(Some(root), puts(vec![put(slot(3), "kept")])?)?;
        let landed = beside_a_sweep(&site, round, batch).await?;
        let seen = site.load(&slots).await?;
        let there = seen.records.iter().flatten().count();
        if landed {
            let whole = seen.root.is_some() && there == 3 && seen.newest.changes == 1;
            holds!(whole, Sweep, "a partition that a commit kept was swept, or in part: {seen:?}");
        } else {
            let gone = seen.root.is_none() && there == 0 && !seen.has_rows;
            holds!(gone, Sweep, "a commit met a sweep, was a conflict, and left {seen:?}");
        }
    }
    Ok(())
}

/// A partition that is put with an expiry less than a day after the horizon, whether created or
/// written again, is kept until a day after the horizon. A writer whose clock is behind must not
/// lose it while one of its commits may still arrive.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn late_partition_is_kept_a_day(store: Handles) -> Result<(), Violation> {
    let sites = [Site::bare(&store)?, Site::bare(&store)?, Site::bare(&store)?];
    let [made, again, lasts] = &sites;
    let until = |moment| Ok::<_, Violation>(Write { purge_after: Some(moment), ..next()? });
    let root = again.land(None, next()?).await?;
    made.move_horizon(LONG_AGO).await?;
    made.land(None, until(LONG_AGO.minus(9 * HORIZON_STEP))?).await?;
    again.land(Some(root), until(LONG_AGO.plus(HORIZON_STEP - 1))?).await?;
    let later = LONG_AGO.plus(HORIZON_STEP + 2);
    lasts.land(None, until(later)?).await?;
    for (moment, left) in [
        (LONG_AGO, [true, true, true]),
        (LONG_AGO.plus(HORIZON_STEP), [true, true, true]),
        (LONG_AGO.plus(HORIZON_STEP + 1), [false, false, true]),
        (later.plus(1), [false, false, false]),
    ] {
        made.move_horizon(moment).await?;
        made.sweep(100).await?;
        for (site, left) in sites.iter().zip(left) {
            let seen = site.root().await?.is_some();
            let what = if left { "swept" } else { "kept" };
            holds!(seen == left, Sweep, "at the horizon {moment}, a partition that was put at {LONG_AGO} was {what}");
        }
    }
    Ok(())
}

/// A partition that was swept is like one that never existed: it can be created again, and no guard
/// on its former root holds.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn swept_partition_refuses_an_old_guard(store: Handles) -> Result<(), Violation> {
    let (site, former) = expiring(&store, LONG_AGO.minus(1)).await?;
    site.move_horizon(LONG_AGO).await?;
    site.sweep(100).await?;
    holds!(
        !site.commit(Some(former), next()?).await?,
        NoReuse,
        "a guard on the root of a swept partition was satisfied"
    );
    holds!(!site.still(Some(former)).await?, NoReuse, "the root of a swept partition is said to stand");
    holds!(site.still(None).await?, Guard, "a swept partition is said to have a root");
    let again = site.land(None, Write { events: vec![event(1)], ..puts(vec![put(slot(1), "again")])? }).await?;
    let landed = site.commit(Some(former), puts(vec![put(slot(1), "stale")])?).await?;
    holds!(
        !landed && site.root().await? == Some(again),
        NoReuse,
        "an old guard was satisfied by a partition made anew"
    );
    Ok(())
}
