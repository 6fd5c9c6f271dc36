//! What upkeep finds, that is due partitions and all partitions; and the storage traits under two
//! drivers.

use std::sync::Arc;

use keywright_core::{AccountId, Keyring, ManualClock, SystemEntropy, UnixSeconds};
use keywright_store::due::{self, DUE, NewTask};
use keywright_store::slot::KindName;
use keywright_store::{Draft, Driver, Partition, Revision, SlotName, StepError, StoredSlots, Write};

use crate::backend::Handles;
use crate::site::{LONG_AGO, SINGLE, Site, Watch, event, next, put, put_until, slot, together};
use crate::violation::{Violation, holds};

async fn due_at(store: &Handles, handle: usize, before: UnixSeconds, limit: u32) -> Result<Vec<Partition>, Violation> {
    Ok(store.upkeep(handle).due(before, limit).await?)
}

/// Partitions that are due at or before a moment are found, the earliest first, up to a limit.
/// Others are not.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn due_partitions_are_found(store: Handles) -> Result<(), Violation> {
    let mut sites = Vec::new();
    for (id, after) in [("c", 3), ("a", 5), ("b", 1), ("e", 4), ("d", 2)] {
        let site = Site::named(&store, id)?;
        site.land(None, Write { due_at: Some(LONG_AGO.plus(after)), ..next()? }).await?;
        sites.push((after, site.account));
    }
    Site::made(&store).await?;
    sites.sort_by_key(|(after, _)| *after);
    let sorted: Vec<Partition> = sites.into_iter().map(|(_, account)| account).collect();
    for (moment, limit, count) in [(0, 10, 0), (1, 10, 1), (3, 10, 3), (5, 10, 5), (9, 10, 5), (9, 2, 2), (9, 0, 0)] {
        for handle in [0, 1] {
            let found = due_at(&store, handle, LONG_AGO.plus(moment), limit).await?;
            let right: Vec<Partition> = sorted.iter().take(count).cloned().collect();
            holds!(found == right, Due, "at moment {moment}, limit {limit}, {found:?} are found due");
        }
    }
    Ok(())
}

/// A partition is due at the moment that its last commit names. A partition whose last commit names
/// none, and one that was swept, are not found.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn due_moment_is_the_last_commits(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let other = Site::bare(&store)?;
    let mut root = None;
    for (due, found_at, found_before) in [(5, 5, 4), (2, 2, 1), (9, 9, 8)] {
        root = Some(site.land(root, Write { due_at: Some(LONG_AGO.plus(due)), ..next()? }).await?);
        let (at, before) = (
            due_at(&store, 0, LONG_AGO.plus(found_at), 10).await?,
            due_at(&store, 1, LONG_AGO.plus(found_before), 10).await?,
        );
        let right = at == std::slice::from_ref(&site.account) && before.is_empty();
        holds!(right, Due, "due at {due} by its last commit, a partition is found at {at:?} and before {before:?}");
    }
    site.land(root, next()?).await?;
    let found = due_at(&store, 1, UnixSeconds::MAX, 10).await?;
    holds!(found.is_empty(), Due, "a partition whose last commit owes nothing is found due");
    let write = Write { due_at: Some(LONG_AGO), purge_after: Some(LONG_AGO.minus(1)), ..next()? };
    other.land(None, write).await?;
    other.move_horizon(LONG_AGO).await?;
    other.sweep(100).await?;
    let found = due_at(&store, 0, UnixSeconds::MAX, 10).await?;
    holds!(found.is_empty(), Due, "a partition that was swept is found due");
    Ok(())
}

