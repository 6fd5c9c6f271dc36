//! Guards: what makes a batch a conflict, and that nothing else does.

use std::sync::Arc;

use keywright_store::{Expect, Slot, Write};

use crate::site::{Site, at, check, delete, draw, host, put};
use crate::violation::holds;
use crate::{Backend, Violation};

/// The slots a guard is tried on: one of each shape.
const SLOTS: [Slot; 4] = [Slot::Ledger, Slot::Due, Slot::Session([0xab; 16]), Slot::Host([0; 16])];

/// Tries a write that must be a conflict, beside a root check that holds and a put that must not happen.
async fn refuse(site: &Site, root: keywright_store::Revision, write: Write) -> Result<(), Violation> {
    let what = format!("{write:?}");
    let bystander = host(0xee);
    let landed = site.commit(site.beside(root, vec![write, put(bystander, Expect::Absent, "bystander")])?).await?;
    holds!(!landed, Guards, "{what} was applied although its guard does not hold");
    holds!(site.one(bystander).await?.is_none(), AllOrNothing, "a conflict on {what} left another write behind");
    Ok(())
}

/// A `Check` holds exactly when its guard does: on a record, and on none. A batch of checks alone is a batch.
///
/// # Errors
/// What was broken.
pub async fn check_guards_hold(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for slot in SLOTS {
        let (site, root) = Site::made(&store).await?;
        site.write(root, vec![check(slot, Expect::Absent)]).await?;
        refuse(&site, root, check(slot, at(draw()?))).await?;
        let held = site.write(root, vec![put(slot, Expect::Absent, "a")]).await?;
        refuse(&site, root, check(slot, Expect::Absent)).await?;
        refuse(&site, root, check(slot, at(draw()?))).await?;
        refuse(&site, root, check(slot, at(root))).await?;
        site.write(root, vec![check(slot, at(held))]).await?;
        holds!(site.revision(slot).await? == Some(held), Guards, "a batch of checks changed {slot:?}");
    }
    Ok(())
}

/// A put or delete guarded by a revision applies exactly when the record has it.
///
/// # Errors
/// What was broken.
pub async fn revision_guards_hold(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for slot in SLOTS {
        let (site, root) = Site::made(&store).await?;
        refuse(&site, root, put(slot, at(draw()?), "b")).await?;
        refuse(&site, root, delete(slot, at(draw()?))).await?;
        holds!(site.one(slot).await?.is_none(), Guards, "a conflict made a record in {slot:?}");
        let first = site.write(root, vec![put(slot, Expect::Absent, "a")]).await?;
        refuse(&site, root, put(slot, at(root), "b")).await?;
        refuse(&site, root, delete(slot, at(draw()?))).await?;
        let second = site.write(root, vec![put(slot, at(first), "b")]).await?;
        refuse(&site, root, put(slot, at(first), "c")).await?;
        refuse(&site, root, delete(slot, at(first))).await?;
        let body = site.one(slot).await?.map(|stored| stored.body);
        holds!(body.as_deref() == Some(b"b"), Guards, "a conflict changed the body in {slot:?}");
        site.write(root, vec![delete(slot, at(second))]).await?;
        holds!(site.one(slot).await?.is_none(), Guards, "{slot:?} is still there after its delete");
        refuse(&site, root, delete(slot, at(second))).await?;
    }
    Ok(())
}

/// A put guarded by absence never replaces a record.
///
/// # Errors
/// What was broken.
pub async fn absent_guards_hold(store: Arc<dyn Backend>) -> Result<(), Violation> {
    for slot in SLOTS {
        let (site, root) = Site::made(&store).await?;
        let held = site.write(root, vec![put(slot, Expect::Absent, "a")]).await?;
        refuse(&site, root, put(slot, Expect::Absent, "b")).await?;
        let stored = site.one(slot).await?;
        let kept = stored.is_some_and(|stored| stored.revision == held && &*stored.body == b"a");
        holds!(kept, Guards, "a conflict replaced the record in {slot:?}");
        site.write(root, vec![delete(slot, at(held))]).await?;
        site.write(root, vec![put(slot, Expect::Absent, "c")]).await?;
    }
    Ok(())
}

