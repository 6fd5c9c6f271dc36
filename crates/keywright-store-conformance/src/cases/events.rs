//! Events: newest first, with their change, never lost, past an erase.

use std::collections::BTreeSet;
use std::sync::Arc;

use keywright_core::{Door, EventKind, Reason, SecurityEvent};
use keywright_store::{EventId, Expect, Slot};

use crate::site::{LONG_AGO, Site, at, check, host, put, together};
use crate::violation::holds;
use crate::{Backend, Violation};

fn numbered(number: u64) -> SecurityEvent {
    // Their clock runs backwards: the order is that of the log, not of the time.
    SecurityEvent::new(LONG_AGO.minus(number), EventKind::SessionOpened)
}

fn number_of(event: &SecurityEvent) -> u64 {
    LONG_AGO.since(event.at)
}

/// Events are listed newest first, whatever their time says, in pages that neither repeat nor skip one.
///
/// # Errors
/// What was broken.
pub async fn events_are_listed_newest_first(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    for three in [[1, 2, 3], [4, 5, 6], [7, 8, 9]] {
        let events = three.map(numbered).to_vec();
        site.land(site.beside(root, Vec::new())?.with_events(events)).await?;
    }
    let all = site.events().await?;
    let listed: Vec<u64> = all.iter().map(|(_, event)| number_of(event)).collect();
    holds!(listed == [9, 8, 7, 6, 5, 4, 3, 2, 1], EventOrder, "nine events are listed as {listed:?}");
    let falling = all.windows(2).all(|pair| matches!(pair, [(a, _), (b, _)] if a > b));
    holds!(falling, EventOrder, "a later event has no greater id");
    for limit in [1, 2, 4, 9, 10] {
        let mut paged = Vec::new();
        let mut before: Option<EventId> = None;
        loop {
            let page = store.events(&site.account, before, limit).await?;
            holds!(page.len() <= limit as usize, EventOrder, "a page of {limit} has {} events", page.len());
            let Some((last, _)) = page.last() else { break };
            before = Some(*last);
            paged.extend(page);
            holds!(paged.len() <= all.len(), EventOrder, "pages of {limit} repeat an event");
        }
        holds!(paged == all, EventOrder, "pages of {limit} give {} of {} events", paged.len(), all.len());
    }
    let none = store.events(&site.account, None, 0).await?;
    holds!(none.is_empty(), EventOrder, "a page of 0 has {} events", none.len());
    Ok(())
}

/// Every kind of event comes back as it was; several in one batch, and one in a batch of checks.
///
/// # Errors
/// What was broken.
pub async fn events_come_back_as_they_were(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let door = Door::Challenge;
    let action = || "a.b \u{e9}\"\\".to_owned();
    let kinds = vec![
        EventKind::AccountCreated,
        EventKind::GuessDenied { door, reason: Reason::Wrong },
        EventKind::DoorPaused { door, until: LONG_AGO },
        EventKind::ConfirmationAsked { action: action() },
        EventKind::ConfirmationDenied { action: action(), reason: Reason::Expired },
    ];
    let events: Vec<SecurityEvent> = kinds.into_iter().map(|kind| SecurityEvent::new(LONG_AGO, kind)).collect();
    let batch = site.batch(vec![check(Slot::Root, at(root))])?.with_events(events.clone());
    site.land(batch).await?;
    let seen: Vec<SecurityEvent> = site.events().await?.into_iter().rev().map(|(_, event)| event).collect();
    holds!(seen == events, Events, "{} events came back as {seen:?}", events.len());
    Ok(())
}

/// 16 tasks write on one account at once; each landed batch has its event in the log, and nothing else is there.
///
/// # Errors
/// What was broken.
pub async fn events_are_never_lost(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let landed = together(16, |task| {
        let site = site.clone();
        async move {
            let mut landed = Vec::new();
            let mut old = None;
            for turn in 0..8 {
                let number = (u64::from(task) << 3) | turn;
                let expect = old.map_or(Expect::Absent, at);
                let batch = || {
                    let batch = site.beside(root, vec![put(host(task), expect, "a")])?;
                    Ok(batch.with_events(vec![numbered(number)]))
                };
                old = site.contend(host(task), old, batch).await?;
                landed.extend(old.map(|_| number));
            }
            Ok(landed)
        }
    })
    .await?;
    let landed: BTreeSet<u64> = landed.into_iter().flatten().collect();
    let all = site.events().await?;
    let listed: BTreeSet<u64> = all.iter().map(|(_, event)| number_of(event)).collect();
    let lost = landed.difference(&listed).count();
    holds!(lost == 0, Events, "{lost} of {} events are lost", landed.len());
    holds!(all.len() == landed.len(), Events, "{} batches left {} events", landed.len(), all.len());
    Ok(())
}

/// An erase keeps the log and adds its own events; what comes after has greater ids.
///
/// # Errors
/// What was broken.
pub async fn events_outlive_an_erase(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    site.land(site.beside(root, Vec::new())?.with_events(vec![numbered(1), numbered(2)])).await?;
    let erase = site.batch(vec![put(Slot::Root, at(root), "erased")])?.with_erase()?.with_events(vec![numbered(3)]);
    let root = site.land(erase).await?;
    site.land(site.beside(root, Vec::new())?.with_events(vec![numbered(4)])).await?;
    let listed: Vec<u64> = site.events().await?.iter().map(|(_, event)| number_of(event)).collect();
    holds!(listed == [4, 3, 2, 1], Events, "after an erase, four events are listed as {listed:?}");
    Ok(())
}
