//! What every change of rows needs: the reason why it did not apply, the count of rows, and numbers
//! as SQLite keeps them.

use keywright_core::UnixSeconds;
use keywright_store::CommitError;

use crate::fault::{Fault, FaultKind};

/// Why a change did not apply.
#[derive(Debug)]
pub(crate) enum ApplyError {
    /// The guard failed, or a vault write does not match the vault. Nothing was written.
    Conflict,
    /// The change itself is invalid. Nothing was written.
    Refused(Fault),
    /// **Part of the change may be written**: the transaction, or a savepoint, must be rolled back.
    Failed(Fault),
}

impl ApplyError {
    /// Returns the error for the caller, once the transaction was rolled back or if the change has
    /// written nothing.
    pub(crate) fn into_commit_error(self) -> CommitError {
        match self {
            Self::Conflict => CommitError::Conflict,
            Self::Refused(fault) | Self::Failed(fault) => fault.into_rejected(),
        }
    }
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

pub(crate) fn failed(kind: FaultKind) -> ApplyError {
    ApplyError::Failed(Fault::new(kind))
}

pub(crate) fn moment(moment: Option<UnixSeconds>) -> Option<i64> {
    moment.map(|moment| at_most(moment.get()))
}

/// The guard established that the rows are there. Another count means a damaged file, and the
/// transaction is rolled back.
pub(crate) fn expect_rows(changed: usize, expected: usize) -> Result<(), ApplyError> {
    if changed == expected { Ok(()) } else { Err(failed(FaultKind::Corrupt)) }
}

/// Returns the number as one of SQLite's signed integers. A moment always fits (the year 9999 is
/// 2³⁸); a bound that does not fit is beyond every row.
pub(crate) fn at_most(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
