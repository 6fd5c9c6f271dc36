//! An observer that records what it receives.

use std::sync::{Arc, Mutex};

use keywright_core::{AccountId, SecurityEvent};
use keywright_store::{Observer, Partition, StepError};

/// Records every event and every report of damage from a driver.
#[derive(Debug, Default)]
pub struct Heard {
    events: Mutex<Vec<(AccountId, SecurityEvent)>>,
    damage: Mutex<Vec<(Partition, StepError)>>,
}

impl Heard {
    /// Creates an observer that has received nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Returns every event so far with its account, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<(AccountId, SecurityEvent)> {
        self.events.lock().unwrap().clone()
    }

    /// Returns the kinds of the events so far, oldest first.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|(_, event)| event.kind().to_owned()).collect()
    }

    /// Returns every report of damage so far with its place, oldest first.
    #[must_use]
    pub fn damage(&self) -> Vec<(Partition, StepError)> {
        self.damage.lock().unwrap().clone()
    }

    /// Returns how often damage was reported.
    #[must_use]
    pub fn damages(&self) -> usize {
        self.damage.lock().unwrap().len()
    }

    /// Removes every report of damage so far, and returns them.
    #[must_use]
    pub fn take_damage(&self) -> Vec<(Partition, StepError)> {
        std::mem::take(&mut self.damage.lock().unwrap())
    }
}

impl Observer for Heard {
    fn event(&self, account: &AccountId, event: &SecurityEvent) {
        self.events.lock().unwrap().push((account.clone(), event.clone()));
    }

    fn damage(&self, partition: &Partition, error: &StepError) {
        self.damage.lock().unwrap().push((partition.clone(), error.clone()));
    }
}
