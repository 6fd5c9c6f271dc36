//! Cases that need a hook from the backend: see [`FaultHooks`],
//! [`LostRootHook`](crate::LostRootHook), [`HostHook`](crate::HostHook) and
//! [`CrashHook`](crate::CrashHook).

use std::sync::Arc;

use keywright_core::{AccountId, EventKind, Keyring, ManualClock, Severity, SystemEntropy};
use keywright_store::{Batch, CommitError, Driver, Partition, Revision, Write};

use crate::fixture::Fixture;
use crate::hooks::{FaultHooks, Hook, HostEnd};
use crate::site::{LONG_AGO, SINGLE, Site, draw, edit, event, next, put, puts, row, slot, vault};
use crate::verdict::CaseVerdict;
use crate::violation::{Violation, holds};

/// Two records and an event: enough to notice a half-applied batch.
fn whole() -> Result<Write, Violation> {
    Ok(Write { events: vec![event(1)], ..puts(vec![put(slot(1), "a"), put(SINGLE, "b")])? })
}

/// Returns how many parts of [`whole`] are stored: 0 to 3.
async fn parts(site: &Site) -> Result<usize, Violation> {
    let seen = site.load(&[slot(1), SINGLE]).await?;
    Ok(seen.records.iter().flatten().count().saturating_add(usize::from(seen.newest.changes > 0)))
}

/// Commits, through the first handle, a batch that must be answered with `Unknown`.
async fn unknown(site: &Site, batch: Batch, what: &str) -> Result<(), Violation> {
    let said = site.handles.records(0).commit(batch).await;
    holds!(matches!(said, Err(CommitError::Unknown(_))), Unknown, "{what} was answered with {said:?}");
    Ok(())
}

/// Checks that the next commit succeeds as usual, through both handles.
async fn goes_on(site: &Site) -> Result<(), Violation> {
    let root = site.root().await?;
    let root = site.land(root, next()?).await?;
    site.land(Some(root), next()?).await?;
    Ok(())
}

fn armed(hook: Hook) -> bool {
    hook == Hook::Armed
}

/// A lost reply is `Unknown`, whether or not the batch was applied. It is never a conflict, as if
/// another writer had been faster, and never rejected, as if nothing had happened. The batch was
/// applied whole or not at all.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn lost_reply_is_unknown(fixture: &dyn Fixture) -> Result<CaseVerdict, Violation> {
    let Some(hooks) = fixture.faults() else { return Ok(CaseVerdict::NotProven) };
    for landed in [false, true] {
        for made in [false, true] {
            let site = Site::bare(&fixture.handles())?;
            let root = if made { Some(site.land(None, next()?).await?) } else { None };
            if !armed(hooks.lose_next_reply(landed)) {
                return Ok(CaseVerdict::NotProven);
            }
            let write = whole()?;
            let revision = write.revision;
            unknown(&site, site.batch(root, write)?, "a commit whose reply was lost").await?;
            let there = parts(&site).await?;
            let right = if landed { 3 } else { 0 };
            holds!(there == right, AllOrNothing, "a lost reply (landed: {landed}) left {there} of 3 parts");
            let seen = site.root().await?;
            let right = if landed { Some(revision) } else { root };
            holds!(seen == right, Unknown, "a lost reply (landed: {landed}) left the root at {seen:?}, not {right:?}");
            goes_on(&site).await?;
        }
    }
    Ok(CaseVerdict::Passed)
}

static GRANTED: EventKind = EventKind::change("conformance_granted", Severity::Info, "a grant was made");

