//! Faults of the file, grouped by what an operator should do about them.

use std::fmt;
use std::sync::Arc;

use keywright_store::{CommitError, LoadError, Shortage};
use rusqlite::ErrorCode;

/// The kind of a fault, which determines what an operator should do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The file is not an SQLite database, or is encrypted.
    NotADatabase,
    /// Another program holds the file's lock for longer than the busy timeout.
    Locked,
    /// A change waited for longer than its caller wanted to wait, and was taken back before it
    /// began: the file is locked by another program, or the disk is slow.
    Withdrawn,
    /// The file, its directory or the medium cannot be written.
    ReadOnly,
    /// The disk, or the size limit of the store, is full.
    Full,
    /// The path cannot be opened: there is no such directory, or no permission.
    CannotOpen,
    /// The file is damaged. Restore a backup.
    Corrupt,
    /// The operating system reported an I/O error.
    Disk,
    /// A row has a form that this version does not know. A newer version wrote it, or it is
    /// damaged.
    UnknownForm,
    /// A vault write or a stage names one cipher twice, which is a programming error of the caller.
    DuplicateCipher,
    /// An event's number is already taken: the event log was altered, or the root was replaced by
    /// an older version.
    EventNumberTaken,
    /// The tables differ from those that this crate creates: one was altered, or a trigger or a
    /// view, for example, was put on it or in its place. The log has the name. Somebody has edited
    /// the file; restore a backup.
    AlteredSchema,
    /// The file, its log or the log's index was deleted or replaced while the store was open. The
    /// store stops, because whatever it wrote would be lost. Find out what happened to the file,
    /// then restart the server.
    FileReplaced,
    /// A host's transaction is on a file other than the store's, or on one of another version.
    OtherFile,
    /// The thread that should have answered has stopped.
    Stopped,
    /// Anything else that SQLite reports.
    Other,
}

impl FaultKind {
    const fn text(self) -> &'static str {
        match self {
            Self::NotADatabase => "the file is not an SQLite database",
            Self::Locked => "the database is locked by another program",
            Self::Withdrawn => "the change waited too long for the database, and was taken back",
            Self::ReadOnly => "the database cannot be written",
            Self::Full => "the disk or the store's size limit is full",
            Self::CannotOpen => "the database file cannot be opened",
            Self::Corrupt => "the database file is damaged",
            Self::Disk => "the disk failed",
            Self::UnknownForm => "the database holds a row that is malformed or was written by a newer version",
            Self::DuplicateCipher => "a vault write names one cipher twice",
            Self::EventNumberTaken => "the number of an event is already taken",
            Self::AlteredSchema => "the database's tables differ from those that this program creates",
            Self::FileReplaced => "the database file was deleted or replaced while it was open",
            Self::OtherFile => "the transaction is on a different database or a different version of it",
            Self::Stopped => "the store's thread has stopped",
            Self::Other => "SQLite reported an error",
        }
    }

    const fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::NotADatabase => Self::NotADatabase,
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => Self::Locked,
            ErrorCode::ReadOnly => Self::ReadOnly,
            ErrorCode::DiskFull => Self::Full,
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied => Self::CannotOpen,
            ErrorCode::DatabaseCorrupt => Self::Corrupt,
            ErrorCode::SystemIoFailure => Self::Disk,
            _ => Self::Other,
        }
    }
}

/// A fault of the store: a kind, and SQLite's own error if there is one. The source inside
/// [`LoadError`] and [`CommitError`] downcasts to it.
///
/// It contains no value of any row: SQLite's messages name tables and columns, and all our
/// statements are fixed.
#[derive(Clone)]
pub struct Fault {
    kind: FaultKind,
    // Shared, because one failed group is the failure of each of its batches.
    source: Option<Arc<rusqlite::Error>>,
}

impl Fault {
    /// Returns the kind of the fault.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Returns SQLite's own error, if there is one.
    #[must_use]
    pub fn sqlite_error(&self) -> Option<&rusqlite::Error> {
        self.source.as_deref()
    }

    pub(crate) const fn new(kind: FaultKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn into_load_error(self) -> LoadError {
        if matches!(self.kind, FaultKind::UnknownForm | FaultKind::Corrupt) {
            LoadError::Corrupt(self.into())
        } else {
            LoadError::Failed(self.into())
        }
    }

    pub(crate) fn into_rejected(self) -> CommitError {
        CommitError::Rejected(self.into())
    }
}

impl Fault {
    /// Whether the error reports that a value of a row has another form than was requested.
    pub(crate) const fn from_row(error: &rusqlite::Error) -> bool {
        matches!(
            error,
            rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
        )
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let kind = match &error {
            error if Self::from_row(error) => FaultKind::UnknownForm,
            other => other.sqlite_error_code().map_or(FaultKind::Other, FaultKind::of),
        };
        Self { kind, source: Some(Arc::new(error)) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.text())
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

impl std::error::Error for Fault {
    /// For a lock, a change that was taken back and a full disk, the [`Shortage`]; then SQLite's own error adds nothing.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind {
            FaultKind::Locked | FaultKind::Withdrawn => Some(&Shortage::Busy),
            FaultKind::Full => Some(&Shortage::Room),
            _ => self.source.as_deref().map(|error| error as _),
        }
    }
}

/// Why a store was not opened. No row of the file was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A newer version of this crate wrote the file. Use that version; a file cannot be migrated
    /// back.
    #[error("the database has version {found}, this program knows versions up to {known}")]
    Newer {
        /// The file's version.
        found: i32,
        /// The newest version that this program knows.
        known: i32,
    },
    /// The file is a database of another program: its `application_id` or `user_version` is not
    /// ours, or it has tables and [`Builder::adopt`](crate::Builder::adopt) was not called.
    #[error(
        "the file is a database of another program (application id {application_id:#x}): give the store a file of its own"
    )]
    Foreign {
        /// The file's `application_id`, or 0 if none is set.
        application_id: i32,
    },
    /// The file is from before the first release. It cannot be migrated; begin with a new file.
    #[error("the database is from before the first release and cannot be migrated: start with a new file")]
    BeforeRelease,
    /// The host's database that was to be adopted has a text encoding other than UTF-8.
    #[error("the database has the text encoding {encoding}; only UTF-8 can be adopted")]
    Encoding {
        /// The file's encoding.
        encoding: String,
    },
    /// A write-ahead log is not possible at the file's place, which usually is a network file
    /// system.
    #[error("the file system does not support a write-ahead log (the journal mode stays `{mode}`)")]
    NoWriteAheadLog {
        /// The journal mode to which SQLite fell back.
        mode: String,
    },
    /// SQLite could not open, read or set up the file.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The operating system did not provide a thread.
    #[error("a thread of the store cannot be started")]
    Thread(#[source] std::io::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Fault(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_its_kind_and_keeps_its_source() {
        let full = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None);
        let fault = Fault::from(full);
        assert_eq!(fault.kind(), FaultKind::Full);
        assert!(fault.sqlite_error().is_some());
        let shortage = std::error::Error::source(&fault).and_then(|source| source.downcast_ref::<Shortage>());
        assert_eq!(shortage, Some(&Shortage::Room));
        assert_eq!(fault.to_string(), "the disk or the store's size limit is full");
        assert!(matches!(fault.into_load_error(), LoadError::Failed(_)));
        assert!(matches!(Fault::new(FaultKind::UnknownForm).into_load_error(), LoadError::Corrupt(_)));
    }
}
