//! What operators see of an operation: one span, its metrics, and the events that it has committed.

use keywright_core::{EventChain, SecurityEvent};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::measure::{self, Tally};
use super::{Driver, TransactError};
use crate::draft::Draft;
use crate::inside;
use crate::partition::Partition;
use crate::release::Receipt;
use crate::slot::SlotName;
use crate::step_error::StepError;

impl Driver {
    /// Runs a step until it is committed or denied.
    pub(super) async fn attempt<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        step: F,
    ) -> Result<(T, Receipt), TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        inside::refuse()?;
        let (span, mut tally) = (self.span(partition), Tally::default());
        let result = self.run_with_verifier(partition, slots, step, &mut tally).instrument(span.clone()).await;
        self.end(&span, result.as_ref().err(), &tally);
        result
    }

    /// Runs a read that commits nothing.
    pub(super) async fn look<T, F>(
        &self,
        partition: &Partition,
        slots: &[SlotName],
        look: F,
    ) -> Result<T, TransactError>
    where
        T: Send,
        F: FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
    {
        inside::refuse()?;
        let (span, mut tally) = (self.span(partition), Tally::default());
        let result = self.look_rounds(partition, slots, look, &mut tally).instrument(span.clone()).await;
        self.end(&span, result.as_ref().err(), &tally);
        result
    }

    fn span(&self, partition: &Partition) -> Span {
        tracing::debug_span!(
            target: "keywright::operation",
            "operation",
            operation = self.operation,
            partition = partition.key(),
            outcome = Empty,
            conflicts = Empty,
            reruns = Empty,
        )
    }

    fn end(&self, span: &Span, error: Option<&TransactError>, tally: &Tally) {
        let outcome = match error {
            None if tally.committed => "committed",
            None => "unchanged",
            Some(error) => failure(error),
        };
        span.record("outcome", outcome).record("conflicts", tally.conflicts).record("reruns", tally.reruns);
        measure::count(self.operation, outcome, tally);
    }

    /// Reports committed events, after the commit.
    pub(crate) fn tell(&self, partition: &Partition, events: &[SecurityEvent]) {
        let Some(account) = partition.as_account().filter(|_| !events.is_empty()) else { return };
        for event in events {
            measure::count_event(event);
            match event.chain {
                EventChain::Changes => {
                    tracing::info!(target: "keywright::security", %account, %event, "a security event");
                }
                EventChain::Denials => {
                    tracing::warn!(target: "keywright::security", %account, %event, "a security event");
                }
            }
            if let Some(observer) = &self.parts.observer {
                inside::run(|| observer.event(&account, event));
            }
        }
    }
}

/// Returns the label of a failure.
const fn failure(error: &TransactError) -> &'static str {
    match error {
        TransactError::Busy => "busy",
        TransactError::Unknown(_) => "unknown",
        TransactError::Rejected(_) => "rejected",
        error if error.is_damage() => "damaged",
        TransactError::Load(_) => "load_failed",
        TransactError::Step(StepError::Misuse(_)) | TransactError::WrongReceipt(_) => "misuse",
        TransactError::Step(StepError::Entropy(_)) | TransactError::Entropy(_) => "entropy",
        TransactError::Step(_) => "refused",
        TransactError::Clock(_) => "clock",
    }
}
