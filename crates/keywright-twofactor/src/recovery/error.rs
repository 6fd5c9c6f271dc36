//! The errors of importing recovery codes.

use keywright_store::StepError;

use super::MAX_CODES;

/// The reason why codes were not imported; nothing was staged. The error names the position of a
/// code in the list, never the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The list is empty or has more than [`MAX_CODES`] codes.
    #[error("a set must have 1 to {MAX_CODES} recovery codes, but got {0}")]
    Count(usize),
    /// A code does not have the preset's form: its length, its symbols or its check is wrong.
    #[error("recovery code {index} is malformed")]
    Malformed {
        /// The position in the list, from 0.
        index: usize,
    },
    /// The same code occurs twice.
    #[error("recovery code {index} repeats an earlier one")]
    Duplicate {
        /// The position of the second occurrence, from 0.
        index: usize,
    },
    /// The step could not decide. Pass [`StepError::NotLoaded`] on: it must reach the driver.
    #[error(transparent)]
    Step(#[from] StepError),
}
