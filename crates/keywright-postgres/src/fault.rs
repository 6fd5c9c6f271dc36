//! Faults of the database, sorted by what an operator does next.

use std::fmt;

use keywright_store::{CommitError, LoadError, Shortage};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// The kind of a fault, by what an operator does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// The server cannot be reached, refuses connections, or has ended this one.
    Unreachable,
    /// The server refuses the role or its password, or the encryption that was asked for, or has no such
    /// database.
    Refused,
    /// No connection of the pool was free within the limit. Allow more connections, or find out what
    /// is slow.
    PoolFull,
    /// The server did not answer within the limit, or ended the statement by one of its own.
    TimedOut,
    /// Another transaction has held the account's lock for too long, or the two waited for each
    /// other.
    Locked,
    /// The server, or the role, only reads.
    ReadOnly,
    /// The server is a standby, on which no answer is certain. Connect to the primary.
    Standby,
    /// The role lacks a right. Open the store once with the role that migrates, and name this one
    /// in [`Builder::serve`](crate::Builder::serve).
    NotPermitted,
    /// A disk, or another resource of the server, is full.
    Full,
    /// The tables or functions are not as this crate creates them.
    AlteredSchema,
    /// A row has a form that this version does not know. Somebody has edited it, or a newer version
    /// wrote it.
    UnknownForm,
    /// A vault write or a stage names one cipher twice, which is a programming error of the caller.
    DuplicateCipher,
    /// An event's number is taken: the log of events was altered, or an older root was put back.
    EventNumberTaken,
    /// A host's transaction is on a database other than the store's.
    OtherDatabase,
    /// A host's transaction was not committed: one of its statements failed and the host went on, or
    /// the host has ended it, or rolled it back to before the step was spent, or dropped the future
    /// of a step half way. Or one was to be begun on a connection that is in a transaction already.
    HostTransaction,
    /// Another transaction came first, in a transaction that is isolated more strictly than
    /// `READ COMMITTED`.
    Serialization,
    /// Anything else that the server or the connection reports.
    Other,
}

impl FaultKind {
    /// Returns a sentence about the kind, without anything of an account or of the server: it may be
    /// shown to anybody.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Unreachable => "the database server cannot be reached",
            Self::Refused => "the database server refuses the role, the database or the connection's encryption",
            Self::PoolFull => "all connections to the database are in use",
            Self::TimedOut => "the database server did not answer in time",
            Self::Locked => "another transaction holds the account's lock",
            Self::ReadOnly => "the database cannot be written",
            Self::Standby => "the database server is a standby",
            Self::NotPermitted => {
                "the database role lacks a right: the one that migrates needs CREATE on the database, and the others `Builder::serve`"
            }
            Self::Full => "a disk or another resource of the database server is full",
            Self::AlteredSchema => "the database's tables or functions are not as this program makes them",
            Self::UnknownForm => "the database holds a row of an unknown form",
            Self::DuplicateCipher => "a vault write names one cipher twice",
            Self::EventNumberTaken => "the number of an event is taken",
            Self::OtherDatabase => "the transaction is on another database",
            Self::HostTransaction => {
                "the host's transaction has failed, has begun before, or is not the one with the step in it"
            }
            Self::Serialization => "another transaction came first",
            Self::Other => "the database reported an error",
        }
    }

    /// What a store with this fault lacks. Nothing was written then, unless the result is unknown.
    const fn shortage(self) -> Option<&'static Shortage> {
        match self {
            Self::PoolFull | Self::TimedOut | Self::Locked => Some(&Shortage::Busy),
            Self::Full => Some(&Shortage::Room),
            _ => None,
        }
    }

    /// Sorts an error code of the server (SQLSTATE).
    fn of(error: &PgDatabaseError) -> Self {
        match error.code() {
            "25006" if error.message().starts_with("keywright: ") => Self::Standby,
            "23505" if error.constraint() == Some("events_pkey") => Self::EventNumberTaken,
            "25006" => Self::ReadOnly,
            "28000" | "28P01" | "3D000" => Self::Refused,
            "40001" => Self::Serialization,
            "40P01" | "55P03" => Self::Locked,
            "42501" => Self::NotPermitted,
            "57014" | "57P05" | "25P03" => Self::TimedOut,
            "3F000" | "42P01" | "42703" | "42883" | "42804" | "42P13" => Self::AlteredSchema,
            "57P01" | "57P02" | "57P03" | "53300" => Self::Unreachable,
            code if code.starts_with("08") => Self::Unreachable,
            code if code.starts_with("53") || code == "54000" => Self::Full,
            _ => Self::Other,
        }
    }
}

/// A fault of the store: a kind, the place, and the database's own error if there is one. The
/// source inside [`LoadError`] and [`CommitError`] downcasts to it.
///
/// Among its own sources is a [`Shortage`], if the store lacks something at the moment: a lock, a
/// connection or time ([`Shortage::Busy`]), or room ([`Shortage::Room`]).
pub struct Fault {
    kind: FaultKind,
    /// The table and the partition, if the fault is that of a row.
    place: Option<String>,
    source: Option<Reported>,
    /// Whether the statement may have been committed nevertheless.
    uncertain: bool,
}

impl Fault {
    /// Returns the kind of the fault.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Returns where the fault is: a table, and the partition of the row.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// Returns the database's own error, if there is one.
    #[must_use]
    pub const fn database_error(&self) -> Option<&sqlx::Error> {
        match &self.source {
            Some(reported) => Some(&reported.0),
            None => None,
        }
    }

    pub(crate) const fn new(kind: FaultKind) -> Self {
        Self { kind, place: None, source: None, uncertain: false }
    }