/// Every partition is listed once, in the order of its key's bytes, in pages of any size, from any
/// start.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn partitions_are_paged_in_order(store: Handles) -> Result<(), Violation> {
    let none = store.upkeep(0).partitions(None, 10).await?;
    holds!(none.is_empty(), Listing, "an empty store lists {none:?}");
    // By bytes alone, upper case comes before lower case, and accents after both.
    let names = ["b", "B", "a", "a-", "a/b", "ab", "Z", "\u{e9}", "e\u{301}", "\u{10ffff}", "_", "10", "9"];
    let mut right = vec![Partition::server(), Partition::name(&[0x0f; 32]), Partition::name(&[0xf0; 32])];
    for name in names {
        right.push(Partition::account(&AccountId::new(name)?));
    }
    for (number, partition) in right.iter().enumerate() {
        let write = match number % 3 {
            0 => next()?,
            1 => Write { put: (0..3).map(|id| put(slot(id), "a")).collect(), ..next()? },
            _ => Write { events: vec![event(1), event(2)], ..next()? },
        };
        Site::of(&store, partition.clone()).land(None, write).await?;
    }
    right.sort_by(|a, b| a.key().as_bytes().cmp(b.key().as_bytes()));
    for limit in [1, 2, 5, 16, 100] {
        let mut listed: Vec<Partition> = Vec::new();
        loop {
            let page = store.upkeep(listed.len()).partitions(listed.last().cloned(), limit).await?;
            holds!(page.len() <= limit as usize, Listing, "a page of {limit} lists {} partitions", page.len());
            if page.is_empty() {
                break;
            }
            listed.extend(page);
            holds!(listed.len() <= right.len(), Listing, "pages of {limit} repeat a partition");
        }
        holds!(listed == right, Listing, "pages of {limit} list {listed:?}");
    }
    // The start may also be a partition that does not exist.
    let after = Partition::account(&AccountId::new("aa")?);
    let expected: Vec<Partition> = right.iter().filter(|partition| partition.key() > after.key()).cloned().collect();
    let page = store.upkeep(0).partitions(Some(after), 100).await?;
    holds!(page == expected, Listing, "after a partition that is not there, {page:?} are listed");
    let none = store.upkeep(1).partitions(None, 0).await?;
    holds!(none.is_empty(), Listing, "a page of 0 lists {} partitions", none.len());
    Ok(())
}

/// Every slot of a partition that holds a record is listed once, in the order of its printed form's
/// bytes, in pages of any size, from any start. The list carries the root's revision, and does not
/// depend on the root's contents. Slots of other partitions are not listed.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn slots_are_paged_in_order(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let (other, other_root) = Site::made(&store).await?;
    let list = async |site: &Site, handle, after, limit| -> Result<StoredSlots, Violation> {
        Ok(store.upkeep(handle).slots(&site.account, after, limit).await?)
    };
    let none = list(&site, 0, None, 10).await?;
    let right = StoredSlots { root: Some(root), slots: Vec::new() };
    holds!(none == right, Listing, "a partition that has only a root lists {none:?}");
    // A family comes after the kinds whose names continue with a hyphen, because a slash is the
    // greater byte.
    let kinds = ["case", "case-2", "c", "ca-se", "z9", "9"].map(KindName::new);
    let ids = [None, Some([0; 16]), Some([0x0f; 16]), Some([0xf0; 16]), Some([0xff; 16])];
    let mut slots: Vec<SlotName> = kinds.iter().flat_map(|kind| ids.map(|id| SlotName::new(*kind, id))).collect();
    let put = slots.iter().map(|slot| match slot.id() {
        Some([0x0f, ..]) => put_until(*slot, "a", LONG_AGO),
        _ => put(*slot, "a"),
    });
    let root = site.land(Some(root), Write { put: put.collect(), ..next()? }).await?;
    let strangers = [slot(7), SINGLE].map(|slot| crate::site::put(slot, "b")).to_vec();
    other.land(Some(other_root), Write { put: strangers, ..next()? }).await?;
    // Deleted records are no longer listed.
    let gone = SlotName::new(KindName::new("c"), Some([0xf0; 16]));
    let root = site.land(Some(root), Write { delete: vec![gone], ..next()? }).await?;
    slots.retain(|slot| *slot != gone);
    slots.sort_by_key(SlotName::to_text);
    for limit in [1, 2, 7, 28, 29, 30, 100] {
        let mut listed: Vec<SlotName> = Vec::new();
        loop {
            let page = list(&site, listed.len(), listed.last().copied(), limit).await?;
            holds!(page.root == Some(root), Listing, "a page of slots has the root {:?}", page.root);
            holds!(page.slots.len() <= limit as usize, Listing, "a page of {limit} lists {} slots", page.slots.len());
            if page.slots.is_empty() {
                break;
            }
            listed.extend(page.slots);
            holds!(listed.len() <= slots.len(), Listing, "pages of {limit} repeat a slot");
        }
        holds!(listed == slots, Listing, "pages of {limit} list {listed:?}");
    }
    // The start may also be a slot that does not exist.
    let expected: Vec<SlotName> = slots.iter().filter(|slot| slot.to_text() > gone.to_text()).copied().collect();
    let page = list(&site, 0, Some(gone), 100).await?;
    holds!(page.slots == expected, Listing, "after a slot that is not there, {:?} are listed", page.slots);
    let none = list(&site, 1, None, 0).await?;
    holds!(none.slots.is_empty(), Listing, "a page of 0 lists {} slots", none.slots.len());
    let nowhere = list(&Site::bare(&store)?, 0, None, 10).await?;
    let right = StoredSlots { root: None, slots: Vec::new() };
    holds!(nowhere == right, Listing, "a partition that is not there lists {nowhere:?}");
    Ok(())
}

