//! The horizon, and the events that are forgotten because of it.

use keywright_core::{EventChain, UnixSeconds};
use keywright_store::{EventNumber, HORIZON_STEP, Write};

use crate::backend::Handles;
use crate::site::{LONG_AGO, Site, event_at, next, put_until, puts, slot};
use crate::violation::{Violation, holds};

async fn moved(store: &Handles, handle: usize, now: UnixSeconds) -> Result<UnixSeconds, Violation> {
    let horizon = store.upkeep(handle).move_horizon(now).await.map_err(Violation::Commit)?;
    for handle in [0, 1] {
        let seen = store.upkeep(handle).horizon().await?;
        holds!(seen == Some(horizon), Horizon, "moved to {horizon}, the horizon is read as {seen:?}");
    }
    Ok(horizon)
}

/// A new store has no horizon. In an empty store it starts at the given moment. It moves by at most
/// a day a round, however far the clock has run ahead.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn horizon_moves_a_day_a_round(store: Handles) -> Result<(), Violation> {
    let none = store.upkeep(0).horizon().await?;
    holds!(none.is_none(), Horizon, "a store whose horizon was never moved has the horizon {none:?}");
    let rounds = [
        (LONG_AGO, LONG_AGO),
        (LONG_AGO.plus(10), LONG_AGO.plus(10)),
        (LONG_AGO.plus(10), LONG_AGO.plus(10)),
        (LONG_AGO.plus(10 + HORIZON_STEP), LONG_AGO.plus(10 + HORIZON_STEP)),
        (LONG_AGO.plus(11 + 2 * HORIZON_STEP), LONG_AGO.plus(10 + 2 * HORIZON_STEP)),
        (UnixSeconds::MAX, LONG_AGO.plus(10 + 3 * HORIZON_STEP)),
        (UnixSeconds::MAX, LONG_AGO.plus(10 + 4 * HORIZON_STEP)),
    ];
    for (round, (now, right)) in rounds.into_iter().enumerate() {
        let horizon = moved(&store, round, now).await?;
        holds!(horizon == right, Horizon, "in round {round}, at {now}, the horizon moved to {horizon}, not {right}");
    }
    Ok(())
}

/// The horizon follows a clock that goes back, at once and however far, and moves on from there. So
/// a clock that ran ahead for days leaves behind no horizon that would sweep live rows.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn horizon_comes_back_with_the_clock(store: Handles) -> Result<(), Violation> {
    let (site, root) = Site::made(&store).await?;
    site.land(Some(root), puts(vec![put_until(slot(1), "in use", LONG_AGO.plus(5))])?).await?;
    let days = |days: u64| LONG_AGO.plus(days.saturating_mul(HORIZON_STEP));
    moved(&store, 0, LONG_AGO).await?;
    for round in 1..=3 {
        moved(&store, 1, days(round)).await?;
    }
    for (round, back) in [days(2), LONG_AGO, LONG_AGO.minus(1), UnixSeconds::EPOCH].into_iter().enumerate() {
        let horizon = moved(&store, round, back).await?;
        holds!(horizon == back, Horizon, "by a clock that came back to {back}, the horizon stands at {horizon}");
        let dropped = if back > LONG_AGO { 0 } else { site.sweep(100).await? };
        holds!(dropped == 0, Sweep, "by a horizon that came back to {back}, a sweep dropped {dropped} records");
    }
    let horizon = moved(&store, 0, LONG_AGO).await?;
    let right = UnixSeconds::EPOCH.plus(HORIZON_STEP);
    holds!(horizon == right, Horizon, "after it came back, the horizon moved to {horizon}, not to {right}");
    Ok(())
}

/// In a store that has events, the horizon starts at most a day after the newest event of any chain
/// and partition. So the first round of a server whose clock is ten years ahead drops a day's
/// worth, and not everything.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn horizon_starts_at_the_newest_event(store: Handles) -> Result<(), Violation> {
    let newest = LONG_AGO.plus(500);
    for (chain, at) in [(EventChain::Changes, LONG_AGO), (EventChain::Denials, newest)] {
        let site = Site::bare(&store)?;
        let events = vec![event_at(chain, 1, at), event_at(chain, 2, at.minus(1_000))];
        site.land(None, Write { events, ..next()? }).await?;
    }
    let horizon = moved(&store, 0, LONG_AGO.plus(10 * 365 * HORIZON_STEP)).await?;
    let right = newest.plus(HORIZON_STEP);
    holds!(horizon == right, Horizon, "with a newest event at {newest}, the horizon starts at {horizon}, not {right}");
    Ok(())
}

