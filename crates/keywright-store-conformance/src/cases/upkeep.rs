//! Upkeep: sweeps, forgotten events, scans; and the port behind `dyn`.

use std::collections::BTreeSet;
use std::sync::Arc;

use keywright_core::{EventKind, Keyring, SecurityEvent, SystemClock, SystemEntropy};
use keywright_store::{Driver, Expect, Partition, RecordStore, Slot, VaultWrite};

use crate::site::{LONG_AGO, Site, at, host, put, put_until, row, stage_id, together};
use crate::violation::holds;
use crate::{Backend, Violation};

/// A sweep drops the records and stages whose `purge_after` lies before its moment. Those at the moment or later stay; the
/// last put decides.
///
/// # Errors
/// What was broken.
pub async fn sweep_drops_what_is_due(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let (early, moment, late) = (LONG_AGO.minus(1), LONG_AGO, LONG_AGO.plus(1));
    let writes =
        [early, moment, late].into_iter().zip(1..).map(|(due, id)| put_until(host(id), Expect::Absent, "a", due));
    let first = site.write(root, writes.collect()).await?;
    site.write(root, vec![put_until(host(4), Expect::Absent, "a", early)]).await?;
    let renewed = site.revision(host(4)).await?.map_or(Expect::Absent, at);
    site.write(root, vec![put_until(host(4), renewed, "renewed", late)]).await?;
    let shortened = site.write(root, vec![put_until(host(5), Expect::Absent, "a", late)]).await?;
    site.write(root, vec![put_until(host(5), at(shortened), "shortened", early)]).await?;
    for (id, due) in [(1, early), (2, moment)] {
        store.stage(&site.account, stage_id(id), vec![row(1, 1, "a")], due).await.map_err(Violation::Commit)?;
    }
    let dropped = store.sweep(moment, 100).await.map_err(Violation::Commit)?;
    let ids = [1, 2, 3, 4, 5];
    let loaded = site.load(&ids.map(host)).await?;
    let left: Vec<u8> = ids.into_iter().zip(&loaded).filter_map(|(id, stored)| stored.as_ref().map(|_| id)).collect();
    holds!(left == [2, 3, 4], Sweep, "of records 1 to 5, with 1 and 5 due, a sweep left {left:?}");
    let kept = loaded.get(1).and_then(Option::as_ref).is_some_and(|stored| stored.revision == first);
    holds!(kept, Sweep, "a sweep changed a record that it keeps");
    let staged =
        [store.staged(&site.account, stage_id(1)).await?.len(), store.staged(&site.account, stage_id(2)).await?.len()];
    holds!(staged == [0, 1], Sweep, "of two stages, the first due, a sweep left {staged:?} rows");
    holds!(dropped == 3, Sweep, "a sweep of two records and one stage says {dropped}");
    let again = store.sweep(moment, 100).await.map_err(Violation::Commit)?;
    holds!(again == 0, Sweep, "a second sweep says {again}");
    Ok(())
}

/// A sweep, however late, never drops the root or any record without a `purge_after`, a put without one clears it; the
/// ciphers and the events are no matter of a sweep.
///
/// # Errors
/// What was broken.
pub async fn sweep_keeps_records_without_a_hint(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let slots = [Slot::Ledger, Slot::Challenge, Slot::Session([1; 16]), host(1), host(2)];
    site.write(root, slots.iter().take(4).map(|&slot| put(slot, Expect::Absent, "kept")).collect()).await?;
    let hinted = site.write(root, vec![put_until(host(2), Expect::Absent, "hinted", LONG_AGO)]).await?;
    site.write(root, vec![put(host(2), at(hinted), "kept")]).await?;
    let edit = VaultWrite::Edit { put: vec![row(1, 1, "a")], delete: Vec::new() };
    let event = SecurityEvent::new(LONG_AGO, EventKind::KeychainSet);
    site.land(site.vault_batch(root, Expect::Absent, edit)?.with_events(vec![event])).await?;
    let dropped = store.sweep(keywright_core::UnixSeconds::MAX, u32::MAX).await.map_err(Violation::Commit)?;
    holds!(dropped == 0, Sweep, "a sweep with nothing due says {dropped}");
    let left = site.load(&slots).await?.iter().flatten().count();
    holds!(left == slots.len(), Sweep, "a sweep left {left} of {} records without a hint", slots.len());
    holds!(site.one(Slot::Root).await?.is_some(), Sweep, "a sweep dropped the root");
    let manifest = store.manifest(&site.account).await?;
    let whole = manifest.head.is_some() && manifest.entries.len() == 1;
    holds!(whole && site.events().await?.len() == 1, Sweep, "a sweep dropped a cipher or an event");
    Ok(())
}

/// A sweep drops at most as many as it was told, and comes to an end.
///
/// # Errors
/// What was broken.
pub async fn sweep_keeps_to_its_limit(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let slots: Vec<Slot> = (0..10).map(host).collect();
    site.write(root, slots.iter().map(|&slot| put_until(slot, Expect::Absent, "a", LONG_AGO)).collect()).await?;
    let mut left = slots.len();
    for (limit, gone) in [(0, 0), (3, 3), (3, 3), (3, 3), (3, 1), (3, 0)] {
        let dropped = store.sweep(LONG_AGO.plus(1), limit).await.map_err(Violation::Commit)?;
        left = left.saturating_sub(gone);
        let there = site.load(&slots).await?.iter().flatten().count();
        holds!(there == left && dropped == gone as u64, Sweep, "a sweep of {limit} says {dropped} and leaves {there}");
    }
    Ok(())
}