    /// A row of an unknown form.
    pub(crate) fn at(table: &'static str, partition: &str) -> Self {
        Self { place: Some(format!("keywright.{table}, {partition}")), ..Self::new(FaultKind::UnknownForm) }
    }

    /// The statement was sent, and nobody knows what became of it.
    pub(crate) fn lost(kind: FaultKind) -> Self {
        Self { uncertain: true, ..Self::new(kind) }
    }

    /// There was no connection, so nothing was sent.
    pub(crate) fn unsent(error: sqlx::Error) -> Self {
        Self { uncertain: false, ..error.into() }
    }

    /// The fault of the last statement before a host's `COMMIT`, which is not sent any more.
    pub(crate) fn of_host_transaction(self) -> Self {
        let code = self.database_error().and_then(|error| error.as_database_error()?.code());
        match code.as_deref() {
            // The transaction has failed before.
            Some("25P02") => Self { kind: FaultKind::HostTransaction, uncertain: false, ..self },
            // There is no transaction, or it lacks what was applied: the host has ended the one that had it,
            // in whatever way.
            Some("25P01" | "3B001") => Self { kind: FaultKind::HostTransaction, uncertain: true, ..self },
            _ => Self { uncertain: false, ..self },
        }
    }

    /// Whether the connection can be used again.
    pub(crate) const fn spares_connection(&self) -> bool {
        !self.uncertain && !matches!(self.kind, FaultKind::Unreachable | FaultKind::Standby | FaultKind::ReadOnly)
    }

    pub(crate) fn into_load_error(self) -> LoadError {
        match self.kind {
            FaultKind::UnknownForm => LoadError::Corrupt(self.into()),
            FaultKind::TimedOut | FaultKind::PoolFull => LoadError::TimedOut,
            _ => LoadError::Failed(self.into()),
        }
    }

    /// Returns the error of a commit in autocommit: a conflict, refused, or unknown.
    pub(crate) fn into_commit_error(self) -> CommitError {
        if self.uncertain { CommitError::Unknown(self.into()) } else { self.into_refusal() }
    }

    /// Returns the error of a statement that has certainly written nothing.
    pub(crate) fn into_refusal(self) -> CommitError {
        match self.kind {
            FaultKind::Serialization => CommitError::Conflict,
            _ => CommitError::Rejected(self.into()),
        }
    }
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error;
        let (kind, uncertain) = match &error {
            Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
                Some(reported) => (FaultKind::of(reported), is_uncertain(reported)),
                None => (FaultKind::Other, true),
            },
            Error::Tls(_) | Error::Configuration(_) => (FaultKind::Refused, false),
            Error::Encode(_) => (FaultKind::Other, false),
            Error::ColumnDecode { .. } | Error::Decode(_) => (FaultKind::UnknownForm, true),
            // What rustls refuses: another name, or an authority that is not trusted.
            Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => (FaultKind::Refused, true),
            Error::Io(_) | Error::WorkerCrashed => (FaultKind::Unreachable, true),
            _ => (FaultKind::Other, true),
        };
        Self { kind, place: None, source: Some(Reported(error, kind.shortage())), uncertain }
    }
}

/// Whether the transaction may have been committed although the server reported this. An `ERROR`
/// has rolled it back. What ends the connection may have come after the commit, and so may the
/// loss of a connection between two nodes.
fn is_uncertain(error: &PgDatabaseError) -> bool {
    let code = error.code();
    !matches!(error.severity(), PgSeverity::Error) || code.starts_with("08") || code.starts_with("57P0")
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.description())?;
        self.place.as_deref().map_or(Ok(()), |place| write!(f, " ({place})"))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("kind", &self.kind)
            .field("place", &self.place)
            .field("source", &self.database_error())
            .finish()
    }
}

impl std::error::Error for Fault {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.source {
            Some(reported) => Some(reported),
            None => self.kind.shortage().map(|shortage| shortage as _),
        }
    }
}

/// The database's own error, and what the store lacks because of it.
struct Reported(sqlx::Error, Option<&'static Shortage>);

impl fmt::Display for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Reported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Reported {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.1 {
            Some(shortage) => Some(shortage),
            None => self.0.source(),
        }
    }
}

/// Why a store was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The address is not one of a PostgreSQL server.
    #[error("the address of the database cannot be read")]
    Address(#[source] sqlx::Error),
    /// A newer version of this crate has migrated the database. Use that version.
    #[error("the database has version {found}, this program knows versions up to {known}")]
    Newer {
        /// The database's version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The database has to be migrated, by a role that may do so, and this store was opened without
    /// [migration](crate::Builder::migrate).
    #[error("the database has version {found} and must be migrated to {known} first")]
    Older {
        /// The database's version, or 0 if it has none of our tables.
        found: i64,
        /// The version that this program needs.
        known: i64,
    },
    /// There is a schema `keywright` that this crate did not create.
    #[error("the database has a schema `keywright` of another program")]
    Foreign,
    /// The server is older than PostgreSQL 15.
    #[error("the database server has version {found}; at least {known} is needed")]
    Server {
        /// The server's `server_version_num`.
        found: i64,
        /// The lowest that is accepted.
        known: i64,
    },
    /// The server does not flush what it commits (`fsync=off`), so no answer would survive a power
    /// failure.
    #[error("the database server runs with fsync=off, so nothing that it commits is durable")]
    NoFsync,
    /// Behind a pooler, values come as text, in a form that only `bytea_output=hex` has.
    #[error("the database role has bytea_output={found}; behind a pooler it must be hex")]
    ByteaOutput {
        /// The setting.
        found: String,
    },
    /// The server cannot be reached, or refused.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}
