//! The formats, one file each.

use keywright::AccountId;
use keywright::twofactor::import::ImportedUser;
use keywright::twofactor::{ParametersError, SecretError};
use serde_json::Value;

pub mod allauth;
pub mod better_auth;
pub mod devise;
pub mod django_otp;
pub mod keycloak;
pub mod lines;

/// One user, or why the file's entry is none.
pub type Entry = Result<(AccountId, ImportedUser), EntryFault>;

/// Why an entry cannot be read. It names the user as the file does, and quotes no secret.
#[derive(Debug, thiserror::Error)]
#[error("{user}: {fault}")]
#[non_exhaustive]
pub struct EntryFault {
    /// The user, as far as it is known.
    pub user: String,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A field is missing or of another type.
    #[error("the field `{0}` is missing or of another type")]
    Field(&'static str),
    /// A secret cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The digits or the period are out of bounds.
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    /// Something that Keywright does not have.
    #[error("{0} is not supported")]
    Unsupported(&'static str),
    /// The id is not an account id.
    #[error(transparent)]
    Account(#[from] keywright::AccountIdError),
    /// A line is not a user.
    #[error(transparent)]
    Line(#[from] keywright::twofactor::import::LineError),
}

/// The file as a whole cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the file is not JSON of this format (line {line})")]
#[non_exhaustive]
pub struct FileFault {
    /// The line, counted from 1, or 0 if the JSON is valid.
    pub line: usize,
}

/// Reads a whole file as JSON: an array, or one object a line.
fn rows(text: &str) -> Result<Vec<Value>, FileFault> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| FileFault { line: error.line() });
    }
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    lines.map(|(line, number)| serde_json::from_str(line).map_err(|_| FileFault { line: number })).collect()
}

/// Returns an id that is a number or a text.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn text<'a>(of: &'a Value, field: &'static str) -> Result<&'a str, Fault> {
    of.get(field).and_then(Value::as_str).ok_or(Fault::Field(field))
}

fn number(of: &Value, field: &'static str) -> Result<u64, Fault> {
    of.get(field).and_then(Value::as_u64).ok_or(Fault::Field(field))
}

fn texts(of: &Value, field: &'static str) -> Result<Vec<String>, Fault> {
    let list = of.get(field).and_then(Value::as_array).ok_or(Fault::Field(field))?;
    list.iter().map(|one| one.as_str().map(str::to_owned).ok_or(Fault::Field(field))).collect()
}

fn entry(user: &str, prefix: &str, read: Result<ImportedUser, Fault>) -> Entry {
    let fault = |fault| EntryFault { user: user.to_owned(), fault };
    let account = AccountId::new(format!("{prefix}{user}")).map_err(|error| fault(error.into()))?;
    Ok((account, read.map_err(fault)?))
}