/// Old events are forgotten, at most as many as told, and no others.
///
/// # Errors
/// What was broken.
pub async fn old_events_are_forgotten(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let events = (0..6).map(|age| SecurityEvent::new(LONG_AGO.plus(age), EventKind::SessionOpened)).collect();
    site.land(site.beside(root, Vec::new())?.with_events(events)).await?;
    for (limit, gone, left) in [(0, 0, 6), (2, 2, 4), (100, 2, 2), (100, 0, 2)] {
        let dropped = store.forget_events(LONG_AGO.plus(4), limit).await.map_err(Violation::Commit)?;
        let there = site.events().await?.len();
        holds!(dropped == gone && there == left, Sweep, "to forget {limit} says {dropped} and leaves {there} events");
    }
    let ages: Vec<u64> = site.events().await?.iter().map(|(_, event)| event.at.since(LONG_AGO)).collect();
    holds!(ages == [5, 4], Sweep, "the events left are {ages:?} seconds late");
    holds!(site.one(Slot::Root).await?.is_some(), Sweep, "to forget events dropped a record");
    Ok(())
}

/// A scan meets every record of every partition once, in the order of (partition, slot) as text, in pages of any size.
///
/// # Errors
/// What was broken.
pub async fn scan_meets_every_record_once(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let empty = store.scan(None, 10).await?;
    holds!(empty.is_empty(), Scan, "a fresh store holds {} records", empty.len());
    let mut written = BTreeSet::new();
    let names = ["b", "a", "A", "\u{e9}", "a/b", "z"].map(|name| Site::named(&store, name));
    for site in names {
        let site = site?;
        let slots = [Slot::Ledger, Slot::VaultHead, Slot::Kids, Slot::Session([9; 16]), host(0), host(0xff)];
        let root = site.make().await?;
        site.write(root, slots.iter().map(|&slot| put(slot, Expect::Absent, slot.to_text())).collect()).await?;
        written.extend(slots.iter().chain(&[Slot::Root]).map(|slot| (site.account.key().to_owned(), slot.to_text())));
    }
    for partition in [Partition::server(), Partition::name(&[0xab; 32])] {
        let site = Site { store: Arc::clone(&store), account: partition };
        site.make().await?;
        written.insert((site.account.key().to_owned(), Slot::Root.to_text()));
    }
    for limit in [1, 2, 7, 1_000] {
        let mut met = Vec::new();
        let mut after = None;
        loop {
            let page = store.scan(after, limit).await?;
            holds!(page.len() <= limit as usize, Scan, "a page of {limit} has {} records", page.len());
            let Some(last) = page.last() else { break };
            after = Some((last.partition.clone(), last.slot));
            for one in &page {
                let body = if one.slot == Slot::Root { "root".to_owned() } else { one.slot.to_text() };
                holds!(*one.stored.body == *body.as_bytes(), Scan, "a scan shows another body in {:?}", one.slot);
                met.push((one.partition.key().to_owned(), one.slot.to_text()));
            }
            holds!(met.len() <= written.len(), Scan, "a scan in pages of {limit} repeats records");
        }
        let all: Vec<_> = written.iter().cloned().collect();
        holds!(
            met == all,
            Scan,
            "a scan in pages of {limit} meets {} of {} records, or in another order",
            met.len(),
            all.len()
        );
    }
    Ok(())
}

/// The store serves a driver behind `dyn`: 16 tasks spend one grant through it, and one gets it.
///
/// # Errors
/// What was broken.
pub async fn store_serves_a_driver(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let records: Arc<dyn RecordStore> = Arc::<dyn Backend>::clone(&store);
    let keyring = Arc::new(Keyring::generate(&SystemEntropy).map_err(Violation::suite)?);
    // Two servers on one store: the second has another queue.
    let driver =
        || Driver::new(Arc::clone(&records), Arc::clone(&keyring), Arc::new(SystemEntropy), Arc::new(SystemClock));
    let (first, second) = (driver(), driver());
    let site = Site::bare(&store)?;
    first.transact(&site.account, &[], |draft| draft.create_account().map(|_| ())).await?;
    let granted = together(16, |number| {
        let (driver, site) = (if number % 2 == 0 { first.clone() } else { second.clone() }, site.clone());
        async move {
            let spend = driver.transact(&site.account, &[Slot::Due], |draft| {
                if !keywright_store::due::pending(draft)?.is_empty() {
                    return Ok(None);
                }
                keywright_store::due::add(draft, "conformance.grant", Vec::new())?;
                Ok(Some(draft.tentative(())))
            });
            let (grant, receipt) = spend.await?;
            Ok(grant.is_some_and(|grant| grant.release(&receipt).is_ok()))
        }
    })
    .await?;
    let wins = granted.iter().filter(|won| **won).count();
    holds!(wins == 1, OneWinner, "through two drivers, {wins} of 16 tasks got one grant");
    Ok(())
}
