//! Values as they are in a row, whatever the column is meant to hold. SQLite keeps any type in any
//! column, and somebody who writes to the file can write anything.

use std::cmp::Ordering;

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// How many rows of an unknown form one call names in the log. The others are counted.
const NAMED: u64 = 8;

/// How much of a key is shown in the log.
const SHOWN: usize = 48;

/// A value, byte for byte.
#[derive(Debug, Clone)]
pub(crate) enum Raw {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Raw {
    /// Returns the text, if the value is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Returns enough of the value to find the row.
    fn shown(&self) -> String {
        match self {
            Self::Null => "NULL".into(),
            Self::Integer(number) => number.to_string(),
            Self::Real(number) => number.to_string(),
            Self::Text(bytes) => String::from_utf8_lossy(bytes).chars().take(SHOWN).collect::<String>(),
            Self::Blob(bytes) => bytes.iter().take(SHOWN / 2).map(|byte| format!("{byte:02x}")).collect::<String>(),
        }
    }

    /// SQLite's order of keys, which are texts or blobs. A column of texts converts numbers into
    /// texts.
    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        let rank = |value: &Self| match value {
            Self::Null => 0,
            Self::Integer(_) | Self::Real(_) => 1,
            Self::Text(_) => 2,
            Self::Blob(_) => 3,
        };
        match (self, other) {
            (Self::Text(one), Self::Text(other)) | (Self::Blob(one), Self::Blob(other)) => one.cmp(other),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

impl FromSql for Raw {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(bytes) => Self::Text(bytes.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        })
    }
}

impl ToSql for Raw {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(bytes) => ValueRef::Text(bytes),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Rows that were skipped because they have no known form. One of them must not stop the work on
/// all others, but an operator must be informed.
#[derive(Debug)]
pub(crate) struct Strays {
    work: &'static str,
    count: u64,
}

impl Strays {
    pub(crate) const fn of(work: &'static str) -> Self {
        Self { work, count: 0 }
    }

    /// Records a row of a table.
    pub(crate) fn note(&mut self, table: &str, key: &Raw) {
        self.count = self.count.saturating_add(1);
        if self.count <= NAMED {
            tracing::error!(work = self.work, table, key = key.shown(), "a malformed row was skipped");
        }
    }
}

impl Drop for Strays {
    fn drop(&mut self) {
        if self.count > NAMED {
            tracing::error!(work = self.work, rows = self.count, "malformed rows were skipped");
        }
    }
}
