//! Loads: bytes, order, one snapshot, no filter.

use std::sync::Arc;

use keywright_store::{Expect, Revision, Slot, VaultWrite};

use crate::site::{LONG_AGO, Site, Watch, at, host, put, put_until, row, together};
use crate::violation::holds;
use crate::{Backend, Violation};

/// Bodies that a text column, a length limit or a C string would spoil.
pub(super) fn odd_bodies() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        vec![0],
        vec![0xff],
        b"before\0after".to_vec(),
        b"trailing \n\r\n\0".to_vec(),
        vec![0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf0, 0x28, 0x8c, 0xbc],
        "\u{feff}e\u{301}\u{e9}".as_bytes().to_vec(),
        (0..=u8::MAX).collect(),
        (0..=u8::MAX).cycle().take(1 << 20).collect(),
    ]
}

/// Bodies come back byte for byte: empty, with NULs, no UTF-8, 1 MiB.
///
/// # Errors
/// What was broken.
pub async fn bodies_survive(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, mut root) = Site::made(&store).await?;
    for (id, body) in (0..).zip(odd_bodies()) {
        site.write(root, vec![put(host(id), Expect::Absent, body.clone())]).await?;
        root = site.land(site.batch(vec![put(Slot::Root, at(root), body.clone())])?).await?;
        for slot in [host(id), Slot::Root] {
            let seen = site.one(slot).await?.map(|stored| stored.body);
            let len = seen.as_ref().map(bytes::Bytes::len);
            holds!(seen.as_deref() == Some(&*body), Bytes, "{} bytes put in {slot:?} came back as {len:?}", body.len());
        }
    }
    for (id, body) in (0..).zip(odd_bodies()) {
        let seen = site.one(host(id)).await?.map(|stored| stored.body);
        holds!(seen.as_deref() == Some(&*body), Bytes, "{} bytes changed later", body.len());
    }
    Ok(())
}

/// A load answers in the order of the question, absent slots included; one of nothing is empty.
///
/// # Errors
/// What was broken.
pub async fn loads_keep_the_order(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let odd = (0..100).filter(|id| id % 2 == 1);
    site.write(root, odd.map(|id| put(host(id), Expect::Absent, vec![id])).collect()).await?;
    let forwards: Vec<u8> = (0..100).collect();
    let backwards: Vec<u8> = (0..100).rev().collect();
    let shuffled: Vec<u8> = (0..100_u16).filter_map(|id| u8::try_from(id.wrapping_mul(37) % 100).ok()).collect();
    for ids in [forwards, backwards, shuffled] {
        let slots: Vec<Slot> = ids.iter().map(|&id| host(id)).collect();
        for (id, stored) in ids.iter().zip(site.load(&slots).await?) {
            let body = stored.map(|stored| stored.body.to_vec());
            let right = (id % 2 == 1).then(|| vec![*id]);
            holds!(body == right, Order, "in the place of {:?} lies {body:?}", host(*id));
        }
    }
    holds!(site.load(&[]).await?.is_empty(), Order, "a load of nothing gave something");
    Ok(())
}

/// A writer always writes three slots at once; no load ever shows two of its states.
///
/// # Errors
/// What was broken.
pub async fn loads_are_one_snapshot(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let slots = [host(1), Slot::Session([0x80; 16]), Slot::Due];
    let first = site.write(root, slots.iter().map(|&slot| put(slot, Expect::Absent, "0")).collect()).await?;
    let watch = Arc::new(Watch::default());
    together(5, |number| {
        let (site, watch) = (site.clone(), Arc::clone(&watch));
        async move {
            if number == 0 {
                let result = write_threes(&site, root, first, &slots, &watch).await;
                watch.end();
                return result;
            }
            let mut asked = slots;
            while watch.look() {
                asked.rotate_left(1);
                let seen: Vec<Option<Revision>> = site
                    .load(&asked)
                    .await?
                    .iter()
                    .map(|stored| stored.as_ref().map(|stored| stored.revision))
                    .collect();
                let one = seen.windows(2).all(|pair| matches!(pair, [Some(a), Some(b)] if a == b));
                holds!(one, Snapshot, "one load shows {seen:?}, which were never there together");
                tokio::task::yield_now().await;
            }
            Ok(())
        }
    })
    .await?;
    Ok(())
}

async fn write_threes(
    site: &Site,
    root: Revision,
    first: Revision,
    slots: &[Slot],
    watch: &Watch,
) -> Result<(), Violation> {
    let mut last = first;
    for number in 0..u32::MAX {
        if number >= 200 && watch.looks() >= 800 {
            break;
        }
        let body = number.to_be_bytes();
        let writes = slots.iter().map(|&slot| put(slot, at(last), body.to_vec())).collect();
        last = site.write(root, writes).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A record whose `purge_after` is long past is loaded and guarded like any other, until a sweep drops it: the core owns
/// the clock.
///
/// # Errors
/// What was broken.
pub async fn loads_never_filter_by_age(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let slots = [host(1), Slot::Session([3; 16]), Slot::Confirmations];
    let writes = slots.iter().map(|&slot| put_until(slot, Expect::Absent, "old", LONG_AGO)).collect();
    let revision = site.write(root, writes).await?;
    for (slot, stored) in slots.iter().zip(site.load(&slots).await?) {
        let there = stored.is_some_and(|stored| stored.revision == revision);
        holds!(there, NoFilter, "{slot:?}, due for a sweep that never ran, is not loaded");
    }
    let landed = site.commit(site.beside(root, vec![put(host(1), Expect::Absent, "again")])?).await?;
    holds!(!landed, NoFilter, "a record due for a sweep was taken for absent");
    let scanned = store.scan(None, 100).await?;
    let met = scanned.iter().filter(|met| met.partition == site.account && slots.contains(&met.slot)).count();
    holds!(met == slots.len(), NoFilter, "a scan meets {met} of {} records that are due for a sweep", slots.len());
    Ok(())
}

/// A vault's rows come back byte for byte, from a read, an edit, a swap and a promoted stage.
///
/// # Errors
/// What was broken.
pub async fn vault_bodies_survive(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let rows = |mark| (0..).zip(odd_bodies()).map(|(id, body)| row(id, mark, body)).collect::<Vec<_>>();
    let head = site.edit(root, Expect::Absent, VaultWrite::Edit { put: rows(1), delete: Vec::new() }).await?;
    let all = keywright_store::Which::All;
    holds!(store.read(&site.account, all).await? == rows(1), Bytes, "rows of an edit came back changed");
    let head = site.edit(root, at(head), VaultWrite::Swap { rows: rows(2) }).await?;
    holds!(store.read(&site.account, all).await? == rows(2), Bytes, "rows of a swap came back changed");
    let stage = crate::site::stage_id(7);
    store.stage(&site.account, stage, rows(3), LONG_AGO).await.map_err(Violation::Commit)?;
    site.edit(root, at(head), VaultWrite::Promote { stage }).await?;
    holds!(store.read(&site.account, all).await? == rows(3), Bytes, "rows of a stage came back changed");
    Ok(())
}
