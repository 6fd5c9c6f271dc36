//! Damaged data, in the server's log. Security events are there without an observer: the driver logs
//! them, with the target `keywright::security`.

use keywright::store::{Partition, StepError};
use keywright::{AccountId, Observer, SecurityEvent};

/// Writes reports of damage to the log.
#[derive(Debug)]
pub(crate) struct SecurityLog;

impl Observer for SecurityLog {
    fn event(&self, _: &AccountId, _: &SecurityEvent) {}

    fn damage(&self, partition: &Partition, error: &StepError) {
        let partition = partition.key();
        tracing::error!(partition, %error, "stored data is damaged, lost or altered, and was not used");
    }
}
