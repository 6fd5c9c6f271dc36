//! Security events and damaged data, in the server's log.

use keywright::core::EventChain;
use keywright::store::{Partition, StepError};
use keywright::{AccountId, Observer, SecurityEvent};

/// Writes events and damage to the log: the account, and the event's kind and fields, none of which
/// is ever a secret.
#[derive(Debug)]
pub(crate) struct SecurityLog;

impl Observer for SecurityLog {
    fn event(&self, account: &AccountId, event: &SecurityEvent) {
        match event.chain {
            EventChain::Changes => tracing::info!(%account, %event, "a security event"),
            EventChain::Denials => tracing::warn!(%account, %event, "a security event"),
        }
    }

    fn damage(&self, partition: &Partition, error: &StepError) {
        let partition = partition.key();
        tracing::error!(partition, %error, "stored data is damaged, lost or altered, and was not used");
    }
}