/// A writer puts one more slot with each root. No list through the other handle shows the slots of
/// one state with the root of another.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn slots_carry_their_root(store: Handles) -> Result<(), Violation> {
    /// More slots than any handle is asked to list.
    const MOST: u8 = 250;
    let site = Site::bare(&store)?;
    let watch = Arc::new(Watch::default());
    let numbered = |number: u8| -> Write {
        let root = Write::root(Revision::from_bytes([number; 16]), vec![number].into());
        Write { put: vec![put(slot(number), "a")], ..root }
    };
    let first = site.land(None, numbered(1)).await?;
    together(3, |number| {
        let (site, watch) = (site.clone(), Arc::clone(&watch));
        async move {
            if number == 0 {
                let mut root = first;
                for number in 2..MOST {
                    root = site.land(Some(root), numbered(number)).await?;
                    tokio::task::yield_now().await;
                }
                watch.end();
                return Ok(());
            }
            while watch.look() {
                let page = site.handles.upkeep(number).slots(&site.account, None, u32::MAX).await?;
                let of_root = page.root.map(|root| root.to_bytes()[0]);
                let listed = u8::try_from(page.slots.len()).ok();
                holds!(of_root == listed, Snapshot, "a list of {listed:?} slots has the root of {of_root:?}");
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

/// Two drivers, each on its own handle, use the operating system's entropy. Of 16 tasks, exactly
/// one is granted what exists once, and the log that they leave verifies.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn drivers_run_on_both_handles(store: Handles) -> Result<(), Violation> {
    let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
    let clock = Arc::new(ManualClock::new(LONG_AGO));
    let driver = |handle| {
        let (records, keyring) = (Arc::clone(store.records(handle)), Arc::clone(&keyring));
        Driver::builder(records, keyring).clock(Arc::<ManualClock>::clone(&clock)).build().map_err(Violation::suite)
    };
    let drivers = [driver(0)?, driver(1)?];
    let account = AccountId::new("driver")?;
    let [first, second] = &drivers;
    first.ensure_account(&account).await?;
    let granted = together(16, |number| {
        let driver = if number % 2 == 0 { first.clone() } else { second.clone() };
        let partition = Partition::account(&account);
        async move { Ok(driver.run(&partition, &[DUE.name()], grant).await?.is_some()) }
    })
    .await?;
    let wins = granted.iter().filter(|won| **won).count();
    holds!(wins == 1, OneWinner, "through two drivers, {wins} of 16 tasks got one grant");
    let events = second.recent_events(&account, 10).await?.len();
    holds!(events == 2, Events, "a creation and a grant left {events} events");
    Ok(())
}

static GRANTED: keywright_core::EventKind =
    keywright_core::EventKind::change("conformance_granted", keywright_core::Severity::Info, "a grant was made");

/// Grants if nothing is due, and leaves something due.
fn grant(draft: &mut Draft<'_>) -> Result<Option<keywright_store::Tentative<()>>, StepError> {
    if !due::pending(draft)?.is_empty() {
        return Ok(None);
    }
    due::add(draft, NewTask::new("conformance/grant", Vec::new()))?;
    draft.event(&GRANTED);
    Ok(Some(draft.tentative(())))
}
