//! A configuration to search, and what follows from it before the first state.

use std::sync::Arc;

use crate::attempt::Act;
use crate::bugs::Bug;
use crate::coverage::Coverage;
use crate::promise::Promise;

/// What a search covers. Every bound is the number of times that something may happen in a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The configuration's name.
    pub name: &'static str,
    /// How many days each driver's clock is ahead; one entry per driver.
    pub ahead: Vec<i8>,
    /// How many days the clock of the upkeep is ahead.
    pub upkeep_ahead: u8,
    /// The day on which histories begin.
    pub first_day: u8,
    /// How many revisions a root remembers. The design has sixteen.
    pub depth: usize,
    /// Whether the account exists at the start, and with a session.
    pub start: Start,
    /// How often each act is started, by any driver that is free.
    pub acts: Vec<(Act, u8)>,
    /// How many replies are lost, including those of fences.
    pub losses: u8,
    /// How often a step is run again.
    pub reruns: u8,
    /// How often the root is read to settle one attempt. Each read may end in a fence.
    pub looks: u8,
    /// How many commits the store refuses although the root is current.
    pub conflicts: u8,
    /// How many drivers are restarted.
    pub restarts: u8,
    /// How many days pass.
    pub days: u8,
    /// Whether there are rounds of upkeep.
    pub sweeps: bool,
    /// Whether drivers learn the new horizon only some time after a round. Otherwise they learn it
    /// at once.
    pub late_news: bool,
    /// Whether a load reads the root first and the rows after it, in two reads.
    pub two_reads: bool,
    /// Whether steps turn out to need the session's slot only after a first load.
    pub extra_load: bool,
    /// The only promise that counts, or `None` if all do.
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
    /// Returns the same configuration with a seeded fault.
    #[must_use]
    pub fn with(self, bug: Bug) -> Self {
        Self { bug: Some(bug), ..self }
    }

    /// A number of roots beyond what any root remembers.
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
    /// Whether states that differ only in names are merged.
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

    /// Prepares a search that distinguishes states which the normal form merges. It is slower, and
    /// shows that the normal form leaves nothing out.
    #[must_use]
    pub fn unmerged(config: Config) -> Self {
        let orders = vec![(0..config.ahead.len()).collect()];
        Self { orders, merges: false, ..Self::new(config) }
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns what the search has met so far.
    #[must_use]
    pub fn coverage(&self) -> Arc<Coverage> {
        Arc::clone(&self.coverage)
    }
}
