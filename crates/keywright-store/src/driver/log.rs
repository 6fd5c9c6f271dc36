//! Reading an account's security log. Every page is verified against the heads in the sealed root.

use keywright_core::{AccountId, EventChain, SecurityEvent, UnixSeconds, chain_head};

use super::attempt::Rounds;
use super::{Driver, TransactError};
use crate::batch::{EventNumber, StoredEvent};
use crate::loaded::Loaded;
use crate::partition::Partition;
use crate::port::StoredEvents;
use crate::revision::Revision;
use crate::root::Chain;
use crate::step_error::{Damage, StepError};

/// How often a page is read again because the account changed meanwhile.
const MAX_READS: u32 = 8;

/// Where the next, older page of a chain begins, and the hash that its newest event must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCursor {
    chain: EventChain,
    before: EventNumber,
    head: [u8; 32],
    /// When the event before it was written.
    after: Option<UnixSeconds>,
}

impl EventCursor {
    /// Returns the chain to which the cursor belongs.
    #[must_use]
    pub const fn chain(&self) -> EventChain {
        self.chain
    }
}

/// One verified page of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventPage {
    /// The events, newest first.
    pub events: Vec<SecurityEvent>,
    /// Where older events begin; `None` at the old end.
    pub next: Option<EventCursor>,
}

impl Driver {
    /// Returns a page of an account's events of one chain, newest first, at most `limit`. It begins
    /// at the newest event, or at the cursor of an earlier page. No event in it was altered, added,
    /// moved or dropped since it was written.
    ///
    /// # Errors
    /// Returns [`TransactError`] if the log cannot be read, with [`Damage::Events`] if the chain is
    /// broken.
    pub async fn events(
        &self,
        account: &AccountId,
        chain: EventChain,
        cursor: Option<&EventCursor>,
        limit: u32,
    ) -> Result<EventPage, TransactError> {
        let partition = Partition::account(account);
        let limit = limit.max(1);
        let mut rounds = Rounds::new(&[]);
        for _ in 0..MAX_READS {
            match self.read_page(&partition, chain, cursor, limit).await {
                Ok(Some(page)) => return Ok(page),
                Ok(None) => {}
                // As for a step, it counts as damage only if a second read finds it under the same
                // root.
                Err((error, root)) => {
                    if let Err(error) = rounds.go_on(error, root) {
                        self.report(&partition, &error);
                        return Err(error);
                    }
                }
            }
        }
        Err(TransactError::Busy)
    }

    /// Reads a page once, with the root that authenticates it. Returns `None` if the root changed
    /// in between. A failure is returned with the root's revision that was seen.
    async fn read_page(
        &self,
        partition: &Partition,
        chain: EventChain,
        cursor: Option<&EventCursor>,
        limit: u32,
    ) -> Result<Option<EventPage>, (TransactError, Option<Revision>)> {
        let parts = &*self.parts;
        let unread = |error| (TransactError::Load(error), None);
        let snapshot = self.in_time(partition, parts.store.load(partition, &[])).await.map_err(unread)?;
        let seen = snapshot.root.as_ref().map(|root| root.revision);
        let under = |error: StepError| (error.into(), seen);
        let loaded = Loaded::open(&parts.keyring, parts.kinds.as_ref(), partition, &[], snapshot).map_err(under)?;
        if loaded.orphans {
            return Err(under(StepError::Damaged(Damage::Orphans)));
        }
        let before = cursor.map(|cursor| cursor.before);
        let StoredEvents { root, events } = self
            .in_time(partition, parts.store.events(partition, chain, before, limit.saturating_add(1)))
            .await
            .map_err(unread)?;
        if root != loaded.revision {
            return Ok(None);
        }
        let env = self.env().map_err(|error| (error.into(), seen))?;
        // A quarter of slack, because a clock that ran ahead for days has let a little more be
        // dropped. It uses this server's clock alone: the horizon is in clear in the store, and
        // somebody who can write it must not be able to age a log by it.
        let cutoff = env.now.minus(parts.events_kept.saturating_sub(parts.events_kept / 4));
        verify(loaded.root.chain(chain), chain, cursor, events, limit, cutoff).map(Some).map_err(under)
    }

    /// Returns the newest events of both chains, newest first, at most `limit`.
    ///
    /// # Errors
    /// Returns the errors of [`events`](Self::events).
    pub async fn recent_events(&self, account: &AccountId, limit: u32) -> Result<Vec<SecurityEvent>, TransactError> {
        let mut all = self.events(account, EventChain::Changes, None, limit).await?.events;
        all.extend(self.events(account, EventChain::Denials, None, limit).await?.events);
        all.sort_by(|a, b| b.at.cmp(&a.at).then(a.chain.cmp(&b.chain)).then(b.number.cmp(&a.number)));
        all.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(all)
    }
}

/// Verifies a page backwards along the chain. One event more than the page holds was requested; at
/// the old end there must be none.
fn verify(
    known: &Chain,
    chain: EventChain,
    cursor: Option<&EventCursor>,
    mut stored: Vec<StoredEvent>,
    limit: u32,
    cutoff: UnixSeconds,
) -> Result<EventPage, StepError> {
    let broken = StepError::Damaged(Damage::Events(chain));
    let (mut before, mut head) = match cursor {
        None => (known.next, known.head),
        Some(cursor) if cursor.chain == chain && cursor.before <= known.next => (cursor.before, cursor.head),
        Some(_) => return Err(StepError::Misuse("the cursor belongs to another chain")),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let goes_on = stored.len() > limit;
    stored.truncate(limit);
    let full = stored.len() == limit;
    let mut events = Vec::with_capacity(stored.len());
    // When the event before the oldest one of the page was written.
    let mut after = cursor.and_then(|cursor| cursor.after);
    for event in stored {
        let expected = before.checked_sub(1).filter(|number| *number >= known.first);
        let sound = event.chain == chain
            && Some(event.number) == expected
            && chain_head(&event.prev, event.number, event.at, &event.json) == head;
        if !sound {
            return Err(broken);
        }
        before = event.number;
        head = event.prev;
        let parsed = SecurityEvent::parse(chain, event.number, event.at, &event.json).map_err(|_| broken.clone())?;
        after = parsed.after();
        events.push(parsed);
    }
    // There is nothing below the oldest number that the root keeps: dropped events go in the commit
    // that moves that number.
    if goes_on && before <= known.first {
        return Err(broken);
    }
    // The page ends before the chain does. Only what is older than the policy keeps may be missing,
    // and never the newest event.
    if !full && before > known.first && after.is_none_or(|after| after >= cutoff) {
        return Err(broken);
    }
    let next = (full && before > known.first).then_some(EventCursor { chain, before, head, after });
    Ok(EventPage { events, next })
}
