//! The work of a driver between a load and a commit: open, decide, and build the batch or the
//! fence.
//!
//! All of it is pure and takes no time.

pub use crate::attempt::{Act, Opened};
use crate::bugs::Bug;
use crate::coverage::Event;
use crate::search::Search;
use crate::store::{
    Batch, CODE, COUNTER, Effect, Entry, Expiry, PROMOTED, Rev, Root, Row, SESSION, SLOTS, Stage, Store, VAULT,
    VaultWrite, Write,
};

/// Opens a load of some slots as the root names them. `None` is an integrity error.
pub(crate) fn open(store: &Store, slots: &[usize]) -> Option<Opened> {
    let Store { root, rows, log, vault, .. } = store;
    let Some(Root { contents, events, .. }) = root else {
        // Without a root there must be no rows.
        let is_empty = rows.iter().all(Option::is_none) && (*log, *vault) == (0, 0);
        return is_empty.then_some(Opened { code: None, counter: None, session: None, vault: None });
    };
    // The newest event must be the one that the root has seen.
    if events != log {
        return None;
    }
    for &slot in slots {
        match (contents[slot], rows[slot]) {
            (Some(entry), Some(row)) if entry.rev == row.rev => {}
            (Some(Entry { expiry: Some(_), .. }), None) | (None, None) => {}
            _ => return None,
        }
    }
    // The rows of the vault must be those that its head vouches for.
    if slots.contains(&VAULT) && rows[VAULT].map_or(0, |row| row.value) != *vault {
        return None;
    }
    Some(Opened {
        code: rows[CODE].map(|row| row.value),
        counter: rows[COUNTER].map(|row| row.value),
        session: contents[SESSION].filter(|_| rows[SESSION].is_some()).map(|entry| entry.expiry),
        vault: rows[VAULT].zip(contents[VAULT]).map(|(row, entry)| (row.value, entry.rev)),
    })
}

/// The moments that a driver uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    /// The driver's own clock.
    pub(crate) now: u8,
    /// The store's horizon, as the driver last knew it.
    pub(crate) heard: u8,
    /// The furthest horizon that the driver has known.
    pub(crate) furthest: u8,
}

impl Moments {
    /// What is written now is not swept before this moment: a day from now, by the later of the
    /// driver's clock and the furthest horizon that it has known.
    fn earliest_sweep(self) -> u8 {
        self.now.max(self.furthest) + 1
    }
}

/// What a step intends to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    puts: [Option<(u8, Expiry)>; SLOTS],
    delete_session: bool,
    erase: bool,
    /// When the whole partition expires, if the step sets it.
    expires: Option<Expiry>,
    vault: Option<VaultWrite>,
    effect: Effect,
}

impl Plan {
    const fn check(effect: Effect) -> Self {
        Self { puts: [None; SLOTS], delete_session: false, erase: false, expires: None, vault: None, effect }
    }

    fn put(slot: usize, value: u8, expiry: Expiry, effect: Effect) -> Self {
        let mut plan = Self::check(effect);
        plan.puts[slot] = Some((value, expiry));
        plan
    }

    /// A change of the vault: its rows, and the head that vouches for them.
    fn vault(state: u8, write: VaultWrite, effect: Effect) -> Self {
        Self { vault: Some(write), ..Self::put(VAULT, state, None, effect) }
    }

    fn writes(&self) -> bool {
        self.delete_session
            || self.erase
            || self.vault.is_some()
            || self.expires.is_some()
            || self.puts.iter().any(Option::is_some)
    }
}

/// The step, which is pure: it depends on what was opened and on the driver's time.
pub(crate) fn decide(act: Act, seen: &Opened, stage: Option<Stage>, now: u8, bug: Option<Bug>) -> Plan {
    let denied = Plan::check(Effect::Denied);
    let session = seen.session.filter(|expiry| expiry.is_none_or(|expiry| now < expiry));
    let Some(counter) = seen.counter else {
        // There is no account.
        let (expires, effect) = match act {
            Act::Create => (None, Effect::Create),
            Act::Register => (Some(now + 1), Effect::Register(now + 1)),
            _ => return denied,
        };
        let mut plan = Plan::put(CODE, 0, None, effect);
        plan.puts[COUNTER] = Some((0, None));
        return Plan { expires: Some(expires), ..plan };
    };
    match act {
        Act::Redeem if seen.code == Some(0) => Plan::put(CODE, 1, None, Effect::Spend),
        Act::Change => Plan::put(COUNTER, counter + 1, None, Effect::Change),
        Act::Touch => Plan::put(SESSION, 0, Some(now + 1), Effect::Touch(now + 1)),
        Act::Keep => Plan::put(SESSION, 0, None, Effect::Keep),
        Act::End if seen.session.is_some() => Plan { delete_session: true, ..Plan::check(Effect::End) },
        Act::Use => session.map_or(denied, |expiry| Plan::check(Effect::Live(expiry))),
        Act::Erase => Plan { erase: true, ..Plan::put(COUNTER, counter + 1, None, Effect::Erase) },
        Act::Verify => Plan { expires: Some(None), ..Plan::check(Effect::Verify) },
        Act::Edit => {
            seen.vault.map_or(denied, |(state, _)| Plan::vault(state + 1, VaultWrite::Edit(state + 1), Effect::Edit))
        }
        Act::Promote => match (seen.vault, stage) {
            (Some((_, head)), Some(Stage { base, over })) if base == head || bug == Some(Bug::PromotesOtherBase) => {
                let plan = Plan::vault(over + PROMOTED, VaultWrite::Promote(over), Effect::Promote(over));
                let puts = if bug == Some(Bug::PromotionForgetsHead) { [None; SLOTS] } else { plan.puts };
                Plan { puts, ..plan }
            }
            _ => denied,
        },
        Act::Redeem | Act::End | Act::Create | Act::Register | Act::Stage => denied,
    }
}