/// A driver whose reply is lost settles the commit. Its step is applied exactly once, whether or
/// not the lost commit was applied. This includes the creation of an account.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn lost_reply_is_settled(fixture: &dyn Fixture) -> Result<CaseVerdict, Violation> {
    let Some(hooks) = fixture.faults() else { return Ok(CaseVerdict::NotProven) };
    let handles = fixture.handles();
    let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
    let clock = Arc::new(ManualClock::new(LONG_AGO));
    let driver =
        Driver::builder(Arc::clone(handles.records(0)), keyring).clock(clock).build().map_err(Violation::suite)?;
    for (name, landed) in [("settled-a", false), ("settled-b", true)] {
        let account = AccountId::new(name)?;
        if !armed(hooks.lose_next_reply(landed)) {
            return Ok(CaseVerdict::NotProven);
        }
        driver.ensure_account(&account).await?;
        if !armed(hooks.lose_next_reply(landed)) {
            return Ok(CaseVerdict::NotProven);
        }
        let partition = Partition::account(&account);
        let outcome = driver.transact(&partition, &[], |draft| {
            draft.event(&GRANTED);
            Ok(())
        });
        outcome.await?;
        let events = driver.recent_events(&account, 10).await?;
        let granted = events.iter().filter(|event| event.is(&GRANTED)).count();
        holds!(granted == 1, Unknown, "a step whose reply was lost (landed: {landed}) has landed {granted} times");
        holds!(events.len() == 2, Unknown, "a creation whose reply was lost (landed: {landed}) left {events:?}");
    }
    Ok(CaseVerdict::Passed)
}

/// An error from `COMMIT` itself is `Unknown`, never `Rejected`. Whatever it did, it did as a
/// whole.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn commit_error_is_unknown(fixture: &dyn Fixture) -> Result<CaseVerdict, Violation> {
    let Some(hooks) = fixture.faults() else { return Ok(CaseVerdict::NotProven) };
    let (site, root) = Site::made(&fixture.handles()).await?;
    if !armed(hooks.fail_next_commit()) {
        return Ok(CaseVerdict::NotProven);
    }
    unknown(&site, site.batch(Some(root), whole()?)?, "an error from COMMIT").await?;
    let there = parts(&site).await?;
    holds!(there == 0 || there == 3, AllOrNothing, "a failed COMMIT left {there} of 3 parts");
    goes_on(&site).await?;
    Ok(CaseVerdict::Passed)
}

/// A commit that is still in flight when a fence is written is never applied, whether or not there
/// was a root.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn held_commit_never_lands_after_a_fence(fixture: &dyn Fixture) -> Result<CaseVerdict, Violation> {
    let Some(hooks) = fixture.faults() else { return Ok(CaseVerdict::NotProven) };
    for made in [true, false] {
        let site = Site::bare(&fixture.handles())?;
        let root: Option<Revision> = if made { Some(site.land(None, next()?).await?) } else { None };
        if !armed(hooks.hold_next_commit()) {
            return Ok(CaseVerdict::NotProven);
        }
        unknown(&site, site.batch(root, whole()?)?, "a commit that is on its way").await?;
        let fence = site.land(root, next()?).await?;
        deliver_in_vain(&site, hooks, fence).await?;
    }
    Ok(CaseVerdict::Passed)
}

async fn deliver_in_vain(site: &Site, hooks: &dyn FaultHooks, fence: Revision) -> Result<(), Violation> {
    let said = hooks.deliver().await;
    holds!(!matches!(said, Some(Ok(()))), Fence, "a held commit landed after the fence");
    let there = parts(site).await?;
    holds!(there == 0, Fence, "a held commit left {there} of 3 parts after the fence");
    holds!(site.root().await? == Some(fence), Fence, "a held commit moved the root after the fence");
    Ok(())
}

/// A partition whose root was lost loads without a root, and the load reports the remaining rows.
/// Each kind of row is tested alone.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn rows_without_root_are_reported(fixture: &dyn Fixture) -> Result<CaseVerdict, Violation> {
    let Some(hook) = fixture.lost_roots() else { return Ok(CaseVerdict::NotProven) };
    let handles = fixture.handles();
    let mut kinds = vec![
        ("nothing", next()?, false),
        ("a record", puts(vec![put(slot(1), "a")])?, true),
        ("an expiring record", puts(vec![crate::site::put_until(slot(1), "a", LONG_AGO)])?, true),
        ("a change", Write { events: vec![event(1)], ..next()? }, true),
        ("a denial", Write { events: vec![crate::site::denial(1)], ..next()? }, true),
    ];
    if handles.vault(0).is_some() {
        kinds.push(("a cipher", vault(edit(vec![row(1, 1, "a")]))?, true));
    }
    for (what, write, right) in kinds {
        let site = Site::bare(&handles)?;
        site.land(None, write).await?;
        let seen = site.load(&[]).await?;
        let said = seen.has_rows;
        holds!(said == right, LostRoot, "with a root and {what}, a load says of further rows: {said}");
        hook.lose_root(&site.account).await.map_err(Violation::suite)?;
        let seen = site.load(&[slot(1)]).await?;
        holds!(seen.root.is_none(), LostRoot, "a root that was lost is loaded");
        let said = seen.has_rows;
        holds!(said == right, LostRoot, "with {what} and no root, a load says of further rows: {said}");
        let listed = handles.upkeep(1).partitions(None, 100).await?.contains(&site.account);
        holds!(listed == right, Listing, "a partition with {what} and no root is listed: {listed}");
    }
    Ok(CaseVerdict::Passed)
}