/// The root record is guarded like any other.
///
/// # Errors
/// What was broken.
pub async fn root_guards_hold(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let slot = host(1);
    for (expect, name) in [(at(draw()?), "a root that is not there"), (Expect::Absent, "no root")] {
        let landed = site.commit(site.batch(vec![check(Slot::Root, expect), put(slot, Expect::Absent, "a")])?).await?;
        holds!(landed == (expect == Expect::Absent), Guards, "guarding {name}, a batch landed: {landed}");
    }
    let old = site.make().await?;
    let landed = site.commit(site.batch(vec![put(Slot::Root, Expect::Absent, "again")])?).await?;
    holds!(!landed, Guards, "a second root replaced the first");
    let new = site.land(site.batch(vec![put(Slot::Root, at(old), "next")])?).await?;
    for stale in [at(old), Expect::Absent] {
        for write in [check(Slot::Root, stale), put(Slot::Root, stale, "stale")] {
            let what = format!("{write:?}");
            let landed = site.commit(site.batch(vec![write, put(host(2), Expect::Absent, "b")])?).await?;
            holds!(!landed, Guards, "{what} was applied although its guard does not hold");
        }
    }
    holds!(site.revision(Slot::Root).await? == Some(new), Guards, "a conflict changed the root");
    holds!(site.one(host(2)).await?.is_none(), AllOrNothing, "a conflict on the root left another write behind");
    Ok(())
}

/// What is put lies under the batch's own revision, in every slot that the batch puts, and nowhere else.
///
/// # Errors
/// What was broken.
pub async fn revision_is_the_batchs(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let kept = site.write(root, vec![put(host(9), Expect::Absent, "kept")]).await?;
    let both = site.write(root, vec![put(host(1), Expect::Absent, "a"), put(host(2), Expect::Absent, "b")]).await?;
    let loaded = site.load(&[Slot::Root, host(1), host(2), host(9)]).await?;
    let seen: Vec<_> = loaded.iter().map(|stored| stored.as_ref().map(|stored| stored.revision)).collect();
    let right = [Some(root), Some(both), Some(both), Some(kept)];
    holds!(seen == right, Revision, "put under {right:?}, loaded {seen:?}");
    let entries = store.manifest(&site.account).await?;
    holds!(entries.head.is_none(), Revision, "an account without a vault has a vault head");
    let head = site.write(root, vec![put(Slot::VaultHead, Expect::Absent, "head")]).await?;
    let seen = store.manifest(&site.account).await?.head.map(|stored| stored.revision);
    holds!(seen == Some(head), Revision, "the manifest's head lies under {seen:?}, put under {head:?}");
    Ok(())
}

/// A record that was deleted and made again, even with the same body, does not satisfy a guard on the former one.
///
/// # Errors
/// What was broken.
pub async fn recreated_record_refuses_an_old_guard(store: Arc<dyn Backend>) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    let slot = host(1);
    let first = site.write(root, vec![put(slot, Expect::Absent, "same")]).await?;
    site.write(root, vec![delete(slot, at(first))]).await?;
    let second = site.write(root, vec![put(slot, Expect::Absent, "same")]).await?;
    for write in [check(slot, at(first)), put(slot, at(first), "stale"), delete(slot, at(first))] {
        let what = format!("{:?}", write.effect);
        let landed = site.commit(site.beside(root, vec![write])?).await?;
        holds!(!landed, NoReuse, "{what} under the former record's revision was applied to the new one");
    }
    holds!(site.revision(slot).await? == Some(second), NoReuse, "the new record was changed by an old guard");
    Ok(())
}
