//! An observer that remembers.

use std::sync::{Arc, Mutex};

use keywright_core::{AccountId, SecurityEvent};
use keywright_store::{Observer, Partition, StepError};

/// Remembers every event and every damage that a driver reports.
#[derive(Debug, Default)]
pub struct Heard {
    events: Mutex<Vec<(AccountId, SecurityEvent)>>,
    damage: Mutex<Vec<(Partition, StepError)>>,
}

impl Heard {
    /// Somebody who has heard nothing yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Every event so far, and whose it is, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<(AccountId, SecurityEvent)> {
        self.events.lock().unwrap().clone()
    }

    /// The kinds of the events so far, oldest first.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        self.events.lock().unwrap().iter().map(|(_, event)| event.kind().to_owned()).collect()
    }

    /// Every damage so far, and where it is, oldest first.
    #[must_use]
    pub fn damage(&self) -> Vec<(Partition, StepError)> {
        self.damage.lock().unwrap().clone()
    }

    /// How often damage was reported.
    #[must_use]
    pub fn damages(&self) -> usize {
        self.damage.lock().unwrap().len()
    }

    /// Forgets every damage so far. Returns it.
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
