//! The one guard: it makes a batch a conflict, and nothing else does.

use keywright_store::{Batch, Partition, Revision, Write};

use crate::backend::Handles;
use crate::site::{Site, body_of, draw, next, put, puts, slot};
use crate::violation::{Violation, holds};

/// Tries a batch that must be a conflict and must leave nothing behind.
async fn refuse(site: &Site, expect: Option<Revision>, what: &str) -> Result<(), Violation> {
    let before = site.load(&[]).await?;
    let bystander = slot(0xee);
    let landed = site.commit(expect, puts(vec![put(bystander, "bystander")])?).await?;
    holds!(!landed, Guard, "a batch that expects {what} was applied");
    holds!(site.load(&[]).await? == before, AllOrNothing, "a conflict on {what} changed the root");
    holds!(site.one(bystander).await?.is_none(), AllOrNothing, "a conflict on {what} left a record behind");
    Ok(())
}

/// A batch applies exactly if the root has the expected revision: not another one, not a former
/// one, and not if there is no root.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn root_guard_holds(store: Handles) -> Result<(), Violation> {
    let (site, first) = Site::made(&store).await?;
    refuse(&site, Some(draw()?), "a revision that never was").await?;
    refuse(&site, Some(Revision::ZERO), "sixteen zero bytes").await?;
    let second = site.land(Some(first), next()?).await?;
    refuse(&site, Some(first), "the former revision").await?;
    let third = site.land(Some(second), next()?).await?;
    refuse(&site, Some(first), "a revision of long ago").await?;
    refuse(&site, Some(second), "the former revision").await?;
    // One that differs in its first byte, and one in its last.
    for flipped in [0, 15] {
        let mut near = third.to_bytes();
        if let Some(byte) = near.get_mut(flipped) {
            *byte ^= 1;
        }
        refuse(&site, Some(Revision::from_bytes(near)), "a revision that differs in one bit").await?;
    }
    site.land(Some(third), next()?).await?;
    Ok(())
}

/// A batch that expects no root creates one where there is none, and never replaces one. A batch
/// that expects a root never creates one.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn absent_root_guard_holds(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    refuse(&site, Some(draw()?), "a root where there is none").await?;
    refuse(&site, Some(Revision::ZERO), "a root of zero bytes where there is none").await?;
    let made = site.land(None, puts(vec![put(slot(1), "a")])?).await?;
    refuse(&site, None, "no root where there is one").await?;
    holds!(site.root().await? == Some(made), Guard, "a second root replaced the first");
    holds!(site.one(slot(1)).await?.as_deref() == Some(b"a"), Guard, "a second root took the record of the first");
    // Not even where the root is the only row.
    let (bare, _) = Site::made(&store).await?;
    refuse(&bare, None, "no root where there is one").await
}

/// A batch without a write reports whether the root still has a revision, or is still absent, and
/// changes nothing.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn checks_hold_exactly_when_guards_do(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    for (expect, right) in [(None, true), (Some(draw()?), false), (Some(Revision::ZERO), false)] {
        let said = site.still(expect).await?;
        holds!(said == right, Guard, "of a partition without a root, {expect:?} was checked as {said}");
    }
    holds!(site.load(&[]).await?.root.is_none(), Guard, "a check made a root");
    let first = site.land(None, next()?).await?;
    let second = site.land(Some(first), next()?).await?;
    let before = site.load(&[]).await?;
    for (expect, right) in [(None, false), (Some(first), false), (Some(second), true), (Some(draw()?), false)] {
        let said = site.still(expect).await?;
        holds!(said == right, Guard, "of a root at {second:?}, {expect:?} was checked as {said}");
    }
    holds!(site.load(&[]).await? == before, Guard, "a check changed the root");
    Ok(())
}

