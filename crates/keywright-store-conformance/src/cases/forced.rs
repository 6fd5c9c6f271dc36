//! Cases that need a hand from the backend: see [`FaultHooks`].

use keywright_core::{EventKind, SecurityEvent};
use keywright_store::{Batch, CommitError, Expect, Revision, Slot};

use crate::Violation;
use crate::hooks::{FaultHooks, Hook, HostEnd, Outcome};
use crate::site::{LONG_AGO, Site, at, draw, host, put};
use crate::violation::holds;

/// Two records and an event: enough to see half of it.
fn whole(site: &Site, root: Revision) -> Result<Batch, Violation> {
    let writes = vec![put(host(1), Expect::Absent, "a"), put(host(2), Expect::Absent, "b")];
    let event = SecurityEvent::new(LONG_AGO, EventKind::KeychainSet);
    Ok(site.beside(root, writes)?.with_events(vec![event]))
}

/// How much of [`whole`] is there: 0 to 3 parts.
async fn parts(site: &Site) -> Result<usize, Violation> {
    let records = site.load(&[host(1), host(2)]).await?.iter().flatten().count();
    Ok(records.saturating_add(site.events().await?.len()))
}

async fn unknown(site: &Site, batch: Batch, what: &str) -> Result<(), Violation> {
    match site.store.commit(batch).await {
        Err(CommitError::Unknown(_)) => Ok(()),
        other => {
            holds!(false, Unknown, "{what} was answered with {other:?}");
            Ok(())
        }
    }
}

/// A lost reply is `Unknown`, whether the batch landed or not; and it landed whole or not at all.
///
/// # Errors
/// What was broken.
pub async fn lost_reply_is_unknown(hooks: &dyn FaultHooks) -> Result<Outcome, Violation> {
    let mut outcome = Outcome::Skipped;
    for landed in [false, true] {
        let (site, root) = Site::made(&hooks.store()).await?;
        if hooks.lose_next_reply(landed) == Hook::Unsupported {
            continue;
        }
        outcome = Outcome::Held;
        unknown(&site, whole(&site, root)?, "a commit whose reply was lost").await?;
        let there = parts(&site).await?;
        let right = if landed { 3 } else { 0 };
        holds!(there == right, AllOrNothing, "a lost reply (landed: {landed}) left {there} of 3 parts");
    }
    Ok(outcome)
}

/// An error from `COMMIT` itself is `Unknown`, never `Rejected`; whatever it did, it did whole.
///
/// # Errors
/// What was broken.
pub async fn commit_error_is_unknown(hooks: &dyn FaultHooks) -> Result<Outcome, Violation> {
    let (site, root) = Site::made(&hooks.store()).await?;
    if hooks.fail_next_commit() == Hook::Unsupported {
        return Ok(Outcome::Skipped);
    }
    unknown(&site, whole(&site, root)?, "an error from COMMIT").await?;
    let there = parts(&site).await?;
    holds!(there == 0 || there == 3, AllOrNothing, "a failed COMMIT left {there} of 3 parts");
    // The store goes on: the next commit is an ordinary one.
    site.land(site.batch(vec![put(Slot::Root, at(root), "next")])?).await?;
    Ok(Outcome::Held)
}

/// A commit that is still on its way when a fence lands never lands.
///
/// # Errors
/// What was broken.
pub async fn held_commit_never_lands_after_a_fence(hooks: &dyn FaultHooks) -> Result<Outcome, Violation> {
    let (site, root) = Site::made(&hooks.store()).await?;
    if hooks.hold_next_commit() == Hook::Unsupported {
        return Ok(Outcome::Skipped);
    }
    unknown(&site, whole(&site, root)?, "a commit that is on its way").await?;
    site.land(site.batch(vec![put(Slot::Root, at(root), "fence")])?).await?;
    let said = hooks.deliver().await;
    holds!(!matches!(said, Some(Ok(()))), Fence, "a held commit landed after the fence");
    let there = parts(&site).await?;
    holds!(there == 0, Fence, "a held commit left {there} of 3 parts after the fence");
    Ok(Outcome::Held)
}

/// Inside a host's transaction: a batch in conflict leaves nothing, though the host commits; a good one goes with the
/// host's rollback, and stays with its commit.
///
/// # Errors
/// What was broken.
pub async fn host_transaction_is_whole_or_nothing(hooks: &dyn FaultHooks) -> Result<Outcome, Violation> {
    for (good, end, right) in [
        (false, HostEnd::Commit, 0),
        (false, HostEnd::RollBack, 0),
        (true, HostEnd::RollBack, 0),
        (true, HostEnd::Commit, 3),
    ] {
        let (site, root) = Site::made(&hooks.store()).await?;
        let batch = if good {
            whole(&site, root)?
        } else {
            let writes = vec![put(host(1), Expect::Absent, "a"), put(host(2), at(draw()?), "b")];
            let event = SecurityEvent::new(LONG_AGO, EventKind::KeychainSet);
            site.beside(root, writes)?.with_events(vec![event])
        };
        let Some(said) = hooks.within_host(batch, end).await else { return Ok(Outcome::Skipped) };
        let as_meant = matches!((good, &said), (true, Ok(())) | (false, Err(CommitError::Conflict)));
        holds!(as_meant, Guards, "in a host's transaction, a batch (good: {good}) met {said:?}");
        let there = parts(&site).await?;
        holds!(there == right, HostTransaction, "a batch (good: {good}) left {there} of 3 parts after {end:?}");
    }
    Ok(Outcome::Held)
}
