//! What an attempt asks the host's verifier, the answers that it has got, and what it has found wrong.

use std::sync::Arc;

use keywright_core::ledger::PendingGuess;
use keywright_core::{AdmittedAttempt, EventValue};

use crate::verifier::{Answer, Question};

/// The state of an attempt's comparisons.
#[derive(Default)]
pub(super) struct Comparing {
    pub(super) question: Option<Question>,
    /// With each, whether its guess was still pending, so that it counts.
    pub(super) answers: Vec<(Arc<Answer>, bool)>,
    /// What this run has found wrong first, even if the step held it back.
    pub(super) wrong: Vec<WrongGuess>,
    /// What an earlier run has found wrong, and this run has not compared yet.
    pub(super) unpaid: Vec<UnpaidGuess>,
}

/// A guess that a step has compared, and for what it was made.
pub(crate) struct WrongGuess {
    pub(crate) admitted: AdmittedAttempt,
    pub(crate) purpose: Option<EventValue>,
}

/// A wrong guess that the ledger counts as pending until the step has run again.
#[derive(Clone)]
pub(crate) struct UnpaidGuess {
    pub(crate) purpose: Option<EventValue>,
    pub(crate) pending: PendingGuess,
}
