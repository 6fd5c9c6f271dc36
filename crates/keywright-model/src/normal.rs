//! The normal form of a state: states that differ only in names are one.
//!
//! Revisions are only ever compared, and drivers with the same clock are interchangeable. So after
//! every transition, revisions are numbered in the order in which they occur, drivers are put in
//! the order that results in the smallest state, and anything that can no longer have an effect is
//! dropped. Chain revisions (roots) and record revisions (rows and the entries that name them) are
//! never compared with each other, and are numbered separately.

use crate::attempt::{Act, Driver, Phase};
use crate::search::{Search, Start};
use crate::store::{Batch, Rev, Root, SESSION, Store};
use crate::world::World;

#[derive(Clone, Copy)]
enum Kind {
    Chain,
    /// A place in `recent`.
    Past,
    Record,
}

type Visit<'a> = &'a mut dyn FnMut(Kind, &mut Rev);

fn root(root: &mut Root, visit: Visit<'_>) {
    visit(Kind::Chain, &mut root.rev);
    root.recent.as_mut_slice().iter_mut().for_each(|rev| visit(Kind::Past, rev));
    root.contents.iter_mut().flatten().for_each(|entry| visit(Kind::Record, &mut entry.rev));
}

fn store(store: &mut Store, visit: Visit<'_>) {
    if let Some(it) = &mut store.root {
        root(it, visit);
    }
    store.rows.iter_mut().flatten().for_each(|row| visit(Kind::Record, &mut row.rev));
    store.stage.iter_mut().for_each(|stage| visit(Kind::Record, &mut stage.base));
}

fn batch(batch: &mut Batch, visit: Visit<'_>) {
    visit(Kind::Chain, &mut batch.expect);
    if let Some(write) = &mut batch.write {
        root(&mut write.root, visit);
        write.puts.iter_mut().flatten().for_each(|row| visit(Kind::Record, &mut row.rev));
    }
}

fn driver(driver: &mut Driver, visit: Visit<'_>) {
    match &mut driver.phase {
        Phase::Idle | Phase::More { .. } => {}
        Phase::Loading { suspect } => suspect.iter_mut().for_each(|rev| visit(Kind::Chain, rev)),
        Phase::Half { root: half, suspect, .. } => {
            half.iter_mut().for_each(|it| root(it, visit));
            suspect.iter_mut().for_each(|rev| visit(Kind::Chain, rev));
        }
        Phase::Ready { batch: it } => batch(it, visit),
        Phase::Settling { ours, loaded } => {
            visit(Kind::Chain, ours);
            visit(Kind::Chain, loaded);
        }
        Phase::Fencing { ours, loaded, fence } => {
            visit(Kind::Chain, ours);
            visit(Kind::Chain, loaded);
            batch(fence, visit);
        }
    }
}

fn world(world: &mut World, visit: Visit<'_>) {
    store(&mut world.store, visit);
    world.replica.iter_mut().for_each(|it| store(it, visit));
    world.held.iter_mut().for_each(|held| batch(&mut held.batch, visit));
    world.drivers.iter_mut().for_each(|it| driver(it, visit));
}

/// The names met so far, and the next free one.
struct Names {
    given: [u8; 256],
    next: u8,
}

impl Names {
    fn new() -> Self {
        let mut given = [0; 256];
        given[usize::from(Rev::FORGOTTEN.0)] = Rev::FORGOTTEN.0;
        Self { given, next: Rev::FORGOTTEN.0 + 1 }
    }

    fn rename(&mut self, rev: &mut Rev) {
        if *rev == Rev::ZERO {
            return;
        }
        let given = &mut self.given[usize::from(rev.0)];
        if *given == 0 {
            *given = self.next;
            self.next += 1;
        }
        rev.0 = *given;
    }
}

fn renumber(it: &mut World) {
    let (mut chain, mut records) = (Names::new(), Names::new());
    world(it, &mut |kind, rev| match kind {
        Kind::Chain | Kind::Past => chain.rename(rev),
        Kind::Record => records.rename(rev),
    });
}

