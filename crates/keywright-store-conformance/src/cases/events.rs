//! Events are stored unaltered and with their change, are listed newest first, are never lost, and
//! outlive an erase.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use keywright_core::EventChain;
use keywright_store::{CommitError, EventNumber, Revision, StoredEvent, Write};

use crate::backend::Handles;
use crate::site::{LONG_AGO, Site, Watch, denial, event, event_at, next, pause, put, puts, slot, together};
use crate::violation::{Violation, holds};

/// Events are returned with their chain, number, moment, bytes and the head before them, unaltered.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn events_come_back_as_they_were(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let odd = r#"{"kind":"case","text":"é \"\\ \u0000 \ud83d\ude00","spaces" :  1.50}"#;
    let moments = [keywright_core::UnixSeconds::EPOCH, LONG_AGO, keywright_core::UnixSeconds::MAX];
    let mut events = Vec::new();
    for chain in EventChain::ALL {
        for (number, at) in (1..).zip(moments) {
            let prev = [u8::try_from(number).unwrap_or(0); 32];
            events.push(StoredEvent { json: Bytes::from_static(odd.as_bytes()), prev, ..event_at(chain, number, at) });
        }
    }
    site.land(Some(root), Write { events: events.clone(), ..next()? }).await?;
    for chain in EventChain::ALL {
        let mut seen = site.events(chain).await?;
        seen.reverse();
        let right: Vec<&StoredEvent> = events.iter().filter(|event| event.chain == chain).collect();
        holds!(seen.iter().eq(right), Events, "the events of {chain:?} came back as {seen:?}");
    }
    Ok(())
}

/// The two chains are listed separately, highest number first whatever their times are, in pages
/// that neither repeat nor skip an event, with the root's revision.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn events_are_paged_newest_first(store: Handles) -> Result<(), Violation> {
    let bare = Site::bare(&store)?;
    let page = store.records(0).events(&bare.account, EventChain::Changes, None, 10).await?;
    holds!(page.root.is_none() && page.events.is_empty(), EventPages, "an empty partition has the page {page:?}");
    let (site, mut root) = Site::made(&store).await?;
    for first in [1_u64, 4, 7] {
        // Their clock runs backwards, so the order can only be that of the numbers.
        let numbers = first..first.saturating_add(3);
        let events = numbers.map(|number| event_at(EventChain::Changes, number, LONG_AGO.minus(number)));
        let events = events.chain([denial(first), denial(first.saturating_add(1))]).collect();
        root = site.land(Some(root), Write { events, ..next()? }).await?;
    }
    for (chain, right) in
        [(EventChain::Changes, vec![9, 8, 7, 6, 5, 4, 3, 2, 1]), (EventChain::Denials, vec![8, 7, 5, 4, 2, 1])]
    {
        for limit in [1, 2, 4, 9, 10] {
            let mut paged: Vec<EventNumber> = Vec::new();
            loop {
                let before = paged.last().copied();
                let page = store.records(paged.len()).events(&site.account, chain, before, limit).await?;
                holds!(page.root == Some(root), EventPages, "a page of events has the root {:?}", page.root);
                let count = page.events.len();
                holds!(count <= limit as usize, EventPages, "a page of {limit} has {count} events");
                if count == 0 {
                    break;
                }
                paged.extend(page.events.iter().map(|event| event.number));
                holds!(paged.len() <= right.len(), EventPages, "pages of {limit} repeat an event: {paged:?}");
            }
            holds!(paged == right, EventPages, "pages of {limit} list {paged:?} of {right:?}");
        }
        let none = store.records(1).events(&site.account, chain, None, 0).await?;
        holds!(none.events.is_empty(), EventPages, "a page of 0 has {} events", none.events.len());
        let before = store.records(0).events(&site.account, chain, Some(4), 2).await?.events;
        let numbers: Vec<EventNumber> = before.iter().map(|event| event.number).collect();
        let expected: Vec<EventNumber> = right.iter().copied().filter(|number| *number < 4).take(2).collect();
        holds!(numbers == expected, EventPages, "before number 4, a page lists {numbers:?}");
    }
    Ok(())
}

