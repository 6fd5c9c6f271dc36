//! Runs a search and reports what it found.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use crate::coverage::Coverage;
use crate::model::Action;
use crate::search::{Config, Search};

/// What a search found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration that was searched.
    pub config: Config,
    /// The number of transitions.
    pub states: usize,
    /// The number of distinct states.
    pub unique: usize,
    /// The length of the longest history that was needed to reach a state.
    pub depth: usize,
    /// The duration of the search.
    pub elapsed: Duration,
    /// The promises that were broken, each with a history that shows it.
    pub broken: Vec<(&'static str, Vec<Action>)>,
    /// The events that the search met.
    pub coverage: Arc<Coverage>,
}

/// Searches every state of a configuration, and stops at the first broken promise.
#[must_use]
pub fn run(config: Config, threads: usize) -> Report {
    let search = Search::new(config.clone());
    let coverage = search.coverage();
    let began = Instant::now();
    let finish = match config.watch {
        Some(promise) => HasDiscoveries::AnyOf(BTreeSet::from([promise.name()])),
        None => HasDiscoveries::AnyFailures,
    };
    let checker = search.checker().threads(threads).finish_when(finish).spawn_bfs().join();
    let mut broken: Vec<_> =
        checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
    broken.retain(|(name, _)| config.watch.is_none_or(|promise| promise.name() == *name));
    broken.sort_unstable_by_key(|(name, history)| (history.len(), *name));
    Report {
        config,
        states: checker.state_count(),
        unique: checker.unique_state_count(),
        depth: checker.max_depth(),
        elapsed: began.elapsed(),
        broken,
        coverage,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<34} {} drivers {:>11} states {:>10} unique  depth {:>3} {:>7.1} s  ",
            self.config.name,
            self.config.ahead.len(),
            self.states,
            self.unique,
            self.depth,
            self.elapsed.as_secs_f64(),
        )?;
        match self.broken.first() {
            None => f.write_str("holds"),
            Some((promise, history)) => {
                write!(f, "BROKEN after {} steps: {promise}", history.len())?;
                history.iter().try_for_each(|action| write!(f, "\n    {action:?}"))
            }
        }
    }
}
