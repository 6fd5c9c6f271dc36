//! Why codes cannot be imported.

use keywright_store::StepError;

use super::MAX_CODES;

/// Why codes were not imported; nothing was staged. Names the place of a code in the list, never the code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// None, or more than [`MAX_CODES`].
    #[error("a set has 1 to {MAX_CODES} recovery codes, not {0}")]
    Count(usize),
    /// No code of the preset, by its length, its symbols or its check.
    #[error("recovery code {index} has not the form of its kind")]
    Malformed {
        /// Its place in the list, from 0.
        index: usize,
    },
    /// The same code twice.
    #[error("recovery code {index} was given before")]
    Duplicate {
        /// The place of the second, from 0.
        index: usize,
    },
    /// The step could not decide. [`StepError::NotLoaded`] must reach the driver: pass it on.
    #[error(transparent)]
    Step(#[from] StepError),
}