impl World {
    /// Whether there is a record that expires, or may still be one.
    fn rows_may_expire(&self) -> bool {
        let touches = |driver: &Driver| driver.act == Some(Act::Touch);
        let named =
            self.store.root.is_some_and(|root| root.contents[SESSION].is_some_and(|entry| entry.expiry.is_some()));
        named || self.acts[Act::Touch as usize] > 0 || self.drivers.iter().any(touches) || !self.held.is_empty()
    }
}

/// Drops everything that can no longer have an effect.
fn forget(search: &Search, it: &mut World) {
    let current = it.store.rev();
    // A revision never returns, so a held commit that expects a different one can never be applied.
    // Only an absent root returns, after the sweep of the whole partition. No statement lives that
    // long if a partition is swept as late as it should be.
    let returns = it.store.purge_after.is_some() && it.may_be_under_way(search);
    it.held.retain(|held| held.batch.expect == current || (returns && held.batch.expect == Rev::ZERO));
    it.held.sort_by_key(|held| held.owner);

    // How long there has been a root matters only for commits that were sent when there was none.
    let on_absence = it.held.iter().any(|held| held.batch.expect == Rev::ZERO)
        || it.drivers.iter().any(|driver| {
            matches!(
                driver.phase,
                Phase::Half { root: None, .. }
                    | Phase::Ready { batch: Batch { expect: Rev::ZERO, .. } }
                    | Phase::Settling { loaded: Rev::ZERO, .. }
                    | Phase::Fencing { loaded: Rev::ZERO, .. }
            )
        });
    if !on_absence || it.store.purge_after.is_none() {
        it.moves_since_absence = 2;
    }

    // The furthest horizon matters only beyond a driver's own clock, which never goes back, and
    // only where a whole partition may be swept. The last horizon matters only where records
    // expire.
    let partitions_expire = search.config.start == Start::Nothing;
    let records_expire = it.rows_may_expire();
    for driver in 0..it.drivers.len() {
        let now = it.moments(search, driver).now;
        let heard = it.horizon;
        let state = &mut it.drivers[driver];
        if !partitions_expire || state.furthest <= now {
            state.furthest = 0;
        }
        if !records_expire {
            state.heard = heard;
        }
    }

    // A driver looks in `recent` for its own attempt and for the revision that it is based on: the
    // one that it holds now, or one that a later load may show it.
    let mut asked = [false; 256];
    let mut ask = |kind, rev: &mut Rev| {
        if matches!(kind, Kind::Chain) {
            asked[usize::from(rev.0)] = true;
        }
    };
    it.drivers.iter_mut().for_each(|state| driver(state, &mut ask));
    it.replica.iter_mut().for_each(|replica| store(replica, &mut ask));
    store(&mut it.store, &mut ask);
    world(it, &mut |kind, rev| {
        if matches!(kind, Kind::Past) && *rev != Rev::ZERO && !asked[usize::from(rev.0)] {
            *rev = Rev::FORGOTTEN;
        }
    });
}

/// Puts a state into its normal form.
pub fn normalise(search: &Search, mut it: World) -> World {
    if search.merges {
        forget(search, &mut it);
    }
    let mut smallest: Option<World> = None;
    for order in &search.orders {
        let mut other = it.clone();
        for (place, &from) in order.iter().enumerate() {
            other.drivers[place] = it.drivers[from];
        }
        for held in &mut other.held {
            held.owner = held.owner.and_then(|owner| {
                let place = order.iter().position(|&from| from == usize::from(owner))?;
                u8::try_from(place).ok()
            });
        }
        other.held.sort_by_key(|held| held.owner);
        renumber(&mut other);
        if smallest.as_ref().is_none_or(|smallest| other < *smallest) {
            smallest = Some(other);
        }
    }
    smallest.unwrap_or(it)
}