/// The moments of five events: the third is younger than those after it.
const MOMENTS: [u64; 5] = [1, 2, 50, 3, 4];

async fn five(store: &Handles, chain: EventChain) -> Result<Site, Violation> {
    let site = Site::bare(store)?;
    let events = (1..).zip(MOMENTS).map(|(number, at)| event_at(chain, number, LONG_AGO.plus(at))).collect();
    site.land(None, Write { events, ..next()? }).await?;
    Ok(site)
}

async fn forget(store: &Handles, handle: usize, age: u64, limit: u32) -> Result<u64, Violation> {
    store.upkeep(handle).forget_events(age, limit).await.map_err(Violation::Commit)
}

/// Events that are older than the horizon by more than the given age are forgotten, from the old
/// end of their chain up to the first that is not, and at most a limit at once.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn old_events_are_forgotten(store: Handles) -> Result<(), Violation> {
    let (changes, denials) = (five(&store, EventChain::Changes).await?, five(&store, EventChain::Denials).await?);
    let numbers = async || -> Result<[Vec<EventNumber>; 2], Violation> {
        Ok([changes.numbers(EventChain::Changes).await?, denials.numbers(EventChain::Denials).await?])
    };
    let all: Vec<EventNumber> = vec![5, 4, 3, 2, 1];
    let early = forget(&store, 0, 0, 100).await?;
    holds!(
        early == 0 && numbers().await? == [all.clone(), all.clone()],
        Forget,
        "events were forgotten without a horizon"
    );
    // A day has passed since the newest event, so the horizon is 40 seconds after the first of
    // them.
    changes.move_horizon(LONG_AGO.plus(40)).await?;
    for (age, right) in [(39, 0), (38, 2)] {
        // An event of exactly that age is not older than it.
        let forgotten = forget(&store, 1, age, 100).await?;
        holds!(forgotten == right, Forget, "beyond the age of {age} s, {forgotten} events were forgotten, not {right}");
    }
    let seen = numbers().await?;
    let right: Vec<EventNumber> = vec![5, 4, 3, 2];
    holds!(seen == [right.clone(), right], Forget, "of each chain's oldest forgotten, {seen:?} are left");
    let forgotten = forget(&store, 0, 0, 1).await?;
    holds!(forgotten == 1, Forget, "at a limit of one, {forgotten} events were forgotten");
    let forgotten = forget(&store, 1, 0, 100).await?;
    holds!(
        forgotten == 1,
        Forget,
        "up to the first event that is young enough, {forgotten} more were forgotten, not 1"
    );
    let seen = numbers().await?;
    let right: Vec<EventNumber> = vec![5, 4, 3];
    holds!(seen == [right.clone(), right], Forget, "an event was forgotten out of the middle: {seen:?} are left");
    Ok(())
}

/// The newest event of a chain is never forgotten, however old it is: the root vouches for its
/// number.
///
/// # Errors
/// Returns a [`Violation`] that names the broken promise.
pub async fn newest_event_is_never_forgotten(store: Handles) -> Result<(), Violation> {
    let site = five(&store, EventChain::Changes).await?;
    let other = Site::bare(&store)?;
    let event = event_at(EventChain::Denials, 7, UnixSeconds::EPOCH.plus(1));
    other.land(None, Write { events: vec![event], ..next()? }).await?;
    site.move_horizon(LONG_AGO.plus(1_000)).await?;
    for _ in 0..3 {
        forget(&store, 0, 0, 100).await?;
    }
    let left = (site.numbers(EventChain::Changes).await?, other.numbers(EventChain::Denials).await?);
    holds!(left == (vec![5], vec![7]), Forget, "of two chains that are old as a whole, {left:?} are left");
    let newest = (site.load(&[]).await?.newest.changes, other.load(&[]).await?.newest.denials);
    holds!(newest == (5, 7), Newest, "of two chains that are old as a whole, the newest are {newest:?}");
    Ok(())
}