/// A writer appends an event with each root. No page through the other handle shows the events of
/// one state with the root of another.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn event_pages_carry_their_root(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let watch = Arc::new(Watch::default());
    let root = site.land(None, numbered(1)?).await?;
    together(3, |number| {
        let (site, watch) = (site.clone(), Arc::clone(&watch));
        async move {
            if number == 0 {
                let result = append_often(&site, root, &watch).await;
                watch.end();
                return result;
            }
            while watch.look() {
                let page = site.handles.records(number).events(&site.account, EventChain::Changes, None, 1).await?;
                let newest = page.events.first().map_or(0, |event| event.number);
                let of_root = page.root.map(number_of);
                holds!(of_root == Some(newest), EventPages, "a page with event {newest} has the root of {of_root:?}");
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

/// A write with one event, whose number is also the root's revision.
fn numbered(number: EventNumber) -> Result<Write, Violation> {
    let mut revision = [0xee; 16];
    revision[8..].copy_from_slice(&number.to_be_bytes());
    let root = Write::root(Revision::from_bytes(revision), "numbered".into());
    Ok(Write { events: vec![event(number)], ..root })
}

fn number_of(revision: Revision) -> EventNumber {
    let [.., a, b, c, d, e, f, g, h] = revision.to_bytes();
    EventNumber::from_be_bytes([a, b, c, d, e, f, g, h])
}

async fn append_often(site: &Site, mut root: Revision, watch: &Watch) -> Result<(), Violation> {
    for number in 2..u64::MAX {
        if number >= 150 && watch.looks() >= 400 {
            break;
        }
        root = site.land(Some(root), numbered(number)?).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// 16 tasks on two handles write to one account at once. Each batch that was applied has its event
/// in the log, under the number that the batch chose, and the log has no other event.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn events_are_never_lost(store: Handles) -> Result<(), Violation> {
    let (site, _) = Site::made(&store).await?;
    let landed = together(16, |task| {
        let site = site.clone();
        async move {
            let mut landed = Vec::new();
            while landed.len() < 6 {
                let seen = site.load_through(task, &[]).await?;
                let number = seen.newest.changes.saturating_add(1);
                let write = Write { events: vec![event(number)], ..next()? };
                let batch = site.batch(seen.root.map(|root| root.revision), write)?;
                if site.commit_through(task, batch).await? {
                    landed.push(number);
                }
                pause(1).await;
            }
            Ok(landed)
        }
    })
    .await?;
    let landed: Vec<EventNumber> = landed.into_iter().flatten().collect();
    let distinct: BTreeSet<EventNumber> = landed.iter().copied().collect();
    holds!(distinct.len() == landed.len(), Events, "two batches that landed appended the same number");
    let listed: BTreeSet<EventNumber> = site.numbers(EventChain::Changes).await?.into_iter().collect();
    holds!(listed == distinct, Events, "{} events were appended, {} are listed", distinct.len(), listed.len());
    Ok(())
}

/// A batch with an event number that is already taken is rejected as a whole. The number is free in
/// the other chain and in another partition. If the batch is also in conflict, the conflict may be
/// reported instead.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn taken_event_number_is_rejected(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let root = site.land(Some(root), Write { events: vec![event(1), event(2)], ..next()? }).await?;
    let root = site.land(Some(root), Write { events: vec![denial(1)], ..puts(vec![put(slot(1), "a")])? }).await?;
    let before = (site.load(&[slot(1), slot(2)]).await?, site.events(EventChain::Changes).await?);
    for events in [vec![event(1)], vec![event(2)], vec![denial(2), event(3), event(2)]] {
        let other = StoredEvent { json: r#"{"kind":"other"}"#.into(), ..event(1) };
        for events in [
            events.clone(),
            events
                .into_iter()
                .map(|event| StoredEvent { number: event.number, chain: event.chain, ..other.clone() })
                .collect(),
        ] {
            let write = Write { put: vec![put(slot(2), "b")], delete: vec![slot(1)], events, ..next()? };
            let said = store.records(0).commit(site.batch(Some(root), write)?).await;
            let rejected = matches!(said, Err(CommitError::Rejected(_)));
            holds!(rejected, EventNumbers, "a number that is taken was answered with {said:?}");
            let after = (site.load(&[slot(1), slot(2)]).await?, site.events(EventChain::Changes).await?);
            holds!(after == before, EventNumbers, "a rejected batch turned {before:?} into {after:?}");
        }
    }
    let stale = site.batch(None, Write { events: vec![event(1)], ..next()? })?;
    holds!(site.is_refused(stale, true).await?, EventNumbers, "a batch with two reasons against it was applied");
    let denials = Write { events: vec![denial(2)], ..next()? };
    site.land(Some(root), denials).await?;
    let other = Site::bare(&store)?;
    other.land(None, Write { events: vec![event(1), event(2)], ..next()? }).await?;
    Ok(())
}

/// A load reports the highest number of each chain, or 0 for an empty chain. It is not a count, not
/// the last event by time, and not a number of the other chain.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn newest_is_the_highest_number(store: Handles) -> Result<(), Violation> {
    let (site, mut root) = Site::made(&store).await?;
    let newest = async || -> Result<_, Violation> {
        let newest = site.load(&[]).await?.newest;
        Ok((newest.changes, newest.denials))
    };
    holds!(newest().await? == (0, 0), Newest, "a partition without events has the newest {:?}", newest().await?);
    let late = |number| event_at(EventChain::Changes, number, LONG_AGO.plus(100).minus(number));
    type Step = (Vec<StoredEvent>, Vec<(EventChain, EventNumber)>, (u64, u64));
    let steps: [Step; 4] = [
        (vec![denial(1)], vec![], (0, 1)),
        (vec![late(1), late(2), late(3)], vec![], (3, 1)),
        // Forgetting events at the old end does not change the newest.
        (vec![late(4)], vec![(EventChain::Changes, 3)], (4, 1)),
        (vec![denial(2), denial(3)], vec![(EventChain::Denials, 3)], (4, 3)),
    ];
    for (events, forget, right) in steps {
        root = site.land(Some(root), Write { events, forget, ..next()? }).await?;
        let seen = newest().await?;
        holds!(seen == right, Newest, "the newest numbers are {right:?}, a load reports {seen:?}");
    }
    Ok(())
}

/// A write forgets the events below a number in one chain, and nothing at or above it, in the other
/// chain or in another partition.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn forget_drops_the_old_end_alone(store: Handles) -> Result<(), Violation> {
    let five = || -> Result<Write, Violation> {
        let events = (1..=5).flat_map(|number| [event(number), denial(number)]).collect();
        Ok(Write { events, ..next()? })
    };
    let (site, other) = (Site::bare(&store)?, Site::bare(&store)?);
    let root = site.land(None, five()?).await?;
    other.land(None, five()?).await?;
    let root = site.land(Some(root), Write { forget: vec![(EventChain::Changes, 3)], ..next()? }).await?;
    let seen = (site.numbers(EventChain::Changes).await?, site.numbers(EventChain::Denials).await?);
    holds!(seen == (vec![5, 4, 3], vec![5, 4, 3, 2, 1]), Forget, "below 3 of the changes forgotten, {seen:?} are left");
    let both = vec![(EventChain::Changes, 1), (EventChain::Denials, 5)];
    site.land(Some(root), Write { forget: both, ..next()? }).await?;
    let seen = (site.numbers(EventChain::Changes).await?, site.numbers(EventChain::Denials).await?);
    holds!(seen == (vec![5, 4, 3], vec![5]), Forget, "below 5 of the denials forgotten, {seen:?} are left");
    let foreign = other.numbers(EventChain::Changes).await?.len();
    holds!(foreign == 5, Forget, "to forget events left another partition {foreign} of 5");
    Ok(())
}