/// Inside a host's transaction, a batch in conflict leaves nothing behind, even if the host
/// commits. A good batch disappears with the host's rollback, and stays with its commit. A load
/// inside the transaction sees what the transaction has done.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn host_transaction_is_whole_or_nothing(fixture: &dyn Fixture) -> Result<CaseVerdict, Violation> {
    let Some(hook) = fixture.host() else { return Ok(CaseVerdict::NotProven) };
    for (good, end, right) in [
        (false, HostEnd::Commit, 0),
        (false, HostEnd::RollBack, 0),
        (true, HostEnd::RollBack, 0),
        (true, HostEnd::Commit, 3),
    ] {
        let (site, root) = Site::made(&fixture.handles()).await?;
        let write = whole()?;
        let revision = write.revision;
        let batch = site.batch(Some(if good { root } else { draw()? }), write)?;
        let mut met = None;
        // The hook is synchronous, as the trait inside a transaction is.
        tokio::task::block_in_place(|| {
            hook.within(end, &mut |transaction| {
                let check = transaction.apply(Batch::check(site.account.clone(), Some(root)));
                let said = transaction.apply(batch.clone());
                let seen = transaction.load(&site.account, &[slot(1)]);
                met = Some((check, said, seen));
            })
        })
        .map_err(Violation::suite)?;
        let Some((check, said, seen)) = met else { return Err(Violation::suite("a hook ran no work")) };
        holds!(check.is_ok(), HostTransaction, "a check of the present root met {check:?} in a host's transaction");
        let as_meant = matches!((good, &said), (true, Ok(())) | (false, Err(CommitError::Conflict)));
        holds!(as_meant, HostTransaction, "in a host's transaction, a batch (good: {good}) met {said:?}");
        let seen = seen?;
        let expected = if good { revision } else { root };
        let own = seen.root.is_some_and(|seen| seen.revision == expected)
            && seen.records.iter().flatten().count() == usize::from(good);
        holds!(
            own,
            HostTransaction,
            "in a host's transaction, a load after a batch (good: {good}) shows another state"
        );
        let there = parts(&site).await?;
        holds!(there == right, HostTransaction, "a batch (good: {good}) left {there} of 3 parts after {end:?}");
        goes_on(&site).await?;
    }
    Ok(CaseVerdict::Passed)
}

/// How many commits are acknowledged before each kill.
const KILLS: [usize; 3] = [1, 40, 150];

/// A process that commits to several partitions at once is killed without warning, three times.
/// Every commit that it reported as acknowledged is present when the store is opened again, in
/// order and whole. Beyond those, only commits in flight may be present.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn acknowledged_commits_survive_a_kill(fixture: &dyn Fixture) -> Result<CaseVerdict, Violation> {
    let Some(hook) = fixture.crash() else { return Ok(CaseVerdict::NotProven) };
    let mut before = [0; crate::crash::PARTITIONS];
    for kill in KILLS {
        let crashed = hook.kill_and_reopen(kill).await.map_err(Violation::suite)?;
        let gained = crashed
            .acknowledged
            .iter()
            .zip(before)
            .map(|(newest, before)| newest.map_or(0, |newest| newest.saturating_sub(before)));
        let enough = usize::try_from(gained.sum::<u64>()).is_ok_and(|total| total >= kill);
        if !enough {
            return Err(Violation::suite("a hook killed its process before enough commits were acknowledged"));
        }
        before = crate::crash::verify(&crashed, before).await?;
    }
    Ok(CaseVerdict::Passed)
}
