//! What an attempt asks the host's verifier, and the answer that it has got.

use std::sync::Arc;

use crate::verifier::{Answer, Question};

/// The state of an attempt's comparison.
#[derive(Default)]
pub(super) struct Comparing {
    pub(super) question: Option<Question>,
    pub(super) answer: Option<Arc<Answer>>,
    /// Whether the guess was still pending, so that the answer counts.
    pub(super) counts: bool,
}
