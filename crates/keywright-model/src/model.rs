//! A search: a configuration, and the transitions out of a state.

use std::sync::Arc;

use stateright::{Model, Property};

use crate::bugs::Bug;
use crate::coverage::Coverage;
use crate::driver::{Driver, Phase};
use crate::normal::normalise;
use crate::properties::{Promise, properties};
use crate::step::Act;
use crate::world::{CODE, COUNTER, Entry, Ledger, Rev, Root, Row, SESSION, SLOTS, Store, VAULT, World};

/// What a search covers. Every bound is a number of times that something may happen in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What it is called.
    pub name: &'static str,
    /// How many days each driver's clock is ahead; one entry per driver.
    pub ahead: Vec<i8>,
    /// How many days the clock of the upkeep is ahead.
    pub upkeep_ahead: u8,
    /// The day on which histories begin.
    pub first_day: u8,
    /// How many revisions a root remembers: sixteen in the design.
    pub depth: usize,
    /// Whether the account exists at the start, and with a session.
    pub start: Start,
    /// How often each act is begun, by whichever driver is free.
    pub acts: Vec<(Act, u8)>,
    /// How many replies are lost, those of fences included.
    pub losses: u8,
    /// How often a step is run again.
    pub reruns: u8,
    /// How often the root is looked at to settle one attempt; each look may end in a fence.
    pub looks: u8,
    /// How many commits the store refuses although the root stands.
    pub conflicts: u8,
    /// How many drivers are restarted.
    pub restarts: u8,
    /// How many days pass.
    pub days: u8,
    /// Whether there are rounds of upkeep.
    pub sweeps: bool,
    /// Whether drivers hear only some time after a round where the horizon stands; else at once.
    pub late_news: bool,
    /// Whether a load reads the root first and the rows after it, in two reads.
    pub two_reads: bool,
    /// Whether steps turn out to need the session's slot only after a first load.
    pub extra_load: bool,
    /// The only promise that counts; `None` if all do.
    pub watch: Option<Promise>,
    /// The seeded fault.
    pub bug: Option<Bug>,
}

/// What the partition holds at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing, not even a root.
    Nothing,
    /// An account with an unspent code.
    Account,
    /// An account with an unspent code and a session that expires on day one.
    Session,
    /// An account with an unspent code and a vault.
    Vault,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "",
            ahead: vec![0, 0],
            upkeep_ahead: 0,
            first_day: 0,
            depth: 2,
            start: Start::Account,
            acts: Vec::new(),
            losses: 1,
            reruns: 1,
            looks: 2,
            late_news: false,
            conflicts: 0,
            restarts: 0,
            days: 0,
            sweeps: false,
            two_reads: false,
            extra_load: false,
            watch: None,
            bug: None,
        }
    }
}

impl Config {
    /// The same with a seeded fault.
    #[must_use]
    pub fn with(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    /// More roots than any root remembers.
    pub(crate) fn beyond(&self) -> u8 {
        u8::try_from(self.depth + 1).unwrap_or(u8::MAX)
    }
}

/// A configuration, ready to be searched.
#[derive(Clone, Debug)]
pub struct Search {
    pub(crate) config: Config,
    pub(crate) coverage: Arc<Coverage>,
    /// The orders of the drivers that leave every clock in its place.
    pub(crate) orders: Vec<Vec<usize>>,
    /// Whether states that differ only in names are one.
    pub(crate) merges: bool,
}

impl Search {
    /// Prepares a search.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut orders = vec![Vec::new()];
        for place in 0..config.ahead.len() {
            orders = orders
                .iter()
                .flat_map(|order: &Vec<usize>| {
                    (0..config.ahead.len())
                        .filter(|from| !order.contains(from) && config.ahead[*from] == config.ahead[place])
                        .map(|from| [order.as_slice(), &[from]].concat())
                })
                .collect();
        }
        Self { config, coverage: Arc::default(), orders, merges: true }
    }

    /// Prepares a search that keeps states apart which the normal form makes one: slower, to show
    /// that the normal form leaves nothing out.
    #[must_use]
    pub fn unmerged(config: Config) -> Self {
        let orders = vec![(0..config.ahead.len()).collect()];
        Self { orders, merges: false, ..Self::new(config) }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it has met so far.
    #[must_use]
    pub fn coverage(&self) -> Arc<Coverage> {
        Arc::clone(&self.coverage)
    }

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
            let mut root = Root { rev, contents, told: 1, ..Root::default() };
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

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A driver begins an act and loads.
    Begin(usize, Act),
    /// A driver loads.
    Load(usize),
    /// A driver's commit is applied or refused, and it is told.
    Commit(usize),
    /// A driver's commit gets no reply.
    Lose(usize),
    /// A driver's commit is refused although the root stands.
    Refuse(usize),
    /// A driver is restarted.
    Restart(usize),
    /// A held commit lands.
    Land(usize),
    /// A day passes.
    Day,
    /// A round of upkeep.
    Sweep,
    /// A round of upkeep whose clock, which was ahead, has been set right: the horizon comes back.
    SweepInTime,
    /// The first half of a round in two statements.
    Choose,
    /// The second half.
    Delete,
    /// A driver hears where the horizon stands.
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
                    // Idle drivers with the same clock are alike.
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
        properties()
    }
}