/// A root that has the body of a former root does not satisfy a guard on the former one. A root
/// that looks the same may still have changed.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn revived_root_refuses_an_old_guard(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let same = || -> Result<Write, Violation> {
        Ok(Write { put: vec![put(slot(1), "a")], ..Write::root(draw()?, "same".into()) })
    };
    let first = site.land(None, same()?).await?;
    let other = Write { delete: vec![slot(1)], ..Write::root(draw()?, "other".into()) };
    let second = site.land(Some(first), other).await?;
    let third = site.land(Some(second), same()?).await?;
    holds!(!site.still(Some(first)).await?, NoReuse, "a check took a root for the former one with the same body");
    let landed = site.commit(Some(first), puts(vec![put(slot(2), "stale")])?).await?;
    holds!(!landed, NoReuse, "a guard on a former root was satisfied by a new one with the same body");
    holds!(site.root().await? == Some(third), NoReuse, "an old guard changed the new root");
    Ok(())
}

/// The root is stored under the revision and with the body of the last batch that was applied.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn root_lies_under_the_batchs_revision(store: Handles) -> Result<(), Violation> {
    let site = Site::bare(&store)?;
    let mut expect = None;
    for _ in 0..4 {
        let revision = site.land(expect, next()?).await?;
        let root = site.load(&[]).await?.root;
        let seen = root.as_ref().map(|root| root.revision);
        holds!(seen == Some(revision), Revision, "put under {revision:?}, the root lies under {seen:?}");
        let own = root.is_some_and(|root| root.body == body_of(revision));
        holds!(own, Revision, "the root of {revision:?} has another body");
        expect = Some(revision);
    }
    Ok(())
}

/// The same slots in two partitions are different slots, however similar the partitions' keys are.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn partitions_are_independent(store: Handles) -> Result<(), Violation> {
    // Names that differ in case, trailing blanks, or the form of an accent, and names with
    // characters that SQL patterns and paths treat specially.
    let names =
        ["alice", "Alice", "alice ", " alice", "al%ce", "al_ce", "alice/", "../alice", "caf\u{e9}", "cafe\u{301}"];
    let names = names.iter().chain(&["'; --", "\u{fffd}", "a\u{10ffff}", "s/", "n/"]);
    let mut sites = names.map(|name| Site::named(&store, name)).collect::<Result<Vec<_>, _>>()?;
    let others = [Partition::server(), Partition::name(&[0; 32]), Partition::name(&[0xff; 32])];
    sites.extend(others.map(|partition| Site::of(&store, partition)));
    let mut made = Vec::new();
    for (number, site) in (0_u8..).zip(&sites) {
        let before = site.load(&[slot(1)]).await?;
        let empty = before.root.is_none() && before.records == [None] && !before.has_rows;
        holds!(empty, Partitions, "{:?} is not empty before its first write", site.account);
        let event = crate::site::event(u64::from(number).saturating_add(1));
        let write = Write { put: vec![put(slot(1), vec![number])], events: vec![event], ..next()? };
        made.push(site.land(None, write).await?);
    }
    for ((number, site), revision) in (0_u8..).zip(&sites).zip(made) {
        let seen = site.load(&[slot(1)]).await?;
        let own = seen.records.first().and_then(Option::as_deref) == Some(&[number]);
        holds!(own, Partitions, "the record of {:?} was changed from another partition", site.account);
        let root = seen.root.map(|root| root.revision);
        holds!(root == Some(revision), Partitions, "the root of {:?} was changed from another partition", site.account);
        let right = u64::from(number).saturating_add(1);
        holds!(seen.newest.changes == right, Partitions, "{:?} has the events of another partition", site.account);
        let listed = site.numbers(keywright_core::EventChain::Changes).await?;
        holds!(listed == [right], Partitions, "{:?} lists the events {listed:?}", site.account);
        let said = store.records(1).commit(Batch::check(site.account.clone(), Some(revision))).await;
        holds!(said.is_ok(), Partitions, "a check on {:?} looked at another partition", site.account);
    }
    Ok(())
}