/// The batch of a plan, based on the root that was loaded.
pub(crate) fn batch(search: &Search, root: Option<&Root>, plan: &Plan, moments: Moments) -> Batch {
    let expect = root.map_or(Rev::ZERO, |root| root.rev);
    if !plan.writes() {
        return Batch { expect, write: None, effect: plan.effect };
    }
    let bug = search.config.bug;
    let mut contents = root.filter(|_| !plan.erase).map_or([None; SLOTS], |root| root.contents);
    let mut deletes = [false; SLOTS];
    deletes[SESSION] = plan.delete_session;
    // Only entries that expired more than a day ago, and never beyond the store's horizon.
    let Moments { now, heard, .. } = moments;
    let until = if bug == Some(Bug::PruneByOwnClock) { now } else { now.min(heard) };
    for slot in 0..SLOTS {
        let prunable = contents[slot].and_then(|entry| entry.expiry).is_some_and(|expiry| expiry + 1 < until);
        let put = plan.puts[slot].is_some();
        if prunable && (!put || bug == Some(Bug::PruneAndPut)) {
            search.coverage.met(Event::Pruned);
            contents[slot] = None;
            deletes[slot] = bug != Some(Bug::PruneLeavesRow);
        }
        if deletes[slot] {
            contents[slot] = None;
        }
        if let Some((_, expiry)) = plan.puts[slot] {
            contents[slot] = Some(Entry { rev: Rev::FRESH, expiry });
        }
    }
    let puts = plan.puts.map(|put| put.map(|(value, purge_after)| Row { rev: Rev::FRESH, value, purge_after }));
    let expires = plan.expires.unwrap_or_else(|| root.and_then(|root| root.expires));
    let expires = expires.map(|expires| expires.max(moments.earliest_sweep()));
    let mut root = Root { expires, contents, ..next_root(search, root, false) };
    let tells = plan.effect.is_event().then(|| {
        root.events = if bug == Some(Bug::EventNumberReused) { root.events.max(1) } else { root.events + 1 };
        root.events
    });
    let write = Write { root, puts, deletes, erase: plan.erase, tells, vault: plan.vault };
    Batch { expect, write: Some(write), effect: plan.effect }
}

/// The same root under a fresh revision.
fn next_root(search: &Search, root: Option<&Root>, fence: bool) -> Root {
    let Root { rev: replaced, mut recent, contents, expires, events } = root.copied().unwrap_or_default();
    let depth = search.config.depth;
    match search.config.bug {
        Some(Bug::SilentFence) if fence => {}
        Some(Bug::ShortRecent) => recent.push(replaced, depth - 1),
        Some(Bug::RecentDropsNewest) => recent.push_unless_full(replaced, depth),
        _ => recent.push(replaced, depth),
    }
    Root { rev: Rev::FRESH, recent, contents, expires, events }
}

/// The fence: the same body under a fresh revision, or a blank root if there is none.
pub(crate) fn fence(search: &Search, root: Option<&Root>, moments: Moments) -> Batch {
    let expect = root.map_or(Rev::ZERO, |root| root.rev);
    let mut fence = next_root(search, root, true);
    if root.is_none() {
        // A blank root never holds anything, so it expires by itself.
        fence.expires = Some(moments.now);
    }
    let own_clock = root.is_none() && search.config.bug == Some(Bug::BlankRootByOwnClock);
    let earliest = if own_clock { moments.now + 1 } else { moments.earliest_sweep() };
    fence.expires = fence.expires.map(|expires| expires.max(earliest));
    let write =
        Write { root: fence, puts: [None; SLOTS], deletes: [false; SLOTS], erase: false, tells: None, vault: None };
    Batch { expect, write: Some(write), effect: Effect::Fence }
}
