//! The model that is searched: the first state, and the transitions out of a state.

use stateright::{Model, Property};

use crate::attempt::{Act, Driver, Phase};
use crate::bugs::Bug;
use crate::normal::normalise;
use crate::promise::Promise;
use crate::properties::conditions;
pub use crate::search::{Config, Search, Start};
use crate::store::{CODE, COUNTER, Entry, Rev, Root, Row, SESSION, SLOTS, Store, VAULT};
use crate::world::{Ledger, World};

impl Search {
    fn start(&self) -> World {
        let rev = Rev::FRESH;
        let (mut store, mut ledger) = (Store::default(), Ledger::default());
        let mut contents = [None; SLOTS];
        let mut put = |slot: usize, expiry| {
            contents[slot] = Some(Entry { rev, expiry });
            store.rows[slot] = Some(Row { rev, value: 0, purge_after: expiry });
        };
        if self.config.start != Start::Nothing {
            put(CODE, None);
            put(COUNTER, None);
            ledger = Ledger::new(None);
        }
        if self.config.start == Start::Session {
            let expiry = Some(self.config.first_day + 1);
            put(SESSION, expiry);
            ledger.session = Some(expiry);
        }
        if self.config.start == Start::Vault {
            put(VAULT, None);
            store.rows[VAULT] = Some(Row { rev, value: 1, purge_after: None });
            (store.vault, ledger.vault) = (1, Some(1));
        }
        if self.config.start != Start::Nothing {
            store.log = 1;
            let mut root = Root { rev, contents, events: 1, ..Root::default() };
            root.recent.push(Rev::ZERO, self.config.depth);
            store.root = Some(root);
        }
        let driver = |&ahead: &i8| {
            let mut driver = Driver::default();
            let horizon = self.config.first_day;
            driver.hear(if self.config.late_news {
                horizon.min(horizon.saturating_add_signed(ahead))
            } else {
                horizon
            });
            driver
        };
        let mut acts = [0; Act::COUNT];
        for &(act, times) in &self.config.acts {
            acts[act as usize] = times;
        }
        World {
            store,
            replica: (self.config.bug == Some(Bug::Replica)).then_some(store),
            held: Vec::new(),
            drivers: self.config.ahead.iter().map(driver).collect(),
            acts,
            losses: self.config.losses,
            conflicts: self.config.conflicts,
            restarts: self.config.restarts,
            now: self.config.first_day,
            horizon: self.config.first_day,
            chosen: Default::default(),
            moves_since_absence: 0,
            grants: 0,
            ledger,
            broken: 0,
        }
    }
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A driver starts an act and loads.
    Begin(usize, Act),
    /// A driver loads.
    Load(usize),
    /// A driver's commit is applied or refused, and the driver receives the reply.
    Commit(usize),
    /// A driver's commit gets no reply.
    Lose(usize),
    /// A driver's commit is refused although the root is current.
    Refuse(usize),
    /// A driver is restarted.
    Restart(usize),
    /// A held commit is applied.
    Land(usize),
    /// A day passes.
    Day,
    /// A round of upkeep.
    Sweep,
    /// A round of upkeep whose clock was ahead and has been corrected, so that the horizon comes
    /// back.
    SweepInTime,
    /// The first half of a round of upkeep in two statements.
    Choose,
    /// The second half.
    Delete,
    /// A driver learns the current horizon.
    Hear(usize),
    /// The replica catches up.
    Replicate,
}

impl Model for Search {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![normalise(self, self.start())]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        if world.broken & self.config.watch.map_or(u16::MAX, Promise::bit) != 0 {
            return;
        }
        for (driver, state) in world.drivers.iter().enumerate() {
            match state.phase {
                Phase::Idle => {
                    // Idle drivers with the same clock are interchangeable.
                    let alike = self.merges
                        && world.drivers[..driver]
                            .iter()
                            .zip(&self.config.ahead)
                            .any(|(other, ahead)| other == state && *ahead == self.config.ahead[driver]);
                    if !alike {
                        let begun = Act::ALL.into_iter().filter(|act| world.acts[*act as usize] > 0);
                        actions.extend(begun.map(|act| Action::Begin(driver, act)));
                    }
                    continue;
                }
                Phase::Loading { .. } | Phase::Half { .. } | Phase::More { .. } | Phase::Settling { .. } => {
                    actions.push(Action::Load(driver));
                }
                Phase::Ready { .. } | Phase::Fencing { .. } => {
                    actions.push(Action::Commit(driver));
                    if world.losses > 0 {
                        actions.push(Action::Lose(driver));
                    }
                    if world.conflicts > 0 {
                        actions.push(Action::Refuse(driver));
                    }
                }
            }
            if world.restarts > 0 {
                actions.push(Action::Restart(driver));
            }
        }
        if self.config.late_news {
            let late = |driver: &usize| {
                let Driver { heard, furthest, .. } = world.drivers[*driver];
                heard != world.horizon || furthest < world.horizon
            };
            actions.extend((0..world.drivers.len()).filter(late).map(Action::Hear));
        }
        actions.extend((0..world.held.len()).map(Action::Land));
        if world.now < self.config.first_day + self.config.days {
            actions.push(Action::Day);
        }
        if self.config.sweeps && self.config.bug == Some(Bug::SweepInTwoStatements) {
            actions.extend([Action::Choose, Action::Delete]);
        } else if self.config.sweeps {
            actions.push(Action::Sweep);
            if self.config.upkeep_ahead > 0 {
                actions.push(Action::SweepInTime);
            }
        }
        if world.replica.is_some() {
            actions.push(Action::Replicate);
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        let happened = match action {
            Action::Begin(driver, act) => {
                world.begin(self, driver, act);
                true
            }
            Action::Load(driver) => {
                world.load(self, driver);
                true
            }
            Action::Commit(driver) => {
                world.commit(self, driver);
                true
            }
            Action::Lose(driver) => {
                world.lose(self, driver);
                true
            }
            Action::Refuse(driver) => {
                world.refuse(self, driver);
                true
            }
            Action::Restart(driver) => {
                world.restart(self, driver);
                true
            }
            Action::Land(held) => {
                let lands = world.store.takes(&world.held[held].batch);
                if lands {
                    world.land_late(self, held);
                }
                lands
            }
            Action::Day => {
                world.now += 1;
                true
            }
            Action::Sweep => world.sweep(self, self.config.upkeep_ahead),
            Action::SweepInTime => world.sweep(self, 0),
            Action::Hear(driver) => {
                let horizon = world.horizon;
                world.drivers[driver].hear(horizon);
                true
            }
            Action::Choose => world.choose(self),
            Action::Delete => world.delete_chosen(self),
            Action::Replicate => {
                let caught_up = world.replica == Some(world.store);
                world.replica = Some(world.store);
                !caught_up
            }
        };
        happened.then(|| normalise(self, world))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        conditions().map(|(promise, holds)| Property::always(promise.name(), holds)).to_vec()
    }
}
